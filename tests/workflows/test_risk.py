"""Risk limits through the real worker: many orders at a limit, and a halt among them."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from sqlalchemy import func, select

from domain.orders import OrderStatus
from domain.risk_limits import RiskLimits
from domain.violations import LimitName
from storage.tables import commands
from tests.activities.floor import ACCOUNT_ID, an_order, until
from tests.workflows.stage import Stage

D = Decimal


async def newest_row(stage: Stage) -> int:
    row = await stage.floor.storage.database.fetch_one(select(func.max(commands.c.position)))
    return 0 if row is None or row[0] is None else int(row[0])


async def test_fifty_orders_at_a_limit_never_exceed_it(stage: Stage) -> None:
    await stage.floor.storage.risk.put(ACCOUNT_ID, RiskLimits(max_open_orders=20), by="test")
    orders = [an_order() for _ in range(50)]

    placed = await asyncio.gather(*(stage.place(order, wait_s=60) for order in orders))

    accepted = [order for order in placed if order.status is OrderStatus.ACCEPTED]
    denied = [order for order in placed if order.status is OrderStatus.DENIED]
    assert (len(accepted), len(denied)) == (20, 30)
    assert len(stage.floor.at_venue()) == 20
    assert {v.limit for order in denied for v in order.violations} == {LimitName.MAX_OPEN_ORDERS}
    one = denied[0]
    assert (await stage.ended(one)).startswith("DENIED")
    assert (one.violations[0].limit_value, one.violations[0].value) == (D(20), D(21))
    # One that ends makes room for one more.
    await stage.workflows.cancel(accepted[0].order_id, "request", wait_s=20)
    assert (await stage.place(an_order())).status is OrderStatus.ACCEPTED


async def test_a_halt_among_fifty_orders_is_never_followed_by_new_exposure(stage: Stage) -> None:
    limits = RiskLimits(max_open_orders=40)
    await stage.floor.storage.risk.put(ACCOUNT_ID, limits, by="test")
    orders = [an_order() for _ in range(50)]
    placing = [asyncio.create_task(stage.place(order, wait_s=60)) for order in orders]
    await until(lambda: len(stage.floor.at_venue()) >= 5, what="five orders at the venue")

    await stage.floor.storage.halts.halt(None, reason="among them", by="test")
    at_halt = await newest_row(stage)
    placed = await asyncio.gather(*placing)

    assert await newest_row(stage) == at_halt
    accepted = [order for order in placed if order.status is OrderStatus.ACCEPTED]
    denied = [order for order in placed if order.status is OrderStatus.DENIED]
    assert len(accepted) + len(denied) == 50
    assert len(accepted) == len(stage.floor.at_venue()) == at_halt
    assert 5 <= len(accepted) <= 40
    assert any("trading is halted: among them" in (order.reason or "") for order in denied)


async def test_a_change_that_a_limit_refuses_late_ends_the_order_and_says_why(
    stage: Stage,
) -> None:
    """The API asks first; a limit that came in between finds the old order gone already."""
    order = an_order()
    await stage.place(order)
    await stage.floor.storage.risk.put(ACCOUNT_ID, RiskLimits(max_order_notional=D(700)), by="test")

    answer = await stage.workflows.modify(
        order.order_id, "request", price=None, quantity=D("0.02"), wait_s=20
    )

    assert answer.refusal is not None
    assert "max_order_notional of this account: expected at most 700" in answer.refusal
    ended = await stage.floor.stored(order)
    assert ended.status is OrderStatus.CANCELED
    assert "replace_refused" in (ended.reason or "")
    assert (await stage.floor.storage.risk.limits(ACCOUNT_ID)).version == 1
