"""Books kept from snapshots and changes, against a reference that is told everything."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.book_building import (
    Applied,
    BookDelta,
    BookKeeper,
    LevelChange,
    changes_between,
)
from domain.market_data import BookLevel, OrderBook

T0 = datetime(2026, 1, 1, tzinfo=UTC)
Side = dict[Decimal, Decimal]


def book(bids: Side, asks: Side) -> OrderBook:
    def side(levels: Side, *, descending: bool) -> tuple[BookLevel, ...]:
        prices = sorted(levels, reverse=descending)
        return tuple(BookLevel(price=price, quantity=levels[price]) for price in prices)

    return OrderBook(
        venue="v",
        symbol="BTC-PERP",
        bids=side(bids, descending=True),
        asks=side(asks, descending=False),
        event_time=T0,
        received_time=T0,
    )


def d(number: int | str) -> Decimal:
    return Decimal(number)


def delta(
    first: int,
    last: int | None = None,
    bids: Side | None = None,
    asks: Side | None = None,
    previous: int | None = None,
) -> BookDelta:
    def changes(side: Side | None) -> tuple[LevelChange, ...]:
        return tuple(LevelChange(price=p, quantity=q) for p, q in (side or {}).items())

    return BookDelta(
        first=first,
        last=first if last is None else last,
        bids=changes(bids),
        asks=changes(asks),
        event_time=T0,
        received_time=T0,
        previous=previous,
    )


def kept(number: int = 10) -> BookKeeper:
    keeper = BookKeeper("v", "BTC-PERP")
    assert keeper.begin(book({d(9): d(1)}, {d(11): d(1)}), number) is Applied.APPLIED
    return keeper


quantities = st.integers(0, 3).map(Decimal)
#: Bids stay below 50 and asks above, so that no book of the reference is crossed.
below = st.dictionaries(st.integers(40, 49).map(Decimal), quantities, max_size=4)
above = st.dictionaries(st.integers(50, 59).map(Decimal), quantities, max_size=4)


def written(side: Side, changes: Side) -> None:
    for price, quantity in changes.items():
        if quantity:
            side[price] = quantity
        else:
            side.pop(price, None)


@given(
    st.lists(
        st.tuples(below, above, st.sampled_from(["ok", "lost", "twice", "late", "reset"])),
        max_size=40,
    )
)
def test_a_book_is_the_reference_or_is_none(steps: list[tuple[Side, Side, str]]) -> None:
    """Deltas are lost, repeated and late; a book that is shown is the venue's at that number."""
    bids: Side = {}
    asks: Side = {}
    history: dict[int, OrderBook] = {0: book({}, {})}
    keeper = BookKeeper("v", "BTC-PERP")
    keeper.begin(history[0], 0)
    late: list[BookDelta] = []
    for number, (bid_changes, ask_changes, fate) in enumerate(steps, start=1):
        written(bids, bid_changes)
        written(asks, ask_changes)
        history[number] = book(bids, asks)
        change = delta(number, bids=bid_changes, asks=ask_changes)
        if fate == "reset":
            keeper.reset()
            assert keeper.book() is None
        if fate in ("ok", "twice", "reset"):
            keeper.apply(change)
        if fate == "twice":
            assert keeper.apply(change) in (Applied.OLD, Applied.WAITING)
        if fate == "late":
            late.append(change)
        elif late and fate == "ok":
            keeper.apply(late.pop())
        shown = keeper.book()
        if shown is not None:
            assert keeper.number is not None
            assert shown == history[keeper.number]
        if keeper.needs_snapshot:
            keeper.begin(history[number], number)
            assert keeper.book() == history[number]


@given(below, above, below, above)
def test_changes_between_two_books_lead_from_one_to_the_other(
    bids: Side, asks: Side, new_bids: Side, new_asks: Side
) -> None:
    def positive(side: Side) -> Side:
        return {price: quantity for price, quantity in side.items() if quantity}

    before = book(positive(bids), positive(asks))
    after = book(positive(new_bids), positive(new_asks))
    changes = changes_between(before, after)
    for levels, told, wanted in (
        (positive(bids), changes.bids, positive(new_bids)),
        (positive(asks), changes.asks, positive(new_asks)),
    ):
        written(levels, {change.price: change.quantity for change in told})
        assert levels == wanted
    assert changes.count == len(changes.bids) + len(changes.asks)
    assert changes_between(after, after).count == 0


def test_a_gap_loses_the_book_until_a_snapshot_and_keeps_what_came_meanwhile() -> None:
    keeper = kept()
    assert keeper.apply(delta(12, bids={d(8): d(5)})) is Applied.RESYNC
    assert keeper.book() is None
    assert keeper.needs_snapshot
    assert keeper.apply(delta(13, asks={d(12): d(6)})) is Applied.WAITING
    assert keeper.begin(book({d(9): d(1)}, {d(11): d(1)}), 11) is Applied.APPLIED
    found = keeper.book(depth=5)
    assert found is not None
    assert [(level.price, level.quantity) for level in found.bids] == [(9, 1), (8, 5)]
    assert [(level.price, level.quantity) for level in found.asks] == [(11, 1), (12, 6)]
    assert keeper.number == 13


def test_a_snapshot_too_old_for_what_waits_asks_again() -> None:
    keeper = BookKeeper("v", "BTC-PERP")
    assert keeper.apply(delta(20)) is Applied.WAITING
    assert keeper.begin(book({}, {}), 15) is Applied.RESYNC
    assert keeper.needs_snapshot
    assert keeper.begin(book({}, {}), 19) is Applied.APPLIED
    assert keeper.number == 20


def test_a_change_of_several_numbers_may_begin_before_the_book() -> None:
    keeper = kept(10)
    assert keeper.apply(delta(8, 12, bids={d(9): d(4)})) is Applied.APPLIED
    assert keeper.number == 12
    assert keeper.apply(delta(7, 11)) is Applied.OLD


def test_a_venue_that_names_the_number_before() -> None:
    keeper = kept(10)
    assert keeper.apply(delta(17, previous=10)) is Applied.APPLIED
    assert keeper.apply(delta(30, previous=18)) is Applied.RESYNC


@pytest.mark.parametrize(
    "wrong",
    [
        delta(11, bids={d(11): d(1)}),
        delta(11, asks={d(9): d(1)}),
        delta(11, asks={d(12): d(-1)}),
        delta(11, bids={d(0): d(1)}),
    ],
)
def test_a_book_that_cannot_be_true_is_not_shown(wrong: BookDelta) -> None:
    keeper = kept()
    assert keeper.apply(wrong) is Applied.RESYNC
    assert keeper.book() is None
    assert keeper.number is None


def test_a_crossed_snapshot_is_none() -> None:
    keeper = BookKeeper("v", "BTC-PERP")
    assert keeper.begin(book({d(11): d(1)}, {d(10): d(1)}), 1) is Applied.RESYNC
    assert keeper.book() is None


def test_removing_what_is_not_there_changes_nothing() -> None:
    keeper = kept()
    assert keeper.apply(delta(11, bids={d(3): d(0)})) is Applied.APPLIED
    found = keeper.book()
    assert found is not None
    assert len(found.bids) == 1
