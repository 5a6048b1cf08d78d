"""`python -m worker emergency …`: stopping what must stop, without Temporal or without SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from activities import emergency_command
from activities.access import CommandParts, NoCheckpoints
from activities.emergency_command import AwayDatabase, EmergencyWish
from activities.emergency_halt import EmergencyHalt
from activities.emergency_journal import EmergencyCommands
from activities.lanes import SpareLane
from activities.orders import OrderActivities
from domain.errors import PerpDexError
from domain.feed_credentials import TradingSecrets
from process.death import protect_memory
from process.logging import configure_logging
from sealing.choosing import open_keepers
from sealing.errors import SealingError
from sealing.keys import KeyPairs, Recipient, load_key_pairs
from serving.settings import EXIT_CONFIGURATION, WorkerSettings, now
from storage.emergency_kit import EmergencyKit, OpenedKit
from storage.journal import FileCommandJournal
from storage.nonce_files import FileSharedNonces
from storage.opening import Storage, open_storage
from venues.started import Connectors

OPEN_STORAGE_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyParts:
    """What stops without Temporal: the accounts that could be opened, and storage unless away."""

    halt: EmergencyHalt
    opened: OpenedKit
    storage: Storage | None


async def emergency_parts(
    settings: WorkerSettings, stack: AsyncExitStack, *, only: Collection[str] | None = None
) -> EmergencyParts:
    """Open keys, storage if it answers, and the accounts, or of them `only` those; for `stack`.

    Raises:
        SealingError: the keys cannot be opened.
        PerpDexError: an account's credential cannot.
    """
    home = settings.perp_dex_home.expanduser()
    keys = worker_keys(settings)
    storage = await _storage_unless_away(settings, home)
    if storage is None:
        entries = EmergencyKit(home).entries()
        entries = tuple(one for one in entries if only is None or one.account.account_id in only)
        opened = OpenedKit.from_entries(entries, keys)
    else:
        stack.push_async_callback(storage.close)
        accounts = [
            each
            for each in await storage.accounts.all_active()
            if only is None or each.account_id in only
        ]
        access = storage.access(keys)
        opened = OpenedKit(tuple([await access.open(each.account_id) for each in accounts]))
    return EmergencyParts(halt=_halt(home, storage, opened, stack), opened=opened, storage=storage)


def worker_keys(settings: WorkerSettings) -> KeyPairs:
    """Open the private keys that open credentials. Raises SealingError."""
    secrets = settings.perp_dex_home.expanduser() / "secrets"
    return load_key_pairs(secrets, Recipient.WORKER, open_keepers(settings, secrets))


def _halt(
    home: Path, storage: Storage | None, opened: OpenedKit, stack: AsyncExitStack
) -> EmergencyHalt:
    served = frozenset(each.account.venue for each in opened.opened)
    connectors = Connectors(served, TradingSecrets(opened))
    stack.push_async_callback(connectors.close)
    parts = CommandParts(
        ledger=AwayDatabase() if storage is None else storage.ledger,
        orders=AwayDatabase() if storage is None else storage.orders,
        access=opened,
        connectors=connectors,
        checkpoints=NoCheckpoints(),
        now=now,
        lanes=SpareLane(),
        blocks=None if storage is None else storage.halts,
    )
    commands = EmergencyCommands(
        journal=FileCommandJournal(home / "journal"),
        access=opened,
        nonces=FileSharedNonces(home / "journal"),
        checkpoints=parts.checkpoints,
        now=now,
    )
    return EmergencyHalt(parts, OrderActivities(parts, commands))


async def run_emergency(settings: WorkerSettings, wish: EmergencyWish) -> int:
    """Stop what an operator names, without Temporal; see `activities.emergency_command`."""
    async with AsyncExitStack() as stack:
        parts = await emergency_parts(settings, stack)
        halting = None if parts.storage is None else parts.storage.halts
        return await emergency_command.run(wish, parts.halt, parts.opened.opened, halting)


async def _storage_unless_away(settings: WorkerSettings, home: Path) -> Storage | None:
    try:
        async with asyncio.timeout(OPEN_STORAGE_WITHIN_S):
            return await open_storage(settings.database_url, home)
    except (PerpDexError, TimeoutError, OSError) as error:
        emergency_command.say(f"the database cannot be used ({error}); going on without it")
        return None


def emergency_main(arguments: list[str]) -> int:
    """Run `python -m worker emergency …` and return its exit code."""
    wish = emergency_command.parse(arguments)
    settings = WorkerSettings.load_or_exit()
    configure_logging(service="emergency", log_format=settings.log_format, level="WARNING")
    protect_memory()
    try:
        return asyncio.run(run_emergency(settings, wish))
    except (PerpDexError, SealingError, OSError) as error:
        emergency_command.say(f"cannot start: {error}")
        return EXIT_CONFIGURATION
    except KeyboardInterrupt:
        emergency_command.say("interrupted; what was sent is sent")
        return emergency_command.EXIT_STILL_OPEN
