"""What an account won or lost since 00:00 UTC: realised and unrealised, fees and funding included.

Counted from what was traded and from prices at both ends of the day, so that it needs no venue's
own figure of profit. Knows no storage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal

from domain.net_positions import EXACT


@dataclass(frozen=True, slots=True, kw_only=True)
class DayMarket:
    """One market of an account today.

    `position` is signed and now; `traded_quantity` what was bought less what was sold since the
    day began, `traded_value` what was paid for it. `price` is what a unit is worth now, `day_price`
    what it was worth when the day began; None where not known.
    """

    position: Decimal
    traded_quantity: Decimal = Decimal(0)
    traded_value: Decimal = Decimal(0)
    price: Decimal | None = None
    day_price: Decimal | None = None


def day_start(now: datetime) -> datetime:
    """Return 00:00 UTC of the day of `now`."""
    return datetime.combine(now.astimezone(UTC).date(), time(), tzinfo=UTC)


def market_result(market: DayMarket) -> Decimal:
    """Return what a market brought today, before fees and funding.

    Where a price is not known the value of what it would value is taken as unchanged.
    """
    begun = EXACT.subtract(market.position, market.traded_quantity)
    price, day_price = market.price, market.day_price
    if day_price is None:
        day_price = price
    if price is None:
        price = day_price
    if price is None or day_price is None:
        # Nothing is known but what was paid; it is a result only where nothing is held.
        return Decimal(0) if market.position or begun else -market.traded_value
    worth_now = EXACT.multiply(market.position, price)
    worth_then = EXACT.multiply(begun, day_price)
    return EXACT.subtract(EXACT.subtract(worth_now, worth_then), market.traded_value)


def day_result(markets: Iterable[DayMarket], *, fees: Decimal, funding: Decimal) -> Decimal:
    """Return the sum over markets, less `fees` paid, with `funding` received (below zero: paid)."""
    total = EXACT.subtract(funding, fees)
    for market in markets:
        total = EXACT.add(total, market_result(market))
    return total
