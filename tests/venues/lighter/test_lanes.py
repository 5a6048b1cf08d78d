"""Lanes over the simulated exchange: who owns one, what is closed first, and no nonce twice."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from activities.contracts import ResolveTask
from activities.lanes import LaneKeeper, NoLanes, SpareLane
from activities.resolution import ResolutionActivities
from domain.commands import CommandKind
from domain.errors import CorruptState, Unavailable
from domain.lanes import LEASE, RENEWED_AFTER
from domain.ledger import CommandDraft, CommandRow
from domain.outcomes import Accepted, NotSent, Unknown
from serving.lanes import claim_lanes
from storage.lanes import SqlLaneStore
from storage.schema import upgrade
from tests.conformance.rig import rig_of
from tests.conformance.stage import Stage, now, open_stage, running
from venues.simulation.faults import FaultKind

ROOT = Path(__file__).parents[3]
CRASHED = 3


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "perp-dex.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
async def stage(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    rig = rig_of("lighter")
    async with (
        running(rig) as simulator,
        open_stage(rig, simulator, template, tmp_path, monkeypatch) as opened,
    ):
        yield opened


class Clock:
    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return now() + self.ahead


def keeper(stage: Stage, owner: str, clock: Clock | None = None) -> LaneKeeper:
    """Return another worker's lanes over the same database."""
    clock = clock or Clock()
    parts = stage.parts()
    return LaneKeeper(
        store=SqlLaneStore(stage.storage.database, now=clock),
        ledger=stage.storage.ledger,
        owner=owner,
        burn=ResolutionActivities(parts).burn,
        now=clock,
    )


async def test_orders_and_cancels_have_lanes_of_their_own(stage: Stage) -> None:
    placed, _ = await stage.accepted(await stage.resting())
    cancel = await stage.reserve_cancel(placed)
    assert (placed.lane, cancel.lane) == ("5", "6")
    assert (placed.nonce, cancel.nonce) == (0, 0)
    assert placed.signed is not None and "tx_hash" in placed.signed


async def test_a_cancel_of_an_unseen_order_goes_behind_it(stage: Stage) -> None:
    stage.fault(FaultKind.DROP_AFTER_APPLY, CommandKind.PLACE)
    placed, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, Unknown)
    cancel = await stage.reserve_cancel(placed)
    assert (cancel.lane, cancel.nonce) == ("5", 1)
    assert isinstance(await stage.carry_out(cancel), Accepted)
    assert not stage.one_at_venue(placed).status.is_live


async def test_a_refusal_at_the_gate_gives_the_nonce_back(stage: Stage) -> None:
    resting = await stage.resting()
    huge = stage.order(resting.quantity * 1_000_000, resting.price)
    refused, outcome = await stage.send(huge)
    assert outcome.kind == "rejected"
    taken, _ = await stage.accepted(resting)
    assert refused.nonce == taken.nonce == 0


async def test_what_was_never_sent_gives_the_nonce_back(stage: Stage) -> None:
    row = await stage.reserve(await stage.resting())
    stage.fault(FaultKind.DROP_BEFORE_APPLY, CommandKind.PLACE)
    late = replace(row, send_by=row.inserted_at)
    result = await stage.connector.send(late, await stage.trading())
    assert isinstance(result.outcome, NotSent) and result.leaves_nonce
    await stage.storage.ledger.decide(row.key, result)
    stage.running.faults.clear()
    taken, _ = await stage.accepted(await stage.resting())
    assert taken.nonce == row.nonce


async def test_a_nonce_without_an_answer_is_burned_before_anything_else(stage: Stage) -> None:
    stage.fault(FaultKind.DROP_BEFORE_APPLY, CommandKind.PLACE)
    lost, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, Unknown)
    taken, _ = await stage.accepted(await stage.resting())
    assert (lost.nonce, taken.nonce) == (0, 1)
    noops = [
        row
        for row in await stage.storage.ledger.of_order(lost.key.order_id)
        if row.key.command is CommandKind.NOOP
    ]
    assert [(row.nonce, row.lane, row.outcome) for row in noops] == [(0, "5", Accepted())]
    assert noops[0].signed != lost.signed, "told apart by its hash"
    truth = await stage.resolve(lost)
    assert isinstance(truth, NotSent), truth
    assert stage.at_venue(lost) == []


