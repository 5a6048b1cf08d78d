"""What the start and the updates of a bracket carry, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from domain.brackets import BracketPlan, BracketState


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketStart:
    """The start of a bracket's workflow; `carried` comes along when it continues as new."""

    plan: BracketPlan
    carried: BracketState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRequest:
    """The `end` update: cancel entry and exits; what was entered stays open."""

    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketReply:
    """The state when an update is answered; `decided` False: it goes on in a fresh history."""

    state: BracketState
    decided: bool = True
