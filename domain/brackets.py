"""Bracket orders: an entry whose fills are protected by a target and a stop, one cancels the other.

What is asked, what was seen, how far it has come; what to do next is decided in
`domain.bracket_steps`. Knows no venue, clock or storage.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.accounts import PositionSide
from domain.instruments import Instrument, OrderSide
from domain.orders import Order, OrderStatus, OrderType

RULES = 2
"""The decisions of today. A bracket whose history was written under the first ones keeps those."""


class BracketStatus(StrEnum):
    """How a bracket stands, or how it ended."""

    REQUESTED = "REQUESTED"
    ENTERING = "ENTERING"
    PROTECTING = "PROTECTING"
    DONE = "DONE"
    NOT_ENTERED = "NOT_ENTERED"
    POSITION_GONE = "POSITION_GONE"
    CANCELED = "CANCELED"

    @property
    def is_terminal(self) -> bool:
        """Whether the bracket has ended."""
        return self not in (
            BracketStatus.REQUESTED,
            BracketStatus.ENTERING,
            BracketStatus.PROTECTING,
        )


class LegKind(StrEnum):
    """What an exit order of a bracket is for; CLOSE is the market order when protection fails."""

    TAKE_PROFIT = "TAKE_PROFIT"
    STOP_LOSS = "STOP_LOSS"
    CLOSE = "CLOSE"

    @property
    def order_type(self) -> OrderType:
        """The type of its orders."""
        return {
            LegKind.TAKE_PROFIT: OrderType.TAKE_PROFIT_MARKET,
            LegKind.STOP_LOSS: OrderType.STOP_MARKET,
            LegKind.CLOSE: OrderType.MARKET,
        }[self]


class OnFailure(StrEnum):
    """What follows when the venue will not keep a protective order."""

    CLOSE = "close"
    ALERT = "alert"


class ProtectedBy(StrEnum):
    """Who sees to it that what a bracket has open has its exits.

    VENUE: exits that went out in the entry's own request, which the venue wakes when the entry has
    filled, whatever of ours is dead. WORKFLOW: exits that the bracket's workflow places.
    """

    VENUE = "venue"
    WORKFLOW = "workflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRule:
    """Where an exit is: at a `price`, or `percent` away from the entry's average price."""

    price: Decimal | None = None
    percent: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketPlan:
    """What is asked; fixed for ever. The bracket has its entry order's id.

    `native`: entry and exits leave in one signed request, and the venue wakes the exits.
    """

    entry: Order
    take_profit: ExitRule | None = None
    stop_loss: ExitRule | None = None
    on_failure: OnFailure = OnFailure.CLOSE
    max_slippage_bps: int = 500
    native: bool = False

    @property
    def bracket_id(self) -> str:
        """The bracket's id, which is its entry's."""
        return self.entry.order_id

    @property
    def exit_side(self) -> OrderSide:
        """The side of the exits."""
        return self.entry.side.opposite

    @property
    def position_side(self) -> PositionSide:
        """The side of what the entry opens."""
        return PositionSide.LONG if self.entry.side is OrderSide.BUY else PositionSide.SHORT

    def rule(self, kind: LegKind) -> ExitRule | None:
        """Return where exits of a kind are, or None where there are none."""
        match kind:
            case LegKind.TAKE_PROFIT:
                return self.take_profit
            case LegKind.STOP_LOSS:
                return self.stop_loss
            case LegKind.CLOSE:
                return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNews:
    """How an order of a bracket stands in our store.

    `absent` is the number of its newest revision if that is proven never to have reached the venue.
    """

    order_id: str
    status: OrderStatus
    outcome: str
    filled_quantity: Decimal
    average_price: Decimal | None = None
    reason: str | None = None
    absent: int | None = None


