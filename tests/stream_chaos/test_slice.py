"""A seeded slice of the storm and of the soak; the whole is `python -m tests.stream_chaos`.

STREAM_CHAOS_SEED chooses another.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.stream_chaos.market_judge import LEVELS
from tests.stream_chaos.soak import run_soak
from tests.stream_chaos.storm import run_storm
from tests.stream_chaos.weather import Cut, Fate

SEED = int(os.environ.get("STREAM_CHAOS_SEED", "20261130"))
STORM_S = 8.0
SOAK_S = 20.0


@pytest.mark.timeout(200)
@pytest.mark.parametrize("venue", sorted(LEVELS))
async def test_a_slice_of_the_storm(venue: str, tmp_path: Path) -> None:
    outcome = await run_storm(tmp_path / "home", seconds=STORM_S, seed=SEED, venue=venue)

    assert not outcome.wrong, f"seed {SEED}:\n" + "\n".join(outcome.wrong)
    # It was a storm, and there was something to lose in it.
    line = outcome.weather["venue"]
    assert sum(line[cut.value] for cut in Cut) >= STORM_S, line
    assert all(line[fate.value] for fate in (Fate.DROP, Fate.DUPLICATE, Fate.SWAP)), line
    assert outcome.fills >= 15
    assert outcome.clients["connections"] > 20
    assert len(outcome.untouched_s) >= STORM_S / 3


@pytest.mark.timeout(200)
async def test_nothing_is_left_open(tmp_path: Path) -> None:
    soaked = await run_soak(tmp_path / "home", seconds=SOAK_S, seed=SEED, only_descriptors=True)

    assert not soaked.wrong, f"seed {SEED}:\n" + "\n".join(soaked.wrong)
    assert soaked.visits > 5
