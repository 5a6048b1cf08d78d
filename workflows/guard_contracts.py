"""What the start, the updates and the signals of a guard carry, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.guarding import GuardPlan, GuardState, GuardStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardStart:
    """The start of a guard's workflow; the rest comes along when it continues as new.

    `answered`: the newest changes' request ids, each with why it was refused, or None: it was made.
    """

    plan: GuardPlan
    carried: GuardState | None = None
    answered: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRequest:
    """The `begin` update: begin, or join, and wait until it watches or has ended."""

    plan: GuardPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """The `change` update: other conditions, or another close, from now on."""

    request_id: str
    plan: GuardPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """The `cancel` update: watch no more."""

    condition_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardReply:
    """The state when an update is answered; `decided` False: it goes on in a fresh history."""

    state: GuardState
    decided: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardResult:
    """How a guard ended."""

    condition_id: str
    status: GuardStatus
    reason: str
