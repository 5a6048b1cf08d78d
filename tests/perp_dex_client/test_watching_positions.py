"""Following positions and money over the real streaming server, through its restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

import pytest
from websockets.asyncio.server import ServerConnection, serve

from perp_dex_client import (
    AccountEvent,
    NotAuthorized,
    PositionsEvent,
    watch_account,
    watch_positions,
)
from perp_dex_client.errors import UnreadableAnswer
from storage.opening import Storage
from streaming.account_channels import AccountChannel, PositionsChannel
from streaming.connectors import Connectors
from streaming.fallback_source import own_sources
from streaming.freshness import FreshnessBoard
from streaming.handshake import Doors
from streaming.market_feeds import MarketFeeds
from streaming.marks import Marks
from streaming.positions import PositionBoard
from streaming.server import StreamServer
from streaming.tokens import FileToken
from tests.api.serving import PAPER
from tests.api.test_positions import summary
from venues import registry

TOKEN = "t" * 43
E = TypeVar("E", PositionsEvent, AccountEvent)


@asynccontextmanager
async def streaming(
    storage: Storage, port: int = 0
) -> AsyncIterator[tuple[str, Callable[[str], Awaitable[None]]]]:
    """Run the real streaming server; give its address, and what has it hear the venue."""
    holder: list[StreamServer] = []
    loop = asyncio.get_running_loop()
    freshness = FreshnessBoard(loop.time, lambda account_id: holder[0].announce_status(account_id))
    marks = Marks(MarketFeeds(own_sources(registry.load, Connectors(registry.load))))
    board = PositionBoard(storage.positions, marks, lambda: holder[0].tail.wake())
    channels = [PositionsChannel(board, freshness), AccountChannel(board, freshness)]
    server = StreamServer(
        channels={channel.name: channel for channel in channels},
        accounts=storage.accounts,
        authenticator=FileToken(lambda: TOKEN),
        doors=Doors(channels={f"/ws/v1/{each.name}": each.name for each in channels}),
    )
    holder.append(server)
    found = await server.start("127.0.0.1", port)
    running = asyncio.create_task(server.run())

    async def hear(quantity: str) -> None:
        await board.take_summary(summary(PAPER, quantity))

    try:
        yield f"ws://127.0.0.1:{found}", hear
    finally:
        await server.drain()
        running.cancel()
        await asyncio.wait([running])


async def until(events: AsyncIterator[E], fits: Callable[[E], bool]) -> E:
    """Return the first event that fits."""
    async with asyncio.timeout(20):
        async for event in events:
            if fits(event):
                return event
    raise AssertionError("the stream ended")


async def test_positions_are_told_as_they_change_through_a_restart(storage: Storage) -> None:
    async with streaming(storage) as (url, hear):
        events = watch_positions(url, TOKEN, account_id=PAPER)
        first = await until(events, lambda e: e.kind == "snapshot")
        assert (first.account_id, first.positions) == (PAPER, ())
        await hear("0.5")
        opened = await until(events, lambda e: bool(e.positions))
        assert opened.seq is not None
        (position,) = opened.positions
        assert (position.side, position.quantity) == ("LONG", Decimal("0.5"))
        assert position.position_id == f"{PAPER}:BTC-PERP"
        assert position.unrealized_pnl == 500
        port = int(url.rsplit(":", 1)[1])
    async with streaming(storage, port) as (_, hear):
        again = await until(events, lambda e: e.kind == "snapshot")
        assert again.seq is not None
        assert again.seq > opened.seq
        assert again.positions[0].quantity == Decimal("0.5")
        await hear("0")
        closed = await until(events, lambda e: e.kind == "update" and not e.positions)
        assert closed.seq is not None
        assert closed.seq > again.seq
        await events.aclose()


async def test_money_is_told_as_it_changes_and_how_fresh_it_is(storage: Storage) -> None:
    async with streaming(storage) as (url, hear):
        events = watch_account(url, TOKEN)
        unheard = await until(events, lambda e: e.kind == "snapshot")
        assert unheard.balance is None
        status = await until(events, lambda e: e.kind == "status")
        assert status.stale
        await hear("0")
        told = await until(events, lambda e: e.kind == "update")
        assert told.balance is not None
        assert (told.balance.equity, told.balance.account_id) == (Decimal(1000), PAPER)
        assert told.balance.as_of <= datetime.now(UTC)
        await events.aclose()


async def test_a_wrong_token_ends_the_watch(storage: Storage) -> None:
    async with streaming(storage) as (url, _):
        for watch in (watch_positions, watch_account):
            with pytest.raises(NotAuthorized):
                async with asyncio.timeout(15):
                    async for _ in watch(url, "wrong" * 10, account_id=PAPER):
                        pass


async def test_what_is_no_position_ends_the_watch() -> None:
    async def nonsense(connection: ServerConnection) -> None:
        await connection.send('{"type": "hello", "heartbeat_ms": 1000}')
        await connection.send(
            '{"type": "snapshot", "account_id": "a", "seq": 1, "positions": [{"quantity": "x"}]}'
        )
        await connection.wait_closed()

    async with serve(nonsense, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(UnreadableAnswer):
            async with asyncio.timeout(15):
                async for _ in watch_positions(f"ws://127.0.0.1:{port}", TOKEN):
                    pass
