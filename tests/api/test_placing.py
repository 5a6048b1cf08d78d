"""Placing orders: one order per key, only a verdict makes a 201, nothing said that is not known."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from api.context import Limits
from domain.accounts import AccountState, Network
from domain.identifiers import order_id_for
from storage.opening import Storage
from tests.api.serving import PAPER, Api, account, serving


async def test_a_resting_order_is_created(api: Api) -> None:
    answer = await api.place(client_key="mine")
    assert answer.status_code == 201
    order = answer.json()
    assert order["order_id"] == order_id_for("local", "mine")
    assert answer.headers["location"] == f"/api/v1/orders/{order['order_id']}"
    assert answer.headers["idempotency-key"] == '"mine"'
    assert "idempotent-replayed" not in answer.headers
    assert order["status"] == "ACCEPTED"
    assert order["outcome"] == "accepted"
    assert order["account"] == "paper"
    assert order["account_id"] == PAPER
    assert order["quantity"] == "0.1"
    assert order["price"] == "45000"
    assert order["workflow_id"] == f"order-{order['order_id']}"
    assert order["venue_order_id"] == "77738308"
    assert order["client_order_id"].startswith("0x")
    assert order["revision"] == 0
    assert order["created_at"].endswith("Z")


async def test_without_a_key_one_is_made_and_returned(api: Api) -> None:
    answer = await api.place()
    key = answer.headers["idempotency-key"].strip('"')
    assert order_id_for("local", key) == answer.json()["order_id"] != ""
    assert answer.json()["client_key"] == key


@pytest.mark.parametrize("spelled", ["mine", '"mine"'])
async def test_the_header_names_the_order_quoted_or_not(api: Api, spelled: str) -> None:
    body = {"symbol": "BTC-PERP", "side": "buy", "quantity": "0.1", "price": "45000"}
    answer = await api.post("/api/v1/orders", body, **{"Idempotency-Key": spelled})
    assert answer.json()["order_id"] == order_id_for("local", "mine")


async def test_the_same_key_and_body_replay_the_first_answer(api: Api) -> None:
    first = await api.place(client_key="mine")
    again = await api.place(client_key="mine", price="45000.0", side="buy")
    assert again.status_code == first.status_code == 201
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert api.desk.starts == [first.json()["order_id"]]


async def test_fifty_at_once_with_one_key_make_one_order(api: Api) -> None:
    api.desk.hold_s = 0.2
    answers = await asyncio.gather(*(api.place(client_key="mine") for _ in range(50)))
    assert {answer.status_code for answer in answers} <= {201, 202}
    assert len({answer.json()["order_id"] for answer in answers}) == 1
    assert len(api.desk.starts) == 1


async def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    await api.place(client_key="mine")
    answer = await api.place(client_key="mine", quantity="0.2")
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_mismatch"
    assert answer.json()["outcome"] == "not_sent"
    assert len(api.desk.starts) == 1


async def test_another_body_is_refused_while_sql_has_nothing_yet(api: Api) -> None:
    api.desk.script = "hang"
    assert (await api.place(client_key="mine")).status_code == 202
    answer = await api.place(client_key="mine", quantity="0.2")
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_mismatch"


async def test_a_rejected_order_is_a_problem_with_the_venues_reason(api: Api) -> None:
    api.desk.script = "reject"
    answer = await api.place(client_key="mine")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "venue_rejected"
    assert problem["outcome"] == "rejected"
    assert problem["retryable"] is False
    assert "insufficient margin" in problem["detail"]
    assert problem["order"]["status"] == "REJECTED"
    again = await api.place(client_key="mine")
    assert again.status_code == 422
    assert again.headers["idempotent-replayed"] == "true"


async def test_our_own_refusal_is_told_apart(api: Api) -> None:
    api.desk.script = "deny"
    problem = (await api.place()).json()
    assert problem["code"] == "denied"
    assert problem["detail"] == "the account is halted"
    assert problem["order"]["status"] == "DENIED"


async def test_an_order_never_sent_says_so(api: Api) -> None:
    api.desk.script = "not_sent"
    answer = await api.place()
    assert answer.status_code == 422
    assert answer.json()["code"] == "not_sent"
    assert answer.json()["outcome"] == "not_sent"
    assert answer.json()["order"]["status"] == "EXPIRED"


async def test_an_ioc_without_match_is_created_and_canceled(api: Api) -> None:
    api.desk.script = "ioc_miss"
    answer = await api.place(time_in_force="IOC")
    assert answer.status_code == 201
    assert answer.json()["status"] == "CANCELED"
    assert answer.json()["filled_quantity"] == "0"
    assert answer.json()["reason"] == "no match"


async def test_an_unknown_outcome_is_202_and_never_failed(api: Api) -> None:
    api.desk.script = "unknown"
    answer = await api.place()
    assert answer.status_code == 202
    assert answer.json()["status"] == "UNKNOWN"
    assert answer.json()["outcome"] == "unknown"


async def test_a_started_order_that_sql_does_not_have_is_202(api: Api) -> None:
    api.desk.script = "hang"
    answer = await api.place()
    assert answer.status_code == 202
    assert answer.json()["status"] == "PENDING"
    read = await api.http.get(answer.headers["location"])
    assert read.status_code == 200
    assert read.json()["order_id"] == answer.json()["order_id"]


async def test_a_verdict_that_came_after_the_wait_is_read_from_sql(api: Api) -> None:
    api.desk.script = "lost_then_rest"
    answer = await api.place()
    assert answer.status_code == 201


async def test_only_a_refused_start_says_not_sent(api: Api) -> None:
    api.desk.script = "refuse_start"
    answer = await api.place()
    assert answer.status_code == 503
    assert answer.json()["outcome"] == "not_sent"
    assert answer.json()["retryable"] is True
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("script", ["crash", "silent"])
async def test_a_start_nobody_knows_of_is_unknown_not_failed(
    api: Api, script: Literal["crash", "silent"]
) -> None:
    api.desk.script = script
    answer = await api.place(client_key="mine")
    assert answer.status_code == 503
    problem = answer.json()
    assert problem["code"] == "start_unclear"
    assert problem["outcome"] == "unknown"
    assert problem["order_id"] == order_id_for("local", "mine")


async def test_a_start_that_failed_although_it_happened_is_found(api: Api) -> None:
    api.desk.script = "hang"
    await api.place(client_key="mine")
    api.desk.script = "crash"
    assert (await api.place(client_key="mine")).status_code == 202


async def test_a_closed_workflow_is_answered_from_sql(api: Api) -> None:
    api.desk.script = "hang"
    first = await api.place(client_key="mine")
    api.desk.script = "fill"
    started = api.desk.started[first.json()["order_id"]]
    await api.desk._act(started)
    again = await api.place(client_key="mine")
    assert again.status_code == 201
    assert again.json()["status"] == "FILLED"
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("prefer", "waited"),
    [
        ("wait=3", "3"),
        ("wait=999", "30"),
        ("respond-async", "0"),
        ("wait=-1", "5"),
        ("wait=soon", "5"),
        ("handling=strict, wait=2", "2"),
        ("", "5"),
    ],
)
async def test_prefer_wait_is_bounded(api: Api, prefer: str, waited: str) -> None:
    body = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45000"}
    answer = await api.post("/api/v1/orders", body, Prefer=prefer)
    assert answer.headers["preference-applied"] == f"wait={waited}"


async def test_a_market_order_needs_no_price(api: Api) -> None:
    api.desk.script = "fill"
    order = (await api.place(price=None, max_slippage_bps=50)).json()
    assert order["order_type"] == "MARKET"
    assert order["time_in_force"] == "IOC"
    assert order["max_slippage_bps"] == 50
    assert order["price"] is None
    assert order["average_price"] == "45000"


async def test_a_stop_order_shows_its_trigger(api: Api) -> None:
    answer = await api.place(order_type="STOP_MARKET", price=None, trigger_price="44000")
    order = answer.json()
    assert (order["order_type"], order["trigger_price"]) == ("STOP_MARKET", "44000")
    assert order["trigger_type"] == "MARK"


async def test_a_dry_run_rounds_shows_and_sends_nothing(api: Api) -> None:
    answer = await api.place(dry_run=True, quantity="0.123456789", price="45000.7")
    assert answer.status_code == 200
    dry = answer.json()
    assert dry["dry_run"] is True
    assert dry["would_be_taken_as_given"] is False
    assert {problem["pointer"] for problem in dry["problems"]} == {"/quantity", "/price"}
    assert dry["action"]["quantity"] == "0.12345"
    assert dry["action"]["price"] == "45000"
    assert dry["notional"] == "5555.25"
    assert dry["initial_margin_at_max_leverage"] == "138.88125"
    assert api.desk.starts == []


async def test_a_dry_run_by_query_of_a_stop(api: Api) -> None:
    body = {
        "symbol": "BTC-PERP",
        "side": "SELL",
        "quantity": "0.1",
        "order_type": "STOP_MARKET",
        "trigger_price": "44000",
    }
    dry = (await api.post("/api/v1/orders?dry_run=true", body)).json()
    assert dry["would_be_taken_as_given"] is True
    assert dry["action"]["trigger_price"] == "44000"
    assert dry["notional"] == "4400"


async def test_a_dry_run_of_a_market_order_has_no_notional(api: Api) -> None:
    dry = (await api.place(dry_run=True, price=None)).json()
    assert dry["notional"] is None
    assert dry["action"]["max_slippage_bps"] == 500


async def test_a_batch_answers_each_order_for_itself(api: Api) -> None:
    good = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45000"}
    orders = [good, {**good, "price": "45000.5"}, {**good, "client_key": "third"}]
    answer = await api.post("/api/v1/orders/batch", {"orders": orders}, **{"Idempotency-Key": "b"})
    assert answer.status_code == 200
    first, second, third = answer.json()["results"]
    assert first["status"] == 201
    assert first["order"]["order_id"] == order_id_for("local", "b/0")
    assert second["status"] == 422
    assert second["order"] is None
    assert second["problem"]["errors"][0]["pointer"] == "/price"
    assert second["problem"]["instance"].endswith("#/orders/1")
    assert third["order"]["order_id"] == order_id_for("local", "third")
    again = await api.post("/api/v1/orders/batch", {"orders": orders}, **{"Idempotency-Key": "b"})
    assert again.json()["results"][0]["order"] == first["order"]
    assert len(api.desk.starts) == 2


async def test_a_batch_shows_a_rejection_and_a_mismatch_in_their_places(api: Api) -> None:
    api.desk.script = "reject"
    good = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45000"}
    await api.post("/api/v1/orders", {**good, "client_key": "one"})
    body = {"orders": [{**good, "client_key": "one", "quantity": "0.2"}, good]}
    first, second = (await api.post("/api/v1/orders/batch", body)).json()["results"]
    assert first["problem"]["code"] == "idempotency_mismatch"
    assert second["problem"]["code"] == "venue_rejected"
    assert second["order"]["status"] == "REJECTED"


async def test_a_batch_wants_different_keys_and_no_dry_runs(api: Api) -> None:
    good = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45000"}
    twice = {"orders": [{**good, "client_key": "x"}, {**good, "client_key": "x"}]}
    answer = await api.post("/api/v1/orders/batch", twice)
    assert answer.json()["errors"][0]["pointer"] == "/orders/1/client_key"
    dry = {"orders": [{**good, "dry_run": True}]}
    answer = await api.post("/api/v1/orders/batch", dry)
    assert answer.json()["errors"][0]["pointer"] == "/orders/0/dry_run"
    for count in (0, 51):
        answer = await api.post("/api/v1/orders/batch", {"orders": [good] * count})
        assert answer.status_code == 422
    assert api.desk.starts == []


async def test_beyond_the_bound_nothing_is_started(storage: Storage) -> None:
    limits = Limits(placements=3, placements_per_account=2)
    async with serving(storage, limits=limits) as api:
        api.desk.hold_s = 1.0
        answers = await asyncio.gather(*(api.place() for _ in range(6)))
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [201, 201, 503, 503, 503, 503]
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.json()["code"] == "too_busy"
        assert refused.json()["outcome"] == "not_sent"
        assert refused.headers["retry-after"] == "1"
        assert len(api.desk.starts) == 2
        assert (await api.place()).status_code == 201
    async with serving(storage, limits=Limits(placements=1)) as api:
        api.desk.hold_s = 0.5
        answers = await asyncio.gather(*(api.place() for _ in range(2)))
        assert sorted(answer.status_code for answer in answers) == [201, 503]


async def test_the_account_may_be_named_or_be_the_default(api: Api) -> None:
    for name in ("paper", PAPER):
        assert (await api.place(account=name)).status_code == 201
    answer = await api.place(account="other")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/account"
    answer = await api.place(venue="lighter")
    assert answer.json()["errors"][0]["pointer"] == "/account"
    answer = await api.place(account="paper", venue="lighter")
    assert answer.json()["errors"][0]["pointer"] == "/venue"


async def test_with_several_accounts_and_no_default_the_choice_is_listed(
    storage: Storage,
) -> None:
    async with serving(storage) as api:
        await storage.accounts.add(
            account(
                account_id="44444444-4444-4444-8444-444444444444",
                label="second",
                address="0x" + "cd" * 20,
                is_default=False,
            ),
            trading=b"sealed",
            feed=None,
        )
        answer = await api.place(account="second")
        assert answer.status_code == 409
        assert answer.json()["code"] == "account_not_active"
        assert answer.json()["retryable"] is True
        assert (await api.place()).json()["account"] == "paper"


async def test_markets_that_no_worker_has_seen_are_503(storage: Storage) -> None:
    async with serving(storage) as api:
        await storage.accounts.add(
            account(
                account_id="55555555-5555-4555-8555-555555555555",
                label="test",
                network=Network.TESTNET,
                address="0x" + "ef" * 20,
                is_default=False,
            ),
            trading=b"sealed",
            feed=None,
        )
        await storage.accounts.set_state(
            "55555555-5555-4555-8555-555555555555",
            AccountState.ACTIVE,
            reason=None,
            signer="0x",
        )
        answer = await api.place(account="test")
        assert answer.status_code == 503
        assert answer.json()["code"] == "markets_unknown"
        assert answer.json()["outcome"] == "not_sent"


async def test_every_command_leaves_an_audit_row(api: Api) -> None:
    answer = await api.place(client_key="mine")
    request_id = answer.headers["x-request-id"]
    assert await api.storage.audit.seal() >= 1
    assert await api.storage.audit.verify() is None
    rows = await _audit(api)
    assert ("order.place", f"order:{answer.json()['order_id']}", "accepted", request_id) in rows


async def _audit(api: Api) -> list[tuple[str, str, str, str]]:
    from sqlalchemy import text

    found = await api.storage.database.fetch_all(
        text("SELECT action, subject, outcome, request_id FROM audit")
    )
    return [tuple(row) for row in found]


async def test_repeating_an_undecided_order_joins_it(api: Api) -> None:
    api.desk.script = "unknown"
    first = await api.place(client_key="mine")
    again = await api.place(client_key="mine")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["order_id"] == first.json()["order_id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert len(api.desk.starts) == 1


@pytest.mark.parametrize("price", ["1e30", "9" * 30, "1e-30", "0.1234567890123456789012345678901"])
@pytest.mark.parametrize("quantity", ["1e30", "1e-30", "12345678901234567890.12345678901234567"])
async def test_numbers_no_market_counts_in_are_refused_not_a_defect(
    api: Api, price: str, quantity: str
) -> None:
    answer = await api.place(price=price, quantity=quantity)
    assert answer.status_code in (201, 422), answer.text
    dry = await api.place(price=price, quantity=quantity, dry_run=True)
    assert dry.status_code == 200, dry.text
