"""From Extended's words to ours. Pure; knows no transport.

Symbols are the venue's asset plus `-PERP`, an underscore in it becoming a slash (`NVDA_24_5-USD` is
`NVDA/24/5-PERP`). Spot markets, and those that are traded by request for quote, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

from domain.accounts import (
    Account,
    AccountSummary,
    FundingPayment,
    MarginMode,
    Position,
    PositionSide,
)
from domain.candle_intervals import interval_length
from domain.errors import InvalidInput
from domain.fills import Fill, LiquiditySide
from domain.instruments import Instrument, MarketState, OrderSide, PriceRule
from domain.market_data import BookLevel, Candle, FundingRate, OrderBook, Ticker, Trade
from venues.connector import VenueOrder
from venues.extended import wire
from venues.extended.proofs import CAPABILITIES
from venues.extended.statuses import reason_of, verdict_of
from venues.times import at_ms as at_ms
from venues.times import to_ms as to_ms

VENUE: Final = "extended"
#: Funding is paid every hour (docs, funding payments).
FUNDING_INTERVAL_S: Final = 3600
FEE_CURRENCY: Final = "USDC"
#: Candles' lengths, ours and the venue's.
INTERVALS: Final = CAPABILITIES.candle_intervals
_SUFFIX: Final = "-PERP"
_QUOTE: Final = "-USD"
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,32}-USD")
_STATES: Final = {"ACTIVE": MarketState.OPEN, "REDUCE_ONLY": MarketState.CLOSE_ONLY}
_SIDES: Final = {side.value: side for side in OrderSide}
_POSITION_SIDES: Final = {"LONG": PositionSide.LONG, "SHORT": PositionSide.SHORT}
_CLOSED: Final = "CLOSED"


def venue_interval(interval: str) -> str:
    """Return how the venue spells an interval: PT5M, PT1H, P1D.

    Raises:
        InvalidInput: it has no candles of that length.
    """
    if interval not in INTERVALS:
        raise InvalidInput(
            "interval", f"expected one of {', '.join(INTERVALS)}, found {interval[:16]!r}"
        )
    spelled = interval.upper()
    return f"P{spelled}" if spelled.endswith("D") else f"PT{spelled}"


def is_ours(name: str) -> bool:
    """Tell whether a market's name is one that has a symbol of ours."""
    return _NAME.fullmatch(name) is not None


def symbol_of(name: str) -> str:
    """Return our symbol for a market's name."""
    return name.removesuffix(_QUOTE).replace("_", "/") + _SUFFIX


def name_of(symbol: str) -> str:
    """Return the venue's name for a symbol of ours.

    Raises:
        InvalidInput: the symbol is not a perpetual's.
    """
    name = symbol.removesuffix(_SUFFIX).replace("/", "_") + _QUOTE
    if not symbol.endswith(_SUFFIX) or not is_ours(name):
        raise InvalidInput("symbol", f"expected a symbol such as 'BTC-PERP', found {symbol[:64]!r}")
    return name


def side_of(word: str) -> OrderSide:
    """Return the side that BUY or SELL spells."""
    found = _SIDES.get(word)
    if found is None:
        raise wire.WireError(f"expected side BUY or SELL, found {word!r}")
    return found


def is_tradable(row: wire.MarketHead) -> bool:
    """Tell whether a market is a perpetual that is traded by orders in a book."""
    return row.type == "PERPETUAL" and not row.isRfq and is_ours(row.name)


def instruments(rows: Iterable[wire.MarketRow]) -> tuple[Instrument, ...]:
    """Return every perpetual market; the venue states a least quantity, and no least value."""
    return tuple(
        Instrument(
            venue=VENUE,
            symbol=symbol_of(row.name),
            venue_symbol=row.name,
            asset_index=index,
            lot_size=row.tradingConfig.minOrderSizeChange,
            price_rule=PriceRule(tick_size=row.tradingConfig.minPriceChange),
            min_notional=Decimal(0),
            min_quantity=row.tradingConfig.minOrderSize,
            max_leverage=int(row.tradingConfig.maxLeverage),
            state=_STATES.get(row.status, MarketState.DELISTED)
            if row.active
            else MarketState.DELISTED,
        )
        for index, row in enumerate(rows)
        if is_tradable(row)
    )


def order_row(row: wire.OrderRow) -> VenueOrder | None:
    """Return an order, or None for one of a market that is none of ours."""
    if not is_ours(row.market):
        return None
    leg = row.takeProfit or row.stopLoss if row.type == "TPSL" else None
    trigger = row.trigger.triggerPrice if row.trigger is not None else None
    return VenueOrder(
        client_order_id=row.externalId,
        venue_order_id=str(row.id),
        symbol=symbol_of(row.market),
        side=side_of(row.side),
        quantity=row.qty,
        price=(leg.price if leg is not None else row.price) or None,
        verdict=verdict_of(row.status, row.statusReason, filled=row.filledQty),
        filled_quantity=row.filledQty,
        average_price=(row.averagePrice or None) if row.filledQty else None,
        reason=reason_of(row.status, row.statusReason),
        reduce_only=row.reduceOnly,
        trigger_price=leg.triggerPrice if leg is not None else trigger,
        created_at=at_ms(row.createdTime),
        event_time=at_ms(row.updatedTime) if row.updatedTime is not None else None,
    )


