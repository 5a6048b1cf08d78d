"""Following markets: books kept whole from changes, gaps, refusals. A scripted server speaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve

from perp_dex_client import InvalidRequest, MarketEvent, MarketWanted, PriceLevel, watch_markets
from perp_dex_client.errors import UnreadableAnswer
from perp_dex_client.market_watching import LiveBook

TOKEN = "t" * 43
BTC = {"venue": "hyperliquid", "network": "paper", "symbol": "BTC-PERP"}
TIMES = {"event_time": "2026-01-01T12:00:00Z", "received_time": "2026-01-01T12:00:00.01Z"}
BOOK = MarketWanted(channel="book", symbol="BTC-PERP", venue="hyperliquid", network="paper")
Speak = Callable[[ServerConnection, list[dict[str, Any]]], Awaitable[None]]


@asynccontextmanager
async def speaking(speak: Speak) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Serve a stream that authenticates, hears what is asked, and then says what it is told to."""
    heard: list[dict[str, Any]] = []

    async def converse(socket: ServerConnection) -> None:
        await socket.send('{"type": "hello", "heartbeat_ms": 1000}')
        async for data in socket:
            heard.append(json.loads(data))
            if heard[-1]["op"] == "auth":
                await socket.send('{"type": "ack", "op": "auth", "id": "auth"}')
            else:
                await speak(socket, heard)

    async with serve(converse, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}", heard


async def say(socket: ServerConnection, **message: Any) -> None:
    await socket.send(json.dumps({**BTC, **message}))


async def snapshot(socket: ServerConnection, seq: int = 5) -> None:
    bids, asks = [["100", "1"], ["99", "2"]], [["101", "1"], ["102", "3"]]
    await say(
        socket,
        **{"type": "snapshot", "channel": "book", "seq": seq, "source": "stream"},
        **TIMES,
        bids=bids,
        asks=asks,
    )


async def update(socket: ServerConnection, seq: int, prev_seq: int, **sides: Any) -> None:
    sides = {"full": False, "bids": [], "asks": [], **sides}
    head = {"type": "update", "channel": "book", "seq": seq, "prev_seq": prev_seq}
    await say(socket, **head, source="stream", **TIMES, **sides)


async def events(url: str, count: int, *wanted: MarketWanted) -> list[MarketEvent]:
    found: list[MarketEvent] = []
    async with (
        asyncio.timeout(15),
        aclosing(watch_markets(url, TOKEN, wanted or (BOOK,))) as stream,
    ):
        async for event in stream:
            found.append(event)
            if len(found) == count:
                break
    return found


def prices(levels: tuple[PriceLevel, ...]) -> list[tuple[str, str]]:
    return [(str(level.price), str(level.quantity)) for level in levels]


async def test_a_book_is_yielded_whole_and_its_freshness_with_it() -> None:
    async def speak(socket: ServerConnection, heard: list[dict[str, Any]]) -> None:
        await snapshot(socket)
        await update(socket, 6, 5, bids=[["99", "0"], ["100.5", "4"]], asks=[["101", "2"]])
        await update(socket, 7, 6, full=True, bids=[["98", "1"]])
        status = {"type": "status", "channel": "book", "stale": True, "age_ms": 1500}
        await say(socket, **status, source="poll", reason="the stream is silent")

    async with speaking(speak) as (url, heard):
        first, second, third, status = await events(url, 4)
    assert heard[1] == {
        **{"op": "subscribe", "id": 0, "channel": "book", "symbol": "BTC-PERP"},
        **{"venue": "hyperliquid", "network": "paper"},
    }
    assert (first.kind, prices(first.bids)) == ("snapshot", [("100", "1"), ("99", "2")])
    assert first.received_time is not None and first.event_time is not None
    assert prices(second.bids) == [("100.5", "4"), ("100", "1")]
    assert prices(second.asks) == [("101", "2"), ("102", "3")]
    assert (prices(third.bids), third.asks) == ([("98", "1")], ())
    assert (status.stale, status.age_s, status.source) == (True, 1.5, "poll")
    assert status.reason == "the stream is silent"


async def test_a_gap_is_never_passed_over() -> None:
    async def speak(socket: ServerConnection, heard: list[dict[str, Any]]) -> None:
        await snapshot(socket, 5 if len(heard) == 2 else 50)
        await update(socket, 8, 7, bids=[["100", "9"]])

    async with speaking(speak) as (url, _):
        found = await events(url, 2)
    assert [(event.kind, event.seq) for event in found] == [("snapshot", 5), ("snapshot", 50)]


