"""Trigger orders fire on the mark price, trees live and die together, accounts are liquidated."""

from decimal import Decimal

import pytest

from tests.venues.simulation.desk import Desk, status_of, stop, take_profit
from venues.simulation import trading
from venues.simulation.records import Order, OrderStatus, Reason, Side, TimeInForce
from venues.simulation.trading import OrderRequest, Placement

D = Decimal


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    for name in ("ann", "bob"):
        desk.fund(name)
    return desk


class TestFiring:
    async def test_a_stop_waits_for_its_price_and_then_sells(self, desk: Desk) -> None:
        desk.buy("ann", "2", "101")
        order = desk.sell("ann", "2", "80", trigger=stop("95"), reduce_only=True)
        assert status_of(order) is OrderStatus.UNTRIGGERED
        desk.price("95.01")
        too_early = order.triggered
        assert not too_early
        desk.price("95")
        assert order.triggered
        assert status_of(order) is OrderStatus.FILLED
        assert desk.held("ann") == 0

    async def test_a_take_profit_fires_on_the_other_side(self, desk: Desk) -> None:
        desk.sell("ann", "2", "99")
        order = desk.buy("ann", "2", "95", trigger=take_profit("90"), reduce_only=True)
        desk.price("91")
        assert not order.triggered
        desk.price("89")
        assert order.status is OrderStatus.FILLED

    @pytest.mark.parametrize(
        ("side", "trigger"),
        [
            (Side.SELL, stop("101")),
            (Side.SELL, take_profit("99")),
            (Side.BUY, stop("99")),
            (Side.BUY, take_profit("101")),
            (Side.BUY, stop("100")),
        ],
    )
    async def test_a_trigger_on_the_wrong_side_is_refused(
        self, desk: Desk, side: Side, trigger: trading.TriggerRequest
    ) -> None:
        assert desk.refusal("ann", side, "1", "100", trigger=trigger) is Reason.BAD_TRIGGER

    async def test_a_stop_limit_rests_where_it_was_told(self, desk: Desk) -> None:
        order = desk.buy("ann", "1", "104", trigger=stop("105", market=False))
        desk.price("106")
        assert (order.status, order.triggered) == (OrderStatus.OPEN, True)
        assert order.remaining == 1
        desk.price("104")
        assert order.status is OrderStatus.FILLED

    async def test_a_market_trigger_that_its_cap_stops_finds_no_liquidity(self, desk: Desk) -> None:
        order = desk.buy("ann", "1", "104", trigger=stop("105"))
        desk.price("110")
        assert (order.status, order.reason) == (OrderStatus.REJECTED, Reason.NO_LIQUIDITY)

    async def test_without_margin_it_is_canceled(self, desk: Desk) -> None:
        order = desk.buy("ann", "5000", "120", trigger=stop("105"))
        desk.price("106")
        assert (order.status, order.reason) == (OrderStatus.CANCELED, Reason.MARGIN)

    async def test_a_reduce_only_trigger_goes_with_the_position(self, desk: Desk) -> None:
        desk.buy("ann", "2", "101")
        order = desk.sell("ann", "2", "80", trigger=stop("95"), reduce_only=True)
        desk.sell("ann", "2", "99")
        assert (order.status, order.reason) == (OrderStatus.CANCELED, Reason.REDUCE_ONLY)

    async def test_one_stop_can_set_off_the_next(self, desk: Desk) -> None:
        desk.buy("ann", "2", "101")
        desk.buy("bob", "2", "101")
        first = desk.sell("ann", "2", "80", trigger=stop("95"), reduce_only=True)
        second = desk.sell("bob", "2", "80", trigger=stop("94"), reduce_only=True)
        desk.price("90")
        assert first.status is second.status is OrderStatus.FILLED

    async def test_a_canceled_trigger_never_fires(self, desk: Desk) -> None:
        order = desk.buy("ann", "1", "120", trigger=stop("105"))
        assert desk.cancel(order)
        assert not desk.cancel(order)
        desk.price("110")
        assert not order.triggered

    async def test_a_trigger_at_no_price_is_refused(self, desk: Desk) -> None:
        assert desk.refusal("ann", Side.BUY, "1", "90", trigger=stop("0")) is Reason.INVALID_PRICE
        refused = desk.refusal("ann", Side.BUY, "1", "120", trigger=stop("105.00001"))
        assert refused is Reason.TICK


