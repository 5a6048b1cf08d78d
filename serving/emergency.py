"""`python -m worker emergency …`: stopping what must stop, without Temporal or without SQL."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
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
from sealing.keys import Recipient, load_key_pairs
from serving.settings import EXIT_CONFIGURATION, WorkerSettings, now
from storage.emergency_kit import EmergencyKit, OpenedKit
from storage.journal import FileCommandJournal
from storage.nonce_files import FileSharedNonces
from storage.opening import Storage, open_storage
from venues.started import Connectors

OPEN_STORAGE_WITHIN_S = 10.0


async def run_emergency(settings: WorkerSettings, wish: EmergencyWish) -> int:
    """Stop what an operator names, without Temporal; see `activities.emergency_command`."""
    async with AsyncExitStack() as stack:
        home = settings.perp_dex_home.expanduser()
        secrets = home / "secrets"
        keys = load_key_pairs(secrets, Recipient.WORKER, open_keepers(settings, secrets))
        storage = await _storage_unless_away(settings, home)
        if storage is None:
            opened = OpenedKit.from_entries(EmergencyKit(home).entries(), keys)
        else:
            stack.push_async_callback(storage.close)
            accounts = await storage.accounts.all_active()
            access = storage.access(keys)
            opened = OpenedKit(tuple([await access.open(each.account_id) for each in accounts]))
        served = frozenset(each.account.venue for each in opened.opened)
        connectors = Connectors(served, TradingSecrets(opened), access=opened)
        stack.push_async_callback(connectors.close)
        parts = CommandParts(
            ledger=AwayDatabase() if storage is None else storage.ledger,
            orders=AwayDatabase() if storage is None else storage.orders,
            access=opened,
            connectors=connectors,
            checkpoints=NoCheckpoints(),
            now=now,
            lanes=SpareLane(),
        )
        commands = EmergencyCommands(
            journal=FileCommandJournal(home / "journal"),
            access=opened,
            nonces=FileSharedNonces(home / "journal"),
            checkpoints=parts.checkpoints,
            now=now,
        )
        halt = EmergencyHalt(parts, OrderActivities(parts, commands))
        halting = None if storage is None else storage.halts
        return await emergency_command.run(wish, halt, opened.opened, halting)


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
