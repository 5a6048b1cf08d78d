"""Conditional closes over HTTP: set once per key, refused, listed, changed, canceled."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from domain.accounts import AccountState
from domain.guarding import GuardStatus
from tests.api.serving import FOREIGN, PAPER, Api

AT = "/api/v1/positions/paper:BTC-PERP/conditions"
PROFIT = {"profit_percent": "10"}


async def put(api: Api, body: dict[str, Any] | None = None, **headers: str) -> httpx2.Response:
    return await api.post(AT, PROFIT if body is None else body, **headers)


async def a_condition(api: Api, **body: Any) -> dict[str, Any]:
    answer = await put(api, {**PROFIT, **body})
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def test_it_is_watched(api: Api) -> None:
    view = await a_condition(api, loss_percent="5", percent="50")

    assert view["status"] == "WATCHING"
    assert view["position_id"] == f"{PAPER}:BTC-PERP"
    assert view["conditions"] == "profit 10 % or loss 5 %"
    assert view["protected_by"] == "GUARD"
    assert not view["is_terminal"]
    prices = {each["kind"]: each["price"] for each in view["thresholds"]}
    assert prices == {"profit": "49500", "loss": "42750"}
    assert view["thresholds"][0]["distance_percent"] == "-5"
    assert view["watched"] is None
    assert view["workflow_id"] == f"guard-{view['condition_id']}"
    (plan,) = api.conditions.begun
    assert plan.percent == 50


async def test_of_margin_a_trail_and_a_time(api: Api) -> None:
    at = datetime.now(UTC) + timedelta(days=1)
    view = await a_condition(api, of="margin", trail_amount="100", at=at.isoformat())

    assert view["thresholds"][1]["price"] == "45900", "10 % of margin at leverage 5"
    assert view["extreme"] == "45000"
    assert view["at"] is not None


@pytest.mark.parametrize("name", [f"{PAPER}:BTC-PERP", "paper:BTC-PERP", "BTC-PERP"])
async def test_every_name_of_the_position(api: Api, name: str) -> None:
    answer = await api.post(f"/api/v1/positions/{name}/conditions", PROFIT)

    assert answer.status_code == 201, answer.text
    listed = await api.http.get(f"/api/v1/positions/{name}/conditions")
    assert len(listed.json()["conditions"]) == 1


async def test_the_same_key_gets_the_same_answer(api: Api) -> None:
    key: Any = {"Idempotency-Key": "once"}
    first = await put(api, **key)

    again = await put(api, {"profit_percent": "10.0"}, **key)
    other = await put(api, {"profit_percent": "11"}, **key)

    assert again.status_code == 201
    assert again.json()["condition_id"] == first.json()["condition_id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_mismatch"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"price": "45000"}, "true already"),
        ({"price": "46000", "direction": "below"}, "true already"),
        ({"profit_percent": "10", "price": "60000"}, "contradict"),
        ({"trail_amount": "46000"}, "wider than the price"),
        ({"loss_percent": "100"}, "no price is so low"),
    ],
)
async def test_what_does_not_suit_the_present_price(
    api: Api, body: dict[str, Any], words: str
) -> None:
    answer = await put(api, body)

    assert answer.status_code == 409, answer.text
    assert answer.json()["code"] == "condition_refused"
    assert words in answer.json()["detail"]
    assert answer.json()["outcome"] == "not_sent"


async def test_a_position_that_is_gone(api: Api) -> None:
    api.conditions.held = None

    answer = await put(api)

    assert answer.status_code == 409
    assert "no position" in answer.json()["detail"]


async def test_an_account_that_may_not_trade(api: Api) -> None:
    await api.storage.accounts.set_state(
        PAPER, AccountState.REFUSED, reason="a master key", signer=""
    )

    answer = await put(api)

    assert answer.status_code == 409
    assert answer.json()["code"] == "account_not_active"


async def test_workflows_away(api: Api) -> None:
    key: Any = {"Idempotency-Key": "again"}
    api.conditions.script = "away"
    refused = await put(api, **key)
    api.conditions.script = "lost"
    lost = await put(api, **key)
    api.conditions.script = "silent"
    silent = await put(api, **key)
    api.conditions.script = "closed"
    closed = await put(api, **key)

    assert refused.status_code == lost.status_code == 503
    assert silent.status_code == 202
    assert silent.json()["status"] == "REQUESTED"
    assert closed.status_code == 201


async def test_it_is_listed_and_read(api: Api) -> None:
    view = await a_condition(api)

    for query in ("", "?status=open", "?account=paper&symbol=BTC-PERP"):
        listed = await api.http.get(f"/api/v1/conditions{query}")
        assert [each["condition_id"] for each in listed.json()["conditions"]] == [
            view["condition_id"]
        ]
    none = await api.http.get("/api/v1/conditions?status=closed")
    assert none.json()["conditions"] == []
    read = await api.http.get(f"/api/v1/conditions/{view['condition_id']}")
    assert read.json() == view


async def test_waiting_for_the_end(api: Api) -> None:
    view = await a_condition(api)
    path = f"/api/v1/conditions/{view['condition_id']}?wait_for=terminal"
    waiting = asyncio.create_task(api.http.get(f"{path}&timeout=10"))
    await asyncio.sleep(0)
    await api.conditions.end_elsewhere(view["condition_id"])

    assert (await waiting).json()["status"] == "CLOSED"
    assert (await api.http.get(f"{path}&timeout=0")).json()["protected_by"] == "NONE"


async def test_a_change(api: Api) -> None:
    view = await a_condition(api)
    path = f"/api/v1/conditions/{view['condition_id']}"

    changed = await api.http.patch(
        path, json={"loss_percent": "5"}, headers={"Idempotency-Key": "c1"}
    )
    refused = await api.http.patch(path, json={"price": "45000"}, headers={"Idempotency-Key": "c2"})

    assert changed.status_code == 200, changed.text
    assert changed.json()["version"] == 2
    assert changed.json()["conditions"] == "loss 5 %"
    assert refused.status_code == 409
    assert refused.json()["code"] == "change_refused"
    assert (await api.http.get(path)).json()["conditions"] == "loss 5 %"


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        ("hang", 202, None),
        ("missing", 409, "unmanaged"),
        ("triggered", 409, "condition_triggered"),
        ("away", 503, None),
    ],
)
async def test_requests_that_are_not_done(
    api: Api, script: Any, status: int, code: str | None
) -> None:
    view = await a_condition(api)
    path = f"/api/v1/conditions/{view['condition_id']}"
    api.conditions.request_script = script

    changed = await api.http.patch(
        path, json={"loss_percent": "5"}, headers={"Idempotency-Key": "c1"}
    )
    canceled = await api.http.delete(path, headers={"Idempotency-Key": "c2"})

    assert changed.status_code == canceled.status_code == status
    if code is not None:
        assert changed.json()["code"] == canceled.json()["code"] == code


async def test_a_cancel(api: Api) -> None:
    view = await a_condition(api)
    path = f"/api/v1/conditions/{view['condition_id']}"

    canceled = await api.http.delete(path, headers={"Idempotency-Key": "c1"})
    again = await api.http.delete(path, headers={"Idempotency-Key": "c2"})

    assert canceled.status_code == 200
    assert canceled.json()["status"] == GuardStatus.CANCELED
    assert again.status_code == 409
    assert again.json()["code"] == "condition_ended"


@pytest.mark.parametrize("name", ["nonsense", "0b9c7a52-6f4e-5b1d-9b7f-2f1c0a3d4e5f"])
async def test_one_that_there_is_not(api: Api, name: str) -> None:
    answer = await api.http.get(f"/api/v1/conditions/{name}")

    assert answer.status_code == 404


async def test_anothers_account(api: Api) -> None:
    answer = await api.post(f"/api/v1/positions/{FOREIGN}:BTC-PERP/conditions", PROFIT)

    assert answer.status_code == 404
    assert Decimal(api.conditions.mark) == 45_000