async def test_a_cancel_that_its_lanes_next_owner_burned_is_given_up_at_once(
    stage: Stage,
) -> None:
    """Not after the ten minutes that its signature is good for."""
    placed, _ = await stage.accepted(await stage.resting())
    lost = await stage.reserve_cancel(placed)
    stage.connector.forget_lane(await stage.trading(), lost.lane)  # type: ignore[attr-defined]
    await stage.settle_lanes()
    result = await stage.environment.run(
        ResolutionActivities(stage.parts()).resolve, ResolveTask(key=lost.key)
    )
    assert result.definite
    row = await stage.storage.ledger.read(lost.key)
    assert row is not None and isinstance(row.outcome, NotSent)
    assert isinstance(await stage.cancel(placed, number=1), Accepted)


async def test_a_number_burned_on_one_lane_says_nothing_of_another(stage: Stage) -> None:
    """The order's nonce and its cancel's are both the first of their lanes."""
    placed, _ = await stage.accepted(await stage.resting())
    lost = await stage.reserve_cancel(placed)
    stage.connector.forget_lane(await stage.trading(), lost.lane)  # type: ignore[attr-defined]
    await stage.settle_lanes()
    resolution = ResolutionActivities(stage.parts())
    assert (placed.nonce, lost.nonce) == (0, 0) and placed.lane != lost.lane
    assert await resolution.is_burned(lost)
    assert not await resolution.is_burned(placed)


async def test_a_nonce_that_was_taken_is_not_burned(stage: Stage) -> None:
    stage.fault(FaultKind.DROP_AFTER_APPLY, CommandKind.PLACE)
    unseen, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, Unknown)
    await stage.accepted(await stage.resting())
    rows = await stage.storage.ledger.of_order(unseen.key.order_id)
    assert [row.key.command for row in rows] == [CommandKind.PLACE]
    assert isinstance(await stage.resolve(unseen), Accepted)
    assert len(stage.at_venue(unseen)) == 1


async def test_while_the_venue_does_not_say_how_far_a_lane_is_nothing_goes_by_it(
    stage: Stage,
) -> None:
    stage.fault(FaultKind.DROP_BEFORE_APPLY, CommandKind.PLACE)
    await stage.send(await stage.resting())
    resting = await stage.resting()
    stage.running.faults.add(FaultKind.MAINTENANCE, count=None)
    with pytest.raises(Unavailable, match="how far lane 5"):
        await stage.send(resting)
    stage.running.faults.clear()
    assert isinstance((await stage.send(resting))[1], Accepted)


async def test_one_worker_owns_a_lane_and_the_next_one_another(stage: Stage) -> None:
    first, second, third, fourth = (keeper(stage, name) for name in "abcd")
    access = await stage.trading()
    for one in (first, second, third):
        await one.claim(stage.connector, access)
    account = access.account
    held = await stage.storage.lanes.holders("lighter", account.network, account.signer)
    assert Counter(lease.owner for lease in held) == {"a": 2, "b": 2, "c": 2}
    with pytest.raises(Unavailable, match="found 3 of its kind and 3 other workers") as seen:
        await fourth.claim(stage.connector, access)
    assert "give the account more keys, or run fewer workers" in str(seen.value)
    await second.release()
    await fourth.claim(stage.connector, access)


async def test_a_worker_with_no_key_of_its_own_does_not_start(stage: Stage) -> None:
    for name in "abc":
        await keeper(stage, name).claim(stage.connector, await stage.trading())
    with pytest.raises(Unavailable, match="run fewer workers"):
        await claim_lanes(
            keeper(stage, "d"), stage.storage, stage.access, stage.connectors, within_s=0.6
        )


async def test_a_dead_owners_lanes_are_taken_over_within_the_lease(stage: Stage) -> None:
    clock = Clock()
    dead = [keeper(stage, name) for name in "abc"]
    access = await stage.trading()
    for one in dead:
        await one.claim(stage.connector, access)
    heir = keeper(stage, "d", clock)
    clock.ahead = LEASE - timedelta(seconds=1)
    with pytest.raises(Unavailable):
        await heir.claim(stage.connector, access)
    clock.ahead = LEASE + timedelta(milliseconds=100)
    await heir.claim(stage.connector, access)
    account = access.account
    held = await stage.storage.lanes.holders("lighter", account.network, account.signer)
    assert {(lease.lane, lease.epoch) for lease in held if lease.owner == "d"} == {
        ("5", 2),
        ("6", 2),
    }


