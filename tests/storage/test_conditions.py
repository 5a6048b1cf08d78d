"""Conditional closes in SQL, on both databases: kept once, watched, extremes that only improve."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.closing import ClosePlan, CloseState, CloseStatus
from domain.condition_store import ConditionFilter, MovedExtreme
from domain.conditions import Conditions, Trail
from domain.guard_steps import WATCH_FRESH, after_look, changed, finished
from domain.guarding import GuardPlan, GuardState, GuardStatus, close_id_of
from domain.identifiers import order_id_for
from domain.positions import Protection
from domain.timeline import EventKind, TimelineEvent
from storage.accounts import SqlAccountStore
from storage.closes import SqlCloseStore
from storage.conditions import SqlConditionStore
from storage.engine import Database
from storage.net_positions import SqlNetPositions
from storage.orders import SqlOrderStore
from storage.positions import SqlPositionStore
from tests.domain.guard_building import LONG, SHORT, a_guard, a_look
from tests.storage.builders import CREATED_AT, an_order
from tests.storage.conftest import Clock

TRAIL = Conditions(trail=Trail(percent=Decimal(2)))


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def conditions(
    database: Database, accounts: SqlAccountStore, clock: Clock, told: list[str]
) -> SqlConditionStore:
    return SqlConditionStore(database, now=clock, told=told.append)


def a_plan(key: str = "condition", **changes: Any) -> GuardPlan:
    return a_guard(condition_id=order_id_for("local", key), created_at=CREATED_AT, **changes)


def watching(key: str = "condition", **changes: Any) -> GuardState:
    sight = changes.pop("sight", a_look())
    return after_look(GuardState(plan=a_plan(key, **changes)), sight, CREATED_AT)


def ids_of(states: Any) -> list[str]:
    return [state.plan.condition_id for state in states]


async def test_it_is_kept_as_it_was(conditions: SqlConditionStore, told: list[str]) -> None:
    state = watching(conditions=TRAIL)
    request = GuardState(plan=state.plan)

    assert await conditions.keep(request) == request
    assert await conditions.keep(state) == state
    assert await conditions.get(state.plan.condition_id) == state
    assert await conditions.keep(request) == state, "a mere request takes nothing back"
    assert set(told) == {"acc"}


async def test_an_end_is_for_ever(conditions: SqlConditionStore) -> None:
    state = watching()
    await conditions.keep(state)
    end = finished(state, GuardStatus.CANCELED, "canceled", CREATED_AT)
    await conditions.keep(end)

    assert await conditions.keep(state) == end
    assert await conditions.active() == ()


async def test_one_that_never_began_is_forgotten(conditions: SqlConditionStore) -> None:
    request = GuardState(plan=a_plan())
    await conditions.keep(request)
    await conditions.withdraw(request.plan.condition_id)
    assert await conditions.get(request.plan.condition_id) is None

    state = watching()
    await conditions.keep(state)
    await conditions.withdraw(state.plan.condition_id)
    assert await conditions.get(state.plan.condition_id) == state


async def test_it_is_listed(conditions: SqlConditionStore) -> None:
    first, second = watching("first"), watching("second")
    await conditions.keep(first)
    second = replace(second, plan=replace(second.plan, created_at=CREATED_AT + timedelta(1)))
    await conditions.keep(second)
    await conditions.keep(finished(first, GuardStatus.CLOSED, "closed", CREATED_AT))

    async def page(**wanted: Any) -> list[str]:
        return ids_of(await conditions.page(ConditionFilter(owner="local", **wanted)))

    both = ids_of([second, first])
    assert await page() == both
    assert await page(account_id="acc", symbol="BTC-PERP") == both
    assert await page(running=True) == both[:1]
    assert await page(running=False) == both[1:]
    assert await page(limit=1) == both[:1]
    assert await page(symbol="ETH-PERP") == await page(account_id="other") == []


async def test_the_active_ones_come_with_our_own_count(
    conditions: SqlConditionStore, database: Database
) -> None:
    state = watching()
    await conditions.keep(state)
    await conditions.keep(GuardState(plan=a_plan("not yet")))

    (active,) = await conditions.active()
    assert active.state == state
    assert active.held is None
    counts = SqlNetPositions(database)
    await counts.correct("acc", "BTC-PERP", Decimal("-1.50"), "the venue says so")
    (active,) = await conditions.active()
    assert active.held == Decimal("-1.50")


async def test_watching_is_proven(conditions: SqlConditionStore, clock: Clock) -> None:
    state, other = watching(), watching("other")
    await conditions.keep(state)
    await conditions.keep(other)
    key = state.plan.condition_id

    async def watch_of() -> Any:
        found = await conditions.get(key)
        assert found is not None
        assert found.watch is not None
        return found.watch

    began = clock()
    await conditions.watched([], by="nobody", at=began)
    await conditions.watched([key], by="streaming 1", at=began)
    await conditions.watched([key], by="streaming 1", at=clock.advance(seconds=2))
    watch = await watch_of()
    assert (watch.by, watch.since, watch.at) == ("streaming 1", began, clock())
    await conditions.watched([key], by="late", at=began)
    assert (await watch_of()).by == "streaming 1", "an older proof is none"

    another = clock.advance(seconds=2)
    await conditions.watched([key], by="streaming 2", at=another)
    assert (await watch_of()).since == another
    later = clock.advance(seconds=WATCH_FRESH.total_seconds() + 1)
    await conditions.watched([key], by="streaming 2", at=later)
    assert (await watch_of()).since == later, "it was interrupted"

    kept = await conditions.keep(state)
    assert kept.watch == await watch_of(), "the guard takes no proof back"
    untouched = await conditions.get(other.plan.condition_id)
    assert untouched is not None
    assert untouched.watch is None


@pytest.mark.parametrize(
    ("position", "better", "worse"), [(LONG, "103.50", "101"), (SHORT, "97.5", "99")]
)
async def test_an_extreme_only_gets_better(
    conditions: SqlConditionStore, position: Any, better: str, worse: str
) -> None:
    state = watching(conditions=TRAIL, sight=a_look(position=position))
    await conditions.keep(state)

    async def move(price: str, version: int = 1, key: str | None = None) -> Decimal:
        moved = MovedExtreme(
            condition_id=key or state.plan.condition_id,
            version=version,
            price=Decimal(price),
            at=CREATED_AT,
        )
        await conditions.move_extremes([moved])
        found = await conditions.get(state.plan.condition_id)
        assert found is not None
        assert found.extreme is not None
        return found.extreme.price

    assert await move(better) == Decimal(better)
    assert await move(worse) == Decimal(better)
    assert await move(better, version=2) == Decimal(better)
    assert await move(worse, key=order_id_for("local", "nobody")) == Decimal(better)
    await conditions.move_extremes([])

    kept = await conditions.keep(state)
    assert kept.extreme is not None
    assert kept.extreme.price == Decimal(better), "the guard's own was worse"
    anew = changed(state, replace(state.plan, conditions=TRAIL), CREATED_AT)
    kept = await conditions.keep(anew)
    assert kept.extreme == anew.extreme, "another version begins with its own"


async def test_one_without_a_position_has_no_extreme(conditions: SqlConditionStore) -> None:
    request = GuardState(plan=a_plan(conditions=TRAIL))
    await conditions.keep(request)
    moved = MovedExtreme(
        condition_id=request.plan.condition_id, version=1, price=Decimal(1), at=CREATED_AT
    )

    await conditions.move_extremes([moved])

    assert await conditions.get(request.plan.condition_id) == request


async def test_how_its_close_ended(conditions: SqlConditionStore, database: Database) -> None:
    plan = a_plan()
    close = ClosePlan(
        close_id=close_id_of(plan.condition_id),
        owner="local",
        account_id="acc",
        venue="hyperliquid",
        symbol="BTC-PERP",
        created_at=CREATED_AT,
    )
    closes = SqlCloseStore(database)
    assert await conditions.how_it_closed(close.close_id) is None
    await closes.request(close)
    assert await conditions.how_it_closed(close.close_id) is None
    await closes.keep(CloseState(plan=close, status=CloseStatus.DONE))

    assert await conditions.how_it_closed(close.close_id) is CloseStatus.DONE


async def test_which_of_its_orders_live(
    conditions: SqlConditionStore, orders: SqlOrderStore
) -> None:
    order = an_order()
    event = TimelineEvent(
        order_id=order.order_id, kind=EventKind.CREATED, text="created", at=CREATED_AT
    )
    await orders.add(order, event)

    assert await conditions.live_orders([order.order_id, "other"]) == (order.order_id,)


async def test_the_position_shows_who_protects_it(
    conditions: SqlConditionStore, database: Database
) -> None:
    state = watching()
    await conditions.keep(state)
    positions = SqlPositionStore(database)
    assert (await positions.books("acc")).protection == {"BTC-PERP": Protection.GUARD}

    await conditions.keep(finished(state, GuardStatus.CANCELED, "", CREATED_AT))
    assert (await positions.books("acc")).protection == {}


async def test_those_that_nobody_has_written_for_long_are_found(
    conditions: SqlConditionStore, clock: Clock
) -> None:
    state, ended = watching(), watching("ended")
    await conditions.keep(state)
    await conditions.keep(finished(ended, GuardStatus.CLOSED, "", CREATED_AT))
    since = clock.advance(seconds=1)

    assert await conditions.silent(before=since) == (state.plan,)
    await conditions.keep(state)
    assert await conditions.silent(before=since) == ()
