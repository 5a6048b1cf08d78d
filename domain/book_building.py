"""Order books from snapshots and changes, and the changes between two books.

`BookKeeper` applies a venue's numbered changes and asks for a new snapshot as soon as one is
missing or cannot be true: a book with a gap is never shown. Pure; knows no venue and no socket.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.market_data import BookLevel, OrderBook

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChange:
    """The quantity now at a price; zero: the level is gone."""

    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BookChanges:
    """The levels that differ between two books, best first as far as there is a best."""

    bids: tuple[LevelChange, ...]
    asks: tuple[LevelChange, ...]

    @property
    def count(self) -> int:
        """How many levels differ."""
        return len(self.bids) + len(self.asks)


def changes_between(before: OrderBook, after: OrderBook) -> BookChanges:
    """Return what has to be applied to `before` to have `after`."""
    return BookChanges(
        bids=_side_changes(before.bids, after.bids), asks=_side_changes(before.asks, after.asks)
    )


def _side_changes(
    before: tuple[BookLevel, ...], after: tuple[BookLevel, ...]
) -> tuple[LevelChange, ...]:
    had = {level.price: level.quantity for level in before}
    found = [
        LevelChange(price=level.price, quantity=level.quantity)
        for level in after
        if had.pop(level.price, None) != level.quantity
    ]
    found.extend(LevelChange(price=price, quantity=ZERO) for price in had)
    return tuple(found)


class Applied(StrEnum):
    """What became of a change."""

    APPLIED = "applied"
    #: Older than the book; there was nothing to do.
    OLD = "old"
    #: The book cannot be trusted any more: a new snapshot is needed, `book` is None until then.
    RESYNC = "resync"
    #: There is no snapshot yet; the change is kept and applied after it.
    WAITING = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookDelta:
    """A venue's change: levels as they are now, numbered `first` to `last`.

    `previous` is the number it follows on, where the venue says so; else it is `first` - 1.
    """

    first: int
    last: int
    bids: tuple[LevelChange, ...]
    asks: tuple[LevelChange, ...]
    event_time: datetime
    received_time: datetime
    previous: int | None = None

    @property
    def follows(self) -> int:
        """The number of the book it has to be applied to."""
        return self.first - 1 if self.previous is None else self.previous


#: Changes that may wait for a snapshot; with more the oldest is dropped, and a gap shows.
WAITING_MAX = 1_000


class BookKeeper:
    """One market's book, kept from a snapshot and the changes after it."""

    def __init__(self, venue: str, symbol: str) -> None:
        self._venue = venue
        self._symbol = symbol
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}
        self._number: int | None = None
        self._event_time: datetime | None = None
        self._received_time: datetime | None = None
        self._waiting: list[BookDelta] = []

    @property
    def number(self) -> int | None:
        """The number of the last change in the book; None while there is no book."""
        return self._number

    @property
    def needs_snapshot(self) -> bool:
        """Whether a snapshot has to be asked for."""
        return self._number is None

    def reset(self) -> None:
        """Forget everything: the connection is gone."""
        self._lose()
        self._waiting.clear()

    def begin(self, book: OrderBook, number: int) -> Applied:
        """Take a snapshot that holds all changes up to `number`, then what waited for it."""
        self._bids = _levels(book.bids)
        self._asks = _levels(book.asks)
        self._number = number
        self._event_time, self._received_time = book.event_time, book.received_time
        if self._is_crossed():
            self._lose()
            return Applied.RESYNC
        waiting, self._waiting = self._waiting, []
        for delta in waiting:
            if self.apply(delta) is Applied.RESYNC:
                return Applied.RESYNC
        return Applied.APPLIED

    def apply(self, delta: BookDelta) -> Applied:
        """Apply a change, unless it is old; a gap or a crossed book loses the book."""
        if self._number is None:
            self._waiting.append(delta)
            del self._waiting[:-WAITING_MAX]
            return Applied.WAITING
        if delta.last <= self._number:
            return Applied.OLD
        # One that begins before the book and ends after it holds levels as they are at its end.
        if delta.follows > self._number:
            self._lose()
            self._waiting.append(delta)
            return Applied.RESYNC
        if not _change(self._bids, delta.bids) or not _change(self._asks, delta.asks):
            self._lose()
            return Applied.RESYNC
        self._number = delta.last
        self._event_time, self._received_time = delta.event_time, delta.received_time
        if self._is_crossed():
            self._lose()
            return Applied.RESYNC
        return Applied.APPLIED

    def book(self, depth: int | None = None) -> OrderBook | None:
        """Return the present book (at most `depth` levels a side), or None without one."""
        if self._number is None or self._event_time is None or self._received_time is None:
            return None
        return OrderBook(
            venue=self._venue,
            symbol=self._symbol,
            bids=_side(self._bids, depth, descending=True),
            asks=_side(self._asks, depth, descending=False),
            event_time=self._event_time,
            received_time=self._received_time,
        )

    def _is_crossed(self) -> bool:
        return bool(self._bids and self._asks) and max(self._bids) >= min(self._asks)

    def _lose(self) -> None:
        self._number = None
        self._bids, self._asks = {}, {}


def _levels(side: Iterable[BookLevel]) -> dict[Decimal, Decimal]:
    return {level.price: level.quantity for level in side if level.quantity > 0}


def _change(side: dict[Decimal, Decimal], changes: Iterable[LevelChange]) -> bool:
    """Apply changes; False if one cannot be true."""
    for change in changes:
        if change.quantity < 0 or change.price <= 0:
            return False
        if change.quantity:
            side[change.price] = change.quantity
        else:
            side.pop(change.price, None)
    return True


def _side(
    levels: dict[Decimal, Decimal], depth: int | None, *, descending: bool
) -> tuple[BookLevel, ...]:
    prices = sorted(levels, reverse=descending)[:depth]
    return tuple(BookLevel(price=price, quantity=levels[price]) for price in prices)
