"""Orders: the trader's intent, the venue orders made for it, and the status derived from both.

What the venue says is kept apart from what we are doing about it; the shown status follows from
both. Reports are folded in by `domain.order_fold`. Knows no venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.instruments import OrderSide
from domain.violations import Violation


class OrderType(StrEnum):
    """How an order finds its price."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP_MARKET = "STOP_MARKET"
    STOP_LIMIT = "STOP_LIMIT"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"

    @property
    def is_trigger(self) -> bool:
        """Whether the order rests unseen until a trigger price is touched."""
        return self not in (OrderType.LIMIT, OrderType.MARKET)

    @property
    def is_market(self) -> bool:
        """Whether the order takes liquidity at once (within a bound) when it becomes active."""
        return self in (
            OrderType.MARKET,
            OrderType.STOP_MARKET,
            OrderType.TAKE_PROFIT_MARKET,
        )


class TimeInForce(StrEnum):
    """How long an order lives."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class TriggerType(StrEnum):
    """Which price a trigger watches."""

    LAST = "LAST"
    MARK = "MARK"
    INDEX = "INDEX"


class Origin(StrEnum):
    """Who gave an order, or how we came to know of it.

    EXTERNAL and LIQUIDATION are not ours: they are followed and shown, never placed or canceled
    by anything but a user's or the kill switch's word.
    """

    USER = "USER"
    CLOSE = "CLOSE"
    BRACKET = "BRACKET"
    CONDITION = "CONDITION"
    KILL_SWITCH = "KILL_SWITCH"
    SPLIT = "SPLIT"
    EXTERNAL = "EXTERNAL"
    LIQUIDATION = "LIQUIDATION"

    @property
    def is_ours(self) -> bool:
        """Whether the order was placed through this system."""
        return self not in (Origin.EXTERNAL, Origin.LIQUIDATION)


class Verdict(StrEnum):
    """What is known of an order's fate at the venue, in ascending rank."""

    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    TRIGGERED = "TRIGGERED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    EXPIRED = "EXPIRED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    FILLED = "FILLED"

    @property
    def rank(self) -> int:
        """The place in the ranking; of two verdicts the higher one holds."""
        return _RANKS[self]

    @property
    def is_terminal(self) -> bool:
        """Whether the order can no longer trade."""
        return self.rank >= _RANKS[Verdict.EXPIRED]


_RANKS = {verdict: rank for rank, verdict in enumerate(Verdict)}


class OrderStatus(StrEnum):
    """The status shown to people and programs, derived from verdicts and our own concern."""

    PENDING = "PENDING"
    DENIED = "DENIED"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    TRIGGERED = "TRIGGERED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    UNKNOWN = "UNKNOWN"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_MODIFY = "PENDING_MODIFY"
    EXPIRED = "EXPIRED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    FILLED = "FILLED"

    @property
    def is_terminal(self) -> bool:
        """Whether the order has ended."""
        return self in _TERMINAL_STATUSES


_TERMINAL_STATUSES = frozenset(
    {
        OrderStatus.DENIED,
        OrderStatus.EXPIRED,
        OrderStatus.CANCELED,
        OrderStatus.REJECTED,
        OrderStatus.FILLED,
    }
)


