"""A book kept up to date: a whole one, then changes that name the nonce they begin at. Pure.

A change is next if it begins where the book stands; one that begins later means that something is
missing, and the book is of no use until a whole one comes.

Source: docs websocket-reference (order_book).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from domain.market_data import BookLevel
from venues.book_side import BookSide
from venues.lighter import wire

#: Levels told of each side.
DEPTH: Final = 50


class Folded(StrEnum):
    """What a change did."""

    TAKEN = "taken"
    #: It is of before what the book has.
    STALE = "stale"
    #: Something is missing.
    GAP = "gap"


class BookFold:
    """One market's book."""

    def __init__(self) -> None:
        self._bids = BookSide(bids=True)
        self._asks = BookSide(bids=False)
        self._nonce: int | None = None
        self._is_whole = False

    @property
    def is_whole(self) -> bool:
        """Whether the book is what the venue has."""
        return self._is_whole

    def begin(self, changes: wire.BookChanges) -> None:
        """Take a whole book."""
        self._bids.replace((level.price, level.size) for level in changes.bids)
        self._asks.replace((level.price, level.size) for level in changes.asks)
        self._nonce = changes.nonce
        self._is_whole = True

    def change(self, changes: wire.BookChanges) -> Folded:
        """Take a change.

        Servers of 2025 told no `begin_nonce`; there a nonce that rises is taken for the next one.
        """
        if not self._is_whole:
            return Folded.STALE
        nonce, begin = changes.nonce, changes.begin_nonce
        if nonce is not None and self._nonce is not None:
            if nonce <= self._nonce:
                return Folded.STALE
            if begin is not None and begin != self._nonce:
                self._is_whole = False
                return Folded.GAP
        _change(self._bids, changes.bids)
        _change(self._asks, changes.asks)
        self._nonce = nonce if nonce is not None else self._nonce
        return Folded.TAKEN

    def bids(self, depth: int = DEPTH) -> tuple[BookLevel, ...]:
        """Return the best bids, highest first."""
        return self._bids.best(depth)

    def asks(self, depth: int = DEPTH) -> tuple[BookLevel, ...]:
        """Return the best asks, lowest first."""
        return self._asks.best(depth)


def _change(side: BookSide, levels: Iterable[wire.Level]) -> None:
    for level in levels:
        side.put(level.price, level.size)
