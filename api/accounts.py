"""The routes of accounts. A credential that comes in is sealed at once and forgotten."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from api.account_bodies import GroupName
from api.account_groups import group_named
from api.bodies import AddAccountBody
from api.context import IN_USE, Caller, Ctx, Wait
from api.failures import respond
from api.problems import Problem, ProblemError, invalid_input
from api.strict_json import StrictRoute
from api.views import AccountsView, AccountView, account_view
from domain.accounts import Account, AccountState
from domain.errors import Unavailable
from domain.principals import Action

_CHECK_WAIT_LEAST_S = 1.0

router = APIRouter(prefix="/api/v1/accounts", tags=["accounts"], route_class=StrictRoute)


@router.get("", operation_id="list_accounts", response_model=AccountsView)
async def list_accounts(
    context: Ctx, caller: Caller, venue: str | None = None, group: GroupName | None = None
) -> JSONResponse:
    """List the caller's accounts, oldest first; of a venue, or a group."""
    await context.authorize(caller, Action.READ_ACCOUNT, None, "account:list")
    members = None if group is None else (await group_named(context, caller, group)).account_ids
    accounts = [
        each
        for each in await context.parts.accounts.of_owner(caller.principal_id)
        if venue in (None, each.venue) and (members is None or each.account_id in members)
    ]
    return JSONResponse({"accounts": [account_view(each).json_ready() for each in accounts]})


@router.post(
    "",
    operation_id="add_account",
    status_code=201,
    response_model=AccountView,
    responses={202: {"model": AccountView, "description": "The credential is being checked."}},
)
async def add_account(
    request: Request, body: AddAccountBody, context: Ctx, caller: Caller, wait_s: Wait
) -> JSONResponse:
    """Register an account: 201 active, 422 refused and its credential destroyed, 202 in checking.

    The worker finds out which account the key signs for and with which power.
    """
    await context.authorize(caller, Action.ADMIN, None, "account:new")
    if body.venue not in context.parts.venues:
        known = ", ".join(context.parts.venues)
        raise ProblemError(invalid_input("/venue", f"expected one of {known}"))
    account = await _keep(context, caller.principal_id, body)
    subject = f"account:{account.account_id}"
    await context.audit(caller, "account.add", subject, "sealed", detail={"venue": body.venue})
    try:
        checked = await context.ask(
            context.parts.desk.verify_account(
                account.account_id, account.venue, wait_s=max(wait_s, _CHECK_WAIT_LEAST_S)
            )
        )
    except Unavailable:
        # The account is kept and is checked when the worker is back; nothing is lost.
        checked = None
    current = checked or account
    await context.audit(caller, "account.check", subject, str(current.state))
    return _answer(request, current)


async def _keep(context: Ctx, owner: str, body: AddAccountBody) -> Account:
    account_id = str(uuid.uuid4())
    trading = context.parts.sealer.seal(
        account_id, body.venue, body.credential.private_key.get_secret_value().strip()
    )
    mine = await context.parts.accounts.of_owner(owner)
    account = Account(
        account_id=account_id,
        owner=owner,
        venue=body.venue,
        label=body.label,
        network=body.network,
        address=body.address,
        signer="",
        state=AccountState.PENDING,
        created_at=context.parts.now(),
        is_default=not any(each.state in IN_USE and each.is_default for each in mine),
    )
    # No venue here needs a secret for its private feed: an address is enough.
    return await context.parts.accounts.add(account, trading=trading, feed=None)


def _answer(request: Request, account: Account) -> JSONResponse:
    view = account_view(account).json_ready()
    headers = {"Location": f"/api/v1/accounts/{account.account_id}"}
    if account.state is AccountState.REFUSED:
        problem = Problem(
            status=HTTPStatus.UNPROCESSABLE_ENTITY,
            code="credential_refused",
            detail=account.state_reason or "the venue does not take this credential",
            outcome="rejected",
            errors=(
                {
                    "pointer": "/credential",
                    "detail": account.state_reason or "refused; the sealed credential is destroyed",
                },
            ),
            extra={"account": view},
        )
        return respond(request, problem)
    status = HTTPStatus.CREATED if account.state is AccountState.ACTIVE else HTTPStatus.ACCEPTED
    return JSONResponse(view, status_code=status, headers=headers)
