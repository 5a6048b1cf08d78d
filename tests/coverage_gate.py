"""The coverage gate: `python -m tests.coverage_gate` after `coverage combine`.

Lines and branches together, per room. Prints a table and ends with 1 when a room is below its
mark.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final

import coverage

TOTAL_MIN: Final = 90.0
ROOM_MIN: Final = {"domain": 95.0, "workflows": 95.0, "activities": 95.0, "storage": 95.0}


def measured(data_file: str = ".coverage") -> dict[str, tuple[int, int]]:
    """Return (covered, all) lines and branches of each room."""
    report = coverage.Coverage(data_file=data_file)
    report.load()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "coverage.json"
        # Copies that tests made elsewhere are not the product, and may be gone by now.
        report.json_report(outfile=str(path), include=[f"{Path.cwd()}/*"])
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
    rooms: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, file in files.items():
        summary = file["summary"]
        room = rooms[Path(name).parts[0]]
        room[0] += summary["covered_lines"] + summary["covered_branches"]
        room[1] += summary["num_statements"] + summary["num_branches"]
    return {name: (covered, whole) for name, (covered, whole) in rooms.items()}


def percent(covered: int, whole: int) -> float:
    return 100.0 * covered / whole if whole else 100.0


def judge(rooms: dict[str, tuple[int, int]]) -> tuple[list[str], bool]:
    """Return the table's lines, and whether every mark is reached."""
    lines, passed = [f"{'room':<18}{'covered':>9}{'mark':>7}"], True
    total = (sum(c for c, _ in rooms.values()), sum(w for _, w in rooms.values()))
    for name, mark in ROOM_MIN.items():
        rooms.setdefault(name, (0, 1))
        passed = passed and percent(*rooms[name]) >= mark
    passed = passed and percent(*total) >= TOTAL_MIN
    for name in sorted(rooms):
        lines.append(_line(name, percent(*rooms[name]), ROOM_MIN.get(name)))
    lines.append(_line("all", percent(*total), TOTAL_MIN))
    return lines, passed


def _line(name: str, reached: float, mark: float | None) -> str:
    wanted = f"{mark:>6.0f}%" if mark is not None else ""
    short = "  below its mark" if mark is not None and reached < mark else ""
    return f"{name:<18}{reached:>8.1f}%{wanted:>7}{short}"


def main() -> int:
    """Print the table; 0 when every mark is reached."""
    lines, passed = judge(measured())
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