def fill(account_id: str, row: wire.FillRow) -> Fill | None:
    """Return a fill, or None for one of a market that is none of ours; it tells no profit."""
    if not is_ours(row.market):
        return None
    return Fill(
        account_id=account_id,
        venue=VENUE,
        symbol=symbol_of(row.market),
        trade_id=str(row.id),
        venue_order_id=str(row.orderId),
        client_order_id=row.externalOrderId or row.externalId,
        side=side_of(row.side),
        price=row.price,
        quantity=row.qty,
        fee=row.fee,
        fee_currency=FEE_CURRENCY,
        liquidity_side=LiquiditySide.TAKER if row.isTaker else LiquiditySide.MAKER,
        event_time=at_ms(row.createdTime),
        is_liquidation=row.tradeType == "LIQUIDATION",
    )


def account_summary(
    account: Account,
    row: wire.BalanceRow,
    positions: Iterable[wire.PositionRow],
) -> AccountSummary:
    """Return money and positions."""
    held = [one for one in positions if is_open(one)]
    times = [row.updatedTime, *(one.updatedAt or one.updatedTime or 0 for one in held)]
    return AccountSummary(
        account_id=account.account_id,
        equity=row.equity,
        available=row.availableForTrade,
        initial_margin=row.initialMargin,
        maintenance_margin=row.marginRatio * row.equity,
        positions=tuple(position(account, one) for one in held),
        event_time=at_ms(max(times)),
    )


def is_open(row: wire.PositionRow) -> bool:
    """Tell whether a position is held, in a market that is one of ours."""
    return bool(row.size) and row.status != _CLOSED and is_ours(row.market)


def empty_account(account: Account, at: datetime) -> AccountSummary:
    """Return an account that has nothing: the venue has no balance of it to show."""
    nothing = Decimal(0)
    return AccountSummary(
        account_id=account.account_id,
        equity=nothing,
        available=nothing,
        initial_margin=nothing,
        maintenance_margin=nothing,
        positions=(),
        event_time=at,
    )


def position(account: Account, row: wire.PositionRow) -> Position:
    """Return one position, always of cross margin: an account isolates by sub-accounts."""
    side = _POSITION_SIDES.get(row.side)
    if side is None or row.leverage <= 0:
        raise wire.WireError(
            f"expected a position LONG or SHORT with leverage, found {row.side!r}, {row.leverage}"
        )
    gain = (row.markPrice - row.openPrice) * row.size
    notional = row.size * row.markPrice
    return Position(
        account_id=account.account_id,
        venue=VENUE,
        symbol=symbol_of(row.market),
        side=side,
        quantity=row.size,
        entry_price=row.openPrice,
        notional=notional,
        unrealized_pnl=gain if side is PositionSide.LONG else -gain,
        liquidation_price=row.liquidationPrice if row.liquidationPrice else None,
        leverage=row.leverage,
        margin_mode=MarginMode.CROSS,
        initial_margin=row.margin if row.margin is not None else notional / row.leverage,
    )


def funding_payment(account_id: str, row: wire.FundingRow) -> FundingPayment:
    """Return one payment of funding; negative is paid, and so is a short position's quantity."""
    side = _POSITION_SIDES.get(row.side)
    if side is None:
        raise wire.WireError(f"expected a position LONG or SHORT, found {row.side!r}")
    return FundingPayment(
        account_id=account_id,
        symbol=symbol_of(row.market),
        amount=row.fundingFee,
        rate=row.fundingRate,
        position_quantity=row.size if side is PositionSide.LONG else -row.size,
        event_time=at_ms(row.paidTime),
    )


def order_book(
    row: wire.BookRow, *, depth: int, event_time: datetime, received_time: datetime
) -> OrderBook:
    """Return a book, cut to `depth` levels a side."""
    return OrderBook(
        venue=VENUE,
        symbol=symbol_of(row.market),
        bids=_levels(row.bid[:depth]),
        asks=_levels(row.ask[:depth]),
        event_time=event_time,
        received_time=received_time,
    )


def _levels(rows: Iterable[wire.BookLevelRow]) -> tuple[BookLevel, ...]:
    return tuple(BookLevel(price=row.price, quantity=row.qty) for row in rows)


def trade(row: wire.PublicTrade, *, received_time: datetime) -> Trade:
    """Return a public trade."""
    return Trade(
        venue=VENUE,
        symbol=symbol_of(row.m),
        trade_id=str(row.i),
        price=row.p,
        quantity=row.q,
        aggressor_side=side_of(row.S),
        event_time=at_ms(row.T),
        received_time=received_time,
    )


def candle(symbol: str, interval: str, row: wire.CandleRow) -> Candle:
    """Return a candle."""
    return Candle(
        venue=VENUE,
        symbol=symbol,
        interval=interval,
        open_time=at_ms(row.T),
        close_time=at_ms(row.T) + interval_length(interval),
        open=row.o,
        high=row.h,
        low=row.l,
        close=row.c,
        volume=row.v,
    )


def ticker(row: wire.MarketRow, *, received_time: datetime) -> Ticker:
    """Return a market's prices and rates; a best price of 0 is none."""
    stats = row.marketStats
    both = stats.bidPrice and stats.askPrice
    return Ticker(
        venue=VENUE,
        symbol=symbol_of(row.name),
        mark_price=stats.markPrice,
        index_price=stats.indexPrice,
        mid_price=(stats.bidPrice + stats.askPrice) / 2 if both else None,
        funding_rate=stats.fundingRate,
        funding_interval_s=FUNDING_INTERVAL_S,
        open_interest=stats.openInterestBase,
        volume_24h=stats.dailyVolume,
        received_time=received_time,
    )


def funding_rate(symbol: str, row: wire.FundingRateRow) -> FundingRate:
    """Return one past funding rate."""
    return FundingRate(
        venue=VENUE,
        symbol=symbol,
        rate=row.f,
        interval_s=FUNDING_INTERVAL_S,
        event_time=at_ms(row.T),
    )
