"""Former payload keys are of use as long as Temporal has a workflow from their time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Unavailable
from workflows.payload_retention import MARGIN, unneeded_payload_keys

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Temporal:
    """Counts workflows by the time they began, as the visibility query asks."""

    def __init__(self, *started: datetime) -> None:
        self.started = started
        self.asked: list[str] = []

    async def count_workflows(self, query: str) -> Any:
        self.asked.append(query)
        before = datetime.fromisoformat(query.split('"')[1])
        count = sum(each < before for each in self.started)
        return type("Count", (), {"count": count})


class Away:
    """Temporal that does not answer."""

    async def count_workflows(self, query: str) -> Any:
        raise RPCError("away", RPCStatusCode.UNAVAILABLE, b"")


async def unneeded(temporal: Any, **superseded: datetime) -> tuple[str, ...]:
    return await unneeded_payload_keys(temporal, superseded, NOW)


async def test_a_key_goes_when_the_last_workflow_of_its_time_is_gone() -> None:
    old, newer = NOW - timedelta(days=40), NOW - timedelta(days=3)
    assert await unneeded(Temporal(), a=old, b=newer) == ("a", "b")
    rests_since = Temporal(old + timedelta(days=1))
    assert await unneeded(rests_since, a=old, b=newer) == ("a",)
    assert rests_since.asked[0].startswith('StartTime < "')
    assert await unneeded(Temporal(old - timedelta(days=1)), a=old, b=newer) == ()


async def test_a_key_that_was_just_superseded_is_not_even_asked_about() -> None:
    temporal = Temporal()
    assert await unneeded(temporal, a=NOW - MARGIN + timedelta(seconds=1)) == ()
    assert temporal.asked == []


async def test_while_temporal_does_not_say_every_key_stays() -> None:
    with pytest.raises(Unavailable, match="count"):
        await unneeded(Away(), a=NOW - timedelta(days=40))
