from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from bus import market_requests
from bus.connection import Bus
from bus.market_requests import (
    REPLY_KEY,
    REQUESTS_KEY,
    Answer,
    BookRequest,
    MarketAnswers,
    MarketRequests,
)
from domain.accounts import Network
from domain.errors import (
    InvalidInput,
    NotFound,
    PerpDexError,
    Unavailable,
    VenueRefused,
    VenueUnavailable,
)
from domain.market_data import BookLevel, Candle, OrderBook
from domain.market_past import MarketPast, MarketQuery, PastQuestion
from tests.bus.valkey import ValkeyProcess
from tests.bus.waiting import eventually

BOOK = OrderBook(
    venue="hyperliquid",
    symbol="BTC-PERP",
    bids=(BookLevel(price=Decimal("99999.1"), quantity=Decimal("0.00001"), order_count=3),),
    asks=(BookLevel(price=Decimal("100000.123456789012345678"), quantity=Decimal(2)),),
    event_time=datetime(2026, 1, 1, 12, 0, 0, 123000, tzinfo=UTC),
    received_time=datetime(2026, 1, 1, 12, 0, 0, 456789, tzinfo=UTC),
)


@asynccontextmanager
async def answering(bus: Bus, answer: Answer) -> AsyncIterator[None]:
    task = asyncio.create_task(MarketAnswers(bus, answer).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def always_the_book(_request: BookRequest) -> OrderBook:
    return BOOK


async def ask(bus: Bus, *, depth: int = 20, deadline_s: float = 2.0) -> OrderBook:
    requests = MarketRequests(bus, deadline_s=deadline_s)
    return await requests.request_book("hyperliquid", Network.PAPER, "BTC-PERP", depth)


async def test_a_book_comes_back_exactly(bus: Bus) -> None:
    seen: list[BookRequest] = []

    async def answer(request: BookRequest) -> OrderBook:
        seen.append(request)
        return BOOK

    async with answering(bus, answer):
        assert await ask(bus, depth=7) == BOOK
    assert (seen[0].venue, seen[0].network, seen[0].symbol, seen[0].depth) == (
        "hyperliquid",
        Network.PAPER,
        "BTC-PERP",
        7,
    )


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (InvalidInput("symbol", "expected a market"), InvalidInput),
        (VenueRefused("no"), VenueRefused),
        (VenueUnavailable("silence"), VenueUnavailable),
        (Unavailable("other"), Unavailable),
        (NotFound("other"), Unavailable),
        (ZeroDivisionError("a defect"), Unavailable),
    ],
)
async def test_errors_keep_their_kind(
    bus: Bus, raised: Exception, expected: type[PerpDexError]
) -> None:
    async def answer(_request: BookRequest) -> OrderBook:
        raise raised

    async with answering(bus, answer):
        with pytest.raises(expected) as found:
            await ask(bus)
    assert type(found.value) is expected
    assert "a defect" not in str(found.value)


async def test_an_invalid_input_names_its_field(bus: Bus) -> None:
    async def answer(_request: BookRequest) -> OrderBook:
        raise InvalidInput("symbol", "expected a market, found none")

    async with answering(bus, answer):
        with pytest.raises(InvalidInput) as found:
            await ask(bus)
    assert (found.value.field, found.value.message) == ("symbol", "expected a market, found none")


@pytest.mark.parametrize("depth", [0, -1, 101])
async def test_depth_is_checked_before_anything_is_sent(bus: Bus, depth: int) -> None:
    with pytest.raises(InvalidInput, match="depth"):
        await ask(bus, depth=depth)
    assert await bus.redis.llen(REQUESTS_KEY) == 0


async def test_nobody_answering_is_unavailable_at_the_deadline(bus: Bus) -> None:
    started = time.monotonic()
    with pytest.raises(Unavailable, match="streaming process"):
        await ask(bus, deadline_s=0.2)
    assert time.monotonic() - started < 2


async def test_without_valkey_it_is_unavailable(valkey_process: ValkeyProcess, bus: Bus) -> None:
    valkey_process.kill()
    with pytest.raises(Unavailable):
        await ask(bus)


async def test_requests_nobody_waits_for_are_not_answered(bus: Bus) -> None:
    asked: list[str] = []

    async def answer(request: BookRequest) -> OrderBook:
        asked.append(request.request_id)
        return BOOK

    with pytest.raises(Unavailable):
        await ask(bus, deadline_s=0.05)
    async with answering(bus, answer):
        assert await ask(bus) == BOOK
    assert len(asked) == 1


