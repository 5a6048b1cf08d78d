"""How the simulated venue writes things: fixed decimals, its statuses, rows and events.

Source: the official v2 API page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from venues.simulation import margin
from venues.simulation.book import Ladder
from venues.simulation.candles import INTERVALS_MS, Candle
from venues.simulation.instruments import Instrument
from venues.simulation.records import (
    ZERO,
    Fill,
    FundingRate,
    Order,
    OrderStatus,
    Position,
    Reason,
    Side,
    TimeInForce,
    Trade,
)
from venues.simulation.settlement import TAKER_FEE
from venues.simulation.tables import Tables

Json = dict[str, Any]

#: The codes of orders that the matching side refused.
CODES: Final = {
    Reason.MARGIN: 3002,
    Reason.REDUCE_ONLY: 3018,
    Reason.INVALID_QUANTITY: 3019,
    Reason.NO_LIQUIDITY: 3001,
    Reason.NO_MATCH: 3001,
    Reason.INVALID_PRICE: 3011,
    Reason.LIQUIDATED: 3008,
}
_OTHER_CODE: Final = 3011
_DAY_MS: Final = 86_400_000


def fixed(value: Decimal, decimals: int) -> str:
    """Write a number with so many decimals."""
    return f"{value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN):f}"


def money(value: Decimal) -> str:
    """Write an amount of money, to a millionth."""
    return fixed(value, 6)


def plain(value: Decimal) -> str:
    """Write a number without superfluous zeros."""
    text = format(value.normalize(), "f")
    return "0" if text in ("-0", "0") else text


def order_id(number: int) -> str:
    """Write an order's id: 0x and 64 digits, as ids of this venue look."""
    return f"0x{number:064x}"


def order_number(text: str) -> int:
    """Read an order's id; 0 for what is none."""
    digits = text.removeprefix("0x")
    try:
        return int(digits, 16) if text.startswith("0x") and len(digits) == 64 else 0
    except ValueError:
        return 0


def status_word(order: Order, *, fok_cancels: bool) -> str:
    """Return the venue's status of an order."""
    if order.status is OrderStatus.REJECTED:
        return "CANCELLED" if order.reason is Reason.NO_MATCH and fok_cancels else "REJECTED"
    if order.status is OrderStatus.FILLED:
        # What a market order did not find is gone.
        return "FILLED" if order.filled == order.quantity else "CANCELLED"
    if order.status is OrderStatus.CANCELED:
        return "CANCELLED"
    return "PARTIALLY_FILLED" if order.filled else "NEW"


def code_of(order: Order, status: str) -> int | None:
    """Return the code beside the status REJECTED."""
    if status != "REJECTED":
        return None
    return CODES.get(order.reason, _OTHER_CODE) if order.reason is not None else _OTHER_CODE


@dataclass(frozen=True, slots=True)
class Execution:
    """What was executed of an order in one go."""

    quantity: Decimal
    price: Decimal
    time_ms: int


def last_execution(fills: Sequence[Fill]) -> Execution | None:
    """Return the last execution: all that one action filled of an order counts as one."""
    if not fills:
        return None
    newest = fills[-1]
    together = [fill for fill in fills if fill.action_hash == newest.action_hash]
    quantity = sum((fill.quantity for fill in together), ZERO)
    value = sum((fill.quantity * fill.price for fill in together), ZERO)
    return Execution(quantity, value / quantity, newest.time_ms)


def order_type(order: Order) -> str:
    """Return the venue's name of an order's type."""
    return "MARKET" if order.is_market else "LIMIT"


def whole_order(order: Order, instrument: Instrument) -> Json:
    """Write what an order is, without what became of it."""
    return {
        "id": order_id(order.venue_order_id),
        "nonce": int(order.client_order_id or 0),
        "symbol": order.symbol,
        "isBuy": order.side is Side.BUY,
        "orderType": order_type(order),
        "limitPrice": fixed(order.price, instrument.price_decimals),
        "size": fixed(order.quantity, instrument.size_decimals),
        "reduceOnly": order.reduce_only,
        "initMarginRatio": "0.1000",
        "postTime": order.created_ms,
    }


