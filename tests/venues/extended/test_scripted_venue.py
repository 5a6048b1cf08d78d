"""What the connector makes of a venue that answers by script: odd pages, limits, gaps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from domain.commands import CancelOrder, CommandKind
from domain.errors import InvalidInput, VenueRefused, VenueUnavailable
from domain.ledger import CommandRow
from domain.orders import TimeInForce, Verdict
from domain.outcomes import Accepted, Acknowledged, NotSent, Unknown
from tests.venues.extended.building import (
    API_KEY,
    NOW,
    ORDER_ID,
    SLOT,
    access,
    account,
    ok,
    place,
    refusal,
    row,
)
from tests.venues.extended.desk import Secrets
from tests.venues.raw_server import RawServer, response, serving
from venues.extended.connector import ExtendedConnector
from venues.rate_budget import RateBudget

DATE = "Date: Wed, 30 Sep 2026 12:00:07 GMT\r\n"
STATS = {
    "dailyVolume": "9",
    "askPrice": "0",
    "bidPrice": "84077",
    "markPrice": "84058",
    "indexPrice": "84105",
    "fundingRate": "0.000013",
    "openInterest": "42",
    "openInterestBase": "501",
}
MARKET: dict[str, Any] = {
    "name": "BTC-USD",
    "type": "PERPETUAL",
    "assetName": "BTC",
    "active": True,
    "isRfq": False,
    "status": "ACTIVE",
    "marketStats": STATS,
    "tradingConfig": {
        "minOrderSize": "0.0001",
        "minOrderSizeChange": "0.00001",
        "minPriceChange": "1",
        "maxPositionValue": "60000000",
        "maxLeverage": "50.00",
    },
    "l2Config": {
        "collateralId": "0x1",
        "collateralResolution": 1000000,
        "syntheticId": "0x4254432d3600000000000000000000",
        "syntheticResolution": 1000000,
    },
}
ORDER = {
    "id": 7,
    "externalId": ORDER_ID,
    "market": "BTC-USD",
    "status": "NEW",
    "type": "LIMIT",
    "side": "BUY",
    "qty": "0.001",
    "price": "84077",
    "createdTime": 1,
    "updatedTime": 2,
    "filledQty": "0",
}


class Venue:
    """Answers each path with what it is told, status first; what is not told is not found."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {"/info/markets": [(200, ok([MARKET]))]}
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.heads: list[str] = []
        self.headers = DATE

    def say(self, path: str, *answers: Any, status: int = 200) -> None:
        """Answer a path with each in turn, the last one from then on."""
        self.answers[path] = [(status, answer) for answer in answers]

    def queries(self, path: str) -> list[dict[str, list[str]]]:
        return [query for asked, query in self.asked if asked == path]

    async def handle(
        self, seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while (request := await seen.read(reader)) is not None:
            parts = urlsplit(request.path)
            path = parts.path.removeprefix("/api/v1")
            self.asked.append((path, parse_qs(parts.query)))
            self.heads.append(request.head)
            left = self.answers.get(path, [(404, refusal("NOT_FOUND"))])
            status, answer = left.pop(0) if len(left) > 1 else left[0]
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            writer.write(response(body, status=f"{status} Said", headers=self.headers))
            await writer.drain()


@asynccontextmanager
async def talking(**options: Any) -> AsyncIterator[tuple[Venue, ExtendedConnector]]:
    venue = Venue()
    async with serving(venue.handle) as server:
        options.setdefault("clock", lambda: NOW)
        connector = ExtendedConnector(account().network, server.url, **options)
        connector.use_credentials(Secrets(API_KEY))
        await connector.start()
        try:
            yield venue, connector
        finally:
            await connector.close()


async def row_of(connector: ExtendedConnector) -> CommandRow:
    return row((await connector.compose(place()))(SLOT))


async def test_markets_that_are_none_of_ours_are_left_out() -> None:
    odd = [
        {"name": "USDC-USD", "type": "SPOT"},
        {"name": "TSLA-USD", "type": "PERPETUAL", "isRfq": True},
        {"name": "BTC-EUR", "type": "PERPETUAL"},
        {**MARKET, "name": "NVDA_24_5-USD", "status": "REDUCE_ONLY"},
        {**MARKET, "name": "OLD-USD", "status": "DELISTED"},
        {**MARKET, "name": "OFF-USD", "active": False},
    ]
    async with talking() as (venue, connector):
        venue.say("/info/markets", ok([MARKET, *odd]))
        found = {one.symbol: one.state.value for one in await connector.instruments(refresh=True)}
        assert found == {
            "BTC-PERP": "OPEN",
            "NVDA/24/5-PERP": "CLOSE_ONLY",
            "OLD-PERP": "DELISTED",
            "OFF-PERP": "DELISTED",
        }
        tickers = {one.symbol: one.mid_price for one in await connector.tickers()}
        assert tickers == {"BTC-PERP": None, "NVDA/24/5-PERP": None}
        for broken in (ok([]), ok([{"name": "BTC-USD"}]), ok([7])):
            venue.say("/info/markets", broken)
            with pytest.raises(VenueUnavailable):
                await connector.instruments(refresh=True)


async def test_the_venues_clock_is_in_its_headers() -> None:
    async with talking() as (venue, connector):
        venue.say("/info/markets/BTC-USD/stats", ok(STATS))
        assert await connector.venue_time(account()) == NOW + timedelta(seconds=7)
        for headers in ("", "Date: yesterday\r\n", "Date: Wed, 30 Sep 2026 12:00:07 -0000\r\n"):
            venue.headers = headers
            with pytest.raises(VenueUnavailable, match="a time in the header"):
                await connector.venue_time(account())


async def test_every_request_says_who_asks_and_the_private_ones_for_whom() -> None:
    async with talking() as (venue, connector):
        venue.say("/user/orders", ok([]))
        await connector.open_orders(account())
        assert all("user-agent: perp-dex" in head.lower() for head in venue.heads)
        assert f"x-api-key: {API_KEY}" in venue.heads[-1].lower()
        assert "x-api-key" not in venue.heads[0].lower()


async def test_what_ended_is_looked_for_in_the_history() -> None:
    ended = {**ORDER, "status": "CANCELLED"}
    async with talking() as (venue, connector):
        venue.say(f"/user/orders/external/{ORDER_ID}", ok([]))
        venue.say("/user/orders/history", ok([{**ended, "externalId": "another"}, ended]))
        found = await connector.find_order(account(), symbol="BTC-PERP", client_order_id=ORDER_ID)
        assert found.order is not None and found.order.verdict is Verdict.CANCELED
        assert found.venue_time == NOW + timedelta(seconds=7)
        by_id = await connector.find_order(account(), symbol="BTC-PERP", venue_order_id="7")
        assert by_id.order is not None
        asked = venue.queries("/user/orders/history")
        assert [sorted(query) for query in asked] == [["externalId", "limit"], ["id", "limit"]]
        other = await connector.find_order(account(), symbol="BTC-PERP", venue_order_id="8")
        assert other.order is None
        with pytest.raises(InvalidInput, match="found neither"):
            await connector.find_order(account(), symbol="BTC-PERP")


async def test_of_several_orders_of_one_name_one_that_lives_is_told() -> None:
    ended, newer = {**ORDER, "id": 9, "status": "FILLED"}, {**ORDER, "id": 8}
    async with talking() as (venue, connector):
        venue.say(f"/user/orders/external/{ORDER_ID}", ok([ended, ORDER, newer]))
        found = await connector.find_order(account(), symbol="BTC-PERP", client_order_id=ORDER_ID)
        assert found.order is not None and found.order.venue_order_id == "8"


def fill(number: int, minutes_ago: int, market: str = "BTC-USD") -> dict[str, Any]:
    at = int((NOW - timedelta(minutes=minutes_ago)).timestamp() * 1000)
    return {
        "id": number, "orderId": 7, "market": market, "side": "BUY", "price": "1", "qty": "1",
        "fee": "0", "isTaker": True, "createdTime": at,
    }  # fmt: skip


async def test_fills_are_read_page_by_page_until_they_are_old_enough() -> None:
    async with talking() as (venue, connector):
        venue.say(
            "/user/trades",
            {**ok([fill(9, 1), fill(8, 2)]), "pagination": {"cursor": 8, "count": 2}},
            {**ok([fill(8, 2), fill(7, 3, "BTC-EUR")]), "pagination": {"cursor": 7, "count": 2}},
            {**ok([fill(6, 100)]), "pagination": {"cursor": 6, "count": 1}},
        )
        found = await connector.fills(account(), since=NOW - timedelta(minutes=10))
        assert [one.trade_id for one in found] == ["8", "9"]
        assert [query.get("cursor") for query in venue.queries("/user/trades")] == [
            None,
            ["8"],
            ["7"],
        ]


async def test_pages_that_never_end_are_given_up() -> None:
    async with talking(budget=RateBudget(per_minute=1_000_000)) as (venue, connector):
        pages = [{**ok([fill(n, 1)]), "pagination": {"cursor": n, "count": 1}} for n in range(200)]
        venue.say("/user/trades", *pages)
        with pytest.raises(VenueUnavailable, match="end within 100 pages"):
            await connector.fills(account(), since=NOW - timedelta(minutes=10))
        # A cursor that stands still is the end.
        venue.say("/user/trades", {**ok([fill(1, 1)]), "pagination": {"cursor": 5, "count": 1}})
        assert len(await connector.fills(account(), since=NOW - timedelta(minutes=10))) == 1


async def test_candles_are_read_backwards() -> None:
    start = datetime(2026, 9, 29, tzinfo=UTC)
    first_ms = int(start.timestamp() * 1000)

    def candle(minute: int) -> dict[str, Any]:
        return {"T": first_ms + minute * 60_000, "o": "1", "h": "2", "l": "1", "c": "2", "v": "3"}

    async with talking() as (venue, connector):
        venue.say(
            "/info/candles/BTC-USD/trades",
            ok([candle(n) for n in range(1100, 100, -1)]),
            ok([candle(n) for n in range(100, -50, -1)]),
        )
        end = start + timedelta(minutes=1099)
        found = await connector.candles("BTC-PERP", "1m", start=start, end=end)
        assert len(found) == 1100
        assert (found[0].open_time, found[-1].open_time) == (start, end)
        before = [query["endTime"] for query in venue.queries("/info/candles/BTC-USD/trades")]
        assert before == [[str(first_ms + 1099 * 60_000)], [str(first_ms + 100 * 60_000)]]


@pytest.mark.parametrize(
    ("path", "answer", "ask"),
    [
        ("/user/fees", ok([]), "fee_rates"),
        ("/user/fees", ok([{"market": "ETH-USD", "makerFeeRate": "0", "takerFeeRate": "0"}]),
         "fee_rates"),
        ("/user/leverage", ok([]), "leverage"),
        ("/user/orders", ok([{**ORDER, "side": "HOLD"}]), "open_orders"),
        ("/user/positions", ok([{"market": "BTC-USD"}]), "account_summary"),
    ],
)  # fmt: skip
async def test_answers_that_say_nothing_of_what_was_asked(path: str, answer: Any, ask: str) -> None:
    async with talking() as (venue, connector):
        venue.say(path, answer)
        with pytest.raises(VenueUnavailable):
            if ask == "leverage":
                await connector.leverage_of(account(), "BTC-PERP")
            else:
                await getattr(connector, ask)(account())


async def test_positions_without_a_balance_make_no_sense() -> None:
    held = {
        "market": "BTC-USD", "side": "LONG", "leverage": "10", "size": "1", "value": "1",
        "openPrice": "1", "markPrice": "1",
    }  # fmt: skip
    async with talking() as (venue, connector):
        venue.say("/user/positions", ok([held]))
        with pytest.raises(VenueUnavailable, match="no balance"):
            await connector.account_summary(account())
        venue.say("/user/positions", ok([{**held, "side": "BOTH"}]))
        venue.say("/user/balance", ok({"equity": "1", "availableForTrade": "1", "updatedTime": 1}))
        with pytest.raises(VenueUnavailable, match="LONG or SHORT"):
            await connector.account_summary(account())


async def test_a_refusal_in_a_good_answer_is_one() -> None:
    async with talking() as (venue, connector):
        venue.say("/user/orders", refusal(1500, "Account is not selected"))
        with pytest.raises(VenueRefused, match="1500"):
            await connector.open_orders(account())


async def test_after_a_limit_only_cancels_go() -> None:
    async with talking() as (venue, connector):
        venue.say("/user/order", b"Too Many Requests", status=429)
        sent = await connector.send(await row_of(connector), access())
        assert isinstance(sent.outcome, Unknown)
        again = await connector.send(await row_of(connector), access())
        assert isinstance(again.outcome, NotSent) and again.outcome.retryable
        assert connector.budget_left().left < 310
        cancel = await connector.compose(CancelOrder(symbol="BTC-PERP", client_order_id=ORDER_ID))
        venue.say("/user/order", ok())
        cancelled = row(cancel(SLOT))
        cancelled = replace(cancelled, key=replace(cancelled.key, command=CommandKind.CANCEL))
        # The look-up of its verdict waits like every question.
        assert isinstance((await connector.send(cancelled, access())).outcome, Acknowledged)


async def test_an_immediate_order_is_looked_up_until_it_has_ended() -> None:
    async with talking() as (venue, connector):
        compose = await connector.compose(place(time_in_force=TimeInForce.IOC))
        venue.say("/user/order", ok({"id": 7, "externalId": ORDER_ID}))
        venue.answers["/user/orders/7"] = [
            (404, refusal("NOT_FOUND")),
            (200, ok({**ORDER, "timeInForce": "IOC"})),
            (200, ok({**ORDER, "timeInForce": "IOC", "status": "FILLED", "filledQty": "0.001"})),
        ]
        outcome = (await connector.send(row(compose(SLOT)), access())).outcome
        assert isinstance(outcome, Accepted) and outcome.report is not None
        assert (outcome.report.verdict, outcome.report.filled_quantity) == (
            Verdict.FILLED,
            Decimal("0.001"),
        )
        assert len(venue.queries("/user/orders/7")) == 3


async def test_a_look_up_that_fails_leaves_the_order_acknowledged() -> None:
    async with talking() as (venue, connector):
        venue.say("/user/order", ok({"id": 7, "externalId": ORDER_ID}))
        venue.say("/user/orders/7", b"<html>", status=502)
        outcome = (await connector.send(await row_of(connector), access())).outcome
        assert outcome == Acknowledged(venue_order_id="7")


async def test_a_placement_is_never_sent_again() -> None:
    async with talking() as (venue, connector):
        outcome = (await connector.resend(await row_of(connector), access())).outcome
        assert isinstance(outcome, Unknown) and "second copy" in outcome.reason
        assert venue.queries("/user/order") == []


async def test_names_from_elsewhere_are_no_paths() -> None:
    odd = "../cancel?x=1&y=/ä"
    async with talking() as (venue, connector):
        venue.say("/user/orders/history", ok([]))
        found = await connector.find_order(account(), symbol="BTC-PERP", client_order_id=odd)
        assert found.order is None
        assert [path.count("/") for path, _ in venue.asked] == [2, 4, 3]
        cancel = await connector.compose(CancelOrder(symbol="BTC-PERP", client_order_id=odd))
        named = row(cancel(SLOT), CommandKind.CANCEL, client_order_id=odd)
        await connector.send(named, access())
        assert venue.asked[-1] == ("/user/order", {"externalId": [odd]})
