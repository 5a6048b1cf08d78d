"""Frames in the shapes that venues send, as in recordings of busy markets, made from a seed.

Each maker returns the frames and how many updates they hold: changed price levels, trades, tickers.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import msgspec

MARKETS: Final = 20
FRAMES: Final = 6_000
#: Levels of a side that differ from the frame before.
CHANGED: Final = 10
SEED: Final = 20261130
_BEGAN_MS: Final = 1_790_000_000_000
#: How often books, best prices, trades and tickers come, of a dozen frames.
_SHARES: Final = (4, 4, 3, 1)

Made = tuple[list[bytes], int]
_Writer = Callable[[random.Random, str, str, list[str], int], tuple[Any, int]]


def hyperliquid() -> Made:
    """Return frames of Hyperliquid: books of twenty levels a side."""
    kinds = ("l2Book", "bbo", "trades", "activeAssetCtx")
    return _made(kinds, 20, _hyperliquid)


def pacifica() -> Made:
    """Return frames of Pacifica: books of ten levels a side, prices of all markets at once."""
    return _made(("book", "bbo", "trades", "prices"), 10, _pacifica)


def _made(kinds: tuple[str, ...], levels: int, write: _Writer) -> Made:
    rng = random.Random(SEED)
    books = {n: [_size(rng) for _ in range(2 * levels)] for n in range(MARKETS)}
    made: list[bytes] = []
    updates = 0
    for number in range(FRAMES):
        market = number % MARKETS
        kind = rng.choices(kinds, _SHARES)[0]
        data, count = write(rng, kind, f"COIN{market}", books[market], number)
        made.append(msgspec.json.encode({"channel": kind, "data": data}))
        updates += count
    return made, updates


def _size(rng: random.Random) -> str:
    return f"{rng.randrange(1, 9_999_999) / 1000:.3f}"


def _changed(rng: random.Random, sizes: list[str]) -> int:
    """Change quantities of a book in place; return how many."""
    count = min(2 * CHANGED, len(sizes))
    for place in rng.sample(range(len(sizes)), count):
        sizes[place] = _size(rng)
    return count


def _sides(sizes: list[str]) -> list[list[tuple[str, str]]]:
    """Return price and quantity of each level, bids first."""
    depth = len(sizes) // 2
    return [
        [(f"{100 + sign * (n + 1) * 0.01:.2f}", sizes[n + at]) for n in range(depth)]
        for sign, at in ((-1, 0), (1, depth))
    ]


def _hyperliquid(
    rng: random.Random, kind: str, coin: str, sizes: list[str], number: int
) -> tuple[Any, int]:
    time_ms = _BEGAN_MS + number
    match kind:
        case "l2Book":
            count = _changed(rng, sizes)
            sides = [[{"px": px, "sz": sz, "n": 3} for px, sz in side] for side in _sides(sizes)]
            return {"coin": coin, "time": time_ms, "levels": sides}, count
        case "bbo":
            best = [{"px": px, "sz": _size(rng), "n": 2} for px in ("99.99", "100.01")]
            return {"coin": coin, "time": time_ms, "bbo": best}, 2
        case "trades":
            trades = [
                {
                    "coin": coin,
                    "side": "B",
                    "px": "100.01",
                    "sz": _size(rng),
                    "hash": "0x" + "00" * 32,
                    "time": time_ms,
                    "tid": number * 10 + n,
                    "users": ["0x" + "11" * 20, "0x" + "22" * 20],
                }
                for n in range(rng.randrange(1, 6))
            ]
            return trades, len(trades)
        case _:
            price = _size(rng)
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


def _pacifica(
    rng: random.Random, kind: str, coin: str, sizes: list[str], number: int
) -> tuple[Any, int]:
    time_ms = _BEGAN_MS + number
    common = {"s": coin, "t": time_ms, "li": number + 1}
    match kind:
        case "book":
            count = _changed(rng, sizes)
            sides = [[{"p": px, "a": sz, "n": 3} for px, sz in side] for side in _sides(sizes)]
            return {"l": sides, **common}, count
        case "bbo":
            best = {"b": "99.99", "B": _size(rng), "a": "100.01", "A": _size(rng)}
            return {**best, "i": number, **common}, 2
        case "trades":
            trades = [
                {
                    "h": number * 10 + n,
                    "a": _size(rng),
                    "p": "100.01",
                    "d": "open_long",
                    "tc": "normal",
                    **common,
                }
                for n in range(rng.randrange(1, 6))
            ]
            return trades, len(trades)
        case _:
            rows = [
                {
                    "symbol": f"COIN{market}",
                    "timestamp": time_ms,
                    "funding": "0.0000125",
                    "next_funding": "0.0000125",
                    "mark": _size(rng),
                    "mid": "100.0",
                    "oracle": "100.0",
                    "open_interest": "1000.0",
                    "volume_24h": "1000000.0",
                    "yesterday_price": "100.0",
                }
                for market in range(MARKETS)
            ]
            return rows, len(rows)
