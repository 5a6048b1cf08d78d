"""Reading an account at its venue, now, and keeping what was read. Knows no venue and no SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from temporalio import activity

from activities.access import ConnectorSource
from activities.contracts import AccountTask
from domain.errors import NotFound
from domain.ports import AccountStore
from domain.position_store import PositionStore
from domain.positions import SeenSummary

SOURCE = "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReading:
    """The activity of `ReadAccountWorkflow`; `now` is our clock, aware UTC."""

    accounts: AccountStore
    positions: PositionStore
    connectors: ConnectorSource
    now: Callable[[], datetime]

    @activity.defn(name="read_account")
    async def read(self, task: AccountTask) -> SeenSummary:
        """Ask the venue for an account's money and positions, and keep the answer.

        Raises:
            NotFound: there is no such account.
            VenueUnavailable, VenueRefused: the venue's answer.
        """
        account = await self.accounts.get(task.account_id)
        if account is None:
            raise NotFound(f"no account {task.account_id!r}")
        connector = await self.connectors.connector(account.venue, account.network)
        # What is read may not be older than the time we say we saw it.
        asked_at = self.now()
        summary = await connector.account_summary(account)
        await self.positions.save_summary(summary, seen_at=asked_at, source=SOURCE)
        return SeenSummary(summary=summary, seen_at=asked_at, source=SOURCE)
