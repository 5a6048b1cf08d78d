"""The private feed: orders, fills, positions and money of our accounts, one socket for each.

Each socket is opened with a token of its own, and closed before that ends: the venue does not say
what it does with one that has. Private channels have no numbers: whoever hears
`FeedState(live=True)` after a gap has to read open orders and fills once. Funding has no channel: a
position whose funding changed is the sign to ask for it.

Source: docs websocket-reference; NOTES.md "WebSocket".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

from domain.accounts import Account, AccountSummary, FundingPayment
from domain.errors import InvalidInput, Unavailable, VenueRefused, VenueUnavailable
from domain.feed_credentials import FeedCredentialSource
from venues.connections import ConnectionBudget
from venues.connector import (
    AccountEvent,
    AccountSeen,
    FillsSeen,
    FundingSeen,
    OrdersSeen,
)
from venues.feeds import AccountSockets
from venues.lighter import translate, wire
from venues.lighter.credential import account_index_of
from venues.lighter.stream_session import Session
from venues.lighter.tokens import AUTH, end_of
from venues.lighter.translate import VENUE, MarketNames
from venues.stream import Backoff, EventQueue, Follower, Handshake
from venues.stream_session import LiveStream, SessionOver
from venues.transport import Clock, utc_now

#: Of the venue's two hundred connections per IP address some are left for others.
_CONNECTIONS_MAX: Final = 150
_OPENED_PER_MINUTE_MAX: Final = 60
#: A connection is given up so long before its token ends.
_TOKEN_MARGIN: Final = timedelta(minutes=15)
_CHANNELS: Final = (
    "account_all_orders",
    "account_all_trades",
    "account_all_positions",
    "user_stats",
)
#: A payment is asked for from so long before its position was last seen without it.
_FUNDING_OVERLAP: Final = timedelta(minutes=2)
#: What was not answered is asked again after so long.
_RETRY_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFacts:
    """What a feed needs of the markets: their names, and what they ask for to keep a position."""

    names: MarketNames
    maintenance: Mapping[int, Decimal] = field(default_factory=dict)


class Reading(Protocol):
    """What is asked for beside the socket; both raise VenueUnavailable and VenueRefused."""

    async def markets(self) -> MarketFacts:
        """Return the markets."""
        ...

    async def funding(
        self, account: Account, token: str, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return payments of funding since a time."""
        ...


