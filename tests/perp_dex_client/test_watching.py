"""Following orders over the real streaming server, through its restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest
from websockets.asyncio.server import ServerConnection, serve

from perp_dex_client import NotAuthorized, OrderEvent, watch_orders
from perp_dex_client.errors import UnreadableAnswer
from storage.opening import Storage
from streaming.channels import OrdersChannel
from streaming.freshness import FreshnessBoard
from streaming.handshake import Doors
from streaming.server import StreamServer
from streaming.tokens import FileToken
from tests.api.desk import ScriptedDesk
from tests.api.serving import PAPER, keep, order

TOKEN = "t" * 43


@asynccontextmanager
async def streaming(storage: Storage, port: int = 0) -> AsyncIterator[str]:
    """Run the real streaming server; give its address."""
    holder: list[StreamServer] = []
    loop = asyncio.get_running_loop()
    board = FreshnessBoard(loop.time, lambda account_id: holder[0].announce_status(account_id))
    channel = OrdersChannel(storage.orders, board, lambda: datetime.now(UTC))
    server = StreamServer(
        channels={channel.name: channel},
        accounts=storage.accounts,
        authenticator=FileToken(lambda: TOKEN),
        doors=Doors(channels={"/ws/v1/orders": "orders"}),
    )
    holder.append(server)
    found = await server.start("127.0.0.1", port)
    running = asyncio.create_task(server.run())
    try:
        yield f"ws://127.0.0.1:{found}"
    finally:
        await server.drain()
        running.cancel()
        await asyncio.wait([running])


class Ear:
    """Hears events and waits for one that fits."""

    def __init__(self, url: str, *, account_id: str | None = PAPER, token: str = TOKEN) -> None:
        self.heard: list[OrderEvent] = []
        self.connections: list[tuple[bool, str]] = []
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._listen(url, token, account_id))

    async def _listen(self, url: str, token: str, account_id: str | None) -> None:
        events = watch_orders(
            url,
            token,
            account_id=account_id,
            on_connection=lambda *state: self.connections.append(state),
        )
        async for event in events:
            self.heard.append(event)
            self._news.set()

    async def until(self, status: str, kind: str = "update") -> OrderEvent:
        async with asyncio.timeout(15):
            while True:
                for event in self.heard:
                    if event.kind == kind and any(o.status == status for o in event.orders):
                        return event
                if self._task.done():
                    self._task.result()
                self._news.clear()
                await self._news.wait()

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


async def test_the_present_first_then_every_change_through_a_restart(storage: Storage) -> None:
    desk = ScriptedDesk(storage)
    kept = order(order_id="33333333-3333-5333-8333-333333333333")
    await desk.place(kept, wait_s=1)
    async with streaming(storage) as url:
        ear = Ear(url)
        snapshot = await ear.until("ACCEPTED", "snapshot")
        assert snapshot.account_id == PAPER
        assert snapshot.seq is not None
        port = int(url.rsplit(":", 1)[1])
    await desk.fill(kept.order_id, quantity=kept.quantity / 2)
    async with streaming(storage, port):
        part = await ear.until("PARTIALLY_FILLED")
        assert part.event is not None
        assert part.seq == snapshot.seq + 1
        await desk.fill(kept.order_id)
        filled = await ear.until("FILLED")
        assert filled.orders[0].is_terminal
        assert any(event.kind == "status" for event in ear.heard)
        await ear.stop()
    updates = [event.seq for event in ear.heard if event.kind == "update"]
    assert updates == sorted({seq for seq in updates if seq is not None})


async def test_all_accounts_are_followed(storage: Storage) -> None:
    async with streaming(storage) as url:
        ear = Ear(url, account_id=None)
        await keep(storage, order())
        async with asyncio.timeout(10):
            while not any(event.orders for event in ear.heard):
                await asyncio.sleep(0.02)
        await ear.stop()


async def test_all_accounts_go_on_where_they_were(storage: Storage) -> None:
    desk = ScriptedDesk(storage)
    kept = order(order_id="33333333-3333-5333-8333-333333333333")
    await desk.place(kept, wait_s=1)
    async with streaming(storage) as url:
        ear = Ear(url, account_id=None)
        await ear.until("ACCEPTED", "snapshot")
        port = int(url.rsplit(":", 1)[1])
    await desk.fill(kept.order_id, quantity=kept.quantity / 2)
    await desk.fill(kept.order_id)
    async with streaming(storage, port):
        await ear.until("FILLED")
        await ear.stop()
    assert [event.kind for event in ear.heard if event.kind != "status"].count("snapshot") == 1
    statuses = [event.orders[0].status for event in ear.heard if event.kind == "update"]
    assert statuses == ["PARTIALLY_FILLED", "FILLED"]
    assert ear.connections[0] == (True, "")
    assert ear.connections[1] == (False, "the server stops; connect again")
    assert ear.connections[-1] == (True, "")
    assert all(not connected for connected, _ in ear.connections[1:-1])


async def test_an_account_that_went_meanwhile_spoils_no_other(storage: Storage) -> None:
    said: list[dict[str, object]] = []

    async def speak(socket: ServerConnection) -> None:
        await socket.send('{"type": "hello"}')
        async for data in socket:
            message = json.loads(data)
            said.append(message)
            if message["op"] == "auth":
                await socket.send('{"type": "ack", "op": "auth", "id": "auth"}')
            elif "account_id" in message:
                await socket.send(
                    '{"type": "error", "id": "resume", "code": "not_found", "message": "gone"}'
                )
            else:
                for account_id in ("gone", "here"):
                    snapshot = {"type": "snapshot", "account_id": account_id, "seq": 7}
                    await socket.send(json.dumps({**snapshot, "orders": []}))
                if len(said) < 5:
                    await socket.close(1001)

    async with serve(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        heard = watch_orders(f"ws://127.0.0.1:{port}", TOKEN)
        async with asyncio.timeout(15):
            accounts = [(await anext(heard)).account_id for _ in range(4)]
        await heard.aclose()
    assert accounts == ["gone", "here"] * 2
    assert [message.get("from_seq") for message in said] == [None, None, None, 7, 7, None]


async def test_a_wrong_token_ends_the_watch(storage: Storage) -> None:
    async with streaming(storage) as url:
        with pytest.raises(NotAuthorized):
            async with asyncio.timeout(15):
                async for _ in watch_orders(url, "wrong" * 10, account_id=PAPER):
                    pass


async def test_a_foreign_account_is_refused(storage: Storage) -> None:
    async with streaming(storage) as url:
        with pytest.raises(UnreadableAnswer, match="refuses"):
            async with asyncio.timeout(15):
                async for _ in watch_orders(url, TOKEN, account_id="not-mine"):
                    pass


@pytest.mark.parametrize("said", ["[]", "nonsense", '{"type": "snapshot"}'])
async def test_what_is_no_stream_of_ours_ends_the_watch(said: str) -> None:
    async def speak(socket: ServerConnection) -> None:
        await socket.send('{"type": "hello"}')
        await socket.send(said)
        await socket.wait_closed()

    async with serve(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnreadableAnswer):
            async with asyncio.timeout(10):
                async for _ in watch_orders(f"ws://127.0.0.1:{port}", TOKEN):
                    pass


async def test_nobody_there_is_tried_again() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            async for _ in watch_orders("ws://127.0.0.1:1", TOKEN):
                pass
