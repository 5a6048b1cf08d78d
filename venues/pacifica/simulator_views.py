"""How the simulated venue writes its objects: orders, fills, positions, money, markets.

Pure reading of the exchange; shapes and number formats as the venue's, statuses in its words.
An order that was refused at once has no place there: only its id is missing in between.

Source: docs.pacifica.fi api/rest-api, api/websocket/subscriptions; recorded on testnet.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from venues.simulation import margin
from venues.simulation.book import Ladder
from venues.simulation.candles import INTERVALS_MS, Candle
from venues.simulation.instruments import Instrument
from venues.simulation.records import (
    Fill,
    FundingPayment,
    Order,
    OrderStatus,
    Position,
    Reason,
    Side,
    Trade,
)
from venues.simulation.settlement import MAKER_FEE, TAKER_FEE
from venues.simulation.tables import Tables

Json = dict[str, Any]

_EVENTS: Final[dict[Reason | None, str]] = {
    Reason.USER: "cancel",
    Reason.REPLACED: "cancel",
    Reason.SELF_TRADE: "self_trade_prevented",
    Reason.POST_ONLY_CROSS: "post_only_rejected",
    Reason.NO_MATCH: "cancel",
    None: "cancel",
}
#: Refusals after which the venue has an order all the same: it was taken, and ended at once.
_TAKEN: Final = frozenset({Reason.POST_ONLY_CROSS, Reason.NO_MATCH})
_USD: Final = Decimal("0.000001")
#: The smallest order, in dollars, in every market.
MIN_ORDER: Final = Decimal(10)
MAX_ORDER: Final = Decimal(5_000_000)


def number(value: Decimal) -> str:
    """Write a number as the venue does: no exponent, no superfluous zeros."""
    text = format(value.normalize(), "f")
    return "0" if text in ("-0", "0") else text


def dollars(value: Decimal) -> str:
    """Write an amount of money, to a millionth."""
    return number(value.quantize(_USD, rounding=ROUND_HALF_EVEN))


def side_word(side: Side) -> str:
    """Return bid for a buy, ask for a sell."""
    return "bid" if side is Side.BUY else "ask"


def is_known(order: Order) -> bool:
    """Tell whether the venue has the order: not one that it refused."""
    return order.status is not OrderStatus.REJECTED or order.reason in _TAKEN


def is_visible(order: Order, now_ms: int, lag_ms: int) -> bool:
    """Tell whether listings show the order yet."""
    return is_known(order) and now_ms - order.created_ms >= lag_ms


def status_word(order: Order) -> str:
    """Return the venue's status of an order."""
    if order.status in (OrderStatus.CANCELED, OrderStatus.REJECTED):
        return "cancelled" if is_known(order) else "rejected"
    if order.status is OrderStatus.FILLED:
        # What an immediate order did not find, or a reduce-only one had no position for, is gone.
        return "filled" if order.filled == order.quantity else "cancelled"
    return "partially_filled" if order.filled else "open"


def event_word(order: Order) -> str:
    """Return the event that brought the order where it is."""
    if order.status in (OrderStatus.CANCELED, OrderStatus.REJECTED):
        return _EVENTS.get(order.reason, "force_cancel")
    if order.status is OrderStatus.FILLED and order.filled < order.quantity:
        return "cancel"
    if order.filled:
        return "fulfill_market" if order.is_market else "fulfill_limit"
    if order.status in (OrderStatus.WAITING, OrderStatus.UNTRIGGERED):
        return "stop_created"
    return "stop_triggered" if order.triggered else "make"


def order_type(order: Order) -> str:
    """Return the venue's name of the order's type."""
    trigger = order.trigger
    if trigger is None:
        return "market" if order.is_market else "limit"
    kind = "take_profit" if trigger.is_take_profit else "stop"
    if kind == "stop" and (order.is_position_tpsl or order.parent is not None):
        kind = "stop_loss"
    return f"{kind}_{'market' if trigger.is_market else 'limit'}"


