"""What is told in one turn of the loop, sent together: the same messages, in the same order."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

import picows
import pytest

from streaming.connection import ClientConnection
from streaming.gathering import BYTES_MAX, MESSAGES_MAX, Gathering
from streaming.hub import Hub, Topic
from streaming.protocol import Limits
from tests.streaming.raw_frames import upgrade
from tests.streaming.test_hub import joined

TOPIC = Topic("top", "market", newest_only=True, kept_max=0)
OTHER = Topic("top", "another", newest_only=True, kept_max=0)


class Turns:
    """The end of each turn comes when the test says so."""

    def __init__(self) -> None:
        self.hub = Hub(Limits())
        self.session, self.client = joined(self.hub)
        self.planned: list[Callable[[], None]] = []
        self.out = Gathering(self.hub, self.planned.append)
        for topic in (TOPIC, OTHER):
            self.hub.attach(self.session, topic, 0, [])

    def say(self, *numbers: int, topic: Topic = TOPIC) -> None:
        for number in numbers:
            self.out.publish(topic, number, b"%d" % number)

    def end(self) -> None:
        planned = self.planned[:]
        self.planned.clear()
        for do in planned:
            do()


@pytest.fixture
def turns() -> Turns:
    return Turns()


def test_what_is_told_in_a_turn_goes_out_at_its_end_in_one_write(turns: Turns) -> None:
    turns.say(1, 2, 3)
    turns.say(1, topic=OTHER)
    assert turns.client.sent == []
    assert len(turns.planned) == 1
    turns.end()
    assert turns.client.sent == [b"1", b"2", b"3", b"1"]
    assert turns.client.writes == 2
    turns.say(4)
    turns.end()
    assert turns.client.sent[-1] == b"4"
    turns.end()
    assert turns.client.writes == 3


def test_what_is_flushed_is_not_sent_again_and_the_next_one_waits_for_its_turn(
    turns: Turns,
) -> None:
    turns.say(1)
    turns.out.flush(TOPIC)
    turns.out.flush(TOPIC)
    assert turns.client.sent == [b"1"]
    turns.say(2)
    assert (turns.client.sent, len(turns.planned)) == ([b"1"], 1)
    turns.end()
    assert turns.client.sent == [b"1", b"2"]


def test_a_flood_in_one_turn_does_not_wait_for_its_end(turns: Turns) -> None:
    turns.say(*range(1, MESSAGES_MAX + 2))
    assert (len(turns.client.sent), turns.client.writes) == (MESSAGES_MAX, 1)
    turns.end()
    assert turns.client.sent == [b"%d" % number for number in range(1, MESSAGES_MAX + 2)]


def test_large_messages_do_not_wait_in_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, seen = Turns(), list[int]()

    def together(topic: Topic, first: int, messages: list[bytes]) -> None:
        seen.append(sum(map(len, messages)))

    monkeypatch.setattr(turns.hub, "publish_together", together)
    for number in range(1, 9):
        turns.out.publish(TOPIC, number, b"x" * (BYTES_MAX // 3))
    turns.end()
    assert sum(seen) == 8 * (BYTES_MAX // 3)
    assert max(seen) < BYTES_MAX + BYTES_MAX // 3 + 1


def test_a_topic_that_begins_anew_is_not_taken_for_the_former_one(turns: Turns) -> None:
    turns.say(1, 2)
    turns.say(50)
    turns.end()
    assert turns.client.sent == [b"1", b"2"]
    assert turns.hub.due_for_resync() == [(turns.session, TOPIC)]
    turns.say(51)
    turns.out.forget(TOPIC)
    turns.end()
    assert turns.hub.followed("top") == {"another": 0}


def test_without_turns_each_message_goes_out_by_itself() -> None:
    hub = Hub(Limits())
    session, client = joined(hub)
    hub.attach(session, TOPIC, 0, [])
    out = Gathering(hub)
    for number in (1, 2):
        out.publish(TOPIC, number, b"%d" % number)
    out.flush(TOPIC)
    assert (client.sent, client.writes) == ([b"1", b"2"], 2)


async def test_single_messages_and_those_together_keep_their_order_through_a_full_socket() -> None:
    queued = Topic("trades", "market")
    hub = Hub(Limits())
    attached = asyncio.Event()

    def opened(connection: ClientConnection) -> None:
        hub.attach(connection.session, queued, 0, [])
        attached.set()

    server = await picows.ws_create_server(
        lambda request: ClientConnection(
            hub=hub,
            session_id="s1",
            channel="markets",
            limits=Limits(),
            opened=opened,
            left=lambda connection: None,
        ),
        "127.0.0.1",
        0,
    )
    reader, writer = await narrow_connection(server.sockets[0].getsockname()[1])
    writer.write(upgrade(path="/"))
    await reader.readuntil(b"\r\n\r\n")
    await attached.wait()
    (session,) = hub.sessions
    number = 0
    while not session.outbox.is_blocked or session.outbox.waiting < 50:
        hub.publish(queued, number + 1, filled(number + 1))
        hub.publish_together(queued, number + 2, [filled(n) for n in (number + 2, number + 3)])
        number += 3
    assert session.subscriptions == {queued: 0}, "nothing was left out"
    for expected in range(1, number + 1):
        head = await asyncio.wait_for(reader.readexactly(4), 10)
        (length,) = struct.unpack("!H", head[2:])
        assert await reader.readexactly(length) == filled(expected)
    assert session.outbox.is_clear
    writer.close()
    server.close()


async def narrow_connection(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect a client for which nearly nothing is kept while it does not read."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    narrow.connect(("127.0.0.1", port))
    return await asyncio.open_connection(sock=narrow, limit=4_096)


def filled(number: int) -> bytes:
    return b"%08d" % number * 1_000
