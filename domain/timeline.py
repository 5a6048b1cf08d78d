"""An order's timeline: what happened to it and when, kept for ever beside the order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.orders import Order


class EventKind(StrEnum):
    """What kind of thing happened."""

    CREATED = "created"
    COMMAND = "command"
    OUTCOME = "outcome"
    REPORT = "report"
    FILL = "fill"
    CONCERN = "concern"
    REQUEST = "request"
    CLOSED = "closed"
    FINDING = "finding"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """One entry. `text` is for people, one line; `detail` is small evidence, never a secret."""

    order_id: str
    kind: EventKind
    text: str
    at: datetime
    detail: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """An order after a change, at its place in the account's gapless sequence.

    The stream that order sockets send: `sequence` counts from 1 per account without gaps, in
    commit order.
    """

    account_id: str
    sequence: int
    order: Order
    event: TimelineEvent
