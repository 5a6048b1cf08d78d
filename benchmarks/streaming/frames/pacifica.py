"""Frames of Pacifica: books of ten levels a side, told whole, prices of all markets at once."""

from __future__ import annotations

import random
from typing import Any

from benchmarks.streaming.frames.making import (
    BEGAN_MS,
    MARKETS,
    SEED,
    Made,
    WholeBooks,
    made,
    market,
    size,
)

_KINDS = ("book", "bbo", "trades", "prices")


def frames() -> Made:
    """Return them."""
    rng = random.Random(SEED)
    books = WholeBooks(rng, 10)

    def write(kind: str, number: int, nth: int) -> tuple[Any, int]:
        data, count = _data(rng, books, kind, number, nth)
        return {"channel": kind, "data": data}, count

    return made(rng, [market("pacifica", n) for n in range(MARKETS)], _KINDS, write)


def _data(
    rng: random.Random, books: WholeBooks, kind: str, number: int, nth: int
) -> tuple[Any, int]:
    common = {"s": f"COIN{number}", "t": BEGAN_MS + nth, "li": nth + 1}
    match kind:
        case "book":
            bids, asks, count = books.next(number)
            sides = [[{"p": px, "a": sz, "n": 3} for px, sz in side] for side in (bids, asks)]
            return {"l": sides, **common}, count
        case "bbo":
            best = {"b": "99.99", "B": size(rng), "a": "100.01", "A": size(rng)}
            return {**best, "i": nth, **common}, 2
        case "trades":
            kept = {"p": "100.01", "d": "open_long", "tc": "normal", **common}
            trades = [
                {"h": nth * 10 + n, "a": size(rng), **kept} for n in range(rng.randrange(1, 6))
            ]
            return trades, len(trades)
        case _:
            rows = [_prices(rng, one, BEGAN_MS + nth) for one in range(MARKETS)]
            return rows, len(rows)


def _prices(rng: random.Random, number: int, time_ms: int) -> dict[str, Any]:
    return {
        "symbol": f"COIN{number}",
        "timestamp": time_ms,
        "funding": "0.0000125",
        "next_funding": "0.0000125",
        "mark": size(rng),
        "mid": "100.0",
        "oracle": "100.0",
        "open_interest": "1000.0",
        "volume_24h": "1000000.0",
        "yesterday_price": "100.0",
    }
