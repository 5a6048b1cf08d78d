"""The table in docs/what-is-down.md and the tests of this room are about the same things."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.down.rows import SHOWN, TABLE, rows_of_the_table


def test_each_row_has_its_test_and_each_test_its_row() -> None:
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"tests.down.{path.stem}")
    rows = rows_of_the_table()
    assert len(rows) == len(set(rows)) > 10
    assert set(rows) == set(SHOWN)
    assert all(len(set(tests)) == 1 for tests in SHOWN.values()), SHOWN


def test_each_row_fills_its_columns() -> None:
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    header = lines[0].count("|")
    assert header == 10
    for line in lines:
        assert line.count("|") == header, line
        assert all(cell.strip() for cell in line.strip("|").split("|")), line
