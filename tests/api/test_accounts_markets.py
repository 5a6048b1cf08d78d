"""Accounts, whose credentials are sealed at once, and markets, from what workers have seen."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.accounts import AccountState
from domain.errors import InvalidInput, Unavailable, VenueUnavailable
from tests.api.serving import PAPER, Api, latest_price

KEY = "0x" + "7e" * 32


def body(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "venue": "hyperliquid",
        "label": "second",
        "network": "paper",
        "address": "0x" + "cd" * 20,
        "credential": {"private_key": KEY},
    }
    return {**fields, **changes}


async def test_accounts_are_listed_and_read_by_id_or_label(api: Api) -> None:
    listed = (await api.http.get("/api/v1/accounts")).json()["accounts"]
    assert [each["label"] for each in listed] == ["paper"]
    for name in ("paper", PAPER):
        account = (await api.http.get(f"/api/v1/accounts/{name}")).json()
        assert account["account_id"] == PAPER
        assert account["state"] == "ACTIVE"
        assert account["signer"] == "0xagent"
        assert account["is_default"] is True
    assert (await api.http.get("/api/v1/accounts/none")).status_code == 404


async def test_a_credential_is_sealed_checked_and_never_shown(
    api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await api.post("/api/v1/accounts", body())
    assert answer.status_code == 201, answer.text
    account = answer.json()
    assert account["state"] == "ACTIVE"
    assert account["is_default"] is False
    assert answer.headers["location"] == f"/api/v1/accounts/{account['account_id']}"
    assert api.sealed.keys == [KEY]
    assert KEY[2:] not in answer.text
    out, err = capfd.readouterr()
    assert KEY[2:] not in out + err


async def test_a_refused_credential_is_422_and_its_label_free_again(api: Api) -> None:
    api.desk.account_verdict = AccountState.REFUSED
    answer = await api.post("/api/v1/accounts", body())
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "credential_refused"
    assert "master key" in problem["detail"]
    assert problem["account"]["state"] == "REFUSED"
    api.desk.account_verdict = AccountState.ACTIVE
    again = await api.post("/api/v1/accounts", body())
    assert again.status_code == 201
    named = (await api.http.get("/api/v1/accounts/second")).json()
    assert named["account_id"] == again.json()["account_id"]


async def test_a_check_that_takes_long_is_202(api: Api) -> None:
    api.desk.account_verdict = None
    answer = await api.post("/api/v1/accounts", body(), Prefer="wait=0")
    assert answer.status_code == 202
    assert answer.json()["state"] == "PENDING"
    api.desk.answering = False
    other = body(label="third", address="0x" + "ef" * 20)
    assert (await api.post("/api/v1/accounts", other)).status_code == 202
    assert (await api.place(account="third")).status_code == 409


async def test_without_a_workers_key_nothing_is_kept(api: Api) -> None:
    api.sealed.ready = False
    answer = await api.post("/api/v1/accounts", body())
    assert answer.status_code == 503
    assert answer.json()["outcome"] == "not_sent"
    listed = (await api.http.get("/api/v1/accounts")).json()["accounts"]
    assert len(listed) == 1


async def test_the_same_label_or_address_is_409(api: Api) -> None:
    assert (await api.post("/api/v1/accounts", body(label="paper"))).status_code == 409
    assert (await api.post("/api/v1/accounts", body(address="0x" + "ab" * 20))).status_code == 409


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"venue": "ftx"}, "/venue"),
        ({"venue": ""}, "/venue"),
        ({"label": "Main Account"}, "/label"),
        ({"label": 7}, "/label"),
        ({"network": "moon"}, "/network"),
        ({"address": "0x\x1b"}, "/address"),
        ({"address": ""}, "/address"),
        ({"credential": KEY}, "/credential"),
        ({"credential": {}}, "/credential/private_key"),
        ({"credential": {"private_key": ""}}, "/credential/private_key"),
        ({"credential": {"private_key": KEY, "mnemonic": "x"}}, "/credential/mnemonic"),
        ({"owner": "other"}, "/owner"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_wrong_accounts_are_422_and_tell_no_key(
    api: Api, changes: dict[str, Any], pointer: str
) -> None:
    answer = await api.post("/api/v1/accounts", body(**changes))
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert KEY[2:] not in answer.text
    assert api.sealed.keys == []


async def test_markets_are_listed_and_read(api: Api) -> None:
    markets = (await api.http.get("/api/v1/markets")).json()["markets"]
    assert [market["symbol"] for market in markets] == ["BTC-PERP", "OLD-PERP"]
    market = (await api.http.get("/api/v1/markets/BTC-PERP")).json()
    assert market["lot_size"] == "0.00001"
    assert market["min_notional"] == "10"
    assert market["network"] == "paper"
    assert market["tick_size"] is None
    old = (await api.http.get("/api/v1/markets/OLD-PERP?venue=hyperliquid&network=paper")).json()
    assert (old["tick_size"], old["state"]) == ("0.5", "DELISTED")
    none = (await api.http.get("/api/v1/markets?venue=hyperliquid&network=mainnet")).json()
    assert none == {"markets": [], "next_cursor": None, "has_more": False}


@pytest.mark.parametrize("symbol", ["ETH-PERP", "btc-perp", "%2e%2e", "BTC-PERP%0a", "x" * 3000])
async def test_unknown_markets_are_404(api: Api, symbol: str) -> None:
    for path in (symbol, f"{symbol}/orderbook", f"{symbol}/ticker"):
        answer = await api.http.get(f"/api/v1/markets/{path}")
        assert answer.status_code == 404
        assert len(answer.content) < 1_000


async def test_wrong_places_are_422(api: Api) -> None:
    assert (await api.http.get("/api/v1/markets?venue=ftx")).status_code == 422
    assert (await api.http.get("/api/v1/markets?network=moon")).status_code == 422


async def test_a_book_is_asked_of_who_follows_the_venue(api: Api) -> None:
    answer = await api.http.get("/api/v1/markets/BTC-PERP/orderbook?depth=5")
    assert answer.status_code == 200
    book = answer.json()
    assert book["bids"] == [{"price": "44999", "quantity": "1.5", "order_count": 2}]
    assert book["asks"][0]["quantity"] == "0.25"
    assert book["mid_price"] == "45000"
    assert api.books.asked == [("hyperliquid", "paper", "BTC-PERP", 5)]
    for depth in ("0", "101", "x", "1.5"):
        wrong = await api.http.get(f"/api/v1/markets/BTC-PERP/orderbook?depth={depth}")
        assert wrong.status_code == 422


async def test_a_book_nobody_answers_is_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (Unavailable("no streaming"), VenueUnavailable("the venue is away")):
        api.books.error = error
        answer = await api.http.get("/api/v1/markets/BTC-PERP/orderbook")
        assert answer.status_code == 503
        assert answer.json()["code"] == error.code
        assert answer.headers["retry-after"] == "1"
    api.books.error = InvalidInput("symbol", "the venue has none")
    assert (await api.http.get("/api/v1/markets/BTC-PERP/orderbook")).status_code == 422

    async def never(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("api.markets._ANSWER_WITHIN_S", 0.1)
    monkeypatch.setattr(api.books, "request_book", never)
    assert (await api.http.get("/api/v1/markets/BTC-PERP/orderbook")).status_code == 503


async def test_a_fresh_price_is_read_and_another_is_asked_for(api: Api) -> None:
    now = datetime.now(UTC)
    api.prices.written = latest_price(received_time=now - timedelta(seconds=1), event_time=now)
    found = (await api.http.get("/api/v1/markets/BTC-PERP/ticker?venue=hyperliquid")).json()
    assert (found["mark_price"], found["index_price"]) == ("45000.5", "45000")
    assert (found["best_bid"], found["best_ask"], found["mid_price"]) == ("44999", "45001", None)
    assert (found["venue"], found["network"], found["source"]) == ("hyperliquid", "paper", "stream")
    assert 1_000 <= found["age_ms"] < 3_000
    assert api.prices.asked == []
    for written in (
        None,
        latest_price(received_time=now - timedelta(seconds=4)),
        latest_price(mark_price=None),
        latest_price(best_bid=None, best_ask=None),
    ):
        api.prices.written = written
        found = (await api.http.get("/api/v1/markets/BTC-PERP/ticker")).json()
        assert (found["source"], found["event_time"]) == ("poll", None)
        assert found["age_ms"] < 1_000
    assert api.prices.asked == [("hyperliquid", "paper", "BTC-PERP")] * 4


async def test_prices_nobody_knows_are_503_and_never_old_ones(api: Api) -> None:
    api.prices.written = latest_price(received_time=datetime.now(UTC) - timedelta(seconds=30))
    api.prices.error = Unavailable("no streaming")
    assert (await api.http.get("/api/v1/markets/BTC-PERP/ticker")).status_code == 503
    api.prices.error = InvalidInput("symbol", "the venue has none")
    assert (await api.http.get("/api/v1/markets/BTC-PERP/ticker")).status_code == 422


async def test_without_an_account_the_first_venues_paper_market_is_meant(api: Api) -> None:
    await api.storage.accounts.set_state(PAPER, AccountState.REMOVED, reason=None, signer=None)
    assert (await api.http.get("/api/v1/markets/BTC-PERP")).json()["network"] == "paper"
    answer = await api.place()
    assert answer.status_code == 422
    assert "no active account" in answer.json()["detail"]