class TestTrees:
    def _tree(self, desk: Desk, price: str, tif: TimeInForce = TimeInForce.GTC) -> list[Order]:
        return [one.order for one in self._placements(desk, price, tif)]

    def _placements(
        self, desk: Desk, price: str, tif: TimeInForce = TimeInForce.GTC
    ) -> list[Placement]:
        parent = OrderRequest(
            symbol="COIN", side=Side.BUY, price=D(price), quantity=D(2), time_in_force=tif
        )
        children = [
            OrderRequest(
                symbol="COIN",
                side=Side.SELL,
                price=D(limit),
                quantity=D(2),
                reduce_only=True,
                trigger=trigger,
            )
            for limit, trigger in (("110", take_profit("110")), ("80", stop("90")))
        ]
        with desk.exchange.action("order"):
            return trading.place_tree(
                desk.tables, desk.exchange.switches, "ann", [parent, *children]
            )

    async def test_children_wait_for_the_whole_fill_and_one_ends_the_other(
        self, desk: Desk
    ) -> None:
        parent, profit, loss = self._tree(desk, "99.995")
        assert status_of(profit) is status_of(loss) is OrderStatus.WAITING
        desk.sell("bob", "1", "99.995")
        assert status_of(profit) is OrderStatus.WAITING
        desk.sell("bob", "1", "99.995")
        assert parent.status is OrderStatus.FILLED
        assert status_of(profit) is status_of(loss) is OrderStatus.UNTRIGGERED
        desk.price("111")
        assert status_of(profit) is OrderStatus.FILLED
        assert (loss.status, loss.reason) == (OrderStatus.CANCELED, Reason.SIBLING_FILLED)
        assert desk.held("ann") == 0

    async def test_canceling_a_partly_filled_parent_takes_the_children_along(
        self, desk: Desk
    ) -> None:
        parent, profit, loss = self._tree(desk, "99.995")
        desk.sell("bob", "1", "99.995")
        desk.cancel(parent)
        assert {profit.reason, loss.reason} == {Reason.PARENT_ENDED}
        assert desk.held("ann") == 1

    async def test_a_parent_cut_for_margin_activates_them(self, desk: Desk) -> None:
        parent, profit, _ = self._tree(desk, "99.995")
        desk.sell("bob", "1", "99.995")
        with desk.exchange.action("loss"):
            desk.tables.accounts["ann"].cash = D(6)
        desk.sell("bob", "1", "99.995")
        assert parent.reason is Reason.MARGIN
        assert profit.status is OrderStatus.UNTRIGGERED

    async def test_a_parent_that_fills_at_once_activates_them_at_once(self, desk: Desk) -> None:
        parent, profit, loss = self._tree(desk, "101", TimeInForce.IOC)
        assert parent.status is OrderStatus.FILLED
        assert profit.status is loss.status is OrderStatus.UNTRIGGERED

    async def test_children_with_nothing_to_reduce_are_canceled_when_they_fire(
        self, desk: Desk
    ) -> None:
        desk.sell("ann", "5", "99")
        parent, profit, loss = self._tree(desk, "101")
        assert (parent.status, desk.held("ann")) == (OrderStatus.FILLED, D(-3))
        desk.price("89")
        assert (loss.status, loss.reason) == (OrderStatus.CANCELED, Reason.REDUCE_ONLY)
        assert profit.status is OrderStatus.UNTRIGGERED

    async def test_a_reduce_only_parent_is_cut_to_the_position(self, desk: Desk) -> None:
        desk.sell("ann", "1", "99")
        parent = OrderRequest(
            symbol="COIN", side=Side.BUY, price=D(101), quantity=D(3), reduce_only=True
        )
        with desk.exchange.action("order"):
            trading.place_tree(desk.tables, desk.exchange.switches, "ann", [parent])
        assert desk.held("ann") == 0

    async def test_a_refused_parent_places_nothing(self, desk: Desk) -> None:
        placements = self._placements(desk, "99.99999")
        assert {one.refusal.reason for one in placements if one.refusal} == {Reason.TICK}
        assert len(placements) == 3
        assert desk.tables.live_orders.get("ann", {}) == {}

    async def test_a_parent_without_a_match_ends_them_too(self, desk: Desk) -> None:
        placements = self._placements(desk, "90", TimeInForce.IOC)
        assert {one.refusal.reason for one in placements if one.refusal} == {Reason.NO_MATCH}
        assert desk.tables.live_orders["ann"] == {}

    async def test_a_child_on_the_wrong_side_is_refused_alone(self, desk: Desk) -> None:
        desk.price("120")
        placements = self._placements(desk, "99.995")
        refused = [one.refusal.reason if one.refusal else None for one in placements]
        assert refused == [None, Reason.BAD_TRIGGER, None]


class TestPositionTpsl:
    async def test_it_closes_whatever_the_position_is_by_then(self, desk: Desk) -> None:
        desk.buy("ann", "2", "101")
        order = desk.sell(
            "ann", "0", "80", trigger=stop("95"), reduce_only=True, is_position_tpsl=True
        )
        assert order.quantity == 2
        desk.buy("ann", "3", "101")
        desk.price("94")
        assert desk.held("ann") == 0
        assert order.filled == 5


class TestLiquidation:
    async def test_an_account_under_water_is_closed_out(self, desk: Desk) -> None:
        resting = desk.buy("ann", "1", "50")
        desk.buy("ann", "1900", "101", tif=TimeInForce.IOC)
        desk.price("97.3")
        assert desk.held("ann") == 1900
        desk.price("97.1")
        assert desk.held("ann") == 0
        assert (resting.status, resting.reason) == (OrderStatus.CANCELED, Reason.LIQUIDATED)
        fill = desk.tables.fills_of["ann"][-1]
        assert fill.liquidated_account == "ann"
        assert fill.liquidation_mark == D("97.1")
        assert desk.cash("ann") > 0

    async def test_what_is_owed_after_a_gap_is_written_off(self, desk: Desk) -> None:
        desk.buy("ann", "1900", "101", tif=TimeInForce.IOC)
        desk.price("80")
        assert desk.held("ann") == 0
        assert desk.cash("ann") == 0

    async def test_a_short_is_closed_out_by_a_rise(self, desk: Desk) -> None:
        desk.sell("ann", "1900", "99", tif=TimeInForce.IOC)
        desk.price("105")
        assert desk.held("ann") == 0

    async def test_an_isolated_position_falls_alone(self, desk: Desk) -> None:
        from venues.simulation.ownership import set_leverage

        with desk.exchange.action("leverage"):
            set_leverage(desk.tables, "ann", "COIN", 20, is_isolated=True)
        desk.buy("ann", "100", "101", tif=TimeInForce.IOC)
        cash = desk.cash("ann")
        desk.buy("ann", "1000", "3", symbol="OTHER", tif=TimeInForce.IOC)
        desk.price("97")
        assert desk.held("ann") == 0
        assert desk.held("ann", "OTHER") == 1000
        assert desk.cash("ann") > cash - 10
