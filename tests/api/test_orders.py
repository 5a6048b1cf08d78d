"""Reading, listing, cancelling, modifying and resolving orders."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Connection

from api.context import Limits
from domain.fills import Fill, LiquiditySide
from domain.instruments import OrderSide
from domain.orders import OrderStatus
from storage.opening import Storage
from tests.api.serving import FOREIGN, PAPER, Api, account, keep, order, serving

MISSING = "99999999-9999-4999-8999-999999999999"


async def placed(api: Api, **changes: object) -> str:
    answer = await api.place(**changes)
    assert answer.status_code in (201, 202), answer.text
    return str(answer.json()["order_id"])


async def test_an_order_is_read_from_the_database(api: Api) -> None:
    order_id = await placed(api)
    answer = await api.http.get(f"/api/v1/orders/{order_id}")
    assert answer.status_code == 200
    assert answer.json()["source"] == "database"
    upper = await api.http.get(f"/api/v1/orders/{order_id.upper()}")
    assert upper.json() == answer.json()


async def test_live_asks_the_workflow_and_says_when_it_fell_back(api: Api) -> None:
    order_id = await placed(api)
    answer = await api.http.get(f"/api/v1/orders/{order_id}?live=true")
    assert answer.json()["source"] == "workflow"
    api.desk.answering = False
    answer = await api.http.get(f"/api/v1/orders/{order_id}?live=true")
    assert answer.json()["source"] == "database"


async def test_with_temporal_away_a_missing_order_is_not_called_missing(api: Api) -> None:
    api.desk.answering = False
    answer = await api.http.get(f"/api/v1/orders/{MISSING}")
    assert answer.status_code == 503
    assert answer.json()["outcome"] is None


@pytest.mark.parametrize("text", [MISSING, "nonsense", "..%2f..", "%00", "1" * 5000])
@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
async def test_unknown_orders_are_404(api: Api, text: str, method: str) -> None:
    body = {"price": "45001"} if method == "PATCH" else None
    answer = await api.http.request(method, f"/api/v1/orders/{text}", json=body)
    assert answer.status_code == 404, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_another_owners_order_does_not_exist_and_the_attempt_is_kept(api: Api) -> None:
    await api.storage.database.write(_add_principal)
    await api.storage.accounts.add(
        account(account_id=FOREIGN, owner="other", label="theirs", address="0x" + "99" * 20),
        trading=b"sealed",
        feed=None,
    )
    theirs = await keep(api.storage, order(owner="other", account_id=FOREIGN))
    path = f"/api/v1/orders/{theirs.order_id}"
    answers = [
        await api.http.get(path),
        await api.http.get(f"{path}/history"),
        await api.http.get(f"{path}?wait_for=terminal&timeout=0"),
        await api.http.get(f"{path}?live=true"),
        await api.http.delete(path),
        await api.http.patch(path, json={"price": "45001"}),
        await api.http.post(f"{path}/resolve", json={"verdict": "absent", "reason": "x"}),
        await api.http.get(f"/api/v1/accounts/{FOREIGN}"),
        await api.http.get("/api/v1/accounts/theirs"),
        await api.http.get("/api/v1/orders?account=theirs"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert (await api.place(account="theirs")).status_code == 422
    assert (await api.place(account=FOREIGN)).status_code == 422
    listed = (await api.http.get("/api/v1/orders")).json()["orders"]
    assert listed == []
    assert api.desk.requests == []
    sealed = await api.storage.audit.seal()
    assert sealed >= 7


def _add_principal(connection: Connection) -> None:
    from sqlalchemy import insert

    from storage.tables import principals

    values = {"principal_id": "other", "name": "other", "created_at": datetime.now(UTC)}
    known = {column.name for column in principals.columns}
    connection.execute(
        insert(principals).values({name: values[name] for name in known if name in values})
    )


async def test_lists_page_newest_first_and_filter(api: Api) -> None:
    ids = [await placed(api, client_key=f"k{number}") for number in range(5)]
    api.desk.script = "fill"
    filled = await placed(api, client_key="filled")
    page = (await api.http.get("/api/v1/orders?limit=4")).json()
    assert page["has_more"] is True
    rest = (await api.http.get(f"/api/v1/orders?limit=4&cursor={page['next_cursor']}")).json()
    assert rest["has_more"] is False
    assert rest["next_cursor"] is None
    found = [each["order_id"] for each in page["orders"] + rest["orders"]]
    assert found == [filled, *reversed(ids)]

    async def count(query: str) -> int:
        return len((await api.http.get(f"/api/v1/orders?{query}")).json()["orders"])

    assert await count("status=all") == 6
    assert await count("status=open") == 5
    assert await count("status=closed") == 1
    assert await count("status=filled") == 1
    assert await count("status=FILLED,ACCEPTED") == 6
    assert await count("account=paper") == 6
    assert await count(f"account={PAPER}&symbol=BTC-PERP&venue=hyperliquid") == 6
    assert await count("symbol=ETH-PERP") == 0
    await api.http.put("/api/v1/account-groups/majors", json={"accounts": ["paper"]})
    assert await count("group=majors") == 6
    assert await count("group=majors&account=paper&status=open") == 5
    assert (await api.http.get("/api/v1/orders?group=nobody")).status_code == 404
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert await count(f"created_from={soon}") == 0
    assert await count(f"created_until={soon}") == 6
    answer = await api.http.get("/api/v1/orders?account=nobody")
    assert answer.status_code == 404


async def test_history_has_timeline_fills_and_where_to_look(api: Api) -> None:
    order_id = await placed(api)
    client_order_id = (await api.http.get(f"/api/v1/orders/{order_id}")).json()["client_order_id"]
    await api.storage.orders.book(
        [
            Fill(
                account_id=PAPER,
                venue="hyperliquid",
                symbol="BTC-PERP",
                trade_id="t1",
                venue_order_id="77738308",
                client_order_id=client_order_id,
                side=OrderSide.BUY,
                price=Decimal("45000"),
                quantity=Decimal("0.04"),
                fee=Decimal("0.81"),
                fee_currency="USDC",
                liquidity_side=LiquiditySide.MAKER,
                event_time=datetime.now(UTC),
            )
        ]
    )
    history = (await api.http.get(f"/api/v1/orders/{order_id}/history")).json()
    assert history["workflow_id"] == f"order-{order_id}"
    assert history["temporal_url"].endswith(f"/namespaces/default/workflows/order-{order_id}")
    assert history["events"][0]["text"] == "created"
    assert history["fills"][0]["quantity"] == "0.04"
    assert history["order"]["filled_quantity"] == "0.04"
    assert history["order"]["remaining_quantity"] == "0.06"


async def test_a_long_poll_answers_as_soon_as_it_is_reached(api: Api) -> None:
    order_id = await placed(api)
    path = f"/api/v1/orders/{order_id}"
    polls = {
        name: asyncio.create_task(api.http.get(f"{path}?wait_for={name}&timeout=15"))
        for name in ("fill", "terminal")
    }
    decided = await api.http.get(f"{path}?wait_for=decided&timeout=15")
    assert decided.json()["outcome"] == "accepted"
    await asyncio.sleep(0.1)
    assert not any(poll.done() for poll in polls.values())
    await api.desk.fill(order_id, quantity=Decimal("0.05"))
    part = (await asyncio.wait_for(polls["fill"], 5)).json()
    assert part["status"] == "PARTIALLY_FILLED"
    assert part["filled_quantity"] == "0.05"
    assert not polls["terminal"].done()
    await api.desk.fill(order_id)
    assert (await asyncio.wait_for(polls["terminal"], 5)).json()["status"] == "FILLED"


async def test_a_long_poll_ends_with_its_time(api: Api) -> None:
    order_id = await placed(api)
    began = time.monotonic()
    answer = await api.http.get(f"/api/v1/orders/{order_id}?wait_for=terminal&timeout=1")
    assert answer.json()["status"] == "ACCEPTED"
    assert 0.9 <= time.monotonic() - began < 10
    for wrong in ("61", "-1", "x"):
        answer = await api.http.get(f"/api/v1/orders/{order_id}?wait_for=fill&timeout={wrong}")
        assert answer.status_code == 422
    assert (await api.http.get(f"/api/v1/orders/{order_id}?wait_for=joy")).status_code == 422


async def test_long_polls_are_bounded_and_end_with_the_process(storage: Storage) -> None:
    async with serving(storage, limits=Limits(long_polls=1, poll_interval_s=0.02)) as api:
        order_id = await placed(api)
        path = f"/api/v1/orders/{order_id}?wait_for=terminal&timeout=20"
        first = asyncio.create_task(api.http.get(path))
        context = api.app.state.context
        async with asyncio.timeout(5):
            while not context.long_polls.in_flight:
                await asyncio.sleep(0.01)
        assert (await api.http.get(path)).status_code == 503
        context.draining.set()
        assert (await asyncio.wait_for(first, 5)).json()["status"] == "ACCEPTED"


async def test_a_cancel_ends_the_order(api: Api) -> None:
    order_id = await placed(api)
    answer = await api.http.delete(f"/api/v1/orders/{order_id}")
    assert answer.status_code == 200
    assert answer.json()["status"] == "CANCELED"


async def test_a_cancel_without_an_end_yet_is_202(api: Api) -> None:
    order_id = await placed(api)
    api.desk.request_script = "hang"
    answer = await api.http.delete(f"/api/v1/orders/{order_id}")
    assert answer.status_code == 202
    assert answer.json()["status"] == "ACCEPTED"
    assert answer.headers["location"] == f"/api/v1/orders/{order_id}"


async def test_a_repeated_cancel_with_its_key_gets_the_first_answer(api: Api) -> None:
    order_id = await placed(api)
    headers = {"Idempotency-Key": "c1"}
    first = await api.http.delete(f"/api/v1/orders/{order_id}", headers=headers)
    again = await api.http.delete(f"/api/v1/orders/{order_id}", headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert len({request[2] for request in api.desk.requests}) == 1
    other = await api.http.delete(f"/api/v1/orders/{order_id}")
    assert other.status_code == 409


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "late"}])
async def test_a_cancel_of_a_finished_order_is_409_with_the_order(
    api: Api, headers: dict[str, str]
) -> None:
    api.desk.script = "fill"
    order_id = await placed(api)
    answer = await api.http.delete(f"/api/v1/orders/{order_id}", headers=headers)
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["code"] == "order_ended"
    assert problem["order"]["status"] == "FILLED"
    assert problem["outcome"] == "not_sent"


async def test_a_refused_cancel_is_a_problem(api: Api) -> None:
    order_id = await placed(api)
    api.desk.refusal = "the venue refuses"
    answer = await api.http.delete(f"/api/v1/orders/{order_id}")
    assert answer.status_code == 422
    assert answer.json()["code"] == "cancel_refused"


async def test_a_cancel_that_may_have_arrived_is_unknown(api: Api) -> None:
    order_id = await placed(api)
    api.desk.request_script = "away"
    answer = await api.http.delete(f"/api/v1/orders/{order_id}")
    assert answer.status_code == 503
    assert answer.json()["outcome"] == "unknown"
    assert answer.json()["retryable"] is True
    api.desk.request_script = "missing"
    answer = await api.http.delete(f"/api/v1/orders/{order_id}")
    assert answer.status_code == 409
    assert answer.json()["code"] == "unmanaged"


async def test_a_modify_changes_price_and_quantity(api: Api) -> None:
    order_id = await placed(api)
    answer = await api.http.patch(
        f"/api/v1/orders/{order_id}", json={"price": "45100", "quantity": "0.2"}
    )
    assert answer.status_code == 200
    assert (answer.json()["price"], answer.json()["quantity"]) == ("45100", "0.2")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"price": "45100.5"}, "/price"),
        ({"price": 45100}, "/price"),
        ({"quantity": "0.000001"}, "/quantity"),
        ({"quantity": "0.05"}, "/quantity"),
        ({"side": "SELL"}, "/side"),
    ],
)
async def test_what_cannot_be_a_change_is_422(api: Api, body: dict[str, str], pointer: str) -> None:
    order_id = await placed(api)
    await api.desk.fill(order_id, quantity=Decimal("0.05"))
    answer = await api.http.patch(f"/api/v1/orders/{order_id}", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert api.desk.requests == []


async def test_a_market_order_has_no_price_to_change(api: Api) -> None:
    order_id = await placed(api, price=None)
    answer = await api.http.patch(f"/api/v1/orders/{order_id}", json={"price": "45100"})
    assert answer.status_code == 422


async def test_a_modify_that_is_refused_says_why(api: Api) -> None:
    order_id = await placed(api)
    api.desk.request_script = "modify_refused"
    answer = await api.http.patch(f"/api/v1/orders/{order_id}", json={"price": "45100"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "modify_refused"
    assert answer.json()["order"]["price"] == "45000"
    api.desk.request_script = "done"
    await api.desk.fill(order_id)
    answer = await api.http.patch(f"/api/v1/orders/{order_id}", json={"price": "45100"})
    assert answer.status_code == 409


async def test_an_operator_resolves_an_unknown_order(api: Api) -> None:
    api.desk.script = "unknown"
    order_id = await placed(api)
    path = f"/api/v1/orders/{order_id}/resolve"
    answer = await api.http.post(path, json={"verdict": "absent", "reason": "seen at the venue"})
    assert answer.status_code == 200
    assert answer.json()["status"] == OrderStatus.CANCELED
    for body in (
        {"verdict": "perhaps", "reason": "x"},
        {"verdict": "absent"},
        {"verdict": "absent", "reason": ""},
        {"verdict": "absent", "reason": "a\x1b[31m"},
    ):
        assert (await api.http.post(path, json=body)).status_code == 422
    again = await api.http.post(path, json={"verdict": "absent", "reason": "x"})
    assert again.status_code == 409
