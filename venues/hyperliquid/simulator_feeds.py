"""What the simulated venue's socket sends: the channels, who listens, and when frames are due.

Order and fill frames go out when an action is on the disk; books, mids and contexts on a cadence.
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from venues.hyperliquid import simulator_views as views
from venues.hyperliquid.simulator_actions import WrongShape, normal_address
from venues.hyperliquid.simulator_info import (
    FILLS_MAX,
    all_mids,
    book_view,
    fill_rows,
    open_orders,
    spot_state,
)
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
from venues.simulation.records import Fill, FundingPayment, OrderStatus, Reason
from venues.simulation.socket import ClientSocket

Json = dict[str, Any]

USERS_MAX: Final = 15
_FAST_DEPTH: Final = 5
_DEPTH: Final = 20
_BACKLOG: Final = 30
_ENCODER: Final = msgspec.json.Encoder()
_MARKET_TYPES: Final = frozenset({"l2Book", "bbo", "trades", "activeAssetCtx", "candle"})
_USER_TYPES: Final = frozenset(
    {
        "orderUpdates",
        "userEvents",
        "userFills",
        "userFundings",
        "userNonFundingLedgerUpdates",
        "openOrders",
        "clearinghouseState",
        "activeAssetData",
        "spotState",
        "notification",
    }
)


#: Cancels of the venue's own that `userEvents` names (those of reduce-only orders it does not).
_NOT_BY_USER: Final = frozenset(
    {Reason.MARGIN, Reason.SELF_TRADE, Reason.SIBLING_FILLED, Reason.LIQUIDATED}
)

#: A channel's topic, and what writes the frame for a subscription to it (None: not for this one).
_Build = Callable[["Subscription"], tuple[str, Any] | None]
_Planned = tuple[tuple[str, str], _Build]


class SubscriptionKills(Exception):
    """The venue cuts the socket for such a subscription."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One subscription: its identity, and what its acknowledgement repeats, defaults included."""

    key: str
    kind: str
    echo: Json
    coin: str | None = None
    user: str | None = None


Client = ClientSocket[str, Subscription]
"""A connected socket as the feeds see it."""


