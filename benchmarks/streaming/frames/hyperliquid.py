"""Frames of Hyperliquid: books of twenty levels a side, told whole."""

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

_KINDS = ("l2Book", "bbo", "trades", "activeAssetCtx")


def frames() -> Made:
    """Return them."""
    rng = random.Random(SEED)
    books = WholeBooks(rng, 20)

    def write(kind: str, number: int, nth: int) -> tuple[Any, int]:
        data, count = _data(rng, books, kind, number, nth)
        return {"channel": kind, "data": data}, count

    return made(rng, [market("hyperliquid", n) for n in range(MARKETS)], _KINDS, write)


def _data(
    rng: random.Random, books: WholeBooks, kind: str, number: int, nth: int
) -> tuple[Any, int]:
    coin, time_ms = f"COIN{number}", BEGAN_MS + nth
    match kind:
        case "l2Book":
            bids, asks, count = books.next(number)
            sides = [[{"px": px, "sz": sz, "n": 3} for px, sz in side] for side in (bids, asks)]
            return {"coin": coin, "time": time_ms, "levels": sides}, count
        case "bbo":
            best = [{"px": px, "sz": size(rng), "n": 2} for px in ("99.99", "100.01")]
            return {"coin": coin, "time": time_ms, "bbo": best}, 2
        case "trades":
            trades = [_trade(rng, coin, time_ms, nth * 10 + n) for n in range(rng.randrange(1, 6))]
            return trades, len(trades)
        case _:
            return {"coin": coin, "ctx": _context(size(rng))}, 1


def _trade(rng: random.Random, coin: str, time_ms: int, trade_id: int) -> dict[str, Any]:
    return {
        "coin": coin,
        "side": "B",
        "px": "100.01",
        "sz": size(rng),
        "hash": "0x" + "00" * 32,
        "time": time_ms,
        "tid": trade_id,
        "users": ["0x" + "11" * 20, "0x" + "22" * 20],
    }


def _context(price: str) -> dict[str, Any]:
    return {
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
