"""The routes of halts: the kill switch, what is halted, and the resume.

A halt is committed to SQL before it is answered; the workflow that cancels and closes is started
after that, and by a sweep if Temporal is away. Holds no rule of its own.
"""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.context import Caller, Context, Ctx
from api.halt_bodies import HaltBody, ResumeBody, ScopeBody
from api.halt_views import (
    HaltAnswerView,
    HaltsView,
    HaltView,
    KillSwitchView,
    ResumeAnswerView,
    halt_view,
    kill_switch_view,
    name_of,
)
from api.problems import ProblemError, invalid_input, unavailable
from api.strict_json import StrictRoute
from domain.errors import NotFound, Unavailable
from domain.halts import (
    EVERYTHING,
    HaltLevel,
    HaltScope,
    KillSwitch,
    account_scope,
    venue_scope,
)
from domain.principals import Action, Principal

NEWEST: Final = 20
_NOT_STARTED: Final = (
    "the halt is in force; orders are canceled as soon as Temporal answers again. On the worker's "
    "machine `python -m worker emergency cancel-all` does not need it"
)

router = APIRouter(prefix="/api/v1", tags=["halts"], route_class=StrictRoute)


@router.get("/halt", operation_id="get_halts", response_model=HaltsView)
async def get_halts(context: Ctx, caller: Caller) -> JSONResponse:
    """Read the halts in force, and the newest kill switches with their stages."""
    await context.authorize(caller, Action.READ_ACCOUNT, None, "halt:list")
    switches = await context.parts.kill_switches.newest(limit=NEWEST)
    view = HaltsView(
        halts=await _in_force(context, caller),
        kill_switches=[await _view(context, each) for each in switches if _shows(caller, each)],
    )
    return JSONResponse(view.json_ready())


@router.get("/halt/{kill_switch_id}", operation_id="get_kill_switch", response_model=KillSwitchView)
async def get_kill_switch(kill_switch_id: str, context: Ctx, caller: Caller) -> JSONResponse:
    """Read how far a kill switch is."""
    state = await context.parts.kill_switches.get(kill_switch_id)
    if state is None:
        raise NotFound("no such kill switch")
    await context.authorize(caller, Action.READ_ACCOUNT, state.owner, f"halt:{kill_switch_id}")
    return JSONResponse((await _view(context, state)).json_ready())


@router.post("/halt", operation_id="halt_trading", status_code=202, response_model=HaltAnswerView)
async def halt_trading(body: HaltBody, context: Ctx, caller: Caller) -> JSONResponse:
    """Halt: once this is answered no new exposure is signed; then cancel all, and close all.

    202: the halt is in force, and the kill switch runs until the venue shows nothing open. A second
    halt of the scope joins the one that runs, and adds `flatten` to it. 503: nothing is halted.
    """
    # Whoever may close may stop.
    action = Action.ADMIN if Action.ADMIN in caller.actions else Action.CLOSE
    try:
        scopes = await _scopes(context, caller, action, body)
    except Unavailable as error:
        raise _not_halted(error) from None
    states = [await _begin(context, _asked(context, caller, scope, body)) for scope in scopes]
    started = [await _start(context, caller, state, body.reason) for state in states]
    note = None if all(started) else _NOT_STARTED
    first, *others = [await _view(context, state) for state in states]
    answer = HaltAnswerView(kill_switch=first, started=all(started), note=note, more=others)
    headers = {"Location": f"/api/v1/halt/{first.kill_switch_id}"}
    return JSONResponse(answer.json_ready(), status_code=HTTPStatus.ACCEPTED, headers=headers)


async def _begin(context: Context, asked: KillSwitch) -> KillSwitch:
    try:
        return await context.parts.kill_switches.begin(asked)
    except Unavailable as error:
        raise _not_halted(error) from None


def _not_halted(error: Unavailable) -> ProblemError:
    """Return what is said when the database takes no halt, with what stops trading all the same."""
    return ProblemError(
        unavailable(
            f"{error}; nothing is halted. On the worker's machine "
            "`python -m worker emergency cancel-all` needs neither the database nor Temporal"
        )
    )


