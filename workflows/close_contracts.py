"""What the start and the updates of a close carry, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from domain.accounts import PositionSide
from domain.closing import ClosePlan, CloseState, CloseStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseStart:
    """The start of a close's workflow; `carried` comes along when it continues as new."""

    plan: ClosePlan
    carried: CloseState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseResult:
    """How a close ended. `status` DONE, FLAT or DUST: nothing is left that could be closed."""

    close_id: str
    status: CloseStatus
    reason: str
    target: Decimal | None
    filled: Decimal
    left: Decimal = Decimal(0)
    is_flat: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRequest:
    """The `close` update: begin, or join, and wait for the end."""

    plan: ClosePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequest:
    """The `stop` update: end this close; whatever of it is live is canceled first."""

    close_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseReply:
    """The state when an update is answered; `decided` False: it goes on in a fresh history."""

    state: CloseState
    decided: bool = True


def result_of(state: CloseState) -> CloseResult:
    """Return how a close ended."""
    return CloseResult(
        close_id=state.plan.close_id,
        status=state.status,
        reason=state.reason,
        target=state.target,
        filled=state.filled,
        left=state.left,
        is_flat=state.sight is None or state.sight.side is PositionSide.FLAT,
    )
