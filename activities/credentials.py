"""Credentials while they are in use: changing one for another, and watching when one expires.

An account trades on with its old credential until the new one has proven to sign for it. Knows no
venue and no SQL.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from temporalio import activity

from activities.access import ConnectorSource, RightsNotes
from activities.accounts import facts_of
from activities.contracts import AccountTask
from activities.feed_credentials import keep_feed_credential
from domain.accounts import Account, SignerFacts
from domain.credential_rotation import CandidateAccess, CredentialRotation
from domain.errors import Conflict, InvalidInput, NotFound, PerpDexError
from domain.feed_credentials import FeedCredentials
from domain.ports import AccountStore, AuditLog, AuditRecord, TradingAccessSource

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationResult:
    """The account after a change of its credential; `refusal` says why it was not changed."""

    account: Account
    refusal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialActivities:
    """The activity of `RotateCredentialWorkflow`."""

    accounts: AccountStore
    rotation: CredentialRotation
    candidates: CandidateAccess
    connectors: ConnectorSource
    feeds: FeedCredentials | None = None
    rights: RightsNotes | None = None

    @activity.defn(name="check_candidate")
    async def check(self, task: AccountTask) -> RotationResult:
        """Find out what the account's candidate signs for; make it current, or destroy it.

        Run again after it was done, it says that nothing is left to be changed.

        Raises:
            NotFound: there is no such account.
            VenueUnavailable, VenueRefused: the venue did not say; the candidate is kept.
        """
        account = await self.accounts.get(task.account_id)
        if account is None:
            raise NotFound(f"no account {task.account_id!r}")
        try:
            access = await self.candidates.open_candidate(task.account_id)
            if access is None:
                return RotationResult(account=account)
            connector = await self.connectors.connector(account.venue, account.network)
            check = await connector.check_signer(access)
        except InvalidInput as error:
            return await self._refuse(account, str(error))
        if check.refusal is not None:
            return await self._refuse(account, check.refusal)
        try:
            changed = await self.rotation.promote(task.account_id, facts_of(account, check))
        except Conflict as error:
            return RotationResult(account=account, refusal=str(error))
        if self.rights is not None:
            self.rights.note(task.account_id, check)
        self.candidates.forget(task.account_id)
        await keep_feed_credential(connector, replace(access, account=changed), self.feeds)
        return RotationResult(account=changed)

    async def _refuse(self, account: Account, reason: str) -> RotationResult:
        await self.rotation.drop(account.account_id)
        return RotationResult(account=account, refusal=reason)


@dataclass(slots=True, kw_only=True)
class ExpiryWatch:
    """Asks the venue of every credential anew, and announces those that expire soon."""

    accounts: AccountStore
    access: TradingAccessSource
    connectors: ConnectorSource
    audit: AuditLog
    now: Callable[[], datetime]
    rights: RightsNotes | None = None

    async def run(self) -> None:
        """Look at every account once; one that cannot be asked is asked next time.

        Raises:
            Unavailable: the database does not answer.
        """
        for account in await self.accounts.all_active():
            try:
                facts = await self._facts(account)
            except PerpDexError as error:
                _log.warning(
                    "a credential could not be checked: %s",
                    error,
                    extra={"account_id": account.account_id},
                )
                continue
            if facts is not None:
                await self.accounts.note_facts(account.account_id, facts)
                if facts.expires_soon(self.now()):
                    await self._announce(account, facts)

    async def _facts(self, account: Account) -> SignerFacts | None:
        access = await self.access.open(account.account_id)
        connector = await self.connectors.connector(account.venue, account.network)
        check = await connector.check_signer(access)
        if self.rights is not None:
            self.rights.note(account.account_id, check)
        if check.refusal is not None:
            # The venue knows it no more: from now on it takes nothing of it.
            known = account.facts
            return SignerFacts(
                signer=account.signer,
                master_address=None if known is None else known.master_address,
                power=check.refusal,
                expires_at=self.now(),
            )
        return facts_of(account, check)

    async def _announce(self, account: Account, facts: SignerFacts) -> None:
        at = "" if facts.expires_at is None else facts.expires_at.isoformat()
        outcome = "expired" if facts.has_expired(self.now()) else "expires soon"
        _log.error(
            "a credential %s; replace it by `perp-dex account rotate %s`",
            outcome,
            account.label,
            extra={"account_id": account.account_id, "expires_at": at},
        )
        await self.audit.append(
            AuditRecord(
                principal_id=account.owner,
                action="credential.expiry",
                subject=f"account:{account.account_id}",
                outcome=outcome,
                at=self.now(),
                detail={"expires_at": at},
            )
        )
