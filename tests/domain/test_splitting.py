"""Splitting an order: to the last digit, in lots, never worse than the best place alone."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.execution_cost import after_taking, take
from domain.instruments import OrderSide
from domain.orders import TimeInForce
from domain.route_places import OrderAsk, Place, Why
from domain.routing import choose, margin_needed
from domain.splitting import LEGS_MAX, Split, split
from tests.domain.routing_building import (
    NOW,
    a_book,
    a_market_ask,
    a_place,
    an_ask,
    asks,
    places,
)


def quantities(found: Split) -> dict[str, str]:
    return {share.account_id: f"{share.quantity.normalize():f}" for share in found.shares}


def test_the_cheaper_levels_of_both_books_are_taken() -> None:
    one = a_place("a1", "alpha", book=a_book(asks=[(100, "0.3"), (102, 5)]))
    other = a_place("a2", "beta", book=a_book(asks=[(101, "0.4"), (103, 5)]))
    found = split(an_ask("0.9", 105), [one, other], NOW)
    assert quantities(found) == {"a1": "0.5", "a2": "0.4"}
    prices = {share.account_id: share.average_price for share in found.shares}
    assert prices["a2"] == 101
    assert found.cost < choose(an_ask("0.9", 105), [one, other], NOW).candidates[0].cost


def test_fees_decide_between_equal_prices() -> None:
    dear = a_place("a1", "alpha", fees=("0", "0.0010"), book=a_book(asks=[(100, 1)]))
    cheap = a_place("a2", "beta", fees=("0", "0.0002"), book=a_book(asks=[(100, 1)]))
    assert quantities(split(an_ask("1.5", 100), [dear, cheap], NOW)) == {"a2": "1", "a1": "0.5"}


def test_what_does_not_execute_waits_where_makers_pay_least() -> None:
    one = a_place("a1", "alpha", fees=("0.0003", "0.0004"), book=a_book(asks=[(100, "0.2")]))
    other = a_place("a2", "beta", fees=("-0.0001", "0.0009"), book=a_book(asks=[(110, 1)]))
    found = split(an_ask("1", 100), [one, other], NOW)
    assert quantities(found) == {"a2": "0.8", "a1": "0.2"}


def test_two_accounts_at_one_venue_do_not_take_the_same_level_twice() -> None:
    book = a_book(asks=[(100, "0.4"), (101, "0.4"), (120, 9)])
    pair = [
        a_place(name, book=book, terms={"available": Decimal(4), "leverage": Decimal(10)})
        for name in ("a1", "a2")
    ]
    found = split(an_ask("0.7", 102), pair, NOW)
    assert sum(share.executable for share in found.shares) == Decimal("0.7")
    values = [share.executable * (share.average_price or 0) for share in found.shares]
    assert sum(values) == Decimal("0.4") * 100 + Decimal("0.3") * 101


def test_margin_bounds_each_share() -> None:
    poor = a_place("a1", "alpha", terms={"available": Decimal(2)}, book=a_book(asks=[(100, 9)]))
    rich = a_place("a2", "beta", book=a_book(asks=[(104, 9)]))
    found = split(an_ask("1", 105), [poor, rich], NOW)
    assert found.shares[0].account_id == "a2"
    share = found.shares[1]
    assert share.margin_needed <= Decimal(2)
    assert share.margin_needed + margin_needed(an_ask("0.001", 105), poor, Decimal("0.001")) > 2


def test_a_share_below_the_minimum_goes_where_there_is_room() -> None:
    crumb = a_place("a1", "alpha", book=a_book(asks=[(100, "0.05")]))
    large = a_place("a2", "beta", book=a_book(asks=[(101, 9)]))
    found = split(an_ask("1", 101), [crumb, large], NOW)
    assert quantities(found) == {"a2": "1"}
    [out] = found.exclusions
    assert (out.account_id, out.why) == ("a1", Why.TOO_SMALL)
    assert "0.05" in out.reason


def test_what_lots_cut_off_goes_to_the_finer_market() -> None:
    coarse = a_place("a1", market={"lot_size": Decimal("0.1")}, book=a_book([(100, "0.37")]))
    fine = a_place("a2", "beta", book=a_book([(101, 5)]))
    found = split(an_ask("0.555", 101), [coarse, fine], NOW)
    assert quantities(found) == {"a1": "0.3", "a2": "0.255"}


def test_nothing_is_split_that_cannot_be_placed_whole() -> None:
    poor = [a_place(name, terms={"available": Decimal(5)}) for name in ("a1", "a2")]
    found = split(an_ask("2"), poor, NOW)
    assert not found.shares
    assert Decimal("1") < found.unplaced < Decimal("1.2")


def test_a_quantity_that_no_lots_make_is_not_rounded() -> None:
    found = split(an_ask("0.5005"), [a_place("a1"), a_place("a2", "beta")], NOW)
    assert not found.shares
    assert found.unplaced == Decimal("0.0005")


def test_what_only_reduces_goes_where_the_positions_are() -> None:
    held = {"position": Decimal("-0.3")}
    more = {"position": Decimal("-0.6"), "available": Decimal(-1)}
    found = split(
        a_market_ask("0.8", reduce_only=True),
        [a_place("a1", terms=held), a_place("a2", "beta", terms=more), a_place("a3", "gamma")],
        NOW,
    )
    total = quantities(found)
    assert total.keys() == {"a1", "a2"}
    assert Decimal(total["a1"]) <= Decimal("0.3")
    assert Decimal(total["a2"]) <= Decimal("0.6")
    assert [each.why for each in found.exclusions] == [Why.NO_POSITION]


def test_at_most_so_many_legs() -> None:
    many = [
        a_place(f"a{number:02}", f"venue-{number}", book=a_book(asks=[(100, 1), (200, 99)]))
        for number in range(LEGS_MAX + 3)
    ]
    found = split(an_ask(13, 200), many, NOW)
    assert len(found.shares) == LEGS_MAX
    assert sum(share.quantity for share in found.shares) == 13


def test_with_nobody_open_nothing_is_placed() -> None:
    found = split(an_ask("1"), [a_place(halt="trading is halted")], NOW)
    assert (found.shares, found.unplaced) == ((), Decimal(1))


@given(ask=asks(), them=places())
def test_shares_add_up_in_lots_within_what_each_can_take(ask: OrderAsk, them: list[Place]) -> None:
    found = split(ask, them, NOW)
    by_id = {place.account_id: place for place in them}
    if not found.shares:
        assert found.unplaced > 0 or found.exclusions
        return
    assert sum(share.quantity for share in found.shares) == ask.quantity
    for share in found.shares:
        place = by_id[share.account_id]
        assert place.instrument is not None
        assert place.terms is not None
        place.instrument.check_quantity("quantity", share.quantity)
        if ask.reduce_only:
            held = place.terms.position
            assert share.quantity <= (held if ask.side is OrderSide.SELL else -held)
        else:
            assert margin_needed(ask, place, share.quantity) <= place.terms.available
        assert share.executable + share.resting == share.quantity


@given(ask=asks(), them=places())
def test_never_worse_than_the_best_place_alone(ask: OrderAsk, them: list[Place]) -> None:
    found, alone = split(ask, them, NOW), choose(ask, them, NOW)
    if alone.best is not None:
        assert found.shares
        assert found.cost <= alone.best.cost


@given(ask=asks(), them=places())
def test_no_level_is_taken_beyond_what_it_has(ask: OrderAsk, them: list[Place]) -> None:
    """What the shares claim to execute at a venue is what its one book gives for their sum."""
    found = split(ask, them, NOW)
    books = {place.venue: place for place in them}
    for venue, place in books.items():
        here = [share for share in found.shares if share.venue == venue]
        if not here or place.book is None:
            continue
        worst = max(here, key=lambda each: each.limit)
        together = sum((share.executable for share in here), Decimal(0))
        given_ = take(place.book, ask.side, together, worst.limit)
        assert given_.quantity == together
        value = sum(share.executable * (share.average_price or 0) for share in here)
        assert abs(value - given_.value) < Decimal("1e-15")


@given(ask=asks(), them=places(), seed=st.integers(0, 99))
def test_the_order_of_places_means_nothing(ask: OrderAsk, them: list[Place], seed: int) -> None:
    shuffled = list(them)
    random.Random(seed).shuffle(shuffled)
    assert split(ask, shuffled, NOW) == split(ask, them, NOW)


@pytest.mark.parametrize("side", list(OrderSide))
def test_taking_leaves_the_rest_of_a_book(side: OrderSide) -> None:
    book = a_book(asks=[(100, 1), (101, 2)], bids=[(99, 1), (98, 2)])
    worst = Decimal(1) if side is OrderSide.SELL else Decimal(200)
    whole = take(book, side, Decimal(3), worst)
    left = take(after_taking(book, side, Decimal("1.5")), side, Decimal(9), worst)
    first = take(book, side, Decimal("1.5"), worst)
    assert (left.quantity, left.value) == (Decimal("1.5"), whole.value - first.value)


def test_an_ioc_takes_its_hope_where_it_trades() -> None:
    one = a_place("a1", "alpha", fees=("0.0001", "0.0002"), book=a_book(asks=[(105, 1)]))
    other = a_place("a2", "beta", fees=("0.0001", "0.0009"), book=a_book(asks=[(100, "0.2")]))
    ask = an_ask("0.5", 100, time_in_force=TimeInForce.IOC)
    assert quantities(split(ask, [one, other], NOW)) == {"a2": "0.5"}
