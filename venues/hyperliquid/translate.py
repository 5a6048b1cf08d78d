"""From Hyperliquid's words to ours. Pure; knows no transport.

Symbols are the venue's name plus `-PERP`, its case kept, but `kPEPE` is `1000PEPE-PERP`. Spot pairs
and outcome tokens, which share some listings, are no perpetuals and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
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
from domain.errors import InvalidInput
from domain.fills import Fill, LiquiditySide
from domain.identifiers import thousands_by_letter, thousands_in_digits
from domain.instruments import Instrument, MarketState, OrderSide, PriceRule
from domain.market_data import BookLevel, Candle, FundingRate, OrderBook, Ticker, Trade
from domain.numbers import plain
from venues.connector import VenueOrder
from venues.hyperliquid import wire
from venues.hyperliquid.statuses import filled_of, reason_of, verdict_of
from venues.times import at_ms as at_ms
from venues.times import to_ms as to_ms

VENUE: Final = "hyperliquid"
#: Funding is paid every hour (docs trading/funding).
FUNDING_INTERVAL_S: Final = 3600
MIN_NOTIONAL: Final = Decimal(10)
_PRICE_DECIMALS: Final = 6
_WIRE_DECIMALS: Final = 8
_SUFFIX: Final = "-PERP"
_NOT_PERP: Final = ("@", "#", "+")


def wire_decimal(field: str, value: Decimal) -> str:
    """Spell a decimal as it is signed: no exponent, no trailing zeros, at most 8 decimals.

    Raises:
        InvalidInput: it has more decimals than the venue reads.
    """
    text = plain(value)
    decimals = len(text.partition(".")[2])
    if decimals > _WIRE_DECIMALS:
        raise InvalidInput(
            field, f"expected at most {_WIRE_DECIMALS} decimals, found {decimals} in {text}"
        )
    return text


def is_perpetual(coin: str) -> bool:
    """Tell whether a name of the venue is a perpetual: no spot pair, no outcome token."""
    return "/" not in coin and not coin.startswith(_NOT_PERP)


def symbol_of(coin: str) -> str:
    """Return our symbol for a perpetual."""
    return thousands_in_digits(coin) + _SUFFIX


def coin_of(symbol: str) -> str:
    """Return the venue's name for a symbol of ours.

    Raises:
        InvalidInput: the symbol is not a perpetual's.
    """
    if not symbol.endswith(_SUFFIX) or symbol == _SUFFIX:
        raise InvalidInput("symbol", f"expected a symbol such as 'BTC-PERP', found {symbol[:64]!r}")
    return thousands_by_letter(symbol.removesuffix(_SUFFIX))


def side_of(side: str) -> OrderSide:
    """Return the side that `B` or `A` spells."""
    if side not in ("A", "B"):
        raise wire.WireError(f"expected side 'A' or 'B', found {side!r}")
    return OrderSide.BUY if side == "B" else OrderSide.SELL


def instruments(meta: wire.Meta, fees: FeeRates | None = None) -> tuple[Instrument, ...]:
    """Return every market; the position in the universe is the asset id, delisted ones count.

    `fees` are the same in all of them.
    """
    return tuple(
        Instrument(
            venue=VENUE,
            symbol=symbol_of(market.name),
            venue_symbol=market.name,
            asset_index=index,
            lot_size=Decimal(1).scaleb(-market.szDecimals),
            price_rule=PriceRule(
                significant_figures=5, max_decimals=_PRICE_DECIMALS - market.szDecimals
            ),
            min_notional=MIN_NOTIONAL,
            max_leverage=market.maxLeverage,
            state=MarketState.DELISTED if market.isDelisted else MarketState.OPEN,
            fees=fees,
        )
        for index, market in enumerate(meta.universe)
    )


def open_order(row: wire.OrderRow) -> VenueOrder | None:
    """Return an order of the open orders' list, or None for one that is no perpetual's."""
    return _order(row, "open", event_time_ms=None)


def order_entry(entry: wire.OrderEntry) -> VenueOrder | None:
    """Return an order with its status, or None for one that is no perpetual's."""
    return _order(entry.order, entry.status, event_time_ms=entry.statusTimestamp)


def _order(row: wire.OrderRow, status: str, *, event_time_ms: int | None) -> VenueOrder | None:
    if not is_perpetual(row.coin):
        return None
    asked = row.origSz if row.origSz is not None else row.sz
    verdict = verdict_of(status, remaining=row.sz, quantity=asked, reduce_only=row.reduceOnly)
    trigger = row.triggerPx if row.isTrigger and row.triggerPx else None
    return VenueOrder(
        client_order_id=row.cloid.lower() if row.cloid else None,
        venue_order_id=str(row.oid),
        symbol=symbol_of(row.coin),
        side=side_of(row.side),
        quantity=asked,
        price=row.limitPx,
        verdict=verdict,
        filled_quantity=filled_of(
            status, verdict, remaining=row.sz, quantity=asked, reduce_only=row.reduceOnly
        ),
        reason=reason_of(status, verdict),
        reduce_only=row.reduceOnly,
        trigger_price=trigger,
        created_at=at_ms(row.timestamp) if row.timestamp is not None else None,
        event_time=at_ms(event_time_ms) if event_time_ms is not None else None,
    )


def open_orders(rows: Iterable[wire.OrderRow]) -> tuple[VenueOrder, ...]:
    """Return open orders with the children that wait on them, each once."""
    found: dict[str, VenueOrder] = {}
    pending = list(rows)
    while pending:
        row = pending.pop(0)
        pending.extend(row.children)
        order = open_order(row)
        if order is not None:
            found.setdefault(order.venue_order_id, order)
    return tuple(found.values())


