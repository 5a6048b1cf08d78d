"""Frames of Vest: whole books of twenty levels a side, whose first levels are the best prices.

Prices come of all markets at once, each trade by itself.
As the official v2 page shows them, and as deep as recorded of the newer API in 2026-10: no frame of
this one was ever recorded.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.streaming.frames.making import (
    BEGAN_MS,
    MARKETS,
    SEED,
    SHARES,
    Made,
    WholeBooks,
    made,
    market,
    size,
)

_KINDS = ("depth", "trades", "tickers")


def frames() -> Made:
    """Return them."""
    rng = random.Random(SEED)
    books = WholeBooks(rng, 20)

    def write(kind: str, number: int, nth: int) -> tuple[Any, int]:
        match kind:
            case "depth":
                bids, asks, count = books.next(number)
                return _frame(f"{_name(number)}@depth", {"bids": bids, "asks": asks}), count
            case "trades":
                return _frame(f"{_name(number)}@trades", _trade(rng, nth)), 1
            case _:
                rows = [_ticker(rng, one) for one in range(MARKETS)]
                return _frame("tickers", rows), len(rows)

    markets = [market("vest", n, _name(n)) for n in range(MARKETS)]
    shares = (SHARES[0] + SHARES[1], *SHARES[2:])
    return made(rng, markets, _KINDS, write, shares=shares)


def _name(number: int) -> str:
    return f"COIN{number}-PERP"


def _frame(channel: str, data: Any) -> dict[str, Any]:
    return {"channel": channel, "data": data}


def _trade(rng: random.Random, nth: int) -> dict[str, Any]:
    return {
        "id": f"{nth:016x}:{nth}:0",
        "price": "100.01",
        "qty": size(rng),
        "quoteQty": "2915.92",
        "time": BEGAN_MS + nth,
    }


def _ticker(rng: random.Random, number: int) -> dict[str, Any]:
    return {
        "symbol": _name(number),
        "oneHrFundingRate": "0.001250",
        "cumFunding": "1.230000000000",
        "imbalance": "10029",
        "indexPrice": "100.0174",
        "markPrice": size(rng),
        "priceChange": "-4.999998",
        "priceChangePercent": "-5.96",
        "status": "TRADING",
    }
