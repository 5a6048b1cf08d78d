"""Price-time priority, times in force, reduce-only, self-trade, and the money that moves."""

from decimal import Decimal
from typing import Any

import pytest

from tests.venues.simulation.desk import Desk, status_of
from venues.simulation import margin, trading
from venues.simulation.events import Filled, OrderChanged, Traded
from venues.simulation.records import HOUSE, Order, OrderStatus, Reason, Side, TimeInForce
from venues.simulation.switches import Switches
from venues.simulation.trading import OrderRequest

D = Decimal


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    for name in ("ann", "bob", "eve"):
        desk.fund(name)
    return desk


async def test_the_house_quotes_around_the_price(desk: Desk) -> None:
    bids, asks = desk.bids(), desk.asks()
    assert len(bids) == len(asks) == 20
    assert bids[0][0] == D("99.99")
    assert asks[0][0] == D("100.01")
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)


async def test_the_same_seed_gives_the_same_house(desk: Desk) -> None:
    assert Desk(seed=1).asks() == desk.asks()
    assert Desk(seed=2).asks() != desk.asks()


async def test_price_goes_before_time_and_time_before_size(desk: Desk) -> None:
    late = desk.sell("bob", "1", "99.995")
    first = desk.sell("ann", "2", "99.994")
    second = desk.sell("bob", "5", "99.994")
    desk.buy("eve", "4", "99.996")
    assert (first.status, first.filled) == (OrderStatus.FILLED, D(2))
    assert (second.status, second.filled) == (OrderStatus.OPEN, D(2))
    assert late.filled == 0
    assert [fill.price for fill in desk.tables.fills_of["eve"]] == [D("99.994")] * 2
    assert desk.held("eve") == 4


async def test_users_trade_before_the_house_at_one_price(desk: Desk) -> None:
    order = desk.sell("ann", "1", "100.01")
    desk.buy("bob", "1", "100.01")
    assert order.status is OrderStatus.FILLED
    assert {trade.seller for trade in desk.tables.trades["COIN"]} == {"ann"}


async def test_fees_are_cut_to_a_millionth_and_makers_pay_less(desk: Desk) -> None:
    desk.sell("ann", "0.33", "99.995")
    desk.buy("bob", "0.33", "99.995")
    taker, maker = desk.tables.fills_of["bob"][0], desk.tables.fills_of["ann"][0]
    assert taker.is_taker
    assert not maker.is_taker
    assert taker.fee == D("0.014849")
    assert maker.fee == D("0.004949")
    assert desk.cash("bob") == 10_000 - taker.fee
    assert taker.trade_id == maker.trade_id


async def test_what_a_gtc_does_not_trade_rests(desk: Desk) -> None:
    desk.sell("ann", "1", "99.995")
    order = desk.buy("bob", "3", "99.995")
    assert (order.status, order.remaining, order.filled) == (OrderStatus.OPEN, D(2), D(1))
    assert desk.bids()[0] == (D("99.995"), D(2), 1)


async def test_an_ioc_keeps_what_it_got_and_is_refused_without_any(desk: Desk) -> None:
    desk.sell("ann", "1", "99.995")
    order = desk.buy("bob", "3", "99.995", tif=TimeInForce.IOC)
    assert (order.status, order.remaining, order.filled) == (OrderStatus.FILLED, D(2), D(1))
    again = desk.refusal("bob", Side.BUY, "3", "99.995", tif=TimeInForce.IOC)
    assert again is Reason.NO_MATCH
    market = desk.refusal("bob", Side.BUY, "3", "99", tif=TimeInForce.IOC, is_market=True)
    assert market is Reason.NO_LIQUIDITY


async def test_a_post_only_order_never_takes(desk: Desk) -> None:
    placement = desk.place("ann", Side.BUY, "1", "100.01", tif=TimeInForce.ALO)
    assert placement.refusal == trading.Refusal(
        reason=Reason.POST_ONLY_CROSS, bid=D("99.99"), ask=D("100.01")
    )
    assert placement.order.status is OrderStatus.REJECTED
    assert desk.buy("ann", "1", "100", tif=TimeInForce.ALO).status is OrderStatus.OPEN


