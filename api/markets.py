"""The routes of markets: what can be traded, from what workers have seen, and present books."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from api.context import Caller, Context, Ctx, bounded
from api.problems import ProblemError, invalid_parameter, unavailable
from api.strict_json import StrictRoute
from api.views import BookView, MarketsView, MarketView, book_view, market_view
from domain.accounts import Network
from domain.errors import InvalidInput, NotFound
from domain.instruments import Instrument
from domain.principals import Action, Principal

DEPTH_MAX: Final = 100
_BOOK_WITHIN_S: Final = 2.5

router = APIRouter(prefix="/api/v1/markets", tags=["markets"], route_class=StrictRoute)

Venue = Annotated[str | None, Query(description="Else the default account's venue.")]
Net = Annotated[Network | None, Query(description="Else the default account's network.")]


@router.get("", operation_id="list_markets", response_model=MarketsView)
async def list_markets(
    context: Ctx, caller: Caller, venue: Venue = None, network: Net = None
) -> JSONResponse:
    """List the markets of a venue, or of every venue."""
    await context.authorize(caller, Action.READ_MARKET, None, "market:list")
    _, where = await _place(context, caller, venue, network)
    venues = (venue,) if venue is not None else context.parts.venues
    found = [
        market_view(instrument, where.value).json_ready()
        for each in venues
        for instrument in await context.parts.markets.instruments(each, where)
    ]
    return JSONResponse({"markets": found})


@router.get("/{symbol}", operation_id="get_market", response_model=MarketView)
async def get_market(
    symbol: str, context: Ctx, caller: Caller, venue: Venue = None, network: Net = None
) -> JSONResponse:
    """Read one market: its steps, minimum and state."""
    instrument, where = await _instrument(context, caller, symbol, venue, network)
    return JSONResponse(market_view(instrument, where.value).json_ready())


@router.get("/{symbol}/orderbook", operation_id="get_order_book", response_model=BookView)
async def get_book(
    symbol: str,
    context: Ctx,
    caller: Caller,
    venue: Venue = None,
    network: Net = None,
    depth: Annotated[str | None, Query(description="Levels a side, 1 to 100; else 20.")] = None,
) -> JSONResponse:
    """Read a market's present book; 503 when nobody who follows the venue answers in 2 s."""
    levels = bounded("depth", depth, default=20, least=1, greatest=DEPTH_MAX)
    instrument, where = await _instrument(context, caller, symbol, venue, network)
    try:
        async with asyncio.timeout(_BOOK_WITHIN_S):
            book = await context.parts.books.request_book(
                instrument.venue, where, instrument.symbol, levels
            )
    except TimeoutError:
        raise ProblemError(
            unavailable(f"no book of {instrument.instrument_id} came in {_BOOK_WITHIN_S:g} s")
        ) from None
    except InvalidInput as error:
        raise ProblemError(invalid_parameter(error.field, error.message)) from None
    return JSONResponse(book_view(book, where.value).json_ready())


async def _instrument(
    context: Context, caller: Principal, symbol: str, venue: str | None, network: Network | None
) -> tuple[Instrument, Network]:
    await context.authorize(caller, Action.READ_MARKET, None, "market:read")
    place, where = await _place(context, caller, venue, network)
    instrument = await context.parts.markets.instrument(place, where, symbol)
    if instrument is None:
        raise NotFound(f"{place} ({where}) has no market {symbol[:64]!a}")
    return instrument, where


async def _place(
    context: Context, caller: Principal, venue: str | None, network: Network | None
) -> tuple[str, Network]:
    """Return venue and network: as asked, else the default account's, else the first venue."""
    if venue is not None and venue not in context.parts.venues:
        known = ", ".join(context.parts.venues)
        raise ProblemError(invalid_parameter("venue", f"expected one of {known}"))
    account = await context.default_account(caller, venue)
    if account is not None:
        return venue or account.venue, network or account.network
    return venue or context.parts.venues[0], network or Network.PAPER
