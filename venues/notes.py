"""`python -m venues.notes --write|--check`: prints each venue's data into its NOTES.md.

A venue names its error table in the `refusals.py` of its folder as `error_table()`. Changes nothing
outside the two marks.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from venues import registry
from venues.error_table import ErrorRow
from venues.sheets import BEGIN, END, notes_part, sheet_of


def error_table_of(venue: str) -> tuple[ErrorRow, ...]:
    """Return a venue's error table."""
    module = importlib.import_module(f"{registry.folder_of(venue)}.refusals")
    return cast("tuple[ErrorRow, ...]", module.error_table())


def notes_of(venue: str) -> Path:
    """Return where a venue's NOTES are."""
    found = importlib.util.find_spec(registry.folder_of(venue))
    if found is None or found.origin is None:
        raise ValueError(f"{venue}: expected a folder with an __init__.py, found none")
    return Path(found.origin).parent / "NOTES.md"


def renewed(venue: str, text: str) -> str:
    """Return a venue's NOTES with the printed part as the data has it now.

    Raises:
        ValueError: the NOTES have no place for it.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{venue}'s NOTES.md: expected the lines {BEGIN!r} and {END!r}")
    spec = registry.load(venue)
    sheet = sheet_of(venue, spec.capabilities, spec.proofs)
    return before + notes_part(sheet, error_table_of(venue)) + after


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write the NOTES of every venue; 0 when they are current, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m venues.notes", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="fail if one is not current")
    action.add_argument("--write", action="store_true", help="write them")
    options = parser.parse_args(arguments)
    stale = 0
    for venue in registry.names():
        path = notes_of(venue)
        text = path.read_text(encoding="utf-8")
        current = renewed(venue, text)
        if text == current:
            continue
        if options.write:
            path.write_text(current, encoding="utf-8")
        else:
            stale += 1
            sys.stderr.write(f"{path}: not current; run python -m venues.notes --write\n")
    return int(stale > 0)


if __name__ == "__main__":
    sys.exit(main())
