"""What the API needs of looking at an account at its venue, by structure.

`workflows.account_read_client.AccountReads` fits; only `api.main` knows it by name.
"""

from __future__ import annotations

from typing import Protocol

from domain.accounts import Account
from domain.positions import SeenSummary


class AccountReader(Protocol):
    """Has somebody who may talk to the venue look at an account."""

    async def read(self, account: Account, *, wait_s: float) -> SeenSummary | None:
        """Return the venue's word, or None when it does not come in time."""
        ...
