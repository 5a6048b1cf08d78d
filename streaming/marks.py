"""The latest mark prices of the markets somebody here needs, from the venues' public feeds.

One feed per venue and network, for exactly the wanted markets. What is not fresh says so: a mark
is never more than it was when it was received. Knows no socket of ours and no storage.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from domain.accounts import Network
from domain.errors import PerpDexError
from streaming.connectors import Connectors, LoadVenue
from venues.connector import (
    FeedState,
    MarketChannel,
    MarketChannelKind,
    MarketEvent,
    MarketFeed,
    TickerSeen,
)

RESTART_FIRST_S: Final = 0.5
RESTART_MAX_S: Final = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MarketKey:
    """Names one market of one venue and network."""

    venue: str
    network: Network
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark price as it was received; `index_price` is the venue's index where it gives one."""

    price: Decimal
    index_price: Decimal | None
    received_time: datetime


Listener = Callable[[MarketKey, Mark], None]
_Place = tuple[str, Network]


class Marks:
    """Follows wanted markets; `latest` gives what was received last, however long ago."""

    def __init__(self, load: LoadVenue, connectors: Connectors) -> None:
        self._load = load
        self._connectors = connectors
        self._wanted: Counter[MarketKey] = Counter()
        self._latest: dict[MarketKey, Mark] = {}
        self._live: set[_Place] = set()
        self._listeners: list[Listener] = []
        self._changed = asyncio.Event()
        self._followers: dict[_Place, _Follower] = {}

    def listen(self, listener: Listener) -> None:
        """Have `listener` told of every mark; it must be quick and never raise."""
        self._listeners.append(listener)

    def want(self, key: MarketKey) -> None:
        """Follow a market; as often as it is wanted it has to be released."""
        self._wanted[key] += 1
        if self._wanted[key] == 1:
            self._changed.set()

    def release(self, key: MarketKey) -> None:
        """Need a market no more."""
        self._wanted[key] -= 1
        if self._wanted[key] <= 0:
            del self._wanted[key]
            self._latest.pop(key, None)
            self._changed.set()

    def latest(self, key: MarketKey) -> Mark | None:
        """Return the last mark received of a wanted market, or None."""
        return self._latest.get(key)

    def is_live(self, venue: str, network: Network) -> bool:
        """Tell whether the feed of a venue and network is up and subscribed."""
        return (venue, network) in self._live

    async def run(self) -> None:
        """Follow until cancelled."""
        self._followers.clear()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                places: dict[_Place, set[str]] = {}
                for key in self._wanted:
                    places.setdefault((key.venue, key.network), set()).add(key.symbol)
                for place, symbols in places.items():
                    if place not in self._followers:
                        follower = _Follower(place, self._load, self._connectors, self._take)
                        self._followers[place] = follower
                        tasks.create_task(follower.run(), name=f"marks-{place[0]}-{place[1]}")
                    await self._followers[place].follow(symbols)
                for place in self._followers.keys() - places.keys():
                    await self._followers[place].follow(set())
                await self._changed.wait()

    def _take(self, place: _Place, event: MarketEvent) -> None:
        if isinstance(event, FeedState):
            if event.live:
                self._live.add(place)
            else:
                self._live.discard(place)
            return
        if not isinstance(event, TickerSeen) or event.ticker.mark_price is None:
            return
        ticker = event.ticker
        key = MarketKey(place[0], place[1], ticker.symbol)
        if key not in self._wanted:
            return
        mark = Mark(
            price=event.ticker.mark_price,
            index_price=ticker.index_price,
            received_time=ticker.received_time,
        )
        self._latest[key] = mark
        for listener in self._listeners:
            listener(key, mark)


class _Follower:
    """The public feed of one venue and network, made anew when it fails."""

    def __init__(
        self,
        place: _Place,
        load: LoadVenue,
        connectors: Connectors,
        take: Callable[[_Place, MarketEvent], None],
    ) -> None:
        self._place = place
        self._load = load
        self._connectors = connectors
        self._take = take
        self._symbols: set[str] = set()
        self._known: frozenset[str] = frozenset()
        self._feed: MarketFeed | None = None
        self._wake = asyncio.Event()

    async def follow(self, symbols: set[str]) -> None:
        """Set the markets to follow."""
        if symbols == self._symbols:
            return
        self._symbols = set(symbols)
        self._wake.set()
        if self._feed is not None:
            await self._subscribe(self._feed)

    async def run(self) -> None:
        """Follow until cancelled."""
        failures = 0
        while True:
            if not self._symbols:
                self._wake.clear()
                await self._wake.wait()
            try:
                async for event in await self._connected():
                    failures = 0
                    self._take(self._place, event)
                reason = "it ended"
            except PerpDexError as error:
                reason = str(error)
                if failures == 0:
                    _log.warning("marks cannot be followed: %s", error)
            except Exception:  # noqa: BLE001 - whatever a feed does, it is followed anew
                reason = "it failed"
                _log.exception("a feed of marks failed, following it anew")
            await self._let_go(reason)
            failures += 1
            await asyncio.sleep(min(RESTART_FIRST_S * 2 ** (failures - 1), RESTART_MAX_S))

    async def _connected(self) -> AsyncIterator[MarketEvent]:
        venue, network = self._place
        connector = await self._connectors.of(venue, network)
        instruments = await connector.instruments()
        self._known = frozenset(instrument.symbol for instrument in instruments)
        feed = self._load(venue).market_feed(network, instruments)
        self._feed = feed
        await self._subscribe(feed)
        return feed.events()

    async def _subscribe(self, feed: MarketFeed) -> None:
        """Subscribe to what can be; a market the venue does not know spoils no other."""
        unknown = self._symbols - self._known
        if unknown:
            _log.warning("markets that the venue does not know", extra={"symbols": sorted(unknown)})
        await feed.subscribe(
            MarketChannel(kind=MarketChannelKind.TICKER, symbol=symbol)
            for symbol in sorted(self._symbols & self._known)
        )

    async def _let_go(self, reason: str) -> None:
        feed, self._feed = self._feed, None
        self._take(
            self._place,
            FeedState(account_id=None, live=False, reason=reason, at=datetime.now(UTC)),
        )
        if feed is not None:
            await feed.close()
