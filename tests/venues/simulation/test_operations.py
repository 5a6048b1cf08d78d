"""What an operator does: prices, walks, executions, funding, the passing of time."""

import random
from decimal import Decimal

import pytest

from tests.venues.simulation.desk import START_MS, Desk
from venues.simulation import operations
from venues.simulation.events import FundingPaid
from venues.simulation.exchange import ExchangeStopped
from venues.simulation.operations import CannotDo
from venues.simulation.records import OrderStatus, Reason, TimeInForce

D = Decimal


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    for name in ("ann", "bob"):
        desk.fund(name)
    return desk


class TestPrice:
    async def test_orders_that_the_price_reaches_fill_at_their_own(self, desk: Desk) -> None:
        at = desk.buy("ann", "1", "95")
        above = desk.buy("ann", "1", "96")
        below = desk.buy("ann", "1", "94.99")
        desk.price("95")
        assert at.status is above.status is OrderStatus.FILLED
        assert below.status is OrderStatus.OPEN
        assert [fill.price for fill in desk.tables.fills_of["ann"]] == [D(96), D(95)]
        assert not any(fill.is_taker for fill in desk.tables.fills_of["ann"])
        assert desk.tables.markets["COIN"].mark_price == 95

    async def test_it_moves_the_quotes(self, desk: Desk) -> None:
        desk.sell("ann", "1", "120")
        desk.price("130")
        assert desk.bids()[0][0] < 130 < desk.asks()[0][0]
        assert desk.held("ann") == -1

    async def test_without_margin_a_reached_order_is_canceled(self, desk: Desk) -> None:
        order = desk.buy("ann", "1000", "95")
        with desk.exchange.action("loss"):
            desk.tables.accounts["ann"].cash = D(1)
        desk.price("95")
        assert (order.status, order.reason) == (OrderStatus.CANCELED, Reason.MARGIN)

    @pytest.mark.parametrize(
        ("symbol", "price"), [("COIN", "0"), ("COIN", "-1"), ("COIN", "NaN"), ("NONE", "1")]
    )
    async def test_nonsense_is_refused_and_stops_nothing(
        self, desk: Desk, symbol: str, price: str
    ) -> None:
        with pytest.raises(CannotDo, match="expected"):
            desk.price(price, symbol)
        desk.price("101")

    async def test_the_price_moves_only_when_told(self, desk: Desk) -> None:
        desk.clock.offset_ms += 86_400_000
        operations.pass_time(desk.exchange)
        assert desk.tables.markets["COIN"].mark_price == 100


async def test_a_walk_is_its_seed(desk: Desk) -> None:
    def walked(seed: int) -> list[Decimal]:
        fresh = Desk()
        source, prices = random.Random(seed), []
        for _ in range(20):
            operations.step_price(fresh.exchange, "COIN", source, 20)
            prices.append(fresh.tables.markets["COIN"].mark_price)
        return prices

    assert walked(3) == walked(3)
    assert walked(3) != walked(4)
    assert all(abs(price - 100) < 5 for price in walked(3))
    with pytest.raises(CannotDo):
        operations.step_price(desk.exchange, "NONE", random.Random(1), 20)


class TestFill:
    async def test_a_part_then_the_rest(self, desk: Desk) -> None:
        order = desk.buy("ann", "3", "90")
        operations.fill_order(desk.exchange, order, D(1), None)
        assert (order.status, order.filled) == (OrderStatus.OPEN, D(1))
        operations.fill_order(desk.exchange, order, None, D(89))
        assert order.status is OrderStatus.FILLED
        assert [fill.price for fill in desk.tables.fills_of["ann"]] == [D(90), D(89)]

    async def test_only_what_rests_can_be_filled_and_no_more_than_that(self, desk: Desk) -> None:
        order = desk.buy("ann", "3", "90")
        for quantity in ("4", "0", "0.001"):
            with pytest.raises(CannotDo, match="quantity"):
                operations.fill_order(desk.exchange, order, D(quantity), None)
        desk.cancel(order)
        with pytest.raises(CannotDo, match="rests"):
            operations.fill_order(desk.exchange, order, None, None)


