"""What the connector makes of a venue that answers by script: keys refused, limits, odd pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from domain.accounts import SecretText, TradingAccess
from domain.errors import InvalidInput, VenueRefused, VenueUnavailable
from domain.instruments import OrderSide
from domain.ledger import CommandRow
from domain.outcomes import NotSent
from tests.venues.pacifica.building import (
    AGENT_KEY,
    NOW,
    SLOT,
    access,
    account,
    envelope,
    place,
    refusal,
    row,
)
from tests.venues.pacifica.test_translate import MARKET, PRICE
from tests.venues.raw_server import RawServer, response, serving
from venues.pacifica.connector import PacificaConnector
from venues.pacifica.credits import CreditBudget

ACCOUNT = {
    "account_equity": "100",
    "available_to_spend": "90",
    "total_margin_used": "10",
    "cross_mmr": "1",
    "updated_at": 1,
}


class Venue:
    """Answers each path with what it is told, status first; what is not told is not found."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {
            "/info": (200, envelope([MARKET])),
            "/account": (200, envelope(ACCOUNT)),
        }
        self.asked: list[str] = []
        self.headers = ""

    async def handle(
        self, seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while (request := await seen.read(reader)) is not None:
            path = request.path.removeprefix("/api/v1").partition("?")[0]
            self.asked.append(path)
            status, answer = self.answers.get(path, (404, refusal("Not found", 404)))
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            writer.write(response(body, status=f"{status} Said", headers=self.headers))
            await writer.drain()


@asynccontextmanager
async def talking(**options: Any) -> AsyncIterator[tuple[Venue, PacificaConnector]]:
    venue = Venue()
    async with serving(venue.handle) as server:
        options.setdefault("clock", lambda: NOW)
        connector = PacificaConnector(account().network, server.url, **options)
        await connector.start()
        try:
            yield venue, connector
        finally:
            await connector.close()


async def row_of(connector: PacificaConnector) -> CommandRow:
    return row((await connector.compose(place()))(SLOT))


async def test_an_account_that_does_not_exist_is_told_before_anything_is_signed() -> None:
    async with talking() as (venue, connector):
        del venue.answers["/account"]
        check = await connector.check_signer(access())
        assert "knows no account" in (check.refusal or "")
        assert "/orders/cancel" not in venue.asked


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (422, refusal("Account not found: A1", 1), "does not take"),
        (403, refusal("Beta access required. Signer must redeem", 403), "does not take"),
        (403, refusal("Signer not whitelisted", 403), "is no agent of"),
        (400, b"Verification failed", "is no agent of"),
    ],
)
async def test_what_the_trial_of_a_key_tells(status: int, answer: Any, said: str) -> None:
    async with talking() as (venue, connector):
        venue.answers["/orders/cancel"] = (status, answer)
        check = await connector.check_signer(access())
        assert said in (check.refusal or "")


@pytest.mark.parametrize("status", [500, 429, 503])
async def test_a_trial_that_tells_nothing_is_no_verdict_on_the_key(status: int) -> None:
    async with talking() as (venue, connector):
        venue.answers["/orders/cancel"] = (status, b"")
        with pytest.raises(VenueUnavailable, match="did not say whose key"):
            await connector.check_signer(access())


async def test_an_address_that_is_none_is_said() -> None:
    async with talking() as (_, connector):
        wrong = TradingAccess(account=account(address="0xab"), credential=SecretText(AGENT_KEY))
        with pytest.raises(InvalidInput, match="address"):
            await connector.check_signer(wrong)


@pytest.mark.parametrize(
    ("status", "answer", "raised"),
    [
        (404, b"", VenueRefused),
        (400, refusal("limit", 400), VenueRefused),
        (200, refusal("limit", 400), VenueRefused),
        (429, b"", VenueUnavailable),
        (502, b"<html>", VenueUnavailable),
        (200, b"{}", VenueUnavailable),
    ],
)
async def test_questions(status: int, answer: Any, raised: type[Exception]) -> None:
    async with talking() as (venue, connector):
        venue.answers["/orders"] = (status, answer)
        with pytest.raises(raised):
            await connector.open_orders(account())


async def test_an_answer_of_several_accounts_is_none() -> None:
    async with talking() as (venue, connector):
        venue.answers["/account"] = (200, envelope([ACCOUNT, ACCOUNT]))
        with pytest.raises(VenueUnavailable, match="found 2"):
            await connector.fee_rates(account())
        venue.answers["/account"] = (200, envelope([ACCOUNT]))
        with pytest.raises(VenueUnavailable, match="fees"):
            await connector.fee_rates(account())


async def test_a_book_with_one_side_empty_still_bounds_a_price() -> None:
    async with talking() as (venue, connector):
        asks = [{"p": "65000", "a": "1", "n": 1}]
        venue.answers["/book"] = (200, envelope({"s": "BTC", "t": 1, "l": [[], asks]}))
        assert await connector.price_bound("BTC-PERP", OrderSide.BUY, 100) == 65650
        with pytest.raises(VenueRefused, match="no liquidity"):
            await connector.price_bound("BTC-PERP", OrderSide.SELL, 100)


async def test_the_venues_clock_is_the_newest_time_that_it_tells() -> None:
    async with talking() as (venue, connector):
        venue.answers["/info/prices"] = (200, envelope([PRICE]))
        told = PRICE["timestamp"]
        assert isinstance(told, int)
        book = {"s": "BTC", "t": told + 5, "l": [[], []]}
        venue.answers["/book"] = (200, envelope(book))
        newest = await connector.venue_time(account())
        venue.answers["/book"] = (200, envelope({**book, "t": told - 5}))
        assert newest - await connector.venue_time(account()) == timedelta(milliseconds=5)
        venue.answers["/info/prices"] = (200, envelope([]))
        with pytest.raises(VenueUnavailable, match="prices"):
            await connector.venue_time(account())


async def test_what_the_venue_says_is_left_replaces_our_own_count() -> None:
    budget = CreditBudget(per_minute=6000)
    async with talking(budget=budget) as (venue, connector):
        venue.headers = (
            'ratelimit: "credits";r=5;t=23\r\nratelimit-policy: "credits";q=1000;w=60\r\n'
        )
        venue.answers["/orders"] = (200, envelope([]))
        await connector.open_orders(account())
        assert budget.per_minute == 100
        asked = len(venue.asked)
        outcome = (await connector.send(await row_of(connector), access())).outcome
        assert isinstance(outcome, NotSent)
        assert outcome.retryable and "credits" in outcome.reason
        assert len(venue.asked) == asked


async def test_pages_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("venues.pacifica.queries._PAGES_MAX", 3)
    async with talking(budget=CreditBudget(per_minute=6000)) as (venue, connector):
        paid = {
            "history_id": 1,
            "symbol": "BTC",
            "side": "bid",
            "amount": "1",
            "payout": "-0.1",
            "rate": "0.1",
            "created_at": 1780920000000,
        }
        more = envelope([paid], next_cursor="1", has_more=True)
        venue.answers["/funding/history"] = (200, more)
        with pytest.raises(VenueUnavailable, match="later time"):
            await connector.funding_payments(account(), since=NOW - timedelta(days=1))
        # A row from before is enough: what follows is older still.
        later = NOW + timedelta(days=1)
        assert await connector.funding_payments(account(), since=later) == ()
