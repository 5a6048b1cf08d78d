from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from bus import nudges
from bus.connection import Bus
from bus.nudges import (
    STREAM,
    Nudge,
    NudgeKind,
    NudgePublisher,
    NudgeSubscriber,
    new_sender,
)
from tests.bus.valkey import ValkeyProcess
from tests.bus.waiting import eventually

ANYWHERE = {Nudge(kind=NudgeKind.ORDERS), Nudge(kind=NudgeKind.ACCOUNT)}


@asynccontextmanager
async def listening(bus: Bus) -> AsyncIterator[list[Nudge]]:
    heard: list[Nudge] = []
    task = asyncio.create_task(NudgeSubscriber(bus, heard.append).run())
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_nudge_is_heard(bus: Bus) -> None:
    async with listening(bus) as heard, NudgePublisher(bus) as publisher:
        await eventually(lambda: set(heard) == ANYWHERE)
        publisher.nudge("a1")
        publisher.nudge("a2", NudgeKind.ACCOUNT)
        await eventually(lambda: len(heard) == 4)
        assert heard[2:] == [
            Nudge(kind=NudgeKind.ORDERS, account_id="a1"),
            Nudge(kind=NudgeKind.ACCOUNT, account_id="a2"),
        ]


async def test_equal_nudges_waiting_are_sent_once(bus: Bus) -> None:
    async with listening(bus) as heard, NudgePublisher(bus) as publisher:
        await eventually(lambda: len(heard) == 2)
        for _ in range(50):
            publisher.nudge("a1")
        publisher.nudge("last")
        await eventually(lambda: Nudge(kind=NudgeKind.ORDERS, account_id="last") in heard)
        assert len(heard) == 4


