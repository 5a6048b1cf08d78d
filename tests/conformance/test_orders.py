"""Every order type, time in force and flag: what is declared works, what is not is refused unsent.

The exchange's own book-keeping says what became of each order.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.commands import PlaceOrder
from domain.errors import InvalidInput
from domain.instruments import OrderSide
from domain.orders import OrderType, TimeInForce, Verdict
from domain.outcomes import Accepted, Rejected
from tests.conformance.stage import Stage, report_in

LIVE = (Verdict.ACCEPTED, Verdict.PARTIALLY_FILLED)
TRIGGERS = [kind for kind in OrderType if kind.is_trigger]
SELL = OrderSide.SELL


async def refused(stage: Stage, command: PlaceOrder, field: str) -> None:
    """Check that the connector refuses a command for that field, before anything is sent."""
    before = len(stage.records())
    with pytest.raises(InvalidInput) as seen:
        await stage.connector.compose(command)
    assert seen.value.field == field
    assert len(stage.records()) == before


async def test_a_limit_order_rests_and_both_ids_and_every_list_know_it(stage: Stage) -> None:
    row, report = await stage.accepted(await stage.resting())
    record = stage.one_at_venue(row)
    assert (record.account, record.filled) == (stage.account.address, Decimal(0))
    assert report.venue_order_id in (None, stage.id_of(record))
    seen = await stage.until(row, Verdict.ACCEPTED)
    assert seen.venue_order_id == stage.id_of(record)
    assert (seen.quantity, seen.price, seen.side) == (record.quantity, record.price, OrderSide.BUY)
    by_venue_id = await stage.connector.find_order(
        stage.account, symbol=stage.rig.symbol, venue_order_id=seen.venue_order_id
    )
    assert by_venue_id.order is not None
    assert by_venue_id.order.client_order_id == row.client_order_id
    (listed,) = await stage.connector.open_orders(stage.account)
    assert listed.client_order_id == row.client_order_id
    assert (listed.filled_quantity, listed.reduce_only) == (Decimal(0), False)


@pytest.mark.parametrize("side", OrderSide)
async def test_a_limit_order_through_the_book_fills_at_the_books_price(
    stage: Stage, side: OrderSide
) -> None:
    prices = await stage.prices()
    is_buy = side is OrderSide.BUY
    price = prices.above if is_buy else prices.below
    row, _ = await stage.accepted(stage.order(prices.quantity, price, side=side))
    seen = await stage.until(row, Verdict.FILLED)
    assert seen.filled_quantity == prices.quantity
    assert stage.held() == (prices.quantity if is_buy else -prices.quantity)
    average = stage.one_at_venue(row).filled_notional / prices.quantity
    assert average >= prices.best_ask if is_buy else average <= prices.best_bid


async def test_a_partial_fill_is_told_and_the_rest_goes_on_resting(stage: Stage) -> None:
    row, _ = await stage.accepted(await stage.resting())
    part = (await stage.instrument()).lot_size
    stage.fill(row, part)
    seen = await stage.until(row, Verdict.PARTIALLY_FILLED)
    assert seen.filled_quantity == part
    (listed,) = await stage.connector.open_orders(stage.account)
    assert listed.filled_quantity == part
    stage.fill(row)
    assert (await stage.until(row, Verdict.FILLED)).filled_quantity == seen.quantity
    assert await stage.connector.open_orders(stage.account) == ()


async def test_a_market_order_fills_within_its_bound(stage: Stage) -> None:
    prices = await stage.prices()
    for side, before in ((OrderSide.BUY, Decimal(0)), (SELL, prices.quantity)):
        bound = await stage.connector.price_bound(stage.rig.symbol, side, 100)
        assert stage.held() == before
        command = stage.order(prices.quantity, bound, side=side, order_type=OrderType.MARKET)
        row, _ = await stage.accepted(command)
        seen = await stage.until(row, Verdict.FILLED)
        assert seen.filled_quantity == prices.quantity
        average = stage.one_at_venue(row).filled_notional / prices.quantity
        assert average <= bound if side is OrderSide.BUY else average >= bound
    assert stage.held() == 0


@pytest.mark.parametrize("time_in_force", TimeInForce)
async def test_every_time_in_force(stage: Stage, time_in_force: TimeInForce) -> None:
    command = await stage.resting(time_in_force=time_in_force)
    if time_in_force not in stage.connector.capabilities.times_in_force:
        await refused(stage, command, "time_in_force")
        return
    row, outcome = await stage.send(command)
    if time_in_force in (TimeInForce.GTC, TimeInForce.GTD):
        assert (await stage.until(row, Verdict.ACCEPTED)).filled_quantity == 0
        return
    # Immediate, and nothing to match with: it has ended and nothing of it filled.
    assert isinstance(outcome, Accepted | Rejected), outcome
    for record in stage.at_venue(row):
        assert (record.status.is_live, record.filled) == (False, Decimal(0))
    assert await stage.connector.open_orders(stage.account) == ()
    if isinstance(outcome, Accepted):
        seen = await stage.ended(row)
        assert (seen.verdict, seen.filled_quantity) == (Verdict.CANCELED, Decimal(0))


@pytest.mark.parametrize("time_in_force", (TimeInForce.IOC, TimeInForce.FOK))
async def test_an_immediate_order_larger_than_what_there_is(
    stage: Stage, time_in_force: TimeInForce
) -> None:
    if time_in_force not in stage.connector.capabilities.times_in_force:
        await refused(stage, await stage.resting(time_in_force=time_in_force), "time_in_force")
        return
    book = await stage.connector.order_book(stage.rig.symbol, depth=1)
    there = book.asks[0].quantity
    lot = (await stage.instrument()).lot_size
    command = stage.order(there + lot, book.asks[0].price, time_in_force=time_in_force)
    row, outcome = await stage.send(command)
    filled = there if time_in_force is TimeInForce.IOC else Decimal(0)
    assert stage.held() == filled
    if isinstance(outcome, Accepted):
        seen = await stage.ended(row)
        assert (seen.verdict, seen.filled_quantity) == (Verdict.CANCELED, filled)
    assert await stage.connector.open_orders(stage.account) == ()


async def test_post_only_rests_or_ends_but_never_takes(stage: Stage) -> None:
    resting = await stage.resting(post_only=True)
    if not stage.connector.capabilities.post_only:
        await refused(stage, resting, "post_only")
        return
    row, _ = await stage.accepted(resting)
    assert (await stage.until(row, Verdict.ACCEPTED)).filled_quantity == 0
    crossing = replace(resting, price=(await stage.prices()).above)
    crossed, outcome = await stage.send(crossing)
    assert isinstance(outcome, Accepted | Rejected), outcome
    assert stage.held() == 0
    for record in stage.at_venue(crossed):
        assert (record.status.is_live, record.filled) == (False, Decimal(0))
    if isinstance(outcome, Accepted):
        assert (await stage.ended(crossed)).verdict in (Verdict.REJECTED, Verdict.CANCELED)


async def test_post_only_and_immediate_contradict_each_other(stage: Stage) -> None:
    command = await stage.resting(post_only=True, time_in_force=TimeInForce.IOC)
    await refused(stage, command, "post_only")


async def test_reduce_only_never_opens_grows_or_flips_a_position(stage: Stage) -> None:
    prices = await stage.prices()
    command = stage.order(
        prices.quantity, prices.below, side=SELL, time_in_force=stage.immediate, reduce_only=True
    )
    if not stage.connector.capabilities.reduce_only:
        await refused(stage, command, "reduce_only")
        return
    _, without = await stage.send(command)
    assert isinstance(without, Accepted | Rejected), without
    assert stage.held() == 0
    held = await stage.position()
    _, growing = await stage.send(replace(command, side=OrderSide.BUY, price=prices.above))
    assert isinstance(growing, Accepted | Rejected), growing
    assert stage.held() == held
    row, larger = await stage.send(replace(command, quantity=held * 3))
    assert stage.held() in ((Decimal(0), held) if isinstance(larger, Rejected) else (Decimal(0),))
    if isinstance(larger, Accepted):
        assert stage.one_at_venue(row).filled == held
        assert (await stage.connector.account_summary(stage.account)).positions == ()
        sold = [fill for fill in await fills_of(stage) if fill.side is SELL]
        assert sum(fill.quantity for fill in sold) == held


async def fills_of(stage: Stage) -> tuple[Any, ...]:
    venue_time = await stage.connector.venue_time(stage.account)
    return await stage.connector.fills(stage.account, since=venue_time.replace(hour=0, minute=0))


@pytest.mark.parametrize("kind", TRIGGERS)
async def test_a_trigger_order_waits_unseen_and_shows_its_trigger(
    stage: Stage, kind: OrderType
) -> None:
    await stage.position()
    command = await stage.waiting(kind, reduce_only=True)
    if kind not in stage.connector.capabilities.order_types:
        await refused(stage, command, "order_type")
        return
    row, _ = await stage.accepted(command)
    seen = await stage.until(row, Verdict.ACCEPTED)
    assert (seen.trigger_price, seen.filled_quantity or 0) == (command.trigger_price, 0)
    assert seen.reduce_only
    listed = {order.client_order_id for order in await stage.connector.open_orders(stage.account)}
    assert listed == {row.client_order_id}
    book = stage.running.exchange.tables.books[stage.venue_symbol]
    assert all(level.price != command.price for level in book.asks.levels(50))


@pytest.mark.parametrize("kind", TRIGGERS)
async def test_a_trigger_order_acts_once_the_mark_touches_it(stage: Stage, kind: OrderType) -> None:
    if kind not in stage.connector.capabilities.order_types:
        await refused(stage, await stage.waiting(kind), "order_type")
        return
    held = await stage.position()
    command = await stage.waiting(kind, reduce_only=True)
    row, _ = await stage.accepted(command)
    assert stage.held() == held
    rule = (await stage.instrument()).price_rule
    assert command.trigger_price is not None
    is_stop = kind in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT)
    beyond = command.trigger_price * (Decimal("0.999") if is_stop else Decimal("1.001"))
    await stage.move_mark(rule.floor(beyond))
    # Both kinds may trade here: the limit is five percent below the trigger.
    seen = await stage.until(row, Verdict.FILLED, Verdict.PARTIALLY_FILLED)
    assert seen.filled_quantity in (held, None)
    assert stage.held() == 0
    assert await stage.connector.open_orders(stage.account) == ()


async def test_a_trigger_price_belongs_to_trigger_orders_and_to_them_alone(stage: Stage) -> None:
    declared = [kind for kind in TRIGGERS if kind in stage.connector.capabilities.order_types]
    await refused(stage, replace(await stage.resting(), trigger_price=Decimal(1)), "trigger_price")
    for kind in declared:
        await refused(
            stage, replace(await stage.waiting(kind), trigger_price=None), "trigger_price"
        )


async def test_an_order_that_the_account_cannot_pay_is_rejected(stage: Stage) -> None:
    account = await stage.open_account(balance=1)
    before = len(stage.records())
    row, outcome = await stage.send(await stage.taking(), account)
    assert isinstance(outcome, Rejected), outcome
    assert outcome.code and outcome.proof
    assert outcome.report is None or report_in(Accepted(report=outcome.report)).verdict is (
        Verdict.REJECTED
    )
    assert all(not record.status.is_live for record in stage.at_venue(row))
    assert all(not record.filled for record in stage.records()[before:])
