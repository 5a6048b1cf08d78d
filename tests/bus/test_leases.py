"""Leases on a real Valkey: one owner, a bounded takeover, and no owner that was paused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.connection import Bus
from bus.lease_rules import LeaseView, Role
from bus.leases import KEY, LOOK_EVERY_S, TTL_S, Lease
from domain.errors import Unavailable
from tests.bus.valkey import ValkeyProcess
from tests.bus.waiting import eventually


class Times(TypedDict):
    ttl_s: float
    look_every_s: float


#: A tenth of the real times, so that tests are quick.
QUICK: Times = {"ttl_s": TTL_S / 10, "look_every_s": LOOK_EVERY_S / 10}


class Clock:
    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@asynccontextmanager
async def held(lease: Lease) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(lease.run())
    try:
        yield task
    finally:
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done


async def test_one_of_many_is_the_owner(bus: Bus) -> None:
    # Long: a machine that rests for as long as a lease lasts has no owner for a moment.
    leases = [Lease(bus, "thing", ttl_s=60, look_every_s=0.02) for _ in range(8)]
    async with AsyncExitStack() as stack:
        for lease in leases:
            await stack.enter_async_context(held(lease))
        await eventually(lambda: all(lease.role is not Role.UNDECIDED for lease in leases))
        for _ in range(20):
            assert [lease.role for lease in leases].count(Role.OWNER) == 1
            assert sum(lease.acts for lease in leases) == 1
            await asyncio.sleep(0.02)


async def test_another_thing_is_another_lease(bus: Bus) -> None:
    first, second = Lease(bus, "a", **QUICK), Lease(bus, "b", **QUICK)
    async with held(first), held(second):
        await eventually(lambda: first.acts and second.acts)


async def test_who_leaves_lets_others_take_it_at_their_next_look(bus: Bus) -> None:
    heard: list[Role] = []
    first = Lease(bus, "thing", ttl_s=60, look_every_s=0.05)
    second = Lease(bus, "thing", lambda: heard.append(second.role), ttl_s=60, look_every_s=0.05)
    async with held(second):
        await eventually(lambda: second.role is Role.OWNER)
    assert second.role is Role.UNDECIDED
    async with held(first):
        await eventually(lambda: first.role is Role.OWNER)
        async with held(second):
            await eventually(lambda: second.role is Role.OTHER)
            assert await bus.redis.pttl(KEY + "thing") > 50_000
    assert await bus.redis.exists(KEY + "thing") == 0
    assert heard == [Role.OWNER, Role.OTHER]


async def test_a_dead_owners_lease_is_taken_within_the_bound(bus: Bus) -> None:
    first, second = Lease(bus, "thing"), Lease(bus, "thing")
    await first.look()
    assert first.role is Role.OWNER
    async with held(second):
        await eventually(lambda: second.role is Role.OTHER)
        started = time.monotonic()
        role = await second.changed_from(Role.OTHER)
        took_s = time.monotonic() - started
    assert role is Role.OWNER
    assert TTL_S - 1 < took_s <= TTL_S + LOOK_EVERY_S


async def test_who_was_paused_finds_the_lease_lost(bus: Bus) -> None:
    clock = Clock()
    times: Times = {"ttl_s": 2.0, "look_every_s": 0.1}
    paused, other = Lease(bus, "thing", clock=clock, **times), Lease(bus, "thing", **times)

    def role() -> Role:
        return paused.role

    await paused.look()
    assert role() is Role.OWNER
    async with held(other):
        await eventually(lambda: other.role is Role.OWNER)
        clock.ahead_s = 0.2
        assert role() is Role.UNDECIDED, "before anything could be asked"
        await paused.look()
        assert role() is Role.OTHER


async def test_with_valkey_away_everybody_acts_and_one_again_afterwards(
    valkey_process: ValkeyProcess,
) -> None:
    buses = [Bus(valkey_process.url, call_timeout_s=0.2) for _ in range(3)]
    leases = [Lease(bus, "thing", **QUICK) for bus in buses]
    async with AsyncExitStack() as stack:
        for lease in leases:
            await stack.enter_async_context(held(lease))
        await eventually(lambda: sum(lease.acts for lease in leases) == 1)
        valkey_process.kill()
        await eventually(lambda: all(lease.role is Role.ALONE for lease in leases))
        late = Lease(buses[0], "thing", **QUICK)
        async with held(late):
            await eventually(lambda: late.role is Role.ALONE)
        valkey_process.start()
        await eventually(lambda: {lease.role for lease in leases} == {Role.OWNER, Role.OTHER})
        assert sum(lease.acts for lease in leases) == 1
        valkey_process.freeze()
        await eventually(lambda: all(lease.role is Role.ALONE for lease in leases))
        valkey_process.thaw()
        await eventually(lambda: sum(lease.acts for lease in leases) == 1)
    for bus in buses:
        await bus.close()


async def test_a_short_silence_moves_nothing(valkey_process: ValkeyProcess) -> None:
    first_bus, second_bus = Bus(valkey_process.url), Bus(valkey_process.url)
    first = Lease(first_bus, "thing", ttl_s=5, look_every_s=0.05)
    second = Lease(second_bus, "thing", ttl_s=5, look_every_s=0.05)
    async with held(first):
        await eventually(lambda: first.role is Role.OWNER)
        async with held(second):
            await eventually(lambda: second.role is Role.OTHER)
            valkey_process.kill()
            await eventually(lambda: not first_bus.is_up and not second_bus.is_up)
            assert (first.role, second.role) == (Role.OWNER, Role.OTHER)
            valkey_process.start()
            await eventually(lambda: first_bus.is_up and second_bus.is_up)
            roles = {first.role, second.role}
            assert roles == {Role.OWNER, Role.OTHER} or first.role is Role.OWNER
    await first_bus.close()
    await second_bus.close()


async def test_nothing_is_taken_from_another_on_leaving(bus: Bus) -> None:
    clock = Clock()
    first, second = Lease(bus, "thing", clock=clock), Lease(bus, "thing")
    async with held(first):
        await eventually(lambda: first.role is Role.OWNER)
        await bus.redis.delete(KEY + "thing")
        await second.look()
        assert second.role is Role.OWNER
    assert await bus.redis.exists(KEY + "thing") == 1
    with pytest.raises(Unavailable):
        await Lease(Bus("redis://127.0.0.1:1/0"), "thing").look()


@given(
    st.lists(
        st.tuples(st.sampled_from(["ours", "others", "silent", "pause"]), st.floats(0.0, 10.0)),
        max_size=30,
    )
)
def test_an_owner_is_one_that_was_told_so_lately(steps: list[tuple[str, float]]) -> None:
    view = LeaseView(ttl_s=3.0, alone_after_s=3.0)
    now, told_at, last = 100.0, None, None
    for step, pause_s in steps:
        now += pause_s
        match step:
            case "ours":
                view.answered(ours=True, asked_at=now)
                told_at, last = now, "ours"
            case "others":
                view.answered(ours=False, asked_at=now)
                last = "others"
            case "silent":
                view.not_answered(now)
        role = view.role(now)
        if role is Role.OWNER:
            assert last == "ours"
            assert told_at is not None
            assert now - told_at < 3.0
        if last is None:
            assert role is not Role.OTHER
        if role is Role.OTHER:
            assert last == "others"
