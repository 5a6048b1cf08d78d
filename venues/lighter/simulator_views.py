"""How the simulated venue writes its objects: orders, trades, positions, money, markets.

Pure reading of the exchange; shapes and number formats as the venue's, statuses in its words. An
order that the API server refused has no place there: only its number is missing in between.

Source: lighter-sdk 1.1.8 `models/`; docs websocket-reference; recorded on mainnet.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from venues.lighter.simulator_markets import HOUSE_ACCOUNT, MARKET_IDS
from venues.lighter.simulator_sequencer import Kept
from venues.simulation import margin
from venues.simulation.candles import INTERVALS_MS, Candle
from venues.simulation.instruments import Instrument
from venues.simulation.records import (
    HOUSE,
    Fill,
    FundingPayment,
    FundingRate,
    Order,
    OrderStatus,
    Position,
    Reason,
    Side,
    TimeInForce,
    Trade,
)
from venues.simulation.settlement import MAKER_FEE, TAKER_FEE
from venues.simulation.tables import Tables

Json = dict[str, Any]

_CENT: Final = Decimal("0.01")
_USD: Final = Decimal("0.000001")
_WHOLE_MARGIN: Final = 10_000
MAKER_TICKS: Final = int(MAKER_FEE * 1_000_000)
TAKER_TICKS: Final = int(TAKER_FEE * 1_000_000)
_ENDS: Final[dict[Reason | None, str]] = {
    Reason.MARGIN: "canceled-margin-not-allowed",
    Reason.SELF_TRADE: "canceled-self-trade",
    Reason.REDUCE_ONLY: "canceled-reduce-only",
    Reason.SIBLING_FILLED: "canceled-oco",
    Reason.PARENT_ENDED: "canceled-child",
    Reason.LIQUIDATED: "canceled-liquidation",
    Reason.POST_ONLY_CROSS: "canceled-post-only",
    Reason.NO_MATCH: "canceled-not-enough-liquidity",
    Reason.NO_LIQUIDITY: "canceled-not-enough-liquidity",
}
#: Refusals after which the venue has an order all the same: acknowledged, and ended at once.
_TAKEN: Final = frozenset({Reason.POST_ONLY_CROSS, Reason.NO_MATCH, Reason.NO_LIQUIDITY})
_TAKEN_OF_TAKERS: Final = frozenset({Reason.MARGIN, Reason.REDUCE_ONLY})


def dollars(value: Decimal) -> str:
    """Write an amount of money: six decimals."""
    return format(value.quantize(_USD, rounding=ROUND_HALF_EVEN), "f")


def size(market: Instrument, value: Decimal) -> str:
    """Write a quantity with the market's decimals."""
    return f"{value:.{market.size_decimals}f}"


def price(market: Instrument, value: Decimal) -> str:
    """Write a price with the market's decimals."""
    return f"{value:.{market.price_decimals}f}"


def account_number(address: str) -> int:
    """Return the index that an address of the exchange is."""
    return HOUSE_ACCOUNT if address == HOUSE else int(address)


# --- Orders -------------------------------------------------------------------------------------


def is_known(order: Order) -> bool:
    """Tell whether the venue has the order: not one that its server refused."""
    if order.status is not OrderStatus.REJECTED:
        return True
    takes = order.time_in_force is TimeInForce.IOC and order.trigger is None
    return order.reason in _TAKEN or (takes and order.reason in _TAKEN_OF_TAKERS)


def is_visible(order: Order, now_ms: int, lag_ms: int) -> bool:
    """Tell whether listings show the order yet."""
    return is_known(order) and now_ms - order.created_ms >= lag_ms


