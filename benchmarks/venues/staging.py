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
    row = await stage.reserve(await stage.resting())
    return replace(row, send_by=datetime.now(UTC) + _FOR_LONG)