class Feeds:
    """The subscriptions of all clients, found by what they listen to."""

    def __init__(self, exchange: Exchange, faults: FaultPlan) -> None:
        self._exchange = exchange
        self._faults = faults
        self._clients: set[Client] = set()
        # (kind, coin or user) → the clients and their subscriptions.
        self._listening: dict[tuple[str, str], dict[tuple[int, str], tuple[Client, Subscription]]]
        self._listening = {}
        self._last_sent_s: dict[str, float] = {}
        self._best: dict[str, Any] = {}
        self._candles: dict[tuple[str, str], Json] = {}
        exchange.listeners.append(self.publish)

    # Clients.

    def connect(self, client: Client) -> None:
        """Know a client."""
        self._clients.add(client)

    def disconnect(self, client: Client) -> None:
        """Forget a client and its subscriptions."""
        self._clients.discard(client)
        for subscription in client.subscriptions.values():
            self.end(client, subscription)

    def kill_all(self) -> None:
        """Cut every socket."""
        for client in tuple(self._clients):
            client.kill()

    def has_too_many_users(self, client: Client, subscription: Subscription) -> bool:
        """Tell whether the client would follow more accounts than the venue allows."""
        users = {one.user for one in client.subscriptions.values() if one.user is not None}
        return subscription.user is not None and len(users | {subscription.user}) > USERS_MAX

    # Subscriptions.

    def read(self, wanted: Json) -> Subscription:
        """Check a subscription. Raises `WrongShape`, and `SubscriptionKills` as the venue does."""
        kind = wanted.get("type")
        if kind == "allMids":
            echo: Json = {"type": kind}
            if "dex" in wanted:
                echo["dex"] = wanted["dex"]
            return Subscription(key="allMids", kind="allMids", echo=echo)
        if kind in _MARKET_TYPES:
            return self._market_subscription(str(kind), wanted)
        if kind in _USER_TYPES:
            return self._user_subscription(str(kind), wanted)
        raise WrongShape(f"type: expected a known subscription, found {kind!r}")

    def _market_subscription(self, kind: str, wanted: Json) -> Subscription:
        coin = wanted.get("coin")
        if not isinstance(coin, str):
            raise WrongShape("coin: expected a name")
        if coin not in self._exchange.tables.instruments:
            raise SubscriptionKills(f"coin {coin!r}")
        echo: Json = {"type": kind, "coin": coin}
        if kind == "candle":
            interval = wanted.get("interval")
            if interval not in INTERVALS_MS:
                raise SubscriptionKills(f"interval {interval!r}")
            echo = {"type": kind, "interval": interval, "coin": coin}
        elif kind == "l2Book":
            figures, mantissa = wanted.get("nSigFigs"), wanted.get("mantissa")
            if figures not in (None, 2, 3, 4, 5) or (mantissa is not None and figures != 5):
                raise SubscriptionKills(f"nSigFigs {figures!r}, mantissa {mantissa!r}")
            fast = wanted.get("fast") is True
            echo |= {"nSigFigs": figures, "mantissa": mantissa, "fast": fast}
        return Subscription(key=_key(echo), kind=kind, echo=echo, coin=coin)

    def _user_subscription(self, kind: str, wanted: Json) -> Subscription:
        user = wanted.get("user")
        if not isinstance(user, str):
            raise WrongShape("user: expected an address")
        user = normal_address(user)
        echo: Json = {"type": kind, "user": user}
        coin = None
        if kind == "userFills":
            echo["aggregateByTime"] = wanted.get("aggregateByTime") is True
        elif kind in ("openOrders", "clearinghouseState"):
            echo["dex"] = wanted.get("dex") or ""
        elif kind == "activeAssetData":
            coin = wanted.get("coin")
            if coin not in self._exchange.tables.instruments:
                raise SubscriptionKills(f"coin {coin!r}")
            echo["coin"] = coin
        return Subscription(key=_key(echo), kind=kind, echo=echo, coin=coin, user=user)

    def begin(self, client: Client, subscription: Subscription) -> None:
        """Send what a new subscription begins with, and what follows from now on."""
        index = self._listening.setdefault(_topic(subscription), {})
        index[id(client), subscription.key] = (client, subscription)
        if subscription.kind == "bbo" and subscription.coin is not None:
            self._best[subscription.coin] = self._bbo(subscription.coin)["bbo"]
        first = self._first_frame(subscription)
        if first is not None:
            client.send_encoded(_frame(*first), (first[0],))

    def end(self, client: Client, subscription: Subscription) -> None:
        """Send no more for a subscription."""
        self._listening.get(_topic(subscription), {}).pop((id(client), subscription.key), None)

    def _first_frame(self, subscription: Subscription) -> tuple[str, Any] | None:
        kind, exchange = subscription.kind, self._exchange
        tables, coin, user = exchange.tables, subscription.coin or "", subscription.user or ""
        match kind:
            case "userFills":
                rows = tables.fills_of.get(user, [])[: -FILLS_MAX - 1 : -1]
                aggregate = bool(subscription.echo["aggregateByTime"])
                fills = fill_rows(rows, aggregate=aggregate)
                return kind, {"isSnapshot": True, "user": user, "fills": fills}
            case "userFundings":
                payments = tables.funding_payments.get(user, [])
                rows_of_funding = [_funding_row(one) for one in payments]
                return kind, {"isSnapshot": True, "user": user, "fundings": rows_of_funding}
            case "userNonFundingLedgerUpdates":
                return kind, {
                    "isSnapshot": True,
                    "user": user,
                    "nonFundingLedgerUpdates": [],
                }
            case "trades":
                backlog = list(tables.trades.get(coin, ()))[-_BACKLOG:]
                return kind, [views.trade_row(one) for one in backlog]
            case "candle":
                interval = subscription.echo["interval"]
                candle = tables.candles.latest(coin, interval)
                return None if candle is None else (kind, views.candle_row(coin, interval, candle))
            case "orderUpdates" | "userEvents" | "notification":
                return None
        return self._present_frame(subscription)

    def _present_frame(self, subscription: Subscription) -> tuple[str, Any]:
        """Return the frame of a channel that always sends its whole present state."""
        kind, exchange = subscription.kind, self._exchange
        tables, coin, user = exchange.tables, subscription.coin or "", subscription.user or ""
        match kind:
            case "allMids":
                return kind, {"mids": all_mids(exchange)}
            case "l2Book":
                depth = _FAST_DEPTH if subscription.echo["fast"] else _DEPTH
                return kind, book_view(exchange, coin, depth, subscription.echo["nSigFigs"])
            case "bbo":
                return kind, self._bbo(coin)
            case "activeAssetCtx":
                return kind, {"coin": coin, "ctx": views.asset_context(tables, coin)}
            case "openOrders":
                orders = open_orders(exchange, user, full=True)
                return kind, {"dex": "", "user": user, "orders": orders}
            case "clearinghouseState":
                state = views.clearinghouse_state(tables, user, exchange.now_ms())
                return kind, {"dex": "", "user": user, "clearinghouseState": state}
            case "activeAssetData":
                return kind, views.active_asset_data(tables, user, coin)
            case "spotState":
                return kind, {"user": user, "spotState": spot_state(exchange, user)}
        raise WrongShape(f"type: {kind!r} has no present state")

    def _bbo(self, coin: str) -> Json:
        book = self._exchange.tables.books[coin]
        best = [next(iter(views.book_levels(side, 1)), None) for side in (book.bids, book.asks)]
        return {"coin": coin, "time": self._exchange.now_ms(), "bbo": best}

    # Events.

    def publish(self, events: Sequence[Event]) -> None:
        """Send the frames of one action."""
        frames: list[_Planned] = []
        for topic, build in self._account_frames(events):
            frames.append((topic, build))
        frames += self._market_frames(events)
        action = self._exchange.published_action
        if frames and self._faults.take(FaultKind.REORDER, (action,)):
            frames.reverse()
        for topic, build in frames:
            for client, subscription in tuple(self._listening.get(topic, {}).values()):
                frame = build(subscription)
                if frame is not None:
                    client.send_encoded(_frame(*frame), (frame[0], action))

    def _account_frames(self, events: Sequence[Event]) -> list[_Planned]:
        updates: dict[str, list[Json]] = {}
        canceled: dict[str, list[Json]] = {}
        fills: dict[str, list[Fill]] = {}
        payments: dict[str, list[FundingPayment]] = {}
        changed: dict[str, None] = {}
        for event in events:
            match event:
                case OrderChanged():
                    row = views.order_update(event.order, event.time_ms)
                    updates.setdefault(event.order.account, []).append(row)
                    changed[event.order.account] = None
                    is_canceled = event.order.status is OrderStatus.CANCELED
                    if is_canceled and event.order.reason in _NOT_BY_USER:
                        one = {"coin": event.order.symbol, "oid": event.order.venue_order_id}
                        canceled.setdefault(event.order.account, []).append(one)
                case Filled():
                    fills.setdefault(event.fill.account, []).append(event.fill)
                case FundingPaid():
                    payments.setdefault(event.payment.account, []).append(event.payment)
                    changed[event.payment.account] = None
                case AccountChanged():
                    changed[event.address] = None
                case _:
                    pass
        frames: list[_Planned] = []
        for user, rows in updates.items():
            frames.append((("orderUpdates", user), _constant("orderUpdates", rows)))
        for user, gone in canceled.items():
            frames.append((("userEvents", user), _constant("user", {"nonUserCancel": gone})))
        for user, own in fills.items():
            listed = {"fills": fill_rows(own, aggregate=False)}
            frames.append((("userEvents", user), _constant("user", listed)))
            frames.append((("userFills", user), _fills_frame(user, own)))
        for user, paid in payments.items():
            listed_paid = [_funding_row(one) for one in paid]
            data = {"isSnapshot": False, "user": user, "fundings": listed_paid}
            frames.append((("userFundings", user), _constant("userFundings", data)))
            for row in listed_paid:
                frames.append((("userEvents", user), _constant("user", {"funding": row})))
        for user in changed:
            for kind in ("openOrders", "clearinghouseState", "activeAssetData", "spotState"):
                frames.append(((kind, user), self._present_frame))
        return frames

    def _market_frames(self, events: Sequence[Event]) -> list[_Planned]:
        traded: dict[str, list[Json]] = {}
        moved: dict[str, None] = {}
        for event in events:
            match event:
                case Traded():
                    row = views.trade_row(event.trade)
                    traded.setdefault(event.trade.symbol, []).append(row)
                case MarketMoved():
                    moved[event.symbol] = None
                case _:
                    pass
        frames: list[_Planned] = []
        for coin, rows in traded.items():
            frames.append((("trades", coin), _constant("trades", rows)))
        for coin in {**traded, **moved}:
            frames += self._candle_frames(coin)
            best = self._bbo(coin)["bbo"] if self._listening.get(("bbo", coin)) else None
            if best is not None and best != self._best.get(coin):
                self._best[coin] = best
                frames.append((("bbo", coin), self._present_frame))
        return frames

    def _candle_frames(self, coin: str) -> list[_Planned]:
        """Plan a frame for each interval whose candle is another than was sent last."""
        wanted = {
            str(one.echo["interval"])
            for _, one in self._listening.get(("candle", coin), {}).values()
        }
        frames: list[_Planned] = []
        for interval in sorted(wanted):
            candle = self._exchange.tables.candles.latest(coin, interval)
            row = None if candle is None else views.candle_row(coin, interval, candle)
            if row is not None and row != self._candles.get((coin, interval)):
                self._candles[coin, interval] = row
                frames.append((("candle", coin), _candle_frame(interval, row)))
        return frames

    # What is due by time.

    def pass_time(self) -> None:
        """Send periodic frames that are due and cut sockets to which nothing was sent too long."""
        switches, now_s = self._exchange.switches, asyncio.get_running_loop().time()
        if self._is_due("book", switches.book_interval_ms, now_s):
            self._send_present("l2Book", lambda one: not one.echo["fast"])
        if self._is_due("fast_book", switches.fast_book_interval_ms, now_s):
            self._send_present("l2Book", lambda one: bool(one.echo["fast"]))
        if self._is_due("mids", switches.mids_interval_ms, now_s):
            self._send_present("allMids", lambda one: True)
            self._send_present("clearinghouseState", lambda one: True)
            self._send_present("activeAssetData", lambda one: True)
        if self._is_due("context", switches.context_interval_ms, now_s):
            self._send_present("activeAssetCtx", lambda one: True)
        for client in tuple(self._clients):
            if now_s - client.last_sent_s > switches.socket_silence_ms / 1_000:
                client.kill()

    def _is_due(self, name: str, interval_ms: int, now_s: float) -> bool:
        if now_s - self._last_sent_s.get(name, 0.0) < interval_ms / 1_000:
            return False
        self._last_sent_s[name] = now_s
        return True

    def _send_present(self, kind: str, wants: Callable[[Subscription], bool]) -> None:
        for topic, listening in self._listening.items():
            if topic[0] != kind:
                continue
            for client, subscription in tuple(listening.values()):
                if wants(subscription):
                    frame = self._present_frame(subscription)
                    client.send_encoded(_frame(*frame), (frame[0],))


def _topic(subscription: Subscription) -> tuple[str, str]:
    return subscription.kind, subscription.user or subscription.coin or ""


def _key(echo: Json) -> str:
    return ",".join(f"{name}={value}" for name, value in echo.items())


def _frame(channel: str, data: Any) -> bytes:
    return _ENCODER.encode({"channel": channel, "data": data})


def _constant(channel: str, data: Any) -> _Build:
    return lambda subscription: (channel, data)


def _fills_frame(user: str, fills: list[Fill]) -> _Build:
    def build(subscription: Subscription) -> tuple[str, Any]:
        rows = fill_rows(fills, aggregate=bool(subscription.echo["aggregateByTime"]))
        return "userFills", {"user": user, "fills": rows}

    return build


def _candle_frame(interval: str, row: Json) -> _Build:
    def build(subscription: Subscription) -> tuple[str, Any] | None:
        return ("candle", row) if subscription.echo["interval"] == interval else None

    return build


def _funding_row(payment: FundingPayment) -> Json:
    return {
        "time": payment.time_ms,
        "coin": payment.symbol,
        "usdc": views.number(payment.amount),
        "szi": views.number(payment.quantity),
        "fundingRate": views.number(payment.rate),
        "nSamples": None,
    }
