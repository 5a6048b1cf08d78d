"""The port of what is known of positions: the venue's word, sums of fills, funding, periods."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from domain.accounts import AccountSummary, FundingPayment
from domain.pnl import MarketPnl, PeriodPnl
from domain.positions import AccountBooks, SeenSummary


class PositionStore(Protocol):
    """What venues said of accounts, and what their fills and funding add up to."""

    async def save_summary(
        self, summary: AccountSummary, *, seen_at: datetime, source: str
    ) -> bool:
        """Keep a venue's word unless a later one is kept already; tell whether it was kept.

        Later is by the venue's clock, then by ours.
        """
        ...

    async def summary(self, account_id: str) -> SeenSummary | None:
        """Return the latest word of the venue on an account, or None before the first."""
        ...

    async def markets(self, account_id: str) -> tuple[MarketPnl, ...]:
        """Return the sums of every market an account has traded, by symbol."""
        ...

    async def book_funding(self, payments: Sequence[FundingPayment]) -> int:
        """Book the payments not booked yet, each once; return how many were new.

        A payment is named by account, symbol and time.
        """
        ...

    async def newest_funding_time(self, account_id: str) -> datetime | None:
        """Return the time of the newest booked payment of an account."""
        ...

    async def period(
        self, account_id: str, *, since: datetime | None, until: datetime | None = None
    ) -> tuple[PeriodPnl, ...]:
        """Return what each market brought from `since` (None: from the first) to before `until`."""
        ...

    async def books(self, account_id: str) -> AccountBooks:
        """Return everything that an account's open positions are shown from.

        Raises:
            NotFound: there is no such account.
        """
        ...
