"""A venue on stage for measuring: the conformance suite's own, with its budgets opened wide."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.venues.limits import wide
from domain.ledger import CommandRow
from storage.schema import upgrade
from tests.conformance.rig import rig_of
from tests.conformance.stage import Stage, open_stage, running
from venues.lanes import Laned

#: Rows are sent again and again here, so that none is past its moment.
_FOR_LONG = timedelta(hours=1)


@asynccontextmanager
async def staged(venue: str) -> AsyncIterator[Stage]:
    """Run a venue's simulator in this process, with a funded account and its connector."""
    rig = rig_of(venue)
    with tempfile.TemporaryDirectory(prefix="perp-dex-bench-") as directory, wide(venue) as patch:
        home = Path(directory)
        template = home / "template.db"
        upgrade(f"sqlite+aiosqlite:///{template}")
        async with (
            running(rig) as simulator,
            open_stage(rig, simulator, template, home, patch) as stage,
        ):
            yield stage


async def a_row(stage: Stage) -> CommandRow:
    """Write a placement that rests into the ledger and return its row, not yet sent."""
    return for_long(await stage.reserve(await stage.resting()))


def for_long(row: CommandRow) -> CommandRow:
    """Return a row with time enough for its first send."""
    return replace(row, send_by=datetime.now(UTC) + _FOR_LONG)


async def forget_lanes(stage: Stage) -> None:
    """Have the venue asked how far its lanes are: other processes sent on them."""
    connector = stage.connector
    if isinstance(connector, Laned):
        access = await stage.trading()
        for lane in connector.lanes_of(access).orders:
            connector.forget_lane(access, lane)
