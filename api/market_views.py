"""Responses about markets: what can be traded over all venues, and what a market's past holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from api.views import View, moment
from domain.instruments import Instrument
from domain.market_data import Candle, FundingRate, Trade
from domain.market_listing import MarketPage
from domain.market_past import MarketPast, PastQuestion
from domain.numbers import plain


class MarketView(View):
    """A market of a venue and the steps it trades in, under our one spelling of its symbol.

    `venue_symbol` is the venue's own name. `min_quantity` None: a lot is the least. Fees are
    fractions of notional for an account without any discount, None where the venue publishes none.
    `seen_at` is when a worker last read it of its venue. `experimental`: its venue is not for money
    that matters, null while no worker tells.
    """

    venue: str
    symbol: str
    venue_symbol: str
    network: str
    state: str
    lot_size: str
    tick_size: str | None
    price_significant_figures: int | None
    price_max_decimals: int
    min_notional: str
    min_quantity: str | None
    max_leverage: int
    maker_fee: str | None
    taker_fee: str | None
    experimental: bool | None
    seen_at: str | None


class MarketPageView(View):
    """A page of markets, by symbol and then venue; `next_cursor` leads to the next."""

    markets: list[MarketView]
    next_cursor: str | None
    has_more: bool


class PastView(View):
    """What a market's past holds; `source` says how it came, `stale` that it is an older answer.

    `as_of` is when the venue knew it, by our clock.
    """

    venue: str
    symbol: str
    network: str
    source: str
    as_of: str
    age_ms: int
    stale: bool


class TradeView(View):
    """A public execution, by two clocks: the venue's and ours.

    `aggressor_side` is the taker's, None where the venue does not say.
    """

    trade_id: str
    price: str
    quantity: str
    aggressor_side: str | None
    event_time: str
    received_time: str


class TradesView(PastView):
    """The last trades, newest first."""

    trades: list[TradeView]


class RateView(View):
    """A funding rate per `interval_s` seconds; `annual_rate` is the same over 365 days."""

    rate: str
    interval_s: int
    annual_rate: str
    event_time: str


class FundingView(PastView):
    """Funding: `present` is what the venue says for now, None where it says nothing.

    `rates` are those that applied, newest first.
    """

    present: RateView | None
    rates: list[RateView]


class CandleView(View):
    """One interval of trading; `closed` False: it goes on, as of `as_of`."""

    open_time: str
    close_time: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    closed: bool


class CandlesView(PastView):
    """Candles, oldest first; an interval without a trade may be missing."""

    interval: str
    candles: list[CandleView]


def market_view(
    instrument: Instrument,
    network: str,
    experimental: Mapping[str, bool],
    seen_at: datetime | None = None,
) -> MarketView:
    """Return a market's view; `experimental` tells it of the venues that workers told of."""
    rule, fees = instrument.price_rule, instrument.fees
    return MarketView(
        venue=instrument.venue,
        symbol=instrument.symbol,
        venue_symbol=instrument.venue_symbol,
        network=network,
        state=instrument.state.value,
        lot_size=plain(instrument.lot_size),
        tick_size=_plain(rule.tick_size),
        price_significant_figures=rule.significant_figures,
        price_max_decimals=rule.max_decimals,
        min_notional=plain(instrument.min_notional),
        min_quantity=_plain(instrument.min_quantity),
        max_leverage=instrument.max_leverage,
        maker_fee=None if fees is None else plain(fees.maker),
        taker_fee=None if fees is None else plain(fees.taker),
        experimental=experimental.get(instrument.venue),
        seen_at=None if seen_at is None else moment(seen_at),
    )


def market_page_view(
    page: MarketPage, network: str, experimental: Mapping[str, bool]
) -> MarketPageView:
    """Return a page of markets."""
    return MarketPageView(
        markets=[
            market_view(one.instrument, network, experimental, one.seen_at) for one in page.markets
        ],
        next_cursor=page.next_cursor,
        has_more=page.next_cursor is not None,
    )


def trades_view(question: PastQuestion, past: MarketPast, now: datetime) -> TradesView:
    """Return a market's last trades."""
    shared = _shared(question, past, now).model_dump()
    return TradesView(**shared, trades=[_trade(each) for each in past.trades])


def funding_view(question: PastQuestion, past: MarketPast, now: datetime) -> FundingView:
    """Return a market's funding."""
    return FundingView(
        **_shared(question, past, now).model_dump(),
        present=None if past.present_rate is None else _rate(past.present_rate),
        rates=[_rate(each) for each in past.rates],
    )


def candles_view(question: PastQuestion, past: MarketPast, now: datetime) -> CandlesView:
    """Return a market's candles."""
    return CandlesView(
        **_shared(question, past, now).model_dump(),
        interval=question.interval or "",
        candles=[_candle(each, past.as_of) for each in past.candles],
    )


def _shared(question: PastQuestion, past: MarketPast, now: datetime) -> PastView:
    return PastView(
        venue=question.venue,
        symbol=question.symbol,
        network=question.network.value,
        source=past.source,
        as_of=moment(past.as_of),
        age_ms=round(past.age_s(now) * 1000),
        stale=past.is_stale(now),
    )


def _trade(trade: Trade) -> TradeView:
    return TradeView(
        trade_id=trade.trade_id,
        price=plain(trade.price),
        quantity=plain(trade.quantity),
        aggressor_side=None if trade.aggressor_side is None else trade.aggressor_side.value,
        event_time=moment(trade.event_time),
        received_time=moment(trade.received_time),
    )


def _rate(rate: FundingRate) -> RateView:
    return RateView(
        rate=plain(rate.rate),
        interval_s=rate.interval_s,
        annual_rate=plain(rate.annual_rate),
        event_time=moment(rate.event_time),
    )


def _candle(candle: Candle, as_of: datetime) -> CandleView:
    return CandleView(
        open_time=moment(candle.open_time),
        close_time=moment(candle.close_time),
        open=plain(candle.open),
        high=plain(candle.high),
        low=plain(candle.low),
        close=plain(candle.close),
        volume=plain(candle.volume),
        closed=candle.close_time <= as_of,
    )


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
