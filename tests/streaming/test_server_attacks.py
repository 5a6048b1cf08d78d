"""The server over real sockets: what bad clients get, and that others do not notice."""

from __future__ import annotations

import asyncio
import json
import struct

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from tests.streaming.raw_frames import frame, raw_close_code, upgrade
from tests.streaming.sockets import (
    TOKEN,
    ask,
    authenticated,
    closed,
    hear,
    http_get,
    serving,
)
from tests.streaming.stage import Stage


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
    async with serving(stage) as served, connect(served.url, origin=Origin(origin)) as client:
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
