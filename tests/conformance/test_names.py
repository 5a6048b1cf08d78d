"""A market has one symbol on every venue, however the venue spells a lot of a thousand."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal

from domain.instruments import Instrument
from domain.orders import Verdict
from tests.conformance.stage import Stage

WORTH = Decimal(50)


async def thousandfold(stage: Stage) -> Instrument:
    """Return the simulated exchange's market whose lot is a thousand coins."""
    listed = await stage.connector.instruments()
    [found] = [market for market in listed if market.symbol.startswith("1000")]
    return found


async def test_no_symbol_has_the_letter(stage: Stage) -> None:
    for market in await stage.connector.instruments():
        assert not (market.symbol[0] == "k" and market.symbol[1].isupper())


async def test_an_order_and_its_position_are_found_by_our_name(stage: Stage) -> None:
    market = await thousandfold(stage)
    best = (await stage.connector.order_book(market.symbol, depth=1)).asks[0]
    quantity = (WORTH / best.price / market.lot_size).quantize(1, ROUND_UP) * market.lot_size
    resting = stage.order(
        quantity, market.price_rule.floor(best.price * Decimal("0.9")), symbol=market.symbol
    )
    row, _ = await stage.accepted(resting)
    assert (await stage.until(row, Verdict.ACCEPTED)).symbol == market.symbol
    [open_order] = await stage.connector.open_orders(stage.account)
    assert open_order.symbol == market.symbol
    await stage.cancel(row)

    taking = stage.order(
        quantity,
        market.price_rule.ceiling(best.price * Decimal("1.005")),
        symbol=market.symbol,
        time_in_force=stage.immediate,
    )
    row, _ = await stage.accepted(taking)
    await stage.until(row, Verdict.FILLED)
    summary = await stage.connector.account_summary(stage.account)
    assert [(each.symbol, each.quantity) for each in summary.positions] == [
        (market.symbol, quantity)
    ]
    setting = await stage.connector.leverage_of(stage.account, market.symbol)
    assert setting.symbol == market.symbol


async def test_prices_are_found_by_our_name(stage: Stage) -> None:
    market = await thousandfold(stage)
    assert (await stage.connector.order_book(market.symbol)).symbol == market.symbol
    tickers = {each.symbol for each in await stage.connector.tickers()}
    assert market.symbol in tickers
