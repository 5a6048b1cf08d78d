"""The routes of conditional closes: set, list, read, change, cancel.

Thin: checks who asks and what, keeps the request, asks the workflow, and turns its answer into a
response. SQL is asked first, so that a key answers for ever.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from api.condition_bodies import ConditionBody
from api.condition_views import ConditionsView, ConditionView, condition_view
from api.context import Caller, Context, Ctx, Wait, bounded
from api.failures import respond
from api.fields import MarketName
from api.idempotency import claim_key, key_of, key_of_header
from api.placing import market_for
from api.position_ids import named_position, position_id_of
from api.problems import NOT_SENT, Problem, ProblemError, unavailable
from api.strict_json import StrictRoute
from domain.accounts import AccountState
from domain.condition_store import ConditionFilter
from domain.conditions import check_form
from domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from domain.guarding import GuardPlan, GuardState, GuardStatus
from domain.identifiers import check_order_id, order_id_for, request_id_for
from domain.key_claims import IntentKind, key_mismatch
from domain.native_exits import check_native
from domain.principals import Action, Principal

LIMIT_MAX: Final = 500
LONG_POLL_S: Final = 30
LONG_POLL_S_MAX: Final = 60
#: Shorter waits could end before the start itself is acknowledged.
_WAIT_LEAST_S: Final = 0.5

router = APIRouter(prefix="/api/v1", tags=["conditions"], route_class=StrictRoute)


@router.post(
    "/positions/{position_id}/conditions",
    operation_id="set_conditions",
    status_code=201,
    response_model=ConditionView,
    responses={202: {"model": ConditionView, "description": "Taken up soon; follow Location."}},
)
async def set_conditions(
    request: Request,
    position_id: str,
    body: ConditionBody,
    context: Ctx,
    caller: Caller,
    wait_s: Wait,
) -> JSONResponse:
    """Have a position closed when the present mark meets one of these conditions.

    201: it is watched. 202: not yet known to be within `Prefer: wait=N`. 409 `condition_refused`:
    there is no such position, a condition is true already, or they contradict each other; nothing
    was sent.
    """
    key = key_of(key_of_header(request), body.client_key)
    condition_id = order_id_for(caller.principal_id, key)
    known = await context.parts.conditions.get(condition_id)
    if known is None:
        plan = await _plan(context, caller, position_id, body, key)
        await claim_key(context, condition_id, IntentKind.CONDITIONS, plan.fingerprint)
        known = await context.parts.conditions.keep(GuardState(plan=plan))
        replayed = False
    else:
        replayed = True
    plan = known.plan
    await context.authorize(caller, Action.CLOSE, plan.owner, f"condition:{condition_id}")
    if replayed and not await _is_same(context, plan, position_id, body):
        raise key_mismatch(IntentKind.CONDITIONS)
    response = await _begin(request, context, known, wait_s)
    response.headers["Idempotency-Key"] = f'"{key}"'
    response.headers["Preference-Applied"] = f"wait={wait_s:g}"
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    await context.audit(
        caller,
        "condition.set",
        f"condition:{condition_id}",
        str(response.status_code),
        detail={"account_id": plan.account_id, "symbol": plan.symbol},
    )
    return response


async def _plan(
    context: Context, caller: Principal, position_id: str, body: ConditionBody, key: str
) -> GuardPlan:
    """Return the plan that a request asks for, checked against account and market."""
    position = await named_position(context, caller, Action.CLOSE, position_id)
    account = position.account
    if account.state is not AccountState.ACTIVE:
        raise ProblemError(
            Problem(
                status=HTTPStatus.CONFLICT,
                code="account_not_active",
                detail=f"account {account.label!r} is {account.state}",
                outcome=NOT_SENT,
                retryable=account.state is AccountState.PENDING,
            )
        )
    await market_for(context, account, position.symbol)
    plan = GuardPlan(
        condition_id=order_id_for(caller.principal_id, key),
        owner=caller.principal_id,
        account_id=account.account_id,
        venue=account.venue,
        network=account.network,
        symbol=position.symbol,
        created_at=context.parts.now(),
        conditions=body.conditions,
        percent=body.percent,
        max_slippage_bps=body.slippage_bps,
        escalation=None if body.escalation is None else body.escalation.meant,
        native=body.protection,
        requested_by=caller.principal_id,
        fingerprint=body.fingerprint(position.position_id),
        idempotency_key=key,
    )
    check_form(plan.conditions, context.parts.now())
    check_native(plan)
    return plan


async def _is_same(
    context: Context, plan: GuardPlan, position_id: str, body: ConditionBody
) -> bool:
    """Tell whether a request asks for what its key named before."""
    label = await context.label_of(plan.account_id)
    names = {f"{name}:{plan.symbol}" for name in (plan.account_id, label)} | {plan.symbol}
    meant = body.fingerprint(position_id_of(plan.account_id, plan.symbol))
    return position_id in names and meant == plan.fingerprint


async def _begin(
    request: Request, context: Context, known: GuardState, wait_s: float
) -> JSONResponse:
    """Begin or join the workflow, unless the guard has ended; answer with how it stands."""
    plan = known.plan
    if known.status.is_terminal:
        return await _answer(request, context, known)
    try:
        answer = await context.ask(
            context.parts.condition_desk.begin(plan, wait_s=max(wait_s, _WAIT_LEAST_S))
        )
    except Conflict as error:
        if error.code != "workflow_closed":
            raise
        return await _answer(request, context, await _kept(context, plan.condition_id))
    except Unavailable as error:
        raise ProblemError(unavailable(f"{error}; the same key may be used again")) from None
    state = answer.state if answer.decided else None
    return await _answer(request, context, state or await _kept(context, plan.condition_id))


async def _kept(context: Context, condition_id: str) -> GuardState:
    state = await context.parts.conditions.get(condition_id)
    if state is None:
        raise NotFound("no such condition")
    return state


async def _answer(request: Request, context: Context, state: GuardState) -> JSONResponse:
    view = (await _view(context, state)).json_ready()
    headers = {"Location": f"/api/v1/conditions/{state.plan.condition_id}"}
    if state.status is GuardStatus.REFUSED:
        problem = Problem(
            status=HTTPStatus.CONFLICT,
            code="condition_refused",
            detail=state.reason,
            outcome=NOT_SENT,
            extra={"condition": view},
            headers=headers,
        )
        return respond(request, problem)
    taken = state.status is not GuardStatus.REQUESTED
    status = HTTPStatus.CREATED if taken else HTTPStatus.ACCEPTED
    return JSONResponse(view, status_code=status, headers=headers)


@router.get("/conditions", operation_id="list_conditions", response_model=ConditionsView)
async def list_conditions(
    context: Ctx,
    caller: Caller,
    status: Annotated[Literal["all", "open", "closed"], Query()] = "all",
    account: str | None = None,
    symbol: MarketName | None = None,
    limit: str | None = None,
) -> JSONResponse:
    """List conditional closes, newest first."""
    await context.authorize(caller, Action.READ_ACCOUNT, None, "condition:list")
    account_id = None
    if account is not None:
        account_id = (await context.account(caller, Action.READ_ACCOUNT, account)).account_id
    wanted = ConditionFilter(
        owner=caller.principal_id,
        account_id=account_id,
        symbol=symbol,
        running=None if status == "all" else status == "open",
        limit=bounded("limit", limit, default=100, least=1, greatest=LIMIT_MAX),
    )
    return await _listed(context, wanted)


@router.get(
    "/positions/{position_id}/conditions",
    operation_id="list_conditions_of_position",
    response_model=ConditionsView,
)
async def list_conditions_of_position(
    position_id: str, context: Ctx, caller: Caller
) -> JSONResponse:
    """List the conditional closes of one position, newest first."""
    position = await named_position(context, caller, Action.READ_ACCOUNT, position_id)
    wanted = ConditionFilter(
        owner=caller.principal_id,
        account_id=position.account.account_id,
        symbol=position.symbol,
    )
    return await _listed(context, wanted)


async def _listed(context: Context, wanted: ConditionFilter) -> JSONResponse:
    found = await context.parts.conditions.page(wanted)
    views = [(await _view(context, state)).json_ready() for state in found]
    return JSONResponse({"conditions": views})


@router.get(
    "/conditions/{condition_id}", operation_id="get_condition", response_model=ConditionView
)
async def get_condition(
    condition_id: str,
    context: Ctx,
    caller: Caller,
    wait_for: Literal["terminal"] | None = None,
    timeout: Annotated[str | None, Query(description="Seconds, 0 to 60; 30 if left out")] = None,
) -> JSONResponse:
    """Read a conditional close; with `wait_for=terminal` when it has ended."""
    timeout_s = bounded("timeout", timeout, default=LONG_POLL_S, least=0, greatest=LONG_POLL_S_MAX)
    state = await _condition_of(context, caller, Action.READ_ACCOUNT, condition_id)
    if wait_for is not None and not state.status.is_terminal:
        with context.long_polls.admit(caller.principal_id):
            state = await _poll(context, state, timeout_s)
    return JSONResponse((await _view(context, state)).json_ready())


@router.patch(
    "/conditions/{condition_id}",
    operation_id="change_condition",
    response_model=ConditionView,
    responses={202: {"model": ConditionView, "description": "Not known yet whether it is taken."}},
)
async def change_condition(
    request: Request,
    condition_id: str,
    body: ConditionBody,
    context: Ctx,
    caller: Caller,
    wait_s: Wait,
) -> JSONResponse:
    """Watch these conditions instead, all of them; the old ones go on if these cannot be taken.

    200: changed. 202: not known yet. 409 `change_refused`, `condition_triggered` or
    `condition_ended`.
    """
    state = await _condition_of(context, caller, Action.CLOSE, condition_id)
    now = context.parts.now()
    plan = replace(
        state.plan,
        conditions=body.conditions,
        percent=body.percent,
        max_slippage_bps=body.slippage_bps,
        escalation=None if body.escalation is None else body.escalation.meant,
        native=body.protection,
    )
    check_form(plan.conditions, now)
    check_native(plan)
    request_id = request_id_for(plan.condition_id, key_of(key_of_header(request), body.client_key))
    try:
        answer = await context.ask(
            context.parts.condition_desk.change(plan, request_id, wait_s=wait_s)
        )
    except (Conflict, NotFound) as error:
        response = await _conflict(request, context, state, error)
    else:
        found = answer.state if answer.decided else None
        view = await _view(context, found or await _kept(context, plan.condition_id))
        status = HTTPStatus.OK if answer.decided else HTTPStatus.ACCEPTED
        response = JSONResponse(view.json_ready(), status_code=status)
    await _audited(context, caller, "condition.change", plan, response)
    return response


@router.delete(
    "/conditions/{condition_id}",
    operation_id="cancel_condition",
    response_model=ConditionView,
    responses={202: {"model": ConditionView, "description": "The end is not known yet."}},
)
async def cancel_condition(
    request: Request, condition_id: str, context: Ctx, caller: Caller, wait_s: Wait
) -> JSONResponse:
    """Watch no more. 200: ended so. 202: not known yet. 409: it has triggered, or had ended."""
    state = await _condition_of(context, caller, Action.CLOSE, condition_id)
    plan = state.plan
    request_id = request_id_for(plan.condition_id, key_of(key_of_header(request), None))
    try:
        answer = await context.ask(
            context.parts.condition_desk.cancel(plan.condition_id, request_id, wait_s=wait_s)
        )
    except (Conflict, NotFound) as error:
        response = await _conflict(request, context, state, error)
    else:
        found = answer.state if answer.decided else None
        view = await _view(context, found or await _kept(context, plan.condition_id))
        status = HTTPStatus.OK if answer.decided else HTTPStatus.ACCEPTED
        response = JSONResponse(view.json_ready(), status_code=status)
    await _audited(context, caller, "condition.cancel", plan, response)
    return response


async def _conflict(
    request: Request, context: Context, state: GuardState, error: Conflict | NotFound
) -> JSONResponse:
    """Say why a guard takes no change now, and how it stands."""
    now = await _kept(context, state.plan.condition_id)
    code, detail = error.code, str(error)
    if now.status.is_terminal:
        code = "condition_ended"
        detail = f"the conditional close has ended: {now.status} ({now.reason})"
    elif isinstance(error, NotFound):
        code, detail = "unmanaged", "no workflow watches this; set it again with its key"
    problem = Problem(
        status=HTTPStatus.CONFLICT,
        code=code,
        detail=detail,
        outcome=NOT_SENT,
        extra={"condition": (await _view(context, now)).json_ready()},
    )
    return respond(request, problem)


async def _audited(
    context: Context, caller: Principal, action: str, plan: GuardPlan, response: JSONResponse
) -> None:
    await context.audit(caller, action, f"condition:{plan.condition_id}", str(response.status_code))


async def _condition_of(
    context: Context, caller: Principal, action: Action, text: str
) -> GuardState:
    """Return a guard of the caller. Raises NotFound: there is none, or it is another's."""
    try:
        condition_id = check_order_id(text)
    except InvalidInput:
        raise NotFound("no such condition") from None
    state = await context.parts.conditions.get(condition_id)
    if state is None:
        raise NotFound("no such condition")
    await context.authorize(caller, action, state.plan.owner, f"condition:{condition_id}")
    return state


async def _poll(context: Context, state: GuardState, timeout_s: float) -> GuardState:
    """Return the guard once it has ended, or as it is when the time is over or we are stopping."""
    found = state
    try:
        async with asyncio.timeout(timeout_s):
            while not found.status.is_terminal and not context.draining.is_set():
                await asyncio.sleep(context.parts.limits.poll_interval_s)
                found = await context.parts.conditions.get(state.plan.condition_id) or found
    except TimeoutError:
        pass
    return found


async def _view(context: Context, state: GuardState) -> ConditionView:
    workflow_id = f"guard-{state.plan.condition_id}"
    return condition_view(
        state,
        await context.label_of(state.plan.account_id),
        now=context.parts.now(),
        workflow_id=workflow_id,
        temporal_url=context.parts.endpoints.workflow_url(workflow_id),
    )
