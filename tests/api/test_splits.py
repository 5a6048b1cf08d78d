"""Split orders over the API: placed once, shown with their children, canceled lastingly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from domain.accounts import Network
from domain.identifiers import order_id_for
from domain.risk_limits import RiskLimits
from storage.opening import Storage
from storage.tables import audit
from tests.api.said_venues import served
from tests.api.serving import BTC, PAPER, Api, serving
from tests.api.test_routing import SECOND, a_book, add, routed, why_not


@pytest.fixture
async def api(storage: Storage) -> AsyncIterator[Api]:
    """An API over an account at each of two venues, whose books hold 0.06 and 5."""
    await add(storage, SECOND, "second", "pacifica")
    market = replace(BTC, venue="pacifica")
    await storage.markets.save(Network.PAPER, [market], seen_at=datetime.now(UTC))
    async with serving(storage, venues=("hyperliquid", "pacifica")) as running:
        running.venues.said["pacifica"] = served("pacifica")
        running.books.at = {
            "hyperliquid": a_book("hyperliquid", "45010"),
            "pacifica": a_book("pacifica", "45005", "0.06"),
        }
        yield running


async def split(api: Api, **changes: Any) -> Any:
    return await routed(api, split=True, client_key="mine", **changes)


async def test_a_split_order_is_its_children(api: Api) -> None:
    answer = await split(api)
    assert answer.status_code == 201
    placed = answer.json()
    split_id = order_id_for("local", "mine")
    assert answer.headers["location"] == f"/api/v1/splits/{split_id}"
    assert (placed["split_id"], placed["status"]) == (split_id, "WORKING")
    assert placed["workflow_id"] == f"split-{split_id}"
    shares = {leg["venue"]: leg["quantity"] for leg in placed["legs"]}
    assert shares == {"pacifica": "0.06", "hyperliquid": "0.04"}
    assert placed["legs"][0]["why"].startswith("pacifica/second; 0.06 executes at 45005")
    for leg in placed["legs"]:
        assert leg["outcome"] == "accepted"
        order = (await api.http.get(f"/api/v1/orders/{leg['order_id']}")).json()
        assert (order["origin"], order["parent_id"]) == ("SPLIT", split_id)
        assert order["routed"] == leg["why"]
    routing = placed["routing"]
    assert [each["account"] for each in routing["parts"]] == ["second", "paper"]
    assert (await api.http.get(f"/api/v1/orders/{split_id}/routing")).json() == routing


async def test_the_same_key_gets_the_same_children_whatever_prices_do(api: Api) -> None:
    first = (await split(api)).json()
    api.books.at["pacifica"] = a_book("pacifica", "49000")
    again = await split(api)
    assert again.status_code == 201
    assert again.json() == first
    assert again.headers["idempotent-replayed"] == "true"
    assert len(api.desk.starts) == 2


async def test_twenty_at_once_make_one_split_order(api: Api) -> None:
    answers = await asyncio.gather(*(split(api) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {201, 202}
    assert len(api.splits.started) == 1
    assert len(api.desk.starts) == 2


async def test_a_start_that_nobody_answered_may_have_happened(api: Api) -> None:
    api.splits.script = "away"
    answer = await split(api)
    assert answer.status_code == 503
    assert (answer.json()["code"], answer.json()["outcome"]) == ("start_unclear", "unknown")
    api.books.at["pacifica"] = a_book("pacifica", "49000")
    api.splits.script = "start"
    placed = (await split(api)).json()
    assert {leg["venue"]: leg["quantity"] for leg in placed["legs"]} == {
        "pacifica": "0.06",
        "hyperliquid": "0.04",
    }


async def test_a_refused_share_is_said_and_not_sent_elsewhere(api: Api) -> None:
    api.splits.refuse_at = {"hyperliquid"}
    answer = await split(api)
    assert answer.status_code == 201
    placed = answer.json()
    assert placed["lost_quantity"] == "0.04"
    by_venue = {leg["venue"]: leg for leg in placed["legs"]}
    assert by_venue["hyperliquid"]["status"] == "REJECTED"
    assert "insufficient margin" in by_venue["hyperliquid"]["reason"]


async def test_when_every_share_is_refused_nothing_is_open(api: Api) -> None:
    api.desk.script = "deny"
    answer = await split(api)
    assert answer.status_code == 422
    problem = answer.json()
    assert (problem["code"], problem["outcome"]) == ("split_refused", "rejected")
    assert problem["split"]["lost_quantity"] == "0.1"
    api.desk.script = "not_sent"
    answer = await routed(api, split=True)
    assert answer.json()["outcome"] == "not_sent"


async def test_what_is_not_decided_in_time_is_followed(api: Api) -> None:
    api.splits.script = "hang"
    answer = await api.http.post(
        "/api/v1/orders",
        json={
            "symbol": "BTC-PERP",
            "side": "BUY",
            "quantity": "0.1",
            "price": "45100",
            "split": True,
        },
        headers={"Prefer": "wait=0"},
    )
    assert answer.status_code == 202
    assert {leg["status"] for leg in answer.json()["legs"]} == {"PENDING"}
    shown = (await api.http.get(answer.headers["location"])).json()
    assert shown["status"] == "WORKING"
    assert "routing" not in shown


async def test_a_share_beyond_a_limit_goes_to_who_may(api: Api) -> None:
    await api.storage.risk.put(SECOND, RiskLimits(max_order_notional=Decimal(100)), by="local")
    placed = (await split(api)).json()
    assert [leg["venue"] for leg in placed["legs"]] == ["hyperliquid"]
    assert why_not(placed) == {"second": "risk_limit"}


async def test_what_finds_no_account_is_not_placed_in_part(api: Api) -> None:
    api.terms.available = {"paper": Decimal(200), "second": Decimal(200)}
    answer = await split(api)
    assert answer.status_code == 422
    assert answer.json()["code"] == "no_route"
    assert "find no account that can take them; nothing was placed" in answer.json()["detail"]
    assert not api.desk.starts


async def test_canceling_the_parent(api: Api) -> None:
    split_id = (await split(api)).json()["split_id"]
    api.splits.end_script = "hang"
    assert (await api.http.delete(f"/api/v1/splits/{split_id}")).status_code == 202
    api.splits.end_script = "missing"
    answer = await api.http.delete(f"/api/v1/splits/{split_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "unmanaged")
    api.splits.end_script = "done"
    answer = await api.http.delete(f"/api/v1/splits/{split_id}")
    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELED")
    answer = await api.http.delete(f"/api/v1/splits/{split_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "split_ended")
    audited = [row async for row in _audit(api)]
    assert audited.count("split.cancel") == 3


async def _audit(api: Api) -> AsyncIterator[str]:
    for row in await api.storage.database.fetch_all(select(audit.c.action)):
        yield row.action


async def test_listing_and_reading(api: Api) -> None:
    first = (await split(api)).json()["split_id"]
    second = (await routed(api, split=True)).json()["split_id"]
    await api.http.delete(f"/api/v1/splits/{first}")

    async def listed(query: str) -> list[str]:
        found = (await api.http.get(f"/api/v1/splits{query}")).json()["splits"]
        return [each["split_id"] for each in found]

    assert await listed("") == [second, first]
    assert await listed("?status=open") == [second]
    assert await listed("?status=closed&symbol=BTC-PERP") == [first]
    assert await listed("?limit=1") == [second]
    assert await listed("?symbol=ETH-PERP") == []
    live = (await api.http.get(f"/api/v1/splits/{second}?live=true")).json()
    assert live["source"] == "workflow"
    api.desk.answering = False
    live = (await api.http.get(f"/api/v1/splits/{second}?live=true")).json()
    assert live["source"] == "database"
    for text in ("no-id", order_id_for("local", "nothing")):
        assert (await api.http.get(f"/api/v1/splits/{text}")).status_code == 404


async def test_anothers_split_order_is_not_told(api: Api) -> None:
    await split(api)
    state = await api.storage.splits.get(order_id_for("local", "mine"))
    assert state is not None
    foreign = order_id_for("somebody", "k")
    plan = replace(state.plan, owner="somebody", split_id=foreign)
    await api.storage.splits.keep(replace(state, plan=plan))
    assert (await api.http.get(f"/api/v1/splits/{foreign}")).status_code == 404
    assert (await api.http.delete(f"/api/v1/splits/{foreign}")).status_code == 404


async def test_a_child_is_an_order_that_is_not_changed(api: Api) -> None:
    placed = (await split(api)).json()
    child = placed["legs"][0]["order_id"]
    answer = await api.http.patch(f"/api/v1/orders/{child}", json={"quantity": "0.01"})
    assert (answer.status_code, answer.json()["code"]) == (409, "modify_refused")
    assert (await api.http.delete(f"/api/v1/orders/{child}")).status_code == 200
    assert (await api.http.get(f"/api/v1/splits/{placed['split_id']}")).json()["legs"][0][
        "status"
    ] == "CANCELED"


async def test_a_batch_takes_no_split_order(api: Api) -> None:
    order = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45100"}
    answer = await api.post("/api/v1/orders/batch", {"orders": [{**order, "split": True}]})
    assert answer.status_code == 422
    singly = {"orders": [{**order, "venue": "auto"}, {**order, "account": PAPER}]}
    answer = await api.post("/api/v1/orders/batch", singly)
    placed = [each["order"]["venue"] for each in answer.json()["results"]]
    assert placed == ["hyperliquid", "hyperliquid"], "pacifica's 0.06 are less than is asked"