def news_of(order: Order) -> OrderNews:
    """Return how a stored order stands."""
    newest = order.current
    is_absent = newest is not None and newest.is_settled and newest.absent is not None
    return OrderNews(
        order_id=order.order_id,
        status=order.status,
        outcome=order.outcome,
        filled_quantity=order.filled_quantity,
        average_price=order.average_price,
        reason=order.reason,
        absent=newest.number if newest is not None and is_absent else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketSight:
    """What is known at one moment of the orders, and of the position where it was asked for.

    `held` is how much the venue shows on the entry's side; None: not asked.
    """

    at: datetime
    instrument: Instrument
    orders: tuple[OrderNews, ...]
    held: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One exit order. `news` None: nothing is known of it yet.

    `joint`: it left in the entry's request, of the entry's whole quantity. It sleeps at the venue
    until the entry has filled wholly, and goes when the entry ends otherwise. `started_at` is when
    its workflow was started last.
    """

    kind: LegKind
    order_id: str
    quantity: Decimal
    trigger_price: Decimal | None
    cancel_asked: bool = False
    news: OrderNews | None = None
    joint: bool = False
    started_at: datetime | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.news is not None and self.news.status.is_terminal

    @property
    def is_accepted(self) -> bool:
        """Whether the venue has it."""
        return self.news is not None and self.news.outcome == "accepted"

    @property
    def filled(self) -> Decimal:
        """What it has closed."""
        return Decimal(0) if self.news is None else self.news.filled_quantity

    @property
    def remaining(self) -> Decimal:
        """What it may still close."""
        return Decimal(0) if self.is_terminal else self.quantity - self.filled


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketState:
    """All that a bracket's workflow knows; kept in SQL, and taken along when it continues as new.

    `fresh` tells that nothing has been reported since the last look. `failures` counts exits
    refused or gone, `position_doubted` asks for the venue's position at the next look. The venue
    has shown none since `gone_since`, last at `gone_at`. Ends of orders were asked for last at
    `cancels_asked_at`. `rules`: which decisions it is led by, see `RULES`.
    """

    plan: BracketPlan
    status: BracketStatus = BracketStatus.REQUESTED
    reason: str = ""
    entry: OrderNews | None = None
    entry_started: bool = False
    entry_cancel_asked: bool = False
    legs: tuple[Leg, ...] = ()
    instrument: Instrument | None = None
    fresh: bool = False
    failures: int = 0
    failed_at: datetime | None = None
    position_doubted: bool = False
    held: Decimal | None = None
    retry_at: datetime | None = None
    cancel_wanted: bool = False
    last_answer: str = ""
    ended_at: datetime | None = None
    gone_since: datetime | None = None
    gone_at: datetime | None = None
    entry_started_at: datetime | None = None
    cancels_asked_at: datetime | None = None
    rules: int = RULES

    @property
    def entered(self) -> Decimal:
        """What the entry has filled."""
        return Decimal(0) if self.entry is None else self.entry.filled_quantity

    @property
    def entry_ended(self) -> bool:
        """Whether the entry can fill no more."""
        return self.entry is not None and self.entry.status.is_terminal

    @property
    def filled_whole(self) -> bool:
        """Whether the entry has filled to the last: what wakes exits of its own request."""
        return self.entry is not None and self.entry.status is OrderStatus.FILLED

    @property
    def protected_by(self) -> ProtectedBy | None:
        """Who sees to the exits now; None: nothing is to be protected any more."""
        if self.status.is_terminal:
            return None
        asked = [kind for kind in LegKind if self.plan.rule(kind) is not None]
        resting = {leg.kind for leg in self.legs if leg.joint and _rests(leg)}
        sleeping = bool(self.open_quantity) and not self.filled_whole
        at_venue = not sleeping and resting.issuperset(asked)
        return ProtectedBy.VENUE if at_venue else ProtectedBy.WORKFLOW

    @property
    def has_awake_stop(self) -> bool:
        """Whether a stop for what is open rests at the venue and will fire there."""
        return bool(self.open_quantity) and any(
            leg.kind is LegKind.STOP_LOSS and _rests(leg) and (self.filled_whole or not leg.joint)
            for leg in self.legs
        )

    @property
    def exited(self) -> Decimal:
        """What the exits have closed."""
        return sum((leg.filled for leg in self.legs), Decimal(0))

    @property
    def open_quantity(self) -> Decimal:
        """What has been entered and not closed: what needs protection."""
        return max(self.entered - self.exited, Decimal(0))

    def live(self, kind: LegKind) -> tuple[Leg, ...]:
        """Return the exits of a kind that are to go on, oldest first."""
        return tuple(
            leg
            for leg in self.legs
            if leg.kind is kind and not leg.is_terminal and not leg.cancel_asked
        )

    @property
    def needs_attention(self) -> bool:
        """Whether something entered is not protected as it was asked."""
        return self.failures > 0 and self.open_quantity > 0 and not self.status.is_terminal


def _rests(leg: Leg) -> bool:
    return leg.is_accepted and not leg.is_terminal and not leg.cancel_asked


def with_news(state: BracketState, news: Iterable[OrderNews]) -> BracketState:
    """Return the state with how its orders stand now."""
    known = {each.order_id: each for each in news}
    return replace(
        state,
        entry=known.get(state.plan.bracket_id, state.entry),
        legs=tuple(replace(leg, news=known.get(leg.order_id, leg.news)) for leg in state.legs),
    )


def leg_order_id(bracket_id: str, number: int) -> str:
    """Return the id of a bracket's exit number `number`, now and for ever (a UUIDv5)."""
    return str(uuid.uuid5(uuid.UUID(bracket_id), f"exit {number}"))
