"""What a followed view shows, before it is drawn: cells with a meaning, tables, notes. Pure.

Knows no terminal; `live_screen` draws it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

from cli.output import safe

#: What a cell means: money won or lost, something that needs a look, something not to rely on.
Tone = Literal["", "good", "bad", "alarm", "old"]
NOTES_MAX: Final = 8

E_contra = TypeVar("E_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Cell:
    """One value and what it means."""

    value: object
    tone: Tone = ""

    @property
    def text(self) -> str:
        """The value as text that is only ever text."""
        return safe(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTable:
    """A table as it is now; columns in `right` are aligned right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    right: frozenset[str] = frozenset()
    nothing: str = "nothing"


class View(Protocol, Generic[E_contra]):
    """What is followed: keeps the present, and says of each event what it changed."""

    #: What is shown, in words.
    title: str

    def take(self, event: E_contra) -> list[str]:
        """Keep an event; return what it tells, a line each."""
        ...

    def document(self, event: E_contra) -> dict[str, Any]:
        """Return an event in the shape that `--json` prints."""
        ...

    def tables(self) -> Sequence[LiveTable]:
        """Return the present."""
        ...

    def notes(self) -> Sequence[str]:
        """Return the latest lines, newest last."""
        ...


class Notes:
    """The latest lines, a few of them."""

    def __init__(self, at_most: int = NOTES_MAX) -> None:
        self._kept: deque[str] = deque(maxlen=at_most)

    def add(self, lines: Sequence[str]) -> list[str]:
        """Keep lines, and return them."""
        self._kept.extend(lines)
        return list(lines)

    def all(self) -> list[str]:
        """Return what is kept, newest last."""
        return list(self._kept)


def money(value: Decimal | None) -> Cell:
    """Return an amount won or lost, with its sign."""
    if value is None:
        return Cell(None)
    if value == 0:
        return Cell(value)
    text = safe(value)
    return Cell(text if value < 0 else f"+{text}", "bad" if value < 0 else "good")


def age_text(seconds: float) -> str:
    """Return an age for people: 3 s, 2 min, 5 h."""
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