def fill(account_id: str, row: wire.FillRow) -> Fill | None:
    """Return a fill, or None for one that is no perpetual's."""
    if not is_perpetual(row.coin):
        return None
    return Fill(
        account_id=account_id,
        venue=VENUE,
        symbol=symbol_of(row.coin),
        trade_id=str(row.tid),
        venue_order_id=str(row.oid),
        client_order_id=row.cloid.lower() if row.cloid else None,
        side=side_of(row.side),
        price=row.px,
        quantity=row.sz,
        fee=row.fee,
        fee_currency=row.feeToken,
        liquidity_side=LiquiditySide.TAKER if row.crossed else LiquiditySide.MAKER,
        event_time=at_ms(row.time),
        realized_pnl=row.closedPnl,
        is_liquidation=row.liquidation is not None,
    )


def account_summary(account: Account, state: wire.ClearinghouseState) -> AccountSummary:
    """Return money and positions; flat markets are absent."""
    return AccountSummary(
        account_id=account.account_id,
        equity=state.marginSummary.accountValue,
        available=state.withdrawable,
        initial_margin=state.marginSummary.totalMarginUsed,
        maintenance_margin=state.crossMaintenanceMarginUsed,
        positions=tuple(
            _position(account, held.position) for held in state.assetPositions if held.position.szi
        ),
        event_time=at_ms(state.time),
    )


def _position(account: Account, row: wire.PositionRow) -> Position:
    return Position(
        account_id=account.account_id,
        venue=VENUE,
        symbol=symbol_of(row.coin),
        side=PositionSide.LONG if row.szi > 0 else PositionSide.SHORT,
        quantity=abs(row.szi),
        entry_price=row.entryPx,
        notional=row.positionValue,
        unrealized_pnl=row.unrealizedPnl,
        liquidation_price=row.liquidationPx,
        leverage=row.leverage.value,
        margin_mode=_margin_mode(row.leverage),
        initial_margin=row.marginUsed,
    )


def leverage_setting(row: wire.ActiveAsset) -> LeverageSetting:
    """Return an account's setting in one market."""
    return LeverageSetting(
        symbol=symbol_of(row.coin),
        leverage=int(row.leverage.value),
        mode=_margin_mode(row.leverage),
    )


def _margin_mode(leverage: wire.Leverage) -> MarginMode:
    return MarginMode.ISOLATED if leverage.type == "isolated" else MarginMode.CROSS


def funding_payment(account_id: str, row: wire.FundingRow) -> FundingPayment:
    """Return one payment of funding; negative is paid."""
    return FundingPayment(
        account_id=account_id,
        symbol=symbol_of(row.delta.coin),
        amount=row.delta.usdc,
        rate=row.delta.fundingRate,
        position_quantity=row.delta.szi,
        event_time=at_ms(row.time),
    )


def funding_frame(account_id: str, row: wire.FundingFrameRow) -> FundingPayment:
    """Return one payment of funding as the feed spells it."""
    return funding_payment(account_id, wire.FundingRow(time=row.time, delta=row))


def order_book(book: wire.Book, *, depth: int, received_time: datetime) -> OrderBook:
    """Return a book, cut to `depth` levels a side."""
    bids, asks = book.levels
    return OrderBook(
        venue=VENUE,
        symbol=symbol_of(book.coin),
        bids=_levels(bids[:depth]),
        asks=_levels(asks[:depth]),
        event_time=at_ms(book.time),
        received_time=received_time,
    )


def top_of_book(top: wire.TopOfBook, *, received_time: datetime) -> OrderBook:
    """Return best bid and ask as a book of one level a side."""
    bid, ask = top.bbo
    return OrderBook(
        venue=VENUE,
        symbol=symbol_of(top.coin),
        bids=_levels([bid] if bid else []),
        asks=_levels([ask] if ask else []),
        event_time=at_ms(top.time),
        received_time=received_time,
    )


def _levels(levels: Iterable[wire.Level]) -> tuple[BookLevel, ...]:
    return tuple(
        BookLevel(price=level.px, quantity=level.sz, order_count=level.n) for level in levels
    )


def trade(row: wire.PublicTrade, *, received_time: datetime) -> Trade:
    """Return a public trade."""
    return Trade(
        venue=VENUE,
        symbol=symbol_of(row.coin),
        trade_id=str(row.tid),
        price=row.px,
        quantity=row.sz,
        aggressor_side=side_of(row.side),
        event_time=at_ms(row.time),
        received_time=received_time,
    )


def candle(row: wire.Kline) -> Candle:
    """Return a candle; the venue's close time is the interval's last millisecond."""
    return Candle(
        venue=VENUE,
        symbol=symbol_of(row.s),
        interval=row.i,
        open_time=at_ms(row.t),
        close_time=at_ms(row.T + 1),
        open=row.o,
        high=row.h,
        low=row.l,
        close=row.c,
        volume=row.v,
    )


def ticker(coin: str, context: wire.AssetContext, *, received_time: datetime) -> Ticker:
    """Return a market's prices and rates; the venue's oracle is our index."""
    return Ticker(
        venue=VENUE,
        symbol=symbol_of(coin),
        mark_price=context.markPx,
        index_price=context.oraclePx,
        mid_price=context.midPx,
        funding_rate=context.funding,
        funding_interval_s=FUNDING_INTERVAL_S,
        open_interest=context.openInterest,
        volume_24h=context.dayNtlVlm,
        received_time=received_time,
    )


def funding_rate(row: wire.FundingEntry) -> FundingRate:
    """Return one past funding rate."""
    return FundingRate(
        venue=VENUE,
        symbol=symbol_of(row.coin),
        rate=row.fundingRate,
        interval_s=FUNDING_INTERVAL_S,
        event_time=at_ms(row.time),
    )
