"""Reading on which terms an account can trade a market now, for who chooses between accounts.

Money and position are asked each time; fees and leverage, which change seldom, are remembered for a
while, so that choosing costs little of a venue's budget of questions. Knows no venue and no SQL.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from temporalio import activity

from activities.access import ConnectorSource
from activities.terms_contracts import TermsTask
from domain.account_terms import AccountRoom, AccountTerms, position_in
from domain.accounts import Account, AccountSummary, FeeRates
from domain.errors import NotFound, VenueRefused, VenueUnavailable
from domain.ports import AccountStore
from venues.connector import Connector, RoomTeller, TellsBudget

FEES_KEPT_S: Final = 600.0
LEVERAGE_KEPT_S: Final = 60.0
ROOM_KEPT_S: Final = 30.0
KEPT_MAX: Final = 10_000

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsReading:
    """The activity of `ReadTermsWorkflow`; `now` is our clock, aware UTC."""

    accounts: AccountStore
    connectors: ConnectorSource
    now: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic
    _kept: dict[tuple[str, ...], tuple[float, Any]] = field(default_factory=dict)

    @activity.defn(name="read_terms")
    async def read(self, task: TermsTask) -> AccountTerms:
        """Ask the venue what an account has and pays in a market.

        Raises:
            NotFound: there is no such account.
            InvalidInput: the venue has no such market.
            VenueUnavailable, VenueRefused: the venue's answer.
        """
        account = await self.accounts.get(task.account_id)
        if account is None:
            raise NotFound(f"no account {task.account_id!r}")
        connector = await self.connectors.connector(account.venue, account.network)
        # What is read may not be older than the time we say we saw it.
        asked_at = self.now()
        summary = await connector.account_summary(account)
        return AccountTerms(
            account_id=account.account_id,
            symbol=task.symbol,
            available=summary.available,
            position=position_in(summary, task.symbol),
            fees=await self._fees(connector, account, task.symbol),
            leverage=await self._leverage(connector, account, task.symbol, summary),
            seen_at=asked_at,
            room=await self._room(connector, account),
        )

    async def _fees(self, connector: Connector, account: Account, symbol: str) -> FeeRates:
        """Return what the account pays; without its venue's word what anybody pays at most."""
        try:
            return await self._remembered(
                ("fees", account.account_id), FEES_KEPT_S, lambda: connector.fee_rates(account)
            )
        except (VenueUnavailable, VenueRefused):
            published = (await connector.instrument(symbol)).fees
            if published is None:
                raise
            return published

    async def _leverage(
        self, connector: Connector, account: Account, symbol: str, summary: AccountSummary
    ) -> Decimal:
        for position in summary.positions:
            if position.symbol == symbol:
                return position.leverage
        setting = await self._remembered(
            ("leverage", account.account_id, symbol),
            LEVERAGE_KEPT_S,
            lambda: connector.leverage_of(account, symbol),
        )
        return Decimal(setting.leverage)

    async def _room(self, connector: Connector, account: Account) -> AccountRoom:
        """Return what the venue says of the account's room, else what we allow ourselves there."""
        if isinstance(connector, RoomTeller):
            teller: RoomTeller = connector
            try:
                return await self._remembered(
                    ("room", account.account_id), ROOM_KEPT_S, lambda: teller.account_room(account)
                )
            except (VenueUnavailable, VenueRefused):
                _log.info("%s does not tell the room of %s", account.venue, account.account_id)
        if not isinstance(connector, TellsBudget):
            return AccountRoom()
        left = connector.budget_left()
        return AccountRoom(
            requests_left=Decimal(f"{max(left.left, 0.0):.1f}"),
            requests_of=Decimal(f"{left.capacity:.1f}"),
        )

    async def _remembered(
        self, key: tuple[str, ...], for_s: float, ask: Callable[[], Awaitable[T]]
    ) -> T:
        kept = self._kept.get(key)
        if kept is not None and self.monotonic() < kept[0]:
            known: T = kept[1]
            return known
        until = self.monotonic() + for_s
        found = await ask()
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[key] = (until, found)
        return found