def average_price(order: Order) -> str:
    """Return the average price of what was filled, 0 before."""
    return dollars(order.filled_notional / order.filled) if order.filled else "0"


def _shared(order: Order) -> Json:
    return {
        "order_id": order.venue_order_id,
        "client_order_id": order.client_order_id,
        "symbol": order.symbol,
        "side": side_word(order.side),
        "filled_amount": number(order.filled),
        "order_type": order_type(order),
        "stop_price": number(order.trigger.price) if order.trigger else None,
        "stop_parent_order_id": order.parent,
        "reduce_only": order.reduce_only,
        "created_at": order.created_ms,
    }


def _cancelled(order: Order) -> str:
    gone = order.quantity - order.filled
    return number(gone if not order.status.is_live else gone - order.remaining)


def open_order(order: Order) -> Json:
    """Write an order as `/orders` lists it."""
    return {
        **_shared(order),
        "price": number(order.price),
        "initial_amount": number(order.quantity),
        "cancelled_amount": _cancelled(order),
        "trigger_price_type": "mark_price" if order.trigger else None,
        "updated_at": order.updated_ms,
    }


def past_order(order: Order) -> Json:
    """Write an order as `/orders/history` sums it up."""
    is_gone = status_word(order) in ("cancelled", "rejected")
    return {
        **_shared(order),
        "initial_price": number(order.price),
        "average_filled_price": average_price(order),
        "amount": number(order.quantity),
        "order_status": status_word(order),
        "reason": event_word(order) if is_gone else None,
        "updated_at": order.updated_ms,
    }


def order_events(order: Order) -> list[Json]:
    """Write what `/orders/history_by_id` knows of an order, newest first."""
    event = {
        **_shared(order),
        "price": number(order.price),
        "initial_amount": number(order.quantity),
    }
    made = {
        **event,
        "history_id": 2 * order.venue_order_id,
        "filled_amount": "0",
        "cancelled_amount": "0",
        "event_type": "stop_created" if order.trigger else "make",
        "order_status": "open",
    }
    if event_word(order) == made["event_type"]:
        return [made]
    newest = {
        **event,
        "history_id": 2 * order.venue_order_id + 1,
        "cancelled_amount": _cancelled(order),
        "event_type": event_word(order),
        "order_status": status_word(order),
        "created_at": order.updated_ms,
    }
    return [newest, made]


def order_updates(order: Order, *, is_new: bool, time_ms: int, li: int) -> list[Json]:
    """Write an order for the feed; one that ended as it came has its beginning before its end."""
    row: Json = {
        "i": order.venue_order_id,
        "I": order.client_order_id,
        "u": order.account,
        "s": order.symbol,
        "d": side_word(order.side),
        "p": average_price(order),
        "ip": number(order.price),
        "lp": average_price(order),
        "a": number(order.quantity),
        "f": number(order.filled),
        "oe": event_word(order),
        "os": status_word(order),
        "ot": order_type(order),
        "sp": number(order.trigger.price) if order.trigger else None,
        "si": None,
        "tp": None,
        "r": order.reduce_only,
        "ct": order.created_ms,
        "ut": time_ms,
        "li": li,
    }
    beginning = "stop_created" if order.trigger else "make"
    if not is_new or row["oe"] == beginning:
        return [row]
    return [{**row, "p": "0", "lp": "0", "f": "0", "oe": beginning, "os": "open"}, row]


def trade_side(fill: Fill) -> str:
    """Return what a fill did to the position."""
    if fill.side is Side.BUY:
        return "close_short" if fill.start_position < 0 else "open_long"
    return "close_long" if fill.start_position > 0 else "open_short"


