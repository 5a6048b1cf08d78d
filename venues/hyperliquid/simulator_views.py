"""How the simulated venue writes its objects: orders, fills, books, positions, contexts.

Pure reading of the exchange; shapes and number formats as the venue's, statuses in its words.
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from venues.simulation import margin
from venues.simulation.book import Ladder
from venues.simulation.candles import INTERVALS_MS, Candle
from venues.simulation.records import (
    HOUSE,
    ZERO,
    Fill,
    Order,
    OrderStatus,
    Position,
    Reason,
    Side,
    TimeInForce,
    Trade,
)
from venues.simulation.tables import Tables

Json = dict[str, Any]

#: The address that public trades show for the house.
HOUSE_ADDRESS: Final = "0x" + "1" * 40

#: Account modes in which spot and perpetual balances are one.
UNIFIED_MODES: Final = ("unifiedAccount", "portfolioMargin")

_CANCELED: Final[dict[Reason | None, str]] = {
    Reason.MARGIN: "marginCanceled",
    Reason.SELF_TRADE: "selfTradeCanceled",
    Reason.REDUCE_ONLY: "reduceOnlyCanceled",
    Reason.SIBLING_FILLED: "siblingFilledCanceled",
    Reason.LIQUIDATED: "liquidatedCanceled",
    Reason.SCHEDULED: "scheduledCancel",
    Reason.DELISTED: "delistedCanceled",
}
_REJECTED: Final[dict[Reason | None, str]] = {
    Reason.TICK: "tickRejected",
    Reason.MIN_NOTIONAL: "minTradeNtlRejected",
    Reason.MARGIN: "perpMarginRejected",
    Reason.REDUCE_ONLY: "reduceOnlyRejected",
    Reason.POST_ONLY_CROSS: "badAloPxRejected",
    Reason.NO_MATCH: "iocCancelRejected",
    Reason.NO_LIQUIDITY: "marketOrderNoLiquidityRejected",
    Reason.BAD_TRIGGER: "badTriggerPxRejected",
    Reason.TOO_MANY_ORDERS: "tooManyOpenOrdersRejected",
}
_TIFS: Final = {TimeInForce.GTC: "Gtc", TimeInForce.IOC: "Ioc", TimeInForce.ALO: "Alo"}


def number(value: Decimal) -> str:
    """Write a number as the venue does: no exponent, no superfluous zeros, at least one decimal."""
    text = format(value.normalize(), "f")
    if text == "-0":
        return "0.0"
    return text if "." in text else text + ".0"


def rounded(value: Decimal, decimals: int) -> str:
    """Write a number that is the result of a division."""
    return number(value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN))


def side_letter(side: Side) -> str:
    """Return B for a buy, A for a sell."""
    return "B" if side is Side.BUY else "A"


def status_word(order: Order) -> str:
    """Return the venue's status of an order."""
    if order.status is OrderStatus.FILLED:
        return "filled"
    if order.status is OrderStatus.CANCELED:
        return _CANCELED.get(order.reason, "canceled")
    if order.status is OrderStatus.REJECTED:
        return _REJECTED.get(order.reason, "rejected")
    return "triggered" if order.triggered else "open"


def order_type(order: Order) -> str:
    """Return the venue's name of the order's type."""
    trigger = order.trigger
    if trigger is None:
        return "Market" if order.is_market else "Limit"
    kind = "Take Profit" if trigger.is_take_profit else "Stop"
    return f"{kind} {'Market' if trigger.is_market else 'Limit'}"


def basic_order(order: Order) -> Json:
    """Write an order as `openOrders` lists it: without anything about triggers."""
    view: Json = {
        "coin": order.symbol,
        "side": side_letter(order.side),
        "limitPx": number(order.price),
        "sz": number(order.remaining),
        "oid": order.venue_order_id,
        "timestamp": order.created_ms,
        "origSz": number(order.quantity),
    }
    if order.client_order_id is not None:
        view["cloid"] = order.client_order_id
    if order.reduce_only:
        view["reduceOnly"] = True
    return view


def full_order(tables: Tables, order: Order) -> Json:
    """Write an order with everything the venue says about it."""
    children = [tables.orders[child] for child in order.children]
    return {
        "coin": order.symbol,
        "side": side_letter(order.side),
        "limitPx": number(order.price),
        "sz": number(order.remaining),
        "oid": order.venue_order_id,
        "timestamp": order.created_ms,
        "triggerCondition": _trigger_condition(order),
        "isTrigger": order.trigger is not None,
        "triggerPx": number(order.trigger.price) if order.trigger else "0.0",
        "children": [full_order(tables, child) for child in children if child.status.is_live],
        "isPositionTpsl": order.is_position_tpsl,
        "reduceOnly": order.reduce_only,
        "orderType": order_type(order),
        "origSz": number(order.quantity),
        "tif": _tif(order),
        "cloid": order.client_order_id,
    }


def order_with_status(tables: Tables, order: Order) -> Json:
    """Write an order as `orderStatus` and `historicalOrders` do."""
    return {
        "order": full_order(tables, order),
        "status": status_word(order),
        "statusTimestamp": order.updated_ms,
    }


