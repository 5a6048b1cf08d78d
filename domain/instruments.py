"""Instruments: what can be traded, in which steps, and the checks an order must pass.

Rounding always goes toward safety: quantities down, a buy's price down, a sell's price up. Knows
no venue by name; a venue states its rule as data.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from enum import StrEnum

from domain.accounts import FeeRates
from domain.errors import InvalidInput
from domain.numbers import plain

# Wide enough for every number `domain.numbers` lets in, divided by any step: with fewer digits a
# long quantity would be rounded up before it is floored.
_EXACT = Context(prec=200)


class OrderSide(StrEnum):
    """What an order does."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> OrderSide:
        """The other side."""
        return OrderSide.SELL if self is OrderSide.BUY else OrderSide.BUY


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRule:
    """Which prices a market takes.

    Either a fixed `tick_size`, or at most `significant_figures` figures and `max_decimals`
    decimals, where an integer is always allowed if `integers_allowed` (Hyperliquid: 5 figures,
    6 − szDecimals decimals).
    """

    tick_size: Decimal | None = None
    significant_figures: int | None = None
    max_decimals: int = 8
    integers_allowed: bool = True

    def step_at(self, price: Decimal) -> Decimal:
        """Return the distance between neighbouring valid prices at `price` (above zero)."""
        if self.tick_size is not None:
            return self.tick_size
        step = Decimal(1).scaleb(-self.max_decimals)
        if self.significant_figures is not None:
            step = max(step, Decimal(1).scaleb(price.adjusted() - self.significant_figures + 1))
        return min(step, Decimal(1)) if self.integers_allowed else step

    def allows(self, price: Decimal) -> bool:
        """Tell whether `price` is one of the valid prices."""
        is_number = price.is_finite() and price > 0
        return is_number and _EXACT.remainder(price, self.step_at(price)) == 0

    def floor(self, price: Decimal) -> Decimal:
        """Return the greatest valid price not above `price`."""
        return _multiple(price, self.step_at(price), ROUND_FLOOR)

    def ceiling(self, price: Decimal) -> Decimal:
        """Return the least valid price not below `price`."""
        return _multiple(price, self.step_at(price), ROUND_CEILING)


def _multiple(number: Decimal, step: Decimal, rounding: str) -> Decimal:
    """Return the multiple of `step` next to `number` in the direction of `rounding`, exactly."""
    steps = _EXACT.divide(number, step).to_integral_value(rounding=rounding)
    return _EXACT.multiply(steps, step)


def _check_finite(field: str, number: Decimal) -> None:
    if not number.is_finite():
        raise InvalidInput(field, f"expected a number, found {number}")


class MarketState(StrEnum):
    """Whether a market takes orders; one that is CLOSE_ONLY takes those that reduce a position."""

    OPEN = "OPEN"
    CLOSE_ONLY = "CLOSE_ONLY"
    DELISTED = "DELISTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One market of one venue.

    `symbol` is ours (`BTC-PERP`), `venue_symbol` theirs (`BTC`), `asset_index` the number some
    venues sign instead of the name. Quantities are in base units, `min_notional` in quote units.
    `min_quantity` is the least an order may be of where the venue states one beside its lots;
    `fees` are those of an account without any discount, None where the venue does not publish them.
    """

    venue: str
    symbol: str
    venue_symbol: str
    asset_index: int
    lot_size: Decimal
    price_rule: PriceRule
    min_notional: Decimal
    max_leverage: int
    state: MarketState = MarketState.OPEN
    min_quantity: Decimal | None = None
    fees: FeeRates | None = None

    @property
    def instrument_id(self) -> str:
        """Venue and symbol, as printed: `hyperliquid:BTC-PERP`."""
        return f"{self.venue}:{self.symbol}"

    def floor_quantity(self, quantity: Decimal) -> Decimal:
        """Return the greatest valid quantity not above `quantity`."""
        return _multiple(quantity, self.lot_size, ROUND_FLOOR)

    def safe_price(self, side: OrderSide, price: Decimal) -> Decimal:
        """Return the valid price nearest to `price` that never costs more than `price`."""
        rule = self.price_rule
        return rule.floor(price) if side is OrderSide.BUY else rule.ceiling(price)

    def worst_price(self, side: OrderSide, reference: Decimal, slippage_bps: int) -> Decimal:
        """Return the worst valid price within `slippage_bps` of `reference`, rounded outward.

        A bound between two valid prices would make an order miss by less than one step.
        """
        share = Decimal(slippage_bps) / 10_000
        rule = self.price_rule
        if side is OrderSide.BUY:
            return rule.ceiling(reference * (1 + share))
        worst = reference * (1 - share)
        return max(rule.floor(worst), rule.step_at(worst))

    def check_price(self, field: str, price: Decimal) -> None:
        """Check that the market takes `price`.

        Raises:
            InvalidInput: it does not; the message names the neighbouring valid prices.
        """
        _check_finite(field, price)
        if not self.price_rule.allows(price):
            below, above = self.price_rule.floor(price), self.price_rule.ceiling(price)
            raise InvalidInput(
                field,
                f"expected a price in steps of {plain(self.price_rule.step_at(price))} "
                f"for {self.symbol}, found {plain(price)}; nearest are {plain(below)} "
                f"and {plain(above)}",
            )

    def check_quantity(self, field: str, quantity: Decimal) -> None:
        """Check that the market takes `quantity`.

        Raises:
            InvalidInput: it is not a positive multiple of the lot size.
        """
        _check_finite(field, quantity)
        if quantity <= 0 or _EXACT.remainder(quantity, self.lot_size):
            raise InvalidInput(
                field,
                f"expected a positive multiple of {plain(self.lot_size)} for {self.symbol}, "
                f"found {plain(quantity)}; nearest below is {plain(self.floor_quantity(quantity))}",
            )

    def is_below_minimum(self, quantity: Decimal, price: Decimal | None) -> bool:
        """Tell whether an order is too small: in quantity, or in value where a price is known."""
        if self.min_quantity is not None and quantity < self.min_quantity:
            return True
        return price is not None and quantity * price < self.min_notional

    def check_notional(self, quantity: Decimal, price: Decimal) -> None:
        """Check the minimum order: its value `quantity` × `price`, and its quantity.

        Reduce-only orders that close a whole position are exempt; the caller knows.

        Raises:
            InvalidInput: it is below the minimum.
        """
        if self.min_quantity is not None and quantity < self.min_quantity:
            raise InvalidInput(
                "quantity",
                f"expected at least {plain(self.min_quantity)} for {self.symbol}, "
                f"found {plain(quantity)}",
            )
        if quantity * price < self.min_notional:
            raise InvalidInput(
                "quantity",
                f"expected an order value of at least {plain(self.min_notional)} for "
                f"{self.symbol}, found {plain(quantity * price)}",
            )

    def check_open(self, *, reduce_only: bool = False) -> None:
        """Check that the market takes new orders; `reduce_only`: of those that only reduce.

        Raises:
            InvalidInput: it is delisted, or positions can only be closed.
        """
        if self.state is MarketState.OPEN or (reduce_only and self.state is MarketState.CLOSE_ONLY):
            return
        raise InvalidInput(
            "symbol", f"{self.instrument_id} is {self.state.lower().replace('_', ' ')}"
        )