class AccountStream:
    """The conversation about one account, without I/O; `on_funding` is called when some was paid.

    `token` and `facts` are set before each connection.
    """

    def __init__(self, account: Account, on_funding: Callable[[], None] = lambda: None) -> None:
        self._account = account
        self._account_id = account.account_id
        self._index = account_index_of(account.address)
        self._on_funding = on_funding
        self._session = Session()
        self.watch = self._session.watch
        self.token = ""
        self.token_end: datetime | None = None
        self.facts = MarketFacts(names=MarketNames(()))
        self._funding: dict[int, Decimal] = {}
        self._positions: list[wire.PositionRow] | None = None
        self._money: wire.UserStats | None = None

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Subscribe to orders, fills, positions and money."""
        self._positions = self._money = None
        return tuple(
            self._session.subscribe(f"{name}/{self._index}", now, self.token) for name in _CHANNELS
        )

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[AccountEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        if self.token_end is not None and at >= self.token_end - _TOKEN_MARGIN:
            raise SessionOver("the token ends; connecting with a new one")
        heard = self._session.read(payload)
        if heard is None:
            return ()
        if heard.subject != str(self._index):
            raise wire.WireError(f"expected account {self._index}, found {heard.subject[:32]!r}")
        match heard.name:
            case "account_all_orders":
                return self._orders(wire.decode(payload, wire.OrdersFrame))
            case "account_all_trades":
                rows = wire.decode(payload, wire.AccountTradesFrame).rows
                return self._fills(rows, is_snapshot=heard.is_snapshot)
            case "account_all_positions":
                return self._positions_are(wire.decode(payload, wire.PositionsFrame), at)
            case "user_stats":
                self._money = wire.decode(payload, wire.UserStatsFrame).stats
                return self._state(at)
            case _:
                return ()

    def _orders(self, frame: wire.OrdersFrame) -> tuple[AccountEvent, ...]:
        rows = [row for rows in frame.orders.values() for row in rows]
        for row in rows:
            if row.owner_account_index != self._index:
                raise wire.WireError(
                    f"expected orders of account {self._index}, found {row.owner_account_index}'s"
                )
        found = (translate.order(row, self.facts.names) for row in rows)
        orders = tuple(order for order in found if order is not None)
        return (OrdersSeen(account_id=self._account_id, orders=orders),) if orders else ()

    def _fills(
        self, rows: Sequence[wire.TradeRow], *, is_snapshot: bool
    ) -> tuple[AccountEvent, ...]:
        found = (
            translate.fill(self._account_id, self._index, row, self.facts.names) for row in rows
        )
        fills = sorted((one for one in found if one is not None), key=lambda one: one.event_time)
        if not fills:
            return ()
        seen = FillsSeen(account_id=self._account_id, fills=tuple(fills), is_snapshot=is_snapshot)
        return (seen,)

    def _positions_are(
        self, frame: wire.PositionsFrame, received: datetime
    ) -> tuple[AccountEvent, ...]:
        """Take positions as a whole: what is not there is flat."""
        rows = [row for row in frame.positions.values() if row.position]
        funding = {row.market_id: row.total_funding_paid_out for row in rows}
        if any(self._funding.get(market, paid) != paid for market, paid in funding.items()):
            self._on_funding()
        self._funding = funding
        self._positions = rows
        return self._state(received)

    def _state(self, received: datetime) -> tuple[AccountEvent, ...]:
        """Sum the account up, once money and positions are known."""
        money, rows = self._money, self._positions
        if money is None or rows is None:
            return ()
        names = self.facts.names
        positions = tuple(
            translate.position(self._account, row, names)
            for row in rows
            if names.symbol(row.market_id) is not None
        )
        maintenance = sum(
            (
                abs(row.position_value) * self.facts.maintenance.get(row.market_id, Decimal(0))
                for row in rows
            ),
            Decimal(0),
        )
        summary = AccountSummary(
            account_id=self._account_id,
            equity=money.portfolio_value,
            available=money.available_balance,
            initial_margin=sum((one.initial_margin for one in positions), Decimal(0)),
            maintenance_margin=maintenance,
            positions=positions,
            event_time=received,
        )
        return (AccountSeen(account_id=self._account_id, summary=summary),)


class LighterAccountFeed:
    """Implements `venues.connector.AccountFeed`, and takes the tokens that it needs."""

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
        self._reading = reading
        self._clock = clock
        self._backoff = backoff
        self._source: FeedCredentialSource | None = None
        self._token_ends: dict[str, datetime] = {}
        self._connections = connections or ConnectionBudget(
            connections_max=_CONNECTIONS_MAX, opened_per_minute_max=_OPENED_PER_MINUTE_MAX
        )
        self._queue: EventQueue[AccountEvent] = EventQueue()
        self._sockets = AccountSockets(VENUE, self._queue, self._follow)

    def use_credentials(self, source: FeedCredentialSource) -> None:
        """Take tokens from `source`, each time that an account's socket is opened."""
        self._source = source

    def token_expiries(self, account_id: str) -> Mapping[str, datetime]:
        """Return when the token of an account's socket ends; it is connected anew before."""
        end = self._token_ends.get(account_id)
        return {} if end is None else {AUTH: end}

    def events(self) -> AsyncIterator[AccountEvent]:
        """Yield events until `close`, reconnecting by itself."""
        return self._sockets.events()

    async def watch(self, accounts: Sequence[Account]) -> None:
        """Set the accounts to follow."""
        await self._sockets.watch(accounts)

    async def close(self) -> None:
        """Close all sockets and end the iteration."""
        await self._sockets.close()

    async def _follow(self, account: Account) -> None:
        paid = asyncio.Event()
        stream = AccountStream(account, paid.set)

        async def open_socket() -> Handshake:
            # A token is good for hours, as a connection may be: each begins with the newest.
            await self._prepare(account, stream)
            return Handshake(url=self._url)

        core = LiveStream(stream, account.account_id)
        follower = Follower(
            open_socket, core, self._queue, self._connections, backoff=self._backoff()
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(follower.run())
                tasks.create_task(self._tell_funding(account, stream, paid))
        finally:
            self._token_ends.pop(account.account_id, None)

    async def _prepare(self, account: Account, stream: AccountStream) -> None:
        """Have a token and the markets.

        Raises:
            VenueUnavailable, VenueRefused: one of them cannot be had now.
        """
        try:
            secret = None if self._source is None else await self._source.open(account)
            if secret is None:
                raise VenueUnavailable(f"no token is kept of account {account.address}")
            token = secret.reveal().strip()
            stream.token, stream.token_end = token, end_of(token)
            self._token_ends[account.account_id] = stream.token_end
            stream.facts = await self._reading.markets()
        except VenueUnavailable:
            raise
        except (Unavailable, InvalidInput) as error:
            raise VenueUnavailable(f"no token of account {account.address}: {error}") from None

    async def _tell_funding(
        self, account: Account, stream: AccountStream, paid: asyncio.Event
    ) -> None:
        """Ask for payments whenever a position shows that there are some."""
        since = self._clock() - _FUNDING_OVERLAP
        while True:
            await paid.wait()
            paid.clear()
            now = self._clock()
            try:
                payments = await self._reading.funding(account, stream.token, since)
            except (VenueUnavailable, VenueRefused):
                await asyncio.sleep(_RETRY_S)
                paid.set()
                continue
            since = now - _FUNDING_OVERLAP
            if payments:
                self._queue.put(FundingSeen(account_id=account.account_id, payments=payments))