def order_update(order: Order, time_ms: int) -> Json:
    """Write an order as the socket reports its change."""
    return {"order": basic_order(order), "status": status_word(order), "statusTimestamp": time_ms}


def _trigger_condition(order: Order) -> str:
    if order.trigger is None:
        return "N/A"
    if order.triggered:
        return "Triggered"
    word = "above" if order.trigger.fires_above else "below"
    return f"Price {word} {format(order.trigger.price.normalize(), 'f')}"


def _tif(order: Order) -> str | None:
    if order.trigger is not None:
        return None
    return "FrontendMarket" if order.is_market else _TIFS[order.time_in_force]


def fill_row(fill: Fill) -> Json:
    """Write one execution of an account."""
    row: Json = {
        "coin": fill.symbol,
        "px": number(fill.price),
        "sz": number(fill.quantity),
        "side": side_letter(fill.side),
        "time": fill.time_ms,
        "startPosition": number(fill.start_position),
        "dir": _direction(fill),
        "closedPnl": number(fill.closed_pnl),
        "hash": fill.action_hash,
        "oid": fill.venue_order_id,
        "crossed": fill.is_taker,
        "fee": number(fill.fee),
        "tid": fill.trade_id,
        "feeToken": "USDC",
        "twapId": None,
    }
    if fill.client_order_id is not None:
        row["cloid"] = fill.client_order_id
    if fill.liquidated_account is not None:
        row["liquidation"] = {
            "liquidatedUser": fill.liquidated_account,
            "markPx": number(fill.liquidation_mark or ZERO),
            "method": "market",
        }
    return row


def _direction(fill: Fill) -> str:
    change = fill.quantity * fill.side.sign
    start, end = fill.start_position, fill.start_position + change
    if fill.liquidated_account == fill.account:
        return "Liquidated Cross Long" if start > 0 else "Liquidated Cross Short"
    if start and end and (start > 0) != (end > 0):
        return "Long > Short" if start > 0 else "Short > Long"
    if start and (start > 0) != (change > 0):
        return "Close Long" if start > 0 else "Close Short"
    return "Open Long" if change > 0 else "Open Short"


def aggregated(fills: list[Fill]) -> list[Json]:
    """Write fills with those of one order in one block joined, as `aggregateByTime` does."""
    groups: dict[tuple[int, int, bool], list[Fill]] = {}
    for fill in fills:
        groups.setdefault((fill.venue_order_id, fill.time_ms, fill.is_taker), []).append(fill)
    return [_joined(group) for group in groups.values()]


def _joined(group: list[Fill]) -> Json:
    row = fill_row(group[0])
    quantity = sum((one.quantity for one in group), ZERO)
    size = sum((one.quantity * one.price for one in group), ZERO)
    row["sz"] = number(quantity)
    row["px"] = rounded(size / quantity, 8)
    row["fee"] = number(sum((one.fee for one in group), ZERO))
    row["closedPnl"] = number(sum((one.closed_pnl for one in group), ZERO))
    return row


def trade_row(trade: Trade) -> Json:
    """Write one public trade."""
    users = [HOUSE_ADDRESS if one == HOUSE else one for one in (trade.buyer, trade.seller)]
    return {
        "coin": trade.symbol,
        "side": side_letter(trade.side),
        "px": number(trade.price),
        "sz": number(trade.quantity),
        "time": trade.time_ms,
        "hash": trade.action_hash,
        "tid": trade.trade_id,
        "users": users,
    }


def book_levels(ladder: Ladder, depth: int, significant_figures: int | None = None) -> list[Json]:
    """Write one side of a book, prices joined to `significant_figures` if given."""
    if significant_figures is None:
        return [
            {"px": number(one.price), "sz": number(one.quantity), "n": one.count}
            for one in ladder.levels(depth)
        ]
    joined: dict[Decimal, list[Any]] = {}
    for one in ladder.levels():
        price = _joined_price(one.price, significant_figures, ladder.side)
        if price not in joined and len(joined) == depth:
            break
        entry = joined.setdefault(price, [ZERO, 0])
        entry[0] += one.quantity
        entry[1] += one.count
    return [{"px": number(px), "sz": number(sz), "n": n} for px, (sz, n) in joined.items()]


def _joined_price(price: Decimal, significant_figures: int, side: Side) -> Decimal:
    step = Decimal(1).scaleb(price.adjusted() - significant_figures + 1)
    lower = price // step * step
    return lower if side is Side.BUY or lower == price else lower + step


def candle_row(symbol: str, interval: str, candle: Candle) -> Json:
    """Write one candle."""
    return {
        "t": candle.start_ms,
        "T": candle.start_ms + INTERVALS_MS[interval] - 1,
        "s": symbol,
        "i": interval,
        "o": number(candle.open),
        "c": number(candle.close),
        "h": number(candle.high),
        "l": number(candle.low),
        "v": number(candle.volume),
        "n": candle.count,
    }


