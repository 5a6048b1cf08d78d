"""Prices from feeds and venues, into a real Valkey and over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bus.connection import Bus
from bus.latest_prices import LatestPrices, LatestPriceWriter
from bus.market_requests import MarketAnswers, MarketRequests, PriceRequest
from domain.accounts import Network
from domain.errors import InvalidInput, Unavailable, VenueUnavailable
from domain.market_data import BookLevel, OrderBook, Ticker
from streaming import prices as prices_module
from streaming.books import Books
from streaming.connectors import Connectors
from streaming.prices import Prices
from tests.bus.valkey import running_valkey
from tests.streaming.floor import Floor, open_floor
from tests.streaming.stage import Stage
from tests.streaming.test_ingest import until
from venues import registry
from venues.connector import BookSeen, FeedState, TickerSeen

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLACE = ("v", Network.PAPER)


class Venue:
    """A venue that counts what it is asked, and answers when it may."""

    def __init__(self) -> None:
        self.tickers_asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    def connect(self, network: Network) -> Any:
        return self

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def tickers(self) -> tuple[Ticker, ...]:
        self.tickers_asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        silent = replace(ticker("OLD-PERP"), mark_price=None, mid_price=None)
        return (ticker(), ticker("ETH-PERP"), silent)

    async def order_book(self, symbol: str, *, depth: int) -> OrderBook:
        return book(symbol)


def ticker(symbol: str = "BTC-PERP", after_s: float = 0, mark: int = 100) -> Ticker:
    return Ticker(
        venue="v",
        symbol=symbol,
        mark_price=Decimal(mark),
        index_price=None,
        mid_price=None,
        funding_rate=None,
        funding_interval_s=3600,
        open_interest=None,
        volume_24h=None,
        received_time=T0 + timedelta(seconds=after_s),
    )


def book(symbol: str = "BTC-PERP", after_s: float = 0) -> OrderBook:
    def side(price: int) -> tuple[BookLevel, ...]:
        return (BookLevel(price=Decimal(price), quantity=Decimal(1)),)

    at = T0 + timedelta(seconds=after_s)
    return OrderBook(
        venue="v", symbol=symbol, bids=side(99), asks=side(101), event_time=at, received_time=at
    )


def request(symbol: str = "BTC-PERP", venue: str = "v") -> PriceRequest:
    return PriceRequest(
        request_id="r", venue=venue, network=Network.PAPER, symbol=symbol, until_ms=0
    )


class Made:
    """Prices over a double of a venue, with a clock; what is written waits in the writer."""

    def __init__(self) -> None:
        self.venue = Venue()
        self.now = T0
        connectors = Connectors(lambda name: self.venue)
        self.writer = LatestPriceWriter(Bus("redis://127.0.0.1:1/0"))
        self.prices = Prices(connectors, Books(connectors), self.writer, now=lambda: self.now)


async def test_a_fresh_feed_answers_without_asking_the_venue() -> None:
    made = Made()
    made.prices.take(PLACE, TickerSeen(ticker=ticker()), "stream")
    made.prices.take(PLACE, BookSeen(book=book(), is_top=True), "stream")
    made.prices.take(PLACE, FeedState(account_id=None, live=True, reason="", at=T0), "stream")
    made.now = T0 + timedelta(seconds=1)
    found = await made.prices.price(request())
    assert (found.mark_price, found.best_bid, found.source) == (
        Decimal(100),
        Decimal(99),
        "stream",
    )
    assert made.venue.tickers_asked == 0
    assert len(made.writer._waiting) == 1


async def test_an_old_feed_has_the_venue_asked_once_for_all_who_wait() -> None:
    made = Made()
    made.prices.take(PLACE, TickerSeen(ticker=ticker(after_s=-2, mark=1)), "stream")
    made.venue.gate.clear()
    asking = [asyncio.create_task(made.prices.price(request())) for _ in range(5)]
    await until(lambda: made.venue.tickers_asked == 1)
    asking[0].cancel()
    made.venue.gate.set()
    found = await asyncio.gather(*asking[1:])
    assert {each.mark_price for each in found} == {100}
    assert {each.source for each in found} == {"poll"}
    assert {each.best_ask for each in found} == {101}
    assert made.venue.tickers_asked == 1
    assert (await made.prices.price(request("ETH-PERP"))).best_bid is not None
    assert {market[2] for market in made.writer._waiting} == {"BTC-PERP", "ETH-PERP"}
    await made.prices.close()


async def test_no_price_is_made_up() -> None:
    made = Made()
    with pytest.raises(InvalidInput, match="symbol"):
        await made.prices.price(request("OLD-PERP"))
    made.venue.error = VenueUnavailable("silence")
    made.now += timedelta(seconds=5)
    with pytest.raises(VenueUnavailable):
        await made.prices.price(request("ETH-PERP"))
    made.venue.gate.clear()
    asking = asyncio.create_task(made.prices.price(request()))
    await until(lambda: made.venue.tickers_asked == 3)
    await made.prices.close()
    await asyncio.wait([asking], timeout=5)
    assert asking.done()


async def test_known_markets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices_module, "KNOWN_MAX", 2)
    made = Made()
    for symbol in ("A-PERP", "B-PERP", "C-PERP"):
        made.prices.take(PLACE, TickerSeen(ticker=ticker(symbol)), "stream")
    assert len(made.prices._parts) <= 2


@pytest.fixture
async def floor(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Floor]:
    async with open_floor(stage) as made:
        monkeypatch.setenv("HYPERLIQUID_PAPER_URL", made.sim.url)
        yield made


async def test_over_a_real_valkey_from_a_simulated_exchange(floor: Floor) -> None:
    with running_valkey() as valkey:
        bus = Bus(valkey.url)
        connectors = Connectors(registry.load)
        books = Books(connectors)
        writer = LatestPriceWriter(bus)
        prices = Prices(connectors, books, writer)
        tasks = [
            asyncio.create_task(writer.run()),
            asyncio.create_task(MarketAnswers(bus, books.book, prices.price).run()),
        ]
        asking = MarketRequests(bus, deadline_s=10)
        found = await asking.request_price("hyperliquid", Network.PAPER, "BTC-PERP")
        assert found.mark_price
        assert found.best_bid
        assert found.best_ask
        assert found.best_bid < found.best_ask
        await until(lambda: writer.writes >= 1 and not writer._waiting)
        read = await LatestPrices(bus).read("hyperliquid", Network.PAPER, "BTC-PERP")
        assert read is not None
        assert read.mark_price == found.mark_price
        with pytest.raises(InvalidInput):
            await asking.request_price("hyperliquid", Network.PAPER, "NOTHING-PERP")
        with pytest.raises(InvalidInput):
            await asking.request_price("nowhere", Network.PAPER, "BTC-PERP")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await prices.close()
        await books.close()
        await connectors.close()
        await bus.close()


async def test_a_process_without_prices_says_so() -> None:
    with running_valkey() as valkey:
        bus = Bus(valkey.url)

        async def no_book(_request: Any) -> OrderBook:
            raise AssertionError("nobody asked for a book")

        task = asyncio.create_task(MarketAnswers(bus, no_book).run())
        with pytest.raises(Unavailable, match="knows prices"):
            await MarketRequests(bus).request_price("v", Network.PAPER, "BTC-PERP")
        task.cancel()
        await asyncio.wait([task])
        await bus.close()
