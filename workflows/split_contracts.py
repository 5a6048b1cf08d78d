"""What the start and the updates of a split order carry, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from domain.splits import SplitPlan, SplitState


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitStart:
    """The start of a split order's workflow; `carried` comes along when it continues as new."""

    plan: SplitPlan
    carried: SplitState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelSplit:
    """The `cancel` update: cancel every child, and begin none any more."""

    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReply:
    """The state when an update is answered; `decided` False: it goes on in a fresh history."""

    state: SplitState
    decided: bool = True
