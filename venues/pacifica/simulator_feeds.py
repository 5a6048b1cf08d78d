"""What the simulated venue's socket sends: the channels, who listens, and when frames are due.

Order and fill frames go out when an action is on the disk; books and prices on a cadence. Every
frame of one action has the same `li`, a counter of the whole exchange that has gaps.

Source: docs.pacifica.fi api/websocket/subscriptions; recorded on testnet 2026-06.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec

from venues.pacifica import simulator_views as views
from venues.pacifica.simulator_queries import book_view, position_rows, price_rows
from venues.simulation.candles import INTERVALS_MS
from venues.simulation.events import (
    AccountChanged,
    Event,
    Filled,
    FundingPaid,
    MarketMoved,
    OrderChanged,
    Traded,
)
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan
from venues.simulation.listeners import Listeners
from venues.simulation.socket import ClientSocket

Json = dict[str, Any]

_ENCODER: Final = msgspec.json.Encoder()
_PER_CHANNEL_MAX: Final = 20
_BOOK_INTERVAL_S: Final = 0.25
_PRICES_INTERVAL_S: Final = 1.0
_GAP_MAX: Final = 5
_MARKET_SOURCES: Final = frozenset({"book", "bbo", "trades", "candle"})
_ACCOUNT_SOURCES: Final = frozenset(
    {
        "account_info",
        "account_positions",
        "account_orders",
        "account_order_updates",
        "account_trades",
        "account_leverage",
        "account_margin",
    }
)
#: Channels that begin with the whole present state.
_WITH_SNAPSHOT: Final = frozenset(
    {"account_info", "account_positions", "account_orders", "book", "bbo", "prices"}
)


class NoSuchChannel(ValueError):
    """The subscription is of no known shape; the venue answers with code 400."""


class SilentlyIgnored(ValueError):
    """The subscription names nothing that exists; the venue says nothing at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One subscription: whom it is about, and what its acknowledgement repeats."""

    source: str
    subject: str
    echo: Json
    interval: str | None = None

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What makes it one."""
        return self.source, self.subject, self.interval


Client = ClientSocket[tuple[str, str, str | None], Subscription]
"""A connected socket as the feeds see it."""


