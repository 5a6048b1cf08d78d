"""A seeded slice of the crash matrix and of the storm; the whole of both is `make crash`.

CRASH_SEED chooses another slice.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.crash.__main__ import trader_of
from tests.crash.fills_first import run_fills_first
from tests.crash.late_requests import run_late_requests
from tests.crash.matrix import COMMANDS, Matrix, cells
from tests.crash.native import NativeBrackets, native_cells
from tests.crash.rig import Rig
from tests.crash.storm import Storm

SEED = int(os.environ.get("CRASH_SEED", "20261125"))
STORM_ORDERS = 12


@pytest.mark.timeout(300)
async def test_a_slice_of_the_matrix_and_a_small_storm(tmp_path: Path) -> None:
    source = random.Random(SEED)
    chosen = [
        source.choice([cell for cell in cells() if cell.command == command]) for command in COMMANDS
    ]
    wrong: list[str] = []
    async with Rig(tmp_path / "home") as rig:
        trader = await trader_of(rig)
        matrix = Matrix(rig, trader)
        results = [await matrix.run(cell) for cell in chosen]
        results += [await run for run in run_fills_first(rig, trader)]
        results += [await next(run_late_requests(rig, trader))]
        wrong += [f"{result.cell}: {result.wrong}" for result in results if result.wrong]
        native = NativeBrackets(rig)
        results += [await native.run(source.choice(native_cells())), await native.run_all_dead()]
        storm = Storm(rig, trader, seed=SEED, say=lambda text: None)
        wrong += await storm.run(STORM_ORDERS)

    assert len(results) == len(COMMANDS) + 6
    assert not wrong, f"seed {SEED}:\n" + "\n".join(wrong)
