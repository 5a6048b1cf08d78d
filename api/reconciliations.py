"""The routes of reconciliations: list an account's, read one with its findings, ask for one."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from api.context import Caller, Context, Ctx, Wait, bounded
from api.idempotency import key_of, key_of_header
from api.problems import NOT_SENT, Problem, ProblemError, invalid_parameter
from api.reconciliation_views import (
    ReconciliationsView,
    ReconciliationView,
    reconciliation_view,
)
from api.strict_json import StrictRoute
from domain.accounts import Account, AccountState
from domain.errors import NotFound
from domain.findings import Reconciliation, reconciliation_id_for
from domain.principals import Action

LIMIT_MAX: Final = 500

router = APIRouter(prefix="/api/v1/accounts", tags=["reconciliations"], route_class=StrictRoute)


@router.get(
    "/{account_id}/reconciliations",
    operation_id="list_reconciliations",
    response_model=ReconciliationsView,
)
async def list_reconciliations(
    account_id: str,
    context: Ctx,
    caller: Caller,
    limit: str | None = None,
    before: datetime | None = None,
) -> JSONResponse:
    """List an account's reconciliations, newest first; `before` continues a listing.

    `due_since`: since when the account takes no new exposure before it is reconciled.
    """
    account = await context.account(caller, Action.READ_ACCOUNT, account_id)
    if before is not None and before.tzinfo is None:
        raise ProblemError(
            invalid_parameter("before", "expected a time with its zone, such as …T00:00:00Z")
        )
    at_most = bounded("limit", limit, default=20, least=1, greatest=LIMIT_MAX)
    reconciliations = context.parts.reconciliations
    found = await reconciliations.page(account.account_id, limit=at_most, before=before)
    due_since = await context.parts.reconciliation_gate.due_since(account.account_id)
    view = ReconciliationsView(
        account=account.label,
        account_id=account.account_id,
        due_since=None if due_since is None else due_since.isoformat(),
        reconciliations=[reconciliation_view(each, account.label) for each in found],
        workflow_id=_workflow_id(account),
        temporal_url=context.parts.endpoints.workflow_url(_workflow_id(account)),
    )
    return JSONResponse(view.json_ready())


@router.get(
    "/{account_id}/reconciliations/{reconciliation_id}",
    operation_id="get_reconciliation",
    response_model=ReconciliationView,
)
async def get_reconciliation(
    account_id: str, reconciliation_id: str, context: Ctx, caller: Caller
) -> JSONResponse:
    """Read a reconciliation with its findings and their evidence."""
    account = await context.account(caller, Action.READ_ACCOUNT, account_id)
    found = await context.parts.reconciliations.get(reconciliation_id)
    if found is None or found.account_id != account.account_id:
        raise NotFound("no such reconciliation")
    return JSONResponse((await _view(context, account, found)).json_ready())


@router.post(
    "/{account_id}/reconciliations",
    operation_id="reconcile_account",
    response_model=ReconciliationView,
    responses={202: {"model": ReconciliationsView, "description": "Under way; see Location."}},
)
async def reconcile_account(
    request: Request,
    account_id: str,
    context: Ctx,
    caller: Caller,
    wait_s: Wait,
    full: Annotated[bool, Query(description="Read every fill since the account was added")] = False,
) -> JSONResponse:
    """Reconcile an account now: 200 with the result, 202 while it is under way.

    It reads, books, folds and labels; it sends nothing to the venue. With an Idempotency-Key a
    repeated request gets the first one's result.
    """
    account = await context.account(caller, Action.CLOSE, account_id)
    key = key_of(key_of_header(request), None)
    request_id = reconciliation_id_for(account.account_id, key)
    done = await context.parts.reconciliations.get(request_id)
    if done is None or not done.status.has_ended:
        _check_active(account)
        done = await context.ask(
            context.parts.reconcile_desk.reconcile(
                account,
                request_id,
                requested_by=caller.principal_id,
                full=full,
                wait_s=wait_s,
            )
        )
    headers = {
        "Idempotency-Key": f'"{key}"',
        "Preference-Applied": f"wait={wait_s:g}",
        "Location": f"/api/v1/accounts/{account.account_id}/reconciliations",
    }
    status = "under way" if done is None else done.status.value
    await context.audit(caller, "account.reconcile", f"account:{account.account_id}", status)
    if done is None:
        return JSONResponse(
            {"account_id": account.account_id, "reconciliation_id": request_id},
            status_code=HTTPStatus.ACCEPTED,
            headers=headers,
        )
    headers["Location"] += f"/{done.reconciliation_id}"
    view = await _view(context, account, done)
    return JSONResponse(view.json_ready(), headers=headers)


def _check_active(account: Account) -> None:
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


async def _view(
    context: Context, account: Account, reconciliation: Reconciliation
) -> ReconciliationView:
    findings = await context.parts.reconciliations.findings(reconciliation.reconciliation_id)
    return reconciliation_view(reconciliation, account.label, findings)


def _workflow_id(account: Account) -> str:
    return f"reconcile-{account.account_id}"
