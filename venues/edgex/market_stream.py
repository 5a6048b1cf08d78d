"""The public feed: books, best prices, trades, prices and rates, candles.

Books come as a snapshot and changes that are put together here; where the chain of changes breaks,
the channel is left and asked for anew. A ticker's changes leave fields out, so they are laid over
what was told before.

Source: edgeX gitbook api/websocket-api; recorded on production 2026-09-28; NOTES.md "WebSocket".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from domain.instruments import Instrument
from venues.connections import ConnectionBudget
from venues.connector import (
    BookSeen,
    CandleSeen,
    MarketChannel,
    MarketChannelKind,
    MarketEvent,
    TickerSeen,
    TradesSeen,
)
from venues.edgex import translate_markets, wire
from venues.edgex.depth import DepthBook
from venues.edgex.proofs import CAPABILITIES
from venues.edgex.stream_session import Session
from venues.edgex.translate_markets import KLINE_TYPES
from venues.feeds import MarketSocket
from venues.market_channels import Key, MarketChannels
from venues.stream import Backoff
from venues.stream_core import Step

PUBLIC_PATH: Final = "/api/v1/public/ws"
#: The venue carries so many subscriptions on one connection (docs, unmeasured).
SUBSCRIPTIONS_MAX: Final = 100
_DEPTH: Final = 15
_TRADES_REMEMBERED: Final = 2_000
#: What the venue settles at when a contract says nothing else; feeds do not read the metadata.
_FUNDING_INTERVAL_S: Final = 240 * 60
_SNAPSHOT: Final = "snapshot"


class MarketStream:
    """The conversation about markets, without I/O."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._session = Session()
        self.watch = self._session.watch
        markets = tuple(instruments)
        # The number of an instrument is its contract's id at this venue.
        self._symbols = {str(found.asset_index): found.symbol for found in markets}
        self._channels = MarketChannels(
            "edgex",
            {found.symbol: str(found.asset_index) for found in markets},
            CAPABILITIES.candle_intervals,
            _spell,
            count_max=SUBSCRIPTIONS_MAX,
        )
        self._books: dict[str, DepthBook] = {}
        self._tickers: dict[str, dict[str, Any]] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()

    def want(self, channels: Iterable[MarketChannel], now: float) -> Step[MarketEvent]:
        """Set the channels to carry. Raises InvalidInput as `MarketChannels.want`."""
        gone, new = self._channels.want(channels)
        for one in gone:
            self._books.pop(one["channel"], None)
        if not self.watch.is_connected:
            return Step()
        return Step(
            send=(
                *(self._session.unsubscribe(one["channel"]) for one in gone),
                *(self._session.subscribe(one["channel"], now) for one in new),
            )
        )

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Subscribe to everything wanted."""
        self._books.clear()
        self._tickers.clear()
        self._seen.clear()
        wanted = self._channels.all()
        return tuple(self._session.subscribe(one["channel"], now) for one in wanted)

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[MarketEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        frame = self._session.read(payload)
        if frame is None or frame.type != "quote-event":
            return ()
        content = wire.decode(bytes(frame.content), wire.QuoteContent)
        is_snapshot = content.data_type.lower() == _SNAPSHOT
        rows = [bytes(row) for row in content.data]
        match content.channel.partition(".")[0]:
            case "depth":
                return self._depth(content.channel, rows, now, at, is_snapshot=is_snapshot)
            case "bookTicker":
                return self._best(rows, at)
            case "trades":
                return self._trades(content.channel, rows, at, is_snapshot=is_snapshot)
            case "ticker":
                return self._ticker(rows, at, is_snapshot=is_snapshot)
            case "kline":
                return self._candles(rows)
            case _:
                return ()

    def _depth(
        self, channel: str, rows: list[bytes], now: float, at: datetime, *, is_snapshot: bool
    ) -> tuple[MarketEvent, ...]:
        events: list[MarketEvent] = []
        for row in rows:
            depth = wire.decode(row, wire.Depth)
            symbol = self._symbols.get(depth.contract_id)
            if symbol is None:
                continue
            book = self._books.setdefault(channel, DepthBook())
            was_whole = book.is_whole
            if book.apply(depth, is_snapshot=is_snapshot):
                found = translate_markets.order_book(
                    symbol,
                    book.bids(_DEPTH),
                    book.asks(_DEPTH),
                    # The venue tells no time of a book.
                    event_time=at,
                    received_time=at,
                )
                events.append(BookSeen(book=found, is_top=False))
            elif was_whole and not book.is_whole:
                self.watch.reply(self._session.unsubscribe(channel))
                self.watch.reply(self._session.subscribe(channel, now))
        return tuple(events)

    def _best(self, rows: list[bytes], at: datetime) -> tuple[MarketEvent, ...]:
        events = []
        for row in rows:
            best = wire.decode(row, wire.BookTicker)
            symbol = self._symbols.get(best.contract_id)
            if symbol is not None:
                found = translate_markets.top_of_book(symbol, best, received_time=at)
                events.append(BookSeen(book=found, is_top=True))
        return tuple(events)

    def _trades(
        self, channel: str, rows: list[bytes], at: datetime, *, is_snapshot: bool
    ) -> tuple[MarketEvent, ...]:
        """Tell a snapshot whole, even an empty one: trades are told from now on."""
        trades = []
        for row in rows:
            trade = wire.decode(row, wire.PublicTrade)
            symbol = self._symbols.get(trade.contract_id)
            if symbol is None or (trade.ticket_id in self._seen and not is_snapshot):
                continue
            self._seen[trade.ticket_id] = None
            trades.append(translate_markets.trade(symbol, trade, received_time=at))
        while len(self._seen) > _TRADES_REMEMBERED:
            self._seen.popitem(last=False)
        name = channel.partition(".")[2]
        is_begun = is_snapshot and name in self._channels.names_of(MarketChannelKind.TRADES)
        if not trades and not is_begun:
            return ()
        trades.sort(key=lambda trade: trade.event_time)
        symbol = self._symbols.get(name, "")
        return (TradesSeen(trades=tuple(trades), is_backlog=is_snapshot, symbol=symbol),)

    def _ticker(
        self, rows: list[bytes], at: datetime, *, is_snapshot: bool
    ) -> tuple[MarketEvent, ...]:
        events = []
        for row in rows:
            told = wire.decode(row, dict[str, Any])
            contract_id = str(told.get("contractId", ""))
            symbol = self._symbols.get(contract_id)
            if symbol is None:
                continue
            before = {} if is_snapshot else self._tickers.get(contract_id, {})
            whole = self._tickers[contract_id] = {**before, **told}
            found = translate_markets.ticker(
                symbol,
                wire.convert(whole, wire.TickerRow),
                funding_interval_s=_FUNDING_INTERVAL_S,
                received_time=at,
            )
            events.append(TickerSeen(ticker=found))
        return tuple(events)

    def _candles(self, rows: list[bytes]) -> tuple[MarketEvent, ...]:
        events = []
        for row in rows:
            kline = wire.decode(row, wire.Kline)
            symbol = self._symbols.get(kline.contract_id)
            if symbol is not None:
                events.append(CandleSeen(candle=translate_markets.candle(symbol, kline)))
        return tuple(events)


def _spell(channel: MarketChannel, name: str) -> tuple[Key, dict[str, Any]]:
    """Return the subscription that carries a channel of a contract."""
    match channel.kind:
        case MarketChannelKind.BOOK:
            spelled = f"depth.{name}.{_DEPTH}"
        case MarketChannelKind.TOP:
            spelled = f"bookTicker.{name}"
        case MarketChannelKind.TRADES:
            spelled = f"trades.{name}"
        case MarketChannelKind.TICKER:
            spelled = f"ticker.{name}"
        case MarketChannelKind.CANDLES:
            spelled = f"kline.LAST_PRICE.{name}.{KLINE_TYPES[channel.interval or '']}"
    return (channel.kind.value, name, channel.interval or ""), {"channel": spelled}


def market_feed(
    origin: str,
    instruments: Iterable[Instrument],
    *,
    connections: ConnectionBudget | None = None,
    backoff: Backoff | None = None,
) -> MarketSocket:
    """Return the public feed at a WebSocket's origin over these markets, not yet connected."""
    budget = connections or ConnectionBudget(connections_max=1, opened_per_minute_max=5)
    stream = MarketStream(instruments)
    return MarketSocket("edgex", origin + PUBLIC_PATH, stream, budget, backoff=backoff)
