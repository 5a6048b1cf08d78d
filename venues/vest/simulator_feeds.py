"""What the simulated venue's socket sends: the channels, who listens, and when frames are due.

Frames of the private channel go out when an action is on the disk; books and prices on a cadence.
Nothing is numbered and nothing is sent again.

Source: the official v2 API page, WebSocket.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Protocol

import msgspec

from venues.simulation.candles import INTERVALS_MS
from venues.simulation.events import Event, Filled, MarketMoved, OrderChanged, Traded
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan
from venues.simulation.records import Fill, Order, Reason
from venues.vest import simulator_views as views
from venues.vest.simulator_business import Quirks
from venues.vest.simulator_queries import book_view

Json = dict[str, Any]

PRIVATE: Final = "account_private"
_TICKERS: Final = "tickers"
_ENCODER: Final = msgspec.json.Encoder()
_BOOK_INTERVAL_S: Final = 0.25
_TICKERS_INTERVAL_S: Final = 1.0
_CHANNEL: Final = re.compile(r"([A-Za-z0-9-]{1,40})@(depth|trades|kline_([0-9]{1,2}[mhdwM]))")
#: Refusals that nobody is told of as an order: it never got to the matching side.
_SILENT: Final = frozenset({Reason.DUPLICATE_CLIENT_ID})


class Client(Protocol):
    """A connected socket as the feeds see it; `address` is whose private channel it may hear."""

    address: str | None

    @property
    def channels(self) -> Collection[str]:
        """The channels that it hears."""
        ...

    @property
    def last_heard_s(self) -> float:
        """When it last said something."""
        ...

    def send_encoded(self, frame: bytes, names: Collection[str] = ()) -> None:
        """Queue a frame; `names` (channel, action) are what faults are filtered by."""
        ...

    def kill(self) -> None:
        """Cut the connection."""
        ...


class Feeds:
    """The subscriptions of all clients, and the frames for them."""

    def __init__(self, exchange: Exchange, faults: FaultPlan, quirks: Quirks) -> None:
        self._exchange = exchange
        self._faults = faults
        self._quirks = quirks
        self._clients: set[Client] = set()
        self._sent_s: dict[str, float] = {}
        self._newest_order = exchange.tables.next_order_id - 1
        exchange.listeners.append(self.publish)

    def connect(self, client: Client) -> None:
        """Know a client."""
        self._clients.add(client)

    def disconnect(self, client: Client) -> None:
        """Forget a client."""
        self._clients.discard(client)

    def kill_all(self) -> None:
        """Cut every socket."""
        for client in tuple(self._clients):
            client.kill()

    def is_channel(self, name: object) -> bool:
        """Tell whether there is a channel of that name."""
        if name in (_TICKERS, PRIVATE):
            return True
        match = _CHANNEL.fullmatch(name) if isinstance(name, str) else None
        if match is None or match.group(1) not in self._exchange.tables.instruments:
            return False
        return match.group(3) is None or match.group(3) in INTERVALS_MS

    def begin(self, client: Client, channel: str) -> None:
        """Send the present state of a channel that has one."""
        frame = self._present(channel)
        if frame is not None:
            client.send_encoded(frame, (channel,))

    def _present(self, channel: str) -> bytes | None:
        tables = self._exchange.tables
        if channel == _TICKERS:
            rows = [
                {
                    **views.ticker_row(tables, symbol),
                    "priceChange": "0.00",
                    "priceChangePercent": "0.00",
                }
                for symbol, market in tables.instruments.items()
                if not market.delisted
            ]
            return _frame(channel, rows)
        if channel.endswith("@depth"):
            return _frame(channel, book_view(self._exchange, channel.partition("@")[0]))
        return None

    # Events.

    def publish(self, events: Sequence[Event]) -> None:
        """Send the frames of one action."""
        planned = [*self._private_frames(events), *self._market_frames(events)]
        action = self._exchange.published_action
        if planned and self._faults.take(FaultKind.REORDER, (action,)):
            planned.reverse()
        for channel, address, write in planned:
            listeners = [
                client
                for client in tuple(self._clients)
                if channel in client.channels and address in (None, client.address)
            ]
            if listeners:
                frame = write()
                for client in listeners:
                    client.send_encoded(frame, (channel, action))

    def _private_frames(self, events: Sequence[Event]) -> list[_Planned]:
        changed = [event.order for event in events if isinstance(event, OrderChanged)]
        filled = {event.fill.venue_order_id for event in events if isinstance(event, Filled)}
        newest = self._newest_order
        frames: list[_Planned] = []
        told: set[int] = set()
        for order in changed:
            if order.reason in _SILENT:
                continue
            is_new = order.venue_order_id > self._newest_order and order.venue_order_id not in told
            newest = max(newest, order.venue_order_id)
            told.add(order.venue_order_id)
            fills = self._fills(order) if order.venue_order_id in filled else []
            rows = views.order_events(
                self._exchange.tables,
                order,
                fills,
                is_new=is_new,
                fok_cancels=self._quirks.fok_cancels,
            )
            frames += [_private(order.account, row) for row in rows]
        self._newest_order = newest
        return frames

    def _fills(self, order: Order) -> list[Fill]:
        """Return what the order had filled by when it was told of."""
        own = [
            fill
            for fill in self._exchange.tables.fills_of.get(order.account, ())
            if fill.venue_order_id == order.venue_order_id
        ]
        found: list[Fill] = []
        left = order.filled
        for fill in own:
            if left <= 0:
                break
            found.append(fill)
            left -= fill.quantity
        return found

    def _market_frames(self, events: Sequence[Event]) -> list[_Planned]:
        frames: list[_Planned] = []
        moved: dict[str, None] = {}
        for event in events:
            if isinstance(event, Traded):
                trade = event.trade
                instrument = self._exchange.tables.instruments[trade.symbol]
                row = views.public_trade(trade, instrument, in_socket=True)
                frames.append(_public(f"{trade.symbol}@trades", row))
                moved[trade.symbol] = None
            elif isinstance(event, MarketMoved):
                moved[event.symbol] = None
        for symbol in moved:
            instrument = self._exchange.tables.instruments[symbol]
            for interval in INTERVALS_MS:
                candle = self._exchange.tables.candles.latest(symbol, interval)
                if candle is not None:
                    line = views.kline(candle, interval, instrument, in_socket=True)
                    frames.append(_public(f"{symbol}@kline_{interval}", line))
        return frames

    # What is due by time.

    def pass_time(self) -> None:
        """Send periodic frames that are due and cut sockets that said nothing for too long."""
        now_s = asyncio.get_running_loop().time()
        if self._is_due("depth", _BOOK_INTERVAL_S, now_s):
            self._send_all(lambda channel: channel.endswith("@depth"))
        if self._is_due(_TICKERS, _TICKERS_INTERVAL_S, now_s):
            self._send_all(lambda channel: channel == _TICKERS)
        silence_s = self._exchange.switches.socket_silence_ms / 1_000
        for client in tuple(self._clients):
            if now_s - client.last_heard_s > silence_s:
                client.kill()

    def _is_due(self, name: str, interval_s: float, now_s: float) -> bool:
        if now_s - self._sent_s.get(name, 0.0) < interval_s:
            return False
        self._sent_s[name] = now_s
        return True

    def _send_all(self, wanted: Callable[[str], bool]) -> None:
        frames: dict[str, bytes | None] = {}
        for client in tuple(self._clients):
            for channel in tuple(client.channels):
                if not wanted(channel):
                    continue
                if channel not in frames:
                    frames[channel] = self._present(channel)
                frame = frames[channel]
                if frame is not None:
                    client.send_encoded(frame, (channel,))


#: Channel, whom it is for alone (None: everybody), and what writes the frame.
_Planned = tuple[str, str | None, Callable[[], bytes]]


def _private(address: str, row: Json) -> _Planned:
    return PRIVATE, address, lambda: _frame(PRIVATE, {"event": "ORDER", "args": row})


def _public(channel: str, data: Any) -> _Planned:
    return channel, None, lambda: _frame(channel, data)


def _frame(channel: str, data: Any) -> bytes:
    return _ENCODER.encode({"channel": channel, "data": data})
