"""From Vest's words to ours. Pure; knows no transport.

Symbols are the venue's own (`BTC-PERP`, `AAPL-USD-PERP`), but `kBONK-PERP` is `1000BONK-PERP`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from domain.accounts import (
    Account,
    AccountSummary,
    FeeRates,
    LeverageSetting,
    MarginMode,
    Position,
    PositionSide,
)
from domain.fills import Fill, LiquiditySide
from domain.identifiers import thousands_in_digits
from domain.instruments import Instrument, OrderSide, PriceRule
from domain.market_data import BookLevel, Candle, FundingRate, OrderBook, Ticker, Trade
from domain.numbers import plain
from venues.connector import VenueOrder
from venues.times import at_ms as at_ms
from venues.times import to_ms as to_ms
from venues.vest import wire
from venues.vest.proofs import CAPABILITIES
from venues.vest.statuses import LIQUIDATION, filled_of, reason_of, verdict_of

VENUE: Final = "vest"
#: Rates are told per hour (`oneHrFundingRate`); they are paid continuously.
FUNDING_INTERVAL_S: Final = 3600
FEE_CURRENCY: Final = "USDC"
#: Candles' lengths.
INTERVALS: Final = CAPABILITIES.candle_intervals
_SUFFIX: Final = "-PERP"
_DECIMALS_MAX: Final = 30


def side_of(is_buy: bool) -> OrderSide:
    """Return the side of an order."""
    return OrderSide.BUY if is_buy else OrderSide.SELL


def symbol_of(name: str) -> str:
    """Return our symbol for a market of the venue."""
    return thousands_in_digits(name)


def instruments(rows: Iterable[wire.MarketRow]) -> tuple[Instrument, ...]:
    """Return every perpetual market; the page knows no least value of an order."""
    return tuple(_instrument(index, row) for index, row in enumerate(rows) if _is_ours(row))


def _is_ours(row: wire.MarketRow) -> bool:
    return row.symbol.endswith(_SUFFIX)


def _instrument(index: int, row: wire.MarketRow) -> Instrument:
    for decimals in (row.size_decimals, row.price_decimals):
        if not 0 <= decimals <= _DECIMALS_MAX:
            raise wire.WireError(f"expected decimals of {row.symbol}, found {decimals}")
    if not 0 < row.init_margin_ratio <= 1:
        raise wire.WireError(f"expected a margin of {row.symbol}, found {row.init_margin_ratio}")
    return Instrument(
        venue=VENUE,
        symbol=symbol_of(row.symbol),
        venue_symbol=row.symbol,
        asset_index=index,
        lot_size=Decimal(1).scaleb(-row.size_decimals),
        price_rule=PriceRule(tick_size=Decimal(1).scaleb(-row.price_decimals)),
        min_notional=Decimal(0),
        max_leverage=int(1 / row.init_margin_ratio),
        # What a maker pays is not published: not more than a taker.
        fees=FeeRates(maker=row.taker_fee, taker=row.taker_fee),
    )


def isolated(rows: Iterable[wire.MarketRow]) -> frozenset[str]:
    """Return the markets whose positions are isolated, all of them and always."""
    return frozenset(row.symbol for row in rows if row.isolated)


def fee_rates(rows: Iterable[wire.MarketRow]) -> FeeRates:
    """Return the highest taker's rate of all markets; no other is published."""
    rates = [row.taker_fee for row in rows if _is_ours(row)]
    if not rates:
        raise wire.WireError("expected the fees of a market, found no market")
    return FeeRates(maker=max(rates), taker=max(rates))


def order_row(row: wire.OrderRow) -> VenueOrder:
    """Return an order; how much of one filled in parts is the least that can have."""
    filled = filled_of(row)
    return VenueOrder(
        client_order_id=str(row.nonce),
        venue_order_id=row.id,
        symbol=symbol_of(row.symbol),
        side=side_of(row.is_buy),
        quantity=row.size,
        price=row.limit_price or None,
        verdict=verdict_of(row.status, row.code, filled=filled),
        filled_quantity=filled,
        average_price=row.avg_filled_price or row.last_filled_price if filled else None,
        reason=reason_of(row.status, row.code),
        reduce_only=row.reduce_only,
        created_at=at_ms(row.post_time),
        event_time=at_ms(row.last_filled_time or row.post_time),
    )


def derived_fill(
    account_id: str, row: wire.OrderRow, filled: Decimal, average: Decimal, fees: Decimal
) -> Fill:
    """Return what an order filled so far, as the fill that stands for all of it.

    Whether it rested is not told: what fills in the moment in which it is posted took, and a market
    or FOK order cannot do otherwise.
    """
    time_ms = row.last_filled_time or row.post_time
    took = row.order_type != "LIMIT" or time_ms <= row.post_time
    return Fill(
        account_id=account_id,
        venue=VENUE,
        symbol=symbol_of(row.symbol),
        trade_id=f"{plain(filled)}-of-{plain(row.size)}",
        venue_order_id=row.id,
        client_order_id=str(row.nonce),
        side=side_of(row.is_buy),
        price=average,
        quantity=filled,
        fee=fees,
        fee_currency=FEE_CURRENCY,
        liquidity_side=LiquiditySide.TAKER if took else LiquiditySide.MAKER,
        event_time=at_ms(time_ms),
        realized_pnl=row.realized_pnl,
        is_liquidation=row.order_type == LIQUIDATION,
        is_total=True,
    )


