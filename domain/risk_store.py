"""What others need of the stored risk limits, as a Protocol. `domain.risk` says what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from domain.accounts import Network
from domain.exposure import Asked
from domain.risk import LimitUse
from domain.risk_limits import RiskLimits
from domain.violations import Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsInForce:
    """The limits of one scope. `version` counts their changes from 0: never set."""

    scope: str
    limits: RiskLimits
    version: int
    set_by: str | None = None
    set_at: datetime | None = None


class RiskStore(Protocol):
    """Limits of everything (scope `*`) and of accounts (their ids), and what they are measured by.

    Authority is the ledger's own check when a command is reserved; `judge` is the same question
    asked beforehand, so that nothing has to be started to be refused.
    """

    async def limits(self, scope: str) -> LimitsInForce:
        """Return the limits of a scope; empty ones where none were ever set.

        Raises:
            NotFound: the scope is no account's.
        """
        ...

    async def put(
        self, scope: str, limits: RiskLimits, *, by: str, expected_version: int | None = None
    ) -> LimitsInForce:
        """Replace the limits of a scope; once it returns, the ledger holds to them.

        Raises:
            NotFound: the scope is no account's.
            Conflict: code `version_mismatch`: they are not of `expected_version` any more.
        """
        ...

    async def judge(self, asked: Asked) -> tuple[Violation, ...]:
        """Return every limit that an order would exceed now."""
        ...

    async def check_leverage(self, account_id: str, leverage: Decimal) -> None:
        """Check a leverage setting of an account.

        Raises:
            RiskRefused: it is above a limit of the account or of everything.
        """
        ...

    async def use(self, scope: str) -> tuple[LimitUse, ...]:
        """Return the present use of every limit in a scope."""
        ...

    async def measured_accounts(self) -> tuple[str, ...]:
        """Return the accounts with limits, own or general, that marks and equity are needed for."""
        ...

    async def note_marks(
        self, venue: str, network: Network, marks: Mapping[str, Decimal], *, seen_at: datetime
    ) -> None:
        """Remember the mark prices of markets with a position or a live order.

        The first after 00:00 UTC keeps the one before it: the day is measured from that.
        """
        ...

    async def note_equity(self, account_id: str, equity: Decimal, *, seen_at: datetime) -> None:
        """Remember an account's equity."""
        ...
