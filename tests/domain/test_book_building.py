"""Books from changes against a book that is simply written down: whatever a line does to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.book_building import (
    WAITING_MAX,
    Applied,
    BookDelta,
    BookKeeper,
    LevelChange,
    changes_between,
)
from domain.market_data import BookLevel, OrderBook
from tests.streaming.building import T0

Sides = tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]


def book_of(sides: Sides, number: int = 0) -> OrderBook:
    """Return a book of these bids and asks."""
    bids, asks = (
        tuple(
            BookLevel(price=price, quantity=side[price]) for price in sorted(side, reverse=reverse)
        )
        for side, reverse in zip(sides, (True, False), strict=True)
    )
    at = T0 + timedelta(milliseconds=number)
    return OrderBook(
        venue="v", symbol="BTC-PERP", bids=bids, asks=asks, event_time=at, received_time=at
    )


def delta(first: int, bids: Any = (), asks: Any = (), **more: Any) -> BookDelta:
    """Return a change of levels given as pairs; numbered `first` to `last`, else `first` alone."""
    at = T0 + timedelta(milliseconds=first)
    levels = [
        tuple(LevelChange(price=Decimal(p), quantity=Decimal(q)) for p, q in side)
        for side in (bids, asks)
    ]
    values: dict[str, Any] = {"first": first, "last": first, "event_time": at, "received_time": at}
    return BookDelta(bids=levels[0], asks=levels[1], **{**values, **more})


# A venue's story: a book, and changes of it, each of one or several numbers.

_quantities = st.integers(0, 9).map(lambda n: Decimal(n) / 4)
_changes = st.dictionaries(st.integers(1, 12), _quantities, min_size=1, max_size=4)


@dataclass(frozen=True)
class Story:
    """The books after each number, and the deltas that lead from one to the next."""

    books: dict[int, OrderBook]
    deltas: tuple[BookDelta, ...]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Draw a story: bids lie at 1 to 12, asks at 21 to 32, and so never cross."""
    sides: Sides = ({Decimal(5): Decimal(1)}, {Decimal(25): Decimal(1)})
    number = draw(st.integers(0, 1_000))
    books, deltas = {number: book_of(sides, number)}, []
    for bids, asks, size in draw(
        st.lists(st.tuples(_changes, _changes, st.integers(1, 3)), min_size=1, max_size=12)
    ):
        for side, changed, above in ((sides[0], bids, 0), (sides[1], asks, 20)):
            for price, quantity in changed.items():
                side.pop(Decimal(price + above), None)
                if quantity:
                    side[Decimal(price + above)] = quantity
        last = number + size
        deltas.append(
            delta(
                number + 1,
                bids.items(),
                [(price + 20, quantity) for price, quantity in asks.items()],
                last=last,
                event_time=T0 + timedelta(milliseconds=last),
                received_time=T0 + timedelta(milliseconds=last),
                previous=draw(st.sampled_from([None, number])),
            )
        )
        number = last
        books[number] = book_of(sides, number)
    return Story(books, tuple(deltas))


def follow(keeper: BookKeeper, story: Story, deltas: Sequence[BookDelta]) -> None:
    """Apply changes; at any time the keeper has the venue's book of its number, or none."""
    for one in deltas:
        before = keeper.number
        applied = keeper.apply(one)
        if applied is Applied.OLD:
            assert before is not None
            assert one.last <= before
            assert keeper.number == before
        if applied is Applied.RESYNC:
            assert keeper.needs_snapshot
        if keeper.number is None:
            assert keeper.book() is None
        else:
            assert keeper.book() == story.books[keeper.number]


def healed(keeper: BookKeeper, story: Story) -> None:
    """After a snapshot and what waited, the keeper has one of the venue's newest books."""
    if keeper.needs_snapshot:
        number = max(story.books)
        assert keeper.begin(story.books[number], number) is Applied.APPLIED
    assert keeper.number is not None
    assert keeper.book() == story.books[keeper.number]


@given(stories())
def test_whole_and_in_order_every_change_is_applied(story: Story) -> None:
    keeper = BookKeeper("v", "BTC-PERP")
    first = min(story.books)
    assert keeper.begin(story.books[first], first) is Applied.APPLIED
    for one in story.deltas:
        assert keeper.apply(one) is Applied.APPLIED
        assert keeper.number == one.last
        assert keeper.book() == story.books[one.last]


@given(stories(), st.data())
def test_lost_repeated_and_swapped_changes_never_show_a_wrong_book(
    story: Story, data: st.DataObject
) -> None:
    indexes = data.draw(
        st.lists(st.integers(0, len(story.deltas) - 1), max_size=2 * len(story.deltas))
    )
    keeper = BookKeeper("v", "BTC-PERP")
    first = min(story.books)
    keeper.begin(story.books[first], first)
    follow(keeper, story, [story.deltas[index] for index in indexes])
    healed(keeper, story)
    assert keeper.apply(story.deltas[-1]) in (Applied.OLD, Applied.APPLIED, Applied.RESYNC)