def asset_context(tables: Tables, symbol: str) -> Json:
    """Write a market's prices, rates and totals."""
    market = tables.markets[symbol]
    book = tables.books[symbol]
    mid, bid, ask = book.mid_price(), book.bids.best_price(), book.asks.best_price()
    day = list(tables.candles.between(symbol, "1h", tables.now_ms - 86_400_000, tables.now_ms))
    interest = sum((abs(row.quantity) for row in tables.holders.get(symbol, {}).values()), ZERO)
    volume = sum((one.volume for one in day), ZERO)
    traded = sum((one.volume * one.close for one in day), ZERO)
    premium = (market.mark_price - market.oracle_price) / market.oracle_price
    impact = None if bid is None or ask is None else [number(bid), number(ask)]
    return {
        "funding": number(market.funding_rate),
        "openInterest": number(interest),
        "prevDayPx": number(day[0].open if day else market.previous_day_price),
        "dayNtlVlm": number(traded),
        "premium": None if mid is None else rounded(premium, 10),
        "oraclePx": number(market.oracle_price),
        "markPx": number(market.mark_price),
        "midPx": None if mid is None else number(mid),
        "impactPxs": impact,
        "dayBaseVlm": number(volume),
    }


def leverage_view(tables: Tables, row: Position) -> Json:
    """Write the leverage setting of one market."""
    view: Json = {"type": "isolated" if row.is_isolated else "cross", "value": row.leverage}
    if row.is_isolated and row.quantity:
        view["rawUsd"] = rounded(row.isolated_margin - row.entry_notional, 6)
    return view


def position_view(tables: Tables, row: Position) -> Json:
    """Write one open position."""
    instrument = tables.instruments[row.symbol]
    entry, liquidation = row.entry_price or ZERO, margin.liquidation_price(tables, row)
    pnl = margin.unrealized_pnl(tables, row)
    basis = abs(row.entry_notional) / row.leverage
    return {
        "coin": row.symbol,
        "szi": number(row.quantity),
        "leverage": leverage_view(tables, row),
        "entryPx": rounded(entry, instrument.price_decimals),
        "positionValue": number(margin.notional(tables, row)),
        "unrealizedPnl": rounded(pnl, 6),
        "returnOnEquity": rounded(pnl / basis, 10) if basis else "0.0",
        "liquidationPx": None if liquidation is None else rounded(liquidation, 9),
        "marginUsed": rounded(margin.margin_used(tables, row), 6),
        "maxLeverage": instrument.max_leverage,
        "cumFunding": {
            "allTime": number(row.funding_all_time),
            "sinceOpen": number(row.funding_since_open),
            "sinceChange": number(row.funding_since_change),
        },
    }


def clearinghouse_state(tables: Tables, account: str, now_ms: int) -> Json:
    """Write an account's margin and positions; an unknown address has nothing."""
    full = margin.full_summary(tables, account)
    cross = margin.cross_summary(tables, account)
    rows = list(margin.held_positions(tables, account))
    entries = sum((row.entry_notional for row in rows), ZERO)
    isolated = sum((row.isolated_margin for row in rows), ZERO)
    cross_entries = sum((row.entry_notional for row in rows if not row.is_isolated), ZERO)
    held = tables.accounts.get(account)
    cash = held.cash if held else ZERO
    return {
        "marginSummary": _summary(full, cash + isolated - entries),
        "crossMarginSummary": _summary(cross, cash - cross_entries),
        "crossMaintenanceMarginUsed": rounded(margin.cross_maintenance(tables, account), 6),
        "withdrawable": rounded(cross.withdrawable, 6),
        "assetPositions": [
            {"type": "oneWay", "position": position_view(tables, row)} for row in rows
        ],
        "time": now_ms,
    }


def _summary(summary: margin.MarginSummary, raw_usd: Decimal) -> Json:
    return {
        "accountValue": rounded(summary.account_value, 6),
        "totalNtlPos": rounded(summary.notional, 6),
        "totalRawUsd": rounded(raw_usd, 6),
        "totalMarginUsed": rounded(summary.margin_used, 6),
    }


def active_asset_data(tables: Tables, account: str, symbol: str) -> Json:
    """Write what an account could still trade in one market; first to buy, then to sell."""
    row = tables.positions.get(account, {}).get(symbol) or Position(
        account=account,
        symbol=symbol,
        leverage=min(20, tables.instruments[symbol].max_leverage),
    )
    mark = tables.markets[symbol].mark_price
    free = max(ZERO, margin.available_margin(tables, account))
    freed = 2 * margin.notional(tables, row) / row.leverage
    by_side = [free + (freed if row.quantity * side.sign < 0 else ZERO) for side in Side]
    instrument = tables.instruments[symbol]
    sizes = [instrument.quantity_below(one * row.leverage / mark) for one in by_side]
    return {
        "user": account,
        "coin": symbol,
        "leverage": leverage_view(tables, row),
        "maxTradeSzs": [number(one) for one in sizes],
        "availableToTrade": [rounded(one, 6) for one in by_side],
        "markPx": number(mark),
    }
