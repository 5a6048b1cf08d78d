"""How many updates one process takes in: frames of a venue's shape to the board, decimals exact.

An update is one changed price level, a trade or a ticker. The floor decodes the same frames to
plain objects, and does nothing else with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from benchmarks.streaming import venue_frames
from benchmarks.streaming.venue_frames import MARKETS, Made
from domain.accounts import Network
from domain.instruments import Instrument, PriceRule
from streaming.market_board import MarketBoard
from streaming.market_feeds import MarketFeeds
from streaming.market_sources import STREAM, Deliver, MarketSource, Place
from venues.connector import MarketChannel, MarketChannelKind, MarketEvent
from venues.feeds import MarketConversation
from venues.hyperliquid.market_stream import MarketStream as HyperliquidStream
from venues.pacifica.market_stream import MarketStream as PacificaStream
from venues.stream_session import LiveStream

ROUNDS: Final = 5
AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
KINDS: Final = (
    MarketChannelKind.BOOK,
    MarketChannelKind.TOP,
    MarketChannelKind.TRADES,
    MarketChannelKind.TICKER,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one process took in, in a round of median speed."""

    venue: str
    frames_per_s: float
    updates_per_s: float
    bare_frames_per_s: float
    frames: int
    updates: int


class _NoSource:
    """Delivers nothing by itself: the frames are given in."""

    async def follow(self, channels: frozenset[MarketChannel]) -> None:
        """Take note of nothing."""

    async def run(self) -> None:
        """End."""

    async def close(self) -> None:
        """Hold nothing."""


def ingest() -> list[Taken]:
    """Measure every venue and its floor, several times over, and return the medians."""
    return [
        _measured("hyperliquid", venue_frames.hyperliquid(), HyperliquidStream),
        _measured("pacifica", venue_frames.pacifica(), PacificaStream),
    ]


def _measured(
    venue: str, made: Made, stream: Callable[[list[Instrument]], MarketConversation]
) -> Taken:
    frames, updates = made
    markets = instruments(venue)
    ours = sorted(_ours(venue, markets, stream(markets), frames) for _ in range(ROUNDS))
    bare = sorted(_bare(frames) for _ in range(ROUNDS))
    return Taken(
        venue=venue,
        frames_per_s=len(frames) / ours[ROUNDS // 2],
        updates_per_s=updates / ours[ROUNDS // 2],
        bare_frames_per_s=len(frames) / bare[ROUNDS // 2],
        frames=len(frames),
        updates=updates,
    )


def instruments(venue: str) -> list[Instrument]:
    """Return the markets that the frames are about."""
    return [
        Instrument(
            venue=venue,
            symbol=f"COIN{number}-PERP",
            venue_symbol=f"COIN{number}",
            asset_index=number,
            lot_size=Decimal("0.01"),
            price_rule=PriceRule(significant_figures=5, max_decimals=4),
            min_notional=Decimal(10),
            max_leverage=10,
        )
        for number in range(MARKETS)
    ]


def _bare(frames: Sequence[bytes]) -> float:
    decode = msgspec.json.Decoder().decode
    began = time.perf_counter()
    for frame in frames:
        decode(frame)
    return time.perf_counter() - began


def _ours(
    venue: str, markets: Sequence[Instrument], stream: MarketConversation, frames: Sequence[bytes]
) -> float:
    """Return the seconds from the first frame to the last one's place on the board."""
    delivered: list[Deliver] = []

    def make(_: Place, deliver: Deliver) -> MarketSource:
        delivered.append(deliver)
        return _NoSource()

    place = Place(venue, Network.MAINNET)
    feeds = MarketFeeds(make)
    board = MarketBoard(feeds)
    channels = [
        MarketChannel(kind=kind, symbol=instrument.symbol)
        for instrument in markets
        for kind in KINDS
    ]
    for channel in channels:
        feeds.want(place, channel)
    seen = _Seen()
    board.listen(lambda key, latest: seen.add())
    core: LiveStream[MarketEvent] = LiveStream(stream)
    stream.want(channels, 0.0)
    core.connected(0.0, AT)
    deliver, received = delivered[0], core.received
    events = 0
    began = time.perf_counter()
    for number, frame in enumerate(frames):
        for event in received(frame, number * 0.001, AT).events:
            events += 1
            deliver(place, event, STREAM)
    took = time.perf_counter() - began
    if seen.count != events or events < len(frames):
        raise AssertionError(
            f"expected a change on the board for each of {len(frames)} frames at least, and for "
            f"each of {events} events, found {seen.count}"
        )
    return took


class _Seen:
    """Counts what reached the board."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> None:
        """Count one."""
        self.count += 1
