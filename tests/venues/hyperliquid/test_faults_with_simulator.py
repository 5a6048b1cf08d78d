"""Whatever breaks between us and the exchange, what we conclude agrees with its own ledger."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from domain.commands import BurnNonce
from domain.orders import Verdict
from domain.outcomes import Accepted, NotSent, Rejected, Unknown
from tests.venues.hyperliquid.desk import RESTING, TAKING, Desk, desk
from venues.simulation.faults import FaultKind
from venues.simulation.records import Reason

__all__ = ["desk"]


async def test_burning_a_nonce_before_and_after_the_order(desk: Desk) -> None:
    row = await desk.reserve(RESTING)
    assert row.nonce is not None
    noop, outcome = await desk.send(BurnNonce(nonce=row.nonce))
    assert outcome == Accepted()
    late = (await desk.connector.send(row, desk.access)).outcome
    assert isinstance(late, Unknown)
    assert "duplicate nonce" in late.reason
    assert desk.at_venue(row) == []
    again = (await desk.connector.resend(noop, desk.access)).outcome
    assert isinstance(again, Rejected)
    assert again.code == "nonce_used"
    placed, _ = await desk.send(RESTING)
    assert placed.nonce is not None
    _, too_late = await desk.send(BurnNonce(nonce=placed.nonce))
    assert isinstance(too_late, Rejected)
    assert too_late.code == "nonce_used"
    assert (await desk.find(placed)).verdict is Verdict.ACCEPTED


async def test_expired_command_is_never_admitted(desk: Desk) -> None:
    row = await desk.reserve(RESTING)
    row = replace(row, admitted_until=datetime.now(UTC) - timedelta(seconds=1))
    outcome = (await desk.connector.send(row, desk.access)).outcome
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.proof) == ("admission_expired", "Action already expired")
    assert desk.at_venue(row) == []


AMBIGUOUS = [
    (FaultKind.DROP_BEFORE_APPLY, False),
    (FaultKind.DROP_AFTER_APPLY, True),
    (FaultKind.ERROR_BEFORE_APPLY, False),
    (FaultKind.ERROR_AFTER_APPLY, True),
    (FaultKind.GARBLE, True),
]


@pytest.mark.parametrize(("kind", "applied"), AMBIGUOUS)
async def test_a_burnt_nonce_tells_what_became_of_an_ambiguous_order(
    desk: Desk, kind: FaultKind, applied: bool
) -> None:
    desk.venue.faults.add(kind, action="order")
    row, _ = await desk.send(RESTING)
    assert row.nonce is not None
    _, outcome = await desk.send(BurnNonce(nonce=row.nonce))
    if applied:
        assert isinstance(outcome, Rejected)
        assert outcome.code == "nonce_used"
        assert (await desk.find(row)).verdict is Verdict.ACCEPTED
    else:
        assert outcome == Accepted()
        assert isinstance((await desk.connector.resend(row, desk.access)).outcome, Unknown)
        assert desk.at_venue(row) == []


async def test_upgrade_gate(desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.UPGRADE_GATE, count=None)
    _, outcome = await desk.send(RESTING)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "post_only_period"
    _, post_only = await desk.send(replace(RESTING, post_only=True))
    assert isinstance(post_only, Accepted)


@pytest.mark.parametrize("seed", range(3))
async def test_outcomes_never_contradict_the_exchanges_own_ledger(desk: Desk, seed: int) -> None:
    """Whatever breaks, what we call accepted is there once, and what we call unsent is not."""
    source = random.Random(seed)
    kinds = [*(kind for kind, _ in AMBIGUOUS), FaultKind.RATE_LIMIT, None, None]
    seen = set()
    for _ in range(40):
        desk.connector._rest._budget._closed_until = 0.0
        desk.venue.faults.clear()
        kind = source.choice(kinds)
        if kind is not None:
            desk.venue.faults.add(kind, action="order", count=source.randint(1, 2))
        command = source.choice([RESTING, TAKING, replace(RESTING, quantity=Decimal(1000))])
        row, outcome = await desk.send(command)
        for _ in range(source.randint(0, 2)):
            if not isinstance(outcome, Unknown):
                break
            outcome = (await desk.connector.resend(row, desk.access)).outcome
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
        else:
            assert row.nonce is not None
            desk.venue.faults.clear()
            _, burnt = await desk.send(BurnNonce(nonce=row.nonce))
            assert isinstance(burnt, Rejected) == (len(orders) == 1)
            assert burnt == Accepted() or orders
            assert len(desk.at_venue(row)) == len(orders)
    assert seen == {"accepted", "rejected", "not_sent", "unknown"}
