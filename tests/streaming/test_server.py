"""The server over real sockets, with the `websockets` client, a raw one, and real storage."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from domain.accounts import AccountState
from domain.errors import Unavailable
from domain.orders import Verdict
from streaming.channels import OrdersChannel
from streaming.freshness import FreshnessBoard
from streaming.handshake import Doors
from streaming.protocol import Limits
from streaming.server import StreamServer
from streaming.tokens import FileToken
from tests.bus.waiting import eventually
from tests.streaming.stage import Stage, order_id

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


async def test_hello_says_what_a_client_has_to_know(stage: Stage) -> None:
    async with serving(stage) as served, connect(served.url) as client:
        hello = await hear(client)
    assert hello.pop("server_time").endswith("Z")
    assert len(hello.pop("session")) == 16
    assert hello == {
        "type": "hello",
        "channel": "orders",
        "heartbeat_ms": 5000,
        "limits": {
            "auth_timeout_ms": 5000,
            "message_bytes_max": 16384,
            "messages_per_s": 20.0,
            "subscriptions_max": 64,
        },
    }


async def test_snapshot_then_every_change_in_sequence(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    await stage.report(1)
    start = await stage.orders.last_sequence("acc-1")
    async with serving(stage) as served, authenticated(served) as client:
        ack = await ask(client, op="subscribe", account_id="acc-1", id="q")
        assert ack == {"type": "ack", "id": "q", "op": "subscribe", "accounts": ["acc-1"]}
        snapshot = await hear(client)
        assert (snapshot["type"], snapshot["snapshot"], snapshot["more"]) == (
            "snapshot",
            True,
            False,
        )
        assert snapshot["seq"] == start
        assert [o["order_id"] for o in snapshot["orders"]] == [order_id(1)]
        assert snapshot["orders"][0]["status"] == "ACCEPTED"
        status = await hear(client)
        assert (status["type"], status["stale"], status["age_ms"]) == ("status", True, None)

        await stage.book(1, 1)
        await stage.place(2)
        await stage.report(1, Verdict.CANCELED, reason="by the user")
        wanted = await stage.orders.last_sequence("acc-1")
        updates = [await hear(client) for _ in range(wanted - start)]
        assert [u["type"] for u in updates] == ["update"] * len(updates)
        assert [u["seq"] for u in updates] == list(range(start + 1, wanted + 1))
        assert all(u["prev_seq"] == u["seq"] - 1 for u in updates)
        by_order = {u["order"]["order_id"]: u["order"] for u in updates}
        assert by_order[order_id(1)]["status"] == "CANCELED"
        assert by_order[order_id(1)]["filled_quantity"] == "0.1"
        assert by_order[order_id(1)]["reason"] == "by the user"
        assert by_order[order_id(2)]["status"] == "SUBMITTED"


async def test_lately_ended_orders_are_in_the_snapshot(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    await stage.report(1, Verdict.REJECTED, reason="margin")
    async with serving(stage) as served, authenticated(served) as client:
        await ask(client, op="subscribe", account_id="acc-1")
        snapshot = await hear(client)
    assert [o["status"] for o in snapshot["orders"]] == ["REJECTED"]


async def test_an_account_without_orders_has_an_empty_snapshot(stage: Stage) -> None:
    await stage.add_account()
    async with serving(stage) as served, authenticated(served) as client:
        await ask(client, op="subscribe", account_id="acc-1")
        snapshot = await hear(client)
        assert (snapshot["seq"], snapshot["orders"], snapshot["more"]) == (0, [], False)
        await stage.place(1)
        assert (await hear(client))["type"] == "status"
        assert (await hear(client))["seq"] == 1


async def test_a_client_resumes_where_it_was(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    await stage.report(1)
    async with serving(stage) as served:
        async with subscribed(served):
            pass
        seen = await stage.orders.last_sequence("acc-1")
        await stage.book(1, 1)
        await stage.book(1, 2)
        newest = await stage.orders.last_sequence("acc-1")
        async with authenticated(served) as client:
            await ask(client, op="subscribe", account_id="acc-1", from_seq=seen)
            for sequence in range(seen + 1, newest + 1):
                assert (await hear(client))["seq"] == sequence
            assert (await hear(client))["type"] == "status"
        async with authenticated(served) as client:
            await ask(client, op="subscribe", account_id="acc-1", from_seq=newest)
            assert (await hear(client))["type"] == "status"


@pytest.mark.parametrize("from_seq", [10**6, 0])
async def test_where_resuming_is_impossible_a_snapshot_is_sent(stage: Stage, from_seq: int) -> None:
    await stage.add_account()
    for number in range(1, 5):
        await stage.place(number)
    async with serving(stage, resume_changes_max=3) as served, authenticated(served) as client:
        await ask(client, op="subscribe", account_id="acc-1", from_seq=from_seq)
        resync = await hear(client)
        assert (resync["type"], resync["account_id"]) == ("resync", "acc-1")
        snapshot = await hear(client)
        assert len(snapshot["orders"]) == 4


async def test_all_accounts_also_those_added_later(stage: Stage) -> None:
    await stage.add_account("acc-1")
    await stage.add_account("acc-2")
    async with serving(stage) as served, authenticated(served) as client:
        ack = await ask(client, op="subscribe")
        assert ack["accounts"] == ["acc-1", "acc-2"]
        kinds = [(await hear(client))["type"] for _ in range(4)]
        assert kinds == ["snapshot", "status"] * 2
        await stage.add_account("acc-3")
        served.server.accounts_changed()
        assert (await hear(client))["account_id"] == "acc-3"
        assert (await hear(client))["type"] == "status"
        await stage.place(1, account_id="acc-3")
        for sequence in range(1, 1 + await stage.orders.last_sequence("acc-3")):
            update = await hear(client)
            assert (update["order"]["account_id"], update["seq"]) == ("acc-3", sequence)

        ack = await ask(client, op="unsubscribe", account_id="acc-3", id=5)
        assert (ack["op"], ack["accounts"]) == ("unsubscribe", ["acc-3"])
        ack = await ask(client, op="unsubscribe", id=6)
        assert sorted(ack["accounts"]) == ["acc-1", "acc-2"]
        assert served.server.hub.followed("orders") == {}
        error = await ask(client, op="unsubscribe", account_id="acc-1", id=7)
        assert (error["type"], error["id"], error["code"]) == ("error", 7, "not_found")


async def test_accounts_of_others_do_not_exist(stage: Stage) -> None:
    await stage.add_account("theirs", owner="somebody")
    async with serving(stage) as served, authenticated(served) as client:
        foreign = await ask(client, op="subscribe", account_id="theirs", id=1)
        absent = await ask(client, op="subscribe", account_id="nowhere", id=1)
        assert foreign == absent
        assert (foreign["type"], foreign["code"]) == ("error", "not_found")
        assert (await ask(client, op="subscribe"))["accounts"] == []


async def test_stale_is_said_and_said_again_when_it_changes(stage: Stage) -> None:
    await stage.add_account()
    async with serving(stage) as served:
        served.board.set("acc-1", live=True, reason="connected")
        async with authenticated(served) as client:
            await ask(client, op="subscribe", account_id="acc-1")
            await hear(client)
            status = await hear(client)
            assert (status["stale"], status["age_ms"]) == (False, 0)
            served.board.set("acc-1", live=False, reason="the feed closed")
            status = await hear(client)
            assert (status["stale"], status["reason"]) == (True, "the feed closed")
            assert status["age_ms"] >= 0


async def test_ping_and_heartbeat(stage: Stage) -> None:
    async with serving(stage, heartbeat_s=0.05) as served, authenticated(served) as client:
        pong = await ask(client, op="ping", id="p")
        assert (pong["type"], pong["id"]) == ("pong", "p")
        assert pong["server_time"].endswith("Z")
        async with asyncio.timeout(5):
            while json.loads(await client.recv())["type"] != "heartbeat":
                pass
        waiter = await client.ping()
        await asyncio.wait_for(waiter, 5)


async def test_bad_messages_are_answered_and_the_session_goes_on(stage: Stage) -> None:
    async with serving(stage) as served, authenticated(served) as client:
        for text in ("nonsense", "[]", '{"op":"place"}', '{"op":"ping","x":"evil-text"}'):
            await client.send(text)
            error = await hear(client)
            assert (error["type"], error["code"], error["id"]) == (
                "error",
                "invalid_message",
                None,
            )
            assert "evil-text" not in error["message"]
        assert (await ask(client, op="ping", id=1))["type"] == "pong"


async def test_auth_again_is_fine_and_a_wrong_token_is_not(stage: Stage) -> None:
    async with serving(stage) as served, authenticated(served) as client:
        assert (await ask(client, op="auth", token=TOKEN, id=2))["type"] == "ack"
        await client.send(json.dumps({"op": "auth", "token": "wrong"}))
        assert (await closed(client))[0] == 4001


@pytest.mark.parametrize(
    "first",
    [
        '{"op":"auth","token":"wrong"}',
        '{"op":"auth","token":""}',
        '{"op":"auth"}',
        '{"op":"subscribe"}',
        '{"op":"ping"}',
        "nonsense",
    ],
)
async def test_the_first_message_is_a_valid_auth(stage: Stage, first: str) -> None:
    async with serving(stage) as served, connect(served.url) as client:
        await client.send(first)
        code, reason = await closed(client)
    assert code == 4001
    assert "wrong" not in reason


async def test_saying_nothing_is_closed(stage: Stage) -> None:
    async with serving(stage, auth_s=0.1) as served, connect(served.url) as client:
        assert await closed(client) == (4001, "expected auth in time")


async def test_a_replaced_token_ends_its_sessions(stage: Stage) -> None:
    async with serving(stage) as served, authenticated(served) as client:
        served.token[0] = "another" * 7
        assert await closed(client) == (4001, "the token was replaced")


async def test_a_token_in_the_address_is_refused(stage: Stage) -> None:
    async with serving(stage) as served, connect(served.url + "?token=" + TOKEN) as client:
        assert (await closed(client))[0] == 4001


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1"])
async def test_foreign_origins_are_closed_unheard(stage: Stage, origin: str) -> None:
    async with serving(stage) as served, connect(served.url, origin=origin) as client:
        assert await closed(client) == (4003, "this Origin is not allowed")
        assert served.server.hub.sessions == ()


async def test_listed_and_own_origins_are_heard(stage: Stage) -> None:
    async with serving(stage) as served:
        for origin in ("https://desk.example", f"http://127.0.0.1:{served.port}"):
            async with authenticated(served, origin=origin):
                pass


async def test_a_rebound_name_is_closed(stage: Stage) -> None:
    async with serving(stage) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(upgrade(host="evil.example"))
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 101")
    assert struct.pack("!H", 4003) in answer


async def test_other_paths_and_plain_http(stage: Stage) -> None:
    async with serving(stage) as served:
        with pytest.raises(InvalidStatus) as missing:
            await connect(f"ws://127.0.0.1:{served.port}/ws/v1/nothing")
        assert missing.value.response.status_code == 404
        assert (await http_get(served.port, "/healthz")).startswith(b"HTTP/1.1 200")
        assert (await http_get(served.port, "/ws/v1/orders")).startswith(b"HTTP/1.1 426")
        assert (await http_get(served.port, "/ws/v1/orders?" + "x" * 100_000)) == b""


async def test_too_many_connections(stage: Stage) -> None:
    async with (
        serving(stage, sessions_max=2, sessions_per_principal_max=1) as served,
        authenticated(served),
    ):
        async with connect(served.url) as second:
            await second.send(json.dumps({"op": "auth", "token": TOKEN}))
            assert (await closed(second))[0] == 4029
        async with connect(served.url):
            with pytest.raises(InvalidStatus) as full:
                await connect(served.url)
            assert full.value.response.status_code == 503


async def test_too_many_messages(stage: Stage) -> None:
    async with (
        serving(stage, messages_per_s=1.0, messages_burst=5) as served,
        authenticated(served) as client,
    ):
        for number in range(10):
            await client.send(json.dumps({"op": "ping", "id": number}))
        assert await closed(client) == (4029, "too many messages")


async def test_a_flood_of_subscriptions(stage: Stage) -> None:
    await stage.add_account()
    async with serving(stage) as served, authenticated(served) as client:
        with_limit = json.dumps({"op": "subscribe", "account_id": "acc-1"})
        try:
            for _ in range(10_000):
                await client.send(with_limit)
        except ConnectionClosed:
            pass
        assert (await closed(client))[0] == 4029


async def test_a_flood_of_pings(stage: Stage) -> None:
    async with serving(stage, messages_burst=5) as served, connect(served.url) as client:
        try:
            for number in range(200):
                await client.ping(str(number))
        except ConnectionClosed:
            pass
        assert (await closed(client))[0] == 4029


async def test_subscriptions_are_bounded(stage: Stage) -> None:
    for number in range(1, 4):
        await stage.add_account(f"acc-{number}")
    async with serving(stage, subscriptions_max=2) as served, authenticated(served) as client:
        assert len((await ask(client, op="subscribe"))["accounts"]) == 2
        for _ in range(4):
            await hear(client)
        error = await ask(client, op="subscribe", account_id="acc-3", id=9)
        assert (error["type"], error["code"], error["id"]) == ("error", "not_allowed", 9)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(0x82, b"binary")], 1003),
        ([(0x81, b"\xff\xfe")], 1007),
        ([(0x01, b"\xff"), (0x80, b"x")], 1007),
        ([(0x80, b"continuation of nothing")], 1002),
        ([(0x01, b"begun"), (0x81, b"another")], 1002),
        ([(0xC1, b"compressed?")], 1002),
        ([(0x83, b"reserved opcode")], 1002),
        ([(0x09, b"fragmented ping")], 1002),
        ([(0x81, b"x" * 20_000)], 1009),
        ([(0x01, b"x" * 10_000), (0x80, b"x" * 10_000)], 1009),
        ([(0x01, b"")] + [(0x00, b"")] * 200, 1009),
        ([(0x88, struct.pack("!H", 1000))], 1000),
        ([(0x88, b"")], 1000),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_frames_by_the_book(stage: Stage, frames: list[tuple[int, bytes]], code: int) -> None:
    async with (
        serving(stage, messages_burst=1000) as served,
        authenticated(served) as bystander,
    ):
        assert await raw_close_code(served.port, b"".join(frame(*f) for f in frames)) == code
        assert (await ask(bystander, op="ping", id=1))["type"] == "pong"


async def test_an_unmasked_frame(stage: Stage) -> None:
    async with serving(stage) as served:
        assert await raw_close_code(served.port, b"\x81\x02{}") == 1002


async def test_a_frame_that_claims_ten_megabytes_is_not_waited_for(stage: Stage) -> None:
    async with serving(stage) as served:
        header = struct.pack("!BBQ", 0x81, 0x80 | 127, 10 * 1024 * 1024) + b"mask"
        assert await raw_close_code(served.port, header + b"x" * 1000) == 1009


async def test_a_client_that_reads_nothing_is_closed_and_others_are_served(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    limits = {"slow_s": 1.0, "queued_messages_max": 20}
    async with serving(stage, **limits) as served, subscribed(served) as reading:
        slow = await deaf_client(served, "acc-1")
        try:
            filler = 0
            while len(served.server.hub.sessions) == 2:
                for _ in range(20):
                    filler += 1
                    await stage.report(1, reason="x" * 4000 + f"{filler:08d}")
                served.server.tail.wake()
                # The reading client keeps up with every change.
                for _ in range(20):
                    assert (await hear(reading))["type"] == "update"
                assert filler < 20_000
            assert len(served.server.hub.sessions) == 1
        finally:
            slow.close()


async def test_a_client_that_stalls_for_a_moment_is_resynced(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    async with serving(stage, queued_messages_max=5) as served, subscribed(served) as client:
        session = served.server.hub.sessions[0]
        session.outbox.pause(asyncio.get_running_loop().time())
        for number in range(10):
            await stage.book(1, number + 1, quantity=Decimal("0.01"))
        newest = await stage.orders.last_sequence("acc-1")
        await eventually(lambda: None in session.subscriptions.values())
        session.outbox.resume(asyncio.get_running_loop().time())
        resync = await hear(client)
        assert (resync["type"], resync["reason"]) == ("resync", "changes were left out")
        snapshot = await hear(client)
        assert (snapshot["type"], snapshot["seq"]) == ("snapshot", newest)
        assert (await hear(client))["type"] == "status"
        await stage.book(1, 99)
        assert (await hear(client))["seq"] == newest + 1


async def test_while_storage_is_away_nothing_breaks(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    flaky = Flaky(stage.orders)
    async with (
        serving(stage, orders=flaky) as served,
        subscribed(served) as client,
        authenticated(served) as other,
    ):
        flaky.away = True
        assert (await ask(other, op="subscribe", account_id="acc-1", id=3))["type"] == "ack"
        assert (await ask(other, op="ping", id=4))["type"] == "pong"
        await eventually(lambda: flaky.refused > 8)
        await stage.report(1)
        flaky.away = False
        assert (await hear(client))["order"]["status"] == "ACCEPTED"
        assert (await hear(other))["type"] == "resync"
        snapshot = await hear(other)
        assert snapshot["orders"][0]["status"] == "ACCEPTED"


async def test_a_subscription_that_cannot_be_checked_is_not_taken(stage: Stage) -> None:
    await stage.add_account()
    flaky = Flaky(stage.accounts)
    async with (
        serving(Stage(stage.orders, flaky, stage.ledger)) as served,
        authenticated(served) as client,
    ):
        flaky.away = True
        error = await ask(client, op="subscribe", account_id="acc-1", id=3)
        assert (error["type"], error["id"], error["code"]) == ("error", 3, "unavailable")
        flaky.away = False
        assert (await ask(client, op="subscribe", account_id="acc-1"))["type"] == "ack"


async def test_draining_says_goodbye(stage: Stage) -> None:
    async with serving(stage) as served, authenticated(served) as client:
        await served.server.drain()
        assert (await closed(client))[0] == 1001
        with pytest.raises(OSError):
            await connect(served.url)


async def test_a_client_that_vanishes_leaves_nothing(stage: Stage) -> None:
    await stage.add_account()
    async with serving(stage) as served:
        async with subscribed(served) as client:
            client.transport.abort()
        await eventually(lambda: served.server.hub.sessions == ())
        assert served.server.hub.followed("orders") == {}


async def test_removed_accounts_are_not_among_all(stage: Stage) -> None:
    await stage.add_account("acc-1")
    await stage.add_account("acc-2")
    await stage.accounts.set_state("acc-2", AccountState.REMOVED, reason="gone", signer=None)
    async with serving(stage) as served, authenticated(served) as client:
        assert (await ask(client, op="subscribe"))["accounts"] == ["acc-1"]


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


def upgrade(*, host: str = "127.0.0.1", path: str = "/ws/v1/orders") -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def frame(first: int, payload: bytes) -> bytes:
    mask = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    if len(payload) < 126:
        head = struct.pack("!BB", first, 0x80 | len(payload))
    else:
        head = struct.pack("!BBH", first, 0x80 | 126, len(payload))
    return head + mask + masked


async def http_get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def raw_close_code(port: int, data: bytes) -> int:
    """Send frames over a plain socket; return the code of the close frame that comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(upgrade())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        async with asyncio.timeout(5):
            while True:
                first, length = await reader.readexactly(2)
                if length == 126:
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                payload = await reader.readexactly(length)
                if first & 0xF == 8:
                    (code,) = struct.unpack("!H", payload[:2])
                    return int(code)
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
