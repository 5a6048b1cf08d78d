"""A server over real storage, and its clients: the `websockets` one, and a raw one."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from domain.errors import Unavailable
from streaming.channels import OrdersChannel
from streaming.freshness import FreshnessBoard
from streaming.handshake import Doors
from streaming.protocol import Limits
from streaming.server import StreamServer
from streaming.tokens import FileToken
from tests.bus.waiting import eventually
from tests.streaming.contract import assert_documented
from tests.streaming.raw_frames import frame, upgrade
from tests.streaming.stage import Stage

TOKEN = "t" * 43


@dataclass
class Served:
    server: StreamServer
    board: FreshnessBoard
    port: int
    token: list[str] = field(default_factory=lambda: [TOKEN])

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/v1/orders"


@asynccontextmanager
async def serving(stage: Stage, orders: Any = None, **limits: Any) -> AsyncIterator[Served]:
    token = [TOKEN]
    holder: list[StreamServer] = []
    loop = asyncio.get_running_loop()
    board = FreshnessBoard(loop.time, lambda account_id: holder[0].announce_status(account_id))
    channel = OrdersChannel(orders or stage.orders, board, lambda: datetime.now(UTC))
    server = StreamServer(
        channels={channel.name: channel},
        accounts=stage.accounts,
        authenticator=FileToken(lambda: token[0]),
        doors=Doors(
            channels={"/ws/v1/orders": "orders"}, origins=frozenset({"https://desk.example"})
        ),
        limits=Limits(**limits),
    )
    holder.append(server)
    port = await server.start("127.0.0.1", 0)
    running = asyncio.create_task(server.run())
    try:
        yield Served(server=server, board=board, port=port, token=token)
    finally:
        await server.drain()
        running.cancel()
        await asyncio.wait([running])


async def hear(client: ClientConnection, timeout_s: float = 5.0) -> dict[str, Any]:
    """Return the next message that is no heartbeat."""
    async with asyncio.timeout(timeout_s):
        while True:
            message: dict[str, Any] = json.loads(await client.recv())
            assert_documented(message)
            if message["type"] != "heartbeat":
                return message


async def ask(client: ClientConnection, **message: Any) -> dict[str, Any]:
    await client.send(json.dumps(message))
    return await hear(client)


@asynccontextmanager
async def authenticated(served: Served, **options: Any) -> AsyncIterator[ClientConnection]:
    async with connect(served.url, **options) as client:
        assert (await hear(client))["type"] == "hello"
        assert await ask(client, op="auth", token=TOKEN, id=0) == {
            "type": "ack",
            "id": 0,
            "op": "auth",
            "accounts": None,
        }
        yield client


@asynccontextmanager
async def subscribed(
    served: Served, account_id: str = "acc-1", **options: Any
) -> AsyncIterator[ClientConnection]:
    async with authenticated(served, **options) as client:
        ack = await ask(client, op="subscribe", account_id=account_id, id=1)
        assert ack["accounts"] == [account_id]
        assert (await hear(client))["type"] == "snapshot"
        assert (await hear(client))["type"] == "status"
        yield client


async def closed(client: ClientConnection, timeout_s: float = 10.0) -> tuple[int, str]:
    async with asyncio.timeout(timeout_s):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as error:
            assert error.rcvd is not None, "the connection was cut without a word"
            return error.rcvd.code, error.rcvd.reason


class Flaky:
    """A store that can be made not to answer."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.away = False
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        if self.away:
            self.refused += 1
            raise Unavailable("the database does not answer")
        return getattr(self._store, name)


async def http_get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def deaf_client(served: Served, account_id: str) -> socket.socket:
    """Subscribe over a socket with a small buffer, and never read again."""
    loop = asyncio.get_running_loop()
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.setblocking(False)
    await loop.sock_connect(deaf, ("127.0.0.1", served.port))
    await loop.sock_sendall(deaf, upgrade())
    for message in (
        {"op": "auth", "token": TOKEN},
        {"op": "subscribe", "account_id": account_id},
    ):
        await loop.sock_sendall(deaf, frame(0x81, json.dumps(message).encode()))
    await eventually(lambda: any(s.subscriptions for s in served.server.hub.sessions[1:]))
    return deaf
