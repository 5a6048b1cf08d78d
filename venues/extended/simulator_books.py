"""Books as the simulated venue's streams tell them: the whole, then what changed since.

One memory for each market of what was told last, so that every listener hears the same changes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from venues.extended.simulator_views import number
from venues.simulation.book import Ladder
from venues.simulation.exchange import Exchange

Json = dict[str, Any]
_ALL: Final = 1_000_000
_Side = dict[Decimal, Decimal]


class Books:
    """What was told of each market's book."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._told: dict[str, tuple[_Side, _Side]] = {}

    def whole(self, symbol: str) -> Json:
        """Write a book from nothing, as it was told last, so that the next change fits it."""
        bids, asks = self._told.setdefault(symbol, self._present(symbol))
        return _data(symbol, "SNAPSHOT", _rows(bids, falling=True), _rows(asks))

    def changes(self, symbol: str) -> Json | None:
        """Write what changed since it was last told; None for nothing."""
        if symbol not in self._told:
            return None
        before, now = self._told[symbol], self._present(symbol)
        self._told[symbol] = now
        sides = [_changed(old, new) for old, new in zip(before, now, strict=True)]
        if not any(sides):
            return None
        return _data(symbol, "DELTA", *sides)

    def forget(self, symbol: str) -> None:
        """Remember a book no longer: nobody listens."""
        self._told.pop(symbol, None)

    def best(self, symbol: str) -> Json:
        """Write the best price of each side."""
        book = self._exchange.tables.books[symbol]
        bids, asks = _side(book.bids, 1), _side(book.asks, 1)
        rows = _rows(bids, falling=True), _rows(asks)
        return {**_data(symbol, "SNAPSHOT", *rows), "d": "1"}

    def _present(self, symbol: str) -> tuple[_Side, _Side]:
        book = self._exchange.tables.books[symbol]
        return _side(book.bids, _ALL), _side(book.asks, _ALL)


def _side(ladder: Ladder, depth: int) -> _Side:
    return {level.price: level.quantity for level in ladder.levels(depth)}


def _rows(side: _Side, *, falling: bool = False) -> list[Json]:
    ordered = sorted(side, reverse=falling)
    return [{"q": number(side[price]), "p": number(price)} for price in ordered]


def _changed(old: _Side, new: _Side) -> list[Json]:
    """Write every level that differs: the change, and what it is now; 0 when it is gone."""
    rows = []
    for price in sorted(old.keys() | new.keys()):
        was, now = old.get(price, Decimal(0)), new.get(price, Decimal(0))
        if was != now:
            rows.append({"q": number(now - was), "p": number(price), "c": number(now)})
    return rows


def _data(symbol: str, kind: str, bids: list[Json], asks: list[Json]) -> Json:
    return {"t": kind, "m": symbol, "b": bids, "a": asks, "d": "f"}
