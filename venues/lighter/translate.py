"""From Lighter's words to ours. Pure; knows no transport.

Symbols are the venue's name plus `-PERP`, its case kept (`1000PEPE-PERP`). Markets are numbers on
the wire, so that whoever reads orders and trades has to know the markets; spot markets, whose
numbers begin at 2048, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Final

from domain.accounts import (
    Account,
    AccountSummary,
    FeeRates,
    FundingPayment,
    LeverageSetting,
    MarginMode,
    Position,
    PositionSide,
)
from domain.candle_intervals import interval_length
from domain.fills import Fill, LiquiditySide
from domain.instruments import Instrument, MarketState, OrderSide, PriceRule
from domain.market_data import BookLevel, Candle, FundingRate, OrderBook, Ticker, Trade
from venues.connector import VenueOrder
from venues.lighter import wire
from venues.lighter.statuses import is_trigger, reason_of, verdict_of
from venues.times import to_ms as to_ms

VENUE: Final = "lighter"
#: Funding is paid every hour (docs funding).
FUNDING_INTERVAL_S: Final = 3600
FEE_CURRENCY: Final = "USDC"
_SUFFIX: Final = "-PERP"
_NAME: Final = re.compile(r"[A-Za-z0-9:@/]{1,32}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLIONTH: Final = Decimal("0.000001")
_PERCENT: Final = Decimal("0.01")
_MARGIN_UNIT: Final = Decimal("0.0001")
_ACTIVE: Final = "active"
_LIQUIDATIONS: Final = frozenset({"liquidation", "deleverage"})
_LONG: Final = "long"
#: Bounds between seconds, milliseconds and microseconds: all times are of this century.
_MS_FROM: Final = 10**11
_US_FROM: Final = 10**14


def at(number: int) -> datetime:
    """Return the time that the venue spells in seconds, milliseconds or microseconds.

    Raises:
        WireError: there is no such time.
    """
    try:
        if number >= _US_FROM:
            return _EPOCH + timedelta(microseconds=number)
        if number >= _MS_FROM:
            return _EPOCH + timedelta(milliseconds=number)
        return _EPOCH + timedelta(seconds=number)
    except OverflowError:
        raise wire.WireError(f"expected a time, found {str(number)[:32]}") from None


class MarketNames:
    """The perpetual markets by the venue's number, and by our symbol."""

    def __init__(self, markets: Iterable[Instrument]) -> None:
        self._symbols = {one.asset_index: one.symbol for one in markets}
        self._numbers = {symbol: number for number, symbol in self._symbols.items()}

    def symbol(self, number: int) -> str | None:
        """Return our symbol of a market; None for one that is no perpetual's."""
        return self._symbols.get(number)

    def number(self, symbol: str) -> int | None:
        """Return the venue's number of a market."""
        return self._numbers.get(symbol)


# --- Markets ------------------------------------------------------------------------------------


def instruments(rows: Iterable[wire.MarketRow]) -> tuple[Instrument, ...]:
    """Return every perpetual market whose name can be a symbol of ours."""
    return tuple(
        _instrument(row)
        for row in rows
        if row.market_type == "perp" and _NAME.fullmatch(row.symbol)
    )


def _instrument(row: wire.MarketRow) -> Instrument:
    lot = Decimal(1).scaleb(-_decimals(row.size_decimals, row.supported_size_decimals))
    tick = Decimal(1).scaleb(-_decimals(row.price_decimals, row.supported_price_decimals))
    fraction = _fraction(row.min_initial_margin_fraction)
    if fraction <= 0:
        raise wire.WireError(f"expected a margin fraction of {row.symbol}, found {fraction}")
    fees = None
    if row.maker_fee is not None and row.taker_fee is not None:
        fees = FeeRates(maker=row.maker_fee * _PERCENT, taker=row.taker_fee * _PERCENT)
    return Instrument(
        venue=VENUE,
        symbol=row.symbol + _SUFFIX,
        venue_symbol=row.symbol,
        asset_index=row.market_id,
        lot_size=lot,
        price_rule=PriceRule(tick_size=tick),
        min_notional=row.min_quote_amount,
        max_leverage=max(int(1 / fraction), 1),
        state=_state(row),
        min_quantity=row.min_base_amount,
        fees=fees,
    )


