"""What the simulated venue's sockets send: private events of an account, and public channels.

Events go out when an action is on the disk; books and tickers on a cadence. Versions of private
events rise by more than one at times, and an execution is told twice: by the matched quantities
alone, then with its fills and money.

Source: edgeX gitbook api/websocket-api, api-v2/websocket-api/private-websocket; recorded.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from venues.edgex import simulator_quotes as quotes
from venues.edgex import simulator_views as views
from venues.edgex.simulator_depth import DepthChain
from venues.edgex.simulator_markets import CONTRACT_IDS, SYMBOLS
from venues.edgex.simulator_queries import KLINES, merged_candles
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
from venues.simulation.records import Fill, FundingPayment, Order
from venues.simulation.socket import ClientSocket

Json = dict[str, Any]

_ENCODER: Final = msgspec.json.Encoder()
_DEPTH_EVERY_S: Final = 0.2
_TICKER_EVERY_S: Final = 1.0
_PING_EVERY_S: Final = 9.0
_UNANSWERED_MAX: Final = 5
_VERSION_STEP_MAX: Final = 4
_TRADES_SHOWN: Final = 50


class NoSuchChannel(ValueError):
    """There is no such channel; the venue answers an error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Client(ClientSocket[str, str]):
    """A connected socket with the channels it follows, and its unanswered pings."""

    def __init__(
        self, request: web.Request, faults: FaultPlan, *, protocols: Sequence[str] = ()
    ) -> None:
        super().__init__(request, faults, protocols=protocols)
        self.pings = 0
        self.pinged_s = self.last_heard_s


