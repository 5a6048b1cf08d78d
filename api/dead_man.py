"""The routes of the dead man's switch: what is wanted is kept; a worker speaks to the venue."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final, Self

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field, model_validator

from api.bodies import Body
from api.context import Caller, Context, Ctx, Wait
from api.failures import respond
from api.fields import Flag, refused, whole
from api.problems import Problem, ProblemError, invalid_input
from api.strict_json import StrictRoute
from api.views import View, moment
from domain.accounts import Account
from domain.dead_man import (
    AFTER_S_LEAST,
    AFTER_S_MOST,
    EFFECT,
    EFFECT_OF_WATCHDOG,
    DeadManState,
    DeadManSwitch,
    Keeper,
)
from domain.errors import Unavailable
from domain.principals import Action

_ASKED: Final = (DeadManState.ARMING, DeadManState.DISARMING)
_LOOK_EVERY_S: Final = 0.1
_GONE_OFF: Final = {
    Keeper.VENUE: "the time has passed without a renewal: the venue has canceled every open order.",
    Keeper.WATCHDOG: "the time has passed without a renewal: our watchdog cancels what rests, but "
    "for stops.",
}

router = APIRouter(
    prefix="/api/v1/accounts/{account_id}/dead-man", tags=["halts"], route_class=StrictRoute
)


class DeadManBody(Body):
    """Either `after_s`, seconds of silence after which what rests is canceled, or `off`."""

    after_s: Annotated[int | None, whole(AFTER_S_LEAST, AFTER_S_MOST)] = Field(
        None, description="Seconds of silence; what going off means is in `effect`."
    )
    off: Flag = False

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.after_s is None) != self.off:
            raise refused("expected after_s or off, and not both", field="after_s")
        return self


class DeadManView(View):
    """An account's switch; `effect` is what going off means.

    `kept_by`: `venue`, or `watchdog` where the venue has none; null while no worker has looked.
    `armed` only by the venue's word, or while our watchdog is known to run. `triggers_most` is how
    often a day it may go off, null where nobody counts.
    """

    account_id: str
    after_s: int | None
    state: str
    armed: bool
    armed_until: str | None
    reason: str | None
    triggers_today: int
    triggers_most: int | None
    kept_by: str | None
    effect: str


@router.get("", operation_id="get_dead_man", response_model=DeadManView)
async def get_dead_man(account_id: str, context: Ctx, caller: Caller) -> JSONResponse:
    """Read how an account's dead man's switch stands."""
    account = await context.account(caller, Action.READ_ACCOUNT, account_id)
    switch = await context.parts.dead_man.get(account.account_id)
    return JSONResponse((await _view(context, account, switch)).json_ready())


@router.post(
    "",
    operation_id="set_dead_man",
    response_model=DeadManView,
    responses={202: {"model": DeadManView, "description": "The venue has not confirmed yet."}},
)
async def set_dead_man(
    request: Request,
    account_id: str,
    body: DeadManBody,
    context: Ctx,
    caller: Caller,
    wait_s: Wait,
) -> JSONResponse:
    """Arm or disarm: 200 as it is in force, 202 not confirmed yet, 409 refused, not armed.

    A worker renews it long before its time; when none lives the venue cancels, or our watchdog.
    """
    account = await context.account(caller, Action.ADMIN, account_id)
    await _check_least(context, account, body.after_s)
    store = context.parts.dead_man
    await store.want(account.account_id, body.after_s, by=caller.principal_id)
    wanted = "off" if body.after_s is None else f"{body.after_s} s"
    subject = f"account:{account.account_id}"
    switch = await _until_answered(context, account, wait_s)
    await context.audit(
        caller, "account.dead_man", subject, switch.state.value, detail={"wanted": wanted}
    )
    view = await _view(context, account, switch)
    if switch.state is DeadManState.REFUSED:
        problem = Problem(
            status=HTTPStatus.CONFLICT,
            code="dead_man_refused",
            detail=f"the venue refuses: {switch.reason}; it is asked again each minute",
            outcome="rejected",
            extra={"dead_man": view.json_ready()},
        )
        return respond(request, problem)
    is_done = switch.state in (DeadManState.ARMED, DeadManState.OFF)
    return JSONResponse(
        view.json_ready(), status_code=HTTPStatus.OK if is_done else HTTPStatus.ACCEPTED
    )


async def _check_least(context: Context, account: Account, after_s: int | None) -> None:
    """Refuse what the venue would refuse for ever, where its worker has told of it."""
    served = None
    with contextlib.suppress(Unavailable):
        served = await context.parts.served_venues.read(account.venue)
    if served is None or after_s is None or after_s >= served.sheet.dead_man_least_s:
        return
    raise ProblemError(
        invalid_input(
            "/after_s",
            f"expected at least {served.sheet.dead_man_least_s} s at {account.venue}, "
            f"found {after_s}; nothing was changed",
        )
    )


async def _until_answered(context: Context, account: Account, wait_s: float) -> DeadManSwitch:
    """Return the switch once the venue has answered, or as it is when the time is over."""
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        switch = await context.parts.dead_man.get(account.account_id)
        assert switch is not None  # noqa: S101 - it was written before
        is_over = asyncio.get_running_loop().time() >= deadline or context.draining.is_set()
        if switch.state not in _ASKED or is_over:
            return switch
        await asyncio.sleep(_LOOK_EVERY_S)


async def _view(context: Context, account: Account, switch: DeadManSwitch | None) -> DeadManView:
    now = context.parts.now()
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    triggers = await context.parts.dead_man.triggers(account.account_id, since=today)
    kept_by, effect, most = await _kept(context, account, switch)
    reason = None if switch is None else switch.reason or None
    if switch is not None and switch.has_gone_off(now):
        reason = _GONE_OFF[switch.kept_by or Keeper.VENUE] + " Is a worker running?"
    until = None if switch is None else switch.armed_until
    return DeadManView(
        account_id=account.account_id,
        after_s=None if switch is None else switch.after_s,
        state=_state(switch, now),
        armed=switch is not None and switch.is_armed(now),
        armed_until=None if until is None else moment(until),
        reason=reason,
        triggers_today=triggers,
        triggers_most=most,
        kept_by=kept_by,
        effect=effect,
    )


async def _kept(
    context: Context, account: Account, switch: DeadManSwitch | None
) -> tuple[str | None, str, int | None]:
    """Return who keeps a switch, what going off means, and how often a day it may."""
    served = None
    with contextlib.suppress(Unavailable):
        served = await context.parts.served_venues.read(account.venue)
    if served is not None:
        sheet = served.sheet
        return sheet.dead_man_kept_by, sheet.dead_man_effect, sheet.dead_man_triggers_most
    kept_by = None if switch is None else switch.kept_by
    effect = EFFECT_OF_WATCHDOG if kept_by is Keeper.WATCHDOG else EFFECT
    return None if kept_by is None else kept_by.value, effect, None


def _state(switch: DeadManSwitch | None, now: datetime) -> str:
    if switch is None:
        return DeadManState.OFF.value
    return "WENT_OFF" if switch.has_gone_off(now) else switch.state.value