async def test_whoever_lost_a_lane_gets_no_nonce_of_it(stage: Stage) -> None:
    """It was paused between having its lane and the ledger's transaction."""
    clock = Clock()
    await stage.accepted(await stage.resting())
    heir = keeper(stage, "heir", clock)
    clock.ahead = LEASE + timedelta(seconds=1)
    async with heir.turn(stage.connector, await stage.trading(), await draft_of(stage)) as draft:
        assert (draft.lane, draft.lane_epoch) == ("5", 2)
    stale = await draft_of(stage)
    with pytest.raises(Unavailable, match="not this worker's any more"):
        await stage._reserved(replace(stale, lane="5", lane_epoch=1), spelled="123")
    assert await stage.storage.ledger.read(stale.key) is None


async def draft_of(stage: Stage) -> CommandDraft:
    """Return the draft of a placement, without a lane."""
    held: list[CommandDraft] = []

    class Stopped(Exception):
        pass

    async def reserved(draft: CommandDraft, *, spelled: str | None) -> CommandRow:
        held.append(draft)
        raise Stopped

    original, stage._reserved = stage._reserved, reserved  # type: ignore[method-assign]
    try:
        with pytest.raises(Stopped):
            await stage.reserve(await stage.resting())
    finally:
        stage._reserved = original  # type: ignore[method-assign]
    return held[0]


async def test_a_lease_is_renewed_before_it_runs_out(stage: Stage) -> None:
    clock = Clock()
    worker = keeper(stage, "a", clock)
    access = await stage.trading()
    await worker.claim(stage.connector, access)
    name = ("lighter", access.account.network, access.account.signer)
    before = await stage.storage.lanes.holders(*name)
    await worker.renew()
    assert await stage.storage.lanes.holders(*name) == before, "it is fresh"
    clock.ahead = RENEWED_AFTER + timedelta(milliseconds=10)
    await worker.renew()
    after = await stage.storage.lanes.holders(*name)
    assert all(
        late.expires_at > early.expires_at for late, early in zip(after, before, strict=True)
    )
    assert {lease.epoch for lease in after} == {1}


async def test_without_lanes_nothing_is_sent_to_such_a_venue(stage: Stage) -> None:
    with pytest.raises(CorruptState):
        async with NoLanes().turn(stage.connector, await stage.trading(), await draft_of(stage)):
            pass


async def test_an_emergency_goes_by_the_lane_that_is_nobodys(stage: Stage) -> None:
    access = await stage.trading()
    async with SpareLane().turn(stage.connector, access, await draft_of(stage)) as draft:
        assert (draft.lane, draft.nonce, draft.lane_epoch) == ("4", 0, None)
        row = await stage._reserved(draft, spelled=None)
        assert isinstance(await stage.carry_out(row), Accepted)
    async with SpareLane().turn(stage.connector, access, await draft_of(stage)) as draft:
        assert draft.nonce == 1


# Two processes


async def test_two_workers_share_an_account_and_one_that_dies_is_taken_over(
    stage: Stage, tmp_path: Path
) -> None:
    """One dies with an order half-way; the other takes its lane, closes it, and trades on."""
    prices = await stage.prices()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.venues.lighter.dying_worker", stage.running.url, str(tmp_path)),
        *(str(prices.below), str(prices.quantity)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    out, _ = await process.communicate(stage.key.reveal().hex().encode() + b"\n")
    assert process.returncode == CRASHED, out
    nonces, order_id = out.decode().split()[:-1], out.decode().split()[-1]
    assert nonces == ["5:0", "5:1", "5:2", "5:3"]
    # Its lane is another's as long as its lease goes on, and then the next worker's.
    clock = Clock()
    stage._lanes = keeper(stage, "heir", clock)
    row, _ = await stage.accepted(stage.order(prices.quantity, prices.below))
    assert row.lane == "7"
    heir = keeper(stage, "second heir", clock)
    clock.ahead = LEASE + timedelta(seconds=1)
    connector = stage.connector
    async with heir.turn(connector, await stage.trading(), await draft_of(stage)) as draft:
        assert draft.lane == "5"
        assert (
            await stage.storage.lanes.last_nonce("lighter", draft.network, draft.signer, "5") == 3
        )
    rows = await stage.storage.ledger.of_order(order_id)
    assert [(row.key.command, row.nonce) for row in rows] == [
        (CommandKind.PLACE, 3),
        (CommandKind.NOOP, 3),
    ]
    expected = await connector.next_nonce(await stage.trading(), "5")  # type: ignore[attr-defined]
    assert expected == 4
    placed = next(row for row in rows if row.key.command is CommandKind.PLACE)
    assert isinstance(await stage.resolve(placed), NotSent)
    by_id = Counter(order.client_order_id for order in stage.records())
    assert set(by_id.values()) == {1}
