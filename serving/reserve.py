"""What the worker keeps beside the database, for when that is away or comes back shorter."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from activities.access import Checkpoints
from activities.emergency_journal import (
    CachedAccess,
    CredentialSource,
    EmergencyCommands,
    absorb_journal,
)
from domain.errors import NotFound, PerpDexError
from sealing.errors import SealingError
from serving.chores import again
from serving.settings import now
from storage.emergency_kit import EmergencyKit
from storage.journal import FileCommandJournal
from storage.ledger_mark import LedgerGuard, LedgerMark
from storage.nonce_files import FileSharedNonces
from storage.opening import Storage

ABSORB_EVERY_S = 1.0
MARK_EVERY_S = 1.0
OPEN_ACCESS_EVERY_S = 60.0
PACK_KIT_EVERY_S = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """What the worker keeps beside the database, for when that is away or comes back shorter."""

    storage: Storage
    access: CachedAccess
    journal: FileCommandJournal
    emergency: EmergencyCommands
    guard: LedgerGuard
    kit: EmergencyKit

    @classmethod
    def beside(
        cls, storage: Storage, source: CredentialSource, home: Path, checkpoints: Checkpoints
    ) -> Reserve:
        """Return the reserve whose files are in `home`."""
        journal = FileCommandJournal(home / "journal")
        access, mark = CachedAccess(source), LedgerMark(home)
        return cls(
            storage=storage,
            access=access,
            journal=journal,
            emergency=EmergencyCommands(
                journal=journal,
                access=access,
                nonces=FileSharedNonces(home / "journal"),
                checkpoints=checkpoints,
                now=now,
            ),
            kit=EmergencyKit(home),
            guard=LedgerGuard(mark, storage.ledger, storage.halts, storage.reconciliations),
        )

    async def start(self) -> None:
        """Halt if the ledger is shorter than it was; absorb what was journaled; open credentials.

        Raises:
            Unavailable: the database does not answer.
            CorruptState: the ledger's mark cannot be read.
        """
        shortfall = await self.guard.check()
        if shortfall is not None:
            log.critical("new exposure is halted", reason=str(shortfall))
        try:
            await self._absorb()
        except PerpDexError as error:
            # The chore tries again; live orders are not left alone for it.
            log.critical("journal not absorbed", reason=str(error))
        await self._open_access()

    async def stop(self) -> None:
        """Absorb and mark once more, if the database answers."""
        with contextlib.suppress(PerpDexError):
            await self._absorb()
            await self.guard.check()

    def chores(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return what is to be done again and again."""
        return (
            again("journal", ABSORB_EVERY_S, self._absorb),
            again("ledger mark", MARK_EVERY_S, self._check),
            again("access", OPEN_ACCESS_EVERY_S, self._open_access),
            again("emergency kit", PACK_KIT_EVERY_S, self._pack),
        )

    async def _absorb(self) -> None:
        absorbed = await absorb_journal(self.journal, self.storage.ledger, now())
        if absorbed:
            log.warning("journal absorbed", entries=absorbed)

    async def _check(self) -> None:
        shortfall = await self.guard.check()
        if shortfall is not None and shortfall.newly_halted:
            log.critical("new exposure is halted", reason=str(shortfall))

    async def _open_access(self) -> None:
        accounts = await self.storage.accounts.all_active()
        self.access.keep_only(accounts)
        for account in accounts:
            try:
                await self.access.open(account.account_id)
            except (NotFound, SealingError) as error:
                log.warning(
                    "credential not opened", account_id=account.account_id, reason=str(error)
                )

    async def _pack(self) -> None:
        await self.kit.pack(self.storage.database)
