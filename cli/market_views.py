"""Markets as they are followed: many in a row each, or one with its book and trades. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from cli.live_table import Cell, LiveTable, Notes, age_text
from cli.output import json_ready, safe

if TYPE_CHECKING:
    from perp_dex_client import MarketEvent, PriceLevel, PublicTrade, TickerNow

TRADES_SHOWN: Final = 8
_ALL: Final = "all"
_COLUMNS: Final = (
    *("symbol", "venue", "bid quantity", "bid", "ask", "ask quantity", "mark", "index"),
    *("funding %", "volume 24h", "age", "feed"),
)
_BOOK: Final = ("bid quantity", "bid", "ask", "ask quantity")
_TRADES: Final = ("time", "taker", "price", "quantity")


def market_document(event: MarketEvent) -> dict[str, Any]:
    """Return an event in the shape that `--json` prints."""
    document: dict[str, Any] = {
        "type": event.kind,
        "channel": event.channel,
        "venue": event.venue,
        "network": event.network,
        "symbol": event.symbol,
        "source": event.source,
    }
    if event.kind == "status":
        return {**document, "stale": event.stale, "age_s": event.age_s, "reason": event.reason}
    document |= {
        "seq": event.seq,
        "event_time": json_ready(event.event_time),
        "received_time": json_ready(event.received_time),
    }
    match event.channel:
        case "book":
            document |= {"bids": _levels(event.bids), "asks": _levels(event.asks)}
        case "top":
            document |= {"bid": _best(event.bids), "ask": _best(event.asks)}
        case "ticker":
            document["ticker"] = json_ready(event.ticker)
        case "trades":
            document |= {"trades": json_ready(event.trades), "backlog": event.backlog}
    if event.venues:
        document["venues"] = json_ready(event.venues)
    return document


@dataclass(slots=True)
class _Feed:
    """How fresh one channel is."""

    stale: bool | None = None
    told: bool | None = None
    since: float | None = None
    source: str | None = None
    received: datetime | None = None


class _Feeds:
    """How fresh the channels are of what a row shows."""

    def __init__(self, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        self._clock = clock
        self._now = now
        self._kept: dict[str, _Feed] = {}

    def take(self, event: MarketEvent) -> str | None:
        """Take an event; return what is news of its freshness."""
        feed = self._kept.setdefault(event.channel, _Feed())
        if event.kind != "status":
            feed.received = event.received_time or feed.received
            feed.source = event.source or feed.source
            return None
        is_first = feed.stale is None
        feed.stale, feed.source = event.stale, event.source
        feed.since = None if event.age_s is None else self._clock() - event.age_s
        # A channel begins with nothing heard; that is news only if it stays so.
        if feed.told == event.stale or (is_first and event.stale and event.age_s is None):
            return None
        feed.told = event.stale
        what = f"{event.symbol} {event.venue or _ALL} {event.channel}"
        if event.stale:
            return f"{what}: {self._stale(feed)}: {safe(event.reason)}"
        return f"{what}: live ({safe(event.source)})"

    def cell(self) -> Cell:
        """Return how fresh the least fresh of them is; nobody has to trade."""
        prices = [feed for channel, feed in self._kept.items() if channel != "trades"]
        stale = [feed for feed in prices if feed.stale]
        if stale:
            oldest = min(stale, key=lambda feed: -1.0 if feed.since is None else feed.since)
            return Cell(self._stale(oldest), "alarm")
        sources = sorted({feed.source for feed in prices if feed.source is not None})
        if not any(feed.stale is False for feed in prices):
            return Cell(None)
        return Cell("live" if sources in ([], ["stream"]) else f"live ({', '.join(sources)})")

    def age(self) -> Cell:
        """Return how long ago anything of it was received."""
        received = [feed.received for feed in self._kept.values() if feed.received is not None]
        if not received:
            return Cell(None)
        return Cell(age_text((self._now() - max(received)).total_seconds()))

    def _stale(self, feed: _Feed) -> str:
        if feed.since is None:
            return "stale, never heard"
        return f"stale {age_text(self._clock() - feed.since)}"


class _Market:
    """What is known of one market at one venue, or at all."""

    def __init__(self, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        self.feeds = _Feeds(clock, now)
        self.bids: tuple[PriceLevel, ...] = ()
        self.asks: tuple[PriceLevel, ...] = ()
        self.ticker: TickerNow | None = None
        self.trades: deque[PublicTrade] = deque(maxlen=TRADES_SHOWN)

    def take(self, event: MarketEvent) -> str | None:
        """Keep an event; return what is news of its freshness."""
        news = self.feeds.take(event)
        if event.kind == "status":
            return news
        if event.channel in ("top", "book"):
            self.bids, self.asks = event.bids, event.asks
        elif event.channel == "ticker":
            self.ticker = event.ticker
        elif event.channel == "trades":
            if event.kind == "snapshot":
                self.trades.clear()
            self.trades.extend(event.trades)
        return news

    def line(self) -> str:
        """Return the prices in one line."""
        bid = self.bids[0].price if self.bids else None
        ask = self.asks[0].price if self.asks else None
        mark = None if self.ticker is None else self.ticker.mark_price
        return f"bid {safe(bid)} ask {safe(ask)} mark {safe(mark)}"


class MarketsView:
    """Implements `cli.live_table.View` for best prices and tickers of several markets."""

    def __init__(
        self,
        clock: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.title = "markets"
        self._clock = clock
        self._now = now
        self._markets: dict[tuple[str, str], _Market] = {}
        self._notes = Notes()
        self._said: dict[tuple[str, str], str] = {}

    def take(self, event: MarketEvent) -> list[str]:
        """Keep an event; return what it changed."""
        key = (event.symbol, event.venue or _ALL)
        market = self._markets.get(key)
        if market is None:
            market = self._markets[key] = _Market(self._clock, self._now)
        news = market.take(event)
        if event.kind == "status":
            return [] if news is None else self._notes.add([news])
        line = market.line()
        if self._said.get(key) == line:
            return []
        self._said[key] = line
        return [f"{safe(event.received_time or self._now())} {safe(key[0])} {key[1]} {line}"]

    def document(self, event: MarketEvent) -> dict[str, Any]:
        """Return an event in the shape that `--json` prints."""
        return market_document(event)

    def tables(self) -> tuple[LiveTable, ...]:
        """Return a row for each market."""
        rows = tuple(
            (Cell(symbol), Cell(venue), *_prices(market), market.feeds.age(), market.feeds.cell())
            for (symbol, venue), market in self._markets.items()
        )
        right = frozenset(_COLUMNS[2:-1])
        return (LiveTable(columns=_COLUMNS, rows=rows, right=right, nothing="nothing heard yet"),)

    def notes(self) -> list[str]:
        """Return the latest lines."""
        return self._notes.all()


class OneMarketView:
    """Implements `cli.live_table.View` for one market: prices, book, last trades."""

    def __init__(
        self,
        title: str,
        depth: int,
        clock: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.title = title
        self._depth = depth
        self._market = _Market(clock, now)
        self._now = now
        self._notes = Notes()
        self._said = ""

    def take(self, event: MarketEvent) -> list[str]:
        """Keep an event; return what it changed."""
        news = self._market.take(event)
        if event.kind == "status":
            return [] if news is None else self._notes.add([news])
        if event.channel == "trades":
            return [
                f"{safe(trade.event_time)} {trade.aggressor_side or '-'} {safe(trade.quantity)} at "
                f"{safe(trade.price)}"
                for trade in event.trades
            ]
        line = self._market.line()
        if line == self._said:
            return []
        self._said = line
        return [f"{safe(event.received_time or self._now())} {line}"]

    def document(self, event: MarketEvent) -> dict[str, Any]:
        """Return an event in the shape that `--json` prints."""
        return market_document(event)

    def tables(self) -> tuple[LiveTable, ...]:
        """Return prices, book and trades."""
        market = self._market
        prices = (*_prices(market)[4:], market.feeds.age(), market.feeds.cell())
        levels = zip_longest(market.bids[: self._depth], market.asks[: self._depth])
        book = tuple(
            (
                Cell(bid.quantity if bid else ""),
                Cell(bid.price if bid else "", "good"),
                Cell(ask.price if ask else "", "bad"),
                Cell(ask.quantity if ask else ""),
            )
            for bid, ask in levels
        )
        trades = tuple(
            (
                Cell(trade.event_time),
                _side(trade.aggressor_side),
                Cell(trade.price),
                Cell(trade.quantity),
            )
            for trade in reversed(market.trades)
        )
        return (
            LiveTable(columns=_COLUMNS[6:], rows=(prices,), right=frozenset(_COLUMNS[6:-1])),
            LiveTable(columns=_BOOK, rows=book, right=frozenset(_BOOK), nothing="no book yet"),
            LiveTable(
                columns=_TRADES,
                rows=trades,
                right=frozenset(_TRADES[2:]),
                nothing="no trades yet",
            ),
        )

    def notes(self) -> list[str]:
        """Return the latest lines."""
        return self._notes.all()


def _side(side: str | None) -> Cell:
    """Return the taker's side; some venues do not say it."""
    return Cell("-") if side is None else Cell(side, "good" if side == "BUY" else "bad")


