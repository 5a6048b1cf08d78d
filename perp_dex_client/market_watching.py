"""Follow markets over the WebSocket API: books, best prices, trades, tickers, candles.

Books arrive as changes and are yielded whole. Reconnects by itself; what was missed meanwhile is
not made up for, the newest comes first.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec
import msgspec.structs
from websockets.asyncio.client import ClientConnection

from perp_dex_client.errors import InvalidRequest
from perp_dex_client.streams import BeginAnew, OnConnection, Speaker, followed

MarketChannelName = Literal["book", "top", "trades", "ticker", "candles"]
#: Refusals that time may heal: the same is asked again over another connection.
_LATER: Final = frozenset({"unavailable", "venue_unavailable"})


class MarketWanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One channel of one market. `venue` None, for book and top: all venues together.

    `network` None is mainnet; `interval` is for candles, such as `1m`.
    """

    channel: MarketChannelName
    symbol: str
    venue: str | None = None
    network: str | None = None
    interval: str | None = None


class PriceLevel(msgspec.Struct, frozen=True, array_like=True):
    """A price and the quantity there; `venues` says who has how much of it, of all together."""

    price: Decimal
    quantity: Decimal
    venues: tuple[tuple[str, Decimal], ...] = ()


class VenueShare(msgspec.Struct, frozen=True, kw_only=True):
    """A venue whose prices are part of what all venues show together, or why they are not."""

    venue: str
    included: bool
    reason: str = ""
    event_time: datetime | None = None
    received_time: datetime | None = None
    source: str | None = None


class PublicTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade of anybody's; `aggressor_side` is the taker's, if the venue says it."""

    trade_id: str
    price: Decimal
    quantity: Decimal
    aggressor_side: str | None = None
    event_time: datetime
    received_time: datetime


class TickerNow(msgspec.Struct, frozen=True, kw_only=True):
    """A market's present prices and rates; None where the venue says nothing.

    `funding_rate` is per `funding_interval_s` seconds, `volume_24h` in quote units.
    """

    funding_interval_s: int
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    mid_price: Decimal | None = None
    funding_rate: Decimal | None = None
    open_interest: Decimal | None = None
    volume_24h: Decimal | None = None


class LiveCandle(msgspec.Struct, frozen=True, kw_only=True):
    """One interval of trading, from `open_time` up to `close_time`."""

    open_time: datetime
    close_time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class MarketEvent(msgspec.Struct, frozen=True, kw_only=True):
    """News of one channel of one market: the fields of that channel are filled.

    `bids` and `asks` are whole, best first (of `top` at most one each). `trades` and `candles` are
    those that are new; `backlog` for trades from before. `source` says which way it came: the
    venue's `stream`, its second one, or `poll`. With `status` only how fresh the channel is:
    `stale`, and for how long (`age_s`, None: it was never heard).
    """

    kind: Literal["snapshot", "update", "status"]
    channel: str
    symbol: str
    network: str
    venue: str | None = None
    interval: str | None = None
    seq: int | None = None
    source: str | None = None
    event_time: datetime | None = None
    received_time: datetime | None = None
    bids: tuple[PriceLevel, ...] = ()
    asks: tuple[PriceLevel, ...] = ()
    ticker: TickerNow | None = None
    trades: tuple[PublicTrade, ...] = ()
    backlog: bool = False
    candles: tuple[LiveCandle, ...] = ()
    venues: tuple[VenueShare, ...] = ()
    stale: bool = False
    age_s: float | None = None
    reason: str = ""


class LiveBook:
    """One side's levels, from a snapshot and the changes after it. Pure."""

    def __init__(self, *, descending: bool) -> None:
        self._descending = descending
        self._levels: dict[Decimal, PriceLevel] = {}

    def take(self, levels: Iterable[PriceLevel], *, whole: bool) -> tuple[PriceLevel, ...]:
        """Take a whole side, or the levels of it that changed; return it, best first.

        A changed level without quantity is gone.
        """
        if whole:
            self._levels.clear()
        for level in levels:
            if level.quantity:
                self._levels[level.price] = level
            else:
                self._levels.pop(level.price, None)
        prices = sorted(self._levels, reverse=self._descending)
        return tuple(self._levels[price] for price in prices)


class _Followed:
    """One channel over one connection: its sequence, and its book."""

    def __init__(self) -> None:
        self.seq: int | None = None
        self.bids = LiveBook(descending=True)
        self.asks = LiveBook(descending=False)


_Key = tuple[str, str | None, str, str, str | None]