def fill_row(fill: Fill) -> Json:
    """Write a fill as `/trades/history` lists it; the profit is after the fee."""
    return {
        "history_id": fill.trade_id,
        "order_id": fill.venue_order_id,
        "client_order_id": fill.client_order_id,
        "symbol": fill.symbol,
        "amount": number(fill.quantity),
        "price": number(fill.price),
        "entry_price": number(fill.price),
        "fee": dollars(fill.fee),
        "pnl": dollars(fill.closed_pnl - Decimal(dollars(fill.fee))),
        "event_type": "fulfill_taker" if fill.is_taker else "fulfill_maker",
        "side": trade_side(fill),
        "created_at": fill.time_ms,
        "cause": "normal" if fill.liquidated_account is None else "market_liquidation",
    }


def fill_frame(fill: Fill, li: int) -> Json:
    """Write a fill for the feed."""
    row = fill_row(fill)
    return {
        "h": row["history_id"],
        "i": row["order_id"],
        "I": row["client_order_id"],
        "u": fill.account,
        "s": row["symbol"],
        "p": row["price"],
        "o": row["entry_price"],
        "a": row["amount"],
        "te": row["event_type"],
        "ts": row["side"],
        "tc": row["cause"],
        "f": row["fee"],
        "n": row["pnl"],
        "t": row["created_at"],
        "it": 0,
        "li": li,
    }


def position_row(tables: Tables, position: Position, now_ms: int) -> Json:
    """Write a position."""
    liquidation = margin.liquidation_price(tables, position)
    entry = position.entry_price
    return {
        "symbol": position.symbol,
        "side": "bid" if position.quantity > 0 else "ask",
        "amount": number(abs(position.quantity)),
        "entry_price": dollars(entry) if entry is not None else "0",
        "margin": dollars(position.isolated_margin) if position.is_isolated else "0",
        "funding": dollars(position.funding_since_open),
        "isolated": position.is_isolated,
        "liquidation_price": dollars(liquidation) if liquidation is not None else None,
        "created_at": now_ms,
        "updated_at": now_ms,
    }


def position_frame(row: Json) -> Json:
    """Write a position for the feed."""
    short = {
        "s": "symbol",
        "d": "side",
        "a": "amount",
        "p": "entry_price",
        "m": "margin",
        "f": "funding",
        "i": "isolated",
        "l": "liquidation_price",
        "t": "updated_at",
    }
    return {letter: row[name] for letter, name in short.items()}


def account_row(tables: Tables, account: str, now_ms: int) -> Json:
    """Write an account's money."""
    summary = margin.full_summary(tables, account)
    available = max(margin.available_margin(tables, account), Decimal(0))
    live = list(tables.live_orders.get(account, {}).values())
    stops = sum(order.trigger is not None and not order.triggered for order in live)
    row = tables.accounts[account]
    return {
        "balance": dollars(row.cash),
        "fee_level": 0,
        "maker_fee": number(MAKER_FEE),
        "taker_fee": number(TAKER_FEE),
        "account_equity": dollars(summary.account_value),
        "cross_account_equity": dollars(margin.cross_summary(tables, account).account_value),
        "available_to_spend": dollars(available),
        "available_to_withdraw": dollars(margin.cross_summary(tables, account).withdrawable),
        "pending_balance": "0",
        "pending_interest": "0",
        "total_margin_used": dollars(summary.margin_used),
        "cross_mmr": dollars(margin.cross_maintenance(tables, account)),
        "positions_count": sum(1 for _ in margin.held_positions(tables, account)),
        "orders_count": len(live) - stops,
        "stop_orders_count": stops,
        "updated_at": now_ms,
        "use_ltp_for_stop_orders": False,
        "spot_balances": [],
    }


def account_frame(row: Json) -> Json:
    """Write an account's money for the feed."""
    short = {
        "ae": "account_equity",
        "as": "available_to_spend",
        "aw": "available_to_withdraw",
        "b": "balance",
        "f": "fee_level",
        "mu": "total_margin_used",
        "cm": "cross_mmr",
        "oc": "orders_count",
        "pb": "pending_balance",
        "pc": "positions_count",
        "sc": "stop_orders_count",
        "t": "updated_at",
    }
    return {letter: row[name] for letter, name in short.items()}


