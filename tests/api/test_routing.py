"""Orders that name no account: the choice is right, said, and fixed before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import AccountState, FeeRates, Network
from domain.errors import Unavailable, VenueUnavailable
from domain.identifiers import order_id_for
from domain.instruments import PriceRule
from domain.market_data import BookLevel, OrderBook
from domain.risk_limits import RiskLimits
from storage.opening import Storage
from tests.api.said_venues import served
from tests.api.serving import BTC, PAPER, Api, account, serving

SECOND, THIRD = "33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"
BODY = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45100"}


def a_book(venue: str, ask: str, quantity: str = "5", *, age_s: float = 0.0) -> OrderBook:
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    return OrderBook(
        venue=venue,
        symbol="BTC-PERP",
        bids=(BookLevel(price=Decimal(ask) - 2, quantity=Decimal(quantity)),),
        asks=(BookLevel(price=Decimal(ask), quantity=Decimal(quantity)),),
        event_time=at,
        received_time=at,
    )


async def add(storage: Storage, account_id: str, label: str, venue: str, **changes: Any) -> None:
    added = account(
        account_id=account_id,
        label=label,
        venue=venue,
        address=f"address-{label}",
        is_default=False,
        **changes,
    )
    await storage.accounts.add(added, trading=b"sealed", feed=None)
    await storage.accounts.set_state(
        account_id, AccountState.ACTIVE, reason=None, signer=f"signer-{label}"
    )


@pytest.fixture
async def api(storage: Storage) -> AsyncIterator[Api]:
    """An API over an account at each of two venues, the second one cheaper."""
    await add(storage, SECOND, "second", "pacifica")
    market = replace(BTC, venue="pacifica")
    await storage.markets.save(Network.PAPER, [market], seen_at=datetime.now(UTC))
    async with serving(storage, venues=("hyperliquid", "pacifica")) as running:
        running.venues.said["pacifica"] = served("pacifica")
        running.books.at = {
            "hyperliquid": a_book("hyperliquid", "45010"),
            "pacifica": a_book("pacifica", "45005"),
        }
        yield running


async def routed(api: Api, **changes: Any) -> Any:
    body = {**BODY, "venue": "auto", **changes}
    return await api.post(
        "/api/v1/orders", {name: value for name, value in body.items() if value is not None}
    )


def why_not(document: Any) -> dict[str, str]:
    exclusions = document["routing"]["exclusions"] if "routing" in document else None
    exclusions = document["exclusions"] if exclusions is None else exclusions
    return {each["account"]: each["why"] for each in exclusions}


async def test_it_goes_where_it_costs_least_and_says_why(api: Api) -> None:
    answer = await routed(api, client_key="mine")
    assert answer.status_code == 201
    order = answer.json()
    assert (order["venue"], order["account"]) == ("pacifica", "second")
    assert order["routed"] == (
        "pacifica/second; 0.1 executes at 45005, taker fee 0.04 %; best of 2, 0 left out"
    )
    routing = order["routing"]
    assert [each["account"] for each in routing["candidates"]] == ["second", "paper"]
    [first, other] = routing["candidates"]
    assert (first["executable"], first["average_price"]) == ("0.1", "45005")
    assert Decimal(first["cost"]) == Decimal("4500.5") * Decimal("1.0004")
    assert Decimal(first["cost"]) < Decimal(other["cost"])
    assert Decimal(first["margin_needed"]) < Decimal(first["margin_available"])
    assert Decimal(first["book_age_s"]) < 3
    kept = (await api.http.get(f"/api/v1/orders/{order['order_id']}/routing")).json()
    assert kept == routing
    assert (await api.http.get(f"/api/v1/orders/{order['order_id']}")).json()["routed"]


async def test_the_same_key_gets_the_same_choice_whatever_prices_do(api: Api) -> None:
    first = (await routed(api, client_key="mine")).json()
    api.books.at["pacifica"] = a_book("pacifica", "49000")
    again = await routed(api, client_key="mine")
    assert again.status_code == 201
    assert again.json() == first
    assert again.headers["idempotent-replayed"] == "true"
    assert api.desk.starts == [first["order_id"]]
    other = (await routed(api, client_key="another")).json()
    assert other["venue"] == "hyperliquid"


@pytest.mark.parametrize("script", ["refuse_start", "silent"])
async def test_a_choice_outlives_a_start_that_failed(api: Api, script: Any) -> None:
    """Whoever died between the choice and the start: the key finds its choice again."""
    api.desk.script = script
    assert (await routed(api, client_key="mine")).status_code == 503
    api.books.at["pacifica"] = a_book("pacifica", "49000")
    api.desk.script = "rest"
    order = (await routed(api, client_key="mine")).json()
    assert order["venue"] == "pacifica"
    assert order["routing"]["candidates"][0]["average_price"] == "45005"


async def test_fifty_at_once_make_one_choice_and_one_order(api: Api) -> None:
    api.desk.hold_s = 0.2
    answers = await asyncio.gather(*(routed(api, client_key="mine") for _ in range(50)))
    assert {answer.status_code for answer in answers} <= {201, 202}
    assert len({answer.json()["account_id"] for answer in answers}) == 1
    assert len(api.desk.starts) == 1


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({}, {"quantity": "0.2"}),
        ({}, {"venue": None, "account": "second"}),
        ({"venue": None, "account": "second"}, {}),
        ({}, {"split": True}),
        ({"split": True}, {}),
        ({"split": True}, {"venue": None, "account": "paper"}),
        ({"venue": None, "account": "paper"}, {"split": True}),
    ],
)
async def test_a_key_names_one_intent_however_it_is_routed(
    api: Api, first: dict[str, Any], then: dict[str, Any]
) -> None:
    assert (await routed(api, client_key="mine", **first)).status_code == 201
    answer = await routed(api, client_key="mine", **then)
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_mismatch"
    assert len(api.desk.starts) == 1 + (first.get("split") is True and len(api.desk.starts) - 1)


async def test_nobody_can_take_it_so_nothing_is_fixed(api: Api) -> None:
    api.terms.silent = {"paper"}
    api.venues.said.pop("pacifica")
    answer = await routed(api, client_key="mine")
    assert answer.status_code == 422
    problem = answer.json()
    assert (problem["code"], problem["outcome"]) == ("no_route", "not_sent")
    assert problem["retryable"] is True
    assert why_not(problem) == {"paper": "no_terms", "second": "not_served"}
    assert "within 3 s" in problem["detail"]
    order_id = order_id_for("local", "mine")
    assert (await api.http.get(f"/api/v1/orders/{order_id}/routing")).status_code == 404
    assert api.terms.asked == [PAPER], "who cannot be asked is not"
    api.terms.silent = set()
    assert (await routed(api, client_key="mine")).status_code == 201


async def test_each_account_that_is_left_out_is_named_with_its_reason(api: Api) -> None:
    halts = api.storage.halts
    api.books.at["pacifica"] = a_book("pacifica", "45005", age_s=4)
    assert why_not((await routed(api)).json()) == {"second": "stale_book"}
    api.books.at["pacifica"] = a_book("pacifica", "45005")
    said = api.venues.said["pacifica"]
    api.venues.said["pacifica"] = replace(said, opening_refused=("paper",))
    assert why_not((await routed(api)).json()) == {"second": "circuit_open"}
    api.venues.said["pacifica"] = replace(said, connected=("mainnet",))
    assert why_not((await routed(api)).json()) == {"second": "not_served"}
    api.venues.said["pacifica"] = said
    api.terms.available = {"second": Decimal(5)}
    assert why_not((await routed(api)).json()) == {"second": "no_margin"}
    api.terms.available = {}
    await api.storage.risk.put(SECOND, RiskLimits(max_order_notional=Decimal(100)), by="local")
    assert why_not((await routed(api)).json()) == {"second": "risk_limit"}
    await api.storage.risk.put(SECOND, RiskLimits(), by="local")
    await halts.block(SECOND, "BTC-PERP", order_id="o", reason="an outcome is unknown")
    assert why_not((await routed(api)).json()) == {"second": "blocked"}
    await halts.unblock(SECOND, "BTC-PERP", order_id="o")
    await halts.halt(SECOND, reason="drill", by="local")
    order = (await routed(api)).json()
    assert why_not(order) == {"second": "halted"}
    assert "drill" in order["routing"]["exclusions"][0]["reason"]


async def test_what_does_not_answer_leaves_its_account_out(api: Api) -> None:
    api.books.error = Unavailable("nobody follows it")
    assert why_not((await routed(api)).json()) == {"paper": "no_book", "second": "no_book"}
    api.books.error = None
    api.terms.error = VenueUnavailable("it is silent")
    problem = (await routed(api)).json()
    assert why_not(problem) == {"paper": "no_terms", "second": "no_terms"}
    assert "it is silent" in problem["detail"]
    api.terms.error = None
    api.venues.error = Unavailable("Valkey does not answer")
    assert why_not((await routed(api)).json()) == {"paper": "not_served", "second": "not_served"}


async def test_what_a_venue_does_not_offer_goes_elsewhere(api: Api) -> None:
    order = (await routed(api, time_in_force="FOK")).json()
    offers = api.venues.said["pacifica"].sheet.times_in_force
    assert ("FOK" in offers) or why_not(order)["second"] == "not_offered"


async def test_an_account_is_chosen_at_one_venue_too(api: Api, storage: Storage) -> None:
    await add(storage, THIRD, "third", "hyperliquid")
    api.terms.available = {"paper": Decimal(1000), "third": Decimal(5000)}
    order = (await routed(api, venue="hyperliquid", account="auto")).json()
    assert order["account"] == "third", "more of its margin stays free"
    api.terms.fees = {"paper": FeeRates(maker=Decimal(0), taker=Decimal("0.0001"))}
    order = (await routed(api, venue="hyperliquid", account="auto")).json()
    assert order["account"] == "paper", "paying less comes first"
    order = (await routed(api, venue=None, account="auto")).json()
    assert {each["venue"] for each in order["routing"]["candidates"]} == {"hyperliquid", "pacifica"}


async def test_a_group_bounds_the_choice(api: Api, storage: Storage) -> None:
    await storage.account_groups.replace("local", "majors", [PAPER])
    order = (await routed(api, venue=None, group="majors")).json()
    assert order["account"] == "paper"
    assert len(order["routing"]["candidates"]) == 1
    problem = (await routed(api, group="nothing")).json()
    assert problem["errors"][0]["pointer"] == "/group"


async def test_accounts_of_another_network_are_never_mixed_in(api: Api, storage: Storage) -> None:
    await add(storage, THIRD, "live", "pacifica", network=Network.MAINNET)
    order = (await routed(api)).json()
    told = [each["account"] for each in order["routing"]["candidates"]]
    assert sorted(told) == ["paper", "second"]
    problem = (await routed(api, network="testnet")).json()
    assert problem["errors"][0]["pointer"] == "/account"
    await storage.account_groups.replace("local", "mixed", [SECOND, THIRD])
    problem = (await routed(api, group="mixed")).json()
    assert problem["errors"][0] == {
        "pointer": "/network",
        "detail": "expected one of mainnet, paper; there is no default account",
    }
    assert (await routed(api, group="mixed", network="paper")).json()["account"] == "second"


async def test_what_only_reduces_stays_where_the_position_is(api: Api) -> None:
    api.terms.positions = {"paper": Decimal("-0.3"), "second": Decimal(1)}
    await api.storage.halts.halt(None, reason="drill", by="local")
    order = (await routed(api, reduce_only=True)).json()
    assert order["account"] == "paper"
    assert why_not(order) == {"second": "no_position"}


async def test_exits_have_to_suit_the_market_that_is_chosen(api: Api) -> None:
    coarse = replace(BTC, venue="pacifica", price_rule=PriceRule(tick_size=Decimal(10)))
    await api.storage.markets.save(Network.PAPER, [coarse], seen_at=datetime.now(UTC))
    order = (await routed(api, stop_loss={"price": "44005"})).json()
    assert order["account"] == "paper"
    assert why_not(order) == {"second": "steps"}
    assert "stop_loss" in order["routing"]["exclusions"][0]["reason"]
    order = (await routed(api, stop_loss={"percent": "3"})).json()
    assert order["venue"] == "pacifica"
    assert order["parent_id"] == order["order_id"]


async def test_a_dry_run_shows_the_choice_and_fixes_nothing(api: Api) -> None:
    shown = (await routed(api, dry_run=True)).json()
    assert shown["would_be_taken_as_given"] is True
    assert (shown["action"]["venue"], shown["action"]["account"]) == ("pacifica", "second")
    assert shown["notional"] == "4500.5"
    assert Decimal(shown["fee_estimate"]) == Decimal("1.8002")
    assert shown["routing"]["order_id"] is None
    assert len(shown["routing"]["candidates"]) == 2
    split = (await routed(api, dry_run=True, split=True, quantity="7")).json()
    assert [each["account"] for each in split["routing"]["parts"]] == ["second", "paper"]
    assert split["action"]["legs"] == 2
    api.terms.silent = {"paper", "second"}
    nobody = (await routed(api, dry_run=True)).json()
    assert nobody["would_be_taken_as_given"] is False
    assert len(nobody["problems"]) == 3
    assert nobody["notional"] is None
    assert not api.desk.starts


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"account": "paper"}, "/account"),
        ({"venue": None, "account": "paper", "group": "majors"}, "/group"),
        ({"venue": None, "account": "paper", "split": True}, "/split"),
        ({"venue": None, "network": "paper"}, "/network"),
        ({"venue": "nowhere", "account": "auto"}, "/venue"),
        ({"split": True, "time_in_force": "FOK"}, "/split"),
        ({"split": True, "stop_loss": {"price": "40000"}}, "/split"),
        (
            {"split": True, "order_type": "STOP_LIMIT", "trigger_price": "45000"},
            "/split",
        ),
    ],
)
async def test_contradictions_are_refused_at_their_field(
    api: Api, changes: dict[str, Any], pointer: str
) -> None:
    answer = await routed(api, **changes)
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


async def test_no_account_can_be_called_auto(api: Api) -> None:
    answer = await api.http.patch(f"/api/v1/accounts/{PAPER}", json={"label": "auto"})
    assert answer.status_code == 422


async def test_the_reason_of_another_is_not_told(api: Api) -> None:
    order = (await routed(api)).json()
    route = await api.storage.routes.get(order["order_id"])
    assert route is not None
    foreign = replace(route, order_id=order_id_for("somebody", "k"), owner="somebody")
    await api.storage.routes.keep(foreign)
    for text in (foreign.order_id, "no-id", order_id_for("local", "unknown")):
        assert (await api.http.get(f"/api/v1/orders/{text}/routing")).status_code == 404
