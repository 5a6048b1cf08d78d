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
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from domain.accounts import Account, FundingPayment, LeverageSetting, MarginMode
from domain.errors import VenueRefused, VenueUnavailable
from venues.connections import ConnectionBudget
from venues.connector import (
    AccountEvent,
    AccountSeen,
    FeedState,
    FillsSeen,
    FundingSeen,
    OrdersSeen,
)
from venues.pacifica import translate, wire
from venues.pacifica.stream_session import ACKNOWLEDGE_WITHIN_S, Session
from venues.pacifica.translate import is_perpetual, symbol_of
from venues.stream import Backoff, EventQueue, Follower
from venues.stream_core import Step
from venues.transport import Clock, utc_now

#: Of the venue's hundred connections per IP address a tenth is left for market data and others.
_CONNECTIONS_MAX: Final = 90
_OPENED_PER_MINUTE_MAX: Final = 60
#: So many orders are remembered with the number of their newest event.
_ORDERS_REMEMBERED: Final = 20_000
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
    """Core of one account's feed, without I/O; `on_funding` is called when some was paid."""

    def __init__(self, account: Account, on_funding: Callable[[], None] = lambda: None) -> None:
        self._on_funding = on_funding
        self._funding: dict[str, Decimal] = {}
        self._account = account
        self._account_id = account.account_id
        self._address = account.address
        self._session = Session()
        self._connected_at = 0.0
        self._is_live = False
        self._last_reason: str | None = None
        self._newest: OrderedDict[int, int] = OrderedDict()
        self._positions_li = -1
        self._positions: list[wire.PositionRow] | None = None
        self._money: wire.AccountFrame | None = None
        self._prices: dict[str, wire.PriceRow] = {}
        self._settings: dict[str, LeverageSetting] = {}

    def know(self, settings: Mapping[str, LeverageSetting]) -> None:
        """Take leverage settings, which the socket tells only when they change."""
        self._settings.update(settings)

    def connected(self, now: float, at: datetime) -> Step[AccountEvent]:
        """Subscribe to orders, fills, positions, money and leverage, and to all prices."""
        self._session.begin(now)
        self._connected_at = now
        self._is_live = False
        self._newest.clear()
        self._positions_li = -1
        self._positions = self._money = None
        account = {"account": self._address}
        return Step(
            send=(
                *(self._session.subscribe({"source": one, **account}, now) for one in _SOURCES),
                self._session.subscribe({"source": "prices"}, now),
            )
        )

    def received(self, payload: bytes, now: float, at: datetime) -> Step[AccountEvent]:
        """Read one message."""
        try:
            frame = self._session.read(payload, now)
            if isinstance(frame, str):
                return Step(close=frame)
            events = self._events(frame) if frame is not None else ()
        except wire.WireError as error:
            return Step(close=f"unreadable message: {error}"[:300])
        return Step(events=events + self._went_live(at))

    def tick(self, now: float, at: datetime) -> Step[AccountEvent]:
        """Ping, and notice a dead connection or a snapshot that never came."""
        ping, dead = self._session.tick(now)
        waited = now - self._connected_at
        if dead is None and not self._is_live and waited >= ACKNOWLEDGE_WITHIN_S:
            dead = f"no snapshot of positions within {ACKNOWLEDGE_WITHIN_S:g} s"
        return Step(send=(ping,) if ping else (), close=dead)

    def disconnected(self, reason: str, at: datetime) -> tuple[AccountEvent, ...]:
        """Say that the feed is not live, once per loss and per new reason."""
        if not self._is_live and reason == self._last_reason:
            return ()
        self._is_live = False
        self._last_reason = reason
        return (FeedState(account_id=self._account_id, live=False, reason=reason, at=at),)

    def _went_live(self, at: datetime) -> tuple[AccountEvent, ...]:
        if self._is_live or self._positions is None or not self._session.is_acknowledged:
            return ()
        self._is_live = True
        self._last_reason = None
        return (FeedState(account_id=self._account_id, live=True, reason="subscribed", at=at),)

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


@dataclass(frozen=True, slots=True)
class _Followed:
    address: str
    task: asyncio.Task[None]


class PacificaAccountFeed:
    """Implements `venues.connector.AccountFeed`.

    Where `reading` fails to tell the leverage, an account with positions is told of by its orders
    and fills alone.
    """

    def __init__(
        self,
        url: str,
        reading: Reading,
        *,
        clock: Clock = utc_now,
        connections: ConnectionBudget | None = None,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._url = url
        self._backoff = backoff
        self._reading = reading
        self._clock = clock
        self._connections = connections or ConnectionBudget(
            connections_max=_CONNECTIONS_MAX, opened_per_minute_max=_OPENED_PER_MINUTE_MAX
        )
        self._queue: EventQueue[AccountEvent] = EventQueue()
        self._followed: dict[str, _Followed] = {}

    async def events(self) -> AsyncIterator[AccountEvent]:
        """Yield events until `close`, reconnecting by itself."""
        async for event in self._queue:
            yield event

    async def watch(self, accounts: Sequence[Account]) -> None:
        """Set the accounts to follow: new ones are connected, missing ones let go."""
        wanted = {account.account_id: account for account in accounts}
        for account_id, followed in list(self._followed.items()):
            same = wanted.get(account_id)
            if same is None or same.address != followed.address:
                await self._let_go(account_id)
        for account_id, account in wanted.items():
            if account_id not in self._followed:
                self._follow(account)

    async def close(self) -> None:
        """Close all sockets and end the iteration."""
        for account_id in list(self._followed):
            await self._let_go(account_id)
        self._queue.close()

    def _follow(self, account: Account) -> None:
        task = asyncio.create_task(self._run(account), name=f"pacifica feed {account.account_id}")
        task.add_done_callback(self._queue.fail_with)
        self._followed[account.account_id] = _Followed(account.address, task)

    async def _run(self, account: Account) -> None:
        paid = asyncio.Event()
        core = AccountStream(account, paid.set)
        follower = Follower(
            self._url, core, self._queue, self._connections, backoff=self._backoff()
        )
        # Orders and fills are what the feed is for; the rest is read by REST.
        with contextlib.suppress(VenueUnavailable, VenueRefused):
            core.know(await self._reading.leverage(account))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follower.run())
            tasks.create_task(self._tell_funding(account, paid))

    async def _tell_funding(self, account: Account, paid: asyncio.Event) -> None:
        """Ask for payments whenever a position shows that there are some."""
        since = self._clock() - _FUNDING_OVERLAP
        while True:
            await paid.wait()
            paid.clear()
            now = self._clock()
            try:
                payments = await self._reading.funding(account, since)
            except (VenueUnavailable, VenueRefused):
                await asyncio.sleep(_FUNDING_RETRY_S)
                paid.set()
                continue
            since = now - _FUNDING_OVERLAP
            if payments:
                self._queue.put(FundingSeen(account_id=account.account_id, payments=payments))

    async def _let_go(self, account_id: str) -> None:
        followed = self._followed.pop(account_id)
        followed.task.cancel()
        await asyncio.wait([followed.task])
