"""What the simulated seventh venue tells: the exchange's rows in its words. Pure reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from tests.seventh.venue import wire
from venues.simulation import margin, records
from venues.simulation.book import Ladder
from venues.simulation.candles import INTERVALS_MS
from venues.simulation.exchange import Exchange
from venues.simulation.records import OrderStatus, Side
from venues.simulation.settlement import MAKER_FEE, TAKER_FEE

_PAGE: Final = 500
_DEPTH: Final = 20
_STATUSES: Final = {OrderStatus.CANCELED: "cancelled", OrderStatus.REJECTED: "refused"}

Query = Mapping[str, str]


class NoAnswer(Exception):
    """The question is refused (HTTP 422)."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def answer(exchange: Exchange, question: str, query: Query) -> object:
    """Answer one question. Raises `NoAnswer`."""
    asked = _QUESTIONS.get(question)
    if asked is None:
        raise NoAnswer("bad_shape", f"nobody answers {question}")
    if "account" in query and query["account"] not in exchange.tables.accounts:
        raise NoAnswer("no_account", f"there is no account {query['account']}")
    if "market" in query and query["market"] not in exchange.tables.instruments:
        raise NoAnswer("no_market", f"there is no market {query['market']}")
    return asked(exchange, query)


def order(row: records.Order) -> wire.Order:
    """Write an order; what an immediate one did not find is cancelled."""
    status = _STATUSES.get(row.status, "open")
    if row.status is OrderStatus.FILLED:
        status = "filled" if row.filled == row.quantity else "cancelled"
    return wire.Order(
        account=row.account,
        id=row.venue_order_id,
        tag=row.client_order_id or "",
        market=row.symbol,
        side="buy" if row.side is Side.BUY else "sell",
        price=row.price,
        size=row.quantity,
        filled=row.filled,
        average=row.filled_notional / row.filled if row.filled else None,
        status=status,
        why=row.reason.value if row.reason else None,
        reduces=row.reduce_only,
        made=row.created_ms,
        changed=row.updated_ms,
    )


def fill(row: records.Fill) -> wire.Fill:
    """Write a fill."""
    return wire.Fill(
        account=row.account,
        id=row.trade_id,
        order=row.venue_order_id,
        tag=row.client_order_id,
        market=row.symbol,
        side="buy" if row.side is Side.BUY else "sell",
        price=row.price,
        size=row.quantity,
        fee=row.fee,
        gain=row.closed_pnl,
        takes=row.is_taker,
        forced=row.liquidated_account is not None,
        time=row.time_ms,
    )


def trade(row: records.Trade) -> wire.Trade:
    """Write a public trade."""
    return wire.Trade(
        market=row.symbol,
        id=row.trade_id,
        side="buy" if row.side is Side.BUY else "sell",
        price=row.price,
        size=row.quantity,
        time=row.time_ms,
    )


def account(exchange: Exchange, address: str) -> wire.Account:
    """Write an account's money, fees and positions."""
    tables = exchange.tables
    total = margin.full_summary(tables, address)
    return wire.Account(
        account=address,
        worth=total.account_value,
        free=max(margin.available_margin(tables, address), Decimal(0)),
        margin=total.margin_used,
        least=margin.cross_maintenance(tables, address),
        maker=MAKER_FEE,
        taker=TAKER_FEE,
        positions=[_position(exchange, row) for row in margin.held_positions(tables, address)],
        time=exchange.now_ms(),
    )


def _position(exchange: Exchange, row: records.Position) -> wire.Position:
    tables = exchange.tables
    return wire.Position(
        market=row.symbol,
        size=row.quantity,
        entry=row.entry_notional / row.quantity,
        value=margin.notional(tables, row),
        gain=margin.unrealized_pnl(tables, row),
        margin=margin.margin_used(tables, row),
        leverage=row.leverage,
        liquidation=margin.liquidation_price(tables, row),
    )


def book(exchange: Exchange, market: str) -> wire.Book:
    """Write a book."""
    both = exchange.tables.books[market]
    bids, asks = _side(both.bids), _side(both.asks)
    return wire.Book(market=market, bids=bids, asks=asks, time=exchange.now_ms())


