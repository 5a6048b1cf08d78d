"""Routing in SQL, on both databases: the first choice is the one, and split orders are kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.route_places import Exclusion, Why
from domain.routing import choose
from domain.routing_store import AccountSituation, Route, SplitFilter, SplitStore
from domain.splits import SplitShare, SplitState, SplitStatus, requested
from domain.timeline import EventKind, TimelineEvent
from storage.accounts import SqlAccountStore
from storage.engine import Database
from storage.halts import HaltStore
from storage.orders import SqlOrderStore
from storage.parent_orders import SqlParentOrderStore
from storage.routing import SqlRouteStore
from storage.splits import SPLITS
from tests.domain.routing_building import NOW, a_place, an_ask
from tests.domain.test_splits import a_plan
from tests.storage.builders import CREATED_AT, an_order
from tests.storage.conftest import Clock


@pytest.fixture
def routes(database: Database, accounts: SqlAccountStore) -> SqlRouteStore:
    return SqlRouteStore(database)


@pytest.fixture
def splits(database: Database, accounts: SqlAccountStore, clock: Clock) -> SplitStore:
    return SqlParentOrderStore(database, SPLITS, now=clock)


def a_route(order_id: str = "o1", account_id: str = "a1", **changes: Any) -> Route:
    found = choose(an_ask("1.50"), [a_place("a1"), a_place("a2", "beta")], NOW)
    out = Exclusion(
        account_id="a3", account="third", venue="gamma", why=Why.STALE_BOOK, reason="5 s old"
    )
    route = Route(
        order_id=order_id,
        owner="local",
        fingerprint="f",
        made_at=NOW,
        shares=(SplitShare(account_id=account_id, venue="alpha", quantity=Decimal("1.50")),),
        candidates=found.candidates,
        exclusions=(out,),
    )
    return replace(route, **changes)


async def test_a_choice_is_kept_as_it_was(routes: SqlRouteStore) -> None:
    route = a_route()
    assert await routes.keep(route) == route
    assert await routes.get("o1") == route
    assert await routes.get("nothing") is None


async def test_of_many_who_choose_at_once_one_choice_is_kept(routes: SqlRouteStore) -> None:
    chosen = [a_route(account_id=f"a{number}") for number in range(8)]
    kept = await asyncio.gather(*(routes.keep(route) for route in chosen))
    assert len({route.shares[0].account_id for route in kept}) == 1
    assert await routes.get("o1") == kept[0]
    assert await routes.keep(a_route(account_id="later")) == kept[0]


async def test_what_our_own_books_say_of_accounts(
    routes: SqlRouteStore, database: Database, orders: SqlOrderStore
) -> None:
    for key in ("one", "two"):
        order = an_order(key)
        event = TimelineEvent(
            order_id=order.order_id, kind=EventKind.CREATED, text="made", at=CREATED_AT
        )
        await orders.add(order, event)
    assert await routes.situations(["acc"], "BTC-PERP") == {"acc": AccountSituation(open_orders=2)}
    await HaltStore(database).block("acc", "BTC-PERP", order_id="o", reason="an outcome is unknown")
    found = await routes.situations(["acc", "nobody"], "BTC-PERP")
    assert found["acc"].blocked == "an outcome is unknown"
    assert found.keys() == {"acc"}
    assert (await routes.situations(["acc"], "ETH-PERP"))["acc"].blocked is None
    assert await routes.situations([], "BTC-PERP") == {}


def a_state(**changes: Any) -> SplitState:
    return replace(requested(a_plan("0.3", "0.20")), status=SplitStatus.WORKING, **changes)


async def test_a_request_takes_nothing_back_and_an_end_is_for_ever(splits: SplitStore) -> None:
    asked = requested(a_plan("0.3", "0.20"))
    assert await splits.keep(asked) == asked
    working = a_state(cancel_wanted=True)
    assert await splits.keep(working) == working
    assert await splits.keep(asked) == working
    ended = replace(working, status=SplitStatus.CANCELED, reason="asked", ended_at=CREATED_AT)
    assert await splits.keep(ended) == ended
    assert await splits.keep(working) == ended
    assert await splits.get(asked.plan.split_id) == ended
    assert await splits.get("nothing") is None


async def test_split_orders_are_found_again(splits: SplitStore, clock: Clock) -> None:
    def named(split_id: str, minute: int, **changes: Any) -> SplitState:
        state = a_state(**changes)
        at = CREATED_AT + timedelta(minutes=minute)
        plan = replace(state.plan, split_id=split_id, created_at=at)
        return replace(state, plan=plan)

    first, second = named("s1", 1), named("s2", 2)
    other = named("s3", 3)
    other = replace(other, plan=replace(other.plan, owner="somebody", symbol="ETH-PERP"))
    ended = replace(named("s4", 4), status=SplitStatus.FILLED)
    for state in (first, second, other, ended):
        await splits.keep(state)
    mine = SplitFilter(owner="local")
    assert await splits.page(mine) == (ended, second, first)
    assert await splits.page(replace(mine, running=True, limit=1)) == (second,)
    assert await splits.page(replace(mine, running=False)) == (ended,)
    assert await splits.page(SplitFilter(owner="somebody", symbol="ETH-PERP")) == (other,)
    assert await splits.page(replace(mine, symbol="ETH-PERP")) == ()
    later = clock() + timedelta(seconds=1)
    assert await splits.unfinished(before=later) == (first, second, other)
    assert await splits.unfinished(before=clock() - timedelta(hours=1)) == ()


async def test_children_are_read_as_they_are_stored(
    splits: SplitStore, orders: SqlOrderStore
) -> None:
    order = an_order("child")
    event = TimelineEvent(
        order_id=order.order_id, kind=EventKind.CREATED, text="made", at=CREATED_AT
    )
    kept = await orders.add(order, event)
    assert await splits.orders([order.order_id, "another"]) == (kept,)
