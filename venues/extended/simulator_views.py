"""How the simulated venue writes its objects: orders, fills, positions, money, markets.

Pure reading of the exchange; shapes and number formats as the venue's, statuses in its words. An
order that was refused before it was queued has no place there: only its id is missing in between.

Source: api.docs.extended.exchange; recorded on mainnet 2026-09 by public projects.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from venues.extended.simulator_facts import OrderFacts
from venues.extended.simulator_hashing import COLLATERAL_ID, COLLATERAL_RESOLUTION
from venues.simulation import margin
from venues.simulation.candles import INTERVALS_MS, Candle
from venues.simulation.instruments import Instrument
from venues.simulation.records import (
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

#: Prices may be so far from the mark; BTC's is 0.05 at the venue.
PRICE_BAND: Final = Decimal("0.15")
MAX_ORDER_VALUE: Final = Decimal(15_000_000)
MAX_ORDERS: Final = 200
MAX_POSITION_VALUE: Final = Decimal(60_000_000)
#: Least quantities, in lots.
MIN_LOTS: Final = 10
INTERVALS: Final = {
    "PT1M": "1m", "PT5M": "5m", "PT15M": "15m", "PT30M": "30m",
    "PT1H": "1h", "PT2H": "2h", "PT4H": "4h", "P1D": "1d",
}  # fmt: skip
#: Refusals after which the venue has an order all the same: it was queued, and ended at once.
_TAKEN: Final = frozenset({Reason.POST_ONLY_CROSS, Reason.NO_MATCH, Reason.NO_LIQUIDITY})
_REASONS: Final[dict[Reason | None, str]] = {
    Reason.MARGIN: "NOT_ENOUGH_FUNDS",
    Reason.SELF_TRADE: "SELF_TRADE_PROTECTION",
    Reason.REDUCE_ONLY: "REDUCE_ONLY_FAILED",
    Reason.SIBLING_FILLED: "TPSL_OTHER_SIDE_FILLED",
    Reason.DELISTED: "DISABLED_MARKET",
    Reason.REPLACED: "ORDER_REPLACED",
    Reason.POST_ONLY_CROSS: "POST_ONLY_FAILED",
    Reason.NO_MATCH: "NO_LIQUIDITY",
    Reason.NO_LIQUIDITY: "NO_LIQUIDITY",
}
_USD: Final = Decimal("0.000001")


def number(value: Decimal) -> str:
    """Write a number without exponent."""
    text = format(value.normalize(), "f")
    return "0" if text in ("-0", "0") else text


def dollars(value: Decimal) -> str:
    """Write an amount of money, to a millionth."""
    return format(value.quantize(_USD, rounding=ROUND_HALF_EVEN), "f")


def is_known(order: Order) -> bool:
    """Tell whether the venue has the order: not one that it refused."""
    return order.status is not OrderStatus.REJECTED or order.reason in _TAKEN


def is_visible(order: Order, now_ms: int, lag_ms: int) -> bool:
    """Tell whether look-ups show the order yet."""
    return is_known(order) and now_ms - order.created_ms >= lag_ms


def status_word(order: Order) -> str:
    """Return the venue's status of an order."""
    match order.status:
        case OrderStatus.REJECTED:
            is_post_only = order.reason is Reason.POST_ONLY_CROSS or not is_known(order)
            return "REJECTED" if is_post_only else "CANCELLED"
        case OrderStatus.CANCELED:
            return "EXPIRED" if order.reason is Reason.EXPIRED else "CANCELLED"
        case OrderStatus.FILLED:
            # What an immediate order did not find, or a reduce-only one had no position for.
            return "FILLED" if order.filled == order.quantity else "CANCELLED"
        case OrderStatus.WAITING | OrderStatus.UNTRIGGERED:
            return "UNTRIGGERED"
    return "PARTIALLY_FILLED" if order.filled else "NEW"


