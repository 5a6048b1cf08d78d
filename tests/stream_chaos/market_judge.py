"""What has to be true of market data after the storm: pure comparisons with the exchange.

Each function returns what is wrong, a line for each; nothing is an answer of "all is well".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from tests.stream_chaos.follower import Heard

Json = dict[str, Any]
Side = dict[Decimal, Decimal]

#: Levels of a side that each venue sends of its quick books.
LEVELS: Final = {"hyperliquid": 5, "pacifica": 10}


class ImpossibleChange(Exception):
    """A book's change that does not fit to the book before it."""


def fold_book(heard: Sequence[Heard]) -> tuple[Side, Side]:
    """Return the bids and asks that snapshots and changes lead to.

    Raises:
        ImpossibleChange: a level is taken away that is not there.
    """
    bids: Side = {}
    asks: Side = {}
    for one in heard:
        for side, levels in ((bids, one.body["bids"]), (asks, one.body["asks"])):
            if one.kind == "snapshot" or one.body["full"]:
                side.clear()
            for level in levels:
                price, quantity = Decimal(level[0]), Decimal(level[1])
                if quantity:
                    side[price] = quantity
                elif side.pop(price, None) is None:
                    raise ImpossibleChange(f"change {one.seq} takes {price} away, it is not there")
    return bids, asks


def judge_book(
    name: str, heard: Sequence[Heard], exchange: Json, venue: str = "hyperliquid"
) -> list[str]:
    """A client's book is the exchange's, as deep as the venue sends it."""
    try:
        sides = fold_book(heard)
    except ImpossibleChange as impossible:
        return [f"{name}: {impossible}"]
    wrong: list[str] = []
    for side, shown in zip(("bids", "asks"), sides, strict=True):
        real = {Decimal(price): Decimal(size) for price, size in exchange[side][: LEVELS[venue]]}
        if shown != real:
            wrong.append(f"{name}: {side} are {_plainly(shown)}, at the exchange {_plainly(real)}")
    return wrong


def judge_times(name: str, heard: Sequence[Heard]) -> list[str]:
    """What a client is shown of one connection to the venue is never older than before."""
    wrong: list[str] = []
    last: datetime | None = None
    for one in heard:
        at = datetime.fromisoformat(one.body["event_time"])
        if last is not None and at < last:
            wrong.append(f"{name}: {one.seq} is of {at}, the one before of {last}")
        last = at
    return wrong


def judge_top(name: str, newest: Json, exchange: Json) -> list[str]:
    """A client's best prices are the exchange's."""
    wrong: list[str] = []
    for shown, side in (("bid", "bids"), ("ask", "asks")):
        real = next(iter(exchange[side]), None)
        if _level(newest.get(shown)) != _level(real):
            wrong.append(f"{name}: {shown} is {newest.get(shown)}, at the exchange {real}")
    return wrong


def judge_ticker(name: str, newest: Json, exchange: Json) -> list[str]:
    """A client's mark price is the exchange's."""
    shown = newest.get("ticker", {}).get("mark_price")
    if shown is None or Decimal(shown) != Decimal(exchange["mark_price"]):
        return [f"{name}: the mark price is {shown}, at the exchange {exchange['mark_price']}"]
    return []


def judge_trades(
    name: str, heard: Sequence[Heard], made: Mapping[str, tuple[Decimal, Decimal]]
) -> list[str]:
    """Every trade told was made, at that price, and is told once (again in a snapshot only)."""
    wrong: list[str] = []
    told: set[str] = set()
    for one in heard:
        for trade in one.body["trades"]:
            key = trade["trade_id"]
            if one.kind == "update" and key in told:
                wrong.append(f"{name}: trade {key} came again in {one.seq}")
            told.add(key)
            if made.get(key) != (Decimal(trade["price"]), Decimal(trade["quantity"])):
                wrong.append(f"{name}: trade {key} is {trade}, at the exchange {made.get(key)}")
    return wrong


def trades_told(heard: Collection[Heard]) -> set[str]:
    """Return the trades that a client was told of."""
    return {trade["trade_id"] for one in heard for trade in one.body["trades"]}


def _level(level: Sequence[str] | None) -> tuple[Decimal, Decimal] | None:
    return None if level is None else (Decimal(level[0]), Decimal(level[1]))


def _plainly(side: Side) -> dict[str, str]:
    return {f"{price:f}": f"{quantity:f}" for price, quantity in side.items()}
