"""The routes of risk limits, and orders that are refused before anything is started."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from api.problems import of_error
from domain.accounts import Network
from domain.errors import RiskRefused
from domain.fills import Fill, LiquiditySide
from domain.halts import EVERYTHING
from domain.instruments import OrderSide
from domain.orders import Order, Revision
from domain.violations import ALL_ACCOUNTS, LimitName, Violation
from storage.tables import audit
from tests.api.serving import FOREIGN, PAPER, Api, account, keep, order

D = Decimal
NAMES = [name.value for name in LimitName]


async def put(api: Api, body: Any, path: str = "/api/v1/risk", **headers: str) -> httpx2.Response:
    return await api.http.put(path, json=body, headers=headers)


async def held(api: Api, quantity: str) -> None:
    fill = Fill(
        account_id=PAPER,
        venue="hyperliquid",
        symbol="BTC-PERP",
        trade_id="t1",
        venue_order_id="v1",
        client_order_id=None,
        side=OrderSide.BUY,
        price=D(45_000),
        quantity=D(quantity),
        fee=D(1),
        fee_currency="USDC",
        liquidity_side=LiquiditySide.TAKER,
        event_time=datetime.now(UTC),
    )
    await api.storage.orders.book([fill])


async def test_limits_are_set_whole_and_shown_with_their_use(api: Api) -> None:
    body = {"max_order_notional": "5000.50", "max_open_orders": 3, "max_leverage": None}
    answer = await put(api, body, "/api/v1/risk?account=paper")
    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"1"'
    document = answer.json()
    expected = dict.fromkeys(NAMES) | {"max_order_notional": "5000.5", "max_open_orders": 3}
    assert document["limits"] == expected
    assert (document["scope"], document["account"], document["version"]) == (PAPER, "paper", 1)
    assert document["set_by"] == "local"
    assert document["warnings"] == []
    again = await put(api, {"max_daily_loss": "7"}, f"/api/v1/risk?account={PAPER}")
    assert again.json()["limits"] == dict.fromkeys(NAMES) | {"max_daily_loss": "7"}
    assert (await put(api, {"max_total_notional": "9e5"})).json()["scope"] == "*"

    await held(api, "2")
    await api.storage.halts.halt(None, reason="drill", by="local")
    shown = (await api.http.get("/api/v1/risk")).json()
    assert shown["everything"]["limits"]["max_total_notional"] == "900000"
    (mine,) = shown["accounts"]
    use = {each["limit"]: each for each in mine["use"]}
    assert list(use) == NAMES
    assert use["max_total_notional"]["value"] == "90000"
    assert use["max_position_notional"] == {
        "limit": "max_position_notional",
        "limit_value": None,
        "value": "90000",
        "symbol": "BTC-PERP",
        "exceeded": False,
    }
    assert use["max_daily_loss"]["limit_value"] == "7"
    (halt,) = shown["halts"]
    assert (halt["level"], halt["name"], halt["reason"]) == (EVERYTHING.level, None, "drill")
    (only,) = (await api.http.get("/api/v1/risk", params={"account": "paper"})).json()["accounts"]
    assert only["scope"] == PAPER
    rows = await api.storage.database.fetch_all(
        select(audit.c.subject, audit.c.outcome, audit.c.detail).where(audit.c.action == "risk.set")
    )
    assert [(row.subject, row.outcome) for row in rows] == [
        (f"risk:{PAPER}", "done"),
        (f"risk:{PAPER}", "done"),
        ("risk:*", "done"),
    ]
    assert "5000.5" in rows[0].detail


async def test_limits_below_what_is_held_are_taken_and_that_is_said(api: Api) -> None:
    await held(api, "2")
    answer = await put(api, {"max_position_notional": "1000"}, "/api/v1/risk?account=paper")
    assert answer.status_code == 200
    assert answer.json()["warnings"] == [
        "max_position_notional is 1000, and 90000 is used in BTC-PERP already: until it is less, "
        "only orders that reduce exposure pass"
    ]
    refused = await api.place(quantity="0.001")
    assert (refused.status_code, refused.json()["code"]) == (422, "risk_limit")
    assert (await api.place(side="SELL", quantity="1")).status_code == 201


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({"max_order_notional": "-1"}, "/max_order_notional", "above zero, found '-1'"),
        ({"max_order_notional": "0"}, "/max_order_notional", "above zero, found '0'"),
        ({"max_daily_loss": "NaN"}, "/max_daily_loss", "expected a decimal number"),
        ({"max_leverage": 3}, "/max_leverage", "found a JSON number"),
        ({"max_open_orders": "0"}, "/max_open_orders", "whole number from 1 to 1000000"),
        ({"max_open_orders": 1.5}, "/max_open_orders", "whole number from 1 to 1000000"),
        ({"max_orders_per_minute": -4}, "/max_orders_per_minute", "whole number from 1"),
        ({"max_open_orders": "NaN"}, "/max_open_orders", "whole number from 1"),
        ({"max_size": "1"}, "/max_size", "unknown field"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_limit_that_cannot_be_meant_is_refused(
    shared_api: Api, body: Any, pointer: str, detail: str
) -> None:
    answer = await put(shared_api, body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert detail in error["detail"]
    assert (await shared_api.storage.risk.limits(ALL_ACCOUNTS)).version == 0


async def test_whose_limits_and_which_version(api: Api) -> None:
    await api.storage.accounts.add(
        account(account_id=FOREIGN, label="theirs", owner="local", address="0x" + "cd" * 20),
        trading=b"sealed",
        feed=None,
    )
    for path in ("/api/v1/risk?account=nobody", "/api/v1/risk?account="):
        assert (await put(api, {}, path)).status_code == 404
        assert (await api.http.get(path)).status_code == 404
    first = await put(api, {"max_open_orders": 1}, **{"If-Match": '"0"'})
    assert first.status_code == 200
    stale = await put(api, {}, **{"If-Match": '"0"'})
    assert stale.status_code == 412
    assert stale.json()["code"] == "version_mismatch"
    assert "they are at version 1" in stale.json()["detail"]
    for spelled in ("*", "2"):
        assert (await put(api, {"max_open_orders": 1}, **{"If-Match": spelled})).status_code == 200
    bad = await put(api, {}, **{"If-Match": '"x"'})
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid_header")
    assert len((await api.http.get("/api/v1/risk")).json()["accounts"]) == 2


async def test_an_order_above_a_limit_starts_nothing(api: Api) -> None:
    await put(api, {"max_order_notional": "4000", "max_total_notional": "100"})
    answer = await api.post(
        "/api/v1/orders",
        {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45000"},
        **{"Idempotency-Key": '"k1"'},
    )
    assert answer.status_code == 422
    problem = answer.json()
    assert {name: problem[name] for name in ("code", "limit", "limit_value", "value", "scope")} == {
        "code": "risk_limit",
        "limit": "max_order_notional",
        "limit_value": "4000",
        "value": "4500",
        "scope": "*",
    }
    assert [each["limit"] for each in problem["violations"]] == [
        "max_order_notional",
        "max_total_notional",
    ]
    assert (problem["outcome"], problem["retryable"]) == ("not_sent", False)
    assert "expected at most 4000, found 4500" in problem["detail"]
    assert api.desk.starts == []
    assert (await api.http.get("/api/v1/orders")).json()["orders"] == []
    # The key named nothing: it may be used again.
    await put(api, {})
    taken = await api.post(
        "/api/v1/orders",
        {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45000"},
        **{"Idempotency-Key": '"k1"'},
    )
    assert taken.status_code == 201


async def test_what_reduces_passes_and_a_market_order_counts_at_the_last_mark(api: Api) -> None:
    await held(api, "2")
    await put(api, {"max_order_notional": "1", "max_open_orders": 1})
    assert (await api.place(side="SELL", reduce_only=True)).status_code == 201
    market = {"price": None, "order_type": "MARKET", "quantity": "0.1"}
    await put(api, {"max_order_notional": "4000"})
    # No mark is known: the worker will tell.
    assert (await api.place(**market)).status_code == 201
    marks = {"BTC-PERP": D(45_000)}
    await api.storage.risk.note_marks(
        "hyperliquid", Network.PAPER, marks, seen_at=datetime.now(UTC)
    )
    refused = await api.place(**market)
    assert refused.json()["value"] == "4500"


async def test_a_dry_run_tells_what_a_limit_would_refuse(api: Api) -> None:
    await put(api, {"max_order_notional": "4000"})
    dry = (await api.place(dry_run=True)).json()
    assert dry["would_be_taken_as_given"] is False
    assert dry["problems"] == [
        {
            "limit": "max_order_notional",
            "detail": "max_order_notional of all accounts: expected at most 4000, found 4500",
        }
    ]
    reducing = (await api.place(dry_run=True, reduce_only=True)).json()
    assert (reducing["would_be_taken_as_given"], reducing["problems"]) == (True, [])
    assert api.desk.starts == []


async def test_each_order_of_a_batch_is_judged_for_itself(api: Api) -> None:
    await put(api, {"max_order_notional": "4500"})
    one = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45000"}
    answer = await api.post("/api/v1/orders/batch", {"orders": [one, {**one, "quantity": "0.2"}]})
    first, second = answer.json()["results"]
    assert (first["status"], second["status"]) == (201, 422)
    assert second["problem"]["limit"] == "max_order_notional"
    assert len(api.desk.starts) == 1


async def test_a_modify_is_judged_by_its_difference(api: Api) -> None:
    revision = Revision(number=0, client_order_id="0xc", quantity=D("0.1"), price=D(45_000))
    resting = await keep(api.storage, order(revisions=(revision,)))
    await put(api, {"max_order_notional": "6000", "max_open_orders": 1})
    path = f"/api/v1/orders/{resting.order_id}"
    refused = await api.http.patch(path, json={"quantity": "0.2"})
    assert (refused.status_code, refused.json()["code"]) == (422, "risk_limit")
    assert refused.json()["value"] == "9000"
    assert api.desk.requests == []
    await put(api, {"max_order_notional": "1"})
    assert (await api.http.patch(path, json={"quantity": "0.05"})).status_code == 200
    assert [name for name, *_ in api.desk.requests] == ["modify"]


async def test_what_the_worker_refused_shows_limit_and_value_too(api: Api) -> None:
    violation = Violation(
        limit=LimitName.MAX_OPEN_ORDERS, limit_value=D(3), value=D(4), scope=PAPER
    )
    act = api.desk._act

    async def denying(order: Order) -> Order:
        return await act(replace(order, violations=(violation,)))

    api.desk._act = denying  # type: ignore[method-assign]
    api.desk.script = "deny"
    answer = await api.place()
    problem = answer.json()
    assert answer.status_code == 422
    assert (problem["code"], problem["outcome"]) == ("risk_limit", "rejected")
    assert (problem["limit"], problem["limit_value"], problem["value"]) == (
        "max_open_orders",
        "3",
        "4",
    )
    assert problem["order"]["status"] == "DENIED"


def test_any_refusal_by_a_limit_has_its_members() -> None:
    violation = Violation(
        limit=LimitName.MAX_LEVERAGE, limit_value=D(5), value=None, scope=ALL_ACCOUNTS, note="why"
    )
    problem = of_error(RiskRefused("too much", violations=[violation]))
    assert (problem.status, problem.code, problem.detail) == (422, "risk_limit", "too much")
    assert problem.extra == {
        "limit": "max_leverage",
        "limit_value": "5",
        "value": None,
        "scope": "*",
        "violations": [
            {
                "limit": "max_leverage",
                "limit_value": "5",
                "value": None,
                "scope": "*",
                "note": "why",
            }
        ],
    }
    assert of_error(RiskRefused("the account is halted")).extra == {}
