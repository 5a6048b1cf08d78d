"""A small seeded drill of the kill switch, and our watchdog once; all is `python -m tests.halts`.

HALTS_SEED chooses another.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.halts.drill import Plan, run_drill
from tests.halts.watchdog import watched_stack, worker_killed

SEED = int(os.environ.get("HALTS_SEED", "20261125"))


@pytest.mark.timeout(200)
async def test_a_small_drill(tmp_path: Path) -> None:
    plan = Plan(orders=8, positions=2, kills=1, seed=SEED)

    outcome = await run_drill(tmp_path / "home", plan, lambda text: None)

    assert not outcome.wrong, f"seed {SEED}:\n" + "\n".join(outcome.wrong)
    assert outcome.requests > 10


@pytest.mark.timeout(200)
async def test_our_watchdog_clears_what_a_killed_worker_left(tmp_path: Path) -> None:
    async with watched_stack(tmp_path / "home") as stack:
        assert await worker_killed(stack, lambda text: None) == ""