async def test_other_bytes_in_the_stream_are_passed_over(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(bus) as heard:
        await eventually(lambda: len(heard) == 2)
        for junk in (b"", b"\xff\xfe", b"\x81\xa4kind\xa5other", b"{}", b"\x90"):
            await bus.redis.xadd(STREAM, {b"n": junk})
        await bus.redis.xadd(STREAM, {b"other": b"field"})
        async with NudgePublisher(bus) as publisher:
            publisher.nudge("a1")
            await eventually(lambda: len(heard) == 3)
    assert caplog.text.count("expected a nudge") == 6


def everywhere_of(heard: list[Nudge]) -> int:
    return sum(nudge.account_id is None for nudge in heard)


def is_heard(heard: list[Nudge], account_id: str) -> bool:
    return Nudge(kind=NudgeKind.ORDERS, account_id=account_id) in heard


async def test_what_could_not_be_sent_is_made_good_by_a_look_everywhere(
    valkey_process: ValkeyProcess, bus: Bus
) -> None:
    async with listening(bus) as heard, NudgePublisher(bus) as publisher:
        await eventually(lambda: len(heard) == 2)
        valkey_process.kill()
        publisher.nudge("lost")
        await eventually(lambda: publisher.dropped == 1)
        publisher.nudge("waits for the backoff")
        valkey_process.start()
        # One of each kind for the empty Valkey, and one for what was dropped.
        await eventually(lambda: everywhere_of(heard) >= 5)
        publisher.nudge("after")
        await eventually(lambda: is_heard(heard, "after"))
        assert not is_heard(heard, "lost")


async def test_a_lost_connection_loses_no_nudge(valkey_process: ValkeyProcess, bus: Bus) -> None:
    other = Bus(valkey_process.url)
    async with listening(bus) as heard, NudgePublisher(other) as publisher:
        await eventually(lambda: len(heard) == 2)

        def is_known(account_id: str) -> bool:
            return publisher.dropped > 0 or is_heard(heard, account_id)

        for number in range(30):
            publisher.nudge(f"a{number}")
            if number % 3 == 0:
                valkey_process.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await eventually(partial(is_known, f"a{number}"))
        # A kill may hit the publisher too; it says so by looking everywhere, as loud as a nudge.
        await eventually(
            lambda: (
                sum(is_heard(heard, f"a{n}") for n in range(30)) + publisher.dropped >= 30
                and (publisher.dropped == 0 or everywhere_of(heard) > 2)
            )
        )
    await other.close()


async def test_reading_goes_on_at_the_last_one_heard(
    valkey_process: ValkeyProcess, bus: Bus
) -> None:
    heard: list[Nudge] = []
    subscriber = NudgeSubscriber(bus, heard.append)
    task = asyncio.create_task(subscriber.run())
    await eventually(lambda: len(heard) == 2)
    task.cancel()
    await asyncio.wait([task])
    async with NudgePublisher(bus) as publisher:
        for number in range(5):
            publisher.nudge(f"a{number}")
            await eventually(lambda: not publisher._waiting)
        await eventually(lambda: valkey_process.command("XLEN", STREAM) == b":6\r\n")
    task = asyncio.create_task(subscriber.run())
    await eventually(lambda: len(heard) == 7)
    task.cancel()
    await asyncio.wait([task])
    assert [nudge.account_id for nudge in heard[2:]] == [f"a{n}" for n in range(5)]


@pytest.mark.parametrize("trouble", ["flushed", "trimmed", "restarted", "older"])
async def test_a_stream_without_the_last_one_heard_means_looking_everywhere(
    valkey_process: ValkeyProcess, bus: Bus, trouble: str
) -> None:
    async with listening(bus) as heard:
        await eventually(lambda: len(heard) == 2)
        match trouble:
            case "flushed":
                valkey_process.command("FLUSHALL")
            case "trimmed":
                valkey_process.command("XTRIM", STREAM, "MAXLEN", "0")
            case "restarted":
                valkey_process.kill()
                valkey_process.start()
            case "older":
                valkey_process.command("FLUSHALL")
                valkey_process.command("XADD", STREAM, "1-1", "m", "1")
        await eventually(lambda: set(heard[2:]) == ANYWHERE)
        async with NudgePublisher(bus) as publisher:
            publisher.nudge("after")
            await eventually(lambda: is_heard(heard, "after"))


async def test_a_nudge_lost_between_two_looks_is_noticed_when_the_next_comes(bus: Bus) -> None:
    heard: list[Nudge] = []
    subscriber = NudgeSubscriber(bus, heard.append)
    await subscriber._read_on()
    async with NudgePublisher(bus) as publisher:
        publisher.nudge("flushed away")
        await eventually(lambda: not publisher._waiting)
        await bus.redis.flushall()
        publisher.nudge("the next one")
        await subscriber._read_on()
        await subscriber._read_on()
    assert everywhere_of(heard) == 4


async def test_one_does_not_hear_oneself(bus: Bus) -> None:
    me = new_sender()
    heard: list[Nudge] = []
    task = asyncio.create_task(NudgeSubscriber(bus, heard.append, sender=me).run())
    await eventually(lambda: len(heard) == 2)
    async with NudgePublisher(bus, sender=me) as mine, NudgePublisher(bus) as anothers:
        mine.nudge("mine")
        await eventually(lambda: not mine._waiting)
        anothers.nudge("another's")
        await eventually(lambda: len(heard) == 3)
    assert heard[2].account_id == "another's"
    task.cancel()
    await asyncio.wait([task])


async def test_the_stream_stays_short(
    valkey_process: ValkeyProcess, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nudges, "KEPT", 200)
    async with listening(bus) as heard, NudgePublisher(bus) as publisher:
        await eventually(lambda: len(heard) == 2)
        for number in range(2_000):
            publisher.nudge(f"a{number}")
        # What was trimmed away unread is made good by a look everywhere.
        await eventually(lambda: is_heard(heard, "a1999") or everywhere_of(heard) > 2)
        assert await bus.redis.xlen(STREAM) <= 400


async def test_a_subscriber_ends_whenever_it_is_canceled(bus: Bus) -> None:
    async with NudgePublisher(bus) as publisher:
        for turn in range(200):
            heard: list[Nudge] = []
            task = asyncio.create_task(NudgeSubscriber(bus, heard.append).run())
            # So many turns of the loop later, in the middle of connecting, sending or reading.
            for step in range(turn):
                if step % 3 == 0:
                    publisher.nudge(f"a{step}")
                await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=5)
            assert done, f"it went on after a cancellation in turn {turn}"
            assert task.cancelled()


async def test_waiting_nudges_are_bounded(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nudges, "PENDING_MAX", 3)
    publisher = NudgePublisher(bus)
    for number in range(10):
        publisher.nudge(f"a{number}")
    assert publisher.dropped == 7


async def test_starting_without_valkey_works(valkey_process: ValkeyProcess) -> None:
    valkey_process.kill()
    bus = Bus(valkey_process.url)
    async with listening(bus) as heard, NudgePublisher(bus) as publisher:
        publisher.nudge("lost")
        await eventually(lambda: publisher.dropped == 1)
        assert heard == []
        valkey_process.start()
        await eventually(lambda: set(heard) == ANYWHERE)
    await bus.close()
