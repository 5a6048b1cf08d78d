"""Risk limits of one scope: which there are, and what each needs to be measured.

What an order does to them is in `domain.risk`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal

from domain.errors import InvalidInput
from domain.numbers import plain
from domain.violations import LimitName

COUNT_MAX = 1_000_000
_COUNTS = frozenset({LimitName.MAX_OPEN_ORDERS, LimitName.MAX_ORDERS_PER_MINUTE})


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Limits of one scope; None means no limit.

    Notionals and losses are in quote units. Of a position and of the total the worst case counts;
    `max_leverage` bounds the leverage setting, and the worst case over equity; a daily loss runs
    from 00:00 UTC. Of all accounts together only `max_position_notional`, `max_total_notional`,
    `max_open_orders`, `max_orders_per_minute` and `max_daily_loss` are summed; the others bound
    each order and account by itself.
    """

    max_order_notional: Decimal | None = None
    max_position_notional: Decimal | None = None
    max_total_notional: Decimal | None = None
    max_leverage: Decimal | None = None
    max_open_orders: int | None = None
    max_orders_per_minute: int | None = None
    max_price_distance_bps: Decimal | None = None
    max_daily_loss: Decimal | None = None

    def __post_init__(self) -> None:
        for name in LimitName:
            value = self.of(name)
            if value is not None and not (value.is_finite() and value > 0):
                raise InvalidInput(name, f"expected a number above zero or none, found {value}")
            if value is not None and name in _COUNTS and value > COUNT_MAX:
                raise InvalidInput(name, f"expected at most {COUNT_MAX}, found {plain(value)}")

    def of(self, name: LimitName) -> Decimal | None:
        """Return one limit."""
        value: Decimal | int | None = getattr(self, name.value)
        return None if value is None else Decimal(value)

    def present(self) -> Mapping[LimitName, Decimal]:
        """Return the limits that are set."""
        found = {name: self.of(name) for name in LimitName}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is limited."""
        return not self.present()

    def apart(self) -> RiskLimits:
        """Return those that bound each order and account by itself."""
        return self._only(_APART)

    def together(self) -> RiskLimits:
        """Return those that are measured over everything in their scope."""
        return self._only(frozenset(LimitName) - _APART)

    def _only(self, names: frozenset[LimitName]) -> RiskLimits:
        left_out = {f.name: None for f in fields(self) if LimitName(f.name) not in names}
        return replace(self, **left_out)

    @property
    def needs_mark(self) -> bool:
        """Whether the mark price of the order's market is needed to measure them."""
        return bool(self.present().keys() - _COUNTS)

    @property
    def needs_exposure(self) -> bool:
        """Whether positions and live orders are needed to measure them."""
        return bool(self.present().keys() & _EXPOSURES)

    @property
    def needs_counts(self) -> bool:
        """Whether orders have to be counted to measure them."""
        return bool(self.present().keys() & _COUNTS)


_APART = frozenset(
    {LimitName.MAX_ORDER_NOTIONAL, LimitName.MAX_PRICE_DISTANCE_BPS, LimitName.MAX_LEVERAGE}
)
_EXPOSURES = frozenset(
    {
        LimitName.MAX_POSITION_NOTIONAL,
        LimitName.MAX_TOTAL_NOTIONAL,
        LimitName.MAX_LEVERAGE,
        LimitName.MAX_DAILY_LOSS,
    }
)
