"""The route that says why an order went where it went."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.context import Caller, Ctx
from api.routing import view_of
from api.routing_views import RouteView
from api.strict_json import StrictRoute
from domain.errors import InvalidInput, NotFound
from domain.identifiers import check_order_id
from domain.principals import Action

router = APIRouter(prefix="/api/v1/orders", tags=["orders"], route_class=StrictRoute)


@router.get("/{order_id}/routing", operation_id="get_order_routing", response_model=RouteView)
async def get_routing(order_id: str, context: Ctx, caller: Caller) -> JSONResponse:
    """Read why an order, or a split order, went where it went; 404 where its account was named."""
    try:
        route = await context.parts.routes.get(check_order_id(order_id))
    except InvalidInput:
        route = None
    if route is None:
        raise NotFound("no account was chosen for an order of this id")
    await context.authorize(caller, Action.READ_ACCOUNT, route.owner, f"order:{route.order_id}")
    return JSONResponse((await view_of(context, route)).json_ready())
