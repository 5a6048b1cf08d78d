"""How many updates one process takes in: frames of a venue's shape to the board, decimals exact.

An update is one changed price level, a trade or a ticker. The floor decodes the same frames to
plain objects, and does nothing else with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from benchmarks.streaming.frames import edgex, extended, hyperliquid, lighter, pacifica, vest
from benchmarks.streaming.frames.making import Made
from domain.accounts import Network
from domain.instruments import Instrument
from streaming.market_board import MarketBoard
from streaming.market_feeds import MarketFeeds
from streaming.market_sources import STREAM, Deliver, MarketSource, Place
from venues import registry
from venues.connector import MarketChannel, MarketChannelKind, MarketEvent
from venues.edgex.market_stream import MarketStream as EdgexStream
from venues.extended.market_stream import MarketStream as ExtendedStream
from venues.feeds import MarketConversation
from venues.hyperliquid.market_stream import MarketStream as HyperliquidStream
from venues.lighter.market_stream import MarketStream as LighterStream
from venues.pacifica.market_stream import MarketStream as PacificaStream
from venues.stream_session import LiveStream
from venues.vest.market_stream import MarketStream as VestStream

Conversing = Callable[[Sequence[Instrument]], MarketConversation]

ROUNDS: Final = 5
AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
KINDS: Final = (
    MarketChannelKind.BOOK,
    MarketChannelKind.TOP,
    MarketChannelKind.TRADES,
    MarketChannelKind.TICKER,
)
_VENUES: Final[dict[str, tuple[Callable[[], Made], Conversing]]] = {
    "edgex": (edgex.frames, EdgexStream),
    "extended": (extended.frames, ExtendedStream),
    "hyperliquid": (hyperliquid.frames, HyperliquidStream),
    "lighter": (lighter.frames, LighterStream),
    "pacifica": (pacifica.frames, PacificaStream),
    "vest": (vest.frames, VestStream),
}


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
    if set(_VENUES) != set(registry.names()):
        raise AssertionError(f"expected frames of {registry.names()}, found {tuple(_VENUES)}")
    return [_measured(venue, make(), stream) for venue, (make, stream) in _VENUES.items()]


def _measured(venue: str, made: Made, stream: Conversing) -> Taken:
    ours = sorted(_ours(venue, made, stream(made.markets)) for _ in range(ROUNDS))
    bare = sorted(_bare(made.frames) for _ in range(ROUNDS))
    return Taken(
        venue=venue,
        frames_per_s=len(made.frames) / ours[ROUNDS // 2],
        updates_per_s=made.updates / ours[ROUNDS // 2],
        bare_frames_per_s=len(made.frames) / bare[ROUNDS // 2],
        frames=len(made.frames),
        updates=made.updates,
    )


def _bare(frames: Sequence[bytes]) -> float:
    decode = msgspec.json.Decoder().decode
    began = time.perf_counter()
    for frame in frames:
        decode(frame)
    return time.perf_counter() - began


def _ours(venue: str, made: Made, stream: MarketConversation) -> float:
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
        for instrument in made.markets
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
    for frame in made.beginning:
        for event in received(frame, 0.0, AT).events:
            deliver(place, event, STREAM)
    seen.count = events = 0
    frames = made.frames
    began = time.perf_counter()
    for number, frame in enumerate(frames):
        for event in received(frame, number * 0.001, AT).events:
            events += 1
            deliver(place, event, STREAM)
    took = time.perf_counter() - began
    if seen.count != events or events < len(frames):
        raise AssertionError(
            f"expected a change on the board for each of {len(frames)} frames of {venue} at "
            f"least, and for each of {events} events, found {seen.count}"
        )
    return took


class _Seen:
    """Counts what reached the board."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> None:
        """Count one."""
        self.count += 1