async def test_one_listener_cannot_silence_another(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    import asyncio

    def broken(events: object) -> None:
        raise ZeroDivisionError

    desk.exchange.listeners.insert(0, broken)
    desk.buy("ann", "1", "90")
    await asyncio.sleep(0)
    assert desk.events
    assert "a listener failed" in caplog.text


class TestFunding:
    async def test_longs_pay_shorts_by_the_oracle_price(self, desk: Desk) -> None:
        desk.buy("ann", "10", "101", tif=TimeInForce.IOC)
        desk.sell("bob", "4", "99", tif=TimeInForce.IOC)
        cash = {name: desk.cash(name) for name in ("ann", "bob")}
        operations.pay_funding(desk.exchange, "COIN", D("0.001"))
        assert desk.cash("ann") == cash["ann"] - 1
        assert desk.cash("bob") == cash["bob"] + D("0.4")
        (paid,) = desk.tables.funding_payments["ann"]
        assert (paid.amount, paid.quantity) == (D(-1), D(10))
        assert desk.tables.positions["ann"]["COIN"].funding_all_time == 1
        assert desk.tables.funding_rates["COIN"][-1].rate == D("0.001")

    async def test_isolated_positions_pay_from_their_own(self, desk: Desk) -> None:
        from venues.simulation.ownership import set_leverage

        with desk.exchange.action("leverage"):
            set_leverage(desk.tables, "ann", "COIN", 10, is_isolated=True)
        desk.buy("ann", "10", "101", tif=TimeInForce.IOC)
        before = desk.tables.positions["ann"]["COIN"].isolated_margin
        operations.pay_funding(desk.exchange, "COIN", D("0.001"))
        assert desk.tables.positions["ann"]["COIN"].isolated_margin == before - 1

    async def test_every_full_hour_once_and_not_for_hours_unseen(self, desk: Desk) -> None:
        import asyncio

        desk.exchange.switches.hourly_funding = True
        desk.buy("ann", "10", "101", tif=TimeInForce.IOC)
        operations.pass_time(desk.exchange)
        assert "ann" not in desk.tables.funding_payments
        for _ in range(2):
            desk.clock.offset_ms += 3_600_000
            operations.pass_time(desk.exchange)
            operations.pass_time(desk.exchange)
        assert len(desk.tables.funding_payments["ann"]) == 2
        desk.clock.offset_ms += 5 * 3_600_000
        operations.pass_time(desk.exchange)
        assert len(desk.tables.funding_payments["ann"]) == 3
        await asyncio.sleep(0)
        assert sum(isinstance(one, FundingPaid) for one in desk.events) == 3


async def test_a_scheduled_cancel_ends_everything_when_due(desk: Desk) -> None:
    orders = [desk.buy("ann", "1", "90"), desk.buy("ann", "5", "2", symbol="OTHER")]
    other = desk.buy("bob", "1", "90")
    with desk.exchange.action("schedule"):
        desk.tables.accounts["ann"].cancel_all_at_ms = START_MS + 5_000
        desk.tables.touch(desk.tables.accounts["ann"])
    operations.pass_time(desk.exchange)
    assert all(order.status is OrderStatus.OPEN for order in orders)
    desk.clock.offset_ms += 5_000
    operations.pass_time(desk.exchange)
    assert {order.reason for order in orders} == {Reason.SCHEDULED}
    assert other.status is OrderStatus.OPEN
    account = desk.tables.accounts["ann"]
    assert (account.cancel_all_at_ms, account.cancel_all_count) == (None, 1)


async def test_an_action_that_breaks_stops_the_exchange(desk: Desk) -> None:
    with pytest.raises(ZeroDivisionError), desk.exchange.action("broken"):
        raise ZeroDivisionError
    with pytest.raises(ExchangeStopped, match="ZeroDivisionError"):
        desk.buy("ann", "1", "90")


class TestCandles:
    async def test_prices_and_trades_make_candles(self, desk: Desk) -> None:
        desk.buy("ann", "1", "101", tif=TimeInForce.IOC)
        desk.price("104")
        desk.price("97")
        candle = desk.tables.candles.latest("COIN", "1m")
        assert candle is not None
        assert (candle.open, candle.high, candle.low, candle.close) == (
            D(100),
            D(104),
            D(97),
            D(97),
        )
        assert (candle.volume, candle.count) == (D(1), 1)
        desk.clock.offset_ms += 120_000
        desk.price("98")
        now_ms = desk.clock.now_ms()
        assert len(desk.tables.candles.between("COIN", "1m", START_MS, now_ms)) == 2
        assert len(desk.tables.candles.between("COIN", "1d", START_MS, now_ms)) == 1
