"""What a bracket gives to its activities: one dataclass, with defaults for new fields."""

from __future__ import annotations

from dataclasses import dataclass

from domain.brackets import BracketState


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketTask:
    """Something about one bracket, as its workflow knows it."""

    state: BracketState