async def test_a_self_trade_cancels_the_resting_order_and_goes_on(desk: Desk) -> None:
    own = desk.sell("ann", "1", "99.994")
    other = desk.sell("bob", "1", "99.995")
    order = desk.buy("ann", "2", "99.995")
    assert (own.status, own.reason) == (OrderStatus.CANCELED, Reason.SELF_TRADE)
    assert other.status is OrderStatus.FILLED
    assert order.filled == 1


async def test_the_house_is_as_deep_after_a_trade_as_before(desk: Desk) -> None:
    before = desk.asks()
    desk.buy("ann", "50", "101", tif=TimeInForce.IOC)
    assert desk.asks() == before
    assert all(trade.seller == HOUSE for trade in desk.tables.trades["COIN"])


async def test_the_house_does_not_cross_a_resting_order(desk: Desk) -> None:
    desk.fund("ann", 100_000_000)
    quotes = desk.asks()
    everything = sum(quantity for _, quantity, _ in quotes)
    order = desk.buy("ann", str(everything + 10), "150")
    assert (order.status, order.remaining) == (OrderStatus.OPEN, D(10))
    assert desk.asks() == []
    desk.cancel(order)
    assert desk.asks() == quotes


class TestRefusals:
    @pytest.mark.parametrize(
        ("quantity", "price", "reason"),
        [
            ("0", "100", Reason.ZERO_QUANTITY),
            ("0.001", "100", Reason.INVALID_QUANTITY),
            ("1", "99.9999", Reason.TICK),
            ("1", "0", Reason.INVALID_PRICE),
            ("0.09", "99.99", Reason.MIN_NOTIONAL),
            ("3000", "90", Reason.MARGIN),
        ],
    )
    async def test_what_is_wrong_is_said(
        self, desk: Desk, quantity: str, price: str, reason: Reason
    ) -> None:
        assert desk.refusal("ann", Side.BUY, quantity, price) is reason
        assert desk.tables.live_orders.get("ann", {}) == {}

    async def test_a_refused_order_stays_in_the_history(self, desk: Desk) -> None:
        desk.refusal("ann", Side.BUY, "0.09", "99.99")
        (order,) = desk.tables.orders_of["ann"]
        assert (order.status, order.reason) == (OrderStatus.REJECTED, Reason.MIN_NOTIONAL)

    async def test_a_duplicate_client_id_is_a_second_order_unless_switched_off(
        self, desk: Desk
    ) -> None:
        desk.buy("ann", "1", "90", client_order_id="x")
        desk.buy("ann", "1", "90", client_order_id="x")
        assert len(desk.tables.live_orders["ann"]) == 2
        desk.exchange.switches.refuse_duplicate_client_ids = True
        refused = desk.refusal("ann", Side.BUY, "1", "90", client_order_id="x")
        assert refused is Reason.DUPLICATE_CLIENT_ID
        assert desk.buy("bob", "1", "90", client_order_id="x").status is OrderStatus.OPEN

    async def test_open_orders_are_limited_when_switched_on(self) -> None:
        desk = Desk(switches=Switches(open_order_limit=True, hourly_funding=False))
        desk.fund("ann", 1_000_000)
        for _ in range(1_000):
            desk.buy("ann", "0.2", "90")
        assert desk.refusal("ann", Side.BUY, "0.2", "90") is Reason.TOO_MANY_ORDERS


class TestMargin:
    async def test_resting_orders_reserve_margin_until_they_end(self, desk: Desk) -> None:
        first = desk.buy("ann", "1900", "100")
        assert desk.tables.held_margin["ann"] == 9_500
        assert desk.refusal("ann", Side.BUY, "200", "99") is Reason.MARGIN
        desk.cancel(first)
        assert desk.tables.held_margin["ann"] == 0
        desk.buy("ann", "200", "99")

    async def test_closing_needs_no_margin(self, desk: Desk) -> None:
        desk.buy("ann", "1900", "101", tif=TimeInForce.IOC)
        assert margin.available_margin(desk.tables, "ann") < 500
        desk.sell("ann", "1900", "101")
        assert desk.tables.held_margin.get("ann", 0) == 0

    async def test_a_resting_order_without_margin_is_canceled_when_met(self, desk: Desk) -> None:
        resting = desk.buy("ann", "1000", "99.995")
        with desk.exchange.action("loss"):
            desk.tables.accounts["ann"].cash = D(10)
        seller = desk.sell("bob", "10", "99.995")
        assert (resting.status, resting.reason) == (OrderStatus.CANCELED, Reason.MARGIN)
        assert seller.filled == 0

    async def test_a_resting_order_that_closes_needs_no_margin(self, desk: Desk) -> None:
        desk.buy("ann", "10", "101")
        resting = desk.sell("ann", "10", "100")
        with desk.exchange.action("loss"):
            desk.tables.accounts["ann"].cash = D(25)
        desk.buy("bob", "10", "100")
        assert resting.status is OrderStatus.FILLED
        assert desk.held("ann") == 0


