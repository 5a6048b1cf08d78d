"""The body that sets risk limits: the whole document of one scope, a missing name meaning none.

Knows the shape of the request only.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from api.bodies import Body
from api.fields import PositiveDecimal, whole
from domain.risk_limits import COUNT_MAX, RiskLimits
from domain.violations import LimitName

Count = Annotated[int, whole(1, COUNT_MAX)]


class RiskLimitsBody(Body):
    """Limits of everything, or of one account. What is left out or null is not limited."""

    max_order_notional: PositiveDecimal | None = Field(
        None, description="Of one order, in quote units."
    )
    max_position_notional: PositiveDecimal | None = Field(
        None, description="Of one market, with all its live orders filled on the worse side."
    )
    max_total_notional: PositiveDecimal | None = Field(
        None, description="Of all markets together, each at its worst."
    )
    max_leverage: PositiveDecimal | None = Field(
        None, description="Of the leverage setting, and of the total over equity."
    )
    max_open_orders: Count | None = Field(None, description="Of live orders.")
    max_orders_per_minute: Count | None = Field(
        None, description="Of new orders in the last 60 seconds."
    )
    max_price_distance_bps: PositiveDecimal | None = Field(
        None, description="Of a price from the mark price, in basis points."
    )
    max_daily_loss: PositiveDecimal | None = Field(
        None, description="Since 00:00 UTC, realised and unrealised; reached, only reducing passes."
    )

    def limits(self) -> RiskLimits:
        """Return the limits that are meant."""
        values: dict[str, Decimal | int | None] = {
            name.value: getattr(self, name.value) for name in LimitName
        }
        return RiskLimits(**values)  # type: ignore[arg-type]  # the fields are the same
