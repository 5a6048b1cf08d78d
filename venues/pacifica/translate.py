"""From Pacifica's words to ours. Pure; knows no transport.

Symbols are the venue's name plus `-PERP`, its case kept, but `kBONK` is `1000BONK-PERP`. Spot
pairs, which share listings with perpetuals and have a dash in their names, are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from domain.accounts import (
    Account,
    AccountSummary,
    FundingPayment,
    LeverageSetting,
    MarginMode,
    Position,
    PositionSide,
)
from domain.errors import InvalidInput
from domain.fills import Fill, LiquiditySide
from domain.identifiers import thousands_by_letter, thousands_in_digits
from domain.instruments import Instrument, OrderSide, PriceRule
from domain.market_data import BookLevel, Candle, FundingRate, OrderBook, Ticker, Trade
from domain.numbers import plain
from venues.connector import VenueOrder
from venues.pacifica import wire
from venues.pacifica.proofs import CAPABILITIES
from venues.pacifica.statuses import is_trigger, reason_of, verdict_of
from venues.times import at_ms as at_ms
from venues.times import to_ms as to_ms

VENUE: Final = "pacifica"
#: Funding is paid every hour (docs trading-on-pacifica/funding-rates).
FUNDING_INTERVAL_S: Final = 3600
FEE_CURRENCY: Final = "USDC"
#: Candles' lengths.
INTERVALS: Final = CAPABILITIES.candle_intervals
_SUFFIX: Final = "-PERP"
_SIDES: Final = {"bid": OrderSide.BUY, "ask": OrderSide.SELL}
_TRADE_SIDES: Final = {
    "open_long": OrderSide.BUY,
    "close_short": OrderSide.BUY,
    "open_short": OrderSide.SELL,
    "close_long": OrderSide.SELL,
}


def is_perpetual(name: str) -> bool:
    """Tell whether a name of the venue is a perpetual's: a spot pair has a dash."""
    return "-" not in name


def symbol_of(name: str) -> str:
    """Return our symbol for a perpetual."""
    return thousands_in_digits(name) + _SUFFIX


def name_of(symbol: str) -> str:
    """Return the venue's name for a symbol of ours.

    Raises:
        InvalidInput: the symbol is not a perpetual's.
    """
    name = symbol.removesuffix(_SUFFIX)
    if name == symbol or not (name.isascii() and name.isalnum()):
        raise InvalidInput("symbol", f"expected a symbol such as 'BTC-PERP', found {symbol[:64]!r}")
    return thousands_by_letter(name)


def side_word(side: OrderSide) -> str:
    """Return `bid` or `ask`."""
    return "bid" if side is OrderSide.BUY else "ask"


def side_of(word: str) -> OrderSide:
    """Return the side that `bid` or `ask` spells."""
    found = _SIDES.get(word)
    if found is None:
        raise wire.WireError(f"expected side 'bid' or 'ask', found {word!r}")
    return found


def trade_side_of(word: str) -> OrderSide:
    """Return the side that such as `open_long` spells."""
    found = _TRADE_SIDES.get(word)
    if found is None:
        raise wire.WireError(f"expected one of {', '.join(_TRADE_SIDES)}, found {word!r}")
    return found


def instruments(rows: Iterable[wire.MarketRow]) -> tuple[Instrument, ...]:
    """Return every perpetual market."""
    return tuple(
        Instrument(
            venue=VENUE,
            symbol=symbol_of(row.symbol),
            venue_symbol=row.symbol,
            asset_index=index,
            lot_size=row.lot_size,
            price_rule=PriceRule(tick_size=row.tick_size),
            min_notional=row.min_order_size,
            max_leverage=row.max_leverage,
        )
        for index, row in enumerate(rows)
        if row.instrument_type == "perpetual" and is_perpetual(row.symbol)
    )


def order_row(row: wire.OrderRow) -> VenueOrder | None:
    """Return an order of a listing, or None for one that is no perpetual's."""
    if not is_perpetual(row.symbol):
        return None
    quantity = row.initial_amount if row.initial_amount is not None else row.amount
    if quantity is None:
        raise wire.WireError(f"expected an amount of order {row.order_id}, found none")
    word = row.event_type or row.reason
    verdict = verdict_of(row.order_status, word, filled=row.filled_amount, quantity=quantity)
    event_ms = row.updated_at or (row.created_at if row.event_type is not None else None)
    return VenueOrder(
        client_order_id=row.client_order_id,
        venue_order_id=str(row.order_id),
        symbol=symbol_of(row.symbol),
        side=side_of(row.side),
        quantity=quantity,
        price=(row.initial_price or row.price) or None,
        verdict=verdict,
        filled_quantity=row.filled_amount,
        average_price=(row.average_filled_price or None) if row.filled_amount else None,
        reason=reason_of(row.order_status, word, verdict),
        reduce_only=row.reduce_only,
        trigger_price=row.stop_price if is_trigger(row.order_type) else None,
        created_at=at_ms(row.created_at),
        event_time=at_ms(event_ms) if event_ms is not None else None,
    )


