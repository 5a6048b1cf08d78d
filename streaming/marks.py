"""The latest mark prices of the markets somebody here needs, from the venues' public feeds.

What is not fresh says so: a mark is never more than it was when it was received, and says which
way it came. Knows no socket of ours and no storage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.accounts import Network
from streaming.market_feeds import STREAM, MarketFeeds, Place
from venues.connector import MarketChannel, MarketChannelKind, MarketEvent, TickerSeen


@dataclass(frozen=True, slots=True)
class MarketKey:
    """Names one market of one venue and network."""

    venue: str
    network: Network
    symbol: str

    @property
    def place(self) -> Place:
        """Where the market is."""
        return Place(self.venue, self.network)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark price as it was received; `index_price` is the venue's index where it gives one.

    `source` says which way it came, such as `stream` or `poll`; always from the market's venue.
    """

    price: Decimal
    index_price: Decimal | None
    received_time: datetime
    source: str = STREAM


Listener = Callable[[MarketKey, Mark], None]


class Marks:
    """Follows wanted markets; `latest` gives what was received last, however long ago."""

    def __init__(self, feeds: MarketFeeds) -> None:
        self._feeds = feeds
        self._wanted: Counter[MarketKey] = Counter()
        self._latest: dict[MarketKey, Mark] = {}
        self._listeners: list[Listener] = []
        feeds.listen(self._take)

    def listen(self, listener: Listener) -> None:
        """Have `listener` told of every mark; it must be quick and never raise."""
        self._listeners.append(listener)

    def want(self, key: MarketKey) -> None:
        """Follow a market; as often as it is wanted it has to be released."""
        self._wanted[key] += 1
        if self._wanted[key] == 1:
            self._feeds.want(key.place, _ticker_of(key))

    def release(self, key: MarketKey) -> None:
        """Need a market no more."""
        self._wanted[key] -= 1
        if self._wanted[key] <= 0:
            del self._wanted[key]
            self._latest.pop(key, None)
            self._feeds.release(key.place, _ticker_of(key))

    def latest(self, key: MarketKey) -> Mark | None:
        """Return the last mark received of a wanted market, or None."""
        return self._latest.get(key)

    def is_live(self, venue: str, network: Network) -> bool:
        """Tell whether a stream of a venue and network is up and subscribed."""
        return self._feeds.is_live(Place(venue, network))

    def _take(self, place: Place, event: MarketEvent, source: str) -> None:
        if not isinstance(event, TickerSeen) or event.ticker.mark_price is None:
            return
        ticker = event.ticker
        key = MarketKey(place.venue, place.network, ticker.symbol)
        if key not in self._wanted:
            return
        mark = Mark(
            price=event.ticker.mark_price,
            index_price=ticker.index_price,
            received_time=ticker.received_time,
            source=source,
        )
        self._latest[key] = mark
        for listener in self._listeners:
            listener(key, mark)


def _ticker_of(key: MarketKey) -> MarketChannel:
    return MarketChannel(kind=MarketChannelKind.TICKER, symbol=key.symbol)