def _state(row: wire.MarketRow) -> MarketState:
    if row.status != _ACTIVE or row.is_frozen:
        return MarketState.DELISTED
    return MarketState.CLOSE_ONLY if row.market_config.force_reduce_only else MarketState.OPEN


def _decimals(newer: int | None, older: int | None) -> int:
    found = newer if newer is not None else older
    if found is None or not 0 <= found <= 18:
        raise wire.WireError(f"expected the decimals of a market, found {found}")
    return found


def _fraction(given: int | str) -> Decimal:
    """Return a margin fraction: percent as text, or a number of 1/10,000."""
    if isinstance(given, int):
        return given * _MARGIN_UNIT
    try:
        return Decimal(given) * _PERCENT
    except ArithmeticError:
        raise wire.WireError(f"expected a margin fraction, found {given!r}") from None


def present_rates(rows: Iterable[wire.PresentRateRow]) -> dict[int, Decimal]:
    """Return by market what funding is for an hour; told as floats for eight."""
    return {row.market_id: round(row.rate / 8, 12) for row in rows if row.exchange == VENUE}


def ticker_row(
    row: wire.MarketRow, rate: Decimal | None = None, *, received_time: datetime
) -> Ticker:
    """Return a market's prices as the listing of markets tells them: without the middle."""
    return Ticker(
        venue=VENUE,
        symbol=row.symbol + _SUFFIX,
        mark_price=row.mark_price or None,
        index_price=row.index_price or None,
        mid_price=None,
        funding_rate=rate,
        funding_interval_s=FUNDING_INTERVAL_S,
        open_interest=row.open_interest,
        volume_24h=row.daily_quote_token_volume,
        received_time=received_time,
    )


def ticker(symbol: str, row: wire.Stats, *, received_time: datetime) -> Ticker:
    """Return a market's prices and rates; the rate is the estimate for the hour under way."""
    return Ticker(
        venue=VENUE,
        symbol=symbol,
        mark_price=row.mark_price,
        index_price=row.index_price,
        mid_price=row.mid_price or None,
        funding_rate=row.current_funding_rate * _PERCENT,
        funding_interval_s=FUNDING_INTERVAL_S,
        open_interest=row.open_interest,
        volume_24h=row.daily_quote_token_volume,
        received_time=received_time,
    )


def order_book(
    symbol: str,
    bids: tuple[BookLevel, ...],
    asks: tuple[BookLevel, ...],
    *,
    event_time: datetime,
    received_time: datetime,
) -> OrderBook:
    """Return a book of levels, best first."""
    return OrderBook(
        venue=VENUE,
        symbol=symbol,
        bids=bids,
        asks=asks,
        event_time=event_time,
        received_time=received_time,
    )


def summed_levels(rows: Iterable[wire.RestingOrder], depth: int) -> tuple[BookLevel, ...]:
    """Return the first levels of orders that come best first."""
    levels: dict[Decimal, Decimal] = {}
    for row in rows:
        if row.price not in levels and len(levels) == depth:
            break
        levels[row.price] = levels.get(row.price, Decimal(0)) + row.remaining_base_amount
    return tuple(BookLevel(price=price, quantity=size) for price, size in levels.items())


def trade(symbol: str, row: wire.TradeRow, *, received_time: datetime) -> Trade:
    """Return a public trade."""
    return Trade(
        venue=VENUE,
        symbol=symbol,
        trade_id=str(row.trade_id),
        price=row.price,
        quantity=row.size,
        # The taker is whoever did not rest.
        aggressor_side=OrderSide.BUY if row.is_maker_ask else OrderSide.SELL,
        event_time=at(row.transaction_time or row.timestamp),
        received_time=received_time,
    )