class MarketWatch:
    """Implements `streams.Conversation` for markets."""

    def __init__(
        self,
        url: str,
        token: str,
        wanted: Sequence[MarketWanted],
        on_connection: OnConnection | None,
    ) -> None:
        self.url = f"{url.rstrip('/')}/ws/v1/markets"
        self.on_connection = on_connection or (lambda connected, reason: None)
        self._token = token
        self._wanted = tuple(wanted)

    async def over(self, socket: ClientConnection) -> AsyncIterator[MarketEvent]:
        """Authenticate, subscribe to everything, and yield until the connection ends."""
        speaker = Speaker(socket, self._token, self.on_connection)
        await speaker.greet()
        for number, wanted in enumerate(self._wanted):
            named = msgspec.to_builtins(wanted)
            await speaker.say({"op": "subscribe", "id": number, **named})
        followed: dict[_Key, _Followed] = {}
        while True:
            message = await speaker.hear()
            kind = message.get("type")
            if kind == "error":
                self._refused(message)
            if kind in ("snapshot", "update", "status"):
                yield _event(kind, message, followed)

    def _refused(self, message: Mapping[str, Any]) -> None:
        code, text = str(message.get("code")), str(message.get("message"))
        if code in _LATER:
            raise BeginAnew(text)
        number = message.get("id")
        asked = self._wanted[number] if isinstance(number, int) else None
        what = "" if asked is None else f" {asked.symbol}"
        document = {"detail": f"the stream refuses{what}: {text}", "code": code}
        raise InvalidRequest(document, 422)


def watch_markets(
    url: str,
    token: str,
    wanted: Sequence[MarketWanted],
    *,
    on_connection: OnConnection | None = None,
) -> AsyncGenerator[MarketEvent, None]:
    """Yield news of markets, for ever: first what is there, then every change.

    `url` is the streaming endpoint, such as `ws://127.0.0.1:8701`. After a lost connection each
    channel begins again with what it is then. `on_connection` hears of every connection made and
    lost: between the two, what came last may not be true any more.

    Raises:
        NotAuthorized: the token is not taken.
        InvalidRequest: there is no such market, venue or interval, or too much is wanted.
        UnreadableAnswer: the stream is none of ours.
    """
    return followed(MarketWatch(url, token, wanted, on_connection))


def _event(
    kind: Literal["snapshot", "update", "status"],
    message: Mapping[str, Any],
    followed: dict[_Key, _Followed],
) -> MarketEvent:
    channel, interval = str(message["channel"]), message.get("interval")
    named: dict[str, Any] = {
        "kind": kind,
        "channel": channel,
        "venue": message.get("venue"),
        "network": str(message["network"]),
        "symbol": str(message["symbol"]),
        "interval": interval,
        "source": message.get("source"),
    }
    if kind == "status":
        age_ms = message.get("age_ms")
        return MarketEvent(
            **named,
            stale=bool(message["stale"]),
            age_s=None if age_ms is None else age_ms / 1000,
            reason=str(message.get("reason", "")),
        )
    key = (channel, named["venue"], named["network"], named["symbol"], interval)
    state = followed.setdefault(key, _Followed())
    seq = int(message["seq"])
    if kind == "update" and state.seq != int(message["prev_seq"]):
        raise BeginAnew(f"expected change {state.seq} to go on from, found {message['prev_seq']}")
    state.seq = seq
    told = msgspec.convert(
        {
            "seq": seq,
            "event_time": message.get("event_time"),
            "received_time": message.get("received_time"),
            "ticker": message.get("ticker"),
            "trades": message.get("trades", []),
            "backlog": message.get("backlog", False),
            "candles": [message["candle"]] if "candle" in message else message.get("candles", []),
            "venues": message.get("venues", []),
        },
        _Told,
    )
    sides = _sides(channel, kind, message, state)
    return MarketEvent(**named, **msgspec.structs.asdict(told), **sides)


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    event_time: datetime | None
    received_time: datetime | None
    ticker: TickerNow | None
    trades: tuple[PublicTrade, ...]
    backlog: bool
    candles: tuple[LiveCandle, ...]
    venues: tuple[VenueShare, ...]


def _sides(channel: str, kind: str, message: Mapping[str, Any], state: _Followed) -> dict[str, Any]:
    """Return both sides of a book or a top, whole; nothing of other channels."""
    if channel == "top":
        best = (message["bid"], message["ask"])
        given: list[list[Any]] = [[] if level is None else [level] for level in best]
    elif channel == "book":
        given = [message["bids"], message["asks"]]
    else:
        return {}
    bids, asks = msgspec.convert(given, tuple[tuple[PriceLevel, ...], tuple[PriceLevel, ...]])
    whole = kind == "snapshot" or channel == "top" or bool(message["full"])
    return {
        "bids": state.bids.take(bids, whole=whole),
        "asks": state.asks.take(asks, whole=whole),
    }
