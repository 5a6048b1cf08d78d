from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bus.market_requests import BookRequest
from domain.accounts import Network
from domain.errors import InvalidInput, VenueUnavailable
from domain.market_data import OrderBook
from streaming import books as books_module
from streaming.books import Books
from streaming.connectors import Connectors
from tests.streaming.building import T0


class Venue:
    """A venue that counts what it is asked, and answers when it may."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.close_error: Exception | None = None

    def connect(self, network: Network) -> Any:
        return self

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        if self.close_error is not None:
            raise self.close_error

    async def order_book(self, symbol: str, *, depth: int) -> OrderBook:
        self.asked.append((symbol, depth))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return OrderBook(
            venue="v", symbol=symbol, bids=(), asks=(), event_time=T0, received_time=T0
        )


def request(symbol: str = "BTC-PERP", depth: int = 20) -> BookRequest:
    return BookRequest(
        request_id="r", venue="v", network=Network.PAPER, symbol=symbol, depth=depth, until_ms=0
    )


@pytest.fixture
def venue() -> Venue:
    return Venue()


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def books(venue: Venue, now: list[float]) -> Books:
    return Books(Connectors(lambda name: venue), clock=lambda: now[0])


async def test_a_book_is_asked_for_once_in_half_a_second(
    books: Books, venue: Venue, now: list[float]
) -> None:
    first = await books.book(request())
    now[0] += 0.49
    assert await books.book(request()) is first
    now[0] += 0.02
    await books.book(request())
    await books.book(request(depth=5))
    assert venue.asked == [("BTC-PERP", 20), ("BTC-PERP", 20), ("BTC-PERP", 5)]


async def test_equal_requests_at_once_share_one_question(books: Books, venue: Venue) -> None:
    venue.gate.clear()
    waiting = [asyncio.create_task(books.book(request())) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    venue.gate.set()
    found = await asyncio.gather(*waiting[1:])
    assert len(venue.asked) == 1
    assert {book.symbol for book in found} == {"BTC-PERP"}


async def test_an_error_is_not_kept(books: Books, venue: Venue) -> None:
    venue.error = VenueUnavailable("silence")
    with pytest.raises(VenueUnavailable):
        await books.book(request())
    venue.error = None
    assert (await books.book(request())).symbol == "BTC-PERP"


async def test_what_is_no_symbol_never_reaches_a_venue(books: Books, venue: Venue) -> None:
    for symbol in ("", "BTC", "BTC-PERP\n", "../BTC-PERP", "x" * 100 + "-PERP"):
        with pytest.raises(InvalidInput):
            await books.book(request(symbol))
    assert venue.asked == []


async def test_the_cache_is_bounded(
    books: Books, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books_module, "CACHED_MAX", 3)
    for number in range(10):
        await books.book(request(f"X{number}-PERP"))
    assert len(books._cached) <= 3


async def test_closing_ends_what_is_under_way(books: Books, venue: Venue) -> None:
    venue.gate.clear()
    waiting = asyncio.create_task(books.book(request()))
    while not venue.asked:
        await asyncio.sleep(0)
    await books.close()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    await books.close()


async def test_a_connector_that_does_not_close_does_not_stop_the_others(
    venue: Venue, caplog: pytest.LogCaptureFixture
) -> None:
    connectors = Connectors(lambda name: venue)
    await connectors.of("a", Network.PAPER)
    await connectors.of("b", Network.PAPER)
    venue.close_error = OSError("gone")
    await connectors.close()
    assert caplog.text.count("a connector did not close") == 2
