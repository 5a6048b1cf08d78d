"""Numbers at every edge: tick, lot, minimum, most digits. What is sent is what the exchange has."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_CEILING, Decimal

import pytest

from domain.commands import PlaceOrder
from domain.errors import InvalidInput
from domain.instruments import Instrument, MarketState, OrderSide
from domain.ledger import CommandSlot
from domain.outcomes import Accepted
from tests.conformance.stage import Stage


async def refused(stage: Stage, command: PlaceOrder, field: str) -> None:
    with pytest.raises(InvalidInput) as seen:
        await stage.connector.compose(command)
    assert seen.value.field == field, seen.value
    assert "expected" in seen.value.message and "found" in seen.value.message


async def open_markets(stage: Stage) -> list[Instrument]:
    markets = await stage.connector.instruments()
    return [market for market in markets if market.state is MarketState.OPEN]


async def resting_price(stage: Stage, market: Instrument) -> Decimal:
    book = await stage.connector.order_book(market.symbol, depth=1)
    return market.price_rule.floor(book.bids[0].price * Decimal("0.9"))


def worth(market: Instrument, price: Decimal, notional: Decimal) -> Decimal:
    """Return the least quantity that is worth so much, and that the market takes."""
    lots = (notional / price / market.lot_size).to_integral_value(rounding=ROUND_CEILING)
    return max(lots * market.lot_size, market.min_quantity or market.lot_size)


async def in_market(
    stage: Stage, market: Instrument, quantity: Decimal, price: Decimal
) -> PlaceOrder:
    return replace(await stage.resting(), symbol=market.symbol, quantity=quantity, price=price)


async def kept_exactly(stage: Stage, command: PlaceOrder) -> None:
    """Place an order and compare every digit: command, exchange, look-up."""
    row, outcome = await stage.send(command)
    assert isinstance(outcome, Accepted), (command, outcome)
    record = stage.one_at_venue(row)
    assert (record.price, record.quantity) == (command.price, command.quantity)
    found = await stage.connector.find_order(
        stage.account, symbol=command.symbol, client_order_id=row.client_order_id
    )
    assert found.order is not None
    assert (found.order.price, found.order.quantity) == (command.price, command.quantity)
    assert found.order.symbol == command.symbol


async def test_every_market_takes_its_own_steps(stage: Stage) -> None:
    for market in await open_markets(stage):
        price = await resting_price(stage, market)
        quantity = worth(market, price, 5 * market.min_notional)
        await kept_exactly(stage, await in_market(stage, market, quantity, price))


async def test_one_tick_more_or_less_is_another_price(stage: Stage) -> None:
    for market in await open_markets(stage):
        price = await resting_price(stage, market)
        step = market.price_rule.step_at(price)
        quantity = worth(market, price, 5 * market.min_notional)
        for other in (price + step, price - step):
            if market.price_rule.allows(other):
                await kept_exactly(stage, await in_market(stage, market, quantity, other))
        between = await in_market(stage, market, quantity, price + step / 2)
        await refused(stage, between, "price")
    assert {order.price % 1 == 0 for order in stage.records()} == {True, False}


async def test_one_lot_more_is_another_quantity_and_half_a_lot_is_none(stage: Stage) -> None:
    for market in await open_markets(stage):
        price = await resting_price(stage, market)
        quantity = worth(market, price, 5 * market.min_notional) + market.lot_size
        await kept_exactly(stage, await in_market(stage, market, quantity, price))
        half = await in_market(stage, market, quantity + market.lot_size / 2, price)
        await refused(stage, half, "quantity")
        nothing = await in_market(stage, market, Decimal(0), price)
        await refused(stage, nothing, "quantity")
        await refused(stage, replace(half, quantity=-quantity), "quantity")


async def test_the_minimum_is_taken_and_a_lot_less_is_refused(stage: Stage) -> None:
    for market in await open_markets(stage):
        price = await resting_price(stage, market)
        least = worth(market, price, market.min_notional)
        await kept_exactly(stage, await in_market(stage, market, least, price))
        if least > market.lot_size:
            less = await in_market(stage, market, least - market.lot_size, price)
            await refused(stage, less, "quantity")


async def test_long_numbers_keep_every_digit(stage: Stage) -> None:
    """A quantity with as many digits as the account can pay for, and prices with all of theirs."""
    for market in await open_markets(stage):
        price = await resting_price(stage, market)
        step = market.price_rule.step_at(price)
        lots = (Decimal(20_000) / price / market.lot_size).to_integral_value(ROUND_CEILING)
        for odd in (price - 3 * step, price - 7 * step):
            if not market.price_rule.allows(odd):
                continue
            quantity = (lots + 1 if lots % 10 == 0 else lots) * market.lot_size
            await kept_exactly(stage, await in_market(stage, market, quantity, odd))


async def test_numbers_are_the_same_however_they_are_written(stage: Stage) -> None:
    """`1E+2`, `100`, `100.0`: one number, and the venue sees one spelling of it."""
    command = await stage.resting()
    compose = await stage.connector.compose(command)
    row = await stage.reserve(command)
    price = command.price.normalize()
    same = replace(command, price=price, quantity=Decimal(f"{command.quantity:f}000"))
    slot = CommandSlot(
        client_order_id=row.client_order_id, nonce=row.nonce, admitted_until=row.admitted_until
    )
    assert (await stage.connector.compose(same))(slot) == compose(slot) == row.message
    spelled = row.message.lower().replace(row.client_order_id.lower(), "")
    assert "e+" not in spelled and "e-" not in spelled, "no exponents on the wire"


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "-1", "0"])
async def test_what_is_no_price_is_refused(stage: Stage, wrong: str) -> None:
    with pytest.raises(InvalidInput):
        await stage.connector.compose(replace(await stage.resting(), price=Decimal(wrong)))
    with pytest.raises(InvalidInput):
        await stage.connector.compose(replace(await stage.resting(), quantity=Decimal(wrong)))


async def test_a_close_of_a_whole_position_may_be_below_the_minimum(stage: Stage) -> None:
    """Where that is declared. Where it is not, the house knows that a rest cannot be closed."""
    market = await stage.instrument()
    prices = await stage.prices()
    row, _ = await stage.accepted(await stage.taking())
    held = stage.one_at_venue(row).filled
    rest = market.lot_size
    if not market.is_below_minimum(rest, prices.mark):
        return
    selling = stage.order(held - rest, prices.below, side=OrderSide.SELL, reduce_only=True)
    await stage.send(selling)
    assert stage.held() == rest
    if not stage.connector.capabilities.closes_below_minimum:
        return
    _, outcome = await stage.send(replace(selling, quantity=rest))
    assert isinstance(outcome, Accepted), outcome
    assert stage.held() == 0


async def test_a_closed_market_takes_nothing(stage: Stage) -> None:
    for market in await stage.connector.instruments():
        if market.state is MarketState.OPEN:
            continue
        command = replace(await stage.resting(), symbol=market.symbol)
        with pytest.raises(InvalidInput) as seen:
            await stage.connector.compose(command)
        assert seen.value.field == "symbol"
    assert stage.records() == []
