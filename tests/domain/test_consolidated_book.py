"""Several venues' books as one."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.consolidated_book import consolidate
from domain.market_data import OrderBook
from tests.domain.test_book_building import book_of

Side = dict[Decimal, Decimal]
d = Decimal

sides = st.dictionaries(st.integers(1, 20).map(Decimal), st.integers(1, 9).map(Decimal), max_size=8)


def book(bids: Side, asks: Side) -> OrderBook:
    return book_of((bids, asks))


def test_best_prices_name_their_venues_most_first() -> None:
    books = {
        "a": book({d(9): d(1), d(8): d(5)}, {d(11): d(1)}),
        "b": book({d(9): d(3)}, {d(10): d(2), d(11): d(4)}),
    }
    found = consolidate("BTC-PERP", books, depth=20)
    assert found.venues == ("a", "b")
    assert found.best_bid is not None and found.best_ask is not None
    assert (found.best_bid.price, found.best_bid.quantity) == (d(9), d(4))
    assert found.best_bid.venues == (("b", d(3)), ("a", d(1)))
    assert (found.best_ask.price, found.best_ask.venues) == (d(10), (("b", d(2)),))
    assert [level.quantity for level in found.asks] == [2, 5]


def test_bids_above_asks_of_another_venue_stay() -> None:
    books = {"a": book({d(12): d(1)}, {d(13): d(1)}), "b": book({d(9): d(1)}, {d(10): d(1)})}
    found = consolidate("BTC-PERP", books, depth=5)
    assert found.best_bid is not None and found.best_ask is not None
    assert found.best_bid.price > found.best_ask.price


def test_of_nothing_there_is_nothing() -> None:
    found = consolidate("BTC-PERP", {}, depth=5)
    assert (found.best_bid, found.best_ask, found.venues) == (None, None, ())


@given(st.dictionaries(st.sampled_from("abc"), st.tuples(sides, sides)), st.integers(1, 30))
def test_every_quantity_is_some_venues_and_none_is_lost(
    books: dict[str, tuple[Side, Side]], depth: int
) -> None:
    found = consolidate(
        "X", {venue: book(bids, asks) for venue, (bids, asks) in books.items()}, depth=depth
    )
    for side, number, descending in ((found.bids, 0, True), (found.asks, 1, False)):
        prices = [level.price for level in side]
        assert prices == sorted(prices, reverse=descending)
        wanted = sorted({p for each in books.values() for p in each[number]}, reverse=descending)
        assert prices == wanted[:depth]
        for level in side:
            there = {
                venue: each[number][level.price]
                for venue, each in books.items()
                if level.price in each[number]
            }
            assert dict(level.venues) == there
            assert level.quantity == sum(there.values())