def candle(symbol: str, interval: str, row: wire.CandleRow) -> Candle | None:
    """Return a candle, or None for one of an interval in which nothing was traded."""
    if not row.o:
        return None
    opened = at(row.t)
    return Candle(
        venue=VENUE,
        symbol=symbol,
        interval=interval,
        open_time=opened,
        close_time=opened + interval_length(interval),
        open=row.o,
        high=row.h,
        low=row.l,
        close=row.c,
        volume=row.v,
    )


def funding_rate(symbol: str, row: wire.FundingRow) -> FundingRate:
    """Return one past funding rate; where shorts paid it is below zero."""
    rate = abs(row.rate) * _PERCENT
    return FundingRate(
        venue=VENUE,
        symbol=symbol,
        rate=rate if row.direction == _LONG else -rate,
        interval_s=FUNDING_INTERVAL_S,
        event_time=at(row.timestamp),
    )


# --- Orders and fills ---------------------------------------------------------------------------


def order(row: wire.OrderRow, names: MarketNames) -> VenueOrder | None:
    """Return an order, or None for one that is no perpetual's."""
    symbol = names.symbol(row.market_index)
    if symbol is None:
        return None
    waits = row.status == "pending"
    filled = row.filled_base_amount
    # An order for the whole position has no quantity of its own before it acts.
    quantity = row.initial_base_amount
    verdict = verdict_of(row.status, filled=filled, quantity=quantity, waits=waits)
    created = row.created_at or row.timestamp
    changed = row.transaction_time or row.updated_at or row.timestamp
    return VenueOrder(
        client_order_id=str(row.client_order_index) if row.client_order_index else None,
        venue_order_id=str(row.order_index),
        symbol=symbol,
        side=OrderSide.SELL if row.is_ask else OrderSide.BUY,
        quantity=quantity,
        price=row.price or None,
        verdict=verdict,
        filled_quantity=filled,
        average_price=row.filled_quote_amount / filled if filled else None,
        reason=reason_of(row.status),
        reduce_only=row.reduce_only,
        trigger_price=row.trigger_price if is_trigger(row.type) else None,
        created_at=at(created),
        event_time=at(changed),
    )


def fill(account_id: str, index: int, row: wire.TradeRow, names: MarketNames) -> Fill | None:
    """Return our side of an execution, or None for one that is no perpetual's.

    Raises:
        WireError: neither side is the account's.
    """
    symbol = names.symbol(row.market_id)
    if symbol is None:
        return None
    if index not in (row.ask_account_id, row.bid_account_id):
        raise wire.WireError(f"expected a trade of account {index}, found {row.trade_id}")
    is_ask = index == row.ask_account_id
    is_maker = is_ask is row.is_maker_ask
    ticks = row.maker_fee if is_maker else row.taker_fee
    client_index = row.ask_client_id if is_ask else row.bid_client_id
    return Fill(
        account_id=account_id,
        venue=VENUE,
        symbol=symbol,
        trade_id=str(row.trade_id),
        venue_order_id=str(row.ask_id if is_ask else row.bid_id),
        client_order_id=str(client_index) if client_index else None,
        side=OrderSide.SELL if is_ask else OrderSide.BUY,
        price=row.price,
        quantity=row.size,
        fee=(row.price * row.size * ticks * _MILLIONTH).quantize(_MILLIONTH, rounding=ROUND_DOWN),
        fee_currency=FEE_CURRENCY,
        liquidity_side=LiquiditySide.MAKER if is_maker else LiquiditySide.TAKER,
        # Milliseconds in every listing and frame; finer times came later and not everywhere.
        event_time=at(row.timestamp),
        realized_pnl=row.ask_account_pnl if is_ask else row.bid_account_pnl,
        is_liquidation=row.type in _LIQUIDATIONS,
    )


# --- Accounts -----------------------------------------------------------------------------------


