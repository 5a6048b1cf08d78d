"""Our own budget of a venue's requests: told, corrected by its refusals, and open for cancels."""

from __future__ import annotations

from domain.commands import CommandKind
from domain.outcomes import Accepted, Acknowledged, NotSent
from tests.bus.waiting import eventually
from tests.conformance.stage import Stage
from venues.connector import TellsBudget
from venues.simulation.faults import FaultKind


async def test_once_the_venue_refused_for_its_limit_only_cancels_go(stage: Stage) -> None:
    connector = stage.connector
    assert isinstance(connector, TellsBudget), "an account's owner is shown what is left"
    left = connector.budget_left()
    assert left.unit and left.per_s > 0 and 0 < left.left <= left.capacity
    resting, _ = await stage.accepted(await stage.resting())
    command = await stage.resting()
    stage.fault(FaultKind.RATE_LIMIT, CommandKind.PLACE)
    _, refused = await stage.send(command)
    assert not isinstance(refused, Accepted), refused
    before = len(stage.records())
    row, outcome = await stage.send(command)
    assert isinstance(outcome, NotSent), outcome
    assert outcome.retryable
    assert stage.at_venue(row) == []
    assert len(stage.records()) == before
    assert isinstance(await stage.cancel(resting), Accepted | Acknowledged)
    await eventually(lambda: not stage.one_at_venue(resting).status.is_live)
