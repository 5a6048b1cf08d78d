"""What a close gives to its activities and gets back: one dataclass in, one out.

Plain data with defaults for new fields, so that old histories replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from domain.closing import ClosePlan, CloseState


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseLookTask:
    """Read the truth about a position that is being closed; the book if `needs_book`.

    `orders` is how many closing orders there may be in the store; `follows` names the one of whose
    end the close does not hear, if there is one: it has not ended before its fills are booked.
    """

    plan: ClosePlan
    orders: int
    needs_book: bool = False
    follows: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseKeepTask:
    """Write how far a close is."""

    state: CloseState


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseKept:
    """What is kept of a close, and what its orders have filled by now."""

    state: CloseState
    filled: Decimal