class TestReduceOnly:
    async def test_without_a_position_it_is_refused(self, desk: Desk) -> None:
        assert desk.refusal("ann", Side.SELL, "1", "99", reduce_only=True) is Reason.REDUCE_ONLY
        desk.buy("ann", "1", "101")
        assert desk.refusal("ann", Side.BUY, "1", "101", reduce_only=True) is Reason.REDUCE_ONLY

    async def test_it_is_cut_to_the_position(self, desk: Desk) -> None:
        desk.buy("ann", "2", "101")
        order = desk.sell("ann", "5", "99", tif=TimeInForce.IOC, reduce_only=True)
        assert (order.status, order.filled, order.remaining) == (OrderStatus.FILLED, D(2), D(0))
        assert desk.held("ann") == 0

    async def test_at_rest_it_shows_the_position_and_what_was_asked(self, desk: Desk) -> None:
        desk.buy("ann", "2", "101")
        order = desk.sell("ann", "5", "110", reduce_only=True)
        assert (order.remaining, order.quantity, order.filled) == (D(2), D(5), D(0))

    async def test_it_follows_a_shrinking_position_and_goes_with_it(self, desk: Desk) -> None:
        desk.buy("ann", "2", "101")
        order = desk.sell("ann", "2", "110", reduce_only=True)
        desk.sell("ann", "0.5", "99")
        assert order.remaining == D("1.5")
        desk.sell("ann", "1.5", "99")
        assert (order.status, order.reason) == (OrderStatus.CANCELED, Reason.REDUCE_ONLY)

    async def test_the_ten_dollar_rule_spares_what_closes_all(self, desk: Desk) -> None:
        desk.buy("ann", "1.05", "101")
        desk.sell("ann", "1", "99")
        assert desk.refusal("ann", Side.SELL, "0.04", "99", reduce_only=True) is Reason.MIN_NOTIONAL
        order = desk.sell("ann", "0.05", "99", reduce_only=True)
        assert order.status is OrderStatus.FILLED
        assert desk.held("ann") == 0


class TestPositions:
    async def test_a_flip_realizes_the_closed_part_only(self, desk: Desk) -> None:
        desk.buy("ann", "2", "101")
        desk.price("110")
        desk.sell("ann", "5", "109")
        first, second = desk.tables.fills_of["ann"]
        assert first.closed_pnl == 0
        assert second.closed_pnl == 2 * (second.price - first.price)
        assert desk.held("ann") == -3
        position = desk.tables.positions["ann"]["COIN"]
        assert position.entry_price == second.price

    async def test_money_is_conserved_through_partial_closes(self, desk: Desk) -> None:
        desk.buy("ann", "3", "101")
        desk.buy("ann", "4", "102")
        for quantity in ("1", "2.33", "3.67"):
            desk.price("107")
            desk.sell("ann", quantity, "105")
        fills = desk.tables.fills_of["ann"]
        cash_flow = sum(-one.side.sign * one.quantity * one.price - one.fee for one in fills)
        assert desk.held("ann") == 0
        assert desk.cash("ann") == 10_000 + cash_flow


