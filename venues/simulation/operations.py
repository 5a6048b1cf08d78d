"""What an operator does to the exchange: move prices, fill orders, pay funding, let time pass.

Each function is one action. Used by the control port and by tests; knows no HTTP.
"""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Final

from venues.simulation.events import FundingPaid
from venues.simulation.exchange import Exchange, Receipt
from venues.simulation.house import house_order
from venues.simulation.lifecycle import end, is_in_book
from venues.simulation.matching import maker_can_trade, trade
from venues.simulation.records import (
    FundingPayment,
    FundingRate,
    Order,
    OrderStatus,
    Reason,
    Side,
)

HOUR_MS: Final = 3_600_000
_LAST_FUNDING: Final = "last_funding_hour"
_FUNDING_STEP: Final = Decimal("0.000001")


class CannotDo(Exception):
    """The operation makes no sense now; the message says what was expected and found."""


def set_price(
    exchange: Exchange, symbol: str, price: Decimal, *, oracle_price: Decimal | None = None
) -> Receipt:
    """Have the market trade at `price`: resting orders that it reaches fill, triggers fire.

    Buys at or above and sells at or below the price are filled by the house at their own price;
    then the house quotes around the new price. Raises `CannotDo` for a wrong market or price.
    """
    instrument = exchange.tables.instruments.get(symbol)
    if instrument is None or instrument.delisted:
        known = ", ".join(exchange.tables.instruments)
        raise CannotDo(f"symbol: expected one of {known}; found {symbol!r}")
    if not price.is_finite() or price <= 0:
        raise CannotDo(f"price: expected a number above 0; found {price}")
    with exchange.action("set_price") as receipt:
        exchange.tables.markets[symbol].oracle_price = oracle_price or price
        exchange.requote(symbol, price)
        for side in Side:
            _sweep(exchange, symbol, side, price)
        exchange.put_out_quotes(symbol)
    return receipt


def _sweep(exchange: Exchange, symbol: str, side: Side, price: Decimal) -> None:
    tables = exchange.tables
    ladder = tables.books[symbol].side(side)
    while (level := ladder.crossing(price)) is not None:
        order = level.first()
        if not maker_can_trade(tables, order, order.remaining):
            end(tables, order, OrderStatus.CANCELED, Reason.MARGIN)
            continue
        _fill(exchange, order, order.price, order.remaining)


def _fill(exchange: Exchange, order: Order, price: Decimal, quantity: Decimal) -> None:
    taker = house_order(order.symbol, order.side.opposite, price, quantity)
    trade(exchange.tables, taker, order, price, quantity)


def step_price(exchange: Exchange, symbol: str, source: random.Random, step_bps: int) -> Receipt:
    """Move a market's price by one random step of at most `step_bps` hundredths of a percent."""
    instrument = exchange.tables.instruments.get(symbol)
    if instrument is None:
        raise CannotDo(f"symbol: expected a market of this exchange; found {symbol!r}")
    change = Decimal(source.randint(-step_bps * 100, step_bps * 100)) / 1_000_000
    price = exchange.tables.markets[symbol].mark_price * (1 + change)
    return set_price(exchange, symbol, instrument.price_below(price))


def fill_order(
    exchange: Exchange, order: Order, quantity: Decimal | None, price: Decimal | None
) -> Receipt:
    """Have the house fill a resting order, wholly or `quantity` of it, at its price or `price`.

    Raises `CannotDo` for an order that does not rest in the book or for too large a quantity.
    """
    if not is_in_book(order):
        raise CannotDo(
            f"order {order.venue_order_id}: expected one that rests in the book; "
            f"found status {order.status.value!r}"
        )
    wanted = order.remaining if quantity is None else quantity
    instrument = exchange.tables.instruments[order.symbol]
    if not 0 < wanted <= order.remaining or not instrument.is_valid_quantity(wanted):
        raise CannotDo(
            f"quantity: expected a multiple of 1e-{instrument.size_decimals} up to "
            f"{order.remaining}; found {wanted}"
        )
    with exchange.action("fill") as receipt:
        _fill(exchange, order, order.price if price is None else price, wanted)
    return receipt


def pay_funding(exchange: Exchange, symbol: str, rate: Decimal | None = None) -> Receipt:
    """Settle funding of one market now, at its present rate or at `rate`."""
    with exchange.action("funding") as receipt:
        _pay(exchange, symbol, rate)
    return receipt


def _pay(exchange: Exchange, symbol: str, rate: Decimal | None) -> None:
    tables = exchange.tables
    market = tables.markets[symbol]
    if rate is not None:
        market.funding_rate = rate
        tables.touch(market)
    tables.record(
        FundingRate(
            symbol=symbol,
            rate=market.funding_rate,
            premium=(market.mark_price - market.oracle_price) / market.oracle_price,
            time_ms=tables.now_ms,
        )
    )
    for position in tuple(tables.holders.get(symbol, {}).values()):
        due = position.quantity * market.oracle_price * market.funding_rate
        amount = -due.quantize(_FUNDING_STEP)
        account = tables.accounts[position.account]
        if position.is_isolated:
            position.isolated_margin += amount
        else:
            account.cash += amount
        position.funding_all_time -= amount
        position.funding_since_open -= amount
        position.funding_since_change -= amount
        tables.touch(account)
        tables.touch(position)
        payment = FundingPayment(
            account=position.account,
            symbol=symbol,
            amount=amount,
            quantity=position.quantity,
            rate=market.funding_rate,
            time_ms=tables.now_ms,
            action_hash=tables.action_hash,
        )
        tables.record(payment)
        tables.emit(FundingPaid(payment=payment))
        tables.moved(symbol)


def pass_time(exchange: Exchange) -> None:
    """Do what has fallen due: scheduled cancels, hourly funding. Called a few times a second."""
    tables = exchange.tables
    now_ms = exchange.now_ms()
    due = [
        account
        for account in tables.accounts.values()
        if account.cancel_all_at_ms is not None and account.cancel_all_at_ms <= now_ms
    ]
    for account in due:
        with exchange.action("scheduled_cancel"):
            account.cancel_all_at_ms = None
            day = now_ms // (24 * HOUR_MS)
            account.cancel_all_count = (
                account.cancel_all_count + 1 if account.cancel_all_day == day else 1
            )
            account.cancel_all_day = day
            tables.touch(account)
            for order in tuple(tables.live_orders.get(account.address, {}).values()):
                if order.status.is_live:
                    end(tables, order, OrderStatus.CANCELED, Reason.SCHEDULED)
    if exchange.switches.hourly_funding:
        _fund_hourly(exchange, now_ms)


def _fund_hourly(exchange: Exchange, now_ms: int) -> None:
    """Pay once per full hour that begins while we run; hours that passed unseen are left out."""
    hour = now_ms // HOUR_MS
    last = exchange.tables.settings.get(_LAST_FUNDING)
    if last == hour:
        return
    with exchange.action("hourly_funding"):
        exchange.setting(_LAST_FUNDING, hour)
        if last is not None:
            for symbol, instrument in exchange.tables.instruments.items():
                if not instrument.delisted:
                    _pay(exchange, symbol, None)
