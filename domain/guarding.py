"""A guard: conditions on a position, who watches them, and what became of it.

What to do next about it is decided in `domain.guard_steps`. Knows no venue, clock or storage.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.accounts import Network, PositionSide
from domain.closing import DEFAULT_SLIPPAGE_BPS, ClosePlan, CloseStatus, Escalation
from domain.conditions import Conditions, Crossing, HeldPosition
from domain.instruments import Instrument
from domain.orders import Origin


class GuardStatus(StrEnum):
    """How a guard stands, or how it ended."""

    REQUESTED = "REQUESTED"
    WATCHING = "WATCHING"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"
    CLOSE_ENDED = "CLOSE_ENDED"
    POSITION_GONE = "POSITION_GONE"
    POSITION_FLIPPED = "POSITION_FLIPPED"
    CANCELED = "CANCELED"
    REFUSED = "REFUSED"

    @property
    def is_terminal(self) -> bool:
        """Whether the guard has ended."""
        return self not in (GuardStatus.REQUESTED, GuardStatus.WATCHING, GuardStatus.CLOSING)


class Native(StrEnum):
    """Whether the venue protects the position too, by orders of its own."""

    NO = "no"
    BESIDE = "beside"
    """Orders rest at the venue; the guard acts when they are gone, or for what they cannot do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPlan:
    """What is watched and what follows; `percent` is of the quantity when it is triggered.

    The close is a market order bounded by `max_slippage_bps`, or follows `escalation`. `version`
    counts changes.
    """

    condition_id: str
    owner: str
    account_id: str
    venue: str
    network: Network
    symbol: str
    created_at: datetime
    conditions: Conditions
    percent: Decimal = Decimal(100)
    max_slippage_bps: int = DEFAULT_SLIPPAGE_BPS
    escalation: Escalation | None = None
    native: Native = Native.NO
    requested_by: str = ""
    fingerprint: str = ""
    idempotency_key: str = ""
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Proof that somebody evaluates a guard on fresh marks: who, since when, last when."""

    by: str
    since: datetime
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Extreme:
    """The best mark of a trailing stop, and when it was seen."""

    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Excursion:
    """A condition that was met and is not any more: reported, not acted on."""

    what: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeOrder:
    """One trigger order at the venue that protects the position for this guard."""

    order_id: str
    kind: str
    trigger_price: Decimal
    quantity: Decimal
    placed_at: datetime
    is_live: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSight:
    """The venue's word at one moment, and what is stored of the watch.

    `position` None: there is none. `mark` None: no price that may be believed (`doubt` says why).
    `high` and `low` are of trading while nobody watched, where that was asked. `live_native` are
    the guard's own orders that rest at the venue; `filled_native`: one of them has closed it.
    `closed` is how the guard's close ended, if it has.
    """

    at: datetime
    position: HeldPosition | None
    mark: Decimal | None = None
    doubt: str = ""
    watch: Watch | None = None
    extreme: Extreme | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    live_native: tuple[str, ...] = ()
    filled_native: bool = False
    instrument: Instrument | None = None
    closed: CloseStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardState:
    """All that a guard's workflow knows; kept in SQL, and taken along when it continues as new.

    `side` is fixed by the first look: conditions on a long position mean nothing for a short one.
    `looked_at` is the last look that succeeded, `priced_at` the last that brought a price.
    `held_up_since`: it would close, and another close of the position runs.
    """

    plan: GuardPlan
    status: GuardStatus = GuardStatus.REQUESTED
    reason: str = ""
    side: PositionSide | None = None
    position: HeldPosition | None = None
    mark: Decimal | None = None
    looked_at: datetime | None = None
    watch: Watch | None = None
    extreme: Extreme | None = None
    crossing: Crossing | None = None
    excursions: int = 0
    last_excursion: Excursion | None = None
    native_orders: tuple[NativeOrder, ...] = ()
    native_orders_placed: int = 0
    native_note: str = ""
    close_status: CloseStatus | None = None
    look_due: bool = True
    reported: Crossing | None = None
    attempts: int = 0
    failing_since: datetime | None = None
    held_up_since: datetime | None = None
    retry_at: datetime | None = None
    last_answer: str = ""
    cancel_wanted: bool = False
    ended_at: datetime | None = None
    priced_at: datetime | None = None

    @property
    def close_id(self) -> str:
        """The id of the one close this guard may begin."""
        return close_id_of(self.plan.condition_id)

    @property
    def is_native_live(self) -> bool:
        """Whether orders at the venue protect the position."""
        return any(order.is_live for order in self.native_orders)


def close_id_of(condition_id: str) -> str:
    """Return the id of a guard's close, now and for ever (a UUIDv5): it closes at most once."""
    return str(uuid.uuid5(uuid.UUID(condition_id), "close"))


def native_order_id(condition_id: str, number: int) -> str:
    """Return the id of a guard's order number `number` at the venue (a UUIDv5)."""
    return str(uuid.uuid5(uuid.UUID(condition_id), f"native {number}"))


def close_plan(state: GuardState, crossing: Crossing, now: datetime) -> ClosePlan:
    """Return the close that a crossing asks for."""
    plan = state.plan
    return ClosePlan(
        close_id=state.close_id,
        owner=plan.owner,
        account_id=plan.account_id,
        venue=plan.venue,
        symbol=plan.symbol,
        created_at=now,
        percent=plan.percent,
        max_slippage_bps=plan.max_slippage_bps,
        escalation=plan.escalation,
        side=state.side,
        reason=f"condition {crossing}",
        origin=Origin.CLOSE,
        requested_by=f"condition {plan.condition_id}",
        fingerprint=f"condition {plan.condition_id}",
        idempotency_key=f"condition {plan.condition_id}",
    )