def order_events(rows: Iterable[wire.OrderRow]) -> VenueOrder | None:
    """Return an order as the newest of its events tells it; None for no events."""
    newest = max(rows, key=lambda row: (row.history_id or 0, row.created_at), default=None)
    return order_row(newest) if newest is not None else None


def order_update(row: wire.OrderUpdate) -> VenueOrder | None:
    """Return an order of the feed, or None for one that is no perpetual's."""
    if not is_perpetual(row.s):
        return None
    verdict = verdict_of(row.os, row.oe, filled=row.f, quantity=row.a)
    return VenueOrder(
        client_order_id=row.I,
        venue_order_id=str(row.i),
        symbol=symbol_of(row.s),
        side=side_of(row.d),
        quantity=row.a,
        price=row.ip or None,
        verdict=verdict,
        filled_quantity=row.f,
        average_price=row.p if row.f and row.p else None,
        reason=reason_of(row.os, row.oe, verdict),
        reduce_only=row.r,
        trigger_price=row.sp if is_trigger(row.ot) else None,
        created_at=at_ms(row.ct),
        event_time=at_ms(row.ut),
    )


def fill(account_id: str, row: wire.FillRow) -> Fill | None:
    """Return a fill, or None for one that is no perpetual's.

    The venue's pnl is after the fee (recorded: an opening fill has minus its fee), ours before.
    """
    if not is_perpetual(row.symbol):
        return None
    return Fill(
        account_id=account_id,
        venue=VENUE,
        symbol=symbol_of(row.symbol),
        trade_id=str(row.history_id),
        venue_order_id=str(row.order_id),
        client_order_id=row.client_order_id,
        side=trade_side_of(row.side),
        price=row.price,
        quantity=row.amount,
        fee=row.fee,
        fee_currency=FEE_CURRENCY,
        liquidity_side=_liquidity_side(row.event_type),
        event_time=at_ms(row.created_at),
        realized_pnl=row.pnl + row.fee,
        is_liquidation=row.cause.endswith("liquidation"),
    )


def fill_frame(account_id: str, row: wire.FillFrame) -> Fill | None:
    """Return a fill of the feed, or None for one that is no perpetual's."""
    return fill(
        account_id,
        wire.FillRow(
            history_id=row.h,
            order_id=row.i,
            symbol=row.s,
            amount=row.a,
            price=row.p,
            fee=row.f,
            pnl=row.n,
            event_type=row.te,
            side=row.ts,
            created_at=row.t,
            client_order_id=row.I,
            cause=row.tc,
        ),
    )


def _liquidity_side(event: str) -> LiquiditySide:
    if event not in ("fulfill_taker", "fulfill_maker"):
        raise wire.WireError(f"expected fulfill_taker or fulfill_maker, found {event!r}")
    return LiquiditySide.TAKER if event == "fulfill_taker" else LiquiditySide.MAKER


def account_summary(
    account: Account,
    row: wire.AccountRow,
    positions: Iterable[wire.PositionRow],
    prices: Mapping[str, wire.PriceRow],
    settings: Mapping[str, LeverageSetting],
) -> AccountSummary:
    """Return money and positions; the venue tells neither notional nor leverage beside them."""
    times = [row.updated_at, *(price.timestamp for price in prices.values())]
    return AccountSummary(
        account_id=account.account_id,
        equity=row.account_equity,
        available=row.available_to_spend,
        initial_margin=row.total_margin_used,
        maintenance_margin=row.cross_mmr,
        positions=tuple(
            position(account, held, prices, settings)
            for held in positions
            if held.amount and is_perpetual(held.symbol)
        ),
        event_time=at_ms(max(times)),
    )


def position(
    account: Account,
    row: wire.PositionRow,
    prices: Mapping[str, wire.PriceRow],
    settings: Mapping[str, LeverageSetting],
) -> Position:
    """Return one position, valued at its market's mark price."""
    price, symbol = prices.get(row.symbol), symbol_of(row.symbol)
    setting = settings.get(symbol)
    if price is None or setting is None:
        raise wire.WireError(f"expected price and leverage of {row.symbol}, found none")
    is_long = side_of(row.side) is OrderSide.BUY
    notional = row.amount * price.mark
    gain = (price.mark - row.entry_price) * row.amount
    return Position(
        account_id=account.account_id,
        venue=VENUE,
        symbol=symbol,
        side=PositionSide.LONG if is_long else PositionSide.SHORT,
        quantity=row.amount,
        entry_price=row.entry_price,
        notional=notional,
        unrealized_pnl=gain if is_long else -gain,
        # A cross position that nothing can liquidate has a price below zero, or none.
        liquidation_price=_above_zero(row.liquidation_price),
        leverage=Decimal(setting.leverage),
        margin_mode=MarginMode.ISOLATED if row.isolated else MarginMode.CROSS,
        initial_margin=row.margin if row.isolated else notional / setting.leverage,
    )


