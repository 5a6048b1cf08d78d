"""How the simulated venue writes its objects: orders, fills, positions, money.

Pure reading of the exchange; shapes and number formats as the venue's, statuses in its words. An
order that was refused at once has no place there: only its id is missing in between.

Source: edgeX gitbook api/private-api/**, api/public-api/**; recorded payloads.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from venues.edgex.simulator_auth import WALLET
from venues.edgex.simulator_markets import CONTRACT_IDS, QUOTE_COIN
from venues.simulation import margin
from venues.simulation.records import (
    Fill,
    FundingPayment,
    Order,
    OrderStatus,
    Position,
    Reason,
    Side,
    TimeInForce,
)
from venues.simulation.settlement import MAKER_FEE, TAKER_FEE
from venues.simulation.tables import Tables

Json = dict[str, Any]

_REASONS: Final[dict[Reason | None, str]] = {
    Reason.USER: "USER_CANCELED",
    Reason.MARGIN: "MARGIN_NOT_ENOUGH",
    Reason.REDUCE_ONLY: "REDUCE_ONLY_CANCELED",
    Reason.POST_ONLY_CROSS: "COULD_NOT_FILL",
    Reason.NO_MATCH: "COULD_NOT_FILL",
    Reason.NO_LIQUIDITY: "COULD_NOT_FILL",
    Reason.LIQUIDATED: "LIQUIDATE_CANCELED",
}
#: Refusals after which the venue has an order all the same: it was taken, and ended at once.
TAKEN: Final = frozenset(
    {Reason.POST_ONLY_CROSS, Reason.NO_MATCH, Reason.NO_LIQUIDITY, Reason.REDUCE_ONLY}
)
_TIMES: Final = {
    TimeInForce.GTC: "GOOD_TIL_CANCEL",
    TimeInForce.IOC: "IMMEDIATE_OR_CANCEL",
    TimeInForce.ALO: "POST_ONLY",
}
_USD: Final = Decimal("0.000001")
_NO_REASON: Final = "UNKNOWN_ORDER_CANCEL_REASON"
USER_ID: Final = "600162890833461506"


def number(value: Decimal) -> str:
    """Write a number without exponent and without superfluous zeros."""
    text = format(value.normalize(), "f")
    return "0" if text in ("-0", "0") else text


def dollars(value: Decimal) -> str:
    """Write an amount of money, to a millionth and with all its digits."""
    return format(value.quantize(_USD, rounding=ROUND_HALF_EVEN), "f")


def is_known(order: Order) -> bool:
    """Tell whether the venue has the order: not one that it refused."""
    return order.status is not OrderStatus.REJECTED or order.reason in TAKEN


def is_visible(order: Order, now_ms: int, lag_ms: int) -> bool:
    """Tell whether look-ups and listings show the order yet."""
    return is_known(order) and now_ms - order.created_ms >= lag_ms


def status_word(order: Order) -> str:
    """Return the venue's status of an order."""
    if order.status in (OrderStatus.CANCELED, OrderStatus.REJECTED):
        return "CANCELED"
    if order.status is OrderStatus.FILLED:
        # What an immediate order did not find, or a reduce-only one had no position for, is gone.
        return "FILLED" if order.filled == order.quantity else "CANCELED"
    return "OPEN" if order.status is OrderStatus.OPEN else "UNTRIGGERED"


def cancel_reason(order: Order) -> str:
    """Return why an order was canceled."""
    if status_word(order) != "CANCELED":
        return _NO_REASON
    if order.status is OrderStatus.FILLED:
        return "REDUCE_ONLY_CANCELED" if order.reduce_only else "COULD_NOT_FILL"
    return _REASONS.get(order.reason, "ADMIN_CANCELED")


def order_type(order: Order) -> str:
    """Return the venue's name of the order's type."""
    trigger = order.trigger
    if trigger is None:
        return "MARKET" if order.is_market else "LIMIT"
    kind = "TAKE_PROFIT" if trigger.is_take_profit else "STOP"
    return f"{kind}_{'MARKET' if trigger.is_market else 'LIMIT'}"