class TestReplace:
    def _request(self, price: str, **more: Any) -> OrderRequest:
        return OrderRequest(
            symbol="COIN",
            side=Side.BUY,
            price=D(price),
            quantity=D(1),
            **more,
        )

    def _replace(
        self, desk: Desk, old: Order, request: OrderRequest, *, always: bool = False
    ) -> trading.Placement | None:
        with desk.exchange.action("modify"):
            return trading.replace(
                desk.tables,
                desk.exchange.switches,
                old,
                request,
                "ann",
                always_place=always,
            )

    async def test_it_is_a_new_order_and_post_only(self, desk: Desk) -> None:
        old = desk.buy("ann", "1", "90", client_order_id="x")
        placed = self._replace(desk, old, self._request("91", client_order_id="x"))
        assert placed is not None
        assert placed.order.venue_order_id != old.venue_order_id
        assert placed.order.time_in_force is TimeInForce.ALO
        assert (old.status, old.reason) == (OrderStatus.CANCELED, Reason.REPLACED)

    async def test_an_ended_order_is_replaced_only_when_told_to_place_always(
        self, desk: Desk
    ) -> None:
        old = desk.buy("ann", "1", "90")
        desk.cancel(old)
        assert self._replace(desk, old, self._request("91")) is None
        placed = self._replace(desk, old, self._request("91"), always=True)
        assert placed is not None
        assert placed.order.status is OrderStatus.OPEN

    async def test_bad_form_spares_the_old_order_a_cross_does_not(self, desk: Desk) -> None:
        old = desk.buy("ann", "1", "90")
        malformed = self._replace(desk, old, self._request("91.00001"))
        assert malformed is not None
        assert malformed.refusal is not None
        assert malformed.refusal.reason is Reason.TICK
        assert status_of(old) is OrderStatus.OPEN
        crossing = self._replace(desk, old, self._request("120"))
        assert crossing is not None
        assert crossing.refusal is not None
        assert crossing.refusal.reason is Reason.POST_ONLY_CROSS
        assert status_of(old) is OrderStatus.CANCELED
        assert desk.held("ann") == 0


class TestLookUp:
    async def test_ended_orders_are_forgotten_by_count_live_ones_are_not(self, desk: Desk) -> None:
        desk.exchange.switches.order_retention = 2
        kept = desk.buy("ann", "1", "90", client_order_id="live")
        ended = desk.buy("ann", "1", "90", client_order_id="a")
        desk.cancel(ended)
        for _ in range(2):
            assert self._find(desk, "a") is ended
            desk.cancel(desk.buy("ann", "1", "90"))
        assert self._find(desk, "a") is None
        assert self._find(desk, ended.venue_order_id) is None
        assert self._find(desk, "live") is kept

    async def test_the_newest_order_of_a_client_id_is_found_by_its_owner(self, desk: Desk) -> None:
        desk.buy("ann", "1", "90", client_order_id="a")
        newest = desk.buy("ann", "1", "90", client_order_id="a")
        assert self._find(desk, "a") is newest
        found = trading.find_order(
            desk.tables, desk.exchange.switches, "bob", newest.venue_order_id
        )
        assert found is None

    async def test_a_new_order_is_invisible_during_the_lag(self, desk: Desk) -> None:
        desk.exchange.switches.lookup_lag_ms = 500
        order = desk.buy("ann", "1", "90", client_order_id="a")
        assert self._find(desk, "a") is None
        desk.tables.now_ms += 500
        assert self._find(desk, "a") is order

    def _find(self, desk: Desk, reference: int | str) -> object:
        return trading.find_order(desk.tables, desk.exchange.switches, "ann", reference)


async def test_listeners_hear_in_order_and_get_copies(desk: Desk) -> None:
    import asyncio

    await asyncio.sleep(0)
    desk.events.clear()
    order = desk.buy("ann", "3", "99.995")
    desk.sell("bob", "1", "99.995")
    await asyncio.sleep(0)
    seen = [
        (one.order.account, one.order.status, one.order.remaining)
        for one in desk.events
        if isinstance(one, OrderChanged)
    ]
    assert seen == [
        ("ann", OrderStatus.OPEN, D(3)),
        ("ann", OrderStatus.OPEN, D(2)),
        ("bob", OrderStatus.FILLED, D(0)),
    ]
    assert sum(isinstance(one, Filled) for one in desk.events) == 2
    assert sum(isinstance(one, Traded) for one in desk.events) == 1
    assert order.remaining == 2
