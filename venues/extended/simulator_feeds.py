"""What the simulated venue's streams tell: the topics, who listens, and when frames are due.

Frames of orders and fills go out when an action is on the disk; prices on a cadence, whole books
each minute. A frame is numbered when it is sent, by the socket it goes to: what is lost on the way
leaves a gap there.

Source: api.docs.extended.exchange, public and private WebSocket streams; recorded 2026-09.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from venues.extended import simulator_views as views
from venues.extended.simulator_accounts import account_id_of
from venues.extended.simulator_books import Books
from venues.extended.simulator_facts import OrderFacts
from venues.simulation import margin
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

Json = dict[str, Any]

_PRICES_EVERY_S: Final = 1.0
_WHOLE_BOOK_EVERY_S: Final = 60.0
_BACKLOG: Final = 50


@dataclass(frozen=True, slots=True)
class Topic:
    """What is told of whom: `kind` is ours, `interval` for candles only."""

    kind: str
    subject: str
    interval: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One thing to tell: its data, and the words that both sockets call it by."""

    topic: Topic
    word: str
    data: Any


class Client(Protocol):
    """A connected socket as the feeds see it."""

    def tell(self, told: Told, names: Collection[str] = ()) -> None:
        """Send a frame; `names` (topic, action) are what faults are filtered by."""
        ...

    def kill(self) -> None:
        """Cut the connection."""
        ...


