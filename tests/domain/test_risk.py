"""Risk limits: what exceeds them, and what always passes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.exposure import Asked, Exposure, Situation, open_price, open_quantity
from domain.instruments import OrderSide
from domain.orders import OrderType, Revision
from domain.risk import check, in_use, judge
from domain.risk_limits import COUNT_MAX, RiskLimits
from domain.violations import ALL_ACCOUNTS, LimitName, Violation, in_words
from tests.domain.building import an_order

D = Decimal
BTC, ETH = "BTC-PERP", "ETH-PERP"


def asking(quantity: str = "1", price: str | None = "100", **changes: Any) -> Asked:
    asked = Asked(
        account_id="a",
        symbol=BTC,
        side=OrderSide.BUY,
        quantity=D(quantity),
        price=None if price is None else D(price),
    )
    return replace(asked, **changes)


def holding(position: str = "0", buys: str = "0", sells: str = "0", **changes: Any) -> Exposure:
    exposure = Exposure(
        account_id="a",
        symbol=BTC,
        position=D(position),
        buys=D(buys),
        sells=D(sells),
        price=D(100),
    )
    return replace(exposure, **changes)


def situated(*exposures: Exposure, **changes: Any) -> Situation:
    return replace(Situation(scope="a", exposures=exposures), **changes)


def found(limits: RiskLimits, situation: Situation, asked: Asked) -> dict[str, Decimal | None]:
    return {v.limit.value: v.value for v in check(limits, situation, asked)}


def test_an_order_is_held_to_its_own_notional() -> None:
    limits = RiskLimits(max_order_notional=D(100))
    assert found(limits, situated(), asking()) == {}
    assert check(limits, situated(), asking("1.01")) == (
        Violation(
            limit=LimitName.MAX_ORDER_NOTIONAL,
            limit_value=D(100),
            value=D("101.00"),
            scope="a",
        ),
    )
    sold = asking(price="90", side=OrderSide.SELL, mark_price=D(110))
    assert found(limits, situated(), sold) == {"max_order_notional": D(110)}
    assert found(limits, situated(), replace(sold, side=OrderSide.BUY)) == {}
    assert found(limits, situated(), asking(price=None)) == {}
    assert found(limits, situated(), asking(price=None, mark_price=D(101))) != {}
    assert found(limits, situated(), asking(trigger_price=D(120))) != {}


def test_a_modify_counts_only_the_difference() -> None:
    limits = RiskLimits(max_order_notional=D(100), max_position_notional=D(300))
    resting = situated(holding("1", buys="4"))
    smaller = asking("3", replaces=D(4), is_new=False)
    assert found(limits, resting, smaller) == {}
    assert found(limits, resting, replace(smaller, price=D(500))) == {}
    assert found(limits, resting, replace(smaller, quantity=D(5))) == {
        "max_order_notional": D(500),
        "max_position_notional": D(600),
    }
    fitting = situated(holding("1", buys="1"))
    grown = asking("2", replaces=D(1), is_new=False, price="50")
    assert found(RiskLimits(max_position_notional=D(300)), fitting, grown) == {}


@pytest.mark.parametrize(
    ("exposure", "asked", "value"),
    [
        (holding(), asking("3.1"), D("310")),
        (holding("2"), asking("1.5"), D("350")),
        (holding("2", buys="1"), asking("0.5"), D("350")),
        (holding("-2", buys="3"), asking("3"), D("400")),
        (holding("-2", buys="3", sells="9"), asking("1"), None),
        (holding("2", sells="4"), asking("2.5", side=OrderSide.SELL), D("450")),
        (holding("5"), asking("6", side=OrderSide.SELL), None),
        (holding("5"), asking("10", side=OrderSide.SELL), None),
        (holding("5"), asking("11", side=OrderSide.SELL), D("600")),
        (holding(), asking("3", mark_price=D(101)), D("303")),
        (holding("3", price=None), asking("0.1", price="101"), D("313.1")),
    ],
)
def test_the_worst_case_of_a_market_is_held_to_its_limit(
    exposure: Exposure, asked: Asked, value: Decimal | None
) -> None:
    limits = RiskLimits(max_position_notional=D(300))
    expected = {} if value is None else {"max_position_notional": value}
    assert found(limits, situated(exposure), asked) == expected


def test_the_total_is_summed_over_markets_and_needs_every_price() -> None:
    limits = RiskLimits(max_total_notional=D(1000))
    other = holding("-4", symbol=ETH, price=D(200))
    assert found(limits, situated(other), asking("2")) == {}
    assert found(limits, situated(other), asking("2.1")) == {"max_total_notional": D(1010)}
    (unknown,) = check(limits, situated(replace(other, price=None)), asking("1"))
    assert unknown.value is None
    assert str(unknown) == (
        "max_total_notional of this account: expected at most 1000, found no value "
        "(no price of ETH-PERP is known yet)"
    )
    reducing = asking("1", symbol=ETH, price="200")
    assert found(limits, situated(replace(other, price=None)), reducing) == {}


def test_leverage_is_the_worst_case_over_equity_where_that_is_known() -> None:
    limits = RiskLimits(max_leverage=D(3))
    assert found(limits, situated(), asking("100")) == {}
    assert found(limits, situated(equity=D(100)), asking("3")) == {}
    assert found(limits, situated(equity=D(99)), asking("3")) == {"max_leverage": D("3.0304")}
    (broke,) = check(limits, situated(equity=D(0)), asking("1"))
    assert (broke.value, broke.note) == (None, "the account has no equity")
    held = situated(holding("1", symbol=ETH, price=None), equity=D(100))
    assert found(limits, held, asking("0.1")) == {"max_leverage": None}
    long = situated(holding("9"), equity=D(1))
    assert found(limits, long, asking("5", side=OrderSide.SELL)) == {}


def test_orders_are_counted_only_where_they_are_new() -> None:
    limits = RiskLimits(max_open_orders=2, max_orders_per_minute=3)
    assert found(limits, situated(open_orders=1, placed_last_minute=2), asking()) == {}
    full = situated(open_orders=2, placed_last_minute=3)
    assert found(limits, full, asking()) == {"max_open_orders": 3, "max_orders_per_minute": 4}
    assert found(limits, full, asking(is_new=False)) == {}


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        (asking(price="101", mark_price=D(100)), None),
        (asking(price="101.01", mark_price=D(100)), D("101.0000")),
        (asking(price="98.99", mark_price=D(100)), D("101.0000")),
        (asking(price="200"), None),
        (asking(price=None, mark_price=D(100)), None),
        (asking(price="200", mark_price=D(0)), None),
        (
            asking(price="200", trigger_price=D(199), order_type=OrderType.STOP_LIMIT),
            None,
        ),
        (
            asking(price="200", trigger_price=D(100), order_type=OrderType.STOP_LIMIT),
            D("10000.0000"),
        ),
        (
            asking(price="200", trigger_price=D(100), order_type=OrderType.STOP_MARKET),
            None,
        ),
    ],
)
def test_a_price_stays_near_the_mark_or_its_trigger(asked: Asked, value: Decimal | None) -> None:
    limits = RiskLimits(max_price_distance_bps=D(100))
    expected = {} if value is None else {"max_price_distance_bps": value}
    assert found(limits, situated(), asked) == expected


def test_a_daily_loss_reached_lets_only_what_reduces_pass() -> None:
    limits = RiskLimits(max_daily_loss=D(50))
    held = holding("2")
    assert found(limits, situated(held), asking()) == {}
    assert found(limits, situated(held, day_result=D("-49.9")), asking()) == {}
    assert found(limits, situated(held, day_result=D(500)), asking()) == {}
    lost = situated(held, day_result=D(-50))
    assert found(limits, lost, asking()) == {"max_daily_loss": D(50)}
    assert found(limits, lost, asking("2", side=OrderSide.SELL)) == {}
    assert found(limits, lost, asking(reduce_only=True)) == {}


def test_general_limits_bound_each_order_by_itself_and_sum_the_rest() -> None:
    general = RiskLimits(max_order_notional=D(100), max_position_notional=D(300), max_leverage=D(2))
    own = RiskLimits(max_order_notional=D(150))
    mine, others = holding("1"), holding("-1.5", account_id="b")
    situation = situated(mine, equity=D(100))
    whole = Situation(scope=ALL_ACCOUNTS, exposures=(mine, others))
    refused = judge(own, general, situation, whole, asking("1.6"))
    assert [(v.limit.value, v.scope, v.value) for v in refused] == [
        ("max_order_notional", "a", D(160)),
        ("max_order_notional", "*", D(160)),
        ("max_leverage", "*", D("2.6000")),
        ("max_position_notional", "*", D(410)),
    ]
    assert judge(own, general, situation, None, asking("1")) == ()
    assert in_words(refused[:2]) == (
        "max_order_notional of this account: expected at most 150, found 160; "
        "max_order_notional of all accounts: expected at most 100, found 160"
    )


def test_the_present_use_of_each_limit_is_told() -> None:
    limits = RiskLimits(max_position_notional=D(150), max_daily_loss=D(10), max_open_orders=9)
    situation = situated(
        holding("1"),
        holding("1", account_id="b"),
        holding("-3", symbol=ETH, price=D(10)),
        open_orders=9,
        placed_last_minute=4,
        equity=D(50),
        day_result=D(-10),
    )
    used = {use.limit.value: use for use in in_use(limits, situation)}
    assert {name: use.value for name, use in used.items()} == {
        "max_order_notional": None,
        "max_position_notional": D(200),
        "max_total_notional": D(230),
        "max_leverage": D("4.6"),
        "max_open_orders": D(9),
        "max_orders_per_minute": D(4),
        "max_price_distance_bps": None,
        "max_daily_loss": D(10),
    }
    assert used["max_position_notional"].symbol == BTC
    assert {name for name, use in used.items() if use.is_exceeded} == {
        "max_position_notional",
        "max_daily_loss",
    }
    empty = {use.limit.value: use.value for use in in_use(RiskLimits(), Situation(scope="a"))}
    assert empty["max_position_notional"] == empty["max_total_notional"] == 0
    assert empty["max_leverage"] is None
    assert empty["max_daily_loss"] is None
    unvalued = in_use(RiskLimits(), situated(holding("1", price=None)))
    assert {use.limit.value: use.value for use in unvalued}["max_total_notional"] is None


@pytest.mark.parametrize("name", list(LimitName))
@pytest.mark.parametrize("bad", ["0", "-1", "NaN", "Infinity", "-0"])
def test_a_limit_is_a_number_above_zero(name: LimitName, bad: str) -> None:
    limits: dict[str, Any] = {name.value: D(bad)}
    with pytest.raises(InvalidInput, match="expected a number above zero or none") as refused:
        RiskLimits(**limits)
    assert refused.value.field == name.value


def test_counts_are_bounded_and_limits_know_what_they_need() -> None:
    with pytest.raises(InvalidInput, match="expected at most 1000000"):
        RiskLimits(max_open_orders=COUNT_MAX + 1)
    none = RiskLimits()
    assert none.is_empty
    assert not (none.needs_mark or none.needs_counts or none.needs_exposure)
    counts = RiskLimits(max_open_orders=1)
    assert counts.needs_counts
    assert not (counts.needs_mark or counts.needs_exposure or counts.is_empty)
    order = RiskLimits(max_order_notional=D(1))
    assert order.needs_mark
    assert not (order.needs_exposure or order.needs_counts)
    assert RiskLimits(max_daily_loss=D(1)).needs_exposure


def test_what_a_live_order_may_still_add() -> None:
    order = an_order(quantity=D(5), price=D(100))
    assert (open_quantity(order), open_price(order)) == (D(5), D(100))
    bound = Revision(number=0, client_order_id="c", quantity=D(5), price=D(105))
    partly = replace(order, price=None, revisions=(replace(bound, filled_quantity=D(2)),))
    assert (open_quantity(partly), open_price(partly)) == (D(3), D(105))
    assert open_quantity(replace(order, reduce_only=True)) == 0
    assert open_quantity(replace(order, denied="limit")) == 0
    assert open_price(replace(order, price=None)) is None
    assert open_price(replace(order, trigger_price=D(120))) == D(120)


numbers = st.decimals("0", "1000", places=3)
positive = st.decimals("0.001", "1000", places=3)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    exposures = [
        Exposure(
            account_id=account_id,
            symbol=symbol,
            position=draw(numbers) * draw(st.sampled_from([1, -1])),
            buys=draw(numbers),
            sells=draw(numbers),
            price=draw(positive),
        )
        for account_id, symbol in draw(
            st.lists(
                st.tuples(st.sampled_from("ab"), st.sampled_from([BTC, ETH])),
                unique=True,
            )
        )
    ]
    return Situation(
        scope="a",
        exposures=tuple(exposures),
        open_orders=draw(st.integers(0, 9)),
        placed_last_minute=draw(st.integers(0, 9)),
        equity=draw(st.none() | numbers),
        day_result=draw(st.none() | st.decimals("-1000", "1000", places=2)),
    )


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    replaces = draw(st.just(D(0)) | numbers)
    return asking(
        quantity=str(draw(positive)),
        price=str(draw(positive)),
        side=draw(st.sampled_from(OrderSide)),
        is_new=not replaces,
        replaces=replaces,
        mark_price=draw(positive),
    )


@st.composite
def some_limits(draw: st.DrawFn) -> RiskLimits:
    counts = st.none() | st.integers(1, 9)
    amounts = st.none() | positive
    return RiskLimits(
        max_order_notional=draw(amounts),
        max_position_notional=draw(amounts),
        max_total_notional=draw(amounts),
        max_leverage=draw(amounts),
        max_open_orders=draw(counts),
        max_orders_per_minute=draw(counts),
        max_price_distance_bps=draw(amounts),
        max_daily_loss=draw(amounts),
    )


@given(limits=some_limits(), situation=situations(), asked=questions())
def test_what_only_reduces_always_passes(
    limits: RiskLimits, situation: Situation, asked: Asked
) -> None:
    assert check(limits, situation, replace(asked, reduce_only=True)) == ()


@given(limits=some_limits(), situation=situations(), asked=questions(), more=positive)
def test_more_is_never_less_refused(
    limits: RiskLimits, situation: Situation, asked: Asked, more: Decimal
) -> None:
    """A greater order exceeds whatever the smaller one did."""
    refused = {v.limit for v in check(limits, situation, asked)}
    greater = replace(asked, quantity=asked.quantity + more)
    assert refused <= {v.limit for v in check(limits, situation, greater)}


@given(limits=some_limits(), situation=situations(), asked=questions())
def test_every_refusal_shows_a_value_above_its_limit(
    limits: RiskLimits, situation: Situation, asked: Asked
) -> None:
    for violation in check(limits, situation, asked):
        assert violation.limit_value == limits.of(violation.limit)
        if violation.limit is LimitName.MAX_DAILY_LOSS:
            assert violation.value is not None
            assert violation.value >= violation.limit_value
        elif violation.value is not None:
            assert violation.value > violation.limit_value


@given(
    limit=positive,
    orders=st.lists(st.tuples(st.sampled_from(OrderSide), positive, st.booleans()), max_size=12),
)
def test_passing_orders_one_after_the_other_never_exceed_a_position_limit(
    limit: Decimal, orders: list[tuple[OrderSide, Decimal, bool]]
) -> None:
    """Whatever fills of what passed, the position stays within its limit."""
    limits = RiskLimits(max_position_notional=limit)
    held = holding(price=D(1))
    for side, quantity, fills in orders:
        asked = asking(str(quantity), "1", side=side)
        if check(limits, situated(held), asked):
            continue
        change = quantity if side is OrderSide.BUY else -quantity
        if fills:
            held = replace(held, position=held.position + change)
        elif side is OrderSide.BUY:
            held = replace(held, buys=held.buys + quantity)
        else:
            held = replace(held, sells=held.sells + quantity)
        assert held.worst <= limit
        assert abs(held.position) <= limit
