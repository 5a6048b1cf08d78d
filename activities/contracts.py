"""What workflows give to activities and get back: one dataclass in, one out.

Plain data with defaults for new fields, so that old histories replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.ledger import CommandKey
from domain.lifecycle import Cancel
from domain.orders import Concern, Order


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceTask:
    """Place revision `revision` of `order` for `quantity` at `price`, before `not_after`."""

    order: Order
    revision: int
    quantity: Decimal
    price: Decimal | None
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTask:
    """Cancel the order's `revision` by cancel number `number`.

    `order` is the workflow's own copy: with the database away it is all that a cancel needs.
    """

    order_id: str
    number: int
    revision: int
    concern: Concern
    order: Order | None = None


def cancel_task(order: Order, step: Cancel) -> CancelTask:
    """Return the task of a cancel that is the next step of `order`."""
    return CancelTask(
        order_id=order.order_id,
        number=step.number,
        revision=step.revision,
        concern=step.concern,
        order=order,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveTask:
    """Find out what became of a command."""

    key: CommandKey


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseTask:
    """Close an order of which nothing is, or can come, at the venue; `order` if SQL lacks it."""

    order: Order
    reason: str
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTask:
    """Something about one order."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestNote:
    """A request for an order's timeline."""

    order_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The order after a command, whether its outcome is `definite`, and the last answer in words.

    `denied` is our own reason when nothing was reserved nor sent.
    """

    order: Order
    definite: bool
    answer: str
    denied: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """An order as the ledger knows it, for a workflow that takes it over.

    `undecided` are the commands whose bytes may be out, `cancel_count` the next cancel's number.
    """

    order: Order
    undecided: tuple[CommandKey, ...] = ()
    cancel_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Whether the order has ended with all fills booked, and the order as it stands in SQL."""

    order: Order
    settled: bool
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorVerdict:
    """An operator's word on an order that no proof can decide."""

    order_id: str
    verdict: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTask:
    """Something about one account."""

    account_id: str
