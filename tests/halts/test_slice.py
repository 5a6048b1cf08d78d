"""A small seeded drill of the kill switch; the whole is `python -m tests.halts`.

HALTS_SEED chooses another.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.halts.drill import Plan, run_drill

SEED = int(os.environ.get("HALTS_SEED", "20261125"))


@pytest.mark.timeout(200)
async def test_a_small_drill(tmp_path: Path) -> None:
    plan = Plan(orders=8, positions=2, kills=1, seed=SEED)

    outcome = await run_drill(tmp_path / "home", plan, lambda text: None)

    assert not outcome.wrong, f"seed {SEED}:\n" + "\n".join(outcome.wrong)
    assert outcome.requests > 10
