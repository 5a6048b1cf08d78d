"""The routes of closes: begin one, list, read, stop.

Thin: checks who asks and what, keeps the request, asks the workflow, and turns its answer into a
response. SQL is asked first, so that a key answers for ever.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from api.close_bodies import CloseBody
from api.close_views import ClosesView, CloseView, close_view
from api.context import Caller, Context, Ctx, Wait, bounded
from api.failures import respond
from api.fields import MarketName
from api.idempotency import claim_key, key_of, key_of_header
from api.placing import market_for
from api.position_ids import NamedPosition, named_position, position_id_of
from api.problems import NOT_SENT, UNKNOWN, Problem, ProblemError, of_error, unavailable
from api.strict_json import StrictRoute
from domain.accounts import AccountState
from domain.close_store import CloseFilter
from domain.closing import ClosePlan, CloseState, CloseStatus
from domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from domain.identifiers import check_order_id, order_id_for, request_id_for
from domain.key_claims import IntentKind, key_mismatch
from domain.principals import Action, Principal

LIMIT_MAX: Final = 500
LONG_POLL_S: Final = 30
LONG_POLL_S_MAX: Final = 60
#: Shorter waits could end before the start itself is acknowledged.
_WAIT_LEAST_S: Final = 0.5

router = APIRouter(prefix="/api/v1", tags=["closes"], route_class=StrictRoute)


@router.post(
    "/positions/{position_id}/close",
    operation_id="close_position",
    status_code=201,
    response_model=CloseView,
    responses={202: {"model": CloseView, "description": "Under way; follow Location."}},
)
async def close_position(
    request: Request,
    position_id: str,
    body: CloseBody,
    context: Ctx,
    caller: Caller,
    wait_s: Wait,
) -> JSONResponse:
    """Close a position, or a share of it, by reduce-only orders.

    201: it has ended (`status` says how). 202: under way within `Prefer: wait=N`. 409: there is no
    such position any more (`close.shown` is what the venue shows), or another close of it runs. A
    second request for the same joins the one that runs.
    """
    key = key_of(key_of_header(request), body.client_key)
    close_id = order_id_for(caller.principal_id, key)
    plan = await _known_plan(context, close_id)
    replayed = plan is not None
    if plan is None:
        plan = await _plan(context, caller, position_id, body, key)
        await claim_key(context, close_id, IntentKind.CLOSE, plan.fingerprint)
        await context.parts.closes.request(plan)
    await context.authorize(caller, Action.CLOSE, plan.owner, f"close:{close_id}")
    if replayed and not await _is_same(context, plan, position_id, body):
        raise key_mismatch(IntentKind.CLOSE)
    response = await _begin(request, context, plan, wait_s)
    response.headers["Idempotency-Key"] = f'"{key}"'
    response.headers["Preference-Applied"] = f"wait={wait_s:g}"
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    await context.audit(
        caller,
        "position.close",
        f"close:{close_id}",
        str(response.status_code),
        detail={"account_id": plan.account_id, "symbol": plan.symbol},
    )
    return response


async def _known_plan(context: Context, close_id: str) -> ClosePlan | None:
    """Return the plan of a close that was asked for before.

    Raises:
        ProblemError: 503, the database does not answer; it says what closes all the same.
    """
    try:
        return await context.parts.closes.plan(close_id)
    except Unavailable as error:
        raise ProblemError(
            unavailable(
                f"{error}; nothing was begun, the same key may be used again. On the worker's "
                "machine `python -m worker emergency flatten --account … --symbol …` needs "
                "neither the database nor Temporal"
            )
        ) from None


async def _plan(
    context: Context, caller: Principal, position_id: str, body: CloseBody, key: str
) -> ClosePlan:
    """Return the plan that a request asks for, checked against account and market."""
    position = await named_position(context, caller, Action.CLOSE, position_id)
    _check_account(position)
    market = await market_for(context, position.account, position.symbol)
    if body.limit_price is not None:
        market.check_price("limit_price", body.limit_price)
    return ClosePlan(
        close_id=order_id_for(caller.principal_id, key),
        owner=caller.principal_id,
        account_id=position.account.account_id,
        venue=position.account.venue,
        symbol=position.symbol,
        created_at=context.parts.now(),
        percent=body.percent,
        limit_price=body.limit_price,
        max_slippage_bps=body.slippage_bps,
        escalation=None if body.escalation is None else body.escalation.meant,
        reason=body.reason or "",
        requested_by=caller.principal_id,
        fingerprint=body.fingerprint(position.position_id),
        idempotency_key=key,
    )


async def _is_same(context: Context, plan: ClosePlan, position_id: str, body: CloseBody) -> bool:
    """Tell whether a request asks for what its key named before."""
    label = await context.label_of(plan.account_id)
    names = {f"{name}:{plan.symbol}" for name in (plan.account_id, label)} | {plan.symbol}
    meant = body.fingerprint(position_id_of(plan.account_id, plan.symbol))
    return position_id in names and meant == plan.fingerprint


def _check_account(position: NamedPosition) -> None:
    account = position.account
    if account.state is not AccountState.ACTIVE:
        raise ProblemError(
            Problem(
                status=HTTPStatus.CONFLICT,
                code="account_not_active",
                detail=f"account {account.label!r} is {account.state}"
                + (f": {account.state_reason}" if account.state_reason else ""),
                outcome=NOT_SENT,
                retryable=account.state is AccountState.PENDING,
            )
        )


async def _begin(
    request: Request, context: Context, plan: ClosePlan, wait_s: float
) -> JSONResponse:
    """Begin or join the workflow, unless the close has ended; answer with how it stands."""
    closes = context.parts.closes
    known = await closes.get(plan.close_id)
    if known is not None and known.status.is_terminal:
        return await _answer(request, context, known)
    try:
        answer = await context.ask(
            context.parts.close_desk.begin(plan, wait_s=max(wait_s, _WAIT_LEAST_S))
        )
    except Conflict as error:
        if error.code == "workflow_closed":
            return await _answer(request, context, await _kept(context, plan.close_id))
        if error.code == "close_running":
            await closes.withdraw(plan.close_id)
            return await _refuse_second(request, context, str(error))
        raise
    except Unavailable as error:
        raise ProblemError(unavailable(f"{error}; the same key may be used again")) from None
    if answer.running_id is None:
        return await _unclear(request, context, plan)
    if answer.running_id != plan.close_id:
        await closes.join(plan.close_id, answer.running_id)
    state = answer.state if answer.decided else None
    return await _answer(request, context, state or await _kept(context, plan.close_id))


async def _unclear(request: Request, context: Context, plan: ClosePlan) -> JSONResponse:
    """Answer for a start of which nothing is known: only what is committed is acknowledged."""
    state = await _kept(context, plan.close_id)
    if state.status is not CloseStatus.REQUESTED:
        return await _answer(request, context, state)
    problem = Problem(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        code="start_unclear",
        detail="the start was not acknowledged in time and may still happen; repeat with the same "
        "Idempotency-Key to learn the outcome, never with another",
        outcome=UNKNOWN,
        retryable=True,
        extra={"close_id": plan.close_id},
        headers={"Retry-After": "1", "Location": f"/api/v1/closes/{plan.close_id}"},
    )
    return respond(request, problem)


async def _kept(context: Context, close_id: str) -> CloseState:
    state = await context.parts.closes.get(close_id)
    if state is None:
        raise NotFound("no such close")
    return state


async def _answer(request: Request, context: Context, state: CloseState) -> JSONResponse:
    view = (await _view(context, state)).json_ready()
    headers = {"Location": f"/api/v1/closes/{state.plan.close_id}"}
    if state.status is CloseStatus.REFUSED and not state.orders:
        problem = Problem(
            status=HTTPStatus.CONFLICT,
            code="close_refused",
            detail=state.reason,
            extra={"close": view},
            headers=headers,
        )
        return respond(request, problem)
    status = HTTPStatus.CREATED if state.status.is_terminal else HTTPStatus.ACCEPTED
    return JSONResponse(view, status_code=status, headers=headers)


async def _refuse_second(request: Request, context: Context, running_id: str) -> JSONResponse:
    running = await context.parts.closes.get(running_id)
    extra: dict[str, Any] = {"running_close_id": running_id}
    if running is not None:
        extra["close"] = (await _view(context, running)).json_ready()
    problem = Problem(
        status=HTTPStatus.CONFLICT,
        code="close_running",
        detail=f"close {running_id} of this position runs already, and asks for something else; "
        "stop it first, or wait for its end",
        retryable=True,
        extra=extra,
        headers={"Location": f"/api/v1/closes/{running_id}"},
    )
    return respond(request, problem)


@router.get("/closes", operation_id="list_closes", response_model=ClosesView)
async def list_closes(
    context: Ctx,
    caller: Caller,
    status: Annotated[Literal["all", "open", "closed"], Query()] = "all",
    account: str | None = None,
    symbol: MarketName | None = None,
    limit: str | None = None,
) -> JSONResponse:
    """List closes, newest first."""
    await context.authorize(caller, Action.READ_ACCOUNT, None, "close:list")
    account_id = None
    if account is not None:
        account_id = (await context.account(caller, Action.READ_ACCOUNT, account)).account_id
    wanted = CloseFilter(
        owner=caller.principal_id,
        account_id=account_id,
        symbol=symbol,
        running=None if status == "all" else status == "open",
        limit=bounded("limit", limit, default=100, least=1, greatest=LIMIT_MAX),
    )
    views = [
        (await _view(context, state)).json_ready()
        for state in await context.parts.closes.page(wanted)
    ]
    return JSONResponse({"closes": views})


@router.get("/closes/{close_id}", operation_id="get_close", response_model=CloseView)
async def get_close(
    close_id: str,
    context: Ctx,
    caller: Caller,
    wait_for: Literal["terminal"] | None = None,
    timeout: Annotated[str | None, Query(description="Seconds, 0 to 60; 30 if left out")] = None,
) -> JSONResponse:
    """Read a close; with `wait_for=terminal` when it has ended, at the latest after `timeout`."""
    timeout_s = bounded("timeout", timeout, default=LONG_POLL_S, least=0, greatest=LONG_POLL_S_MAX)
    state = await _close_of(context, caller, Action.READ_ACCOUNT, close_id)
    if wait_for is not None and not state.status.is_terminal:
        with context.long_polls.admit(caller.principal_id):
            state = await _poll(context, state, timeout_s)
    return JSONResponse((await _view(context, state)).json_ready())


@router.delete(
    "/closes/{close_id}",
    operation_id="stop_close",
    response_model=CloseView,
    responses={202: {"model": CloseView, "description": "The end is not known yet."}},
)
async def stop_close(
    request: Request, close_id: str, context: Ctx, caller: Caller, wait_s: Wait
) -> JSONResponse:
    """Stop a close: its live order is canceled. 200 ended, 202 not yet, 409 it had ended before."""
    state = await _close_of(context, caller, Action.CLOSE, close_id)
    plan = state.plan
    if state.status.is_terminal:
        return await _ended(request, context, state)
    request_id = request_id_for(plan.close_id, key_of(key_of_header(request), None))
    try:
        answer = await context.ask(
            context.parts.close_desk.stop(
                plan.account_id, plan.symbol, plan.close_id, request_id, wait_s=wait_s
            )
        )
    except (Conflict, NotFound) as error:
        now = await _kept(context, plan.close_id)
        if now.status.is_terminal:
            response = await _ended(request, context, now)
        else:
            problem = of_error(error)
            raise ProblemError(
                Problem(
                    status=HTTPStatus.CONFLICT,
                    code="unmanaged",
                    detail=f"{problem.detail}; ask for the close again with its key",
                    retryable=True,
                )
            ) from None
    else:
        end = answer.state if answer.decided else None
        view = await _view(context, end or await _kept(context, plan.close_id))
        status = HTTPStatus.OK if answer.decided else HTTPStatus.ACCEPTED
        response = JSONResponse(view.json_ready(), status_code=status)
    await context.audit(caller, "close.stop", f"close:{plan.close_id}", str(response.status_code))
    return response


async def _ended(request: Request, context: Context, state: CloseState) -> JSONResponse:
    view = await _view(context, state)
    problem = Problem(
        status=HTTPStatus.CONFLICT,
        code="close_ended",
        detail=f"the close has ended: {state.status} ({state.reason})",
        extra={"close": view.json_ready()},
    )
    return respond(request, problem)


async def _close_of(context: Context, caller: Principal, action: Action, text: str) -> CloseState:
    """Return a close of the caller. Raises NotFound: there is none, or it is another's."""
    try:
        close_id = check_order_id(text)
    except InvalidInput:
        raise NotFound("no such close") from None
    state = await context.parts.closes.get(close_id)
    if state is None:
        raise NotFound("no such close")
    await context.authorize(caller, action, state.plan.owner, f"close:{close_id}")
    return state


async def _poll(context: Context, state: CloseState, timeout_s: float) -> CloseState:
    """Return the close once it has ended, or as it is when the time is over or we are stopping."""
    found = state
    try:
        async with asyncio.timeout(timeout_s):
            while not found.status.is_terminal and not context.draining.is_set():
                await asyncio.sleep(context.parts.limits.poll_interval_s)
                found = await context.parts.closes.get(state.plan.close_id) or found
    except TimeoutError:
        pass
    return found


async def _view(context: Context, state: CloseState) -> CloseView:
    plan = state.plan
    # One more than is kept: the newest may have been placed since.
    orders = await context.parts.closes.orders(plan.close_id, state.orders + 1)
    workflow_id = f"close-{plan.account_id}-{plan.symbol}"
    return close_view(
        state,
        await context.label_of(plan.account_id),
        orders=orders,
        workflow_id=workflow_id,
        temporal_url=context.parts.endpoints.workflow_url(workflow_id),
    )
