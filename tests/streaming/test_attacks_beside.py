"""Whatever one client does, the others feel nothing: each attack beside a client that behaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from stack.table import own_command
from tests.bus.waiting import eventually
from tests.streaming.raw_frames import frame, raw_close_code, upgrade
from tests.streaming.sockets import (
    TOKEN,
    Served,
    ask,
    authenticated,
    closed,
    serving,
    subscribed,
)
from tests.streaming.stage import Stage

DOCUMENT = Path(__file__).parents[2] / "docs" / "streaming.md"
BEAT_S = 0.05
#: Attackers, server and the client that behaves share one loop, on a machine with other things to
#: do; a client of ours calls a connection dead that is silent for three heartbeats of 5 s.
LATE_S = 4.0
AT_ONCE = 1_000

Attack = Callable[[Served], Awaitable[int]]


async def no_auth(served: Served) -> int:
    async with connect(served.url) as client:
        return (await closed(client))[0]


async def token_in_the_query(served: Served) -> int:
    async with connect(f"{served.url}?token={TOKEN}") as client:
        return (await closed(client))[0]


async def wrong_origin(served: Served) -> int:
    async with connect(served.url, origin=Origin("https://evil.example")) as client:
        return (await closed(client))[0]


async def ten_thousand_subscriptions(served: Served) -> int:
    async with authenticated(served) as client:
        wish = json.dumps({"op": "subscribe", "account_id": "acc-1"})
        with contextlib.suppress(ConnectionClosed):
            for _ in range(10_000):
                await client.send(wish)
        return (await closed(client))[0]


async def pings_without_end(served: Served) -> int:
    async with connect(served.url) as client:
        with contextlib.suppress(ConnectionClosed):
            for number in range(10_000):
                await client.ping(str(number))
        return (await closed(client))[0]


def raw(*frames: tuple[int, bytes]) -> Attack:
    """Return an attack that sends these frames."""

    async def attack(served: Served) -> int:
        return await raw_close_code(served.port, b"".join(frame(*each) for each in frames))

    return attack


async def claims_ten_megabytes(served: Served) -> int:
    header = struct.pack("!BBQ", 0x81, 0x80 | 127, 10 * 1024 * 1024) + b"mask"
    return await raw_close_code(served.port, header + b"x" * 1_000)


ATTACKS: dict[str, tuple[Attack, int]] = {
    "no auth in time": (no_auth, 4001),
    "a token in the query": (token_in_the_query, 4001),
    "a wrong origin": (wrong_origin, 4003),
    "10,000 subscriptions": (ten_thousand_subscriptions, 4029),
    "a flood of pings": (pings_without_end, 4029),
    "an oversized frame": (raw((0x81, b"x" * 20_000)), 1009),
    "ten megabytes announced": (claims_ten_megabytes, 1009),
    "fragments without end": (raw((0x01, b"x"), *[(0x00, b"y")] * 5_000), 4029),
    "a message in big fragments": (raw((0x01, b"x" * 9_000), (0x00, b"y" * 9_000)), 1009),
    "a reserved opcode": (raw((0x83, b"what?")), 1002),
    "compression bits": (raw((0xC1, b"deflated?")), 1002),
    "a binary frame": (raw((0x82, b"binary")), 1003),
    "invalid UTF-8": (raw((0x81, b"\xff\xfe\xfd")), 1007),
    "invalid UTF-8 in pieces": (raw((0x01, b"\xe2\x82"), (0x80, b"\x28")), 1007),
}


@pytest.mark.parametrize(("attack", "code"), ATTACKS.values(), ids=ATTACKS)
async def test_an_attack_has_its_code_and_others_feel_nothing(
    stage: Stage, attack: Attack, code: int
) -> None:
    await stage.add_account()
    async with serving(stage, auth_s=0.3, heartbeat_s=BEAT_S) as served, undisturbed(served):
        assert await asyncio.gather(*(attack(served) for _ in range(3))) == [code] * 3
        await eventually(lambda: len(served.server.hub.sessions) == 1)
    assert str(code) in documented_codes()


async def test_a_foreign_account_is_not_found_and_others_feel_nothing(stage: Stage) -> None:
    await stage.add_account()
    await stage.add_account("theirs", owner="somebody")
    async with (
        serving(stage, heartbeat_s=BEAT_S) as served,
        undisturbed(served),
        authenticated(served) as client,
    ):
        error = await ask(client, op="subscribe", account_id="theirs", id=1)
        assert (error["type"], error["code"]) == ("error", "not_found")
        assert (await ask(client, op="ping", id=2))["type"] == "pong"
    assert "`not_found`" in DOCUMENT.read_text()


async def test_a_peer_that_vanishes_without_a_word_is_let_go(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.server.IDLE_PING_S", 0.3)
    monkeypatch.setattr("streaming.server.PONG_WITHIN_S", 0.3)
    await stage.add_account()
    async with (
        serving(stage, heartbeat_s=BEAT_S) as served,
        undisturbed(served),
        swallowing_way(served) as way,
        connect(way.url, ping_interval=None) as lost,
    ):
        await lost.send(json.dumps({"op": "auth", "token": TOKEN}))
        await lost.send(json.dumps({"op": "subscribe", "account_id": "acc-1"}))
        await eventually(lambda: any(s.subscriptions for s in served.server.hub.sessions[1:]))
        # Nothing comes through any more, in either direction, and nobody says so.
        way.swallows.set()
        await eventually(lambda: len(served.server.hub.sessions) == 1)


async def test_a_thousand_at_once_without_auth_are_let_go_and_others_feel_nothing(
    stage: Stage,
) -> None:
    await stage.add_account()
    limits = {"auth_s": 2.0, "heartbeat_s": BEAT_S}
    async with serving(stage, **limits) as served, undisturbed(served):
        # From a process of its own: what it does itself is not the server's to answer for.
        crowd = await asyncio.create_subprocess_exec(
            *own_command("tests.streaming.raw_frames", str(served.port), str(AT_ONCE)),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            await eventually(lambda: len(served.server.hub.sessions) > AT_ONCE // 2, timeout_s=30)
            # Who comes now and says who he is, is let in.
            async with authenticated(served) as late:
                assert (await ask(late, op="ping", id=1))["type"] == "pong"
            out, _ = await asyncio.wait_for(crowd.communicate(), 60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                crowd.kill()
            await crowd.wait()
        assert json.loads(out) == {"4001": AT_ONCE}
        await eventually(lambda: len(served.server.hub.sessions) == 1)


async def test_more_than_there_is_room_for_are_refused_and_who_is_in_stays(stage: Stage) -> None:
    await stage.add_account()
    limits = {"auth_s": 1.0, "heartbeat_s": BEAT_S, "sessions_max": 100}
    async with serving(stage, **limits) as served, undisturbed(served):
        answers = await asyncio.gather(*(status_of_handshake(served.port) for _ in range(300)))
        assert set(answers) == {101, 503}
        assert answers.count(101) == 99
        await eventually(lambda: len(served.server.hub.sessions) == 1)


def documented_codes() -> str:
    """Return the table of close codes."""
    return DOCUMENT.read_text().partition("| code |")[2].partition("\n\n")[0]


@asynccontextmanager
async def undisturbed(served: Served) -> AsyncIterator[None]:
    """See that a subscribed client goes on hearing its heartbeats in time."""
    gaps: list[float] = []
    async with subscribed(served) as client:

        async def listen() -> None:
            before = time.monotonic()
            async for _ in client:
                now = time.monotonic()
                gaps.append(now - before)
                before = now

        listening = asyncio.create_task(listen())
        try:
            yield
        finally:
            heard = len(gaps)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LATE_S):
                    while len(gaps) == heard:
                        await asyncio.sleep(0.005)
            assert not listening.done(), "the client that behaves was closed"
            assert len(gaps) > heard, "the client that behaves hears nothing any more"
            listening.cancel()
            await asyncio.wait([listening])
    assert max(gaps) < LATE_S


async def status_of_handshake(port: int) -> int:
    """Ask for a socket; return the answer's status, and stay until closed where it is 101."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(upgrade())
        status = int((await reader.readline()).split()[1])
        with contextlib.suppress(ConnectionError):
            await reader.read()
        return status
    finally:
        writer.transport.abort()


class Way:
    """A way to the server on which everything can get lost."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.url = ""
        self.swallows = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        for one, other in ((reader, far_writer), (far_reader, writer)):
            self.tasks.append(asyncio.create_task(self._pass_on(one, other)))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(4096):
                if not self.swallows.is_set():
                    writer.write(chunk)
        except OSError:
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def swallowing_way(served: Served) -> AsyncIterator[Way]:
    """Give a way to the server's socket."""
    way = Way(served.port)
    server = await asyncio.start_server(way.take, "127.0.0.1", 0)
    way.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws/v1/orders"
    try:
        yield way
    finally:
        server.close()
        for task in way.tasks:
            task.cancel()
        if way.tasks:
            await asyncio.wait(way.tasks)
