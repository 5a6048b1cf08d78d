"""The page that keeps the figures: each part of it between two marks of its name."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"


def write(name: str, figures: str) -> None:
    """Replace what stands between the marks of `name`.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = PAGE.read_text()
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    if pattern.search(text) is None:
        raise ValueError(f"expected {begin} and {end} in {PAGE}")
    PAGE.write_text(pattern.sub(lambda _: f"{begin}\n\n{figures}\n\n{end}", text))


def machine(shared_by: str) -> str:
    """Say when and on what the figures were taken, and which processes share it."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"Measured {when} on {os.cpu_count()} cores, {platform.machine()}, "
        f"CPython {platform.python_version()}; {shared_by} share them."
    )
