"""Which test shows which row of the table in docs/what-is-down.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

TABLE = Path(__file__).parents[2] / "docs" / "what-is-down.md"
_ROW = re.compile(r"^\| \*\*(?P<down>[^*]+)\*\* \|", re.M)

F = TypeVar("F", bound=Callable[..., Any])

#: The rows that have a test, with the tests' names; filled as the tests are imported.
SHOWN: dict[str, list[str]] = {}


def row(down: str) -> Callable[[F], F]:
    """Say that a test shows what the table says of `down`."""

    def mark(test: F) -> F:
        SHOWN.setdefault(down, []).append(test.__name__)
        return test

    return mark


def rows_of_the_table() -> list[str]:
    """Return what the rows of the table are about, in its order."""
    return [found["down"] for found in _ROW.finditer(TABLE.read_text(encoding="utf-8"))]