def filled_part(order: Order, instrument: Instrument, fills: Sequence[Fill]) -> Json:
    """Write what was filled of an order; null for nothing."""
    last = last_execution(fills)
    if last is None:
        names = ("lastFilledSize", "lastFilledPrice", "lastFilledTime", "avgFilledPrice", "fees")
        return dict.fromkeys(names)
    return {
        "lastFilledSize": fixed(last.quantity, instrument.size_decimals),
        "lastFilledPrice": fixed(last.price, instrument.price_decimals),
        "lastFilledTime": last.time_ms,
        "avgFilledPrice": fixed(order.filled_notional / order.filled, instrument.price_decimals),
        "fees": money(sum((fill.fee for fill in fills), ZERO)),
    }


def order_row(tables: Tables, order: Order, fills: Sequence[Fill], *, fok_cancels: bool) -> Json:
    """Write an order as `GET /orders` lists it."""
    instrument = tables.instruments[order.symbol]
    status = status_word(order, fok_cancels=fok_cancels)
    mark = tables.markets[order.symbol].mark_price
    pnl = sum((fill.closed_pnl for fill in fills), ZERO)
    return {
        **whole_order(order, instrument),
        "markPrice": fixed(mark, instrument.price_decimals),
        "status": status,
        "code": code_of(order, status),
        **filled_part(order, instrument, fills),
        "settledFunding": "0.000000" if fills else None,
        "realizedPnl": money(pnl) if fills else None,
        "tpPrice": None,
        "slPrice": None,
    }


def order_events(
    tables: Tables, order: Order, fills: Sequence[Fill], *, is_new: bool, fok_cancels: bool
) -> list[Json]:
    """Write what the private channel says of an order that changed; `fills` are all it has.

    It begins as NEW; what was canceled or rejected is said in short.
    """
    instrument = tables.instruments[order.symbol]
    status = status_word(order, fok_cancels=fok_cancels)
    whole = whole_order(order, instrument)
    events: list[Json] = []
    if is_new and status != "REJECTED":
        events.append({**whole, "status": "NEW"})
    if status in ("FILLED", "PARTIALLY_FILLED") or (status == "CANCELLED" and is_new and fills):
        part = filled_part(order, instrument, fills)
        part["cumFunding"] = "0.000000"
        told = "FILLED" if status == "FILLED" else "PARTIALLY_FILLED"
        events.append({**whole, **part, "status": told})
    if status in ("CANCELLED", "REJECTED"):
        short = {name: whole[name] for name in ("id", "nonce", "postTime")}
        code = code_of(order, status)
        events.append({**short, "status": status, **({"code": code} if code else {})})
    return events


# Markets.


def market_row(instrument: Instrument) -> Json:
    """Write a market."""
    base = instrument.symbol.removesuffix("-PERP").removesuffix("-USD")
    ratio = Decimal(1) / instrument.max_leverage
    return {
        "symbol": instrument.symbol,
        "displayName": instrument.symbol,
        "base": base,
        "quote": "USDC",
        "sizeDecimals": instrument.size_decimals,
        "priceDecimals": instrument.price_decimals,
        "initMarginRatio": plain(ratio),
        "maintMarginRatio": plain(ratio / 2),
        "takerFee": plain(TAKER_FEE),
        "isolated": False,
    }


def ticker_row(tables: Tables, symbol: str) -> Json:
    """Write a market's prices."""
    market, instrument = tables.markets[symbol], tables.instruments[symbol]
    return {
        "symbol": symbol,
        "markPrice": fixed(market.mark_price, instrument.price_decimals),
        "indexPrice": fixed(market.oracle_price, instrument.price_decimals),
        "imbalance": "0",
        "oneHrFundingRate": plain(market.funding_rate),
        "cumFunding": "0.000000000000",
        "status": "TRADING",
    }


def day_row(tables: Tables, symbol: str, now_ms: int) -> Json:
    """Write a market's last day."""
    market, instrument = tables.markets[symbol], tables.instruments[symbol]
    start = now_ms - _DAY_MS
    trades = [trade for trade in tables.trades.get(symbol, ()) if trade.time_ms >= start]
    prices = [trade.price for trade in trades] or [market.mark_price]
    decimals = instrument.price_decimals
    return {
        "symbol": symbol,
        "openPrice": fixed(market.previous_day_price, decimals),
        "closePrice": fixed(market.mark_price, decimals),
        "highPrice": fixed(max(prices), decimals),
        "lowPrice": fixed(min(prices), decimals),
        "quoteVolume": money(sum((one.price * one.quantity for one in trades), ZERO)),
        "volume": fixed(sum((one.quantity for one in trades), ZERO), instrument.size_decimals),
        "priceChange": fixed(market.mark_price - market.previous_day_price, decimals),
        "priceChangePercent": "0.00",
        "openTime": start,
        "closeTime": now_ms,
    }


