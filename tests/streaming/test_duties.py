"""What one process of a group does for all: where the lease is, and only there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bus.connection import Bus
from bus.lease_rules import Role
from bus.leases import Lease
from streaming.duties import Duty
from streaming.racing import until_first
from tests.bus.valkey import running_valkey
from tests.streaming.test_ingest import until

QUICK: dict[str, Any] = {"ttl_s": 0.3, "look_every_s": 0.1}


@dataclass
class Part:
    """A part that says what becomes of it."""

    lease: Lease
    said: list[str] = field(default_factory=list)
    ends: bool = False

    def __post_init__(self) -> None:
        self.duty = Duty(self.lease, self.work, lambda: self.said.append("ended"))

    async def work(self) -> None:
        self.said.append("begun")
        if self.ends:
            raise ZeroDivisionError("a defect")
        await asyncio.Event().wait()


@asynccontextmanager
async def at_work(part: Part) -> AsyncIterator[None]:
    task = asyncio.create_task(part.duty.run())
    try:
        yield
    finally:
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    with running_valkey() as valkey:
        made = Bus(valkey.url)
        yield made
        await made.close()


async def test_a_part_runs_in_one_process_and_moves_to_another(bus: Bus) -> None:
    first, second = Part(Lease(bus, "part", **QUICK)), Part(Lease(bus, "part", **QUICK))
    async with at_work(second):
        async with at_work(first):
            await until(lambda: len(first.said) + len(second.said) == 1)
            await until(lambda: {first.duty.role, second.duty.role} == {Role.OWNER, Role.OTHER})
            owner, other = (first, second) if first.duty.acts else (second, first)
            assert (owner.said, other.said) == (["begun"], [])
        await until(lambda: second.duty.acts and second.said[-1] == "begun")
    assert second.said[-1] == "ended"


async def test_a_pause_alone_stops_nothing_and_another_owner_does(bus: Bus) -> None:
    ahead = [0.0]
    lease = Lease(bus, "part", clock=lambda: time.monotonic() + ahead[0], **QUICK)
    part = Part(lease)
    async with at_work(part):
        await until(lambda: part.said == ["begun"])
        ahead[0] += 60.0
        assert lease.role is Role.UNDECIDED
        await until(lambda: lease.role is Role.OWNER)
        assert part.said == ["begun"]
        await bus.redis.set(lease._key, "another")
        await until(lambda: part.said == ["begun", "ended"])
        await bus.redis.delete(lease._key)
        await until(lambda: part.said == ["begun", "ended", "begun"])


async def test_a_part_that_fails_says_so_and_leaves_the_lease(bus: Bus) -> None:
    part = Part(Lease(bus, "part", **QUICK), ends=True)
    with pytest.raises(ZeroDivisionError):
        await part.duty.run()
    assert part.said == ["begun", "ended"]
    assert not await bus.redis.exists(part.lease._key)


async def test_works_end_together_with_what_the_first_raised() -> None:
    ended: list[str] = []

    async def forever(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def failing() -> None:
        raise ZeroDivisionError("a defect")

    async def quick() -> None:
        return

    await until_first(forever("a"), quick())
    with pytest.raises(ZeroDivisionError):
        await until_first(forever("b"), failing())
    task = asyncio.create_task(until_first(forever("c")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert ended == ["a", "b", "c"]