def status_reason(order: Order) -> str:
    """Return why an order ended, in the venue's word."""
    if order.status.is_live:
        return "NONE"
    if order.status is OrderStatus.FILLED:
        return "NONE" if order.filled == order.quantity else "NO_LIQUIDITY"
    return _REASONS.get(order.reason, "NONE")


def order_type(order: Order) -> str:
    """Return the venue's name of the order's type."""
    if order.is_position_tpsl or order.parent is not None:
        return "TPSL"
    if order.trigger is not None:
        return "CONDITIONAL"
    return "MARKET" if order.is_market else "LIMIT"


def order_row(order: Order, facts: OrderFacts, account_id: int) -> Json:
    """Write an order, as listings, look-ups and the feed have it."""
    kind, trigger = order_type(order), order.trigger
    price_type = "MARKET" if trigger is not None and trigger.is_market else "LIMIT"
    is_immediate = trigger is None and order.time_in_force is TimeInForce.IOC
    average = order.filled_notional / order.filled if order.filled else None
    gone = Decimal(0) if order.status.is_live else order.quantity - order.filled
    row: Json = {
        "id": order.venue_order_id,
        "accountId": account_id,
        "externalId": order.client_order_id or str(order.venue_order_id),
        "market": order.symbol,
        "type": kind,
        "side": order.side.value.upper(),
        "status": status_word(order),
        "statusReason": status_reason(order),
        "price": None if kind == "TPSL" else number(order.price),
        "averagePrice": None if average is None else dollars(average),
        "qty": number(order.quantity),
        "filledQty": number(order.filled),
        "cancelledQty": number(gone),
        "payedFee": dollars(facts.fee_paid(order)),
        "reduceOnly": order.reduce_only,
        "postOnly": order.time_in_force is TimeInForce.ALO,
        "timeInForce": "IOC" if is_immediate else "GTT",
        "createdTime": order.created_ms,
        "updatedTime": order.updated_ms,
        "expireTime": facts.expiry_ms(order),
    }
    if trigger is None:
        return row
    if kind == "CONDITIONAL":
        row["trigger"] = {
            "triggerPrice": number(trigger.price),
            "triggerPriceType": "MARK",
            "triggerPriceDirection": "UP" if trigger.fires_above else "DOWN",
            "executionPriceType": price_type,
        }
        return row
    row["tpSlType"] = "POSITION" if order.is_position_tpsl else "ORDER"
    row["takeProfit" if trigger.is_take_profit else "stopLoss"] = {
        "triggerPrice": number(trigger.price),
        "triggerPriceType": "MARK",
        "price": number(order.price),
        "priceType": price_type,
        "status": row["status"],
    }
    return row


def fill_row(fill: Fill, account_id: int, *, on_feed: bool) -> Json:
    """Write an execution; only the feed names the external id."""
    row: Json = {
        "id": fill.trade_id,
        "accountId": account_id,
        "market": fill.symbol,
        "orderId": fill.venue_order_id,
        "side": fill.side.value.upper(),
        "price": number(fill.price),
        "qty": number(fill.quantity),
        "value": dollars(fill.price * fill.quantity),
        "fee": dollars(fill.fee),
        "isTaker": fill.is_taker,
        "tradeType": "TRADE" if fill.liquidated_account is None else "LIQUIDATION",
        "createdTime": fill.time_ms,
    }
    if on_feed and fill.client_order_id is not None:
        row["externalOrderId"] = fill.client_order_id
    return row


