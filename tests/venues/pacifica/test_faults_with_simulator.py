"""Whatever breaks between us and the exchange, what we conclude agrees with its own ledger."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from domain.commands import CancelOrder
from domain.errors import VenueUnavailable
from domain.orders import Verdict
from domain.outcomes import Accepted, NotSent, Rejected, Unknown
from domain.resolution import PlacementEvidence, decide_placement
from tests.venues.desk import report_of
from tests.venues.pacifica.desk import RESTING, TAKING, Desk, desk
from venues.pacifica.proofs import PROOFS
from venues.simulation.faults import FaultKind
from venues.simulation.records import Reason

__all__ = ["desk"]

AMBIGUOUS = [
    (FaultKind.DROP_BEFORE_APPLY, False),
    (FaultKind.DROP_AFTER_APPLY, True),
    (FaultKind.ERROR_BEFORE_APPLY, False),
    (FaultKind.ERROR_AFTER_APPLY, True),
    (FaultKind.GARBLE, True),
    (FaultKind.RATE_LIMIT, False),
]


async def test_an_expired_command_is_never_admitted(desk: Desk) -> None:
    row = await desk.reserve(RESTING)
    exchange = desk.venue.exchange
    await exchange.durable(exchange.shift_clock(6_500))
    outcome = (await desk.connector.send(row, desk.access)).outcome
    assert isinstance(outcome, NotSent)
    assert outcome.reason == "admission_expired"
    assert desk.at_venue(row) == []


async def test_a_command_from_a_clock_that_is_ahead_is_admitted_all_the_same(desk: Desk) -> None:
    exchange = desk.venue.exchange
    await exchange.durable(exchange.shift_clock(-1_500))
    assert isinstance((await desk.send(RESTING))[1], Accepted)
    await exchange.durable(exchange.shift_clock(-3_000))
    _, outcome = await desk.send(RESTING)
    assert isinstance(outcome, NotSent)


async def test_the_same_bytes_twice_are_two_orders_at_this_exchange(desk: Desk) -> None:
    """Nobody has verified that the venue refuses a second copy: so we never send one."""
    row = await desk.reserve(RESTING)
    for _ in range(2):
        assert isinstance((await desk.connector.send(row, desk.access)).outcome, Accepted)
    assert len(desk.at_venue(row)) == 2
    assert not PROOFS.replay_protected


@pytest.mark.parametrize(("kind", "applied"), AMBIGUOUS)
async def test_an_ambiguous_placement_is_unknown_and_its_resend_sends_nothing(
    desk: Desk, kind: FaultKind, applied: bool
) -> None:
    desk.venue.faults.add(kind, action="order")
    row, outcome = await desk.send(RESTING)
    assert isinstance(outcome, Unknown), outcome
    assert len(desk.at_venue(row)) == int(applied)
    assert isinstance((await desk.connector.resend(row, desk.access)).outcome, Unknown)
    assert len(desk.at_venue(row)) == int(applied)
    desk.connector._rest._budget._closed_until = 0.0
    found = await desk.connector.find_order(
        desk.account, symbol="", client_order_id=row.client_order_id
    )
    assert (found.order is not None) == applied


async def test_silence_proves_absence_only_behind_the_fence(desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.DROP_BEFORE_APPLY, action="order")
    row, _ = await desk.send(RESTING)
    connector, exchange = desk.connector, desk.venue.exchange
    proven = []
    for offset_ms in (0, 20_000):
        await exchange.durable(exchange.shift_clock(offset_ms))
        evidence = PlacementEvidence(
            all_silent=True, venue_time=await connector.venue_time(desk.account)
        )
        proven.append(decide_placement(row, evidence, visibility_delay_s=PROOFS.visibility_delay_s))
    assert proven[0] is None
    assert isinstance(proven[1], NotSent)
    late = await connector.send(replace(row, send_by=datetime.max.replace(tzinfo=UTC)), desk.access)
    assert isinstance(late.outcome, NotSent)
    assert desk.at_venue(row) == []


async def test_a_duplicate_client_id_is_looked_up_and_never_called_a_refusal(desk: Desk) -> None:
    desk.venue.exchange.switches.refuse_duplicate_client_ids = True
    row, _ = await desk.send(RESTING)
    outcome = (await desk.connector.send(row, desk.access)).outcome
    assert isinstance(outcome, Unknown)
    assert "Duplicate client order id" in outcome.reason
    assert len([order for order in desk.at_venue(row) if order.status.is_live]) == 1


async def test_a_late_answer_is_unknown_within_the_command_timeout(desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.DELAY_ANSWER, action="order", delay_ms=4000)
    async with asyncio.timeout(3.5):
        row, outcome = await desk.send(RESTING)
    assert isinstance(outcome, Unknown)
    assert "within 2 s" in outcome.reason
    assert (await desk.find(row)).verdict is Verdict.ACCEPTED


async def test_where_the_look_up_after_an_immediate_order_fails_its_answer_stands(
    desk: Desk,
) -> None:
    desk.venue.faults.add(FaultKind.ERROR_BEFORE_APPLY, action="/orders/history_by_id")
    row, outcome = await desk.send(TAKING)
    report = report_of(outcome)
    assert (report.verdict, report.filled_quantity) == (Verdict.ACCEPTED, None)
    assert (await desk.find(row)).verdict is Verdict.FILLED


async def test_after_a_429_only_cancels_go(desk: Desk) -> None:
    row, _ = await desk.send(RESTING)
    desk.venue.faults.add(FaultKind.RATE_LIMIT, action="order")
    await desk.send(RESTING)
    _, outcome = await desk.send(RESTING)
    assert isinstance(outcome, NotSent)
    assert "credits" in outcome.reason
    cancel = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    assert isinstance((await desk.send(cancel))[1], Accepted)
    with pytest.raises(VenueUnavailable, match="credits is used up"):
        await desk.connector.open_orders(desk.account)


async def test_an_ambiguous_cancel(desk: Desk) -> None:
    row, _ = await desk.send(RESTING)
    desk.venue.faults.add(FaultKind.DROP_AFTER_APPLY, action="cancel")
    cancel = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    cancel_row, outcome = await desk.send(cancel)
    assert isinstance(outcome, Unknown)
    assert isinstance((await desk.connector.resend(cancel_row, desk.access)).outcome, Unknown)
    assert (await desk.find(row)).verdict is Verdict.CANCELED


@pytest.mark.parametrize("kind", [FaultKind.GARBLE, FaultKind.DROP_BEFORE_APPLY])
async def test_a_question_without_a_whole_answer_raises(desk: Desk, kind: FaultKind) -> None:
    # HTTP clients ask again by GET when a kept connection breaks: so it breaks every time.
    desk.venue.faults.add(kind, action="info", count=None)
    with pytest.raises(VenueUnavailable):
        await desk.connector.open_orders(desk.account)


@pytest.mark.parametrize("seed", range(3))
async def test_outcomes_never_contradict_the_exchanges_own_ledger(desk: Desk, seed: int) -> None:
    """Whatever breaks, what we call accepted is there once, and what we call unsent is not."""
    source = random.Random(seed)
    kinds = [*(kind for kind, _ in AMBIGUOUS), None, None]
    seen = set()
    for _ in range(40):
        desk.connector._rest._budget._closed_until = 0.0
        desk.venue.faults.clear()
        kind = source.choice(kinds)
        if kind is not None:
            desk.venue.faults.add(kind, action="order", count=source.randint(1, 2))
        too_large = replace(
            RESTING, symbol="SOL-PERP", quantity=Decimal(30_000), price=Decimal(140)
        )
        command = source.choice([RESTING, TAKING, too_large])
        row, outcome = await desk.send(command)
        seen.add(outcome.kind)
        orders = desk.at_venue(row)
        executed = [order for order in orders if order.reason is not Reason.MARGIN]
        assert len(orders) <= 1
        if isinstance(outcome, Accepted):
            assert len(executed) == 1
        elif isinstance(outcome, Rejected):
            assert executed == []
        elif isinstance(outcome, NotSent):
            assert orders == []
    assert seen >= {"accepted", "rejected", "unknown"}


async def test_many_at_once_each_get_their_own_answer(desk: Desk) -> None:
    rows = [await desk.reserve(RESTING) for _ in range(30)]
    results = await asyncio.gather(*(desk.connector.send(row, desk.access) for row in rows))
    ids = [report_of(result.outcome).venue_order_id for result in results]
    assert len(set(ids)) == 30
    for row, found in zip(rows, ids, strict=True):
        (order,) = desk.at_venue(row)
        assert str(order.venue_order_id) == found


async def test_fills_of_more_than_a_window_ago_are_asked_for_in_pieces(desk: Desk) -> None:
    await desk.send(TAKING)
    since = datetime.now(UTC) - timedelta(days=200)
    assert await desk.connector.fills(desk.account, since=since)
    with pytest.raises(VenueUnavailable, match="later time"):
        await desk.connector.fills(desk.account, since=since - timedelta(days=3000))
