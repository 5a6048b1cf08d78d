"""The real streaming server beside a serving API, stopped and started as a test likes."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime

from storage.opening import Storage
from streaming.account_channels import AccountChannel, PositionsChannel
from streaming.channels import Channel, OrdersChannel
from streaming.connectors import Connectors
from streaming.fallback_source import own_sources
from streaming.freshness import FreshnessBoard
from streaming.handshake import Doors
from streaming.market_feeds import MarketFeeds
from streaming.marks import Marks
from streaming.positions import PositionBoard
from streaming.server import StreamServer
from streaming.tokens import FileToken
from tests.api.serving import PAPER, TOKEN
from tests.api.test_positions import summary
from venues import registry


class Sockets:
    """Orders, positions and money of the tests' account over a port that stays the same."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._running: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.freshness = FreshnessBoard(loop.time, self._say)
        marks = Marks(MarketFeeds(own_sources(registry.load, Connectors(registry.load))))
        self.board = PositionBoard(self._storage.positions, marks, lambda: self.server.tail.wake())
        channels: list[Channel] = [
            OrdersChannel(self._storage.orders, self.freshness, lambda: datetime.now(UTC)),
            PositionsChannel(self.board, self.freshness),
            AccountChannel(self.board, self.freshness),
        ]
        self.server = StreamServer(
            channels={channel.name: channel for channel in channels},
            accounts=self._storage.accounts,
            authenticator=FileToken(lambda: TOKEN),
            doors=Doors(channels={f"/ws/v1/{channel.name}": channel.name for channel in channels}),
        )
        await self.server.start("127.0.0.1", self.port)
        self._running = asyncio.create_task(self.server.run())

    async def stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await self.server.drain()
            running.cancel()
            await asyncio.wait([running])

    async def hold(self, quantity: str, *, equity: str = "1000") -> None:
        """Hear the venue say what the account holds."""
        await self.board.take_summary(summary(PAPER, quantity, equity=equity))

    def feed(self, *, live: bool, reason: str = "the feed failed") -> None:
        """Have the venue's feed of the account go live, or not be any more."""
        self.freshness.set(PAPER, live=live, reason=reason)

    def _say(self, account_id: str) -> None:
        self.server.announce_status(account_id)