async def test_what_is_refused_for_good_ends_the_watch() -> None:
    async def speak(socket: ServerConnection, heard: list[dict[str, Any]]) -> None:
        answer = {"type": "error", "id": heard[-1]["id"], "code": "invalid_input"}
        await socket.send(json.dumps({**answer, "message": "symbol: no such market"}))

    async with speaking(speak) as (url, _):
        with pytest.raises(InvalidRequest, match="refuses BTC-PERP: symbol: no such market"):
            await events(url, 1)


async def test_a_venue_that_is_away_is_asked_again() -> None:
    async def speak(socket: ServerConnection, heard: list[dict[str, Any]]) -> None:
        if len(heard) == 2:
            answer = {"type": "error", "id": 0, "code": "venue_unavailable"}
            await socket.send(json.dumps({**answer, "message": "it does not answer"}))
        else:
            await snapshot(socket)

    connections: list[tuple[bool, str]] = []
    async with speaking(speak) as (url, _):
        stream = watch_markets(
            url, TOKEN, [BOOK], on_connection=lambda *state: connections.append(state)
        )
        async with asyncio.timeout(15), aclosing(stream):
            assert (await anext(stream)).kind == "snapshot"
    assert connections == [(True, ""), (False, "it does not answer"), (True, "")]


async def test_the_other_channels() -> None:
    async def speak(socket: ServerConnection, heard: list[dict[str, Any]]) -> None:
        if len(heard) < 5:
            return
        head = {"type": "snapshot", "seq": 1, "source": "stream"}
        await say(socket, **head, **TIMES, channel="top", bid=["100", "1"], ask=None)
        ticker = {"mark_price": "100.5", "funding_interval_s": 3600, "funding_rate": "0.00001"}
        await say(socket, **head, **TIMES, channel="ticker", ticker=ticker)
        trade = {"trade_id": "t", "price": "1", "quantity": "2", "aggressor_side": "BUY", **TIMES}
        await say(socket, **head, channel="trades", trades=[trade], backlog=True)
        shared = {**head, "venue": None, "channel": "top", "ask": None}
        share = {"venue": "hyperliquid", "included": True, "reason": ""}
        bid = ["100", "3", [["hyperliquid", "1"], ["lighter", "2"]]]
        await say(socket, **shared, bid=bid, venues=[share])

    wanted = [
        MarketWanted(channel="top", symbol="BTC-PERP", venue="hyperliquid"),
        MarketWanted(channel="ticker", symbol="BTC-PERP", venue="hyperliquid"),
        MarketWanted(channel="trades", symbol="BTC-PERP", venue="hyperliquid"),
        MarketWanted(channel="top", symbol="BTC-PERP"),
    ]
    async with speaking(speak) as (url, heard):
        top, ticker, trades, shared = await events(url, 4, *wanted)
    assert "venue" not in heard[4]
    assert (prices(top.bids), top.asks) == ([("100", "1")], ())
    assert ticker.ticker is not None
    assert (ticker.ticker.mark_price, ticker.ticker.index_price) == (Decimal("100.5"), None)
    assert (trades.trades[0].aggressor_side, trades.backlog) == ("BUY", True)
    assert shared.bids[0].venues == (("hyperliquid", Decimal(1)), ("lighter", Decimal(2)))
    assert shared.venues[0].included


async def test_what_is_no_market_message_ends_the_watch() -> None:
    async def speak(socket: ServerConnection, heard: list[dict[str, Any]]) -> None:
        await say(socket, type="snapshot", channel="book", seq=1, bids=[["x", "1"]], asks=[])

    async with speaking(speak) as (url, _):
        with pytest.raises(UnreadableAnswer):
            await events(url, 1)


_price = st.integers(1, 6).map(Decimal)
_level = st.builds(PriceLevel, _price, st.integers(0, 3).map(Decimal))


@given(st.lists(st.tuples(st.booleans(), st.lists(_level, max_size=5)), max_size=12))
def test_a_side_agrees_with_a_plain_account_of_it(
    steps: list[tuple[bool, list[PriceLevel]]],
) -> None:
    side = LiveBook(descending=True)
    reference: dict[Decimal, Decimal] = {}
    shown: tuple[PriceLevel, ...] = ()
    for whole, levels in steps:
        reference = {} if whole else reference
        reference |= {level.price: level.quantity for level in levels}
        shown = side.take(levels, whole=whole)
    kept = [(price, quantity) for price, quantity in reference.items() if quantity]
    assert [(level.price, level.quantity) for level in shown] == sorted(kept, reverse=True)
