"""What the start, signals and updates of a reconciliation's workflow carry, and its names."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.common import SearchAttributePair, TypedSearchAttributes

from domain.accounts import Account
from domain.findings import Reconciliation
from workflows.ids import ACCOUNT, VENUE

EVERY_S = 300.0
"""How often an account is reconciled when nothing asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileStart:
    """The start of an account's workflow.

    `last` and `failures` come along when it continues as new: the newest reconciliation, and how
    many in a row did not pass.
    """

    account_id: str
    venue: str
    label: str
    every_s: float = EVERY_S
    last: Reconciliation | None = None
    failures: int = 0
    continued: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileRequest:
    """The `reconcile` update: reconcile now. `full` reads fills from the account's beginning."""

    request_id: str
    requested_by: str
    full: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReply:
    """The reconciliation that a request led to; `refusal` says why there is none.

    Not `decided`: the workflow goes on in a fresh history; ask again with the same id.
    """

    reconciliation: Reconciliation | None
    decided: bool = True
    refusal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileState:
    """What the `state` query tells: what it is doing, and the newest reconciliation."""

    doing: str
    last: Reconciliation | None
    failures: int


def reconcile_workflow_id(account_id: str) -> str:
    """Return the id of the workflow that reconciles an account."""
    return f"reconcile-{account_id}"


def reconcile_attributes(account: Account) -> TypedSearchAttributes:
    """Return what an account's reconciling workflow is found by."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(VENUE, account.venue),
            SearchAttributePair(ACCOUNT, account.account_id),
        ]
    )
