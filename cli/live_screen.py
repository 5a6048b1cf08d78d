"""Draws a followed view in a terminal, anew a few times a second, so that ages grow.

While nothing is connected, everything shown is marked as old.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.live_table import Cell, LiveTable, Tone, View
from cli.output import safe

EVERY_S: Final = 0.25
_STYLES: Final[dict[Tone, str]] = {
    "": "",
    "good": "green",
    "bad": "red",
    "alarm": "bold yellow",
    "old": "dim",
}


def drawn(view: View[Any], headline: Sequence[Cell], *, is_old: bool) -> RenderableType:
    """Return a view as rich draws it."""
    head = Text(safe(view.title), style="bold")
    for cell in headline:
        head.append(" · ", style="dim")
        head.append(cell.text, style=_STYLES[cell.tone])
    parts: list[RenderableType] = [head]
    parts += [_table(table, is_old=is_old) for table in view.tables()]
    parts += [Text(safe(note), style="dim", overflow="ellipsis") for note in view.notes()]
    return Group(*parts)


@asynccontextmanager
async def screen(
    view: View[Any], headline: Callable[[], Sequence[Cell]], is_old: Callable[[], bool]
) -> AsyncIterator[None]:
    """Show a view meanwhile; what was shown last stays when this ends."""

    def now() -> RenderableType:
        return drawn(view, headline(), is_old=is_old())

    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    with Live(now(), console=console, auto_refresh=False, vertical_overflow="crop") as live:

        async def keep_drawing() -> None:
            while True:
                live.update(now(), refresh=True)
                await asyncio.sleep(EVERY_S)

        drawing = asyncio.create_task(keep_drawing(), name="screen")
        try:
            yield
        finally:
            drawing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await drawing
            live.update(now(), refresh=True)


def can_draw() -> bool:
    """Say whether stdout is a terminal on which lines can be changed."""
    if not sys.stdout.isatty():
        return False
    return not Console(file=sys.stdout).is_dumb_terminal


def _table(table: LiveTable, *, is_old: bool) -> RenderableType:
    if not table.rows:
        return Text(f"({table.nothing})", style="dim")
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in table.columns:
        justify = "right" if name in table.right else "left"
        shown.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    for row in table.rows:
        style = "dim" if is_old else None
        shown.add_row(*(_text(cell, is_old=is_old) for cell in row), style=style)
    return shown


def _text(cell: Cell, *, is_old: bool) -> Text:
    return Text(cell.text, style="" if is_old else _STYLES[cell.tone])
