"""What the API needs of the workflows to choose accounts and to split orders, by structure.

`workflows.terms_client.AccountTermsReads` and `workflows.split_client.SplitWorkflows` fit; only
`api.main` knows them by name.
"""

from __future__ import annotations

from typing import Protocol

from domain.account_terms import AccountTerms
from domain.accounts import Account
from domain.parent_orders import EndAnswer
from domain.splits import SplitPlan, SplitState


class TermsReader(Protocol):
    """Has somebody who may talk to the venue say on which terms an account can trade."""

    async def read(self, account: Account, symbol: str, *, wait_s: float) -> AccountTerms | None:
        """Return the venue's word, or None when it does not come in time."""
        ...


class SplitDesk(Protocol):
    """The workflows of split orders, as one façade; every method is safe to repeat."""

    async def start(self, plan: SplitPlan) -> None:
        """Start a split order's workflow, once per split order."""
        ...

    async def cancel(
        self, split_id: str, request_id: str, *, wait_s: float
    ) -> EndAnswer[SplitState]:
        """Cancel every child."""
        ...

    async def state(self, split_id: str) -> SplitState:
        """Ask the running workflow itself."""
        ...
