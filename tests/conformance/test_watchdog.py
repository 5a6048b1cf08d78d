"""Does our watchdog, or an operator, clear an account of what rests and leave what protects it?

For venues with a switch of their own too: the listing has to tell a stop from a resting order.
"""

from __future__ import annotations

from activities.emergency_halt import EmergencyHalt
from activities.orders import OrderActivities
from domain.orders import OrderType, Verdict
from tests.conformance.stage import Stage


async def test_what_rests_goes_and_the_stop_that_protects_stays(stage: Stage) -> None:
    halt = EmergencyHalt(stage.parts(), OrderActivities(stage.parts()))
    held = await stage.position()
    resting, _ = await stage.accepted(await stage.resting())
    has_stops = OrderType.STOP_MARKET in stage.connector.capabilities.order_types
    stop = None
    if has_stops:
        stop, _ = await stage.accepted(
            await stage.waiting(OrderType.STOP_MARKET, quantity=held, reduce_only=True)
        )
    access = await stage.trading()

    seen = await halt.clear_once(access)

    assert len(seen.orders) == 1
    assert (await stage.ended(resting)).verdict is Verdict.CANCELED
    again = await halt.clear_once(access)
    assert again.orders == ()
    assert stage.held() == held
    if stop is not None:
        left = {order.venue_order_id for order in await stage.connector.open_orders(stage.account)}
        assert (await stage.seen(stop)).venue_order_id in left
