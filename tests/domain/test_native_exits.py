"""Orders at the venue for conditions: placed as asked, replaced, given up in the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.conditions import Conditions, Trail
from domain.errors import InvalidInput
from domain.guard_steps import after_look
from domain.guarding import GuardState, Native
from domain.instruments import OrderSide
from domain.native_exits import ORDERS_MAX, check_native, seen, to_place, without_exits
from domain.orders import Order, OrderType, Origin
from tests.domain.building import NOW, later
from tests.domain.closing_building import BTC
from tests.domain.guard_building import LONG, SHORT, a_guard, a_look, watching

WITHIN = timedelta(seconds=15)


def placed(state: GuardState) -> tuple[GuardState, tuple[Order, ...]]:
    return to_place(state, BTC, now=NOW, within=WITHIN)


def native(**plan: Any) -> GuardState:
    return watching(native=Native.BESIDE, **plan)


def test_a_long_has_a_target_above_and_a_stop_below() -> None:
    state, orders = placed(native())

    assert [(o.order_type, o.trigger_price, o.side) for o in orders] == [
        (OrderType.STOP_MARKET, Decimal("95.0"), OrderSide.SELL),
        (OrderType.TAKE_PROFIT_MARKET, Decimal("110.0"), OrderSide.SELL),
    ]
    for order in orders:
        assert order.reduce_only
        assert order.position_bound
        assert order.origin is Origin.CONDITION
        assert order.quantity == 2
        assert order.price is not None
        assert order.trigger_price is not None
        assert order.price < order.trigger_price
    assert state.is_native_live
    assert "stop" not in state.native_note
    assert placed(state)[1] == (), "once"


def test_a_short_has_them_the_other_way_round() -> None:
    first = a_look(position=SHORT)
    state = after_look(GuardState(plan=a_guard(native=Native.BESIDE)), first, NOW)
    _, orders = placed(state)

    assert [(o.order_type, o.trigger_price, o.side) for o in orders] == [
        (OrderType.STOP_MARKET, Decimal("105.0"), OrderSide.BUY),
        (OrderType.TAKE_PROFIT_MARKET, Decimal("90.0"), OrderSide.BUY),
    ]
    assert all(o.price > o.trigger_price for o in orders if o.price and o.trigger_price)


def test_a_trigger_is_never_before_the_condition() -> None:
    conditions = Conditions(profit_percent=Decimal("10.01"), loss_percent=Decimal("5.01"))
    _, (stop, target) = placed(native(conditions=conditions))

    assert stop.trigger_price == Decimal("94.9")
    assert target.trigger_price == Decimal("110.1")


def test_without_being_asked_none() -> None:
    state, orders = placed(watching())
    assert orders == ()
    assert not state.is_native_live


def test_what_rests_no_more_is_placed_anew() -> None:
    state, orders = placed(native())
    resting = tuple(order.order_id for order in orders)

    young, _ = seen(state, a_look(at=later(10)))
    assert young.is_native_live
    kept, obsolete = seen(state, a_look(at=later(60), live_native=resting))
    assert obsolete == ()
    assert placed(kept)[1] == ()
    gone, obsolete = seen(state, a_look(at=later(60), live_native=resting[:1]))
    assert obsolete == ()
    _, anew = placed(gone)
    assert [o.trigger_price for o in anew] == [orders[1].trigger_price]
    assert anew[0].order_id not in resting


def test_a_position_that_grew_gets_other_orders() -> None:
    state, orders = placed(native())
    grown = replace(LONG, quantity=Decimal(3))
    sight = a_look(position=grown, live_native=tuple(o.order_id for o in orders))
    state, obsolete = seen(after_look(state, sight, NOW), sight)

    assert set(obsolete) == {o.order_id for o in orders}
    _, anew = placed(state)
    assert {o.quantity for o in anew} == {Decimal(3)}


def test_one_that_has_triggered_wants_none() -> None:
    state, orders = placed(native())
    sight = a_look(111, live_native=tuple(o.order_id for o in orders))
    state, obsolete = seen(after_look(state, sight, NOW), sight)

    assert len(obsolete) == 2
    assert placed(state)[1] == ()


def test_it_gives_up_where_the_venue_keeps_none() -> None:
    state = replace(native(), native_orders_placed=ORDERS_MAX)

    state, orders = placed(state)

    assert orders == ()
    assert "gave up" in state.native_note
    assert not without_exits(state).is_native_live


def test_a_sight_without_the_market_changes_nothing() -> None:
    state, _ = placed(native())

    assert seen(state, a_look(instrument=None))[1] == ()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"conditions": Conditions(trail=Trail(percent=Decimal(1)))}, "trailing"),
        ({"conditions": Conditions(at=later(1))}, "time"),
        ({"percent": Decimal(50)}, "100"),
    ],
)
def test_what_has_no_form_at_the_venue(wrong: dict[str, Any], words: str) -> None:
    check_native(a_guard(**wrong))
    with pytest.raises(InvalidInput, match=words):
        check_native(a_guard(native=Native.BESIDE, **wrong))
    check_native(a_guard(native=Native.BESIDE))
