"""Risk limits where orders are placed: refused with limit and value, and nothing is sent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from activities.mark_prices import FRESH, MarkPrices
from activities.orders import OrderActivities
from activities.risk_readings import RiskReadings
from domain.errors import VenueUnavailable
from domain.instruments import OrderSide
from domain.orders import OrderStatus
from domain.risk_limits import RiskLimits
from domain.violations import ALL_ACCOUNTS, LimitName
from tests.activities.floor import ACCOUNT_ID, MARKET, Altered, Floor, an_order, now, place_task
from venues.simulation.faults import FaultKind

D = Decimal


def readings(floor: Floor) -> RiskReadings:
    return RiskReadings(
        risk=floor.storage.risk,
        accounts=floor.storage.accounts,
        connectors=floor.connectors,
        venues=floor.connectors.venues,
        marks=MarkPrices(now),
        now=now,
    )


async def mark_of(floor: Floor, symbol: str = "BTC-PERP") -> Decimal:
    return await MarkPrices(now).of(await floor.connector(), symbol)


async def test_an_order_above_a_limit_is_denied_with_limit_and_value(floor: Floor) -> None:
    await floor.storage.risk.put(ACCOUNT_ID, RiskLimits(max_order_notional=D(500)), by="test")

    result = await floor.place(an_order())

    assert result.definite
    assert result.order.status is OrderStatus.DENIED
    (violation,) = result.order.violations
    assert violation.limit is LimitName.MAX_ORDER_NOTIONAL
    assert (violation.limit_value, violation.value) == (D(500), D("600.00"))
    assert result.denied == result.order.reason
    assert "expected at most 500, found 600" in (result.denied or "")
    assert (await floor.stored(result.order)).violations == (violation,)
    assert floor.at_venue() == []


async def test_the_mark_is_read_only_where_a_limit_needs_it(floor: Floor) -> None:
    asked: list[str] = []
    connector = await floor.connector()

    async def tickers() -> object:
        asked.append("tickers")
        return await connector.tickers()

    altered = Altered(connector, tickers=tickers)
    orders = OrderActivities(floor.parts(connectors=altered))
    await floor.environment.run(orders.place, place_task(an_order()))
    assert asked == []
    await floor.storage.risk.put(
        ALL_ACCOUNTS, RiskLimits(max_price_distance_bps=D(1_000)), by="test"
    )
    for _ in range(3):
        result = await floor.environment.run(orders.place, place_task(an_order()))
        assert result.order.status is OrderStatus.ACCEPTED
    assert asked == ["tickers"]
    mark = await mark_of(floor)
    far = an_order(price=(mark * D("0.8")).quantize(D(1)))
    denied = await floor.environment.run(orders.place, place_task(far))
    (violation,) = denied.order.violations
    assert violation.limit is LimitName.MAX_PRICE_DISTANCE_BPS
    assert violation.scope == ALL_ACCOUNTS
    assert violation.value is not None
    assert abs(violation.value - 2_000) < 2


async def test_an_order_whose_limit_cannot_be_measured_waits(floor: Floor) -> None:
    await floor.storage.risk.put(ACCOUNT_ID, RiskLimits(max_total_notional=D(10_000)), by="test")
    floor.fault(FaultKind.MAINTENANCE, None, count=None)
    order = an_order()

    with pytest.raises(VenueUnavailable):
        await floor.place(order)

    assert await floor.storage.ledger.of_order(order.order_id) == ()
    floor.venue_is_back()
    assert (await floor.place(order)).order.status is OrderStatus.ACCEPTED


async def test_a_market_order_counts_at_its_bound(floor: Floor) -> None:
    mark = await mark_of(floor)
    await floor.storage.risk.put(
        ACCOUNT_ID, RiskLimits(max_order_notional=mark * D("0.0102")), by="test"
    )
    wide = an_order(**MARKET, max_slippage_bps=500)
    narrow = an_order(**MARKET, max_slippage_bps=50)

    denied = await floor.place(wide)
    assert denied.order.status is OrderStatus.DENIED
    value = denied.order.violations[0].value
    assert value is not None
    assert value > mark * D("0.0104")
    assert (await floor.place(narrow)).order.status is OrderStatus.FILLED


async def test_what_only_reduces_passes_and_nothing_is_asked(floor: Floor) -> None:
    await floor.place(an_order(**MARKET))
    await floor.storage.risk.put(
        ACCOUNT_ID, RiskLimits(max_order_notional=D(1), max_open_orders=1), by="test"
    )
    reducing = an_order(**MARKET, side=OrderSide.SELL, reduce_only=True)
    assert (await floor.place(reducing)).order.status is OrderStatus.FILLED


@pytest.mark.parametrize("name", ["max_open_orders", "max_position_notional"])
async def test_fifty_orders_at_once_never_exceed_a_limit(floor: Floor, name: str) -> None:
    mark = await mark_of(floor)
    exact = RiskLimits(max_open_orders=20)
    # The mark may move while they are placed, by less than half an order.
    near = RiskLimits(max_position_notional=mark * D("0.01") * D("20.5"))
    limits = exact if name == "max_open_orders" else near
    await floor.storage.risk.put(ACCOUNT_ID, limits, by="test")
    orders = floor.orders
    placed = [an_order() for _ in range(50)]

    results = await asyncio.gather(
        *(floor.environment.run(orders.place, place_task(order)) for order in placed)
    )

    accepted = [r for r in results if r.order.status is OrderStatus.ACCEPTED]
    denied = [r for r in results if r.order.status is OrderStatus.DENIED]
    assert len(accepted) + len(denied) == 50
    assert len(accepted) == 20
    assert len(floor.at_venue()) == len(accepted)
    assert {v.limit.value for r in denied for v in r.order.violations} == {name}


async def test_readings_tell_marks_and_equity_of_those_who_need_them(floor: Floor) -> None:
    reading = readings(floor)
    assert await reading.read() == 0
    await floor.place(an_order(**MARKET))
    await floor.storage.risk.put(ACCOUNT_ID, RiskLimits(max_leverage=D(5)), by="test")

    assert await reading.read() == 1

    used = {use.limit: use.value for use in await floor.storage.risk.use(ACCOUNT_ID)}
    leverage = used[LimitName.MAX_LEVERAGE]
    assert leverage is not None
    assert D(0) < leverage < D("0.01")
    total = used[LimitName.MAX_TOTAL_NOTIONAL]
    assert total is not None
    assert abs(total - (await mark_of(floor)) * D("0.01")) < 10

    floor.fault(FaultKind.MAINTENANCE, None, count=None)
    with pytest.raises(VenueUnavailable):
        await replace(reading, marks=MarkPrices(now)).read()
    other = replace(reading, venues=frozenset({"elsewhere"}))
    assert await other.read() == 0


async def test_a_market_without_mark_is_said(floor: Floor) -> None:
    with pytest.raises(VenueUnavailable, match="expected a mark price of NONE-PERP"):
        await mark_of(floor, "NONE-PERP")


async def test_marks_are_kept_for_some_seconds_and_then_read_again(floor: Floor) -> None:
    connector, asked = await floor.connector(), []
    later = timedelta(0)

    async def tickers() -> object:
        asked.append(later)
        return await connector.tickers()

    marks = MarkPrices(lambda: now() + later)
    altered = Altered(connector, tickers=tickers)
    await asyncio.gather(*(marks.of(altered, "BTC-PERP") for _ in range(5)))
    assert len(asked) == 1
    later = FRESH * 2
    await marks.of(altered, "ETH-PERP")
    assert len(asked) == 2
