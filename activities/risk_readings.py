"""What risk limits are measured by between orders: marks of markets in use, and equity.

Read regularly, and only of accounts whose limits need it. Knows no Temporal and no SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from activities.access import ConnectorSource
from activities.mark_prices import MarkPrices
from domain.accounts import Account
from domain.errors import VenueRefused, VenueUnavailable
from domain.ports import AccountStore
from domain.risk_store import RiskStore


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskReadings:
    """Reads marks and equity of the accounts at the venues that this process serves."""

    risk: RiskStore
    accounts: AccountStore
    connectors: ConnectorSource
    venues: frozenset[str]
    marks: MarkPrices
    now: Callable[[], datetime]

    async def read(self) -> int:
        """Read once; return of how many accounts.

        Raises:
            VenueUnavailable, VenueRefused: of one of them nothing could be read; the others were.
        """
        wanted = set(await self.risk.measured_accounts())
        if not wanted:
            return 0
        measured = [
            account
            for account in await self.accounts.all_active()
            if account.account_id in wanted and account.venue in self.venues
        ]
        failed: VenueUnavailable | VenueRefused | None = None
        for account in measured:
            try:
                await self._read(account)
            except (VenueUnavailable, VenueRefused) as error:
                failed = error
        if failed is not None:
            raise failed
        return len(measured)

    async def _read(self, account: Account) -> None:
        connector = await self.connectors.connector(account.venue, account.network)
        # Shared between accounts of one venue: read once in a second.
        marks = await self.marks.all(connector)
        await self.risk.note_marks(account.venue, account.network, marks, seen_at=self.now())
        summary = await connector.account_summary(account)
        await self.risk.note_equity(account.account_id, summary.equity, seen_at=self.now())
