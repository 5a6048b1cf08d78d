"""What the API needs of the workflows that reconcile accounts, by structure.

`workflows.reconciliation_client.ReconcileWorkflows` fits; only `api.main` knows it by name.
"""

from __future__ import annotations

from typing import Protocol

from domain.accounts import Account
from domain.findings import Reconciliation


class ReconcileDesk(Protocol):
    """The workflows of reconciliation, as one façade; every method is safe to repeat."""

    async def reconcile(
        self,
        account: Account,
        request_id: str,
        *,
        requested_by: str,
        full: bool,
        wait_s: float,
    ) -> Reconciliation | None:
        """Have an account reconciled now; None while it is under way after `wait_s`.

        Raises:
            Conflict: the account is not active.
            Unavailable: the workflows cannot be reached.
        """
        ...
