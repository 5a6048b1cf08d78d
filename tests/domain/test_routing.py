"""Choosing a place: the best price after fees wins, and whoever is left out has one reason."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.account_terms import AccountRoom
from domain.execution_cost import burden
from domain.instruments import MarketState, OrderSide
from domain.market_data import BookLevel
from domain.orders import OrderType, TimeInForce
from domain.route_places import OrderAsk, Place, Why
from domain.routing import Choice, choose, in_words
from tests.domain.routing_building import (
    NOW,
    a_book,
    a_market_ask,
    a_place,
    an_ask,
    asks,
    places,
)

STOP = {"order_type": OrderType.STOP_MARKET, "trigger_price": Decimal(90)}


def best(ask: OrderAsk, *them: Place) -> str:
    found = choose(ask, them, NOW).best
    assert found is not None
    return found.account_id


def test_the_price_after_fees_decides() -> None:
    low = a_place("a1", "alpha", fees=("0", "0.0030"), book=a_book(asks=[("100.0", 1)]))
    high = a_place("a2", "beta", fees=("0", "0.0001"), book=a_book(asks=[("100.2", 1)]))
    assert best(an_ask(price=101), low, high) == "a2"
    assert best(an_ask(price=101), replace(low, terms=high.terms), high) == "a1"


def test_the_book_is_walked_for_the_whole_quantity() -> None:
    thin = a_place("a1", "alpha", book=a_book(asks=[(100, "0.1"), (110, 5)]))
    deep = a_place("a2", "beta", book=a_book(asks=[(101, 5)]))
    assert best(a_market_ask("0.1"), thin, deep) == "a1"
    assert best(a_market_ask("2", max_slippage_bps=2000), thin, deep) == "a2"


def test_a_sell_goes_where_it_brings_most() -> None:
    fewer = a_place("a1", "alpha", book=a_book(bids=[(98, 5)]))
    more = a_place("a2", "beta", book=a_book(bids=[(99, 5)]))
    assert best(an_ask(price=95, side=OrderSide.SELL), fewer, more) == "a2"


def test_what_only_rests_goes_where_makers_pay_least() -> None:
    dear = a_place("a1", "alpha", fees=("0.0002", "0.0003"))
    cheap = a_place("a2", "beta", fees=("-0.0001", "0.0009"))
    assert best(an_ask(price=90), dear, cheap) == "a2"
    assert best(an_ask(price=90, post_only=True), dear, cheap) == "a2"
    assert best(an_ask(price=None, **STOP), dear, cheap) == "a1", "a stop will take"


def test_having_it_now_is_worth_a_little_but_not_any_price() -> None:
    part = a_place("a1", "alpha", book=a_book(asks=[(100, "0.5")]))
    whole = a_place("a2", "beta", book=a_book(asks=[("100.05", 1)]))
    far = a_place("a3", "gamma", book=a_book(asks=[("100.5", 1)]))
    assert best(an_ask(1, "100.5"), part, whole) == "a2"
    assert best(an_ask(1, "100.5"), part, far) == "a1"


def test_accounts_that_pay_the_same_are_told_apart_by_their_scarcest_room() -> None:
    tight = a_place("a1", terms={"available": Decimal(20)})
    wide = a_place("a2", terms={"available": Decimal(90)})
    assert best(an_ask(), tight, wide) == "a2"
    full = replace(wide, open_orders=98)
    assert full.terms is not None
    full = replace(full, terms=replace(full.terms, room=AccountRoom(open_orders_max=100)))
    assert best(an_ask(), tight, full) == "a1", "orders are scarcer there than margin here"
    spent = AccountRoom(requests_left=Decimal(1), requests_of=Decimal(100))
    assert wide.terms is not None
    busy = replace(wide, terms=replace(wide.terms, room=spent))
    assert best(an_ask(), tight, busy) == "a1"


def test_what_only_reduces_stays_where_the_position_is() -> None:
    flat = a_place("a1", "alpha", book=a_book(asks=[(90, 5)]))
    short = a_place("a2", "beta", terms={"position": Decimal("-0.6"), "available": Decimal(-3)})
    long = a_place("a3", "gamma", terms={"position": Decimal(2)})
    ask = a_market_ask(reduce_only=True)
    found = choose(ask, [flat, short, long], NOW)
    assert [each.account_id for each in found.candidates] == ["a2"]
    assert {each.why for each in found.exclusions} == {Why.NO_POSITION}
    small = choose(replace(ask, quantity=Decimal("0.7")), [short], NOW)
    assert "holds 0.6" in small.exclusions[0].reason


def test_what_closes_a_whole_position_may_be_small_where_the_venue_takes_it() -> None:
    held = {"position": Decimal("-0.05")}
    ask = a_market_ask("0.05", reduce_only=True)
    assert best(ask, a_place(terms=held)) == "a1"
    strict = {"closes_below_minimum": False}
    [out] = choose(ask, [a_place(terms=held, sheet=strict)], NOW).exclusions
    assert out.why is Why.TOO_SMALL
    [out] = choose(replace(ask, quantity=Decimal("0.04")), [a_place(terms=held)], NOW).exclusions
    assert out.why is Why.TOO_SMALL


def test_what_only_reduces_passes_halts_blocks_limits_and_open_circuits() -> None:
    short = a_place(
        terms={"position": Decimal(-2)},
        halt="trading is halted",
        blocked="an outcome is unknown",
        violation="too large",
        circuit_open=True,
    )
    assert best(a_market_ask(reduce_only=True), short) == "a1"


def test_margin_is_measured_at_the_worst_price_that_may_come() -> None:
    figures = choose(an_ask(1, 50), [a_place(fees=("0", "0"))], NOW).best
    assert figures is not None
    assert figures.margin_needed == 5, "a buy never pays more than its limit"
    figures = choose(an_ask(1, 50, side=OrderSide.SELL), [a_place(fees=("0", "0"))], NOW).best
    assert figures is not None
    assert figures.margin_needed == Decimal("9.9"), "a sell trades at the best bid"


def test_margin_counts_only_what_grows_the_position() -> None:
    short = a_place(terms={"position": Decimal("-0.5"), "available": Decimal(1)}, fees=("0", "0"))
    assert best(an_ask("0.5"), short) == "a1"
    assert not choose(an_ask("0.7"), [short], NOW).candidates


_LEFT_OUT: list[tuple[Why, dict[str, Any], dict[str, Any]]] = [
    (Why.NO_MARKET, {"instrument": None}, {}),
    (Why.MARKET_CLOSED, {"market": {"state": MarketState.DELISTED}}, {}),
    (Why.MARKET_CLOSED, {"market": {"state": MarketState.CLOSE_ONLY}}, {}),
    (Why.TOO_SMALL, {"market": {"min_quantity": Decimal(1)}}, {}),
    (Why.STEPS, {}, {"price": Decimal("100.3")}),
    (Why.STEPS, {}, {"price": Decimal("1e-30")}),
    (Why.STEPS, {}, {"quantity": Decimal("0.0005")}),
    (Why.STEPS, {"misfit": "take_profit: too fine"}, {}),
    (Why.NOT_SERVED, {"served": False}, {}),
    (Why.NOT_SERVED, {"connected": False}, {}),
    (Why.NOT_OFFERED, {"sheet": {"order_types": ("MARKET",)}}, {}),
    (Why.NOT_OFFERED, {"sheet": {"times_in_force": ("IOC",)}}, {}),
    (Why.NOT_OFFERED, {"sheet": {"post_only": False}}, {"post_only": True}),
    (Why.NOT_OFFERED, {"sheet": {"reduce_only": False}}, {"reduce_only": True}),
    (Why.NOT_OFFERED, {"sheet": {"joint_exits": False}}, {"native_exits": True}),
    (Why.EXPERIMENTAL, {"sheet": {"experimental": True}}, {}),
    (Why.CIRCUIT_OPEN, {"circuit_open": True}, {}),
    (Why.HALTED, {"halt": "trading is halted"}, {}),
    (Why.BLOCKED, {"blocked": "an outcome is unknown"}, {}),
    (Why.RISK_LIMIT, {"violation": "max_order_notional"}, {}),
    (Why.TOO_SMALL, {}, {"quantity": Decimal("0.05")}),
    (Why.NO_BOOK, {"book": None, "book_trouble": "nobody answers"}, {}),
    (Why.STALE_BOOK, {"book": a_book(age_s=3.5)}, {}),
    (Why.STALE_BOOK, {"book": a_book(event_time=NOW - timedelta(minutes=2))}, {}),
    (Why.WOULD_TAKE, {}, {"post_only": True, "price": Decimal(100)}),
    (Why.NO_TERMS, {"terms": {"seen_at": NOW - timedelta(minutes=1)}}, {}),
    (Why.NO_MARGIN, {"terms": {"available": Decimal(1)}}, {}),
    (Why.NO_ROOM, {"terms": {"room": AccountRoom(open_orders_max=3)}, "open_orders": 3}, {}),
    (Why.NO_ROOM, {"terms": {"room": AccountRoom(requests_left=Decimal(0))}}, {}),
    (Why.NOT_FILLED, {}, {"quantity": Decimal(2), "time_in_force": TimeInForce.FOK}),
    (Why.NO_LIQUIDITY, {}, {"price": Decimal(99), "time_in_force": TimeInForce.IOC}),
]


@pytest.mark.parametrize(("why", "place", "order"), _LEFT_OUT)
def test_each_reason_leaves_a_place_out_and_is_said(
    why: Why, place: dict[str, Any], order: dict[str, Any]
) -> None:
    ask = replace(an_ask(), **order)
    other = a_place("other", "beta", terms={"position": Decimal(-9)}, market=_FINEST)
    found = choose(ask, [a_place(**place), other], NOW)
    [out] = [each for each in found.exclusions if each.account_id == "a1"]
    assert out.why is why
    assert out.reason
    assert (out.account, out.venue) == ("label-a1", "alpha")


_FINEST = {"lot_size": Decimal("0.0005"), "min_notional": Decimal(0)}


def test_terms_that_nobody_told_leave_a_place_out() -> None:
    silent = replace(a_place(), terms=None, terms_trouble="alpha could not be asked")
    (out,) = choose(an_ask(), [silent], NOW).exclusions
    assert (out.why, out.reason) == (Why.NO_TERMS, "alpha could not be asked")


def test_a_market_order_needs_somebody_to_trade_with() -> None:
    found = choose(a_market_ask(), [a_place(book=a_book(asks=[]))], NOW)
    assert [each.why for each in found.exclusions] == [Why.NO_LIQUIDITY]


def test_an_experimental_venue_is_chosen_only_where_it_is_named() -> None:
    sheet = {"experimental": True}
    assert best(an_ask(), a_place(sheet=sheet, named=True)) == "a1"
    short = a_place(sheet=sheet, terms={"position": Decimal(-1)})
    assert best(a_market_ask(reduce_only=True), short) == "a1", "what is there can be reduced"


def test_a_stop_needs_no_book() -> None:
    ask = an_ask(price=None, **STOP)
    assert best(ask, a_place(book=None)) == "a1"


def test_the_reason_of_the_choice_is_one_line() -> None:
    found = choose(an_ask(2), [a_place(), a_place("a2", "beta", halt="halted")], NOW)
    assert in_words(found) == (
        "alpha/label-a1; 1 executes at 100, taker fee 0.05 %; 1 waits, fee 0.01 %; "
        "the only one, 1 left out"
    )
    both = choose(an_ask(), [a_place(), a_place("a2", "beta")], NOW)
    assert in_words(both).endswith("best of 2, 0 left out")
    assert in_words(Choice(candidates=(), exclusions=())) == "no account can take it"


@given(ask=asks(), them=places(), seed=st.integers(0, 99))
def test_every_place_is_told_of_once_and_their_order_means_nothing(
    ask: OrderAsk, them: list[Place], seed: int
) -> None:
    found = choose(ask, them, NOW)
    told = [each.account_id for each in found.candidates]
    told += [each.account_id for each in found.exclusions]
    assert sorted(told) == sorted(place.account_id for place in them)
    shuffled = list(them)
    random.Random(seed).shuffle(shuffled)
    assert choose(ask, shuffled, NOW) == found


@given(ask=asks(), them=places())
def test_nobody_has_better_figures_than_the_best(ask: OrderAsk, them: list[Place]) -> None:
    found = choose(ask, them, NOW)
    if found.best is not None:
        assert all(found.best.cost <= each.cost for each in found.candidates)
        assert all(each.executable + each.resting == ask.quantity for each in found.candidates)


@given(ask=asks(markets=False), them=places())
def test_another_place_makes_it_no_dearer(ask: OrderAsk, them: list[Place]) -> None:
    """Measured by one yardstick: what executes, and what waits at the limit."""
    fewer, more = choose(ask, them[:-1], NOW), choose(ask, them, NOW)
    if fewer.best is None:
        return
    assert more.best is not None
    first = fewer.best.account_id
    same = next(each for each in more.candidates if each.account_id == first)
    assert more.best.cost <= same.cost


@given(ask=asks(markets=False), them=places(), gain=st.integers(1, 3))
def test_whoever_is_best_stays_so_with_a_better_book(
    ask: OrderAsk, them: list[Place], gain: int
) -> None:
    ask = replace(ask, post_only=False)
    before = choose(ask, them, NOW).best
    if before is None:
        return

    def improved(place: Place) -> Place:
        if place.account_id != before.account_id or place.book is None:
            return place
        buys = ask.side is OrderSide.BUY
        levels = place.book.asks if buys else place.book.bids
        start = levels[0].price if levels else before.limit
        better = start - Decimal(gain) / 2 if buys else start + Decimal(gain) / 2
        more = (BookLevel(price=better, quantity=Decimal(1)), *levels)
        book = replace(place.book, asks=more) if buys else replace(place.book, bids=more)
        # Nobody pays for it with more margin: a sell is measured at the best bid.
        terms = place.terms and replace(place.terms, available=place.terms.available + 10_000)
        return replace(place, book=book, terms=terms)

    after = choose(ask, [improved(place) for place in them], NOW).best
    assert after is not None
    assert after.cost <= before.cost
    assert after.account_id == before.account_id


@given(
    value=st.decimals(1, 10_000, places=3),
    fee=st.integers(-5, 20).map(lambda n: Decimal(n) / 10_000),
)
def test_a_burden_is_what_is_paid_or_brought(value: Decimal, fee: Decimal) -> None:
    assert burden(OrderSide.BUY, value, fee) == value + value * fee
    assert burden(OrderSide.SELL, value, fee) == -(value - value * fee)
