"""Closes over HTTP: begun once per key, joined or refused, listed, waited for, stopped."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from domain.accounts import AccountState
from domain.closing import CloseStatus, closing_order_id
from domain.instruments import OrderSide
from domain.order_fold import with_revision
from domain.orders import OrderReport, Revision, Verdict
from tests.api.serving import FOREIGN, PAPER, Api, account, keep, order

AT = "/api/v1/positions/paper:BTC-PERP/close"


async def close(api: Api, body: dict[str, Any] | None = None, /, **headers: str) -> httpx2.Response:
    return await api.post(AT, body or {}, **headers)


async def test_a_market_close(api: Api) -> None:
    answer = await close(api, {"percent": "50"})

    assert answer.status_code == 201, answer.text
    view = answer.json()
    assert view["status"] == "DONE"
    assert view["position_id"] == f"{PAPER}:BTC-PERP"
    assert view["target_quantity"] == view["filled_quantity"] == "0.25"
    assert view["start_quantity"] == "0.5"
    assert view["side"] == "LONG"
    assert view["remaining_quantity"] == "0"
    assert view["is_terminal"]
    assert view["workflow_id"] == f"close-{PAPER}-BTC-PERP"
    assert answer.headers["Location"] == f"/api/v1/closes/{view['close_id']}"
    (plan,) = api.closes.begun
    assert plan.max_slippage_bps == 500
    assert plan.limit_price is None


@pytest.mark.parametrize("name", [f"{PAPER}:BTC-PERP", "paper:BTC-PERP", "BTC-PERP"])
async def test_every_name_of_the_position(api: Api, name: str) -> None:
    answer = await api.post(f"/api/v1/positions/{name}/close", {})

    assert answer.status_code == 201, answer.text


async def test_the_same_key_gets_the_same_answer(api: Api) -> None:
    key = {"Idempotency-Key": "once"}
    first = await close(api, **key)

    again = await close(api, {"percent": "100.0"}, **key)

    assert again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(api.closes.begun) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [(AT, {"percent": "50"}), ("/api/v1/positions/paper:OLD-PERP/close", {})],
)
async def test_the_same_key_for_something_else(api: Api, path: str, body: Any) -> None:
    key = {"Idempotency-Key": "once"}
    await close(api, **key)

    answer = await api.post(path, body, **key)

    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_mismatch"


TIMETABLE = {"reprice_every_s": 5, "reprices": 3, "then": "market"}


async def test_one_under_way_is_202_and_read_and_stopped(api: Api) -> None:
    api.closes.script = "rest"

    answer = await close(api, {"limit_price": "46000", "escalation": TIMETABLE})

    assert answer.status_code == 202, answer.text
    view = answer.json()
    assert view["status"] == "RUNNING"
    assert view["escalation"] == TIMETABLE
    assert view["step_kind"] == "limit"
    assert view["step_ends_at"] is not None
    path = f"/api/v1/closes/{view['close_id']}"
    assert answer.headers["Location"] == path
    assert (await api.http.get(path)).json() == view
    listed = (await api.http.get("/api/v1/closes", params={"status": "open"})).json()
    assert [each["close_id"] for each in listed["closes"]] == [view["close_id"]]

    stopped = await api.http.delete(path)

    assert stopped.status_code == 200
    assert stopped.json()["status"] == "CANCELED"
    again = await api.http.delete(path)
    assert again.status_code == 409
    assert again.json()["code"] == "close_ended"
    assert (await api.http.get("/api/v1/closes", params={"status": "open"})).json() == {
        "closes": []
    }
    closed = await api.http.get(
        "/api/v1/closes", params={"status": "closed", "account": "paper", "symbol": "BTC-PERP"}
    )
    assert len(closed.json()["closes"]) == 1


async def test_a_second_one_joins_or_is_refused(api: Api) -> None:
    api.closes.script = "rest"
    first = (await close(api, {"limit_price": "46000"})).json()

    joined = await close(api, {"limit_price": "46000"}, **{"Idempotency-Key": "second"})
    assert joined.status_code == 202
    assert joined.json()["close_id"] == first["close_id"]
    refused = await close(api, {"percent": "50"}, **{"Idempotency-Key": "third"})
    assert refused.status_code == 409
    problem = refused.json()
    assert problem["code"] == "close_running"
    assert problem["running_close_id"] == first["close_id"]
    assert problem["close"]["status"] == "RUNNING"

    await api.closes.end_elsewhere(CloseStatus.FLAT)
    again = await close(api, {"limit_price": "46000"}, **{"Idempotency-Key": "second"})
    assert again.status_code == 201, "the one it joined has ended"
    assert again.json()["status"] == "FLAT"
    assert (await api.http.get("/api/v1/closes")).json()["closes"] == [again.json()]
    api.closes.script = "done"
    third = await close(api, {"percent": "50"}, **{"Idempotency-Key": "third"})
    assert third.status_code == 201, "a refused request used up no key"


async def test_a_position_that_is_gone(api: Api) -> None:
    api.closes.script = "gone"

    answer = await close(api)

    assert answer.status_code == 409
    problem = answer.json()
    assert problem["code"] == "close_refused"
    assert "no position" in problem["detail"]
    assert problem["close"]["shown"]["side"] == "FLAT"
    assert problem["outcome"] == "not_sent"


async def test_one_refused_after_orders_went_out_is_no_refusal_of_the_request(api: Api) -> None:
    api.closes.script = "rest"
    key = {"Idempotency-Key": "k"}
    await close(api, {"limit_price": "46000"}, **key)
    (place, state) = api.closes.running.popitem()
    api.closes.running[place] = replace(state, orders=3)
    await api.closes.end_elsewhere(CloseStatus.REFUSED)

    answer = await close(api, {"limit_price": "46000"}, **key)

    assert answer.status_code == 201
    assert answer.json()["status"] == "REFUSED"


@pytest.mark.parametrize("script", ["away", "lost"])
async def test_a_start_that_was_refused_can_be_repeated(api: Api, script: Any) -> None:
    api.closes.script = script
    key = {"Idempotency-Key": "again"}

    answer = await close(api, **key)

    assert answer.status_code == 503
    api.closes.script = "done"
    assert (await close(api, **key)).status_code == 201


async def test_one_that_waits_for_a_worker_is_202(api: Api) -> None:
    api.closes.script = "queued"

    answer = await close(api)

    assert answer.status_code == 202
    assert answer.json()["status"] == "REQUESTED"


async def test_a_start_of_which_nothing_is_known_is_not_acknowledged(api: Api) -> None:
    api.closes.script = "silent"
    key = {"Idempotency-Key": "again"}

    answer = await close(api, **key)

    assert answer.status_code == 503
    assert answer.json()["code"] == "start_unclear"
    assert answer.json()["outcome"] == "unknown"
    api.closes.script = "rest"
    begun = await close(api, {"limit_price": "46000"}, **key)
    assert begun.status_code == 422, "another body"
    assert (await close(api, **key)).status_code == 202
    api.closes.script = "silent"
    assert (await close(api, **key)).status_code == 202, "the database knows that it runs"


async def test_one_that_ended_meanwhile_is_read(api: Api) -> None:
    api.closes.script = "closed"

    answer = await close(api)

    assert answer.status_code == 201
    assert answer.json()["status"] == "DONE"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "percent 0": ({"percent": "0"}, "/percent"),
    "percent 101": ({"percent": "101"}, "/percent"),
    "percent NaN": ({"percent": "NaN"}, "/percent"),
    "percent -1": ({"percent": "-1"}, "/percent"),
    "percent as a number": ({"percent": 50}, "/percent"),
    "limit and market": ({"limit_price": "46000", "market": True}, "/market"),
    "market with prices": ({"market": True, "escalation": TIMETABLE}, "/escalation"),
    "a bound without market": (
        {"limit_price": "46000", "max_slippage_bps": 10},
        "/max_slippage_bps",
    ),
    "a bound of nothing": ({"max_slippage_bps": 0}, "/max_slippage_bps"),
    "a price between ticks": ({"limit_price": "46000.05"}, "/limit_price"),
    "no time": ({"escalation": {"reprice_every_s": 0}}, "/escalation/reprice_every_s"),
    "no such end": (
        {"escalation": {"reprice_every_s": 1, "then": "pray"}},
        "/escalation/then",
    ),
    "unknown member": ({"quantity": "1"}, "/quantity"),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_input_does_nothing(api: Api, case: str) -> None:
    body, pointer = BAD[case]

    answer = await close(api, body)

    assert answer.status_code == 422, answer.text
    assert [error.get("pointer") for error in answer.json()["errors"]] == [pointer]
    assert not api.closes.begun
    assert (await api.http.get("/api/v1/closes")).json() == {"closes": []}


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("nobody:BTC-PERP", 404, "not_found"),
        ("paper:btc", 422, "invalid_input"),
        ("paper", 422, "invalid_input"),
        ("paper:DOGE-PERP", 422, "invalid_input"),
        (f"{FOREIGN}:BTC-PERP", 404, "not_found"),
    ],
)
async def test_what_is_no_position(api: Api, name: str, status: int, code: str) -> None:
    answer = await api.post(f"/api/v1/positions/{name}/close", {})

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_symbol_that_names_several_is_refused_with_the_list(api: Api) -> None:
    other = account(account_id=FOREIGN, label="other", address="0x" + "cd" * 20)
    await api.storage.accounts.add(replace(other, is_default=False), trading=b"s", feed=None)
    await api.storage.accounts.set_state(
        FOREIGN, AccountState.ACTIVE, reason=None, signer="0xother"
    )

    answer = await api.post("/api/v1/positions/BTC-PERP/close", {})

    assert answer.status_code == 409
    problem = answer.json()
    assert problem["code"] == "ambiguous_position"
    assert problem["positions"] == ["other:BTC-PERP", "paper:BTC-PERP"]
    await filled_order(api)
    one = await api.post("/api/v1/positions/BTC-PERP/close", {})
    assert one.status_code == 201, "only one of them holds it"


async def filled_order(api: Api, **changes: Any) -> None:
    placed = with_revision(
        order(**changes), Revision(number=0, client_order_id="0x1", quantity=order().quantity)
    )
    await keep(api.storage, placed)
    await api.storage.orders.fold(
        OrderReport(
            order_id=placed.order_id,
            revision=0,
            verdict=Verdict.FILLED,
            filled_quantity=placed.quantity,
            average_price=placed.price,
        )
    )


async def test_what_the_orders_filled_counts_at_once(api: Api) -> None:
    api.closes.script = "rest"
    view = (await close(api, {"limit_price": "46000"})).json()
    child = closing_order_id(view["close_id"], 0)
    await filled_order(
        api, order_id=child, parent_id=view["close_id"], side=OrderSide.SELL, reduce_only=True
    )

    now = (await api.http.get(f"/api/v1/closes/{view['close_id']}")).json()

    assert now["filled_quantity"] == "0.1"
    assert now["remaining_quantity"] == "0.4"
    assert [each["order_id"] for each in now["orders"]] == [child]


async def test_waiting_for_the_end(api: Api) -> None:
    api.closes.script = "rest"
    view = (await close(api, {"limit_price": "46000"})).json()
    path = f"/api/v1/closes/{view['close_id']}"

    early = await api.http.get(path, params={"wait_for": "terminal", "timeout": "0"})
    assert early.json()["status"] == "RUNNING"
    waiting = asyncio.create_task(
        api.http.get(path, params={"wait_for": "terminal", "timeout": "20"})
    )
    await asyncio.sleep(0)
    await api.closes.end_elsewhere(CloseStatus.DONE)

    assert (await waiting).json()["status"] == "DONE"


@pytest.mark.parametrize(("script", "status"), [("hang", 202), ("missing", 409), ("away", 503)])
async def test_a_stop_that_is_not_answered(api: Api, script: Any, status: int) -> None:
    api.closes.script = "rest"
    view = (await close(api, {"limit_price": "46000"})).json()
    api.closes.stop_script = script

    answer = await api.http.delete(f"/api/v1/closes/{view['close_id']}")

    assert answer.status_code == status, answer.text


async def test_a_stop_that_comes_too_late(api: Api) -> None:
    api.closes.script = "rest"
    view = (await close(api, {"limit_price": "46000"})).json()
    state = api.closes.running.pop(f"{PAPER}:BTC-PERP")
    assert not state.status.is_terminal

    gone = await api.http.delete(f"/api/v1/closes/{view['close_id']}")
    assert gone.status_code == 409
    assert gone.json()["code"] == "unmanaged"
    api.closes.running[f"{PAPER}:BTC-PERP"] = state


@pytest.mark.parametrize("name", ["nothing", "33333333-3333-5333-8333-333333333333"])
async def test_no_such_close(api: Api, name: str) -> None:
    assert (await api.http.get(f"/api/v1/closes/{name}")).status_code == 404
    assert (await api.http.delete(f"/api/v1/closes/{name}")).status_code == 404


async def test_an_account_that_may_not_trade(api: Api) -> None:
    pending = account(account_id=FOREIGN, label="new", address="0x" + "cd" * 20)
    await api.storage.accounts.add(
        replace(pending, is_default=False, created_at=datetime.now(UTC)),
        trading=b"s",
        feed=None,
    )

    answer = await api.post("/api/v1/positions/new:BTC-PERP/close", {})

    assert answer.status_code == 409
    assert answer.json()["code"] == "account_not_active"
