"""What is said about markets over our sockets: snapshots, updates, resyncs, states.

Numbers are strings without exponent, times RFC 3339 in UTC; a level is `[price, quantity]`. Every
message names its channel and market; `event_time` is the venue's clock where it gives one,
`received_time` ours, and `source` says which way it came. Knows no socket, no feed and no session.
"""

from __future__ import annotations

import msgspec

from streaming.protocol import ServerMessage

Level = tuple[str, str]
#: Price, quantity of all venues, and which venue has how much of it.
SharedLevel = tuple[str, str, list[tuple[str, str]]]


class MarketMessage(ServerMessage, kw_only=True):
    """What every message about a market has. `venue` null: all venues together."""

    channel: str
    venue: str | None
    network: str
    symbol: str


class _Numbered(MarketMessage, kw_only=True):
    seq: int


class _Snapshot(_Numbered, kw_only=True):
    snapshot: bool = True


class _Update(_Numbered, kw_only=True):
    prev_seq: int


class _TimedSnapshot(_Snapshot, kw_only=True):
    event_time: str | None
    received_time: str
    source: str


class _TimedUpdate(_Update, kw_only=True):
    event_time: str | None
    received_time: str
    source: str


class BookSnapshot(_TimedSnapshot, tag="snapshot"):
    """A whole book as of `seq`, best levels first."""

    bids: list[Level]
    asks: list[Level]


class BookUpdate(_TimedUpdate, tag="update"):
    """A book's changed levels (quantity "0": gone), or with `full` the whole book."""

    full: bool
    bids: list[Level]
    asks: list[Level]


class TopSnapshot(_TimedSnapshot, tag="snapshot"):
    """The best level of each side as of `seq`; null: that side is empty."""

    bid: Level | None
    ask: Level | None


class TopUpdate(_TimedUpdate, tag="update"):
    """The best level of each side, again."""

    bid: Level | None
    ask: Level | None


class VenueShare(msgspec.Struct, frozen=True, kw_only=True):
    """A venue whose book is part of a consolidated one, or why it is left out."""

    venue: str
    included: bool
    reason: str
    event_time: str | None
    received_time: str | None
    source: str | None


class SharedBookSnapshot(_Snapshot, tag="snapshot"):
    """The books of all venues as one. Bids may be above asks: those are two venues'."""

    bids: list[SharedLevel]
    asks: list[SharedLevel]
    venues: list[VenueShare]


class SharedBookUpdate(_Update, tag="update"):
    """The consolidated book, again and whole."""

    full: bool
    bids: list[SharedLevel]
    asks: list[SharedLevel]
    venues: list[VenueShare]


class SharedTopSnapshot(_Snapshot, tag="snapshot"):
    """The best bid and ask over all venues."""

    bid: SharedLevel | None
    ask: SharedLevel | None
    venues: list[VenueShare]


class SharedTopUpdate(_Update, tag="update"):
    """The best bid and ask over all venues, again."""

    bid: SharedLevel | None
    ask: SharedLevel | None
    venues: list[VenueShare]


class TradeView(msgspec.Struct, frozen=True, kw_only=True):
    """A public trade; `aggressor_side` is the taker's, null where the venue does not say."""

    trade_id: str
    price: str
    quantity: str
    aggressor_side: str | None
    event_time: str
    received_time: str


class TradesSnapshot(_Snapshot, tag="snapshot"):
    """The last trades, oldest first: `backlog`, they may be from before the subscription."""

    trades: list[TradeView]
    source: str
    backlog: bool = True


class TradesUpdate(_Update, tag="update"):
    """New trades, oldest first; `backlog`: they were made while the venue was not heard."""

    trades: list[TradeView]
    source: str
    backlog: bool


class TickerView(msgspec.Struct, frozen=True, kw_only=True):
    """Present prices and rates; null where the venue says nothing.

    `funding_rate` is per `funding_interval_s` seconds, `volume_24h` in quote units.
    """

    mark_price: str | None
    index_price: str | None
    mid_price: str | None
    funding_rate: str | None
    funding_interval_s: int
    open_interest: str | None
    volume_24h: str | None


class TickerSnapshot(_TimedSnapshot, tag="snapshot"):
    """Present prices and rates as of `seq`."""

    ticker: TickerView


class TickerUpdate(_TimedUpdate, tag="update"):
    """Present prices and rates, again."""

    ticker: TickerView


class CandleView(msgspec.Struct, frozen=True, kw_only=True):
    """One interval of trading, from `open_time` up to `close_time`."""

    open_time: str
    close_time: str
    open: str
    high: str
    low: str
    close: str
    volume: str


class CandlesSnapshot(_TimedSnapshot, tag="snapshot"):
    """The last candles seen here, oldest first; the last one is not closed yet."""

    interval: str
    candles: list[CandleView]


class CandlesUpdate(_TimedUpdate, tag="update"):
    """One candle as it is now."""

    interval: str
    candle: CandleView


class MarketResync(MarketMessage, tag="resync"):
    """Messages were left out for this market; a snapshot follows."""

    reason: str
    interval: str | msgspec.UnsetType = msgspec.UNSET


class MarketStatus(MarketMessage, tag="status"):
    """How fresh a market channel is. `age_ms` counts since it was last heard, null: never.

    `source` says which way it comes: a stream of the venue's, its second one, or polling.
    """

    stale: bool
    age_ms: int | None
    source: str | None
    reason: str
    interval: str | msgspec.UnsetType = msgspec.UNSET
