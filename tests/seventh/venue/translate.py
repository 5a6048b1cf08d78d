"""From the seventh venue's words to ours. Pure; a payload that makes no sense is a WireError."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

from domain.accounts import Account, AccountSummary, FeeRates, MarginMode, Position, PositionSide
from domain.errors import InvalidInput
from domain.fills import Fill, LiquiditySide
from domain.instruments import Instrument, MarketState, OrderSide, PriceRule
from domain.market_data import BookLevel, Candle, OrderBook, Ticker, Trade
from domain.orders import Verdict
from tests.seventh.venue import wire
from venues.connector import VenueOrder
from venues.times import at_ms

VENUE: Final = "seventh"
_QUOTE: Final = "-usd"
_SUFFIX: Final = "-PERP"
_SIDES: Final = {"buy": OrderSide.BUY, "sell": OrderSide.SELL}
_VERDICTS: Final = {
    "open": Verdict.ACCEPTED,
    "filled": Verdict.FILLED,
    "cancelled": Verdict.CANCELED,
    "refused": Verdict.REJECTED,
}


def symbol_of(name: str) -> str:
    """Return our symbol of a market of theirs: `BTC-PERP` for `btc-usd`."""
    base = name.removesuffix(_QUOTE)
    if base == name or not (base.isascii() and base.isalnum()):
        raise wire.WireError(f"expected a market such as 'btc-usd', found {name[:64]!r}")
    return base.upper() + _SUFFIX


def name_of(symbol: str) -> str:
    """Return their market of a symbol of ours."""
    return symbol.removesuffix(_SUFFIX).lower() + _QUOTE


def side_word(side: OrderSide) -> str:
    """Return `buy` or `sell`."""
    return "buy" if side is OrderSide.BUY else "sell"


def instruments(rows: Iterable[wire.Market]) -> tuple[Instrument, ...]:
    """Return every market."""
    return tuple(_instrument(index, row) for index, row in enumerate(rows))


def _instrument(index: int, row: wire.Market) -> Instrument:
    if row.tick <= 0 or row.lot <= 0 or row.leverage <= 0:
        raise wire.WireError(f"expected steps and leverage above zero of {row.name[:64]!r}")
    return Instrument(
        venue=VENUE,
        symbol=symbol_of(row.name),
        venue_symbol=row.name,
        asset_index=index,
        lot_size=row.lot,
        price_rule=PriceRule(tick_size=row.tick),
        min_notional=row.minimum,
        max_leverage=row.leverage,
        state=MarketState.OPEN if row.open else MarketState.DELISTED,
    )


def order(row: wire.Order) -> VenueOrder:
    """Return an order; of a status that is new only this is known, that the venue has it."""
    if not 0 <= row.filled <= row.size or not row.size:
        raise wire.WireError(f"expected 0 to {row.size} filled of order {row.id}")
    verdict = _VERDICTS.get(row.status, Verdict.ACCEPTED)
    if verdict is Verdict.ACCEPTED and row.filled:
        verdict = Verdict.PARTIALLY_FILLED
    return VenueOrder(
        client_order_id=row.tag,
        venue_order_id=str(row.id),
        symbol=symbol_of(row.market),
        side=_SIDES[row.side],
        quantity=row.size,
        price=row.price,
        verdict=verdict,
        filled_quantity=row.filled,
        average_price=row.average,
        reason=row.why,
        reduce_only=row.reduces,
        created_at=at_ms(row.made),
        event_time=at_ms(row.changed),
    )


def fill(account_id: str, row: wire.Fill) -> Fill:
    """Return a fill."""
    return Fill(
        account_id=account_id,
        venue=VENUE,
        symbol=symbol_of(row.market),
        trade_id=str(row.id),
        venue_order_id=str(row.order),
        client_order_id=row.tag,
        side=_SIDES[row.side],
        price=row.price,
        quantity=row.size,
        fee=row.fee,
        fee_currency="USD",
        liquidity_side=LiquiditySide.TAKER if row.takes else LiquiditySide.MAKER,
        event_time=at_ms(row.time),
        realized_pnl=row.gain,
        is_liquidation=row.forced,
    )


def summary(account: Account, row: wire.Account) -> AccountSummary:
    """Return money and positions."""
    check_account(account, row.account)
    return AccountSummary(
        account_id=account.account_id,
        equity=row.worth,
        available=row.free,
        initial_margin=row.margin,
        maintenance_margin=row.least,
        positions=tuple(_position(account, held) for held in row.positions),
        event_time=at_ms(row.time),
    )


def _position(account: Account, row: wire.Position) -> Position:
    return Position(
        account_id=account.account_id,
        venue=VENUE,
        symbol=symbol_of(row.market),
        side=PositionSide.LONG if row.size > 0 else PositionSide.SHORT,
        quantity=abs(row.size),
        entry_price=row.entry,
        notional=row.value,
        unrealized_pnl=row.gain,
        liquidation_price=row.liquidation,
        leverage=Decimal(row.leverage),
        margin_mode=MarginMode.CROSS,
        initial_margin=row.margin,
    )


def fees(row: wire.Account) -> FeeRates:
    """Return an account's fees."""
    return FeeRates(maker=row.maker, taker=row.taker)


def check_account(account: Account, address: str) -> None:
    """Check that a payload is of the account that was asked about. Raises WireError."""
    if address != account.address:
        raise wire.WireError(f"expected what is of {account.address}, found {address[:64]!r}")


def book(row: wire.Book, received: datetime, *, depth: int | None = None) -> OrderBook:
    """Return a book, whole or its best levels."""
    bids, asks = (
        tuple(BookLevel(price=price, quantity=size) for price, size in side[:depth])
        for side in (row.bids, row.asks)
    )
    return OrderBook(
        venue=VENUE,
        symbol=symbol_of(row.market),
        bids=bids,
        asks=asks,
        event_time=at_ms(row.time),
        received_time=received,
    )


def trade(row: wire.Trade, received: datetime) -> Trade:
    """Return a public trade."""
    return Trade(
        venue=VENUE,
        symbol=symbol_of(row.market),
        trade_id=str(row.id),
        price=row.price,
        quantity=row.size,
        aggressor_side=_SIDES[row.side],
        event_time=at_ms(row.time),
        received_time=received,
    )


def candle(row: wire.Candle) -> Candle:
    """Return a candle."""
    return Candle(
        venue=VENUE,
        symbol=symbol_of(row.market),
        interval=row.span,
        open_time=at_ms(row.start),
        close_time=at_ms(row.end),
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
    )


def ticker(row: wire.Price, received: datetime) -> Ticker:
    """Return a market's prices and rates; funding is paid every hour."""
    return Ticker(
        venue=VENUE,
        symbol=symbol_of(row.market),
        mark_price=row.mark,
        index_price=row.index,
        mid_price=row.middle,
        funding_rate=row.funding,
        funding_interval_s=3600,
        open_interest=row.interest,
        volume_24h=row.volume,
        received_time=received,
    )


def order_number(text: str) -> int:
    """Return the number of an order of theirs. Raises InvalidInput: it is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidInput("venue_order_id", f"expected a number, found {text[:64]!r}")
    return int(text)