def balance_row(tables: Tables, account: str, now_ms: int) -> Json:
    """Write an account's money."""
    summary = margin.full_summary(tables, account)
    equity, cash = summary.account_value, tables.accounts[account].cash
    maintenance = margin.cross_maintenance(tables, account)
    return {
        "collateralName": "USD",
        "balance": dollars(cash),
        "status": "ACTIVE",
        "equity": dollars(equity),
        "spotEquity": "0",
        "spotEquityForAvailableForTrade": "0",
        "availableForTrade": dollars(max(margin.available_margin(tables, account), Decimal(0))),
        "availableForWithdrawal": dollars(margin.cross_summary(tables, account).withdrawable),
        "unrealisedPnl": dollars(equity - cash),
        "initialMargin": dollars(summary.margin_used),
        "marginRatio": number((maintenance / equity).quantize(_USD)) if equity > 0 else "0",
        "updatedTime": now_ms,
        "exposure": dollars(summary.notional),
        "leverage": number((summary.notional / equity).quantize(_USD)) if equity > 0 else "0",
    }


def position_row(tables: Tables, position: Position, account_id: int, now_ms: int) -> Json:
    """Write a position; one that was closed has no size."""
    liquidation = margin.liquidation_price(tables, position) if position.quantity else None
    entry = position.entry_price or Decimal(0)
    gain = dollars(margin.unrealized_pnl(tables, position))
    return {
        "id": 1 + list(tables.instruments).index(position.symbol),
        "accountId": account_id,
        "market": position.symbol,
        "status": "OPENED" if position.quantity else "CLOSED",
        "side": "SHORT" if position.quantity < 0 else "LONG",
        "leverage": str(position.leverage),
        "size": number(abs(position.quantity)),
        "value": dollars(margin.notional(tables, position)),
        "openPrice": format(entry.quantize(Decimal("0.00000001")), "f"),
        "markPrice": number(margin.mark_price(tables, position.symbol)),
        "liquidationPrice": dollars(liquidation) if liquidation is not None else "0",
        "margin": dollars(margin.margin_used(tables, position)),
        "unrealisedPnl": gain,
        "midPriceUnrealisedPnl": gain,
        "realisedPnl": "0",
        "createdAt": now_ms,
        "updatedAt": now_ms,
    }


def asset_id(instrument: Instrument) -> int:
    """Return how a market's asset is named on chain: its name, then nothing, in fifteen bytes."""
    name = f"{instrument.symbol.removesuffix('-USD')}-{instrument.size_decimals}"
    return int.from_bytes(name.encode()[:15].ljust(15, b"\0"), "big")


def asset_resolution(instrument: Instrument) -> int:
    """Return into how many parts a market's asset is counted on chain."""
    return int(10 ** (instrument.size_decimals + 1))


def min_quantity(instrument: Instrument) -> Decimal:
    """Return the least quantity of an order."""
    return MIN_LOTS * Decimal(1).scaleb(-instrument.size_decimals)


def market_row(tables: Tables, instrument: Instrument, now_ms: int) -> Json:
    """Write a market."""
    asset = instrument.symbol.removesuffix("-USD")
    status = "DELISTED" if instrument.delisted else "ACTIVE"
    return {
        "name": instrument.symbol,
        "type": "PERPETUAL",
        "uiName": instrument.symbol,
        "category": "Crypto",
        "subCategory": "L1",
        "assetName": asset,
        "assetPrecision": instrument.size_decimals,
        "collateralAssetName": "USD",
        "collateralAssetPrecision": 6,
        "description": asset,
        "active": not instrument.delisted,
        "isRfq": False,
        "isOffHours": False,
        "status": status,
        "tradingHours": "CONTINUOUS",
        "marketStats": market_stats(tables, instrument, now_ms),
        "tradingConfig": {
            "minOrderSize": number(min_quantity(instrument)),
            "minOrderSizeChange": number(Decimal(1).scaleb(-instrument.size_decimals)),
            "minPriceChange": number(instrument.tick_size(instrument.start_price)),
            "maxMarketOrderValue": "3000000",
            "maxLimitOrderValue": number(MAX_ORDER_VALUE),
            "maxPositionValue": number(MAX_POSITION_VALUE),
            "maxLeverage": f"{instrument.max_leverage}.00",
            "maxNumOrders": str(MAX_ORDERS),
            "limitPriceCap": number(PRICE_BAND),
            "limitPriceFloor": number(PRICE_BAND),
            "riskFactorConfig": [
                {
                    "upperBound": number(MAX_POSITION_VALUE),
                    "riskFactor": number((1 / Decimal(instrument.max_leverage)).quantize(_USD)),
                }
            ],
        },
        "l2Config": {
            "type": "STARKX",
            "collateralId": hex(COLLATERAL_ID),
            "collateralResolution": COLLATERAL_RESOLUTION,
            "syntheticId": hex(asset_id(instrument)),
            "syntheticResolution": asset_resolution(instrument),
        },
        "visibleOnUi": True,
        "createdAt": 1752829532673,
    }


