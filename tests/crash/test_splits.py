"""A seeded slice of the cells of split orders; all: `python -m tests.crash --command split`.

CRASH_SEED chooses another slice.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.rig import Rig
from tests.crash.splits import VENUES, Splits, split_cells
from tests.crash.test_slice import SEED


@pytest.mark.timeout(200)
async def test_a_slice_of_the_cells_of_split_orders(tmp_path: Path) -> None:
    one_key, *_ = [cell for cell in split_cells() if cell.command == "one key"]
    others = [cell for cell in split_cells() if cell != one_key]
    chosen = [one_key, random.Random(SEED).choice(others)]
    async with Rig(tmp_path / "home", venues=VENUES) as rig:
        splits = Splits(rig)
        results = [await splits.run(cell) for cell in chosen]
    wrong = [f"{result.cell}: {result.wrong}" for result in results if result.wrong]
    assert not wrong, f"seed {SEED}:\n" + "\n".join(wrong)
