"""A side of a book in order, against a book that is simply sorted anew each time."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.market_data import BookLevel
from venues.book_side import BookSide

PRICES = st.decimals("0.5", "3", places=1)
#: Many are nothing, so that levels go as often as they come.
QUANTITIES = st.sampled_from([Decimal(text) for text in ("0", "0.000", "1", "2.50", "-1")])
LEVELS = st.lists(st.tuples(PRICES, QUANTITIES), max_size=30)


def sorted_anew(levels: dict[Decimal, Decimal], *, bids: bool) -> tuple[BookLevel, ...]:
    return tuple(
        BookLevel(price=price, quantity=levels[price])
        for price in sorted(levels, reverse=bids)
        if levels[price] > 0
    )


@given(st.booleans(), LEVELS, LEVELS, st.integers(1, 12))
def test_a_side_is_what_was_told_last_of_each_price(
    bids: bool,
    whole: list[tuple[Decimal, Decimal]],
    changes: list[tuple[Decimal, Decimal]],
    depth: int,
) -> None:
    side, plainly = BookSide(bids=bids), dict(whole)
    side.replace(whole)
    assert side.best(depth) == sorted_anew(plainly, bids=bids)[:depth]
    for price, quantity in changes:
        side.put(price, quantity)
        plainly[price] = quantity
        assert side.best(depth) == sorted_anew(plainly, bids=bids)[:depth]
    side.replace(whole)
    assert side.best(100) == sorted_anew(dict(whole), bids=bids)


def test_levels_that_no_change_names_are_told_again_as_they_are() -> None:
    side = BookSide(bids=False)
    side.replace([(Decimal(1), Decimal(5)), (Decimal(2), Decimal(6))])
    before = side.best(2)
    side.put(Decimal(1), Decimal(7))
    assert side.best(2)[1] is before[1]
    assert before == (
        BookLevel(price=Decimal(1), quantity=Decimal(5)),
        BookLevel(price=Decimal(2), quantity=Decimal(6)),
    )