class Feeds:
    """The topics of all clients, and the frames for them."""

    def __init__(self, exchange: Exchange, faults: FaultPlan, facts: OrderFacts) -> None:
        self._exchange = exchange
        self._faults = faults
        self._facts = facts
        self._books = Books(exchange)
        self._clients: set[Client] = set()
        self._listening: dict[Topic, set[Client]] = {}
        self._sent_s: dict[str, float] = {}
        exchange.listeners.append(self.publish)

    # Clients.

    def connect(self, client: Client) -> None:
        """Know a client."""
        self._clients.add(client)

    def disconnect(self, client: Client) -> None:
        """Forget a client and its topics."""
        self._clients.discard(client)
        for clients in self._listening.values():
            clients.discard(client)

    def kill_all(self) -> None:
        """Cut every socket."""
        for client in tuple(self._clients):
            client.kill()

    def begin(self, client: Client, topic: Topic) -> None:
        """Follow a topic, and tell what it begins with."""
        self._listening.setdefault(topic, set()).add(client)
        for told in self._beginning(topic):
            client.tell(told)

    def end(self, client: Client, topic: Topic) -> None:
        """Follow a topic no longer."""
        self._listening.get(topic, set()).discard(client)

    def _beginning(self, topic: Topic) -> list[Told]:
        match topic.kind:
            case "book":
                return [Told(topic, "SNAPSHOT", self._books.whole(topic.subject))]
            case "top":
                return [Told(topic, "SNAPSHOT", self._books.best(topic.subject))]
            case "trades":
                recent = list(self._exchange.tables.trades.get(topic.subject, ()))[-_BACKLOG:]
                rows = [views.trade_row(trade) for trade in recent]
                return [Told(topic, "TRADES", rows)] if rows else []
            case "mark" | "index" | "funding":
                return [self._price(topic)]
            case "candles":
                return self._candle(topic)
            case "account":
                return self._account(topic)
        return []

    def _price(self, topic: Topic) -> Told:
        market = self._exchange.tables.markets[topic.subject]
        if topic.kind == "funding":
            row = {
                "m": topic.subject,
                "T": self._exchange.now_ms(),
                "f": views.number(market.funding_rate),
            }
            return Told(topic, "FUNDING", row)
        is_mark = topic.kind == "mark"
        price = views.number(market.mark_price if is_mark else market.oracle_price)
        data = {"m": topic.subject, "p": price, "ts": 0}
        return Told(topic, "MP" if is_mark else "IP", data)

    def _candle(self, topic: Topic) -> list[Told]:
        interval = views.INTERVALS[topic.interval or ""]
        candle = self._exchange.tables.candles.latest(topic.subject, interval)
        return [] if candle is None else [Told(topic, "CANDLE", [views.candle_row(candle)])]

    # Accounts.

    def _account(self, topic: Topic) -> list[Told]:
        """Return an account as a whole: money, positions, open orders."""
        vault = topic.subject
        live = self._exchange.tables.live_orders.get(vault, {}).values()
        orders = [
            views.order_row(order, self._facts, account_id_of(vault))
            for order in live
            if views.is_known(order)
        ]
        return [
            self._balance(topic),
            self._positions(topic, None),
            Told(topic, "ORDER", {"orders": orders}),
        ]

    def _balance(self, topic: Topic) -> Told:
        row = views.balance_row(self._exchange.tables, topic.subject, self._exchange.now_ms())
        return Told(topic, "BALANCE", {"balance": row})

    def _positions(self, topic: Topic, symbols: Collection[str] | None) -> Told:
        """Return all positions, or of some markets, closed ones among them."""
        tables, vault = self._exchange.tables, topic.subject
        if symbols is None:
            held = list(margin.held_positions(tables, vault))
        else:
            held = [tables.position(vault, symbol) for symbol in symbols]
        number, now_ms = account_id_of(vault), self._exchange.now_ms()
        rows = [views.position_row(tables, row, number, now_ms) for row in held]
        return Told(topic, "POSITION", {"positions": rows})

    # Events.

    def publish(self, events: Sequence[Event]) -> None:
        """Send the frames of one action."""
        frames = [*self._account_frames(events), *self._market_frames(events)]
        action = self._exchange.published_action
        if frames and self._faults.take(FaultKind.REORDER, (action,)):
            frames.reverse()
        for topic, write in frames:
            listeners = tuple(self._listening.get(topic, ()))
            if topic.kind == "book" and not listeners:
                self._books.forget(topic.subject)
            told = write() if listeners else None
            if told is not None:
                for client in listeners:
                    client.tell(told, (topic.kind, action))

    def _account_frames(self, events: Sequence[Event]) -> list[_Planned]:
        orders: dict[str, list[Json]] = {}
        fills: dict[str, list[Json]] = {}
        moved: dict[str, set[str]] = {}
        changed: dict[str, None] = {}
        for event in events:
            match event:
                case OrderChanged():
                    order = event.order
                    if views.is_known(order):
                        row = views.order_row(order, self._facts, account_id_of(order.account))
                        orders.setdefault(order.account, []).append(row)
                        changed[order.account] = None
                case Filled():
                    vault = event.fill.account
                    row = views.fill_row(event.fill, account_id_of(vault), on_feed=True)
                    fills.setdefault(vault, []).append(row)
                    moved.setdefault(vault, set()).add(event.fill.symbol)
                    changed[vault] = None
                case AccountChanged():
                    changed[event.address] = None
                case FundingPaid():
                    changed[event.payment.account] = None
                case _:
                    pass
        frames: list[_Planned] = []
        for vault, rows in fills.items():
            frames.append(_constant(Told(Topic("account", vault), "TRADE", {"trades": rows})))
        for vault, rows in orders.items():
            frames.append(_constant(Told(Topic("account", vault), "ORDER", {"orders": rows})))
        for vault, symbols in moved.items():
            topic = Topic("account", vault)
            frames.append((topic, partial(self._positions, topic, sorted(symbols))))
        for vault in changed:
            topic = Topic("account", vault)
            frames.append((topic, partial(self._balance, topic)))
        return frames

    def _market_frames(self, events: Sequence[Event]) -> list[_Planned]:
        traded: dict[str, list[Json]] = {}
        moved: dict[str, None] = {}
        for event in events:
            match event:
                case Traded():
                    row = views.trade_row(event.trade)
                    traded.setdefault(event.trade.symbol, []).append(row)
                    moved[event.trade.symbol] = None
                case MarketMoved():
                    moved[event.symbol] = None
                case _:
                    pass
        frames = [
            _constant(Told(Topic("trades", symbol), "TRADES", rows))
            for symbol, rows in traded.items()
        ]
        for symbol in moved:
            frames.append((Topic("top", symbol), partial(self._best, symbol)))
            frames.append((Topic("book", symbol), partial(self._changes, symbol)))
            for interval in views.INTERVALS:
                topic = Topic("candles", symbol, interval)
                if self._listening.get(topic):
                    frames += [_constant(told) for told in self._candle(topic)]
        return frames

    def _best(self, symbol: str) -> Told:
        return Told(Topic("top", symbol), "SNAPSHOT", self._books.best(symbol))

    def _changes(self, symbol: str) -> Told | None:
        data = self._books.changes(symbol)
        return None if data is None else Told(Topic("book", symbol), "DELTA", data)

    # What is due by time.

    def pass_time(self) -> None:
        """Send periodic frames that are due."""
        now_s = asyncio.get_running_loop().time()
        if self._is_due("prices", _PRICES_EVERY_S, now_s):
            self._send_all(("mark", "index"))
        if self._is_due("book", _WHOLE_BOOK_EVERY_S, now_s):
            self._send_all(("book",))

    def _is_due(self, name: str, every_s: float, now_s: float) -> bool:
        if now_s - self._sent_s.get(name, 0.0) < every_s:
            return False
        self._sent_s[name] = now_s
        return True

    def _send_all(self, kinds: Collection[str]) -> None:
        for topic, clients in self._listening.items():
            if topic.kind in kinds and clients:
                for told in self._beginning(topic):
                    for client in tuple(clients):
                        client.tell(told, (topic.kind,))


_Planned = tuple[Topic, Callable[[], Told | None]]


def _constant(told: Told) -> _Planned:
    return told.topic, lambda: told
