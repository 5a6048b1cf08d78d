"""The routes of venues: what each can do and what proves a command there, as workers say it."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.context import Caller, Ctx
from api.strict_json import StrictRoute
from api.venue_views import VenuesView, VenueView, venue_view
from domain.errors import NotFound
from domain.principals import Action

router = APIRouter(prefix="/api/v1/venues", tags=["venues"], route_class=StrictRoute)


@router.get("", operation_id="list_venues", response_model=VenuesView)
async def list_venues(context: Ctx, caller: Caller) -> JSONResponse:
    """List the venues that are offered; 503 when nobody can be asked which are served."""
    await context.authorize(caller, Action.READ_MARKET, None, "venue:list")
    found = [
        venue_view(name, await context.parts.served_venues.read(name)).json_ready()
        for name in context.parts.venues
    ]
    return JSONResponse({"venues": found})


@router.get("/{venue}", operation_id="get_venue", response_model=VenueView)
async def get_venue(venue: str, context: Ctx, caller: Caller) -> JSONResponse:
    """Read one venue: its capabilities, its proof table, and what nobody has verified."""
    await context.authorize(caller, Action.READ_MARKET, None, "venue:read")
    if venue not in context.parts.venues:
        known = ", ".join(context.parts.venues)
        raise NotFound(f"expected one of {known}, found {venue[:64]!a}")
    served = await context.parts.served_venues.read(venue)
    return JSONResponse(venue_view(venue, served).json_ready())
