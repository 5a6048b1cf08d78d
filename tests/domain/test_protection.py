"""Who protects a position: a stop does, a target alone does not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.conditions import Conditions, Direction, Trail
from domain.guarding import NativeOrder
from domain.positions import Protection
from domain.protection import protections
from tests.domain.building import NOW, later
from tests.domain.guard_building import watching

STOP = NativeOrder(
    order_id="o",
    kind="loss",
    trigger_price=Decimal(95),
    quantity=Decimal(2),
    placed_at=NOW,
)


@pytest.mark.parametrize(
    ("conditions", "who"),
    [
        (Conditions(profit_percent=Decimal(10)), None),
        (Conditions(price=Decimal(120)), None),
        (Conditions(price=Decimal(80), direction=Direction.BELOW), Protection.GUARD),
        (Conditions(loss_percent=Decimal(5)), Protection.GUARD),
        (Conditions(trail=Trail(percent=Decimal(5))), Protection.GUARD),
        (Conditions(at=later(60)), Protection.GUARD),
    ],
)
def test_by_a_guard(conditions: Conditions, who: Any) -> None:
    assert protections([watching(conditions=conditions)]).get("BTC-PERP") is who


def test_by_the_venue_or_both() -> None:
    state = watching()
    both = replace(state, native_orders=(STOP,))
    gone = replace(state, native_orders=(replace(STOP, is_live=False),))
    target = replace(state, native_orders=(replace(STOP, kind="profit"),))

    assert protections([both]) == {"BTC-PERP": Protection.BOTH}
    assert protections([gone]) == protections([target]) == {"BTC-PERP": Protection.GUARD}
    assert protections([], ["ETH-PERP"]) == {"ETH-PERP": Protection.VENUE}
    assert protections([state], ["BTC-PERP"]) == {"BTC-PERP": Protection.BOTH}
    assert protections([replace(state, position=None)]) == {}