def levels(ladder: Ladder, instrument: Instrument, depth: int) -> list[list[str]]:
    """Write one side of a book."""
    return [
        [
            fixed(level.price, instrument.price_decimals),
            fixed(level.quantity, instrument.size_decimals),
        ]
        for level in ladder.levels(depth)
    ]


def public_trade(trade: Trade, instrument: Instrument, *, in_socket: bool) -> Json:
    """Write a public trade, which has no side; its id is a text in the socket."""
    return {
        "id": str(trade.trade_id) if in_socket else trade.trade_id,
        "price": fixed(trade.price, instrument.price_decimals),
        "qty": fixed(trade.quantity, instrument.size_decimals),
        "quoteQty": money(trade.price * trade.quantity),
        "time": trade.time_ms,
    }


def kline(candle: Candle, interval: str, instrument: Instrument, *, in_socket: bool) -> list[Any]:
    """Write a candle; its number of trades is a text in the socket."""
    decimals = instrument.price_decimals
    prices = (candle.open, candle.high, candle.low, candle.close)
    return [
        candle.start_ms,
        *(fixed(price, decimals) for price in prices),
        candle.start_ms + INTERVALS_MS[interval] - 1,
        fixed(candle.volume, instrument.size_decimals),
        money(candle.volume * candle.close),
        str(candle.count) if in_socket else candle.count,
    ]


def funding_rate_row(rate: FundingRate) -> Json:
    """Write a rate that applied."""
    return {"symbol": rate.symbol, "time": rate.time_ms, "oneHrFundingRate": plain(rate.rate)}


# Accounts.


def account_row(tables: Tables, address: str, now_ms: int) -> Json:
    """Write an account's money and positions."""
    summary = margin.full_summary(tables, address)
    held = tables.held_margin.get(address, ZERO)
    available = max(margin.available_margin(tables, address), ZERO)
    rows = tables.positions.get(address, {})
    return {
        "address": address,
        "balances": [
            {"asset": "USDC", "total": money(tables.accounts[address].cash), "locked": "0.000000"}
        ],
        "collateral": money(tables.accounts[address].cash),
        "withdrawable": money(available),
        "totalAccountValue": money(summary.account_value),
        "openOrderMargin": money(held),
        "totalMaintMargin": money(margin.cross_maintenance(tables, address)),
        "positions": [_position(tables, row) for row in margin.held_positions(tables, address)],
        "leverages": [{"symbol": row.symbol, "value": row.leverage} for row in rows.values()],
        "lp": {"balance": "0.000000", "shares": "0.000000", "unrealizedPnl": "0.000000"},
        "time": now_ms,
        "twitterUsername": None,
        "discordUsername": None,
    }


def _position(tables: Tables, row: Position) -> Json:
    instrument, market = tables.instruments[row.symbol], tables.markets[row.symbol]
    liquidation = margin.liquidation_price(tables, row)
    notional = margin.notional(tables, row)
    entry = row.entry_price or ZERO
    return {
        "symbol": row.symbol,
        "isLong": row.quantity > 0,
        "size": fixed(abs(row.quantity), instrument.size_decimals),
        "entryPrice": fixed(entry, instrument.price_decimals),
        "entryFunding": "0.000000000000",
        "unrealizedPnl": money(margin.unrealized_pnl(tables, row)),
        "settledFunding": money(-row.funding_since_open),
        "markPrice": fixed(market.mark_price, instrument.price_decimals),
        "indexPrice": fixed(market.oracle_price, instrument.price_decimals),
        "liqPrice": fixed(liquidation, instrument.price_decimals) if liquidation else None,
        "initMargin": money(notional / row.leverage),
        "maintMargin": money(notional * instrument.maintenance_rate()),
        "initMarginRatio": fixed(Decimal(1) / row.leverage, 12),
    }


def is_immediate(order: Order) -> bool:
    """Tell whether an order never rests."""
    return order.is_market or order.time_in_force is TimeInForce.IOC
