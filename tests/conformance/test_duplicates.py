"""The same thing twice: bytes, client order ids, nonces; two processes, and an exchange restarted.

What a venue protects from is in its proof table; what it does not protect from, nobody may do.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from domain.commands import CommandKind
from domain.ledger import CommandRow, CommandSlot, NonceRule
from domain.orders import Verdict
from domain.outcomes import Accepted, Unknown
from stack.table import with_our_rooms
from tests.conformance.rig import VenueRig
from tests.conformance.stage import Stage, open_stage, running
from tests.conformance.way import Broken, Way
from venues.simulation.faults import FaultKind

ROOT = Path(__file__).parents[2]
EACH = 15


async def test_a_rows_bytes_are_always_the_same(scripted: tuple[Stage, Way]) -> None:
    stage, way = scripted
    if not stage.connector.proofs.replay_protected:
        return
    way.script += [Broken.LOST] * 3
    row, _ = await stage.send(await stage.resting())
    await stage.resend(row)
    read_back = await stage.storage.ledger.read(row.key)
    assert read_back is not None
    await stage.resend(read_back)
    assert len({sent.body for sent in way.sent}) == 1
    assert len(way.sent) == 3


async def test_bytes_that_arrive_again_and_again_make_one_order_where_that_is_protected(
    scripted: tuple[Stage, Way],
) -> None:
    """The network repeats what we sent once. Unprotected, the exchange shows what would happen."""
    stage, way = scripted
    row, _ = await stage.accepted(await stage.resting())
    (sent,) = way.sent
    for _ in range(3):
        await way.pass_on(sent)
    count = len(stage.at_venue(row))
    assert count == 1 if stage.connector.proofs.replay_protected else count >= 1


async def test_a_copy_of_what_was_accepted_never_makes_a_second_order(stage: Stage) -> None:
    row, _ = await stage.accepted(await stage.resting())
    for _ in range(3):
        assert isinstance(await stage.resend(row), Unknown)
        assert len(stage.at_venue(row)) == 1


@pytest.mark.parametrize("kind", [FaultKind.DROP_BEFORE_APPLY, FaultKind.DROP_AFTER_APPLY])
async def test_copies_of_what_may_be_out_make_one_order_at_most(
    stage: Stage, kind: FaultKind
) -> None:
    stage.fault(kind, CommandKind.PLACE)
    row, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, Unknown)
    outcomes = [await stage.resend(row) for _ in range(3)]
    assert len(stage.at_venue(row)) <= 1
    assert all(isinstance(found, Accepted | Unknown) for found in outcomes), outcomes
    if not stage.connector.proofs.replay_protected:
        assert len(stage.at_venue(row)) == int(kind is FaultKind.DROP_AFTER_APPLY)


async def test_many_copies_at_once_make_one_order(stage: Stage) -> None:
    row = await stage.reserve(await stage.resting())
    access = await stage.trading()
    copies = (stage.connector.resend(row, access) for _ in range(8))
    results = await asyncio.gather(stage.connector.send(row, access), *copies)
    assert len(stage.at_venue(row)) <= 1
    assert sum(isinstance(result.outcome, Accepted) for result in results) <= 1


async def test_many_at_once_each_get_their_own_answer(stage: Stage) -> None:
    command = await stage.resting()
    rows = [await stage.reserve(command) for _ in range(20)]
    outcomes = await asyncio.gather(*(stage.carry_out(row) for row in rows))
    for row, outcome in zip(rows, outcomes, strict=True):
        assert isinstance(outcome, Accepted), outcome
        record = stage.one_at_venue(row)
        if outcome.report is not None and outcome.report.venue_order_id is not None:
            assert outcome.report.venue_order_id == stage.id_of(record)
    assert len({row.client_order_id for row in rows}) == len(rows)


async def test_a_client_order_id_is_never_given_twice(stage: Stage) -> None:
    """By the house: whether a venue refuses a second one is no protection to lean on."""
    connector = stage.connector
    if connector.capabilities.nonce_rule is NonceRule.NAMES_ORDER:
        rows = [await stage.reserve(await stage.resting()) for _ in range(3)]
        assert len({row.client_order_id for row in rows}) == 3
        assert [row.client_order_id for row in rows] == [str(row.nonce) for row in rows]
        return
    spelled = {
        connector.client_order_id(order_id, revision, collision)
        for order_id in (
            "00010203-0405-4607-8809-0a0b0c0d0e0f",
            "10010203-0405-4607-8809-0a0b0c0d0e0f",
        )
        for revision in range(3)
        for collision in range(3)
    }
    assert len(spelled) == 18
    row = await stage.reserve(await stage.resting())
    assert connector.client_order_id(row.key.order_id, 0, 0) == row.client_order_id
    again = await stage.storage.ledger.read(row.key)
    assert again is not None and again.client_order_id == row.client_order_id


async def test_a_second_order_of_one_client_id_is_seen_as_what_it_is(stage: Stage) -> None:
    """If it ever happened: either the venue refuses it, or both are there; the look-up says one."""
    first, _ = await stage.accepted(await stage.resting())
    second = await stage.reserve(await stage.resting())
    compose = await stage.connector.compose(await stage.resting())
    slot = replace(_slot(second), client_order_id=first.client_order_id)
    forged = replace(second, client_order_id=slot.client_order_id, message=compose(slot))
    outcome = (await stage.connector.send(forged, await stage.trading())).outcome
    live = [order for order in stage.at_venue(first) if order.status.is_live]
    assert len(live) == (2 if isinstance(outcome, Accepted) else 1), outcome
    assert (await stage.until(first, Verdict.ACCEPTED)).client_order_id == first.client_order_id


def _slot(row: CommandRow) -> CommandSlot:
    return CommandSlot(
        client_order_id=row.client_order_id, nonce=row.nonce, admitted_until=row.admitted_until
    )


async def start(stage: Stage, home: Path) -> asyncio.subprocess.Process:
    """Start another process that trades for the stage's account, and wait until it is ready."""
    prices = await stage.prices()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.conformance.child", stage.rig.venue, stage.running.url, str(home)),
        *(str(EACH), str(prices.below), str(prices.quantity)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=with_our_rooms(os.environ),
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(stage.key.reveal().hex().encode() + b"\n")
    await process.stdin.drain()
    async with asyncio.timeout(60):
        assert (await process.stdout.readline()).strip() == b"ready"
    return process


async def test_two_processes_of_one_signer_never_share_a_nonce_or_an_id(
    stage: Stage, tmp_path: Path
) -> None:
    processes = await asyncio.gather(*(start(stage, tmp_path) for _ in range(2)))
    own = [stage.send(await stage.resting()) for _ in range(EACH)]
    theirs = asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    said, sent = await asyncio.gather(theirs, asyncio.gather(*own))
    lines = [line.split(" ", 3) for out, _ in said for line in out.decode().splitlines()]
    assert len(lines) == 2 * EACH
    ours = [(outcome.kind, f"{row.lane}:{row.nonce}", row.client_order_id) for row, outcome in sent]
    everything = [(line[0], line[1], line[2]) for line in lines] + ours
    assert Counter(kind for kind, _, _ in everything) == {"accepted": 3 * EACH}, lines
    if stage.connector.capabilities.nonce_rule is not NonceRule.NONE:
        assert len({nonce for _, nonce, _ in everything}) == 3 * EACH
    by_id = Counter(order.client_order_id for order in stage.records())
    assert by_id == dict.fromkeys((name for _, _, name in everything), 1)


async def test_an_exchange_that_was_restarted_knows_what_it_took(
    rig: VenueRig, database_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "exchange"
    async with AsyncExitStack() as parts:
        async with running(rig, home=log) as simulator:
            port = int(simulator.url.rpartition(":")[2])
            opening = open_stage(rig, simulator, database_template, tmp_path, monkeypatch)
            stage = await parts.enter_async_context(opening)
            row, _ = await stage.accepted(await stage.resting())
            stage.fault(FaultKind.DROP_AFTER_APPLY, CommandKind.PLACE)
            unknown, outcome = await stage.send(await stage.resting())
            assert isinstance(outcome, Unknown)
        async with running(rig, home=log, port=port) as simulator:
            stage.running = simulator
            for known in (row, unknown):
                assert isinstance(await stage.resend(known), Unknown)
                assert len(stage.at_venue(known)) == 1
            assert isinstance(await stage.resolve(unknown), Accepted)
            _, after = await stage.send(await stage.resting())
            assert isinstance(after, Accepted)
            assert isinstance(await stage.cancel(row), Accepted)


async def test_a_nonce_goes_up_and_is_in_the_ledger(stage: Stage) -> None:
    rule = stage.connector.capabilities.nonce_rule
    rows = [await stage.reserve(await stage.resting()) for _ in range(3)]
    nonces = [row.nonce for row in rows]
    if rule is NonceRule.NONE:
        assert nonces == [None] * 3
        return
    numbers = [nonce for nonce in nonces if nonce is not None]
    assert len(numbers) == 3
    assert numbers == sorted(set(numbers))
    if rule is NonceRule.SEQUENCE:
        assert numbers[-1] - numbers[0] == 2
    # Whichever comes first at the venue: each is taken.
    for row in reversed(rows) if rule is NonceRule.TIME_MS else rows:
        assert isinstance(await stage.carry_out(row), Accepted)


async def test_a_row_without_what_is_signed_is_not_sent(stage: Stage) -> None:
    row = await stage.reserve(await stage.resting())
    access = await stage.trading()
    for broken in (
        replace(row, message="no JSON"),
        replace(row, message="[]"),
        replace(row, venue="another"),
        replace(row, account_id="another"),
        replace(row, signer="0x" + "11" * 20),
    ):
        outcome = (await stage.connector.send(broken, access)).outcome
        assert outcome.kind == "not_sent", (broken, outcome)
    assert stage.records() == []
