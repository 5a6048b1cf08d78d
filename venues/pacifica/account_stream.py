"""The private feed: orders, fills and state of our accounts, one socket for each.

Positions do not name their account, so two accounts never share a socket. Order updates have no
snapshot: whoever hears `FeedState(live=True)` after a gap has to read open orders and fills once.
`li` numbers the venue's events with gaps: it tells what is stale, never what is missing. Needs no
key; every account is public by its address. Funding has no channel: a position whose funding
changed is the sign to ask for it.

Source: docs.pacifica.fi api/websocket/subscriptions; NOTES.md "WebSocket".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from domain.accounts import Account, FundingPayment, LeverageSetting, MarginMode
from domain.errors import VenueRefused, VenueUnavailable
from venues.connections import ConnectionBudget
from venues.connector import (
    AccountEvent,
    AccountSeen,
    FillsSeen,
    FundingSeen,
    OrdersSeen,
)
from venues.feeds import AccountSockets
from venues.pacifica import translate, wire
from venues.pacifica.stream_session import Session
from venues.pacifica.translate import is_perpetual, symbol_of
from venues.stream import Backoff, EventQueue, Follower
from venues.stream_session import LiveStream
from venues.transport import Clock, utc_now

#: Of the venue's hundred connections per IP address a tenth is left for market data and others.
_CONNECTIONS_MAX: Final = 90
_OPENED_PER_MINUTE_MAX: Final = 60
#: So many orders are remembered with the number of their newest event.
_ORDERS_REMEMBERED: Final = 20_000
_SNAPSHOT: Final = "snapshot"
_SOURCES: Final = (
    "account_order_updates",
    "account_trades",
    "account_positions",
    "account_info",
    "account_leverage",
)

#: A payment is asked for from so long before its position was last seen without it.
_FUNDING_OVERLAP: Final = timedelta(minutes=2)
#: What was not answered is asked again after so long.
_FUNDING_RETRY_S: Final = 10.0


class Reading(Protocol):
    """What is asked for beside the socket; both raise VenueUnavailable and VenueRefused."""

    async def leverage(self, account: Account) -> Mapping[str, LeverageSetting]:
        """Return an account's leverage settings by symbol of ours."""
        ...

    async def funding(self, account: Account, since: datetime) -> tuple[FundingPayment, ...]:
        """Return payments of funding since a time."""
        ...