def order_row(order: Order, *, status: str | None = None) -> Json:
    """Write an order; `status` in place of its own, as it was a moment before."""
    shown = status or status_word(order)
    trigger = order.trigger
    is_market = order.is_market or (trigger is not None and trigger.is_market)
    filled, value = order.filled, order.filled_notional
    if status == "PENDING":
        filled = value = Decimal(0)
    return {
        "id": str(order.venue_order_id),
        "userId": USER_ID,
        "accountId": order.account,
        "coinId": QUOTE_COIN,
        "contractId": CONTRACT_IDS[order.symbol],
        "side": "BUY" if order.side is Side.BUY else "SELL",
        "price": "0" if is_market else number(order.price),
        "size": number(order.quantity),
        "clientOrderId": order.client_order_id or "",
        "type": order_type(order),
        "timeInForce": _TIMES[TimeInForce.IOC if is_market else order.time_in_force],
        "reduceOnly": order.reduce_only,
        "triggerPrice": number(trigger.price) if trigger else "0",
        "triggerPriceType": "ORACLE_PRICE" if trigger else "UNKNOWN_PRICE_TYPE",
        "triggerTime": str(order.updated_ms) if order.triggered else "0",
        "isPositionTpsl": order.is_position_tpsl,
        "isLiquidate": order.reason is Reason.LIQUIDATED and order.reduce_only,
        "status": shown,
        "cancelReason": cancel_reason(order) if status is None else _NO_REASON,
        "cumFillSize": number(filled),
        "cumFillValue": dollars(value),
        "cumMatchSize": number(filled),
        "cumMatchValue": dollars(value),
        "cumFailSize": "0",
        "cumFailValue": "0",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
    }


def fill_row(fill: Fill) -> Json:
    """Write a fill; the profit is after the fee."""
    fee = Decimal(dollars(fill.fee))
    return {
        "id": str(fill.trade_id),
        "userId": USER_ID,
        "accountId": fill.account,
        "coinId": QUOTE_COIN,
        "contractId": CONTRACT_IDS[fill.symbol],
        "orderId": str(fill.venue_order_id),
        "orderSide": "BUY" if fill.side is Side.BUY else "SELL",
        "fillSize": number(fill.quantity),
        "fillValue": number(fill.quantity * fill.price),
        "fillFee": dollars(fill.fee),
        "fillPrice": number(fill.price),
        "liquidateFee": "0",
        "realizePnl": number(fill.closed_pnl - fee),
        "direction": "TAKER" if fill.is_taker else "MAKER",
        "isLiquidate": fill.liquidated_account is not None,
        "matchTime": str(fill.time_ms),
        "censorStatus": "CENSOR_SUCCESS",
        "createdTime": str(fill.time_ms),
        "updatedTime": str(fill.time_ms),
    }


def position_row(position: Position, now_ms: int) -> Json:
    """Write a position; a negative size is short."""
    return {
        "userId": USER_ID,
        "accountId": position.account,
        "coinId": QUOTE_COIN,
        "contractId": CONTRACT_IDS[position.symbol],
        "openSize": number(position.quantity),
        "openValue": number(position.entry_notional),
        "fundingFee": dollars(-position.funding_since_open),
        "updatedTime": str(now_ms),
    }


def collateral_row(tables: Tables, account: str, now_ms: int) -> Json:
    """Write money as the venue keeps it: after the notionals of all positions."""
    held = sum((row.entry_notional for row in margin.held_positions(tables, account)), Decimal(0))
    return {
        "userId": USER_ID,
        "accountId": account,
        "coinId": QUOTE_COIN,
        "amount": dollars(tables.accounts[account].cash - held),
        "updatedTime": str(now_ms),
    }