@given(stories(), st.data())
def test_a_snapshot_taken_at_any_moment_fits_to_the_changes_around_it(
    story: Story, data: st.DataObject
) -> None:
    """Changes come first, or while the snapshot is on its way; it may be older than some."""
    number = data.draw(st.sampled_from(sorted(story.books)))
    begun_after = data.draw(st.integers(0, len(story.deltas)))
    keeper = BookKeeper("v", "BTC-PERP")
    for one in story.deltas[:begun_after]:
        assert keeper.apply(one) is Applied.WAITING
    assert keeper.begin(story.books[number], number) is Applied.APPLIED
    reached = story.deltas[begun_after - 1].last if begun_after else number
    assert keeper.number == max(number, reached)
    follow(keeper, story, story.deltas[begun_after:])
    # None was lost, so that a resync is due only where the snapshot was older than the changes.
    if number >= (story.deltas[begun_after].follows if begun_after < len(story.deltas) else 0):
        assert keeper.book() == story.books[max(story.books)]


@given(stories(), st.data())
def test_a_missing_change_is_noticed_with_the_next_one(story: Story, data: st.DataObject) -> None:
    if len(story.deltas) < 2:
        return
    lost = data.draw(st.integers(0, len(story.deltas) - 2))
    keeper = BookKeeper("v", "BTC-PERP")
    first = min(story.books)
    keeper.begin(story.books[first], first)
    follow(keeper, story, story.deltas[:lost])
    assert keeper.apply(story.deltas[lost + 1]) is Applied.RESYNC
    # What broke the book waits: it follows the snapshot, or is in it.
    number = data.draw(st.sampled_from([story.deltas[lost].last, story.deltas[lost + 1].last]))
    assert keeper.begin(story.books[number], number) is Applied.APPLIED
    follow(keeper, story, story.deltas[lost + 2 :])
    assert keeper.book() == story.books[max(story.books)]


@given(stories(), stories())
def test_changes_between_two_books_lead_from_one_to_the_other(left: Story, right: Story) -> None:
    before, after = left.books[max(left.books)], right.books[max(right.books)]
    changes = changes_between(before, after)
    keeper = BookKeeper("v", "BTC-PERP")
    keeper.begin(before, 0)
    step = replace(delta(1), bids=changes.bids, asks=changes.asks, event_time=after.event_time)
    keeper.apply(replace(step, received_time=after.received_time))
    assert keeper.book() == after
    same = {level.price: level.quantity for level in (*before.bids, *before.asks)}
    for change in (*changes.bids, *changes.asks):
        assert same.get(change.price, Decimal(0)) != change.quantity
    assert changes.count == len(changes.bids) + len(changes.asks)
    assert changes_between(before, before).count == 0


def test_what_cannot_be_true_loses_the_book() -> None:
    begin = book_of(({Decimal(5): Decimal(1)}, {Decimal(25): Decimal(1)}))
    for impossible in (
        delta(1, bids=[(25, 1)]),
        delta(1, asks=[(5, 1)]),
        delta(1, bids=[(6, -1)]),
        delta(1, bids=[(0, 1)]),
        delta(1, asks=[(-1, 0)]),
    ):
        keeper = BookKeeper("v", "BTC-PERP")
        keeper.begin(begin, 0)
        assert keeper.apply(impossible) is Applied.RESYNC
        assert keeper.needs_snapshot
        assert keeper.book() is None
    crossed = book_of(({Decimal(25): Decimal(1)}, {Decimal(25): Decimal(1)}))
    keeper = BookKeeper("v", "BTC-PERP")
    assert keeper.begin(crossed, 0) is Applied.RESYNC
    assert keeper.book() is None


def test_depth_and_one_empty_side() -> None:
    keeper = BookKeeper("v", "BTC-PERP")
    assert keeper.book() is None
    sides: Sides = ({Decimal(n): Decimal(1) for n in range(1, 9)}, {})
    keeper.begin(book_of(sides), 7)
    found = keeper.book(3)
    assert found is not None
    assert [level.price for level in found.bids] == [8, 7, 6]
    assert found.asks == ()
    keeper.reset()
    assert (keeper.number, keeper.book()) == (None, None)


def test_too_many_waiting_changes_leave_a_gap_that_shows() -> None:
    keeper = BookKeeper("v", "BTC-PERP")
    begin = book_of(({Decimal(5): Decimal(1)}, {Decimal(25): Decimal(1)}))
    for number in range(1, WAITING_MAX + 2):
        assert keeper.apply(delta(number, bids=[(6, 1)])) is Applied.WAITING
    assert keeper.begin(begin, 0) is Applied.RESYNC
    assert keeper.needs_snapshot


@pytest.mark.parametrize("previous", [None, 3])
def test_a_change_that_reaches_back_into_the_book_is_applied(previous: int | None) -> None:
    """It holds levels as they are at its end, whatever of it the book has already."""
    keeper = BookKeeper("v", "BTC-PERP")
    keeper.begin(book_of(({Decimal(5): Decimal(1)}, {Decimal(25): Decimal(1)})), 5)
    assert keeper.apply(delta(4, bids=[(5, 2)], last=7, previous=previous)) is Applied.APPLIED
    found = keeper.book()
    assert found is not None
    assert (keeper.number, found.bids[0].quantity) == (7, Decimal(2))
