from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bus import nudges
from bus.connection import Bus
from bus.nudges import CHANNEL, Nudge, NudgeKind, NudgePublisher, NudgeSubscriber
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


async def test_other_bytes_on_the_channel_are_passed_over(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(bus) as heard:
        await eventually(lambda: len(heard) == 2)
        for junk in (b"", b"\xff\xfe", b"\x81\xa4kind\xa5other", b"{}", b"\x90"):
            await bus.redis.publish(CHANNEL, junk)
        async with NudgePublisher(bus) as publisher:
            publisher.nudge("a1")
            await eventually(lambda: len(heard) == 3)
    assert caplog.text.count("expected a nudge") == 5


async def test_kill_and_restart_loses_nudges_and_nothing_else(
    valkey_process: ValkeyProcess, bus: Bus
) -> None:
    async with listening(bus) as heard, NudgePublisher(bus) as publisher:
        await eventually(lambda: len(heard) == 2)
        valkey_process.kill()
        publisher.nudge("lost")
        await eventually(lambda: publisher.dropped == 1)
        publisher.nudge("waits for the backoff")
        valkey_process.start()
        # Whoever listens is told to look everywhere, for what it could not hear.
        await eventually(lambda: sum(nudge.account_id is None for nudge in heard) == 4)
        publisher.nudge("after")
        await eventually(lambda: Nudge(kind=NudgeKind.ORDERS, account_id="after") in heard)
        assert Nudge(kind=NudgeKind.ORDERS, account_id="lost") not in heard


async def test_flushing_and_disconnecting_clients_is_survived(
    valkey_process: ValkeyProcess, bus: Bus
) -> None:
    async with listening(bus) as heard, NudgePublisher(bus) as publisher:
        await eventually(lambda: len(heard) == 2)
        assert valkey_process.command("FLUSHALL").startswith(b"+OK")
        valkey_process.command("CLIENT", "KILL", "TYPE", "pubsub")
        await eventually(lambda: len(heard) == 4)
        publisher.nudge("after")
        await eventually(lambda: Nudge(kind=NudgeKind.ORDERS, account_id="after") in heard)


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
        await eventually(lambda: len(heard) == 2)
    await bus.close()
