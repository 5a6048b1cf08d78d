"""Frames of EdgeX: books of fifteen levels a side once, then changes; all numbers are text.

As recorded on production 2026-09 for BTC, where frames were cut at five levels a side: a change
names seven of them on average, and two of five take a level away.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.streaming.frames.making import (
    BEGAN_MS,
    MARKETS,
    SEED,
    ChangingBooks,
    Level,
    Made,
    made,
    market,
    size,
)

_KINDS = ("depth", "bookTicker", "trades", "ticker")
#: Three of five prices have a level, so that there are fifteen.
_PRICES: Final = 25
_RANKS: Final = 12.0
_GONE: Final = 2 / 3
_COUNTS: Final = (1, 1, 5, 6, 10, 10, 10, 10, 10)
_FIRST_CONTRACT: Final = 30_000_001


def frames() -> Made:
    """Return them."""
    rng = random.Random(SEED)
    books = ChangingBooks(rng, prices=_PRICES, counts=_COUNTS, ranks=_RANKS, gone=_GONE)
    beginning = [_depth(n, *books.whole(n), 1, "Snapshot") for n in range(MARKETS)]
    beginning += [_event(f"ticker.{_id(n)}", [_ticker(rng, n)], "Snapshot") for n in range(MARKETS)]
    versions = [1] * MARKETS

    def write(kind: str, number: int, nth: int) -> tuple[Any, int]:
        channel = f"{kind}.{_id(number)}"
        match kind:
            case "depth":
                bids, asks, count = books.change(number)
                versions[number] += 1
                return _depth(number, bids, asks, versions[number], "changed"), count
            case "bookTicker":
                return _event(channel, [_best(rng, number, nth)], "changed"), 2
            case "trades":
                return _event(channel, [_trade(rng, number, nth)], "changed"), 1
            case _:
                return _event(channel, [_ticker(rng, number)], "changed"), 1

    markets = [
        market("edgex", n, f"COIN{n}USDC", asset_index=_FIRST_CONTRACT + n) for n in range(MARKETS)
    ]
    return made(rng, markets, _KINDS, write, beginning=beginning)


def _id(number: int) -> str:
    return str(_FIRST_CONTRACT + number)


def _event(channel: str, rows: list[Any], kind: str) -> dict[str, Any]:
    content = {"channel": channel, "dataType": kind, "data": rows}
    return {"type": "quote-event", "channel": channel, "content": content}


def _depth(
    number: int, bids: Sequence[Level], asks: Sequence[Level], version: int, kind: str
) -> dict[str, Any]:
    """Return a book or a change; a change begins where the one before ended."""
    row = {
        "startVersion": str(2_070_000_000 + 100 * (version - 1)),
        "endVersion": str(2_070_000_000 + 100 * version),
        "level": 15,
        "contractId": _id(number),
        "contractName": f"COIN{number}USDC",
        "asks": [{"price": price, "size": has} for price, has in asks],
        "bids": [{"price": price, "size": has} for price, has in bids],
        "depthType": kind.upper(),
    }
    return _event(f"depth.{_id(number)}.15", [row], kind)


def _best(rng: random.Random, number: int, nth: int) -> dict[str, Any]:
    return {
        "contractId": _id(number),
        "contractName": f"COIN{number}USDC",
        "time": str(BEGAN_MS + nth),
        "bestAskPrice": "10000.1",
        "bestAskSize": size(rng),
        "bestBidPrice": "9999.9",
        "bestBidSize": size(rng),
    }


def _trade(rng: random.Random, number: int, nth: int) -> dict[str, Any]:
    return {
        "ticketId": f"{nth:08x}-0000-4000-8000-{rng.getrandbits(48):012x}",
        "time": str(BEGAN_MS + nth),
        "price": "10000.1",
        "size": size(rng),
        "value": "248.6991",
        "takerOrderId": str(799_376_000_000_000_000 + 2 * nth),
        "makerOrderId": str(799_376_000_000_000_001 + 2 * nth),
        "takerAccountId": "100000000000000001",
        "makerAccountId": "100000000000000002",
        "contractId": _id(number),
        "contractName": f"COIN{number}USDC",
        "isBestMatch": False,
        "isBuyerMaker": nth % 2 == 0,
    }


def _ticker(rng: random.Random, number: int) -> dict[str, Any]:
    return {
        "contractId": _id(number),
        "contractName": f"COIN{number}USDC",
        "priceChange": "-1.09",
        "priceChangePercent": "-0.004842",
        "trades": "4875",
        "size": "2381.70",
        "value": "534818.5964",
        "high": "10225.85",
        "low": "9923.01",
        "open": "10025.07",
        "close": "10000.1",
        "highTime": str(BEGAN_MS),
        "lowTime": str(BEGAN_MS),
        "startTime": str(BEGAN_MS),
        "endTime": str(BEGAN_MS + 86_400_000),
        "lastPrice": "10000.1",
        "indexPrice": "10000.9616349365",
        "oraclePrice": f"{size(rng)}929977074249467",
        "markPrice": "10000.978929977074249467",
        "openInterest": "660.00",
        "fundingRate": "0.00036773",
        "fundingTime": str(BEGAN_MS),
        "nextFundingTime": str(BEGAN_MS + 14_400_000),
        "marketOpen": True,
    }
