"""What a split order gives to its activities: plain data with defaults for new fields."""

from __future__ import annotations

from dataclasses import dataclass

from domain.splits import SplitState


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTask:
    """Something about one split order, as its workflow knows it."""

    state: SplitState
