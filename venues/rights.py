"""What the self-checks of this process proved of each account's key, and when. Knows no venue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from domain.session_states import ProvenRights
from venues.connector import SignerCheck


class RightsBoard:
    """Keeps the last proof of each account; what was not proved here is not known here."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._proved: dict[str, ProvenRights] = {}

    def note(self, account_id: str, check: SignerCheck) -> None:
        """Keep what a check of the account's key proved just now."""
        self._proved[account_id] = ProvenRights(
            signer=check.signer,
            owner_address=check.owner_address,
            power=check.power,
            expires_at=check.expires_at,
            refusal=check.refusal,
            proved_at=self._now(),
        )

    def of(self, account_id: str) -> ProvenRights | None:
        """Return the last proof of an account, or None."""
        return self._proved.get(account_id)