class AccountStream:
    """The conversation about one account, without I/O; live once its positions were told.

    `on_funding` is called when some was paid.
    """

    def __init__(self, account: Account, on_funding: Callable[[], None] = lambda: None) -> None:
        self._on_funding = on_funding
        self._funding: dict[str, Decimal] = {}
        self._account = account
        self._account_id = account.account_id
        self._address = account.address
        self._session = Session()
        self.watch = self._session.watch
        self._newest: OrderedDict[int, int] = OrderedDict()
        self._positions_li = -1
        self._positions: list[wire.PositionRow] | None = None
        self._money: wire.AccountFrame | None = None
        self._prices: dict[str, wire.PriceRow] = {}
        self._settings: dict[str, LeverageSetting] = {}

    def know(self, settings: Mapping[str, LeverageSetting]) -> None:
        """Take leverage settings, which the socket tells only when they change."""
        self._settings.update(settings)

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Subscribe to orders, fills, positions, money and leverage, and to all prices."""
        self._newest.clear()
        self._positions_li = -1
        self._positions = self._money = None
        account = {"account": self._address}
        frames = (
            *(self._session.subscribe({"source": one, **account}, now) for one in _SOURCES),
            self._session.subscribe({"source": "prices"}, now),
        )
        self.watch.expect(_SNAPSHOT, "no snapshot of positions", now)
        return frames

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[AccountEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        frame = self._session.read(payload)
        return self._events(frame) if frame is not None else ()

    def _events(self, frame: wire.Frame) -> tuple[AccountEvent, ...]:
        data = bytes(frame.data)
        match frame.channel:
            case "account_order_updates":
                return self._orders(wire.decode(data, list[wire.OrderUpdate]))
            case "account_trades":
                return self._fills(wire.decode(data, list[wire.FillFrame]))
            case "account_positions":
                return self._positions_are(wire.decode(data, list[wire.PositionFrame]), frame.li)
            case "account_info":
                self._money = wire.decode(data, wire.AccountFrame)
                return self._state()
            case "account_leverage":
                self._leverage_is(wire.decode(data, wire.LeverageFrame))
            case "prices":
                rows = wire.decode(data, list[wire.PriceRow])
                self._prices = {row.symbol: row for row in rows}
            case _:
                pass
        return ()

    def _orders(self, rows: list[wire.OrderUpdate]) -> tuple[AccountEvent, ...]:
        """Keep what is not older than what was said of the same order before, in its order."""
        rows.sort(key=lambda row: row.li or 0)
        fresh = []
        for row in rows:
            self._check_account(row.u, "orders")
            if row.li is not None:
                if row.li < self._newest.get(row.i, -1):
                    continue
                self._newest[row.i] = row.li
                self._newest.move_to_end(row.i)
            fresh.append(row)
        while len(self._newest) > _ORDERS_REMEMBERED:
            self._newest.popitem(last=False)
        found = (translate.order_update(row) for row in fresh)
        orders = tuple(order for order in found if order is not None)
        return (OrdersSeen(account_id=self._account_id, orders=orders),) if orders else ()

    def _fills(self, rows: list[wire.FillFrame]) -> tuple[AccountEvent, ...]:
        for row in rows:
            self._check_account(row.u, "fills")
        found = (translate.fill_frame(self._account_id, row) for row in rows)
        fills = tuple(sorted((f for f in found if f is not None), key=lambda f: f.event_time))
        return (FillsSeen(account_id=self._account_id, fills=fills),) if fills else ()

    def _positions_are(
        self, rows: list[wire.PositionFrame], li: int | None
    ) -> tuple[AccountEvent, ...]:
        """Take positions as a whole; a frame that is older than the last is left out."""
        if li is not None and li < self._positions_li:
            return ()
        self._positions_li = li if li is not None else self._positions_li
        self.watch.answered(_SNAPSHOT)
        funding = {row.s: row.f for row in rows if row.a}
        if any(self._funding.get(name, paid) != paid for name, paid in funding.items()):
            self._on_funding()
        self._funding = funding
        self._positions = [
            wire.PositionRow(
                symbol=row.s,
                side=row.d,
                amount=row.a,
                entry_price=row.p,
                margin=row.m,
                isolated=row.i,
                updated_at=row.t,
                liquidation_price=row.l,
            )
            for row in rows
            if row.a and is_perpetual(row.s)
        ]
        return self._state()

    def _leverage_is(self, row: wire.LeverageFrame) -> None:
        self._check_account(row.u, "leverage")
        symbol = symbol_of(row.s)
        try:
            leverage = int(row.l)
        except ValueError:
            raise wire.WireError(f"expected a whole leverage, found {row.l!r}") from None
        mode = self._settings[symbol].mode if symbol in self._settings else MarginMode.CROSS
        self._settings[symbol] = LeverageSetting(symbol=symbol, leverage=leverage, mode=mode)

    def _state(self) -> tuple[AccountEvent, ...]:
        """Sum the account up, once prices and leverage of all its positions are known."""
        money, positions = self._money, self._positions
        if money is None or positions is None or not self._prices:
            return ()
        known = all(
            row.symbol in self._prices and symbol_of(row.symbol) in self._settings
            for row in positions
        )
        if not known:
            return ()
        row = wire.AccountRow(
            account_equity=money.ae,
            available_to_spend=money.available,
            total_margin_used=money.mu,
            cross_mmr=money.cm,
            updated_at=money.t,
        )
        summary = translate.account_summary(
            self._account, row, positions, self._prices, self._settings
        )
        return (AccountSeen(account_id=self._account_id, summary=summary),)

    def _check_account(self, account: str, what: str) -> None:
        if account != self._address:
            raise wire.WireError(f"expected {what} of {self._address}, found {account}'s")


def account_feed(
    url: str,
    reading: Reading,
    *,
    clock: Clock = utc_now,
    connections: ConnectionBudget | None = None,
    backoff: Callable[[], Backoff] = Backoff,
) -> AccountSockets:
    """Return the private feed at a WebSocket's address, not yet connected.

    Where `reading` fails to tell the leverage, an account with positions is told of by its orders
    and fills alone.
    """
    budget = connections or ConnectionBudget(
        connections_max=_CONNECTIONS_MAX, opened_per_minute_max=_OPENED_PER_MINUTE_MAX
    )
    queue: EventQueue[AccountEvent] = EventQueue()

    async def follow(account: Account) -> None:
        paid = asyncio.Event()
        stream = AccountStream(account, paid.set)
        core = LiveStream(stream, account.account_id)
        follower = Follower(url, core, queue, budget, backoff=backoff())
        # Orders and fills are what the feed is for; the rest is read by REST.
        with contextlib.suppress(VenueUnavailable, VenueRefused):
            stream.know(await reading.leverage(account))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follower.run())
            tasks.create_task(_tell_funding(account, paid, reading, queue, clock))

    return AccountSockets("pacifica", queue, follow)


async def _tell_funding(
    account: Account,
    paid: asyncio.Event,
    reading: Reading,
    queue: EventQueue[AccountEvent],
    clock: Clock,
) -> None:
    """Ask for payments whenever a position shows that there are some."""
    since = clock() - _FUNDING_OVERLAP
    while True:
        await paid.wait()
        paid.clear()
        now = clock()
        try:
            payments = await reading.funding(account, since)
        except (VenueUnavailable, VenueRefused):
            await asyncio.sleep(_FUNDING_RETRY_S)
            paid.set()
            continue
        since = now - _FUNDING_OVERLAP
        if payments:
            queue.put(FundingSeen(account_id=account.account_id, payments=payments))
