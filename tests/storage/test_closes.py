"""Closes in SQL, on both databases: kept once, never taken back, joined, found again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import PositionSide
from domain.close_steps import begun
from domain.close_store import CloseFilter
from domain.closing import (
    ClosePlan,
    CloseState,
    CloseStatus,
    Escalation,
    Then,
    closing_order_id,
)
from domain.errors import NotFound
from domain.identifiers import order_id_for
from domain.orders import Order, Origin
from domain.timeline import EventKind, TimelineEvent
from storage.accounts import SqlAccountStore
from storage.closes import SqlCloseStore
from storage.engine import Database
from storage.orders import SqlOrderStore
from tests.domain.closing_building import a_sight
from tests.storage.builders import CREATED_AT, an_order
from tests.storage.conftest import Clock


@pytest.fixture
def closes(database: Database, accounts: SqlAccountStore, clock: Clock) -> SqlCloseStore:
    return SqlCloseStore(database, now=clock)


def a_plan(key: str = "close", **changes: Any) -> ClosePlan:
    plan = ClosePlan(
        close_id=order_id_for("local", key),
        owner="local",
        account_id="acc",
        venue="hyperliquid",
        symbol="BTC-PERP",
        created_at=CREATED_AT,
        percent=Decimal("33.30"),
        limit_price=Decimal("45000.5"),
        escalation=Escalation(reprice_every_s=5, reprices=2, then=Then.STAY),
        fingerprint=key,
    )
    return replace(plan, **changes)


def running(plan: ClosePlan) -> CloseState:
    return begun(CloseState(plan=plan), a_sight(10))


async def test_a_close_is_kept_as_it_was(closes: SqlCloseStore) -> None:
    plan = a_plan()

    assert await closes.request(plan) == CloseState(plan=plan)
    state = running(plan)
    assert await closes.keep(state) == state
    assert await closes.get(plan.close_id) == state
    assert await closes.plan(plan.close_id) == plan
    assert state.side is PositionSide.LONG


async def test_a_request_takes_nothing_back(closes: SqlCloseStore) -> None:
    state = running(a_plan())
    await closes.keep(state)

    assert await closes.request(state.plan) == state
    assert await closes.get(state.plan.close_id) == state


async def test_an_end_is_for_ever(closes: SqlCloseStore) -> None:
    state = running(a_plan())
    end = replace(state, status=CloseStatus.DONE, filled=Decimal("3.33"))
    await closes.keep(state)
    await closes.keep(end)

    assert await closes.keep(replace(state, attempts=7)) == end
    assert await closes.get(state.plan.close_id) == end


async def test_a_request_that_never_began_is_withdrawn(closes: SqlCloseStore) -> None:
    plan, other = a_plan(), a_plan("other")
    await closes.request(plan)
    await closes.keep(running(other))

    await closes.withdraw(plan.close_id)
    await closes.withdraw(other.close_id)

    assert await closes.get(plan.close_id) is None
    assert await closes.plan(plan.close_id) is None
    assert await closes.get(other.close_id) is not None


async def test_one_that_joined_stands_for_the_other(closes: SqlCloseStore) -> None:
    first, second = running(a_plan()), a_plan("second")
    await closes.keep(first)
    await closes.request(second)

    await closes.join(second.close_id, first.plan.close_id)

    assert await closes.get(second.close_id) == first
    assert await closes.plan(second.close_id) == second
    assert await closes.page(CloseFilter(owner="local")) == (first,)
    await closes.withdraw(second.close_id)
    assert await closes.get(second.close_id) == first
    with pytest.raises(NotFound):
        await closes.join("nothing", first.plan.close_id)


async def test_the_newest_come_first(closes: SqlCloseStore) -> None:
    old = running(a_plan("old"))
    ended = replace(
        running(a_plan("ended", created_at=CREATED_AT + timedelta(seconds=1))),
        status=CloseStatus.CANCELED,
    )
    other = running(
        a_plan("other", symbol="ETH-PERP", created_at=CREATED_AT + timedelta(seconds=2))
    )
    for state in (old, ended, other):
        await closes.keep(state)

    async def page(**wanted: Any) -> tuple[CloseState, ...]:
        return await closes.page(CloseFilter(owner="local", **wanted))

    assert await page() == (other, ended, old)
    assert await page(limit=1) == (other,)
    assert await page(running=True) == (other, old)
    assert await page(running=False) == (ended,)
    assert await page(symbol="ETH-PERP") == (other,)
    assert await page(account_id="nobody") == ()
    assert await closes.page(CloseFilter(owner="somebody")) == ()


async def keep_order(orders: SqlOrderStore, order: Order) -> Order:
    event = TimelineEvent(
        order_id=order.order_id, kind=EventKind.CREATED, text="made", at=CREATED_AT
    )
    return await orders.add(order, event)


async def test_the_orders_of_a_close(closes: SqlCloseStore, orders: SqlOrderStore) -> None:
    close_id = a_plan().close_id
    kept = [
        await keep_order(orders, an_order(order_id=closing_order_id(close_id, number)))
        for number in (3, 0, 1)
    ]

    assert await closes.orders(close_id, 4) == (kept[1], kept[2], kept[0])
    assert await closes.orders(close_id, 1) == (kept[1],)
    assert await closes.orders(close_id, 0) == ()
    assert len(await closes.orders(close_id, 1200)) == 3


async def test_live_closing_orders(closes: SqlCloseStore, orders: SqlOrderStore) -> None:
    plan = a_plan()
    made: dict[str, Any] = {"origin": Origin.CLOSE, "parent_id": plan.close_id}
    live = await keep_order(orders, an_order("live", **made))
    flatten = await keep_order(orders, an_order("kill", **{**made, "origin": Origin.KILL_SWITCH}))
    await keep_order(orders, an_order("denied", denied="no", **made))
    await keep_order(orders, an_order("user"))
    await keep_order(orders, an_order("eth", symbol="ETH-PERP", **made))

    found = await closes.live_orders("acc", "BTC-PERP")

    assert {order.order_id for order in found} == {live.order_id, flatten.order_id}


async def test_what_has_not_ended(closes: SqlCloseStore, clock: Clock) -> None:
    state = running(a_plan())
    await closes.keep(state)
    await closes.keep(replace(running(a_plan("ended")), status=CloseStatus.DONE))
    now = clock()

    assert await closes.unfinished(before=now) == ()
    assert await closes.unfinished(before=now + timedelta(seconds=1)) == (state,)
