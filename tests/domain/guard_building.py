"""Small builders of guards and of what they see."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from domain.accounts import Network, PositionSide
from domain.conditions import Conditions, HeldPosition
from domain.guard_steps import after_look
from domain.guarding import GuardPlan, GuardSight, GuardState
from tests.domain.building import NOW
from tests.domain.closing_building import BTC

CONDITION_ID = "7a0c3f7e-58a5-5d4f-8f2b-3b8a7c9d1e2f"
LONG = HeldPosition(
    side=PositionSide.LONG, quantity=Decimal(2), entry_price=Decimal(100), leverage=Decimal(10)
)
SHORT = replace(LONG, side=PositionSide.SHORT)


def a_guard(**changes: Any) -> GuardPlan:
    values: dict[str, Any] = {
        "condition_id": CONDITION_ID,
        "owner": "local",
        "account_id": "acc",
        "venue": "hyperliquid",
        "network": Network.PAPER,
        "symbol": "BTC-PERP",
        "created_at": NOW,
        "conditions": Conditions(profit_percent=Decimal(10), loss_percent=Decimal(5)),
    }
    return GuardPlan(**{**values, **changes})


def a_look(mark: str | int | Decimal | None = 100, **changes: Any) -> GuardSight:
    values: dict[str, Any] = {
        "at": NOW,
        "position": LONG,
        "mark": None if mark is None else Decimal(str(mark)),
        "instrument": BTC,
    }
    return GuardSight(**{**values, **changes})


def watching(**plan: Any) -> GuardState:
    """Return a guard after its first look."""
    return after_look(GuardState(plan=a_guard(**plan)), a_look(), NOW)