def _prices(market: _Market) -> tuple[Cell, ...]:
    bid = market.bids[0] if market.bids else None
    ask = market.asks[0] if market.asks else None
    ticker = market.ticker
    funding = None if ticker is None else ticker.funding_rate
    return (
        Cell(bid.quantity if bid else None),
        Cell(bid.price if bid else None),
        Cell(ask.price if ask else None),
        Cell(ask.quantity if ask else None),
        Cell(ticker.mark_price if ticker else None),
        Cell(ticker.index_price if ticker else None),
        Cell(None) if funding is None else _percent(funding),
        Cell(ticker.volume_24h if ticker else None),
    )


def _percent(rate: Decimal) -> Cell:
    text = f"{rate * 100:+.4f}"
    return Cell(text, "bad" if rate < 0 else "good")


def _levels(levels: tuple[PriceLevel, ...]) -> list[list[Any]]:
    return [_level(level) for level in levels]


def _best(levels: tuple[PriceLevel, ...]) -> list[Any] | None:
    return _level(levels[0]) if levels else None


def _level(level: PriceLevel) -> list[Any]:
    found = [json_ready(level.price), json_ready(level.quantity)]
    if level.venues:
        found.append([[venue, json_ready(quantity)] for venue, quantity in level.venues])
    return found