class Feeds:
    """All clients, what they follow, and the frames for them."""

    def __init__(self, exchange: Exchange, faults: FaultPlan) -> None:
        self._exchange = exchange
        self._faults = faults
        self._random = random.Random(f"{exchange.seed}/versions")
        self._clients: set[Client] = set()
        self._owners: dict[str, set[Client]] = {}
        self._listening: dict[str, set[Client]] = {}
        self._depths: dict[str, DepthChain] = {}
        self._version = 900
        self._sent_s: dict[str, float] = {}
        self._newest_order = exchange.tables.next_order_id - 1
        exchange.listeners.append(self.publish)

    # Clients.

    def connect(self, client: Client, account: str | None = None) -> None:
        """Know a client; with an account, tell it everything of it from here on."""
        self._clients.add(client)
        if account is not None:
            self._owners.setdefault(account, set()).add(client)
            client.send_encoded(self._snapshot(account), ("Snapshot",))

    def disconnect(self, client: Client, account: str | None = None) -> None:
        """Forget a client and what it follows."""
        self._clients.discard(client)
        if account is not None:
            self._owners.get(account, set()).discard(client)
        for channel in client.subscriptions:
            self._listening.get(channel, set()).discard(client)

    def kill_all(self) -> None:
        """Cut every socket."""
        for client in tuple(self._clients):
            client.kill()

    # Public channels.

    def check(self, channel: str) -> None:
        """Check a channel's name. Raises `NoSuchChannel`."""
        kind, *rest = channel.split(".")
        wanted = {"depth": 2, "trades": 1, "ticker": 1, "bookTicker": 1, "kline": 3}
        if wanted.get(kind) != len(rest):
            raise NoSuchChannel("INVALID_MESSAGE_TYPE", f"invalid channel : {channel}")
        contract_id = rest[1] if kind == "kline" else rest[0]
        if contract_id not in SYMBOLS:
            message = f"invalid contractId : {contract_id}"
            raise NoSuchChannel("GATEWAY_INVALID_CONTRACT_ID", message)
        if kind == "depth" and rest[1] not in ("15", "200"):
            raise NoSuchChannel("GATEWAY_PARAM_INVALID", f"invalid level : {rest[1]}")
        if kind == "kline" and (rest[0] != "LAST_PRICE" or rest[2] not in KLINES):
            raise NoSuchChannel("GATEWAY_PARAM_INVALID", f"invalid kline : {channel}")

    def begin(self, client: Client, channel: str) -> None:
        """Follow a channel, which begins with a snapshot."""
        kind, *rest = channel.split(".")
        symbol = SYMBOLS[rest[1] if kind == "kline" else rest[0]]
        if kind == "depth":
            if channel not in self._depths:
                self._depths[channel] = DepthChain(self._exchange, symbol, int(rest[1]))
            self._tell_depth(channel)
            data = [self._depths[channel].snapshot()]
        elif kind == "trades":
            trades = list(self._exchange.tables.trades.get(symbol, ()))[-_TRADES_SHOWN:]
            data = [quotes.trade_row(trade) for trade in reversed(trades)]
        elif kind == "kline":
            data = self._kline(symbol, rest[2])
        elif kind == "ticker":
            data = [quotes.ticker_row(self._exchange, symbol)]
        else:
            data = [quotes.book_ticker(self._exchange, symbol)]
        self._listening.setdefault(channel, set()).add(client)
        client.send_encoded(_quote(channel, "Snapshot", data), (channel,))

    def end(self, client: Client, channel: str) -> None:
        """Follow a channel no longer."""
        self._listening.get(channel, set()).discard(client)

    def lose_depth(self) -> None:
        """Lose one change of every book that is followed."""
        for chain in self._depths.values():
            chain.skip()

    def _tell_depth(self, channel: str) -> None:
        change = self._depths[channel].change()
        if change is not None:
            self._send(channel, "changed", [change])

    def _kline(self, symbol: str, kind: str) -> list[Json]:
        source = self._exchange.tables.candles
        now_ms = self._exchange.now_ms()
        if kind in ("HOUR_6", "MONTH_1"):
            span = 31 * 86_400_000
            parts = source.between(symbol, KLINES[kind], now_ms - span, now_ms)
            found = merged_candles(kind, parts)
        else:
            latest = source.latest(symbol, KLINES[kind])
            found = [latest] if latest is not None else []
        return [quotes.kline_row(symbol, kind, found[-1])] if found else []

    # Events.

    def publish(self, events: Sequence[Event]) -> None:
        """Send the frames of one action."""
        action = self._exchange.published_action
        frames = self._account_frames(events)
        is_reversed = bool(frames) and self._faults.take(FaultKind.REORDER, (action,)) is not None
        for account, frame in reversed(frames) if is_reversed else frames:
            for client in tuple(self._owners.get(account, ())):
                client.send_encoded(frame, ("trade-event", action))
        for channel, data in self._market_data(events).items():
            self._send(channel, "changed", data, action)

    def _account_frames(self, events: Sequence[Event]) -> list[tuple[str, bytes]]:
        orders: dict[str, dict[int, Order]] = {}
        fills: dict[str, list[Fill]] = {}
        paid: dict[str, list[FundingPayment]] = {}
        changed: dict[str, None] = {}
        first, newest = self._newest_order, self._newest_order
        for event in events:
            match event:
                case OrderChanged():
                    order = event.order
                    newest = max(newest, order.venue_order_id)
                    if views.is_known(order):
                        orders.setdefault(order.account, {})[order.venue_order_id] = order
                        changed[order.account] = None
                case Filled():
                    fills.setdefault(event.fill.account, []).append(event.fill)
                case FundingPaid():
                    paid.setdefault(event.payment.account, []).append(event.payment)
                case AccountChanged():
                    changed[event.address] = None
                case _:
                    pass
        self._newest_order = newest
        frames: list[tuple[str, bytes]] = []
        for account in changed | dict.fromkeys(paid):
            own = list(orders.get(account, {}).values())
            frames += self._order_frames(account, own, fills.get(account, []), after=first)
            if account in paid:
                rows = self._exchange.tables.funding_payments.get(account, [])
                data = [
                    views.funding_row(payment, rows.index(payment) + 1) for payment in paid[account]
                ]
                frames.append(
                    self._event(account, "FUNDING_SETTLEMENT", {"collateralTransaction": data})
                )
            elif not own:
                frames.append(self._event(account, "ACCOUNT_UPDATE", {}))
        return frames

    def _order_frames(
        self, account: str, orders: list[Order], fills: list[Fill], *, after: int
    ) -> list[tuple[str, bytes]]:
        """Tell orders: new ones as pending first, executed ones without and with their fills."""
        frames: list[tuple[str, bytes]] = []
        if not orders:
            return frames
        new = [views.order_row(order, status="PENDING") for order in orders
               if order.venue_order_id > after]  # fmt: skip
        if new:
            frames.append(self._event(account, "ORDER_UPDATE", {"order": new}, money=False))
        rows = [views.order_row(order) for order in orders]
        if fills:
            frames.append(self._event(account, "ORDER_UPDATE", {"order": rows}, money=False))
        data = {"order": rows, "orderFillTransaction": [views.fill_row(fill) for fill in fills]}
        frames.append(self._event(account, "ORDER_UPDATE", data))
        return frames

    def _event(
        self, account: str, name: str, data: Json, *, money: bool = True
    ) -> tuple[str, bytes]:
        self._version += self._random.randint(1, _VERSION_STEP_MAX)
        now_ms = self._exchange.now_ms()
        whole = {**data, **(self._money(account) if money else {})}
        content = {
            "event": name,
            "version": self._version,
            "data": whole,
            "time": now_ms,
            "accountId": 0,
        }
        return account, _ENCODER.encode({"type": "trade-event", "content": content})

    def _money(self, account: str) -> Json:
        tables, now_ms = self._exchange.tables, self._exchange.now_ms()
        if account not in tables.accounts:
            return {}
        positions = [
            views.position_row(row, now_ms) for row in tables.positions.get(account, {}).values()
        ]
        return {
            "position": positions,
            "collateral": [views.collateral_row(tables, account, now_ms)],
        }

    def _snapshot(self, account: str) -> bytes:
        tables, now_ms = self._exchange.tables, self._exchange.now_ms()
        live = tables.live_orders.get(account, {}).values()
        held = margin.held_positions(tables, account)
        data = {
            "account": [views.account_row(tables, account, now_ms)],
            "collateral": [views.collateral_row(tables, account, now_ms)],
            "position": [views.position_row(row, now_ms) for row in held],
            "order": [views.order_row(order) for order in live],
        }
        return self._event(account, "Snapshot", data, money=False)[1]

    def _market_data(self, events: Sequence[Event]) -> dict[str, list[Json]]:
        found: dict[str, list[Json]] = {}
        moved: dict[str, None] = {}
        for event in events:
            match event:
                case Traded():
                    trade = event.trade
                    channel = f"trades.{CONTRACT_IDS[trade.symbol]}"
                    found.setdefault(channel, []).append(quotes.trade_row(trade))
                    moved[trade.symbol] = None
                case MarketMoved():
                    moved[event.symbol] = None
                case _:
                    pass
        for symbol in moved:
            best = f"bookTicker.{CONTRACT_IDS[symbol]}"
            if self._listening.get(best):
                found[best] = [quotes.book_ticker(self._exchange, symbol)]
            for kind in KLINES:
                channel = f"kline.LAST_PRICE.{CONTRACT_IDS[symbol]}.{kind}"
                rows = self._kline(symbol, kind) if self._listening.get(channel) else []
                if rows:
                    found[channel] = rows
        return found

    def _send(self, channel: str, kind: str, data: list[Json], action: str = "") -> None:
        listeners = tuple(self._listening.get(channel, ()))
        if listeners:
            frame = _quote(channel, kind, data)
            for client in listeners:
                client.send_encoded(frame, (channel, action))

    # What is due by time.

    def pass_time(self) -> None:
        """Send periodic frames and pings that are due; cut sockets that answer none of these."""
        now_s = asyncio.get_running_loop().time()
        if self._is_due("depth", _DEPTH_EVERY_S, now_s):
            for channel in self._depths:
                if self._listening.get(channel):
                    self._tell_depth(channel)
        if self._is_due("ticker", _TICKER_EVERY_S, now_s):
            for channel, clients in self._listening.items():
                if channel.startswith("ticker.") and clients:
                    row = quotes.ticker_row(self._exchange, SYMBOLS[channel.split(".")[1]])
                    # Changes of one contract's ticker leave its best prices out.
                    del row["bestAskPrice"], row["bestBidPrice"]
                    self._send(channel, "changed", [row])
        silence_s = self._exchange.switches.socket_silence_ms / 1_000
        for client in tuple(self._clients):
            if now_s - client.last_heard_s > silence_s or client.pings > _UNANSWERED_MAX:
                client.kill()
            elif now_s - client.pinged_s >= _PING_EVERY_S:
                client.pings += 1
                client.pinged_s = now_s
                ping = {"type": "ping", "time": str(self._exchange.now_ms())}
                client.send_encoded(_ENCODER.encode(ping), ("ping",))

    def _is_due(self, name: str, interval_s: float, now_s: float) -> bool:
        if now_s - self._sent_s.get(name, 0.0) < interval_s:
            return False
        self._sent_s[name] = now_s
        return True


def _quote(channel: str, kind: str, data: list[Json]) -> bytes:
    content = {"channel": channel, "dataType": kind, "data": data}
    return _ENCODER.encode({"type": "quote-event", "channel": channel, "content": content})