class EventCounter:
    """The exchange-wide counter that orders and events are numbered by; it only rises."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._random = random.Random(f"{exchange.seed}/li")
        self.last = exchange.tables.next_order_id

    def next(self) -> int:
        """Return the next number, above every order id given so far, and raise those to come."""
        tables = self._exchange.tables
        gap = self._random.randint(1, _GAP_MAX)
        self.last = max(self.last + gap, tables.next_order_id)
        tables.next_order_id = max(tables.next_order_id, self.last + 1)
        return self.last


class Feeds:
    """The subscriptions of all clients, and the frames for them."""

    def __init__(self, exchange: Exchange, faults: FaultPlan, counter: EventCounter) -> None:
        self._exchange = exchange
        self._faults = faults
        self._counter = counter
        self._listeners: Listeners[tuple[str, str, str | None], Subscription] = Listeners()
        self._newest_order = exchange.tables.next_order_id - 1
        exchange.listeners.append(self.publish)

    # Clients.

    def connect(self, client: Client) -> None:
        """Know a client."""
        self._listeners.connect(client)

    def disconnect(self, client: Client) -> None:
        """Forget a client and its subscriptions."""
        self._listeners.disconnect(client)

    def kill_all(self) -> None:
        """Cut every socket."""
        self._listeners.kill_all()

    # Subscriptions.

    def read(self, wanted: Json) -> Subscription:
        """Check a subscription. Raises `NoSuchChannel` and `SilentlyIgnored`."""
        source = wanted.get("source")
        if source == "prices":
            return Subscription(source="prices", subject="", echo={"source": source})
        if source in _ACCOUNT_SOURCES:
            account = wanted.get("account")
            if not isinstance(account, str):
                raise NoSuchChannel("missing field `account`")
            echo: Json = {"source": source, "account": account}
            if source == "account_info":
                echo["full"] = False
            return Subscription(source=str(source), subject=account, echo=echo)
        if source not in _MARKET_SOURCES:
            raise NoSuchChannel(f"unknown source {source!r}")
        symbol, interval = wanted.get("symbol"), None
        if symbol not in self._exchange.tables.instruments:
            raise SilentlyIgnored(str(symbol))
        echo = {"source": source, "symbol": symbol}
        if source == "candle":
            interval = wanted.get("interval")
            if interval not in INTERVALS_MS:
                raise SilentlyIgnored(str(interval))
            echo["interval"] = interval
        return Subscription(source=str(source), subject=str(symbol), echo=echo, interval=interval)

    def is_one_too_many(self, client: Client, subscription: Subscription) -> bool:
        """Tell whether the connection has as many subscriptions of that channel as it may."""
        counted = Counter(one.source for one in client.subscriptions.values())
        return counted[subscription.source] >= _PER_CHANNEL_MAX

    def begin(self, client: Client, subscription: Subscription) -> None:
        """Follow, and send the present state where the channel begins with it."""
        self._listeners.follow(client, subscription.key, subscription)
        if subscription.source in _WITH_SNAPSHOT:
            client.send_encoded(self._present(subscription.source, subscription.subject))

    def end(self, client: Client, subscription: Subscription) -> None:
        """Follow no longer."""
        self._listeners.leave(client, subscription.key)

    def _present(self, source: str, subject: str) -> bytes:
        """Write the frame of a channel that always sends its whole present state."""
        exchange, tables, li = self._exchange, self._exchange.tables, self._counter.last
        match source:
            case "prices":
                return _frame(source, price_rows(exchange))
            case "book":
                return _frame(source, {**book_view(exchange, subject), "li": li})
            case "bbo":
                return _frame(source, self._best(subject))
            case "account_info":
                if subject not in tables.accounts:
                    return _frame(source, {})
                row = views.account_row(tables, subject, exchange.now_ms())
                return _frame(source, views.account_frame(row))
            case "account_positions":
                rows = [views.position_frame(row) for row in position_rows(exchange, subject)]
                return _frame(source, rows, li=li)
        orders = [
            {
                "i": order.venue_order_id,
                "I": order.client_order_id,
                "s": order.symbol,
                "d": views.side_word(order.side),
                "p": views.number(order.price),
                "a": views.number(order.quantity),
                "f": views.number(order.filled),
                "c": "0",
                "ot": views.order_type(order),
                "sp": views.number(order.trigger.price) if order.trigger else None,
                "st": None,
                "ro": order.reduce_only,
                "t": order.updated_ms,
            }
            for order in tables.live_orders.get(subject, {}).values()
        ]
        return _frame(source, orders, li=li)

    def _best(self, symbol: str) -> Json:
        book = self._exchange.tables.books[symbol]
        bid, ask = book.bids.best(), book.asks.best()
        return {
            "s": symbol,
            "i": self._counter.last,
            "b": views.number(bid.price) if bid else "0",
            "B": views.number(bid.quantity) if bid else "0",
            "a": views.number(ask.price) if ask else "0",
            "A": views.number(ask.quantity) if ask else "0",
            "t": self._exchange.now_ms(),
            "li": self._counter.last,
        }

    # Events.

    def publish(self, events: Sequence[Event]) -> None:
        """Send the frames of one action."""
        li = self._counter.next()
        frames = [*self._account_frames(events, li), *self._market_frames(events, li)]
        action = self._exchange.published_action
        if frames and self._faults.take(FaultKind.REORDER, (action,)):
            frames.reverse()
        for key, write in frames:
            self._listeners.send(key, write, (key[0], action))

    def _account_frames(self, events: Sequence[Event], li: int) -> list[_Planned]:
        orders: dict[str, list[Json]] = {}
        fills: dict[str, list[Json]] = {}
        changed: dict[str, None] = {}
        newest = self._newest_order
        for event in events:
            match event:
                case OrderChanged():
                    order = event.order
                    newest = max(newest, order.venue_order_id)
                    if not views.is_known(order):
                        continue
                    rows = views.order_updates(
                        order,
                        is_new=order.venue_order_id > self._newest_order,
                        time_ms=event.time_ms,
                        li=li,
                    )
                    orders.setdefault(order.account, []).extend(rows)
                    changed[order.account] = None
                case Filled():
                    fills.setdefault(event.fill.account, []).append(
                        views.fill_frame(event.fill, li)
                    )
                case AccountChanged():
                    changed[event.address] = None
                case FundingPaid():
                    changed[event.payment.account] = None
                case _:
                    pass
        self._newest_order = newest
        frames: list[_Planned] = []
        # Which of both comes first varies at the venue; the fills did when it was recorded.
        for account, rows in fills.items():
            frames.append(_constant("account_trades", account, rows))
        for account, rows in orders.items():
            frames.append(_constant("account_order_updates", account, rows))
        for account in changed:
            for source in ("account_positions", "account_orders", "account_info"):
                frames.append(self._whole(source, account))
        return frames

    def _market_frames(self, events: Sequence[Event], li: int) -> list[_Planned]:
        traded: dict[str, list[Json]] = {}
        moved: dict[str, None] = {}
        for event in events:
            match event:
                case Traded():
                    row = views.trade_frame(event.trade, li)
                    traded.setdefault(event.trade.symbol, []).append(row)
                case MarketMoved():
                    moved[event.symbol] = None
                case _:
                    pass
        frames = [_constant("trades", symbol, rows) for symbol, rows in traded.items()]
        for symbol in {**traded, **moved}:
            frames.append(self._whole("bbo", symbol))
            frames += self._candle_frames(symbol)
        return frames

    def _candle_frames(self, symbol: str) -> list[_Planned]:
        frames: list[_Planned] = []
        for interval in INTERVALS_MS:
            candle = self._exchange.tables.candles.latest(symbol, interval)
            if self._listeners.has(("candle", symbol, interval)) and candle is not None:
                row = views.candle_row(symbol, interval, candle)
                frames.append((("candle", symbol, interval), partial(_frame, "candle", row)))
        return frames

    def _whole(self, source: str, subject: str) -> _Planned:
        return (source, subject, None), lambda: self._present(source, subject)

    # What is due by time.

    def pass_time(self) -> None:
        """Send periodic frames that are due and cut sockets that said nothing for too long."""
        if self._listeners.is_due("book", _BOOK_INTERVAL_S):
            self._send_all("book")
        if self._listeners.is_due("prices", _PRICES_INTERVAL_S):
            self._send_all("prices")
        self._listeners.cut_silent(self._exchange.switches.socket_silence_ms / 1_000)

    def _send_all(self, source: str) -> None:
        for key in self._listeners.wanted():
            if key[0] == source:
                self._listeners.send(key, partial(self._present, source, key[1]), (source,))


_Planned = tuple[tuple[str, str, str | None], Callable[[], bytes]]


def _constant(source: str, subject: str, rows: list[Json]) -> _Planned:
    return (source, subject, None), lambda: _frame(source, rows)


def _frame(channel: str, data: Any, **more: Any) -> bytes:
    return _ENCODER.encode({"channel": channel, "data": data, **more})
