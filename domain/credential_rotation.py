"""The port of replacing an account's credential while it trades.

The new one is a candidate until it has proven to sign for the same account; then it is current and
the old one only resolves what it has signed, until nothing of that is undecided.
"""

from __future__ import annotations

from typing import Protocol

from domain.accounts import Account, SignerFacts, TradingAccess


class CredentialRotation(Protocol):
    """Candidates, and their becoming current."""

    async def propose(self, account_id: str, *, trading: bytes, feed: bytes | None) -> Account:
        """Keep sealed parts as the account's candidate, in place of an earlier one.

        Raises:
            NotFound: there is no such account.
            Conflict: the account is not in use.
        """
        ...

    async def promote(self, account_id: str, facts: SignerFacts) -> Account:
        """Make the candidate current and retire the one before, in one transaction.

        Raises:
            NotFound: there is no such account, or it has no candidate.
            Conflict: the account is not in use any more; the candidate is destroyed.
        """
        ...

    async def drop(self, account_id: str) -> None:
        """Destroy the candidate, if there is one."""
        ...


class CandidateAccess(Protocol):
    """Opens candidates; only the worker has one."""

    async def open_candidate(self, account_id: str) -> TradingAccess | None:
        """Return the account with its candidate opened, or None when it has none."""
        ...

    def forget(self, account_id: str) -> None:
        """Drop what is remembered of the account's opened credential: it has been changed."""
        ...