def _above_zero(price: Decimal | None) -> Decimal | None:
    return price if price is not None and price > 0 else None


def leverage_settings(
    rows: Iterable[wire.SettingRow], markets: Iterable[Instrument]
) -> dict[str, LeverageSetting]:
    """Return the settings of every market by symbol; the venue tells only what differs.

    The defaults are cross margin and the market's greatest leverage.
    """
    found = {
        market.symbol: LeverageSetting(
            symbol=market.symbol, leverage=market.max_leverage, mode=MarginMode.CROSS
        )
        for market in markets
    }
    for row in rows:
        symbol = symbol_of(row.symbol)
        mode = MarginMode.ISOLATED if row.isolated else MarginMode.CROSS
        found[symbol] = LeverageSetting(symbol=symbol, leverage=row.leverage, mode=mode)
    return found


def funding_payment(account_id: str, row: wire.FundingRow) -> FundingPayment:
    """Return one payment of funding; negative is paid, and so is a short position's quantity."""
    is_long = side_of(row.side) is OrderSide.BUY
    return FundingPayment(
        account_id=account_id,
        symbol=symbol_of(row.symbol),
        amount=row.payout,
        rate=row.rate,
        position_quantity=row.amount if is_long else -row.amount,
        event_time=at_ms(row.created_at),
    )


def order_book(book: wire.Book, *, depth: int, received_time: datetime) -> OrderBook:
    """Return a book, cut to `depth` levels a side."""
    bids, asks = book.l
    return OrderBook(
        venue=VENUE,
        symbol=symbol_of(book.s),
        bids=_levels(bids[:depth]),
        asks=_levels(asks[:depth]),
        event_time=at_ms(book.t),
        received_time=received_time,
    )


def top_of_book(top: wire.TopOfBook, *, received_time: datetime) -> OrderBook:
    """Return best bid and ask as a book of one level a side; an empty side has quantity zero."""
    return OrderBook(
        venue=VENUE,
        symbol=symbol_of(top.s),
        bids=(BookLevel(price=top.b, quantity=top.B),) if top.B else (),
        asks=(BookLevel(price=top.a, quantity=top.A),) if top.A else (),
        event_time=at_ms(top.t),
        received_time=received_time,
    )


def _levels(levels: Iterable[wire.Level]) -> tuple[BookLevel, ...]:
    return tuple(
        BookLevel(price=level.p, quantity=level.a, order_count=level.n) for level in levels
    )


def trade(row: wire.PublicTrade, *, received_time: datetime) -> Trade:
    """Return a public trade."""
    return Trade(
        venue=VENUE,
        symbol=symbol_of(row.s),
        trade_id=str(row.h),
        price=row.p,
        quantity=row.a,
        aggressor_side=trade_side_of(row.d),
        event_time=at_ms(row.t),
        received_time=received_time,
    )


def trade_row(symbol: str, row: wire.PublicTradeRow, *, received_time: datetime) -> Trade:
    """Return a public trade of the listing, which gives it no id: then time and form are one."""
    made = f"{row.created_at}-{row.side}-{plain(row.amount)}-{plain(row.price)}"
    return Trade(
        venue=VENUE,
        symbol=symbol,
        trade_id=made if row.history_id is None else str(row.history_id),
        price=row.price,
        quantity=row.amount,
        aggressor_side=trade_side_of(row.side),
        event_time=at_ms(row.created_at),
        received_time=received_time,
    )


def candle(row: wire.Kline) -> Candle:
    """Return a candle."""
    return Candle(
        venue=VENUE,
        symbol=symbol_of(row.s),
        interval=row.i,
        open_time=at_ms(row.t),
        close_time=at_ms(row.T),
        open=row.o,
        high=row.h,
        low=row.l,
        close=row.c,
        volume=row.v,
    )


def ticker(row: wire.PriceRow, *, received_time: datetime) -> Ticker:
    """Return a market's prices and rates; the venue's oracle is our index, a mid of 0 is none."""
    return Ticker(
        venue=VENUE,
        symbol=symbol_of(row.symbol),
        mark_price=row.mark,
        index_price=row.oracle,
        mid_price=row.mid or None,
        funding_rate=row.funding,
        funding_interval_s=FUNDING_INTERVAL_S,
        open_interest=row.open_interest,
        volume_24h=row.volume_24h,
        received_time=received_time,
    )


def funding_rate(symbol: str, row: wire.FundingRateRow) -> FundingRate:
    """Return one past funding rate."""
    return FundingRate(
        venue=VENUE,
        symbol=symbol,
        rate=row.funding_rate,
        interval_s=FUNDING_INTERVAL_S,
        event_time=at_ms(row.created_at),
    )
