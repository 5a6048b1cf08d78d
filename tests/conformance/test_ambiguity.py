"""Answers that do not come, come too late, or say nothing: what is concluded, and what was true.

The venue's proof table says what can be found out, the worker's own search finds it out, and the
exchange's book-keeping says whether it is true. However often: one intent, one order at most.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from domain.commands import CommandKind
from domain.errors import RiskRefused
from domain.ledger import CommandRow
from domain.orders import Verdict
from domain.outcomes import Accepted, NotSent, Outcome, Rejected, Unknown
from tests.conformance.stage import Stage
from tests.conformance.way import Broken, Way
from venues.connector import Fence
from venues.simulation.faults import FaultKind
from venues.simulation.records import Order as Record
from venues.simulation.records import Reason

#: What goes wrong at the exchange, and whether the command was applied all the same.
AMBIGUOUS = [
    (FaultKind.DROP_BEFORE_APPLY, False),
    (FaultKind.DROP_AFTER_APPLY, True),
    (FaultKind.ERROR_BEFORE_APPLY, False),
    (FaultKind.ERROR_AFTER_APPLY, True),
    (FaultKind.GARBLE, True),
]


def can_prove_absence(stage: Stage) -> bool:
    """Tell whether the venue has a fence: without one an order stays unknown until it is seen."""
    return stage.connector.proofs.proves_absence


async def test_before_and_after(stage: Stage) -> None:
    """Without faults nothing is ambiguous; the suite would prove nothing if this failed."""
    row, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, Accepted)
    assert await stage.resolve(row) == outcome


@pytest.mark.parametrize(("kind", "applied"), AMBIGUOUS)
async def test_a_placement_is_unknown_and_then_what_it_was(
    stage: Stage, kind: FaultKind, applied: bool
) -> None:
    stage.fault(kind, CommandKind.PLACE)
    row, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, Unknown), outcome
    assert len(stage.at_venue(row)) == int(applied)
    truth = await stage.resolve(row)
    if applied:
        assert isinstance(truth, Accepted), truth
        assert truth.report is not None
        assert truth.report.venue_order_id == stage.id_of(stage.one_at_venue(row))
        assert truth.report.verdict is Verdict.ACCEPTED
    elif can_prove_absence(stage):
        assert isinstance(truth, NotSent), truth
        assert truth.proof
    else:
        assert isinstance(truth, Unknown), truth
    assert len(stage.at_venue(row)) == int(applied)


@pytest.mark.parametrize(("kind", "applied"), AMBIGUOUS)
async def test_an_order_that_filled_unseen_is_found_with_its_fills(
    stage: Stage, kind: FaultKind, applied: bool
) -> None:
    stage.fault(kind, CommandKind.PLACE)
    command = await stage.taking()
    row, outcome = await stage.send(command)
    assert isinstance(outcome, Unknown), outcome
    assert stage.held() == (command.quantity if applied else 0)
    truth = await stage.resolve(row)
    if applied:
        assert isinstance(truth, Accepted), truth
        assert truth.report is not None
        assert truth.report.verdict is Verdict.FILLED
        assert truth.report.filled_quantity == command.quantity
    assert stage.held() == (command.quantity if applied else 0)


async def test_a_late_answer_is_unknown_in_time_and_then_found(stage: Stage) -> None:
    stage.fault(FaultKind.DELAY_ANSWER, CommandKind.PLACE, delay_ms=4_000)
    began = asyncio.get_running_loop().time()
    row, outcome = await stage.send(await stage.resting())
    assert asyncio.get_running_loop().time() - began < 3.5
    assert isinstance(outcome, Unknown), outcome
    truth = await stage.resolve(row)
    assert isinstance(truth, Accepted), truth
    assert len(stage.at_venue(row)) == 1


async def test_a_command_that_lies_at_the_venue_is_never_called_absent_and_then_done(
    stage: Stage,
) -> None:
    """It is applied half a second after we have given up waiting, while we are finding out."""
    stage.fault(FaultKind.DELAY, CommandKind.PLACE, delay_ms=2_500)
    row, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, Unknown), outcome
    truth = await stage.resolve(row)
    async with asyncio.timeout(5):
        while stage.running.faults.listed():
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.7)
    agrees(stage, row, truth)
    assert not isinstance(truth, Unknown) or not can_prove_absence(stage)


async def test_a_command_that_arrives_behind_the_fence_is_never_applied(
    scripted: tuple[Stage, Way],
) -> None:
    """Its bytes lie somewhere on the way until after we concluded that they never came."""
    stage, way = scripted
    way.script.append(Broken.LOST)
    row, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, Unknown), outcome
    (held_back,) = way.sent
    truth = await stage.resolve(row)
    await way.pass_on(held_back)
    if isinstance(truth, NotSent):
        assert stage.at_venue(row) == [], "what was called absent came after all"
    else:
        assert not can_prove_absence(stage)


async def test_a_command_past_its_admission_is_not_taken(stage: Stage) -> None:
    row = await stage.reserve(await stage.resting())
    window_s = stage.connector.proofs.admission_window_s
    if window_s is None:
        assert Fence.ADMISSION_EXPIRY not in stage.connector.proofs.fences
        return
    assert row.admitted_until is not None
    stage.advance_venue(window_s + 1)
    outcome = await stage.carry_out(row)
    assert isinstance(outcome, NotSent | Rejected | Unknown), outcome
    assert stage.at_venue(row) == []


async def test_a_command_past_its_moment_leaves_no_byte(scripted: tuple[Stage, Way]) -> None:
    stage, way = scripted
    row = await stage.reserve(await stage.resting())
    late = replace(row, send_by=row.inserted_at)
    outcome = (await stage.connector.send(late, await stage.trading())).outcome
    assert isinstance(outcome, NotSent), outcome
    assert (way.sent, stage.records()) == ([], [])


@pytest.mark.parametrize(("kind", "applied"), AMBIGUOUS)
async def test_a_cancel_is_unknown_and_then_what_it_was(
    stage: Stage, kind: FaultKind, applied: bool
) -> None:
    row, _ = await stage.accepted(await stage.resting())
    stage.fault(kind, CommandKind.CANCEL)
    cancel = await stage.reserve_cancel(row)
    outcome = await stage.carry_out(cancel)
    assert isinstance(outcome, Unknown), outcome
    assert stage.one_at_venue(row).status.is_live is not applied
    truth = await stage.resolve(cancel)
    lives = stage.one_at_venue(row).status.is_live
    # A search may send the same cancel again where that is safe: then it has been done now.
    assert isinstance(truth, NotSent if lives else Accepted), truth


async def test_silence_on_every_side_stays_unknown(stage: Stage) -> None:
    """The venue takes the order and answers nothing any more: nobody may conclude anything."""
    stage.fault(FaultKind.DROP_AFTER_APPLY, CommandKind.PLACE)
    row, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, Unknown), outcome
    stage.running.faults.add(FaultKind.MAINTENANCE, count=None)
    assert isinstance(await stage.resolve(row), Unknown)
    stage.running.faults.clear()
    assert isinstance(await stage.resolve(row), Accepted)


async def test_an_order_that_is_not_visible_yet_is_not_absent(stage: Stage) -> None:
    """Look-ups lag behind the book by less than the table's visibility delay."""
    delay_s = stage.connector.proofs.visibility_delay_s
    stage.running.exchange.switches.lookup_lag_ms = int(delay_s * 1000) - 500
    stage.fault(FaultKind.DROP_AFTER_APPLY, CommandKind.PLACE)
    row, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, Unknown), outcome
    assert isinstance(await stage.resolve(row), Accepted)