def _side(ladder: Ladder) -> list[tuple[Decimal, Decimal]]:
    return [(level.price, level.quantity) for level in ladder.levels(_DEPTH)]


def price(exchange: Exchange, market: str) -> wire.Price:
    """Write a market's prices and its day."""
    tables = exchange.tables
    row, day_ms = tables.markets[market], exchange.now_ms() - INTERVALS_MS["1d"]
    traded = [one for one in tables.trades.get(market, ()) if one.time_ms >= day_ms]
    held = tables.holders.get(market, {}).values()
    return wire.Price(
        market=market,
        mark=row.mark_price,
        index=row.oracle_price,
        middle=tables.books[market].mid_price(),
        funding=row.funding_rate,
        interest=sum((abs(one.quantity) for one in held), Decimal(0)),
        volume=sum((one.price * one.quantity for one in traded), Decimal(0)),
    )


def candles(exchange: Exchange, market: str, span: str, query: Query) -> list[wire.Candle]:
    """Write the candles that begin in a window, or all."""
    if span not in INTERVALS_MS:
        raise NoAnswer("bad_shape", f"there are no candles of {span}")
    start, end = int(query.get("start", 0)), int(query.get("end", exchange.now_ms()))
    return [
        wire.Candle(
            market=market,
            span=span,
            start=one.start_ms,
            end=one.start_ms + INTERVALS_MS[span],
            open=one.open,
            high=one.high,
            low=one.low,
            close=one.close,
            volume=one.volume,
        )
        for one in exchange.tables.candles.between(market, span, start, end)
    ]


def _markets(exchange: Exchange, query: Query) -> list[wire.Market]:
    return [
        wire.Market(
            name=one.symbol,
            tick=one.tick_size(one.start_price),
            lot=Decimal(1).scaleb(-one.size_decimals),
            minimum=one.min_notional,
            leverage=one.max_leverage,
            open=not one.delisted,
        )
        for one in exchange.tables.instruments.values()
    ]


def _one_order(exchange: Exchange, query: Query) -> list[wire.Order]:
    """Look an order up by its id or by its tag: none or one."""
    return [
        order(row)
        for row in _visible(exchange, query)
        if query.get("tag") == row.client_order_id or query.get("order") == str(row.venue_order_id)
    ][-1:]


def _visible(exchange: Exchange, query: Query) -> list[records.Order]:
    """Return an account's orders that can be looked up yet."""
    newest_ms = exchange.now_ms() - exchange.switches.lookup_lag_ms
    rows = exchange.tables.orders_of.get(query["account"], ())
    return [row for row in rows if row.created_ms <= newest_ms]


def _open(exchange: Exchange, query: Query) -> list[wire.Order]:
    return [order(row) for row in _visible(exchange, query) if row.status.is_live]


def _ended(exchange: Exchange, query: Query) -> list[wire.Order]:
    rows = [order(row) for row in _visible(exchange, query) if not row.status.is_live]
    return rows[::-1][:_PAGE]


def _fills(exchange: Exchange, query: Query) -> list[wire.Fill]:
    rows = exchange.tables.fills_of.get(query["account"], [])
    since, skip = int(query["since"]), int(query["skip"])
    return [fill(row) for row in rows if row.time_ms >= since][skip : skip + _PAGE]


def _leverage(exchange: Exchange, query: Query) -> wire.Leverage:
    row = exchange.tables.position(query["account"], query["market"])
    return wire.Leverage(market=row.symbol, leverage=row.leverage)


def _prices(exchange: Exchange, query: Query) -> list[wire.Price]:
    markets = exchange.tables.instruments.values()
    return [price(exchange, one.symbol) for one in markets if not one.delisted]


_QUESTIONS: Final[Mapping[str, Callable[[Exchange, Query], object]]] = {
    "markets": _markets,
    "prices": _prices,
    "book": lambda exchange, query: book(exchange, query["market"]),
    "candles": lambda exchange, query: candles(exchange, query["market"], query["span"], query),
    "order": _one_order,
    "open": _open,
    "ended": _ended,
    "fills": _fills,
    "account": lambda exchange, query: account(exchange, query["account"]),
    "leverage": _leverage,
}
