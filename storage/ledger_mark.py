"""The ledger's mark: how far the ledger had come, kept in a file outside the database.

A ledger found shorter than its mark has lost commands (a restore, a failover): what they did at
the venue is forgotten, so everything that raises exposure is halted until an operator has looked.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from domain.errors import CorruptState, Unavailable
from domain.halts import EVERYTHING
from storage.halts import HaltStore
from storage.ledger import SqlIntentLedger
from storage.reconciliations import SqlReconciliations

SET_BY = "ledger-mark"
RESUME_COMMAND = "perp-dex db resume"
_FILE_MODE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """A ledger shorter than it was; `newly_halted` is False when trading was halted for it before.

    `expected` and `found` are positions: the number of the newest command.
    """

    expected: int
    found: int
    newly_halted: bool

    def __str__(self) -> str:
        return (
            f"expected the ledger to hold command {self.expected} or later, found {self.found}: "
            "the database was restored, failed over or replaced, and has forgotten commands; "
            "every account is reconciled with its venue now; look at the findings "
            f"(perp-dex account findings ACCOUNT), then run: {RESUME_COMMAND}"
        )


class LedgerMark:
    """The file `run/ledger-mark` in a home directory."""

    def __init__(self, home: Path) -> None:
        self._path = home / "run" / "ledger-mark"

    def read(self) -> int:
        """Return the highest position seen, 0 before the first.

        Raises:
            CorruptState: the file does not hold a number.
            Unavailable: it cannot be read.
        """
        try:
            text = self._path.read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise Unavailable(f"the ledger's mark cannot be read: {error}") from error
        if not (text.isascii() and text.isdigit()):
            raise CorruptState(
                f"expected a number in {self._path}, found {text[:32]!r}; compare open orders with "
                f"the venue, then run: {RESUME_COMMAND}"
            )
        return int(text)

    def write(self, position: int) -> None:
        """Replace the mark: after a crash the old or the new one is there.

        Raises:
            Unavailable: the file cannot be written.
        """
        try:
            self._replace(f"{position}\n".encode())
        except OSError as error:
            raise Unavailable(f"the ledger's mark cannot be written: {error}") from error

    def _replace(self, content: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with os.fdopen(os.open(beside, flags, _FILE_MODE), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)


class LedgerGuard:
    """Keeps the mark up to date, and halts everything when the ledger is behind it."""

    def __init__(
        self,
        mark: LedgerMark,
        ledger: SqlIntentLedger,
        halts: HaltStore,
        reconciliations: SqlReconciliations,
    ) -> None:
        self._mark = mark
        self._ledger = ledger
        self._halts = halts
        self._reconciliations = reconciliations

    async def check(self) -> Shortfall | None:
        """Move the mark on; or, when the ledger is shorter, halt all trading and say so.

        Raises:
            CorruptState: the mark cannot be read.
            Unavailable: the database does not answer.
        """
        expected = self._mark.read()
        found = await self._ledger.ledger_position()
        if found >= expected:
            if found > expected:
                self._mark.write(found)
            return None
        general = next((h for h in await self._halts.halted() if h.scope == EVERYTHING), None)
        is_new = general is None or general.set_by != SET_BY
        shortfall = Shortfall(expected=expected, found=found, newly_halted=is_new)
        if is_new:
            former = (
                "" if general is None else f" (halted before by {general.set_by}: {general.reason})"
            )
            await self._halts.halt(None, reason=f"{shortfall}{former}", by=SET_BY)
            # What was forgotten is found again there: orders, fills and positions.
            await self._reconciliations.make_due()
        return shortfall

    async def resume(self) -> tuple[int, int]:
        """Take the ledger as it is: reset the mark, lift the halt; return the mark before and now.

        Only a halt for the ledger's sake is lifted. For an operator who has looked at the findings;
        an account that is not reconciled yet goes on taking no new exposure until it is.

        Raises:
            Unavailable: the database does not answer; run it again.
        """
        try:
            before = self._mark.read()
        except CorruptState:
            before = 0
        now = await self._ledger.ledger_position()
        # The mark first: a running worker that sees the old one would halt again.
        self._mark.write(now)
        if any(h.scope == EVERYTHING and h.set_by == SET_BY for h in await self._halts.halted()):
            await self._halts.resume(
                None, reason="the ledger was compared with the venue", by="operator"
            )
        return before, now
