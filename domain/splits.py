"""Split orders: one intent as child orders at several accounts, and how far all of them are.

The children are ordinary orders, each with its own workflow and ledger row; what the parent does
next is decided in `domain.split_steps`. Knows no venue, clock or storage.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from domain.brackets import OrderNews
from domain.instruments import OrderSide
from domain.numbers import plain
from domain.orders import Order, OrderStatus, OrderType, Origin, TimeInForce


class SplitStatus(StrEnum):
    """How a split order stands, or how it ended."""

    REQUESTED = "REQUESTED"
    WORKING = "WORKING"
    FILLED = "FILLED"
    PARTLY_FILLED = "PARTLY_FILLED"
    UNFILLED = "UNFILLED"
    CANCELED = "CANCELED"
    REFUSED = "REFUSED"

    @property
    def is_terminal(self) -> bool:
        """Whether all of its children have ended."""
        return self not in (SplitStatus.REQUESTED, SplitStatus.WORKING)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitShare:
    """What one account takes; `why` says in words by which figures."""

    account_id: str
    venue: str
    quantity: Decimal
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPlan:
    """What is asked, and the shares it was split into; fixed for ever.

    The shares add up to `quantity`. A child that is not sent `place_within_s` after it was begun
    is never sent.
    """

    split_id: str
    owner: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    order_type: OrderType
    time_in_force: TimeInForce
    created_at: datetime
    shares: tuple[SplitShare, ...]
    price: Decimal | None = None
    post_only: bool = False
    reduce_only: bool = False
    max_slippage_bps: int = 500
    place_within_s: int = 15
    fingerprint: str = ""
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitLeg:
    """One child. `news` None: nothing is known of it yet.

    `begun`: its workflow was started, or is being, by whichever run of the parent; `confirmed`: it
    certainly was. `unreachable`: a cancel found no workflow of it.
    """

    number: int
    order_id: str
    begun: bool = False
    confirmed: bool = False
    cancel_asked: bool = False
    unreachable: bool = False
    news: OrderNews | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it can trade any more."""
        if self.news is not None:
            return self.news.status.is_terminal
        return self.unreachable

    @property
    def filled(self) -> Decimal:
        """What it has filled."""
        return Decimal(0) if self.news is None else self.news.filled_quantity

    @property
    def is_refused(self) -> bool:
        """Whether it was refused, or never sent: its share is nowhere."""
        return self.news is not None and self.news.outcome in ("rejected", "not_sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitState:
    """All that a split order's workflow knows; kept in SQL, taken along when it continues as new.

    `fresh` tells that nothing has been reported since the last look.
    """

    plan: SplitPlan
    legs: tuple[SplitLeg, ...]
    status: SplitStatus = SplitStatus.REQUESTED
    reason: str = ""
    fresh: bool = False
    cancel_wanted: bool = False
    ended_at: datetime | None = None

    @property
    def filled(self) -> Decimal:
        """What all children have filled."""
        return sum((leg.filled for leg in self.legs), Decimal(0))

    @property
    def average_price(self) -> Decimal | None:
        """The quantity-weighted price of what filled, or None while it is not known of all."""
        total = Decimal(0)
        for leg in self.legs:
            if not leg.filled:
                continue
            if leg.news is None or leg.news.average_price is None:
                return None
            total += leg.filled * leg.news.average_price
        return total / self.filled if self.filled else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSight:
    """How the children stand in our store at one moment."""

    at: datetime
    orders: tuple[OrderNews, ...]


def leg_order_id(split_id: str, number: int) -> str:
    """Return the id of a split order's child number `number`, now and for ever (a UUIDv5)."""
    return str(uuid.uuid5(uuid.UUID(split_id), f"leg {number}"))


def requested(plan: SplitPlan) -> SplitState:
    """Return the state of a split order of which nothing was begun."""
    legs = (
        SplitLeg(number=number, order_id=leg_order_id(plan.split_id, number))
        for number in range(len(plan.shares))
    )
    return SplitState(plan=plan, legs=tuple(legs))


def leg_order(plan: SplitPlan, number: int, created_at: datetime) -> Order:
    """Return the child number `number` as an order."""
    share = plan.shares[number]
    return Order(
        order_id=leg_order_id(plan.split_id, number),
        owner=plan.owner,
        account_id=share.account_id,
        venue=share.venue,
        symbol=plan.symbol,
        side=plan.side,
        order_type=plan.order_type,
        quantity=share.quantity,
        time_in_force=plan.time_in_force,
        created_at=created_at,
        place_by=created_at + timedelta(seconds=plan.place_within_s),
        price=plan.price,
        post_only=plan.post_only,
        reduce_only=plan.reduce_only,
        max_slippage_bps=plan.max_slippage_bps,
        fingerprint=f"split {plan.split_id}",
        idempotency_key=f"{plan.split_id}/leg {number}",
        origin=Origin.SPLIT,
        parent_id=plan.split_id,
        routed=share.why or None,
    )


def ended_in_words(state: SplitState) -> tuple[SplitStatus, str]:
    """Return how a split order ended whose children all have, and what became of each share."""
    plan, filled = state.plan, state.filled
    said = [f"filled {plain(filled)} of {plain(plan.quantity)}"]
    said += [_lost(state, leg) for leg in state.legs if leg.filled < _share(state, leg)]
    return _end_of(state), "; ".join(said)


def _end_of(state: SplitState) -> SplitStatus:
    if state.filled >= state.plan.quantity:
        return SplitStatus.FILLED
    if state.filled:
        return SplitStatus.PARTLY_FILLED
    if all(leg.is_refused for leg in state.legs):
        return SplitStatus.REFUSED
    canceled = (
        leg.news is None or leg.news.status is OrderStatus.CANCELED or leg.is_refused
        for leg in state.legs
    )
    return SplitStatus.CANCELED if state.cancel_wanted and all(canceled) else SplitStatus.UNFILLED


def _share(state: SplitState, leg: SplitLeg) -> Decimal:
    return state.plan.shares[leg.number].quantity


def _lost(state: SplitState, leg: SplitLeg) -> str:
    """Return what became of a share that did not fill whole; it is placed nowhere else."""
    share = state.plan.shares[leg.number]
    left = plain(share.quantity - leg.filled)
    name = f"leg {leg.number + 1} at {share.venue}"
    if leg.news is None:
        return f"{name} was never begun: {left} not placed"
    reason = f" ({leg.news.reason})" if leg.news.reason else ""
    where = "; it was not sent elsewhere" if leg.is_refused else ""
    return f"{name} {leg.news.status.value}{reason}: {left} not filled{where}"