class Concern(StrEnum):
    """What we are doing about an order, apart from what the venue says of it.

    UNKNOWN: looking for what became of a placement that had no answer.
    """

    NONE = "NONE"
    UNKNOWN = "UNKNOWN"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_MODIFY = "PENDING_MODIFY"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """One statement of the venue about one revision of an order.

    `filled_quantity` is cumulative and None where the statement says nothing of it;
    `average_price` belongs to exactly that cumulative quantity. `event_time` is the venue's clock,
    `received_time` ours.
    """

    order_id: str
    revision: int
    verdict: Verdict
    filled_quantity: Decimal | None = None
    average_price: Decimal | None = None
    venue_order_id: str | None = None
    reason: str | None = None
    event_time: datetime | None = None
    received_time: datetime | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One venue order that stands for the intent: revision 0, or a later replacement or retry.

    `verdict` holds only what the venue said. `absent` is the proof that this revision never
    reached the venue's book and never can; any venue report outranks it.
    """

    number: int
    client_order_id: str
    quantity: Decimal
    price: Decimal | None = None
    venue_order_id: str | None = None
    verdict: Verdict = Verdict.SUBMITTED
    reason: str | None = None
    absent: str | None = None
    filled_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None

    @property
    def effective(self) -> Verdict:
        """The venue's verdict, but FILLED once all is filled, whatever came before."""
        if self.filled_quantity >= self.quantity > 0:
            return Verdict.FILLED
        if self.filled_quantity and self.verdict.rank < Verdict.PARTIALLY_FILLED.rank:
            return Verdict.PARTIALLY_FILLED
        return self.verdict

    @property
    def is_settled(self) -> bool:
        """Whether this venue order can no longer trade, by the venue's word or by proof."""
        effective = self.effective
        if effective is Verdict.SUBMITTED:
            return self.absent is not None
        return effective.is_terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """Our own or an operator's end of an order; every venue report outranks it."""

    verdict: Verdict
    reason: str
    by_operator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A trader's intent and all that is known of it.

    `quantity` and `price` are as last asked (a modify changes them); `revisions` are the venue
    orders made for it, oldest first. `place_by` is the time after which an unsent order is never
    sent. `denied` holds our own reason when we refused it, `violations` the limits it would have
    exceeded where that is why. `parent_id` names the close, bracket,
    split or kill switch that gave the order. `routed` says why it went to its account, where that
    was not asked for. `position_bound`: the venue keeps the order only as long as the
    position it protects, and fits it to that. `joint`: its bracket places it, in one signed request
    with the bracket's other orders; its own workflow never does.
    """

    order_id: str
    owner: str
    account_id: str
    venue: str
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    time_in_force: TimeInForce
    created_at: datetime
    place_by: datetime
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_type: TriggerType = TriggerType.MARK
    post_only: bool = False
    reduce_only: bool = False
    max_slippage_bps: int = 500
    fingerprint: str = ""
    idempotency_key: str = ""
    revisions: tuple[Revision, ...] = ()
    concern: Concern = Concern.NONE
    denied: str | None = None
    closure: Closure | None = None
    updated_at: datetime | None = None
    origin: Origin = Origin.USER
    parent_id: str | None = None
    position_bound: bool = False
    violations: tuple[Violation, ...] = ()
    joint: bool = False
    routed: str | None = None

    @property
    def current(self) -> Revision | None:
        """The newest revision, or None before the first is reserved."""
        return self.revisions[-1] if self.revisions else None

    @property
    def filled_quantity(self) -> Decimal:
        """Cumulative filled quantity over all revisions."""
        return sum((r.filled_quantity for r in self.revisions), Decimal(0))

    @property
    def remaining_quantity(self) -> Decimal:
        """What has not been filled; never below zero."""
        return max(self.quantity - self.filled_quantity, Decimal(0))

    @property
    def average_price(self) -> Decimal | None:
        """Quantity-weighted price of what filled, or None while unknown."""
        filled = self.filled_quantity
        if not filled:
            return None
        total = Decimal(0)
        for revision in self.revisions:
            if revision.filled_quantity:
                if revision.average_price is None:
                    return None
                total += revision.filled_quantity * revision.average_price
        return total / filled

    @property
    def client_order_id(self) -> str | None:
        """The newest revision's client order id, in the venue's spelling."""
        return self.current.client_order_id if self.current else None

    @property
    def venue_order_id(self) -> str | None:
        """The newest revision's venue order id."""
        return self.current.venue_order_id if self.current else None

    @property
    def verdict(self) -> Verdict | None:
        """The verdict over all revisions, or None before the first is reserved.

        FILLED when all is filled, else the newest revision's: an old revision never ends an order
        whose newer revision lives. A replacement refused after the old order was gone leaves the
        order CANCELED. A closure counts only where the venue has said nothing of the newest.
        """
        newest = self.current
        if newest is None:
            return self.closure.verdict if self.closure else None
        if self.filled_quantity >= self.quantity > 0:
            return Verdict.FILLED
        verdict = newest.effective
        if verdict is Verdict.SUBMITTED and self.closure is not None:
            return self.closure.verdict
        if self._is_replacement_refused(newest):
            return Verdict.CANCELED
        if verdict in (Verdict.ACCEPTED, Verdict.TRIGGERED) and self.filled_quantity:
            return Verdict.PARTIALLY_FILLED
        return verdict

    def _is_replacement_refused(self, newest: Revision) -> bool:
        replaced = any(r.effective is Verdict.CANCELED for r in self.revisions[:-1])
        return replaced and newest.effective is Verdict.REJECTED

    @property
    def status(self) -> OrderStatus:
        """The status to show.

        While a modify is under way the old venue order's cancellation does not end the order. What
        the venue has said of the newest revision is not UNKNOWN any more, whoever heard it first;
        an order whose replacement nobody has heard of is, although it was accepted before.
        """
        if self.denied is not None:
            return OrderStatus.DENIED
        verdict = self.verdict
        if self._is_being_replaced and verdict is Verdict.CANCELED:
            return OrderStatus.PENDING_MODIFY
        if verdict is not None and verdict.is_terminal:
            return OrderStatus(verdict.value)
        if self.concern is not Concern.NONE and not self._is_doubt_over:
            return OrderStatus(self.concern.value)
        return OrderStatus.PENDING if verdict is None else OrderStatus(verdict.value)

    @property
    def _is_doubt_over(self) -> bool:
        """Whether the venue has meanwhile told what a placement's own answer did not."""
        newest = self.current
        in_doubt = newest is None or newest.effective is Verdict.SUBMITTED
        return self.concern is Concern.UNKNOWN and not in_doubt

    @property
    def _is_being_replaced(self) -> bool:
        return self.concern is Concern.PENDING_MODIFY and self.closure is None

    @property
    def is_terminal(self) -> bool:
        """Whether the order has ended."""
        return self.status.is_terminal

    @property
    def reason(self) -> str | None:
        """Why the order is where it is, where there is something to say."""
        if self.denied is not None:
            return self.denied
        newest = self.current
        if newest is None or newest.effective is Verdict.SUBMITTED:
            return self.closure.reason if self.closure else None
        if self._is_replacement_refused(newest):
            return f"replace_refused: {newest.reason}" if newest.reason else "replace_refused"
        if self.closure is not None and self.closure.verdict is newest.effective:
            return self.closure.reason
        return newest.reason

    @property
    def outcome(self) -> str:
        """The answer to "was it placed?": pending, not_sent, accepted, rejected or unknown."""
        if self.denied is not None:
            return "rejected"
        if any(r.effective not in (Verdict.SUBMITTED, Verdict.REJECTED) for r in self.revisions):
            return "accepted"
        newest = self.current
        if newest is not None and newest.verdict is Verdict.REJECTED:
            return "rejected"
        if self.concern is Concern.UNKNOWN:
            return "unknown"
        if self.closure is not None:
            return "not_sent" if newest is None or newest.absent else "unknown"
        return "pending"
