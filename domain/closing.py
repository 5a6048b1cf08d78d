"""Closing a position: what is asked, what was seen, and how far it has come.

What to do next about it is decided in `domain.close_steps`. Knows no venue, clock or storage.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from domain.accounts import PositionSide
from domain.instruments import Instrument, OrderSide
from domain.orders import OrderStatus, Origin

DEFAULT_SLIPPAGE_BPS = 500


class CloseStatus(StrEnum):
    """How a close stands, or how it ended."""

    REQUESTED = "REQUESTED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FLAT = "FLAT"
    DUST = "DUST"
    STOPPED = "STOPPED"
    CANCELED = "CANCELED"
    POSITION_CHANGED = "POSITION_CHANGED"
    REFUSED = "REFUSED"

    @property
    def is_terminal(self) -> bool:
        """Whether the close has ended."""
        return self not in (CloseStatus.REQUESTED, CloseStatus.RUNNING)

    @property
    def reached_its_aim(self) -> bool:
        """Whether nothing of the target is left that could be closed."""
        return self in (CloseStatus.DONE, CloseStatus.FLAT, CloseStatus.DUST)


class Then(StrEnum):
    """What follows the last repricing: a bounded market order, giving up, or resting on."""

    MARKET = "market"
    STOP = "stop"
    STAY = "stay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """The timetable: every `reprice_every_s` seconds a new price, `reprices` times, `then` this."""

    reprice_every_s: int
    reprices: int
    then: Then


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePlan:
    """What is to be closed and how; fixed for ever.

    `percent` is of the quantity when the close begins. With a `limit_price` the first order rests
    there; with an escalation and none it rests at the best price of its own side; with neither it
    is a market order bounded by `max_slippage_bps`. `side`, where given, is the only side of the
    position that is meant. `origin` and `requested_by` say who wants it.
    """

    close_id: str
    owner: str
    account_id: str
    venue: str
    symbol: str
    created_at: datetime
    percent: Decimal = Decimal(100)
    limit_price: Decimal | None = None
    max_slippage_bps: int = DEFAULT_SLIPPAGE_BPS
    escalation: Escalation | None = None
    side: PositionSide | None = None
    reason: str = ""
    origin: Origin = Origin.CLOSE
    requested_by: str = ""
    fingerprint: str = ""
    idempotency_key: str = ""

    def asks_the_same(self, other: ClosePlan) -> bool:
        """Tell whether two plans ask for the same close, whoever asks and why."""
        return _asked(self) == _asked(other)


def _asked(plan: ClosePlan) -> tuple[object, ...]:
    return (
        plan.account_id,
        plan.symbol,
        plan.percent,
        plan.limit_price,
        plan.max_slippage_bps,
        plan.escalation,
        plan.side,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step of the timetable: how orders are priced on it and how long it lasts, if it ends."""

    kind: Literal["limit", "passive", "market", "stop"]
    lasts_s: int | None = None


def rungs(plan: ClosePlan) -> tuple[Rung, ...]:
    """Return the whole timetable of a plan."""
    timetable = plan.escalation
    if timetable is None:
        return (Rung(kind="market" if plan.limit_price is None else "limit"),)
    every = timetable.reprice_every_s
    first = Rung(kind="passive" if plan.limit_price is None else "limit", lasts_s=every)
    steps = [first, *(Rung(kind="passive", lasts_s=every) for _ in range(timetable.reprices))]
    match timetable.then:
        case Then.MARKET:
            steps.append(Rung(kind="market"))
        case Then.STOP:
            steps.append(Rung(kind="stop"))
        case Then.STAY:
            steps[-1] = replace(steps[-1], lasts_s=None)
    return tuple(steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSeen:
    """How the newest order of a close stands in our store."""

    order_id: str
    status: OrderStatus
    filled_quantity: Decimal
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The truth at one moment: the venue's position, and what our own orders have filled.

    `quantity` is positive, zero when FLAT. `filled` is the cumulative fill of all orders of this
    close, `orders` how many of them the store knows. `live` are closing orders of ours that are
    not known to have ended, at the venue or in the store, of this close or of another.
    `closes_below_minimum`: the venue takes an order below its minimum value that closes all.
    """

    at: datetime
    instrument: Instrument
    side: PositionSide
    quantity: Decimal
    mark_price: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    filled: Decimal = Decimal(0)
    orders: int = 0
    live: tuple[str, ...] = ()
    newest: OrderSeen | None = None
    closes_below_minimum: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingOrder:
    """The one order of a close that may be live.

    `attached`: the workflow hears of its end; otherwise it has to look for it. `cancel_asked`:
    we have asked for its end ourselves. `filled_before` is what the close had filled by then.

    Of one that is looked for: until `may_come_until` it may still be placed, although the store has
    nothing of it; `looks` counts those that found it alive. A `quantity` of 0 is one that an
    earlier run of the close may have placed.
    """

    order_id: str
    quantity: Decimal
    price: Decimal | None
    filled_before: Decimal = Decimal(0)
    attached: bool = True
    cancel_asked: bool = False
    may_come_until: datetime | None = None
    looks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseState:
    """All that a close's workflow knows; kept in SQL, and taken along when it continues as new.

    `target` is fixed by the first look; `side` is the position's then. `orders` numbers the
    closing orders; `ended_child` is the one that ended since the last look. `sight` is None when
    the truth has to be read anew. `held_up` counts the looks in a row that found orders of other
    closes alive. `left` is what of the target was too small to close.
    """

    plan: ClosePlan
    status: CloseStatus = CloseStatus.REQUESTED
    reason: str = ""
    side: PositionSide | None = None
    start_quantity: Decimal | None = None
    target: Decimal | None = None
    filled: Decimal = Decimal(0)
    orders: int = 0
    rung: int = 0
    rung_since: datetime | None = None
    child: ClosingOrder | None = None
    ended_child: ClosingOrder | None = None
    sight: Sight | None = None
    cancel_wanted: bool = False
    attempts: int = 0
    denials: int = 0
    held_up: int = 0
    retry_at: datetime | None = None
    last_answer: str = ""
    left: Decimal = Decimal(0)
    ended_at: datetime | None = None

    @property
    def remaining(self) -> Decimal | None:
        """What of the target our own orders have not filled, or None before it is fixed."""
        return None if self.target is None else max(self.target - self.filled, Decimal(0))

    @property
    def current_rung(self) -> Rung:
        """The step of the timetable we are on."""
        steps = rungs(self.plan)
        return steps[min(self.rung, len(steps) - 1)]

    @property
    def rung_ends_at(self) -> datetime | None:
        """When the next step of the timetable is due, or None if this one lasts."""
        lasts_s = self.current_rung.lasts_s
        if lasts_s is None or self.rung_since is None:
            return None
        return self.rung_since + timedelta(seconds=lasts_s)


def closing_order_id(close_id: str, number: int) -> str:
    """Return the id of a close's order number `number`, now and for ever (a UUIDv5)."""
    return str(uuid.uuid5(uuid.UUID(close_id), str(number)))


def closing_side(side: PositionSide) -> OrderSide:
    """Return the order side that reduces a position of `side`."""
    return OrderSide.SELL if side is PositionSide.LONG else OrderSide.BUY
