"""The routes of a market's past: trades, funding, candles, as whoever reaches the venue tells."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from api.context import Caller, Context, Ctx, bounded
from api.fields import MarketName
from api.market_views import (
    CandlesView,
    FundingView,
    TradesView,
    candles_view,
    funding_view,
    trades_view,
)
from api.markets import Net, Venue, in_time, instrument_of
from api.problems import ProblemError, invalid_parameter
from api.strict_json import StrictRoute
from domain.errors import InvalidInput
from domain.market_past import ENTRIES_MAX, MarketPast, MarketQuery, PastQuestion
from domain.principals import Principal

router = APIRouter(prefix="/api/v1/markets", tags=["markets"], route_class=StrictRoute)

Limit = Annotated[str | None, Query(description=f"1 to {ENTRIES_MAX}; else 100.")]


@router.get("/{symbol}/trades", operation_id="get_market_trades", response_model=TradesView)
async def get_trades(
    symbol: MarketName,
    context: Ctx,
    caller: Caller,
    venue: Venue = None,
    network: Net = None,
    limit: Limit = None,
) -> JSONResponse:
    """Read a market's last trades, newest first; 503 when nobody who reaches the venue answers."""
    question = await _question(
        context, caller, symbol, venue, network, limit, query=MarketQuery.TRADES
    )
    past = await _asked(context, question)
    return JSONResponse(trades_view(question, past, context.parts.now()).json_ready())


@router.get("/{symbol}/funding", operation_id="get_market_funding", response_model=FundingView)
async def get_funding(
    symbol: MarketName,
    context: Ctx,
    caller: Caller,
    venue: Venue = None,
    network: Net = None,
    since: Annotated[
        datetime | None, Query(description="At most 90 days ago; else 7 days ago.")
    ] = None,
    limit: Limit = None,
) -> JSONResponse:
    """Read a market's present funding rate and the past ones, newest first; 503 as for trades."""
    question = await _question(
        context, caller, symbol, venue, network, limit,
        query=MarketQuery.FUNDING, since=_zoned("since", since),
    )  # fmt: skip
    past = await _asked(context, question)
    return JSONResponse(funding_view(question, past, context.parts.now()).json_ready())


@router.get("/{symbol}/candles", operation_id="get_market_candles", response_model=CandlesView)
async def get_candles(
    symbol: MarketName,
    context: Ctx,
    caller: Caller,
    venue: Venue = None,
    network: Net = None,
    interval: Annotated[str, Query(description="As the venue has them, such as 1m or 4h.")] = "1h",
    until: Annotated[datetime | None, Query(description="Where they end; else now.")] = None,
    limit: Limit = None,
) -> JSONResponse:
    """Read a market's candles, oldest first, the last `limit` of them; 503 as for trades."""
    question = await _question(
        context, caller, symbol, venue, network, limit,
        query=MarketQuery.CANDLES, interval=interval, until=_zoned("until", until),
    )  # fmt: skip
    past = await _asked(context, question)
    return JSONResponse(candles_view(question, past, context.parts.now()).json_ready())


async def _question(
    context: Context,
    caller: Principal,
    symbol: str,
    venue: str | None,
    network: Net,
    limit: str | None,
    **asked: Any,
) -> PastQuestion:
    entries = bounded("limit", limit, default=100, least=1, greatest=ENTRIES_MAX)
    instrument, where = await instrument_of(context, caller, symbol, venue, network)
    question = PastQuestion(
        venue=instrument.venue, network=where, symbol=instrument.symbol, limit=entries, **asked
    )
    now = context.parts.now()
    try:
        question.check(now)
        if question.interval is not None:
            question.candle_window(now)
    except InvalidInput as error:
        raise ProblemError(invalid_parameter(error.field, error.message)) from None
    return question


async def _asked(context: Context, question: PastQuestion) -> MarketPast:
    what = f"no {question.query} of {question.venue}:{question.symbol}"
    return await in_time(context.parts.past.request_past(question), what)


def _zoned(name: str, at: datetime | None) -> datetime | None:
    if at is not None and at.tzinfo is None:
        raise ProblemError(
            invalid_parameter(name, "expected a time with its zone, such as …T00:00:00Z")
        )
    return at
