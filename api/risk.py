"""The routes of risk limits: what they are, how much of each is used, and setting them.

Thin: who may, and in which scope; what the limits mean is decided in `domain.risk`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import JSONResponse

from api.context import IN_USE, Caller, Context, Ctx
from api.problems import Problem, ProblemError, invalid_header
from api.risk_bodies import RiskLimitsBody
from api.risk_views import RiskView, ScopeView, halt_view, limits_document, scope_view
from api.strict_json import StrictRoute
from domain.accounts import Account
from domain.errors import Conflict
from domain.principals import Action, Principal
from domain.risk_store import LimitsInForce
from domain.violations import ALL_ACCOUNTS

_VERSION_DIGITS_MAX = 9

router = APIRouter(prefix="/api/v1/risk", tags=["risk"], route_class=StrictRoute)

AccountName = Annotated[
    str | None, Query(alias="account", max_length=128, description="Label or id of an account.")
]


@router.get("", operation_id="get_risk", response_model=RiskView)
async def get_risk(context: Ctx, caller: Caller, account: AccountName = None) -> JSONResponse:
    """Read limits, the present use of each, and the halts in force; of one account, or of all."""
    if account is None:
        await context.authorize(caller, Action.READ_ACCOUNT, None, "risk:list")
        mine = await context.parts.accounts.of_owner(caller.principal_id)
        wanted = [each for each in mine if each.state in IN_USE]
    else:
        wanted = [await context.account(caller, Action.READ_ACCOUNT, account)]
    view = RiskView(
        everything=await _everything(context, caller),
        accounts=[await _of_account(context, each) for each in wanted],
        halts=[halt_view(halt) for halt in await context.parts.halts.halted()],
    )
    return JSONResponse(view.json_ready())


@router.put("", operation_id="set_risk", response_model=ScopeView)
async def set_risk(
    body: RiskLimitsBody,
    context: Ctx,
    caller: Caller,
    account: AccountName = None,
    if_match: Annotated[str | None, Header(description='A version, such as "3".')] = None,
) -> JSONResponse:
    """Replace the limits of everything, or of one account; what is left out is not limited.

    Limits below what is held are taken: `warnings` says so, and only what reduces passes then.
    """
    expected = _version(if_match)
    if account is None:
        await context.authorize(caller, Action.ADMIN, None, "risk:*")
        owner, scope = None, ALL_ACCOUNTS
    else:
        owner = await context.account(caller, Action.ADMIN, account)
        scope = owner.account_id
    limits = body.limits()
    try:
        replaced = await context.parts.risk.put(
            scope, limits, by=caller.principal_id, expected_version=expected
        )
    except Conflict as error:
        await context.audit(caller, "risk.set", f"risk:{scope}", f"refused: {error.code}")
        raise ProblemError(
            Problem(
                status=HTTPStatus.PRECONDITION_FAILED,
                code=error.code,
                detail=str(error),
                retryable=False,
            )
        ) from None
    detail = {name: str(value) for name, value in limits_document(limits).items() if value}
    await context.audit(caller, "risk.set", f"risk:{scope}", "done", detail=detail)
    view = await _view(context, replaced, owner)
    return JSONResponse(view.json_ready(), headers={"ETag": f'"{replaced.version}"'})


async def _everything(context: Context, caller: Principal) -> ScopeView | None:
    # What all accounts use together is for those who may set its limits.
    if Action.ADMIN not in caller.actions:
        return None
    return await _view(context, await context.parts.risk.limits(ALL_ACCOUNTS), None)


async def _of_account(context: Context, account: Account) -> ScopeView:
    return await _view(context, await context.parts.risk.limits(account.account_id), account)


async def _view(context: Context, in_force: LimitsInForce, account: Account | None) -> ScopeView:
    return scope_view(in_force, await context.parts.risk.use(in_force.scope), account)


def _version(if_match: str | None) -> int | None:
    """Return the version that `If-Match` names; None where any will do."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().strip('"')
    if text.isascii() and text.isdigit() and len(text) <= _VERSION_DIGITS_MAX:
        return int(text)
    raise ProblemError(
        invalid_header("If-Match", f'expected a version such as "3", found {if_match[:32]!a}')
    )
