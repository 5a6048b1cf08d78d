"""The numbered state of one followed market channel: of one venue, or of all together.

Turns what the board received into the next message, and gives the whole state as a snapshot,
encoded once for all who need it. Knows no hub and no session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from domain.consolidated_book import ConsolidatedBook, consolidate
from domain.consolidated_book import SharedLevel as Shared
from domain.market_data import OrderBook
from domain.market_freshness import MarketFreshness, freshness_of
from domain.numbers import plain
from streaming.market_board import ChannelKey, Latest, MarketBoard
from streaming.market_messages import (
    SharedBookSnapshot,
    SharedBookUpdate,
    SharedLevel,
    SharedTopSnapshot,
    SharedTopUpdate,
    VenueShare,
)
from streaming.market_names import MarketName
from streaming.market_views import named, snapshot_of, update_of
from streaming.protocol import encode
from streaming.schema import rfc3339
from venues.connector import MarketChannelKind

SHARED_DEPTH: Final = 20
#: What a consolidated view is labelled with whose venues' data came different ways.
MIXED: Final = "mixed"


class MarketState(Protocol):
    """What a followed channel is to its topic. `sequence` is that of the last message."""

    name: MarketName
    keys: tuple[ChannelKey, ...]
    sequence: int

    @property
    def has_data(self) -> bool:
        """Whether there is anything to show."""
        ...

    def take(self, latest: Latest) -> bytes | None:
        """Return the next message, numbered, or None: nothing new, or only a beginning."""
        ...

    def look_again(self) -> bytes | None:
        """Return the next message if time alone has changed something."""
        ...

    def snapshot(self) -> bytes:
        """Return the whole state as of `sequence`."""
        ...

    def freshness(self) -> MarketFreshness:
        """Return how fresh the state is now."""
        ...


class OneVenueState:
    """A channel of one venue."""

    def __init__(
        self, name: MarketName, key: ChannelKey, board: MarketBoard, first_sequence: int
    ) -> None:
        self.name = name
        self.keys: tuple[ChannelKey, ...] = (key,)
        self.sequence = first_sequence
        self._key = key
        self._board = board
        self._latest = board.latest(key)
        self._book = None if self._latest is None else self._latest.book
        self._encoded: tuple[int, bytes] | None = None

    @property
    def has_data(self) -> bool:
        """Whether anything was received."""
        return self._latest is not None

    def take(self, latest: Latest) -> bytes | None:
        """Return what is new; the first word of all is a beginning and no update."""
        if self._latest is None:
            self._latest, self._book = latest, latest.book
            return None
        data = update_of(self.name, self.sequence + 1, latest, self._book)
        self._latest, self._book = latest, latest.book
        if data is not None:
            self.sequence += 1
        return data

    def look_again(self) -> bytes | None:
        """Nothing changes with time but its freshness."""
        return None

    def snapshot(self) -> bytes:
        """Return the whole state; who asks next for the same gets the same bytes."""
        if self._latest is None:
            raise ValueError("expected something to have been received")
        if self._encoded is None or self._encoded[0] != self.sequence:
            self._encoded = self.sequence, snapshot_of(self.name, self.sequence, self._latest)
        return self._encoded[1]

    def freshness(self) -> MarketFreshness:
        """Return how fresh the channel is."""
        return self._board.freshness(self._key)


class SharedState:
    """The books, or best prices, of all venues together; fresh ones only."""

    def __init__(
        self,
        name: MarketName,
        keys: Sequence[ChannelKey],
        board: MarketBoard,
        first_sequence: int,
    ) -> None:
        self.name = name
        self.keys = tuple(keys)
        self.sequence = first_sequence
        self._board = board
        self._included: tuple[str, ...] = ()
        self._book: ConsolidatedBook = consolidate(name.symbol, {}, depth=SHARED_DEPTH)
        self._has_data = False
        self._renew()

    @property
    def has_data(self) -> bool:
        """Whether any venue was heard."""
        return self._has_data

    def take(self, latest: Latest) -> bytes | None:
        """Return the view with what a venue said."""
        had_data = self._has_data
        self._renew()
        return self._next() if had_data else None

    def look_again(self) -> bytes | None:
        """Return the view again if a venue went stale, or is fresh again."""
        if tuple(sorted(self._fresh_books())) == self._included:
            return None
        # What came before its connection was live is the beginning once it is.
        had_data = self._has_data
        self._renew()
        return self._next() if had_data else None

    def snapshot(self) -> bytes:
        """Return the whole view."""
        told = named(self.name) | {"seq": self.sequence, "venues": self._shares()}
        if self.name.kind is MarketChannelKind.TOP:
            bid, ask = _told(self._book.best_bid), _told(self._book.best_ask)
            return encode(SharedTopSnapshot(bid=bid, ask=ask, **told))
        bids, asks = _side(self._book.bids), _side(self._book.asks)
        return encode(SharedBookSnapshot(bids=bids, asks=asks, **told))

    def freshness(self) -> MarketFreshness:
        """Return how fresh the view is: as its freshest venue; stale only if all are."""
        found = [self._board.freshness(key) for key in self.keys]
        heard = [each for each in found if each.age_s is not None]
        if not heard:
            return freshness_of(None)
        fresh = [each for each in heard if not each.stale]
        best = min(fresh or heard, key=lambda each: each.age_s or 0.0)
        sources = {each.source for each in fresh or heard}
        return MarketFreshness(
            stale=not fresh,
            age_s=best.age_s,
            source=best.source if len(sources) == 1 else MIXED,
            reason=f"{len(fresh)} of {len(found)} venues are fresh" if fresh else best.reason,
        )

    def _next(self) -> bytes:
        self.sequence += 1
        told = named(self.name) | {
            "seq": self.sequence,
            "prev_seq": self.sequence - 1,
            "venues": self._shares(),
        }
        if self.name.kind is MarketChannelKind.TOP:
            bid, ask = _told(self._book.best_bid), _told(self._book.best_ask)
            return encode(SharedTopUpdate(bid=bid, ask=ask, **told))
        bids, asks = _side(self._book.bids), _side(self._book.asks)
        return encode(SharedBookUpdate(full=True, bids=bids, asks=asks, **told))

    def _renew(self) -> None:
        books = self._fresh_books()
        self._has_data = self._has_data or bool(books)
        self._included = tuple(sorted(books))
        self._book = consolidate(self.name.symbol, books, depth=SHARED_DEPTH)

    def _fresh_books(self) -> dict[str, OrderBook]:
        found = ((key.place.venue, self._board.fresh_book(key)) for key in self.keys)
        return {venue: book for venue, book in found if book is not None}

    def _shares(self) -> list[VenueShare]:
        return [self._share(key) for key in self.keys]

    def _share(self, key: ChannelKey) -> VenueShare:
        latest, fresh = self._board.latest(key), self._board.freshness(key)
        at = None if latest is None else latest.event_time
        return VenueShare(
            venue=key.place.venue,
            included=key.place.venue in self._included,
            reason=fresh.reason,
            event_time=None if at is None else rfc3339(at),
            received_time=None if latest is None else rfc3339(latest.received_time),
            source=fresh.source,
        )


def _side(levels: Sequence[Shared]) -> list[SharedLevel]:
    return [_shared(level) for level in levels]


def _told(level: Shared | None) -> SharedLevel | None:
    return None if level is None else _shared(level)


def _shared(level: Shared) -> SharedLevel:
    shares = [(venue, plain(quantity)) for venue, quantity in level.venues]
    return plain(level.price), plain(level.quantity), shares
