"""How many updates one process takes in: frames of a venue's shape to the board, decimals exact.

An update is one changed price level, a trade or a ticker. The floor decodes the same frames to
plain objects, and does nothing else with them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from domain.accounts import Network
from domain.instruments import Instrument
from streaming.market_board import MarketBoard
from streaming.market_feeds import STREAM, Deliver, MarketFeeds, MarketSource, Place
from venues.connector import MarketChannel, MarketChannelKind
from venues.hyperliquid.market_stream import MarketStream

MARKETS: Final = 20
FRAMES: Final = 6_000
LEVELS: Final = 20
#: Levels of a side that differ from the frame before, as in recorded books of a busy market.
CHANGED: Final = 10
ROUNDS: Final = 5
SEED: Final = 20261130
AT: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one process took in, in a round of median speed."""

    frames_per_s: float
    updates_per_s: float
    bare_frames_per_s: float
    frames: int
    updates: int


def frames() -> tuple[list[bytes], int]:
    """Return frames in the shapes that the venue sends, and how many updates they hold."""
    rng = random.Random(SEED)
    books = {n: [_level(rng) for _ in range(2 * LEVELS)] for n in range(MARKETS)}
    made: list[bytes] = []
    updates = 0
    for number in range(FRAMES):
        market = number % MARKETS
        kind = rng.choices(("l2Book", "bbo", "trades", "activeAssetCtx"), (4, 4, 3, 1))[0]
        data, count = _data(rng, kind, f"COIN{market}", books[market], number)
        made.append(msgspec.json.encode({"channel": kind, "data": data}))
        updates += count
    return made, updates


def _level(rng: random.Random) -> str:
    return f"{rng.randrange(1, 9_999_999) / 1000:.3f}"


def _data(
    rng: random.Random, kind: str, coin: str, sizes: list[str], number: int
) -> tuple[Any, int]:
    time_ms = 1_790_000_000_000 + number
    match kind:
        case "l2Book":
            for place in rng.sample(range(2 * LEVELS), 2 * CHANGED):
                sizes[place] = _level(rng)
            sides = [
                [
                    {"px": f"{100 + sign * (n + 1) * 0.01:.2f}", "sz": sizes[n + at], "n": 3}
                    for n in range(LEVELS)
                ]
                for sign, at in ((-1, 0), (1, LEVELS))
            ]
            return {"coin": coin, "time": time_ms, "levels": sides}, 2 * CHANGED
        case "bbo":
            best = [{"px": px, "sz": _level(rng), "n": 2} for px in ("99.99", "100.01")]
            return {"coin": coin, "time": time_ms, "bbo": best}, 2
        case "trades":
            count = rng.randrange(1, 6)
            trades = [
                {
                    "coin": coin,
                    "side": "B",
                    "px": "100.01",
                    "sz": _level(rng),
                    "hash": "0x" + "00" * 32,
                    "time": time_ms,
                    "tid": number * 10 + n,
                    "users": ["0x" + "11" * 20, "0x" + "22" * 20],
                }
                for n in range(count)
            ]
            return trades, count
        case _:
            price = _level(rng)
            context = {
                "funding": "0.0000125",
                "openInterest": "1000.0",
                "prevDayPx": "100.0",
                "dayNtlVlm": "1000000.0",
                "premium": "0.0",
                "oraclePx": price,
                "markPx": price,
                "midPx": price,
                "impactPxs": ["99.9", "100.1"],
                "dayBaseVlm": "10000.0",
            }
            return {"coin": coin, "ctx": context}, 1


class _NoSource:
    """Delivers nothing by itself: the frames are given in."""

    async def follow(self, channels: frozenset[MarketChannel]) -> None:
        """Take note of nothing."""

    async def run(self) -> None:
        """End."""

    async def close(self) -> None:
        """Hold nothing."""


def ingest(instruments: Sequence[Instrument]) -> Taken:
    """Measure both, several times over, and return the medians."""
    made, updates = frames()
    ours = sorted(_ours(instruments, made) for _ in range(ROUNDS))[ROUNDS // 2]
    bare = sorted(_bare(made) for _ in range(ROUNDS))[ROUNDS // 2]
    return Taken(
        frames_per_s=len(made) / ours,
        updates_per_s=updates / ours,
        bare_frames_per_s=len(made) / bare,
        frames=len(made),
        updates=updates,
    )


def _bare(made: Sequence[bytes]) -> float:
    decode = msgspec.json.Decoder().decode
    began = time.perf_counter()
    for frame in made:
        decode(frame)
    return time.perf_counter() - began


def _ours(instruments: Sequence[Instrument], made: Sequence[bytes]) -> float:
    """Return the seconds from the first frame to the last one's place on the board."""
    delivered: list[Deliver] = []

    def make(_: Place, deliver: Deliver) -> MarketSource:
        delivered.append(deliver)
        return _NoSource()

    place = Place("hyperliquid", Network.MAINNET)
    feeds = MarketFeeds(make)
    board = MarketBoard(feeds)
    kinds = (
        MarketChannelKind.BOOK,
        MarketChannelKind.TOP,
        MarketChannelKind.TRADES,
        MarketChannelKind.TICKER,
    )
    channels = [
        MarketChannel(kind=kind, symbol=instrument.symbol)
        for instrument in instruments
        for kind in kinds
    ]
    for channel in channels:
        feeds.want(place, channel)
    seen = _Seen()
    board.listen(lambda key, latest: seen.add())
    stream = MarketStream(instruments)
    stream.want(channels, 0.0)
    stream.connected(0.0, AT)
    deliver, received = delivered[0], stream.received
    began = time.perf_counter()
    for number, frame in enumerate(made):
        for event in received(frame, number * 0.001, AT).events:
            deliver(place, event, STREAM)
    took = time.perf_counter() - began
    if seen.count != len(made):
        raise AssertionError(f"expected {len(made)} changes on the board, found {seen.count}")
    return took


class _Seen:
    """Counts what reached the board."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> None:
        """Count one."""
        self.count += 1
