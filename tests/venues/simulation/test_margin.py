"""Margin by the venue's formulas, checked with the numbers of a recorded account."""

from decimal import Decimal

import pytest

from tests.venues.simulation.desk import Desk
from venues.simulation import margin
from venues.simulation.instruments import default_instruments
from venues.simulation.ownership import (
    approve_agent,
    move_isolated_margin,
    open_account,
    set_leverage,
    transfer,
)
from venues.simulation.records import Reason, TimeInForce

D = Decimal


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    desk.fund("ann")
    return desk


async def test_a_cross_account_adds_up_as_recorded_accounts_do() -> None:
    """4.5 BTC bought at 81,285 with 10x, mark 83,926: totals as in a public sample."""
    desk = Desk(instruments=default_instruments())
    desk.fund("ann", "0")
    with desk.exchange.action("set up"):
        row = desk.tables.position("ann", "BTC")
        row.quantity, row.entry_notional, row.leverage = D("4.5"), D("4.5") * 81_285, 10
        desk.tables.count_holder(row)
        desk.tables.accounts["ann"].cash = D("38252.7") - D("4.5") * (83_926 - 81_285)
        desk.tables.markets["BTC"].mark_price = D(83_926)
    cross = margin.cross_summary(desk.tables, "ann")
    assert cross.account_value == D("38252.7")
    assert cross.notional == D("377667")
    assert cross.margin_used == D("37766.7")
    assert cross.withdrawable == D("486")
    assert margin.cross_maintenance(desk.tables, "ann") == D("4720.8375")
    price = margin.liquidation_price(desk.tables, row)
    assert price is not None
    assert abs(price - D("339414.3") / D("4.44375")) < D("0.000001")


async def test_the_liquidation_price_is_where_it_happens(desk: Desk) -> None:
    desk.buy("ann", "1900", "101", tif=TimeInForce.IOC)
    row = desk.tables.positions["ann"]["COIN"]
    price = margin.liquidation_price(desk.tables, row)
    assert price is not None
    desk.price(str(price.quantize(D("0.01")) + D("0.01")))
    assert desk.held("ann") == 1900
    desk.price(str(price.quantize(D("0.01")) - D("0.01")))
    assert desk.held("ann") == 0


async def test_a_small_position_has_no_liquidation_price(desk: Desk) -> None:
    desk.buy("ann", "1", "101")
    assert margin.liquidation_price(desk.tables, desk.tables.positions["ann"]["COIN"]) is None


class TestLeverage:
    def _set(self, desk: Desk, leverage: int, *, isolated: bool = False) -> Reason | None:
        with desk.exchange.action("leverage"):
            return set_leverage(desk.tables, "ann", "COIN", leverage, is_isolated=isolated)

    async def test_it_is_bounded_by_the_market(self, desk: Desk) -> None:
        assert self._set(desk, 21) is Reason.INVALID_QUANTITY
        assert self._set(desk, 0) is Reason.INVALID_QUANTITY
        assert self._set(desk, 5) is None
        assert desk.tables.positions["ann"]["COIN"].leverage == 5

    async def test_the_mode_cannot_change_under_a_position(self, desk: Desk) -> None:
        desk.buy("ann", "1", "101")
        assert self._set(desk, 20, isolated=True) is Reason.USER

    async def test_lowering_it_needs_margin(self, desk: Desk) -> None:
        desk.buy("ann", "1000", "101", tif=TimeInForce.IOC)
        assert self._set(desk, 2) is Reason.MARGIN
        assert self._set(desk, 15) is None

    async def test_an_isolated_position_holds_its_own_margin(self, desk: Desk) -> None:
        self._set(desk, 10, isolated=True)
        desk.buy("ann", "10", "101")
        row = desk.tables.positions["ann"]["COIN"]
        assert row.isolated_margin == row.entry_notional / 10
        total = desk.cash("ann") + row.isolated_margin
        self._set(desk, 5, isolated=True)
        assert row.isolated_margin > row.entry_notional / 6
        assert desk.cash("ann") + row.isolated_margin == total
        full = margin.full_summary(desk.tables, "ann")
        assert full.account_value == total + margin.unrealized_pnl(desk.tables, row)

    async def test_isolated_margin_moves_within_bounds(self, desk: Desk) -> None:
        def move(amount: str) -> Reason | None:
            with desk.exchange.action("margin"):
                return move_isolated_margin(desk.tables, "ann", "COIN", D(amount))

        assert move("5") is Reason.REDUCE_ONLY
        self._set(desk, 10, isolated=True)
        desk.buy("ann", "10", "101")
        row = desk.tables.positions["ann"]["COIN"]
        before = row.isolated_margin
        assert move("50") is None
        assert row.isolated_margin == before + 50
        assert move("-60") is Reason.MARGIN
        assert move("-40") is None
        assert move("100000") is Reason.MARGIN

    async def test_closing_gives_the_margin_back(self, desk: Desk) -> None:
        self._set(desk, 10, isolated=True)
        desk.buy("ann", "10", "101")
        desk.sell("ann", "4", "99")
        desk.sell("ann", "6", "99")
        fills = desk.tables.fills_of["ann"]
        flow = sum(-one.side.sign * one.quantity * one.price - one.fee for one in fills)
        assert desk.cash("ann") == 10_000 + flow
        assert desk.tables.positions["ann"]["COIN"].isolated_margin == 0


class TestOwnership:
    async def test_money_moves_only_where_it_can_be_spared(self, desk: Desk) -> None:
        with desk.exchange.action("transfer"):
            sub = open_account(desk.tables, "sub", D(0), master="ann", name="one")
            ann = desk.tables.accounts["ann"]
            assert transfer(desk.tables, ann, sub, D(4_000))
            assert not transfer(desk.tables, ann, sub, D(7_000))
            assert not transfer(desk.tables, ann, sub, D(-1))
        assert (desk.cash("ann"), desk.cash("sub")) == (D(6_000), D(4_000))

    async def test_an_agent_is_replaced_by_its_name_and_names_are_counted(self, desk: Desk) -> None:
        def approve(address: str, name: str) -> bool:
            with desk.exchange.action("approve"):
                until_ms = desk.tables.now_ms + 1_000
                return approve_agent(desk.tables, "ann", address, name, until_ms)

        assert approve("a1", "a")
        assert approve("b1", "b")
        assert approve("c1", "c")
        assert not approve("d1", "d")
        assert approve("n1", "")
        assert approve("a2", "a")
        assert desk.tables.agents["a1"].revoked
        assert not desk.tables.agents["a2"].revoked
        desk.clock.offset_ms += 2_000
        assert approve("d1", "d")
