"""The routes of split orders: list, read, cancel. They begin as orders, see `api.orders`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from api.context import Caller, Context, Ctx, Wait, bounded
from api.failures import respond
from api.fields import MarketName
from api.idempotency import key_of, key_of_header
from api.problems import Problem
from api.split_views import SplitsView, SplitView
from api.splitting import view_of_split
from api.strict_json import StrictRoute
from domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from domain.identifiers import check_order_id, request_id_for
from domain.principals import Action, Principal
from domain.routing_store import SplitFilter
from domain.splits import SplitState

LIMIT_MAX: Final = 500

router = APIRouter(prefix="/api/v1/splits", tags=["splits"], route_class=StrictRoute)


@router.get("", operation_id="list_splits", response_model=SplitsView)
async def list_splits(
    context: Ctx,
    caller: Caller,
    status: Annotated[Literal["all", "open", "closed"], Query()] = "all",
    symbol: MarketName | None = None,
    limit: str | None = None,
) -> JSONResponse:
    """List split orders, newest first."""
    await context.authorize(caller, Action.READ_ACCOUNT, None, "split:list")
    wanted = SplitFilter(
        owner=caller.principal_id,
        symbol=symbol,
        running=None if status == "all" else status == "open",
        limit=bounded("limit", limit, default=100, least=1, greatest=LIMIT_MAX),
    )
    found = await context.parts.splits.page(wanted)
    views = [(await view_of_split(context, state)).json_ready() for state in found]
    return JSONResponse({"splits": views})


@router.get("/{split_id}", operation_id="get_split", response_model=SplitView)
async def get_split(
    split_id: str, context: Ctx, caller: Caller, live: bool = False
) -> JSONResponse:
    """Read a split order: each child, and what became of its share.

    `live` asks the running workflow itself and falls back to the database; `source` says which.
    """
    state = await _split_of(context, caller, Action.READ_ACCOUNT, split_id)
    source = "database"
    if live and not state.status.is_terminal:
        try:
            state = await context.ask(context.parts.split_desk.state(state.plan.split_id))
            source = "workflow"
        except (NotFound, Unavailable, Conflict):
            source = "database"
    return JSONResponse((await view_of_split(context, state, source=source)).json_ready())


@router.delete(
    "/{split_id}",
    operation_id="cancel_split",
    response_model=SplitView,
    responses={202: {"model": SplitView, "description": "The end is not known yet."}},
)
async def cancel_split(
    request: Request, split_id: str, context: Ctx, caller: Caller, wait_s: Wait
) -> JSONResponse:
    """Cancel every child of a split order; what has filled stays.

    200: nothing of it can trade any more. 202: not known yet, and asked for lastingly. 409: it had
    ended before.
    """
    state = await _split_of(context, caller, Action.CLOSE, split_id)
    if state.status.is_terminal:
        return await _ended(request, context, state)
    split_id = state.plan.split_id
    request_id = request_id_for(split_id, key_of(key_of_header(request), None))
    try:
        answer = await context.ask(
            context.parts.split_desk.cancel(split_id, request_id, wait_s=wait_s)
        )
    except (Conflict, NotFound):
        response = await _ended(request, context, await _newest(context, state))
    else:
        end = answer.state if answer.decided else None
        view = await view_of_split(context, end or await _newest(context, state))
        status = HTTPStatus.OK if answer.decided else HTTPStatus.ACCEPTED
        response = JSONResponse(view.json_ready(), status_code=status)
    await context.audit(caller, "split.cancel", f"split:{split_id}", str(response.status_code))
    return response


async def _newest(context: Context, state: SplitState) -> SplitState:
    return await context.parts.splits.get(state.plan.split_id) or state


async def _ended(request: Request, context: Context, state: SplitState) -> JSONResponse:
    has_ended = state.status.is_terminal
    said = f"{state.status} ({state.reason})" if has_ended else "not managed now"
    problem = Problem(
        status=HTTPStatus.CONFLICT,
        code="split_ended" if has_ended else "unmanaged",
        detail=f"the split order is {said}",
        retryable=not has_ended,
        extra={"split": (await view_of_split(context, state)).json_ready()},
    )
    return respond(request, problem)


async def _split_of(context: Context, caller: Principal, action: Action, text: str) -> SplitState:
    """Return a split order of the caller. Raises NotFound: there is none, or it is another's."""
    try:
        split_id = check_order_id(text)
    except InvalidInput:
        raise NotFound("no such split order") from None
    state = await context.parts.splits.get(split_id)
    if state is None:
        raise NotFound("no such split order")
    await context.authorize(caller, action, state.plan.owner, f"split:{split_id}")
    return state