def account_summary(
    account: Account, row: wire.AccountRow, names: MarketNames, *, event_time: datetime
) -> AccountSummary:
    """Return money and positions."""
    positions = tuple(
        position(account, held, names)
        for held in row.positions
        if held.position and names.symbol(held.market_id) is not None
    )
    initial = row.cross_initial_margin_requirement
    if initial is None:
        initial = sum((held.initial_margin for held in positions), Decimal(0))
    return AccountSummary(
        account_id=account.account_id,
        equity=row.total_asset_value,
        available=row.available_balance,
        initial_margin=initial,
        maintenance_margin=row.cross_maintenance_margin_requirement or Decimal(0),
        positions=positions,
        event_time=event_time,
    )


def position(account: Account, row: wire.PositionRow, names: MarketNames) -> Position:
    """Return one position."""
    symbol = names.symbol(row.market_id)
    fraction = _position_fraction(row)
    if symbol is None or fraction <= 0 or row.sign not in (1, -1):
        raise wire.WireError(f"expected a position with market, margin and sign, found {row}")
    notional = abs(row.position_value)
    is_isolated = bool(row.margin_mode)
    return Position(
        account_id=account.account_id,
        venue=VENUE,
        symbol=symbol,
        side=PositionSide.LONG if row.sign > 0 else PositionSide.SHORT,
        quantity=abs(row.position),
        entry_price=row.avg_entry_price or None,
        notional=notional,
        unrealized_pnl=row.unrealized_pnl,
        liquidation_price=row.liquidation_price if row.liquidation_price > 0 else None,
        leverage=_leverage(fraction),
        margin_mode=MarginMode.ISOLATED if is_isolated else MarginMode.CROSS,
        initial_margin=row.allocated_margin if is_isolated else notional * fraction,
    )


def leverage_settings(
    rows: Iterable[wire.PositionRow], names: MarketNames, markets: Iterable[Instrument]
) -> Mapping[str, LeverageSetting]:
    """Return leverage and margin mode by symbol; the venue lists markets that were touched.

    Of the others the mode is cross; their leverage is not told, so it is given as the greatest.
    """
    found = {
        market.symbol: LeverageSetting(
            symbol=market.symbol, leverage=market.max_leverage, mode=MarginMode.CROSS
        )
        for market in markets
    }
    for row in rows:
        symbol = names.symbol(row.market_id)
        if symbol is None or row.initial_margin_fraction <= 0:
            continue
        mode = MarginMode.ISOLATED if row.margin_mode else MarginMode.CROSS
        leverage = int(_leverage(_position_fraction(row)))
        found[symbol] = LeverageSetting(symbol=symbol, leverage=leverage, mode=mode)
    return found


def _position_fraction(row: wire.PositionRow) -> Decimal:
    """Return a position's margin fraction; below 1 it can be no percent, for want of leverage."""
    told = row.initial_margin_fraction
    return told if told < 1 else told * _PERCENT


def maintenance_of(rows: Iterable[wire.MarketRow]) -> dict[int, Decimal]:
    """Return what share of a position's value each market asks for to keep it."""
    return {row.market_id: _fraction(row.maintenance_margin_fraction) for row in rows}


def _leverage(fraction: Decimal) -> Decimal:
    """Return the leverage of a margin fraction, which the venue rounds to 1/10,000."""
    return (1 / fraction).quantize(Decimal(1))


def fee_rates(row: wire.Limits) -> FeeRates:
    """Return an account's rates."""
    return FeeRates(
        maker=row.current_maker_fee_tick * _MILLIONTH, taker=row.current_taker_fee_tick * _MILLIONTH
    )


def funding_payment(
    account_id: str, row: wire.PositionFundingRow, names: MarketNames
) -> FundingPayment | None:
    """Return one payment, or None for a market that is no perpetual's."""
    symbol = names.symbol(row.market_id)
    if symbol is None:
        return None
    size = abs(row.position_size)
    return FundingPayment(
        account_id=account_id,
        symbol=symbol,
        amount=row.change,
        rate=row.rate * _PERCENT,
        position_quantity=size if row.position_side == _LONG else -size,
        event_time=at(row.timestamp),
    )
