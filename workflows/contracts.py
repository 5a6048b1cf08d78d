"""What starts, signals and updates of workflows carry, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from domain.lifecycle import Lifecycle
from domain.orders import Order


class StartMode(StrEnum):
    """Why an order's workflow starts."""

    PLACE = "place"
    ADOPT = "adopt"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStart:
    """The start of an order's workflow; `carried` comes along when it continues as new.

    `status_at_close`: the status it ends with is written together with its close, as every start
    of today says. Those of before did not, and their histories say it earlier.
    """

    order: Order
    mode: StartMode = StartMode.PLACE
    carried: Lifecycle | None = None
    status_at_close: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRequest:
    """The `place` update: only waits for the outcome; the fingerprint must be the order's."""

    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """The `cancel` update."""

    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyRequest:
    """The `modify` update, and what is kept of it when nobody answers in time.

    The new total quantity and price, None for what stays.
    """

    request_id: str
    quantity: Decimal | None
    price: Decimal | None
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveRequest:
    """The `resolve` update: an operator's word on an order no proof can decide."""

    request_id: str
    verdict: Literal["absent", "accepted"]
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReply:
    """The answer to a cancel, modify or resolve; `refusal` says why it was not done.

    Not `decided`: the workflow goes on in a fresh history and answers those who ask again.
    """

    order: Order
    refusal: str | None = None
    decided: bool = True
