"""Brackets in SQL, on both databases: kept once, never taken back, found again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.bracket_store import BracketFilter, BracketStore
from domain.brackets import (
    BracketPlan,
    BracketState,
    BracketStatus,
    ExitRule,
    Leg,
    LegKind,
    OnFailure,
    OrderNews,
    leg_order_id,
)
from domain.orders import OrderStatus
from domain.positions import Protection
from domain.timeline import EventKind, TimelineEvent
from storage.accounts import SqlAccountStore
from storage.brackets import BRACKETS
from storage.engine import Database
from storage.orders import SqlOrderStore
from storage.parent_orders import SqlParentOrderStore
from storage.protection import read_protections
from tests.domain.closing_building import BTC
from tests.storage.builders import CREATED_AT, an_order
from tests.storage.conftest import Clock


@pytest.fixture
def brackets(database: Database, accounts: SqlAccountStore, clock: Clock) -> BracketStore:
    return SqlParentOrderStore(database, BRACKETS, now=clock)


def a_state(key: str = "entry", **changes: Any) -> BracketState:
    entry = an_order(key, **changes)
    plan = BracketPlan(
        entry=replace(entry, parent_id=entry.order_id),
        take_profit=ExitRule(price=Decimal("50000.5")),
        stop_loss=ExitRule(percent=Decimal("2.50")),
        on_failure=OnFailure.ALERT,
    )
    leg = Leg(
        kind=LegKind.STOP_LOSS,
        order_id=leg_order_id(plan.bracket_id, 0),
        quantity=Decimal("0.10"),
        trigger_price=Decimal("43875.0"),
    )
    return BracketState(
        plan=plan, status=BracketStatus.ENTERING, legs=(leg,), instrument=BTC, entry_started=True
    )


async def test_a_bracket_is_kept_as_it_was(brackets: BracketStore) -> None:
    state = a_state()

    assert await brackets.keep(state) == state
    assert await brackets.get(state.plan.bracket_id) == state
    assert await brackets.get("nothing") is None


async def test_a_request_takes_nothing_back_and_an_end_is_for_ever(
    brackets: BracketStore,
) -> None:
    state = a_state()
    await brackets.keep(state)
    assert await brackets.keep(BracketState(plan=state.plan)) == state

    end = replace(state, status=BracketStatus.DONE, reason="closed")
    assert await brackets.keep(end) == end
    assert await brackets.keep(state) == end
    assert await brackets.get(state.plan.bracket_id) == end


async def test_the_newest_come_first(brackets: BracketStore, clock: Clock) -> None:
    old = a_state("old")
    ended = replace(
        a_state("ended", created_at=CREATED_AT + timedelta(seconds=1)),
        status=BracketStatus.CANCELED,
    )
    other = a_state("other", symbol="ETH-PERP", created_at=CREATED_AT + timedelta(seconds=2))
    for state in (old, ended, other):
        await brackets.keep(state)

    async def page(**wanted: Any) -> tuple[BracketState, ...]:
        return await brackets.page(BracketFilter(owner="local", **wanted))

    assert await page() == (other, ended, old)
    assert await page(limit=1) == (other,)
    assert await page(running=True) == (other, old)
    assert await page(running=False) == (ended,)
    assert await page(symbol="ETH-PERP", account_id="acc") == (other,)
    assert await brackets.page(BracketFilter(owner="somebody")) == ()
    now = clock()
    assert await brackets.unfinished(before=now) == ()
    assert await brackets.unfinished(before=now + timedelta(seconds=1)) == (old, other)


async def test_the_orders_of_a_bracket(brackets: BracketStore, orders: SqlOrderStore) -> None:
    order = an_order()
    event = TimelineEvent(
        order_id=order.order_id, kind=EventKind.CREATED, text="made", at=CREATED_AT
    )
    kept = await orders.add(order, event)

    assert await brackets.orders([order.order_id, "nothing"]) == (kept,)


async def test_a_stop_that_will_fire_protects_the_position(
    brackets: BracketStore, database: Database
) -> None:
    state = a_state()
    stop = replace(state.legs[0], news=_news(state.legs[0].order_id, OrderStatus.ACCEPTED))
    part = _news(state.plan.bracket_id, OrderStatus.PARTIALLY_FILLED, "0.1")
    whole = _news(state.plan.bracket_id, OrderStatus.FILLED, "1")
    target = replace(stop, kind=LegKind.TAKE_PROFIT)

    async def protects(**changes: Any) -> bool:
        await brackets.keep(replace(state, **changes))
        found = await read_protections(database, "acc")
        assert set(found) <= {"BTC-PERP"}
        return found.get("BTC-PERP") is Protection.VENUE

    assert not await protects(), "nothing is known of it"
    assert await protects(legs=(stop,), entry=part)
    asleep = replace(stop, joint=True)
    assert not await protects(legs=(asleep,), entry=part), "the rest has to fill first"
    assert await protects(legs=(asleep,), entry=whole)
    assert not await protects(legs=(target,), entry=whole), "a target alone protects nothing"
    assert not await protects(legs=(replace(stop, cancel_asked=True),), entry=whole)
    assert not await protects(legs=(stop,), entry=whole, status=BracketStatus.CANCELED)


def _news(order_id: str, status: OrderStatus, filled: str = "0") -> OrderNews:
    return OrderNews(
        order_id=order_id, status=status, outcome="accepted", filled_quantity=Decimal(filled)
    )
