"""Orders with exits over HTTP: begun once, read, listed, ended; bad exits do nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain import bracket_steps
from domain.bracket_orders import joint_exits
from domain.brackets import Leg, LegKind, OnFailure
from domain.order_fold import apply, with_revision
from domain.orders import OrderReport, Revision, Verdict
from domain.timeline import EventKind, TimelineEvent
from tests.api.serving import Api
from tests.domain.closing_building import BTC

EXITS: dict[str, Any] = {"take_profit": {"price": "50000"}, "stop_loss": {"percent": "2.50"}}


async def test_an_order_with_exits_is_a_bracket(api: Api) -> None:
    answer = await api.place(**EXITS, on_protection_failure="alert")

    assert answer.status_code == 201, answer.text
    order = answer.json()
    assert order["parent_id"] == order["order_id"]
    (plan,) = api.brackets.started
    assert plan.bracket_id == order["order_id"]
    assert plan.take_profit is not None
    assert plan.take_profit.price == 50_000
    assert plan.stop_loss is not None
    assert plan.stop_loss.percent == Decimal("2.5")
    assert plan.on_failure is OnFailure.ALERT
    view = (await api.http.get(f"/api/v1/brackets/{order['order_id']}")).json()
    assert view["status"] == "ENTERING"
    assert view["entry"]["order_id"] == order["order_id"]
    assert view["take_profit"] == {"price": "50000", "percent": None}
    assert view["stop_loss"] == {"price": None, "percent": "2.5"}
    assert view["workflow_id"] == f"bracket-{order['order_id']}"
    assert view["exits"] == []
    listed = (await api.http.get("/api/v1/brackets")).json()["brackets"]
    assert listed == [view]


async def test_an_order_without_exits_is_none(api: Api) -> None:
    order = (await api.place()).json()

    assert not api.brackets.started
    assert (await api.http.get(f"/api/v1/brackets/{order['order_id']}")).status_code == 404


async def test_the_same_key_begins_one(api: Api) -> None:
    first = await api.place(**EXITS, client_key="k")
    again = await api.place(**{**EXITS, "stop_loss": {"percent": "2.5"}}, client_key="k")
    other = await api.place(take_profit={"price": "51000"}, client_key="k")

    assert again.json() == first.json()
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_mismatch"
    assert len(api.brackets.started) == 1


async def test_a_key_whose_entry_never_came_to_the_database(api: Api) -> None:
    api.desk.script = "silent"
    first = await api.place(**EXITS, client_key="k")
    assert first.status_code == 503
    assert first.json()["outcome"] == "unknown"

    other = await api.place(take_profit={"price": "51000"}, client_key="k")
    assert other.status_code == 422
    api.desk.script = "rest"
    assert (await api.place(**EXITS, client_key="k")).status_code == 201


async def test_a_bracket_that_may_not_have_started_is_unclear(api: Api) -> None:
    api.brackets.script = "away"

    answer = await api.place(**EXITS, client_key="k")

    assert answer.status_code == 503
    assert answer.json()["outcome"] == "unknown"
    assert not api.desk.starts
    api.brackets.script = "start"
    assert (await api.place(**EXITS, client_key="k")).status_code == 201


async def test_an_entry_refused_by_temporal_may_come_all_the_same(api: Api) -> None:
    api.desk.script = "refuse_start"

    answer = await api.place(**EXITS)

    assert answer.status_code == 503
    assert answer.json()["outcome"] == "unknown"
    assert answer.json()["code"] == "start_unclear"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "neither": ({"take_profit": {}}, "/take_profit/price"),
    "both": ({"take_profit": {"price": "1", "percent": "1"}}, "/take_profit/price"),
    "a target below a buy": ({"take_profit": {"price": "44000"}}, "/take_profit/price"),
    "a stop above a buy": ({"stop_loss": {"price": "46000"}}, "/stop_loss/price"),
    "a stop of everything": ({"stop_loss": {"percent": "100"}}, "/stop_loss/percent"),
    "a stop above a sell's target": (
        {
            "side": "SELL",
            "price": None,
            "take_profit": {"price": "50000"},
            "stop_loss": {"price": "49000"},
        },
        "/stop_loss/price",
    ),
    "between ticks": ({"take_profit": {"price": "50000.05"}}, "/take_profit/price"),
    "zero": ({"stop_loss": {"percent": "0"}}, "/stop_loss/percent"),
    "of what only shrinks": (
        {"stop_loss": {"percent": "1"}, "reduce_only": True},
        "/reduce_only",
    ),
    "native without exits": ({"native": True}, "/native"),
    "native with a percentage of an unknown price": (
        {"price": None, "stop_loss": {"percent": "1"}, "native": True},
        "/native",
    ),
    "native with an entry that waits for a trigger": (
        {
            "order_type": "STOP_LIMIT",
            "trigger_price": "45000",
            "stop_loss": {"percent": "1"},
            "native": True,
        },
        "/native",
    ),
    "no such policy": (
        {"stop_loss": {"percent": "1"}, "on_protection_failure": "pray"},
        "/on_protection_failure",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_exits_do_nothing(api: Api, case: str) -> None:
    body, pointer = BAD[case]

    answer = await api.place(**body)

    assert answer.status_code == 422, answer.text
    assert [error.get("pointer") for error in answer.json()["errors"]] == [pointer]
    assert not api.brackets.started
    assert not api.desk.starts


async def test_ending_one(api: Api) -> None:
    order = (await api.place(**EXITS)).json()
    path = f"/api/v1/brackets/{order['order_id']}"

    ended = await api.http.delete(path)

    assert ended.status_code == 200
    assert ended.json()["status"] == "CANCELED"
    again = await api.http.delete(path)
    assert again.status_code == 409
    assert again.json()["code"] == "bracket_ended"
    query = {"status": "closed", "account": "paper", "symbol": "BTC-PERP"}
    assert len((await api.http.get("/api/v1/brackets", params=query)).json()["brackets"]) == 1
    assert (await api.http.get("/api/v1/brackets", params={"status": "open"})).json() == {
        "brackets": []
    }


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [("hang", 202, None), ("missing", 409, "unmanaged"), ("ended", 409, "bracket_ended")],
)
async def test_an_end_that_is_not_answered(
    api: Api, script: Any, status: int, code: str | None
) -> None:
    order = (await api.place(**EXITS)).json()
    api.brackets.end_script = script

    answer = await api.http.delete(f"/api/v1/brackets/{order['order_id']}")

    assert (answer.status_code, answer.json().get("code")) == (status, code)


@pytest.mark.parametrize("name", ["nothing", "33333333-3333-5333-8333-333333333333"])
async def test_no_such_bracket(api: Api, name: str) -> None:
    assert (await api.http.get(f"/api/v1/brackets/{name}")).status_code == 404


async def test_its_exits_are_shown(api: Api) -> None:
    order = (await api.place(**EXITS)).json()
    state = await api.storage.brackets.get(order["order_id"])
    assert state is not None
    leg = Leg(
        kind=LegKind.STOP_LOSS,
        order_id="44444444-4444-5444-8444-444444444444",
        quantity=Decimal("0.1"),
        trigger_price=Decimal(44_000),
    )
    await api.storage.brackets.keep(replace(state, legs=(leg,)))

    view = (await api.http.get(f"/api/v1/brackets/{order['order_id']}")).json()

    assert view["exits"] == [
        {
            "order_id": leg.order_id,
            "kind": "STOP_LOSS",
            "quantity": "0.1",
            "trigger_price": "44000",
            "filled_quantity": "0",
            "status": "PENDING",
            "native": False,
        }
    ]


NATIVE: dict[str, Any] = {
    "take_profit": {"price": "50000"},
    "stop_loss": {"percent": "2"},
    "native": True,
}


async def test_exits_in_the_entrys_own_request(api: Api) -> None:
    answer = await api.place(**NATIVE, client_key="k")

    assert answer.status_code == 201, answer.text
    (plan,) = api.brackets.started
    assert plan.native
    assert plan.entry.joint, "its bracket places it"
    path = f"/api/v1/brackets/{plan.bracket_id}"
    view = (await api.http.get(path)).json()
    assert view["native"] is True
    assert view["protected_by"] == "workflow", "no exit of it is known yet"
    other = await api.place(**{**NATIVE, "native": False}, client_key="k")
    assert other.json()["code"] == "idempotency_mismatch"


async def test_a_dry_run_shows_and_checks_the_exits(api: Api) -> None:
    dry = (await api.place(**NATIVE, dry_run=True)).json()
    assert dry["would_be_taken_as_given"] is True
    asked = {name: dry["action"][name] for name in ("take_profit", "stop_loss", "native")}
    assert asked == {"take_profit": "50000", "stop_loss": "2%", "native": True}

    bad = {**NATIVE, "dry_run": True, "take_profit": {"price": "44000"}}
    dry = (await api.place(**bad)).json()
    assert dry["would_be_taken_as_given"] is False
    assert [problem["pointer"] for problem in dry["problems"]] == ["/take_profit/price"]
    uneven = {**NATIVE, "dry_run": True, "take_profit": {"price": "50000.05"}}
    dry = (await api.place(**uneven)).json()
    assert [problem["pointer"] for problem in dry["problems"]] == ["/take_profit/price"]
    assert not api.brackets.started


async def test_who_keeps_the_exits_is_read_from_the_orders(api: Api) -> None:
    plan = (await api.place(**NATIVE)).json()
    state = await api.storage.brackets.get(plan["order_id"])
    assert state is not None
    exits = joint_exits(state.plan, BTC, created_at=state.plan.entry.created_at)
    await api.storage.brackets.keep(bracket_steps.entered_jointly(state, exits))
    for order in exits:
        report = OrderReport(order_id=order.order_id, revision=0, verdict=Verdict.ACCEPTED)
        revision = Revision(number=0, client_order_id=order.order_id, quantity=order.quantity)
        event = TimelineEvent(
            order_id=order.order_id, kind=EventKind.CREATED, text="", at=order.created_at
        )
        await api.storage.orders.add(apply(with_revision(order, revision), report), event)

    view = (await api.http.get(f"/api/v1/brackets/{plan['order_id']}")).json()

    assert view["protected_by"] == "venue"
    assert [leg["native"] for leg in view["exits"]] == [True, True]
    await api.http.delete(f"/api/v1/brackets/{plan['order_id']}")
    ended = (await api.http.get(f"/api/v1/brackets/{plan['order_id']}")).json()
    assert ended["protected_by"] is None