def fill_in(account_id: str, row: wire.OrderRow) -> Fill | None:
    """Return what an order's row says of its fills in one, or None where it says nothing."""
    filled = filled_of(row)
    price = row.avg_filled_price or row.last_filled_price
    if not filled or price is None:
        return None
    return derived_fill(account_id, row, filled, price, row.fees or Decimal(0))


def account_summary(
    account: Account, row: wire.AccountRow, alone: frozenset[str]
) -> AccountSummary:
    """Return money and positions; `alone` are the isolated markets."""
    if row.address.lower() != account.address.lower():
        raise wire.WireError(f"expected account {account.address}, found {row.address[:64]!r}")
    positions = tuple(_position(account, held, alone) for held in row.positions if held.size)
    return AccountSummary(
        account_id=account.account_id,
        equity=row.total_account_value,
        available=row.withdrawable,
        initial_margin=sum((held.init_margin for held in row.positions), row.open_order_margin),
        maintenance_margin=row.total_maint_margin,
        positions=positions,
        event_time=at_ms(row.time),
    )


def _position(account: Account, row: wire.PositionRow, alone: frozenset[str]) -> Position:
    if row.size < 0 or row.init_margin_ratio <= 0:
        raise wire.WireError(f"expected a position in {row.symbol} with size and margin above 0")
    gain = (row.mark_price - row.entry_price) * row.size
    return Position(
        account_id=account.account_id,
        venue=VENUE,
        symbol=symbol_of(row.symbol),
        side=PositionSide.LONG if row.is_long else PositionSide.SHORT,
        quantity=row.size,
        entry_price=row.entry_price,
        notional=row.size * row.mark_price,
        # The venue's own includes funding that is not settled yet, ours does not.
        unrealized_pnl=gain if row.is_long else -gain,
        liquidation_price=row.liq_price
        if row.liq_price is not None and row.liq_price > 0
        else None,
        leverage=1 / row.init_margin_ratio,
        margin_mode=MarginMode.ISOLATED if row.symbol in alone else MarginMode.CROSS,
        initial_margin=row.init_margin,
    )


def leverage_setting(
    row: wire.AccountRow, market: Instrument, alone: frozenset[str]
) -> LeverageSetting:
    """Return an account's leverage in a market; one not listed has the market's greatest."""
    listed: Mapping[str, int] = {one.symbol: one.value for one in row.leverages}
    return LeverageSetting(
        symbol=market.symbol,
        leverage=listed.get(market.venue_symbol, market.max_leverage),
        mode=MarginMode.ISOLATED if market.venue_symbol in alone else MarginMode.CROSS,
    )


def order_book(
    symbol: str, depth: wire.Depth, *, levels: int, event_time: datetime, received_time: datetime
) -> OrderBook:
    """Return a book, cut to `levels` a side; the venue dates none, so we say when it was told."""
    return OrderBook(
        venue=VENUE,
        symbol=symbol_of(symbol),
        bids=_levels(sorted(depth.bids, reverse=True)[:levels]),
        asks=_levels(sorted(depth.asks)[:levels]),
        event_time=event_time,
        received_time=received_time,
    )


def _levels(levels: Iterable[tuple[Decimal, Decimal]]) -> tuple[BookLevel, ...]:
    return tuple(BookLevel(price=price, quantity=quantity) for price, quantity in levels)


def trade(symbol: str, row: wire.TradeRow, *, received_time: datetime) -> Trade:
    """Return a public trade, of which the venue does not say who took."""
    return Trade(
        venue=VENUE,
        symbol=symbol_of(symbol),
        trade_id=str(row.id),
        price=row.price,
        quantity=row.qty,
        aggressor_side=None,
        event_time=at_ms(row.time),
        received_time=received_time,
    )


def candle(symbol: str, interval: str, row: wire.Kline) -> Candle:
    """Return a candle."""
    return Candle(
        venue=VENUE,
        symbol=symbol_of(symbol),
        interval=interval,
        open_time=at_ms(row.open_time),
        close_time=at_ms(row.close_time),
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
    )


def ticker(
    row: wire.TickerRow, *, volume: Decimal | None = None, received_time: datetime
) -> Ticker:
    """Return a market's prices and rates."""
    return Ticker(
        venue=VENUE,
        symbol=symbol_of(row.symbol),
        mark_price=row.mark_price,
        index_price=row.index_price,
        mid_price=None,
        funding_rate=row.one_hr_funding_rate,
        funding_interval_s=FUNDING_INTERVAL_S,
        open_interest=None,
        volume_24h=volume,
        received_time=received_time,
    )


def funding_rate(row: wire.FundingRateRow) -> FundingRate:
    """Return one past funding rate."""
    return FundingRate(
        venue=VENUE,
        symbol=symbol_of(row.symbol),
        rate=row.one_hr_funding_rate,
        interval_s=FUNDING_INTERVAL_S,
        event_time=at_ms(row.time),
    )