def status_word(order: Order) -> str:
    """Return the venue's status of an order."""
    match order.status:
        case OrderStatus.WAITING | OrderStatus.UNTRIGGERED:
            return "pending"
        case OrderStatus.OPEN:
            return "open"
        case OrderStatus.FILLED if order.filled == order.quantity:
            return "filled"
        case OrderStatus.FILLED:
            # An immediate order's rest, or a reduce-only one's for which there was no position.
            return "canceled-reduce-only" if order.reduce_only else "canceled-not-enough-liquidity"
        case _:
            return _ENDS.get(order.reason, "canceled")


def order_type(order: Order) -> str:
    """Return the venue's name of the order's type."""
    trigger = order.trigger
    if trigger is None:
        return "market" if order.is_market else "limit"
    kind = "take-profit" if trigger.is_take_profit else "stop-loss"
    return kind if trigger.is_market else f"{kind}-limit"


def _time_in_force(order: Order) -> str:
    if order.time_in_force is TimeInForce.ALO:
        return "post-only"
    is_immediate = order.time_in_force is TimeInForce.IOC
    is_immediate = is_immediate or (order.trigger is not None and order.trigger.is_market)
    return "immediate-or-cancel" if is_immediate else "good-till-time"


def order_row(tables: Tables, order: Order) -> Json:
    """Write an order; of one that ended nothing remains."""
    market = tables.instruments[order.symbol]
    is_live = order.status.is_live
    remaining = order.remaining if is_live else Decimal(0)
    client_index = int(order.client_order_id or 0)
    trigger = order.trigger
    return {
        "order_index": order.venue_order_id,
        "client_order_index": client_index,
        "order_id": str(order.venue_order_id),
        "client_order_id": str(client_index),
        "market_index": MARKET_IDS[order.symbol],
        "owner_account_index": account_number(order.account),
        "initial_base_amount": size(market, order.quantity),
        "price": price(market, order.price),
        "nonce": order.venue_order_id,
        "remaining_base_amount": size(market, remaining),
        "is_ask": order.side is Side.SELL,
        "base_size": int(remaining.scaleb(market.size_decimals)),
        "base_price": int(order.price.scaleb(market.price_decimals)),
        "filled_base_amount": size(market, order.filled),
        "filled_quote_amount": dollars(order.filled_notional),
        "side": "",
        "type": order_type(order),
        "time_in_force": _time_in_force(order),
        "reduce_only": order.reduce_only,
        "trigger_price": price(market, trigger.price if trigger else Decimal(0)),
        "order_expiry": order.created_ms + 28 * 86_400_000,
        "status": status_word(order),
        "trigger_status": "mark-price" if trigger and not order.triggered else "na",
        "trigger_time": 0,
        "parent_order_index": order.parent or 0,
        "parent_order_id": str(order.parent or 0),
        "to_trigger_order_id_0": "0",
        "to_trigger_order_id_1": "0",
        "to_cancel_order_id_0": "0",
        "integrator_fee_collector_index": "0",
        "integrator_taker_fee": "0",
        "integrator_maker_fee": "0",
        "block_height": 1,
        "timestamp": order.updated_ms // 1000,
        "created_at": order.created_ms // 1000,
        "updated_at": order.updated_ms // 1000,
        "transaction_time": order.updated_ms * 1000,
    }


# --- Trades -------------------------------------------------------------------------------------


def fill_row(tables: Tables, fill: Fill) -> Json:
    """Write an account's side of a trade; of the other side only the account is named."""
    is_ask = fill.side is Side.SELL
    own, other = ("ask", "bid") if is_ask else ("bid", "ask")
    # Whoever is asked for has to be one of both; the other one is whoever it was.
    row = _trade_row(
        tables.instruments[fill.symbol], fill.trade_id, fill.price, fill.quantity, fill.time_ms
    )
    client_index = int(fill.client_order_id or 0)
    row |= {
        f"{own}_id": fill.venue_order_id,
        f"{own}_id_str": str(fill.venue_order_id),
        f"{own}_client_id": client_index,
        f"{own}_client_id_str": str(client_index),
        f"{own}_account_id": account_number(fill.account),
        f"{own}_account_pnl": dollars(fill.closed_pnl),
        f"{other}_id": 0,
        f"{other}_id_str": "0",
        f"{other}_client_id": 0,
        f"{other}_client_id_str": "0",
        f"{other}_account_id": HOUSE_ACCOUNT,
        f"{other}_account_pnl": "0.000000",
        "is_maker_ask": is_ask is not fill.is_taker,
        "type": "trade" if fill.liquidated_account is None else "liquidation",
    }
    return row