def account_asset(tables: Tables, account: str, now_ms: int) -> Json:
    """Write an account whole."""
    positions = list(margin.held_positions(tables, account))
    return {
        "account": account_row(tables, account, now_ms),
        "collateralList": [collateral_row(tables, account, now_ms)],
        "positionList": [position_row(row, now_ms) for row in positions],
        "version": str(tables.order_count.get(account, 0)),
        "positionAssetList": [_position_asset(tables, row) for row in positions],
        "collateralAssetModelList": [_collateral_asset(tables, account)],
        "oraclePriceList": [],
    }


def account_row(tables: Tables, account: str, now_ms: int) -> Json:
    """Write an account's settings."""
    wallets = [one.address for one in tables.agents.values()
               if one.account == account and one.name == WALLET]  # fmt: skip
    blank = {"isSetFeeRate": False, "takerFeeRate": "", "makerFeeRate": ""}
    settings = {
        CONTRACT_IDS[symbol]: {
            **blank,
            "isSetMaxLeverage": True,
            "maxLeverage": str(row.leverage),
        }
        for symbol, row in tables.positions.get(account, {}).items()
    }
    return {
        "id": account,
        "userId": USER_ID,
        "ethAddress": wallets[0] if wallets else "",
        "clientAccountId": "main",
        "defaultTradeSetting": {
            "isSetFeeRate": True,
            "takerFeeRate": str(TAKER_FEE),
            "makerFeeRate": str(MAKER_FEE),
            "isSetMaxLeverage": False,
            "maxLeverage": "0",
        },
        "contractIdToTradeSetting": settings,
        "maxLeverageLimit": "0",
        "createOrderPerMinuteLimit": 0,
        "createOrderDelayMillis": 0,
        "status": "NORMAL",
        "isLiquidating": False,
        "createdTime": "1730204434094",
        "updatedTime": str(now_ms),
    }


def _position_asset(tables: Tables, row: Position) -> Json:
    value = margin.notional(tables, row)
    liquidation = margin.liquidation_price(tables, row)
    rate = tables.instruments[row.symbol].maintenance_rate()
    signed = value if row.quantity > 0 else -value
    return {
        "userId": USER_ID,
        "accountId": row.account,
        "coinId": QUOTE_COIN,
        "contractId": CONTRACT_IDS[row.symbol],
        "positionValue": number(signed),
        "maxLeverage": str(row.leverage),
        "initialMarginRequirement": number(margin.margin_used(tables, row)),
        "riskRate": str(rate),
        "riskValue": number(value * rate),
        "avgEntryPrice": number(row.entry_price.quantize(_USD)) if row.entry_price else "0",
        "liquidatePrice": dollars(liquidation) if liquidation is not None else "0",
        "unrealizePnl": number(signed - row.entry_notional),
    }


def _collateral_asset(tables: Tables, account: str) -> Json:
    summary = margin.full_summary(tables, account)
    return {
        "userId": USER_ID,
        "accountId": account,
        "coinId": QUOTE_COIN,
        "totalEquity": dollars(summary.account_value),
        "initialMarginRequirement": dollars(summary.margin_used),
        "orderFrozenAmount": dollars(tables.held_margin.get(account, Decimal(0))),
        "availableAmount": dollars(max(margin.available_margin(tables, account), Decimal(0))),
    }


def funding_row(payment: FundingPayment, sequence: int) -> Json:
    """Write a payment of funding."""
    return {
        "id": str(sequence),
        "userId": USER_ID,
        "accountId": payment.account,
        "coinId": QUOTE_COIN,
        "type": "POSITION_FUNDING",
        "deltaAmount": dollars(payment.amount),
        "fundingTime": str(payment.time_ms),
        "fundingRate": number(payment.rate),
        "fundingPositionSize": number(payment.quantity),
        "positionContractId": CONTRACT_IDS[payment.symbol],
        "createdTime": str(payment.time_ms),
        "updatedTime": str(payment.time_ms),
    }