async def _start(context: Context, caller: Principal, state: KillSwitch, reason: str) -> bool:
    """Start the workflow of a halt that is in force; False while Temporal is away."""
    try:
        await context.ask(context.parts.halt_desk.start(state))
        outcome = "started"
    except Unavailable:
        outcome = "in force, not started"
    detail = {"flatten": str(state.flatten), "reason": reason, "id": state.kill_switch_id}
    await context.audit(caller, "halt", f"halt:{state.scope.key}", outcome, detail=detail)
    return outcome == "started"


@router.post("/resume", operation_id="resume_trading", response_model=ResumeAnswerView)
async def resume_trading(body: ResumeBody, context: Ctx, caller: Caller) -> JSONResponse:
    """Lift a halt. 409 while its kill switch runs, unless `force`: then that stops, unfinished."""
    scopes = await _scopes(context, caller, Action.ADMIN, body)
    ended = [await _resume(context, caller, scope, body) for scope in scopes]
    views = [await _view(context, each) for each in ended if each is not None]
    answer = ResumeAnswerView(
        stopped=views[0] if views else None, halts=await _in_force(context, caller), more=views[1:]
    )
    return JSONResponse(answer.json_ready())


async def _resume(
    context: Context, caller: Principal, scope: HaltScope, body: ResumeBody
) -> KillSwitch | None:
    """Lift a scope's halt; return the kill switch that was stopped for it, if one ran."""
    subject = f"halt:{scope.key}"
    detail = {"reason": body.reason, "forced": str(body.force)}
    try:
        stopped = await context.parts.kill_switches.resume(
            scope, reason=body.reason, by=caller.principal_id, forced=body.force
        )
    except Exception as error:
        outcome = f"refused: {type(error).__name__}"
        await context.audit(caller, "resume", subject, outcome, detail=detail)
        raise
    if stopped is not None:
        try:
            await context.ask(context.parts.halt_desk.stop(scope))
        except Unavailable:
            # Its next word to the store is answered by the end that is written there.
            detail["stopped_by"] = "itself, when Temporal answers again"
    await context.audit(caller, "resume", subject, "lifted", detail=detail)
    return stopped


async def _scopes(
    context: Context, caller: Principal, action: Action, body: ScopeBody
) -> tuple[HaltScope, ...]:
    """Return what was named: one scope, or for a group that of each account in it now."""
    if body.account is not None:
        account = await context.account(caller, action, body.account)
        return (account_scope(account.account_id),)
    if body.group is not None:
        await context.authorize(caller, action, None, f"group:{body.group}")
        group = await context.parts.account_groups.get(caller.principal_id, body.group)
        if group is None:
            raise NotFound("no such group, or it has no account")
        return tuple(account_scope(account_id) for account_id in group.account_ids)
    scope = EVERYTHING if body.venue is None else venue_scope(body.venue)
    await context.authorize(caller, action, None, f"halt:{scope.key}")
    if body.venue is not None and body.venue not in context.parts.venues:
        known = ", ".join(context.parts.venues)
        raise ProblemError(invalid_input("/venue", f"expected one of {known}"))
    return (scope,)


def _asked(context: Context, caller: Principal, scope: HaltScope, body: HaltBody) -> KillSwitch:
    return KillSwitch(
        kill_switch_id=str(uuid.uuid4()),
        scope=scope,
        owner=caller.principal_id,
        flatten=body.flatten,
        reason=body.reason,
        requested_by=caller.principal_id,
        requested_at=context.parts.now(),
    )


def _shows(caller: Principal, state: KillSwitch) -> bool:
    """Tell whether a kill switch is the caller's, or concerns everybody."""
    return state.owner == caller.principal_id or state.scope.level is not HaltLevel.ACCOUNT


async def _in_force(context: Context, caller: Principal) -> list[HaltView]:
    """Return the halts that the caller's accounts are under."""
    names = {
        account.account_id: account.label
        for account in await context.parts.accounts.of_owner(caller.principal_id)
    }
    return [
        halt_view(halt, name_of(halt.scope, names))
        for halt in await context.parts.kill_switches.halted()
        if halt.account_id is None or halt.account_id in names
    ]


async def _view(context: Context, state: KillSwitch) -> KillSwitchView:
    ids = {each.account_id for each in state.accounts}
    if state.scope.level is HaltLevel.ACCOUNT:
        ids.add(state.scope.name)
    names = {account_id: await context.label_of(account_id) for account_id in ids}
    url = context.parts.endpoints.workflow_url(context.parts.halt_desk.workflow_id(state.scope))
    return kill_switch_view(state, names, url)
