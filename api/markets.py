"""The routes of markets: what can be traded, from what workers have seen; books and prices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from api.context import Caller, Context, Ctx, bounded
from api.fields import MarketName
from api.market_views import MarketPageView, MarketView, market_page_view, market_view
from api.problems import ProblemError, invalid_parameter, unavailable
from api.strict_json import StrictRoute
from api.views import BookView, TickerView, book_view, ticker_view
from domain.accounts import Network
from domain.errors import InvalidInput, NotFound, Unavailable
from domain.identifiers import check_symbol
from domain.instruments import Instrument
from domain.market_listing import MarketFilter
from domain.principals import Action, Principal
from domain.venue_sheets import ServedVenue

DEPTH_MAX: Final = 100
LIMIT_MAX: Final = 500
_ANSWER_WITHIN_S: Final = 2.5

T = TypeVar("T")

router = APIRouter(prefix="/api/v1/markets", tags=["markets"], route_class=StrictRoute)

Venue = Annotated[str | None, Query(description="Else the default account's venue.")]
Net = Annotated[Network | None, Query(description="Else the default account's network.")]


@router.get("", operation_id="list_markets", response_model=MarketPageView)
async def list_markets(
    context: Ctx,
    caller: Caller,
    venue: Annotated[str | None, Query(description="Else every venue.")] = None,
    network: Net = None,
    symbol: Annotated[
        MarketName | None, Query(description="Our spelling, such as BTC-PERP.")
    ] = None,
    limit: Annotated[str | None, Query(description="1 to 500; else 200.")] = None,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
) -> JSONResponse:
    """List markets of all venues, by symbol and then venue; `cursor` continues a page."""
    await context.authorize(caller, Action.READ_MARKET, None, "market:list")
    _, where = await _place(context, caller, venue, network)
    wanted = MarketFilter(
        network=where,
        venues=(venue,) if venue is not None else context.parts.venues,
        symbol=symbol,
        limit=bounded("limit", limit, default=200, least=1, greatest=LIMIT_MAX),
        cursor=cursor,
    )
    try:
        if symbol is not None:
            check_symbol(symbol)
        page = await context.parts.markets.page(wanted)
    except InvalidInput as error:
        raise ProblemError(invalid_parameter(error.field, error.message)) from None
    venues = {one.instrument.venue for one in page.markets}
    marks = await _experimental(context, venues)
    return JSONResponse(market_page_view(page, where.value, marks).json_ready())


@router.get("/{symbol}", operation_id="get_market", response_model=MarketView)
async def get_market(
    symbol: MarketName, context: Ctx, caller: Caller, venue: Venue = None, network: Net = None
) -> JSONResponse:
    """Read one market: its steps, minimum and state, and when a worker last read it."""
    found, where = await instrument_of(context, caller, symbol, venue, network)
    page = await context.parts.markets.page(
        MarketFilter(network=where, venues=(found.venue,), symbol=found.symbol, limit=1)
    )
    seen_at = page.markets[0].seen_at if page.markets else None
    marks = await _experimental(context, {found.venue})
    return JSONResponse(market_view(found, where.value, marks, seen_at).json_ready())


@router.get("/{symbol}/orderbook", operation_id="get_order_book", response_model=BookView)
async def get_book(
    symbol: MarketName,
    context: Ctx,
    caller: Caller,
    venue: Venue = None,
    network: Net = None,
    depth: Annotated[str | None, Query(description="Levels a side, 1 to 100; else 20.")] = None,
) -> JSONResponse:
    """Read a market's present book; 503 when nobody who follows the venue answers in 2 s."""
    levels = bounded("depth", depth, default=20, least=1, greatest=DEPTH_MAX)
    instrument, where = await instrument_of(context, caller, symbol, venue, network)
    asked = context.parts.books.request_book(instrument.venue, where, instrument.symbol, levels)
    book = await in_time(asked, f"no book of {instrument.instrument_id}")
    return JSONResponse(book_view(book, where.value).json_ready())


@router.get("/{symbol}/ticker", operation_id="get_ticker", response_model=TickerView)
async def get_ticker(
    symbol: MarketName, context: Ctx, caller: Caller, venue: Venue = None, network: Net = None
) -> JSONResponse:
    """Read a market's present prices, at most 3 s old; 503 when nobody knows them."""
    instrument, where = await instrument_of(context, caller, symbol, venue, network)
    market = (instrument.venue, where, instrument.symbol)
    price = await context.parts.latest_prices.read(*market)
    # One that is not whole is of a market of which only the ticker, or only the book, is followed.
    if price is None or not price.is_whole or not price.is_fresh(context.parts.now()):
        asked = context.parts.prices.request_price(*market)
        price = await in_time(asked, f"no prices of {instrument.instrument_id}")
    return JSONResponse(ticker_view(price, context.parts.now()).json_ready())


async def _experimental(context: Context, venues: Iterable[str]) -> dict[str, bool]:
    """Return which venues are experimental here, of those that a worker told of."""

    async def told(venue: str) -> tuple[str, ServedVenue | None]:
        with contextlib.suppress(Unavailable):
            return venue, await context.parts.served_venues.read(venue)
        return venue, None

    found = await asyncio.gather(*(told(venue) for venue in venues))
    return {venue: served.sheet.experimental for venue, served in found if served is not None}


async def in_time(asked: Awaitable[T], what: str) -> T:
    """Wait for an answer of who follows the venue; what it refuses is a wrong parameter."""
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            return await asked
    except TimeoutError:
        raise ProblemError(unavailable(f"{what} came in {_ANSWER_WITHIN_S:g} s")) from None
    except InvalidInput as error:
        raise ProblemError(invalid_parameter(error.field, error.message)) from None


async def instrument_of(
    context: Context, caller: Principal, symbol: str, venue: str | None, network: Network | None
) -> tuple[Instrument, Network]:
    """Return the market that is asked about, and its network.

    Raises:
        NotFound: the venue has none of that symbol there.
        ProblemError: 422, there is no such venue.
    """
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
