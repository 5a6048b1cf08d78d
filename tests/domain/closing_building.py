"""Small builders of plans, states and sights of closes."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from domain.accounts import PositionSide
from domain.close_steps import after_look, next_step
from domain.closing import ClosePlan, CloseState, Sight
from domain.instruments import Instrument, PriceRule
from tests.domain.building import NOW

CLOSE_ID = "7a0c3f7e-58a5-5d4f-8f2b-3b8a7c9d1e2f"
MARK = Decimal(100)

BTC = Instrument(
    venue="hyperliquid",
    symbol="BTC-PERP",
    venue_symbol="BTC",
    asset_index=0,
    lot_size=Decimal("0.01"),
    price_rule=PriceRule(tick_size=Decimal("0.1")),
    min_notional=Decimal(10),
    max_leverage=50,
)


def a_plan(**changes: Any) -> ClosePlan:
    values: dict[str, Any] = {
        "close_id": CLOSE_ID,
        "owner": "local",
        "account_id": "acc",
        "venue": "hyperliquid",
        "symbol": "BTC-PERP",
        "created_at": NOW,
        "max_slippage_bps": 100,
    }
    return ClosePlan(**{**values, **changes})


def a_sight(quantity: str | int | Decimal = 10, **changes: Any) -> Sight:
    """Return what is seen of a long position, or FLAT of quantity 0."""
    held = Decimal(quantity)
    values: dict[str, Any] = {
        "at": NOW,
        "instrument": BTC,
        "side": PositionSide.LONG if held else PositionSide.FLAT,
        "quantity": held,
        "mark_price": MARK if held else None,
        "closes_below_minimum": True,
    }
    return Sight(**{**values, **changes})


def begun(sight: Sight | None = None, **plan: Any) -> CloseState:
    """Return the state after the first look."""
    return after_look(CloseState(plan=a_plan(**plan)), sight or a_sight())


def step_of(state: CloseState, now: datetime = NOW) -> Any:
    return next_step(state, now)