@pytest.mark.parametrize("seed", range(3))
async def test_no_outcome_ever_contradicts_the_exchange(stage: Stage, seed: int) -> None:
    source = random.Random(seed)
    kinds = [*(kind for kind, _ in AMBIGUOUS), None, None]
    resting, taking = await stage.resting(), await stage.taking()
    commands = [resting, taking, replace(resting, quantity=resting.quantity * 1_000_000)]
    seen, account = set(), stage.account
    for _ in range(25):
        stage.running.faults.clear()
        kind = source.choice(kinds)
        if kind is not None:
            stage.fault(kind, CommandKind.PLACE)
        row, outcome = await stage.send(source.choice(commands), account)
        stage.running.faults.clear()
        seen.add(outcome.kind)
        agrees(stage, row, outcome)
        if isinstance(outcome, Unknown):
            truth = await stage.resolve(row)
            seen.add(truth.kind)
            agrees(stage, row, truth)
            # Without a fence what never came stays unknown; what came is found in any case.
            is_open = not can_prove_absence(stage) and not executed_at(stage, row)
            assert isinstance(truth, Unknown) is is_open
            if isinstance(truth, Unknown):
                # Nothing new goes to a market with an open question, until somebody answers it;
                # another account knows nothing of it.
                with pytest.raises(RiskRefused, match="order resolve"):
                    await stage.reserve(resting, account)
                account = await stage.open_account()
            # A search may have let time pass there alone; what follows is sent by our clock.
            stage.set_venue_right()
    assert seen >= {"accepted", "rejected", "unknown"}


def agrees(stage: Stage, row: CommandRow, outcome: Outcome) -> None:
    """Check an outcome against what the exchange did."""
    there = stage.at_venue(row)
    executed = executed_at(stage, row)
    assert len(there) <= 1
    if isinstance(outcome, Accepted):
        assert len(executed) == 1, outcome
    elif isinstance(outcome, Rejected):
        assert executed == [], outcome
    elif isinstance(outcome, NotSent):
        assert there == [], outcome


def executed_at(stage: Stage, row: CommandRow) -> list[Record]:
    """Return the orders of a row that the exchange took."""
    return [order for order in stage.at_venue(row) if order.reason is not Reason.MARGIN]
