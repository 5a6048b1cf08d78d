"""Frames of Extended: whole books of thousands of levels once, then changes with the new sizes.

As recorded on mainnet 2026-09 for BTC, where frames were cut at five levels a side: a change names
six of them on average, one of fifteen gone. All frames of a connection are numbered together.
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

_KINDS = ("book", "best", "trades", "prices")
_PRICES: Final = 1_000
_RANKS: Final = 24.0
_GONE: Final = 1 / 15
_COUNTS: Final = (2, 3, 3, 3, 6, 7, 8, 9, 9, 10, 10)
_TRADES: Final = (1, 1, 3)


def frames() -> Made:
    """Return them."""
    rng = random.Random(SEED)
    books = ChangingBooks(rng, prices=_PRICES, counts=_COUNTS, ranks=_RANKS, gone=_GONE, tick=1.0)
    beginning = [*_beginning(books)]

    def write(kind: str, number: int, nth: int) -> tuple[Any, int]:
        data, kind_of, subscription, count = _data(rng, books, kind, number, nth)
        return _frame(kind_of, data, subscription, len(beginning) + nth), count

    markets = [market("extended", n, _name(n)) for n in range(MARKETS)]
    return made(rng, markets, _KINDS, write, beginning=beginning)


def _beginning(books: ChangingBooks) -> list[dict[str, Any]]:
    """Return whole books, and mark prices: without one there is no ticker."""
    found: list[dict[str, Any]] = []
    for number in range(MARKETS):
        name = _name(number)
        bids, asks = books.whole(number)
        book = {"t": "SNAPSHOT", "m": name, "b": _sides(bids), "a": _sides(asks), "d": "f"}
        found.append(_frame("ORDERBOOKS.SNAPSHOT", book, f"orderbooks.{name}", len(found)))
        price = {"m": name, "p": "10000.473541750005", "ts": 0}
        found.append(_frame("PRICES.MP", price, f"prices.mark.{name}", len(found)))
    return found


def _name(number: int) -> str:
    return f"COIN{number}-USD"


def _frame(kind: str, data: Any, subscription: str, seq: int) -> dict[str, Any]:
    ts = BEGAN_MS + seq
    return {"type": kind, "data": data, "ts": ts, "seq": seq, "subscription": subscription}


def _sides(levels: Sequence[Level]) -> list[dict[str, str]]:
    return [{"q": has, "p": price} for price, has in levels]


def _changes(levels: Sequence[Level]) -> list[dict[str, str]]:
    return [{"q": "-0.10000", "p": price, "c": has} for price, has in levels]


def _data(
    rng: random.Random, books: ChangingBooks, kind: str, number: int, nth: int
) -> tuple[Any, str, str, int]:
    """Return a frame's data, its type, its subscription, and how many updates it holds."""
    name = _name(number)
    match kind:
        case "book":
            bids, asks, count = books.change(number)
            book = {"t": "DELTA", "m": name, "b": _changes(bids), "a": _changes(asks), "d": "f"}
            return book, "ORDERBOOKS.DELTA", f"orderbooks.{name}", count
        case "best":
            bids, asks = ([(price, size(rng))] for price in ("9999.0", "10001.0"))
            book = {"t": "SNAPSHOT", "m": name, "b": _sides(bids), "a": _sides(asks), "d": "1"}
            return book, "ORDERBOOKS.SNAPSHOT", f"orderbooks.1.{name}", 2
        case "trades":
            trades = [_trade(rng, name, nth * 10 + n) for n in range(rng.choice(_TRADES))]
            return trades, "TRADES", f"trades.{name}", len(trades)
        case _:
            return (*_price(rng, name, nth), 1)


def _trade(rng: random.Random, name: str, trade_id: int) -> dict[str, Any]:
    return {
        "i": 2_103_000_000_000_000_000 + trade_id,
        "m": name,
        "S": "SELL",
        "tT": "TRADE",
        "T": BEGAN_MS + trade_id // 10,
        "p": "10001",
        "q": size(rng),
    }


def _price(rng: random.Random, name: str, nth: int) -> tuple[Any, str, str]:
    """Return a mark price, an index price or a rate: a ticker is put together of them."""
    spelled = f"{size(rng)}541750005"
    match rng.randrange(3):
        case 0:
            return {"m": name, "p": spelled, "ts": 0}, "PRICES.MP", f"prices.mark.{name}"
        case 1:
            return {"m": name, "p": spelled, "ts": 0}, "PRICES.IP", f"prices.index.{name}"
        case _:
            rate = {"m": name, "T": BEGAN_MS + nth, "f": "0.000013"}
            return rate, "FUNDING_RATES", f"funding-rates.{name}"