async def test_junk_in_the_requests_is_passed_over(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    for junk in (b"", b"\xff", b"\x80", msgspec.msgpack.encode({"request_id": 1})):
        await bus.redis.rpush(REQUESTS_KEY, junk)
    until_ms = time.time_ns() // 1_000_000 + 60_000
    too_deep = BookRequest(
        request_id="x",
        venue="v",
        network=Network.PAPER,
        symbol="s",
        depth=10**6,
        until_ms=until_ms,
    )
    await bus.redis.rpush(REQUESTS_KEY, msgspec.msgpack.encode(too_deep))
    async with answering(bus, always_the_book):
        assert await ask(bus) == BOOK
        reply = await bus.redis.blpop([REPLY_KEY + "x"], timeout=0.5)
    assert caplog.text.count("expected a market request") == 4
    assert reply is not None
    assert b"invalid_input" in reply[1]


async def test_junk_in_the_reply_is_unavailable(bus: Bus) -> None:
    async def answer_junk() -> None:
        taken = await bus.redis.blpop([REQUESTS_KEY], timeout=0.9)
        assert taken is not None and isinstance(taken[1], bytes)
        request = msgspec.msgpack.decode(taken[1], type=BookRequest)
        await bus.redis.rpush(REPLY_KEY + request.request_id, b"\xc1")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answer_junk())
        with pytest.raises(Unavailable, match="other bytes"):
            await ask(bus)


async def test_a_markets_past_comes_back_exactly_and_errors_keep_their_field(bus: Bus) -> None:
    now = datetime.now(UTC)
    question = PastQuestion(
        venue="hyperliquid",
        network=Network.PAPER,
        symbol="BTC-PERP",
        query=MarketQuery.CANDLES,
        limit=3,
        interval="1h",
        until=now,
    )
    candle = Candle(
        venue="hyperliquid", symbol="BTC-PERP", interval="1h", open_time=now, close_time=now,
        open=Decimal("1.000000000000000001"), high=Decimal(2), low=Decimal("0.5"),
        close=Decimal(1), volume=Decimal("1E-8"),
    )  # fmt: skip
    past = MarketPast(source="query", as_of=now, candles=(candle,))
    seen: list[PastQuestion] = []

    async def read(asked: PastQuestion) -> MarketPast:
        seen.append(asked)
        if asked.limit == 4:
            raise InvalidInput("venue", "it tells no candles")
        return past

    requests = MarketRequests(bus)
    task = asyncio.create_task(MarketAnswers(bus, always_the_book, past=read).run())
    try:
        assert await requests.request_past(question) == past
        with pytest.raises(InvalidInput) as refused:
            await requests.request_past(replace(question, limit=4))
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert seen[0] == question
    assert refused.value.field == "venue"


async def test_who_reads_no_past_says_so_and_wrong_questions_are_not_sent(bus: Bus) -> None:
    question = PastQuestion(
        venue="v", network=Network.PAPER, symbol="BTC-PERP", query=MarketQuery.TRADES, limit=1
    )
    async with answering(bus, always_the_book):
        with pytest.raises(Unavailable, match="reads the past"):
            await MarketRequests(bus).request_past(question)
    with pytest.raises(InvalidInput, match="limit"):
        await MarketRequests(bus).request_past(replace(question, limit=0))
    assert await bus.redis.llen(REQUESTS_KEY) == 0


async def test_nothing_stays_behind_for_ever(bus: Bus) -> None:
    assert await bus.check()
    with pytest.raises(Unavailable):
        await ask(bus, deadline_s=0.2)
    assert 0 < await bus.redis.ttl(REQUESTS_KEY) <= 10


async def test_many_at_once_and_the_bound(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_requests, "WAITING_MAX", 30)
    requests = MarketRequests(bus)

    async def one() -> OrderBook | None:
        try:
            return await requests.request_book("hyperliquid", Network.PAPER, "BTC-PERP")
        except Unavailable:
            return None

    async with answering(bus, always_the_book):
        answers = await asyncio.gather(*(one() for _ in range(40)))
        assert sum(book == BOOK for book in answers) == 30
        assert await one() == BOOK


async def test_killed_flushed_and_restarted_while_asking(
    valkey_process: ValkeyProcess, bus: Bus
) -> None:
    async with answering(bus, always_the_book):
        assert await ask(bus) == BOOK
        valkey_process.kill()
        with pytest.raises(Unavailable):
            await ask(bus)
        valkey_process.start()
        valkey_process.command("FLUSHALL")
        books: list[OrderBook] = []

        async def asking() -> None:
            while not books:
                try:
                    books.append(await ask(bus, deadline_s=1.0))
                except Unavailable:
                    await asyncio.sleep(0.01)

        task = asyncio.create_task(asking())
        await eventually(lambda: bool(books))
        await task
        assert books == [BOOK]


async def test_a_venue_that_is_slow_is_told_from_a_process_that_is_away(bus: Bus) -> None:
    ended: list[bool] = []

    async def answer(_request: BookRequest) -> OrderBook:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        return BOOK

    async with answering(bus, answer):
        with pytest.raises(VenueUnavailable, match="expected the venue's answer within"):
            await ask(bus, deadline_s=1.0)
        await eventually(lambda: ended == [True])