def trade_row(tables: Tables, trade: Trade) -> Json:
    """Write a public trade."""
    row = _trade_row(
        tables.instruments[trade.symbol], trade.trade_id, trade.price, trade.quantity, trade.time_ms
    )
    row |= {
        "ask_id": 0,
        "ask_id_str": "0",
        "bid_id": 0,
        "bid_id_str": "0",
        "ask_client_id": 0,
        "ask_client_id_str": "0",
        "bid_client_id": 0,
        "bid_client_id_str": "0",
        "ask_account_id": account_number(trade.seller),
        "bid_account_id": account_number(trade.buyer),
        "is_maker_ask": trade.side is Side.BUY,
        "type": "trade",
    }
    return row


def _trade_row(
    market: Instrument, trade_id: int, at: Decimal, quantity: Decimal, time_ms: int
) -> Json:
    return {
        "trade_id": trade_id,
        "trade_id_str": str(trade_id),
        "tx_hash": f"{trade_id:080x}",
        "market_id": MARKET_IDS[market.symbol],
        "size": size(market, quantity),
        "price": price(market, at),
        "usd_amount": dollars(at * quantity),
        "block_height": 1,
        "timestamp": time_ms,
        "taker_fee": TAKER_TICKS,
        "maker_fee": MAKER_TICKS,
        "transaction_time": time_ms * 1000,
    }


# --- Accounts -----------------------------------------------------------------------------------


