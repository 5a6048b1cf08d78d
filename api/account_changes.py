"""The routes that change accounts: label, default and limits, and out of use.

Whether something is open is decided by the store, in the transaction that takes the account out of
use; this asks the venue first, so that the answer is of now.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from api.account_bodies import ChangeAccountBody
from api.account_views import (
    AccountDetailView,
    RemovalView,
    detail_view,
    holdings_view,
    removal_view,
)
from api.context import IN_USE, Caller, Context, Ctx
from api.problems import Problem, ProblemError, unavailable
from api.risk_views import limits_document
from api.session_views import SessionView, session_view
from api.strict_json import StrictRoute
from domain.account_changes import Removal
from domain.accounts import Account
from domain.errors import Conflict, PerpDexError, Unavailable
from domain.principals import Action, Principal
from domain.session_states import AccountSession

VENUE_WAIT_S: Final = 6.0

router = APIRouter(prefix="/api/v1/accounts", tags=["accounts"], route_class=StrictRoute)

Force = Annotated[
    bool, Query(description="Also with orders or positions open, or the venue silent.")
]


@router.get("/{account_id}", operation_id="get_account", response_model=AccountDetailView)
async def get_account(account_id: str, context: Ctx, caller: Caller) -> JSONResponse:
    """Read an account by id or label, with its groups, limits, key and what it has open."""
    account = await context.account(caller, Action.READ_ACCOUNT, account_id)
    return JSONResponse(await _detail(context, account))


@router.patch("/{account_id}", operation_id="change_account", response_model=AccountDetailView)
async def change_account(
    account_id: str, body: ChangeAccountBody, context: Ctx, caller: Caller
) -> JSONResponse:
    """Change an account's label, make it the default, or replace its risk limits.

    Each is done by itself, in this order; a refusal leaves those before it done, and repeating the
    request does no harm.
    """
    account = await context.account(caller, Action.ADMIN, account_id)
    if account.state not in IN_USE:
        raise Conflict(
            f"expected an account in use, {account.label!r} is {account.state}; add it again",
            code="account_out_of_use",
        )
    if body.label is not None and body.label != account.label:
        account = await _rename(context, caller, account, body.label)
    if body.is_default:
        account = await context.parts.account_changes.make_default(account.account_id)
        await context.audit(caller, "account.default", _subject(account), "done")
    if body.risk_limits is not None:
        limits = body.risk_limits.limits()
        await context.parts.risk.put(account.account_id, limits, by=caller.principal_id)
        named = {name: str(value) for name, value in limits_document(limits).items() if value}
        await context.audit(caller, "risk.set", f"risk:{account.account_id}", "done", detail=named)
    return JSONResponse(await _detail(context, account))


@router.delete(
    "/{account_id}",
    operation_id="remove_account",
    response_model=RemovalView,
    responses={409: {"description": "Something is open; `open` says what. Nothing was done."}},
)
async def remove_account(
    account_id: str, context: Ctx, caller: Caller, force: Force = False
) -> JSONResponse:
    """Take an account out of use; nothing of it is canceled or closed.

    Refused with 409 while orders or positions are open, with 503 while the venue does not say;
    `force=true` removes it all the same and tells what stays open. Its history stays readable.
    """
    account = await context.account(caller, Action.ADMIN, account_id)
    # A key that never was found out has traded nothing, so there is nothing to ask about.
    is_known = account.state in IN_USE and bool(account.signer)
    if is_known and not await _heard(context, account) and not force:
        await context.audit(caller, "account.remove", _subject(account), "refused: silence")
        raise ProblemError(
            unavailable(
                f"{account.venue} does not say what {account.label!r} has open; nothing was "
                "done. Try again, or force it",
                code="venue_unavailable",
            )
        )
    removal = await context.parts.account_changes.remove(
        account.account_id, force=force, by=caller.principal_id
    )
    outcome = "done" if removal.is_done else "refused"
    detail = {"left_open": removal.left_open.in_words, "force": str(force).lower()}
    await context.audit(caller, "account.remove", _subject(account), outcome, detail=detail)
    if not removal.is_done:
        raise ProblemError(_in_use(removal))
    return JSONResponse(removal_view(removal).json_ready())


async def _rename(context: Context, caller: Principal, account: Account, label: str) -> Account:
    renamed = await context.parts.account_changes.rename(account.account_id, label)
    context.forget_label(account.account_id)
    detail = {"from": account.label, "to": label}
    await context.audit(caller, "account.rename", _subject(account), "done", detail=detail)
    return renamed


async def _heard(context: Context, account: Account) -> bool:
    """Have the venue asked what the account holds now, for the store to count."""
    try:
        seen = await context.ask(context.parts.account_reader.read(account, wait_s=VENUE_WAIT_S))
    except PerpDexError:
        return False
    return seen is not None


async def _detail(context: Context, account: Account) -> dict[str, object]:
    parts = context.parts
    view = detail_view(
        account,
        groups=await parts.account_groups.of_owner(account.owner),
        limits=(await parts.risk.limits(account.account_id)).limits,
        reconcile_due=await parts.reconciliation_gate.due_since(account.account_id),
        holdings=await parts.account_changes.holdings(account.account_id),
        session=await _session(context, account),
        now=parts.now(),
    )
    return view.json_ready()


async def _session(context: Context, account: Account) -> SessionView:
    """Return what is said of an account's session; while nobody can be asked, nothing is known."""
    parts = context.parts
    try:
        said = await parts.sessions_of.read(account)
        served = await parts.served_venues.read(account.venue)
    except Unavailable:
        said, served = AccountSession(), None
    lanes = await parts.nonce_lanes.lanes(account.venue, account.network, account.signer)
    rule = None if served is None else served.sheet.nonce_rule
    return session_view(said, rule=rule, lanes=lanes, now=parts.now())


def _in_use(removal: Removal) -> Problem:
    account = removal.account
    return Problem(
        status=HTTPStatus.CONFLICT,
        code="account_holds",
        detail=f"{account.label!r} has {removal.left_open.in_words}; cancel and close first, or "
        "force it: they then stay open at the venue and nobody here looks after them",
        extra={"open": holdings_view(account.account_id, removal.left_open).json_ready()},
    )


def _subject(account: Account) -> str:
    return f"account:{account.account_id}"