def market_row(tables: Tables, instrument: Instrument) -> Json:
    """Write a market."""
    market = tables.markets[instrument.symbol]
    return {
        "symbol": instrument.symbol,
        "tick_size": number(instrument.tick_size(market.mark_price)),
        "min_tick": "0",
        "max_tick": "1000000",
        "lot_size": number(Decimal(1).scaleb(-instrument.size_decimals)),
        "max_leverage": instrument.max_leverage,
        "isolated_only": False,
        "min_order_size": number(MIN_ORDER),
        "max_order_size": number(MAX_ORDER),
        "funding_rate": number(market.funding_rate),
        "next_funding_rate": number(market.funding_rate),
        "created_at": 1748881333944,
        "instrument_type": "perpetual",
        "base_asset": instrument.symbol,
    }


def price_row(tables: Tables, symbol: str, now_ms: int) -> Json:
    """Write a market's prices."""
    market = tables.markets[symbol]
    mid = tables.books[symbol].mid_price()
    open_interest = sum(
        (abs(row.quantity) for row in tables.holders.get(symbol, {}).values()), Decimal(0)
    )
    day = now_ms - INTERVALS_MS["1d"]
    volume = sum(
        (
            trade.price * trade.quantity
            for trade in tables.trades.get(symbol, ())
            if trade.time_ms >= day
        ),
        Decimal(0),
    )
    return {
        "symbol": symbol,
        "funding": number(market.funding_rate),
        "next_funding": number(market.funding_rate),
        "mark": number(market.mark_price),
        "mid": number(mid) if mid is not None else "0",
        "oracle": number(market.oracle_price),
        "open_interest": number(open_interest),
        "volume_24h": dollars(volume),
        "yesterday_price": number(market.previous_day_price),
        "timestamp": now_ms,
    }


def levels(ladder: Ladder, depth: int) -> list[Json]:
    """Write one side of a book."""
    return [
        {"p": number(level.price), "a": number(level.quantity), "n": level.count}
        for level in ladder.levels(depth)
    ]


def candle_row(symbol: str, interval: str, candle: Candle) -> Json:
    """Write a candle."""
    return {
        "t": candle.start_ms,
        "T": candle.start_ms + INTERVALS_MS[interval],
        "s": symbol,
        "i": interval,
        "o": number(candle.open),
        "c": number(candle.close),
        "h": number(candle.high),
        "l": number(candle.low),
        "v": number(candle.volume),
        "n": candle.count,
    }


def public_trade(trade: Trade) -> Json:
    """Write a public trade as `/trades` lists it: without an id."""
    return {
        "event_type": "fulfill_taker",
        "price": number(trade.price),
        "amount": number(trade.quantity),
        "side": "open_long" if trade.side is Side.BUY else "open_short",
        "cause": "normal",
        "created_at": trade.time_ms,
    }


def trade_frame(trade: Trade, li: int) -> Json:
    """Write a public trade for the feed."""
    return {
        "h": trade.trade_id,
        "s": trade.symbol,
        "a": number(trade.quantity),
        "p": number(trade.price),
        "d": "open_long" if trade.side is Side.BUY else "open_short",
        "tc": "normal",
        "t": trade.time_ms,
        "it": 0,
        "li": li,
    }


def funding_row(payment: FundingPayment, history_id: int) -> Json:
    """Write a payment of funding."""
    return {
        "history_id": history_id,
        "symbol": payment.symbol,
        "side": "bid" if payment.quantity > 0 else "ask",
        "amount": number(abs(payment.quantity)),
        "payout": dollars(payment.amount),
        "rate": number(payment.rate),
        "created_at": payment.time_ms,
    }