def market_stats(tables: Tables, instrument: Instrument, now_ms: int) -> Json:
    """Write a market's prices and rates."""
    symbol = instrument.symbol
    market, book = tables.markets[symbol], tables.books[symbol]
    bid, ask = book.bids.best_price(), book.asks.best_price()
    day = now_ms - INTERVALS_MS["1d"]
    recent = [one for one in tables.trades.get(symbol, ()) if one.time_ms >= day]
    prices = [one.price for one in recent] or [market.mark_price]
    held = [abs(row.quantity) for row in tables.holders.get(symbol, {}).values()]
    open_base = sum(held, Decimal(0))
    volume = sum((one.price * one.quantity for one in recent), Decimal(0))
    return {
        "dailyVolume": dollars(volume),
        "dailyVolumeBase": number(sum((one.quantity for one in recent), Decimal(0))),
        "dailyPriceChange": number(market.mark_price - market.previous_day_price),
        "dailyPriceChangePercentage": "0",
        "dailyLow": number(min(prices)),
        "dailyHigh": number(max(prices)),
        "lastPrice": number(prices[-1]),
        "askPrice": number(ask) if ask is not None else "0",
        "bidPrice": number(bid) if bid is not None else "0",
        "markPrice": number(market.mark_price),
        "indexPrice": number(market.oracle_price),
        "fundingRate": number(market.funding_rate),
        "nextFundingRate": (now_ms // INTERVALS_MS["1h"] + 1) * INTERVALS_MS["1h"],
        "openInterest": dollars(open_base * market.mark_price),
        "openInterestBase": number(open_base),
    }


def fee_row(symbol: str) -> Json:
    """Write an account's fees in a market."""
    return {
        "market": symbol,
        "makerFeeRate": number(MAKER_FEE),
        "takerFeeRate": number(TAKER_FEE),
        "builderFeeRate": "0",
    }


def trade_row(trade: Trade) -> Json:
    """Write a public trade."""
    return {
        "i": trade.trade_id,
        "m": trade.symbol,
        "S": "BUY" if trade.side is Side.BUY else "SELL",
        "tT": "TRADE",
        "T": trade.time_ms,
        "p": number(trade.price),
        "q": number(trade.quantity),
    }


def candle_row(candle: Candle) -> Json:
    """Write a candle."""
    return {
        "o": number(candle.open),
        "l": number(candle.low),
        "h": number(candle.high),
        "c": number(candle.close),
        "v": number(candle.volume),
        "T": candle.start_ms,
    }


def funding_rate_row(rate: FundingRate) -> Json:
    """Write a rate that was applied."""
    return {"m": rate.symbol, "f": number(rate.rate), "T": rate.time_ms}


def funding_row(payment: FundingPayment, payment_id: int, account_id: int, mark: Decimal) -> Json:
    """Write a payment of funding."""
    size = abs(payment.quantity)
    return {
        "id": payment_id,
        "accountId": account_id,
        "market": payment.symbol,
        "positionId": 1,
        "side": "LONG" if payment.quantity > 0 else "SHORT",
        "size": number(size),
        "value": dollars(size * mark),
        "markPrice": number(mark),
        "fundingFee": number(payment.amount),
        "fundingRate": number(payment.rate),
        "paidTime": payment.time_ms,
    }