def position_row(tables: Tables, row: Position) -> Json:
    """Write a position, or the settings of a market without one."""
    market, quantity = tables.instruments[row.symbol], row.quantity
    liquidation = margin.liquidation_price(tables, row) if quantity else None
    live = tables.live_orders.get(row.account, {}).values()
    held = [order for order in live if order.symbol == row.symbol]
    waiting = sum(order.trigger is not None and not order.triggered for order in held)
    fraction = Decimal(-(-_WHOLE_MARGIN // row.leverage)) / 100
    entry = row.entry_price
    return {
        "market_id": MARKET_IDS[row.symbol],
        "symbol": row.symbol,
        "initial_margin_fraction": format(fraction.quantize(_CENT), "f"),
        "open_order_count": len(held) - waiting,
        "pending_order_count": waiting,
        "position_tied_order_count": 0,
        "sign": -1 if quantity < 0 else 1,
        "position": size(market, abs(quantity)),
        "avg_entry_price": dollars(entry) if entry is not None else "0.0",
        "position_value": dollars(margin.notional(tables, row)),
        "unrealized_pnl": dollars(margin.unrealized_pnl(tables, row) if quantity else Decimal(0)),
        "realized_pnl": "0.000000",
        "liquidation_price": dollars(liquidation) if liquidation is not None else "0",
        "total_funding_paid_out": dollars(row.funding_since_open),
        "margin_mode": int(row.is_isolated),
        "allocated_margin": dollars(row.isolated_margin),
    }


def account_row(tables: Tables, address: str) -> Json:
    """Write an account."""
    account = tables.accounts[address]
    rows = tables.positions.get(address, {})
    full = margin.full_summary(tables, address)
    cross = margin.cross_summary(tables, address)
    live = list(tables.live_orders.get(address, {}).values())
    waiting = sum(order.trigger is not None and not order.triggered for order in live)
    available = max(margin.available_margin(tables, address), Decimal(0))
    return {
        "code": 0,
        "account_type": 0,
        "index": account_number(address),
        "l1_address": l1_address(address),
        "cancel_all_time": account.cancel_all_at_ms or 0,
        "total_order_count": len(live),
        "total_isolated_order_count": 0,
        "pending_order_count": waiting,
        "available_balance": dollars(available),
        "status": 1,
        "collateral": dollars(account.cash),
        "account_index": account_number(address),
        "name": account.name,
        "description": "",
        "can_invite": True,
        "referral_points_percentage": "",
        "positions": [position_row(tables, row) for row in rows.values()],
        "assets": [],
        "total_asset_value": dollars(full.account_value),
        "cross_asset_value": dollars(cross.account_value),
        "cross_initial_margin_requirement": dollars(cross.margin_used),
        "cross_maintenance_margin_requirement": dollars(margin.cross_maintenance(tables, address)),
        "shares": [],
    }


def l1_address(address: str) -> str:
    """Return the owner's address of an account: made up, and the same each time."""
    return f"0x{account_number(address):040x}"


def user_stats(tables: Tables, address: str) -> Json:
    """Write an account's money for the feed."""
    row = account_row(tables, address)
    stats = {
        "collateral": row["collateral"],
        "portfolio_value": row["total_asset_value"],
        "leverage": "0.00",
        "available_balance": row["available_balance"],
        "margin_usage": "0.00",
        "buying_power": "0",
    }
    return {**stats, "account_trading_mode": 0, "cross_stats": stats, "total_stats": stats}


def funding_row(payment: FundingPayment, number: int) -> Json:
    """Write a payment; the rate is percent, as in statistics."""
    return {
        "timestamp": payment.time_ms // 1000,
        "market_id": MARKET_IDS[payment.symbol],
        "funding_id": number,
        "change": format(payment.amount.normalize(), "f"),
        "discount": "0",
        "rate": percent(abs(payment.rate)) if payment.rate >= 0 else f"-{percent(-payment.rate)}",
        "position_size": format(abs(payment.quantity).normalize(), "f"),
        "position_side": "long" if payment.quantity > 0 else "short",
    }


def transaction_row(tx_hash: str, status: int, kept: Kept | None) -> Json:
    """Write a transaction's record; of one of an earlier run little is known."""
    row: Json = {"hash": tx_hash, "status": status, "type": 1, "info": "", "event_info": ""}
    if kept is None:
        return row
    made = kept.transaction
    return row | {
        "type": made.tx_type,
        "info": kept.info,
        "event_info": '{"ae":"' + kept.error + '"}',
        "transaction_index": 0,
        "l1_address": l1_address(str(made.account_index)),
        "account_index": made.account_index,
        "nonce": made.nonce,
        "expire_at": made.expires_ms,
        "block_height": 1,
        "queued_at": kept.queued_ms,
        "executed_at": kept.executed_ms,
        "sequence_index": 1,
        "parent_hash": "",
        "api_key_index": made.key_index,
        "transaction_time": kept.queued_ms * 1000,
        "committed_at": 0,
        "verified_at": 0,
    }


# --- Markets ------------------------------------------------------------------------------------


def percent(rate: Decimal) -> str:
    """Write a rate in percent."""
    text = format((rate * 100).normalize(), "f")
    return "0" if text in ("-0", "0") else text


def market_row(tables: Tables, market: Instrument) -> Json:
    """Write a market."""
    state = tables.markets[market.symbol]
    lot = Decimal(1).scaleb(-market.size_decimals)
    return {
        "symbol": market.symbol,
        "market_id": MARKET_IDS[market.symbol],
        "market_type": "perp",
        "base_asset_id": 0,
        "quote_asset_id": 0,
        "status": "inactive" if market.delisted else "active",
        "taker_fee": "0.0450",
        "is_taker_fee_enabled": True,
        "maker_fee": "0.0150",
        "is_maker_fee_enabled": True,
        "liquidation_fee": "1.0000",
        "min_base_amount": size(market, lot),
        "min_quote_amount": dollars(market.min_notional),
        "order_quote_limit": "281474976.710655",
        "supported_size_decimals": market.size_decimals,
        "supported_price_decimals": market.price_decimals,
        "supported_quote_decimals": 6,
        "size_decimals": market.size_decimals,
        "price_decimals": market.price_decimals,
        "quote_multiplier": 1,
        "default_initial_margin_fraction": 500,
        "min_initial_margin_fraction": _WHOLE_MARGIN // market.max_leverage,
        "maintenance_margin_fraction": _WHOLE_MARGIN // market.max_leverage // 2,
        "closeout_margin_fraction": _WHOLE_MARGIN // market.max_leverage // 4,
        "last_trade_price": float(state.mark_price),
        "daily_trades_count": 0,
        "daily_base_token_volume": 0,
        "daily_quote_token_volume": float(day_volume(tables, market.symbol)),
        "daily_price_low": 0,
        "daily_price_high": 0,
        "daily_price_change": 0,
        "open_interest": float(open_interest(tables, market.symbol)),
        "daily_chart": {},
        "market_config": {"market_margin_mode": 0, "force_reduce_only": False, "hidden": False},
        "strategy_index": 0,
        "mark_price": price(market, state.mark_price),
        "index_price": price(market, state.oracle_price),
    }


def open_interest(tables: Tables, symbol: str) -> Decimal:
    """Return what all positions of a market add up to."""
    rows = tables.holders.get(symbol, {}).values()
    return sum((abs(row.quantity) for row in rows), Decimal(0))


def day_volume(tables: Tables, symbol: str) -> Decimal:
    """Return what was traded within a day, in dollars."""
    since = tables.now_ms - INTERVALS_MS["1d"]
    trades = (one for one in tables.trades.get(symbol, ()) if one.time_ms >= since)
    return sum((one.price * one.quantity for one in trades), Decimal(0))


def stats(tables: Tables, symbol: str) -> Json:
    """Write a market's prices and rates for the feed."""
    market, state = tables.instruments[symbol], tables.markets[symbol]
    middle = tables.books[symbol].mid_price() or state.mark_price
    return {
        "symbol": symbol,
        "market_id": MARKET_IDS[symbol],
        "index_price": price(market, state.oracle_price),
        "mark_price": price(market, state.mark_price),
        "mid_price": format(middle.normalize(), "f"),
        "open_interest": size(market, open_interest(tables, symbol)),
        "open_interest_limit": "72057594037927936.000000",
        "last_trade_price": price(market, state.mark_price),
        "current_funding_rate": percent(state.funding_rate),
        "funding_rate": percent(state.funding_rate),
        "funding_timestamp": tables.now_ms,
        "daily_base_token_volume": 0.0,
        "daily_quote_token_volume": float(day_volume(tables, symbol)),
        "daily_price_low": 0.0,
        "daily_price_high": 0.0,
        "daily_price_change": 0.0,
    }


def candle_row(candle: Candle) -> Json:
    """Write a candle, its prices as numbers."""
    return {
        "t": candle.start_ms,
        "o": float(candle.open),
        "h": float(candle.high),
        "l": float(candle.low),
        "c": float(candle.close),
        "v": float(candle.volume),
        "V": float(candle.volume * candle.close),
        "i": candle.count,
    }


def rate_row(rate: FundingRate) -> Json:
    """Write one past rate."""
    return {
        "timestamp": rate.time_ms // 1000,
        "value": "0",
        "rate": percent(abs(rate.rate)),
        "direction": "long" if rate.rate >= 0 else "short",
    }


def levels(market: Instrument, rows: list[tuple[Decimal, Decimal]]) -> list[Json]:
    """Write one side of a book."""
    return [{"price": price(market, at), "size": size(market, quantity)} for at, quantity in rows]
