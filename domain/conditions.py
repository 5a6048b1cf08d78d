"""Conditions of a close: profit, loss, a price, a trailing stop, a time; which one is met now.

Level-triggered: a condition is met by the *present* price or not at all. Pure; whether a price may
be believed is decided in `domain.mark_checks`. Percent is of the entry price unless `of_margin`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.accounts import PositionSide
from domain.errors import InvalidInput
from domain.numbers import plain

WHOLE = Decimal(100)


class ConditionKind(StrEnum):
    """What a condition looks at."""

    PROFIT = "profit"
    LOSS = "loss"
    PRICE = "price"
    TRAIL = "trail"
    TIME = "time"


class Direction(StrEnum):
    """From which side the mark has to reach a price."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """How far the mark may come back from its best: percent of that best, or so much (`amount`)."""

    percent: Decimal | None = None
    amount: Decimal | None = None

    def stop_below(self, best: Decimal) -> Decimal:
        """Return where a long position is closed."""
        return best - self._distance(best)

    def stop_above(self, best: Decimal) -> Decimal:
        """Return where a short position is closed."""
        return best + self._distance(best)

    def _distance(self, best: Decimal) -> Decimal:
        if self.percent is not None:
            return best * self.percent / WHOLE
        return self.amount or Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What closes a position; several may be given, the first one met wins.

    `profit_percent` and `loss_percent` are of the entry price, with `of_margin` of the initial
    margin (entry price over leverage). `direction` None: by where the mark is when it is set.
    """

    profit_percent: Decimal | None = None
    loss_percent: Decimal | None = None
    price: Decimal | None = None
    direction: Direction | None = None
    trail: Trail | None = None
    at: datetime | None = None
    of_margin: bool = False

    @property
    def has_price(self) -> bool:
        """Whether any of them looks at the mark."""
        looked_at = (self.profit_percent, self.loss_percent, self.price, self.trail)
        return any(each is not None for each in looked_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPosition:
    """What conditions need to know of a position; `quantity` is above zero."""

    side: PositionSide
    quantity: Decimal
    entry_price: Decimal
    leverage: Decimal = Decimal(1)

    @property
    def is_long(self) -> bool:
        """Whether it gains when the price rises."""
        return self.side is PositionSide.LONG


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A price that closes, and from which side it is reached."""

    kind: ConditionKind
    price: Decimal
    direction: Direction

    def is_met(self, mark: Decimal) -> bool:
        """Tell whether a mark price is there, or beyond."""
        return mark >= self.price if self.direction is Direction.ABOVE else mark <= self.price

    def __str__(self) -> str:
        sign = "≥" if self.direction is Direction.ABOVE else "≤"
        return f"mark {sign} {plain(self.price)} ({self.kind})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A condition that was met: by one price at one time, as one source saw it.

    `extreme` is the best mark of a trailing stop as that source knows it. `threshold` and `price`
    are None for a time.
    """

    kind: ConditionKind
    at: datetime
    source: str
    price: Decimal | None = None
    threshold: Decimal | None = None
    extreme: Decimal | None = None

    def __str__(self) -> str:
        if self.price is None or self.threshold is None:
            return f"{self.kind} at {self.at.isoformat()}"
        return (
            f"{self.kind}: mark {plain(self.price)} reached {plain(self.threshold)} "
            f"at {self.at.isoformat()} ({self.source})"
        )


def better(position: HeldPosition, one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """Return the better of two marks for a position: the higher for a long, else the lower."""
    known = [price for price in (one, other) if price is not None]
    if not known:
        return None
    return max(known) if position.is_long else min(known)


def thresholds(
    conditions: Conditions, position: HeldPosition, extreme: Decimal | None
) -> tuple[Threshold, ...]:
    """Return every price that closes now; a trailing stop only once its extreme is known."""
    gain, fall = (
        (Direction.ABOVE, Direction.BELOW)
        if position.is_long
        else (Direction.BELOW, Direction.ABOVE)
    )
    found: list[Threshold] = []
    if conditions.loss_percent is not None:
        price = _moved(conditions, position, -conditions.loss_percent)
        found.append(Threshold(kind=ConditionKind.LOSS, price=price, direction=fall))
    if conditions.trail is not None and extreme is not None:
        trail = conditions.trail
        stop = trail.stop_below(extreme) if position.is_long else trail.stop_above(extreme)
        found.append(Threshold(kind=ConditionKind.TRAIL, price=stop, direction=fall))
    if conditions.profit_percent is not None:
        price = _moved(conditions, position, conditions.profit_percent)
        found.append(Threshold(kind=ConditionKind.PROFIT, price=price, direction=gain))
    if conditions.price is not None and conditions.direction is not None:
        found.append(
            Threshold(
                kind=ConditionKind.PRICE, price=conditions.price, direction=conditions.direction
            )
        )
    return tuple(found)


def _moved(conditions: Conditions, position: HeldPosition, percent: Decimal) -> Decimal:
    """Return the price at which so much percent is won (or lost, below zero)."""
    share = percent / WHOLE
    if conditions.of_margin:
        share /= position.leverage
    return position.entry_price * (1 + share if position.is_long else 1 - share)


def evaluate(
    conditions: Conditions,
    position: HeldPosition,
    mark: Decimal,
    *,
    extreme: Decimal | None,
    at: datetime,
    source: str,
) -> Crossing | None:
    """Return the condition that a mark price meets, or None; time is `is_due`'s matter."""
    best = better(position, extreme, mark)
    for threshold in thresholds(conditions, position, best):
        if threshold.is_met(mark):
            return Crossing(
                kind=threshold.kind,
                at=at,
                source=source,
                price=mark,
                threshold=threshold.price,
                extreme=best if conditions.trail is not None else None,
            )
    return None


def is_due(conditions: Conditions, now: datetime) -> bool:
    """Tell whether the time to close has come."""
    return conditions.at is not None and now >= conditions.at


def settled(conditions: Conditions, mark: Decimal) -> Conditions:
    """Return conditions whose price has a direction: from where the mark is now."""
    if conditions.price is None or conditions.direction is not None:
        return conditions
    direction = Direction.ABOVE if conditions.price > mark else Direction.BELOW
    return replace(conditions, direction=direction)


def check_form(conditions: Conditions, now: datetime) -> None:
    """Check what needs no position and no price.

    Raises:
        InvalidInput: nothing is given, a number is none, or the time is over.
    """
    if not conditions.has_price and conditions.at is None:
        raise InvalidInput("conditions", "expected at least one condition, found none")
    trail = conditions.trail or Trail()
    for field, value in (
        ("profit_percent", conditions.profit_percent),
        ("loss_percent", conditions.loss_percent),
        ("price", conditions.price),
        ("trail_percent", trail.percent),
        ("trail_amount", trail.amount),
    ):
        if value is not None and not (value.is_finite() and value > 0):
            raise InvalidInput(field, f"expected a number above zero, found {value}")
    if conditions.trail is not None and (trail.percent is None) == (trail.amount is None):
        raise InvalidInput("trail", "expected a percentage or an amount, exactly one of them")
    if trail.percent is not None and trail.percent >= WHOLE:
        raise InvalidInput(
            "trail_percent",
            f"expected less than 100, found {plain(trail.percent)}: a trail wider than the price "
            "never closes",
        )
    if conditions.direction is not None and conditions.price is None:
        raise InvalidInput("direction", "expected a price with a direction, found none")
    if conditions.of_margin and (conditions.profit_percent, conditions.loss_percent) == (
        None,
        None,
    ):
        raise InvalidInput("of_margin", "expected a profit or a loss in percent, found neither")
    if conditions.at is not None and conditions.at <= now:
        raise InvalidInput(
            "at",
            f"expected a time to come, found {conditions.at.isoformat()}; it is {now.isoformat()}",
        )


def validate(
    conditions: Conditions, position: HeldPosition, mark: Decimal, now: datetime
) -> Conditions:
    """Return conditions fit to be watched from here, their directions settled.

    Raises:
        InvalidInput: as `check_form`; a condition is true already (which, and the present price),
            can never be reached, or never before another one.
    """
    check_form(conditions, now)
    found = settled(conditions, mark)
    trail = found.trail
    if trail is not None and trail.amount is not None and trail.amount >= mark:
        raise InvalidInput(
            "trail_amount",
            f"expected less than the price {plain(mark)}, found {plain(trail.amount)}: a trail "
            "wider than the price never closes",
        )
    prices = thresholds(found, position, mark)
    for threshold in prices:
        if threshold.price <= 0:
            raise InvalidInput(
                f"{threshold.kind}_percent",
                f"expected a price above zero, found {plain(threshold.price)}: no price is so low",
            )
        if threshold.is_met(mark):
            raise InvalidInput(
                _field(threshold.kind),
                f"it is true already: expected the price short of {threshold}, found "
                f"{plain(mark)}; close the position instead",
            )
    _check_none_hides_another(prices)
    return found


def _check_none_hides_another(prices: tuple[Threshold, ...]) -> None:
    """Refuse a fixed price behind another fixed one: it could never be the first."""
    fixed = [threshold for threshold in prices if threshold.kind is not ConditionKind.TRAIL]
    for one in fixed:
        for other in fixed:
            if one is other or one.direction is not other.direction:
                continue
            if other.is_met(one.price):
                raise InvalidInput(
                    _field(one.kind),
                    f"these contradict each other: {one} can never close, {other} is there first",
                )


def _field(kind: ConditionKind) -> str:
    return {
        ConditionKind.PROFIT: "profit_percent",
        ConditionKind.LOSS: "loss_percent",
        ConditionKind.PRICE: "price",
        ConditionKind.TRAIL: "trail",
        ConditionKind.TIME: "at",
    }[kind]


def described(conditions: Conditions) -> str:
    """Return conditions in one line, as they were asked."""
    of = " of margin" if conditions.of_margin else ""
    parts: list[str] = []
    if conditions.profit_percent is not None:
        parts.append(f"profit {plain(conditions.profit_percent)} %{of}")
    if conditions.loss_percent is not None:
        parts.append(f"loss {plain(conditions.loss_percent)} %{of}")
    if conditions.price is not None:
        towards = "" if conditions.direction is None else f" from {_from(conditions.direction)}"
        parts.append(f"price {plain(conditions.price)}{towards}")
    if conditions.trail is not None:
        trail = conditions.trail
        width = (
            f"{plain(trail.percent)} %"
            if trail.percent is not None
            else plain(trail.amount or Decimal(0))
        )
        parts.append(f"trail {width}")
    if conditions.at is not None:
        parts.append(f"at {conditions.at.isoformat()}")
    return " or ".join(parts)


def _from(direction: Direction) -> str:
    return "below" if direction is Direction.ABOVE else "above"
