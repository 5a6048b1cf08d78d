"""Resolving where a venue has no fence, so that silence proves nothing, however long it lasts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from activities.access import CommandParts
from activities.contracts import OperatorVerdict, ResolveTask
from activities.orders import OrderActivities
from activities.resolution import LOOK_EVERY_MAX_S, ResolutionActivities, look_pause_s
from domain.ledger import CommandKey
from domain.orders import OrderStatus
from tests.activities.floor import ACCOUNT_ID, Altered, Floor, an_order, now, place_task
from tests.activities.test_resolution import (
    NEVER_CAME,
    PLACE,
    short_looks,
    unknown,
)
from venues.simulation.faults import FaultKind

__all__ = ("short_looks",)


async def without_fence(floor: Floor) -> CommandParts:
    connector = await floor.connector()
    proofs = replace(connector.proofs, fences=(), admission_window_s=None, replay_protected=False)
    return floor.parts(connectors=Altered(connector, proofs=proofs))


async def test_without_a_fence_an_order_stays_unknown_and_its_market_is_blocked(
    floor: Floor,
) -> None:
    parts = await without_fence(floor)
    floor.fault(NEVER_CAME)
    order = an_order()
    await floor.environment.run(OrderActivities(parts).place, place_task(order))
    floor.past_admission()
    task = ResolveTask(key=CommandKey(order_id=order.order_id, command=PLACE, revision=0))

    result = await floor.environment.run(ResolutionActivities(parts).resolve, task)

    assert not result.definite
    assert result.order.status is OrderStatus.UNKNOWN
    (block,) = await floor.storage.halts.blocked(ACCOUNT_ID)
    assert (block.symbol, block.order_id) == (order.symbol, order.order_id)
    assert "perp-dex order resolve" in block.reason
    other = await floor.place(an_order())
    assert other.denied is not None and "blocked" in other.denied
    verdict = OperatorVerdict(
        order_id=order.order_id, verdict="absent", reason="not there", by="local"
    )
    await floor.environment.run(OrderActivities(parts).apply_operator_verdict, verdict)
    assert await floor.storage.halts.blocked(ACCOUNT_ID) == ()
    assert (await floor.place(an_order())).definite


async def test_without_a_fence_an_order_that_comes_late_lifts_its_block(floor: Floor) -> None:
    parts = await without_fence(floor)
    floor.fault(FaultKind.DELAY, delay_ms=4_000)
    order = an_order()
    await floor.environment.run(OrderActivities(parts).place, place_task(order))
    task = ResolveTask(key=CommandKey(order_id=order.order_id, command=PLACE, revision=0))
    resolve = ResolutionActivities(parts).resolve
    assert not (await floor.environment.run(resolve, task)).definite
    assert await floor.storage.halts.blocked(ACCOUNT_ID)
    found = await floor.environment.run(resolve, task)
    while not found.definite:
        found = await floor.environment.run(resolve, task)
    assert found.order.status is OrderStatus.ACCEPTED
    assert await floor.storage.halts.blocked(ACCOUNT_ID) == ()


async def test_what_stays_unknown_is_looked_for_ever_more_slowly(floor: Floor) -> None:
    pauses = [look_pause_s(timedelta(seconds=age)) for age in (0, 4, 20, 60, 7_200)]
    assert pauses == [0.2, 0.2, 1.0, 3.0, LOOK_EVERY_MAX_S]
    order = await unknown(floor, NEVER_CAME)
    later = replace(await without_fence(floor), now=lambda: now() + timedelta(seconds=20))
    task = ResolveTask(key=CommandKey(order_id=order.order_id, command=PLACE, revision=0))
    looks: list[str] = []
    floor.environment.on_heartbeat = lambda *said: looks.append(str(said))

    result = await floor.environment.run(ResolutionActivities(later).resolve, task)

    assert not result.definite
    assert len(looks) <= 2
