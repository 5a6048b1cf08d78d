"""Account activities: what a credential is and whose, before it may trade, and while it does.

Knows no venue; the connector derives and asks, this writes down.
"""

from __future__ import annotations

from temporalio import activity

from activities.access import ConnectorSource, RightsNotes
from activities.contracts import AccountTask
from activities.feed_credentials import keep_feed_credential
from domain.accounts import Account, AccountState, SignerFacts
from domain.errors import InvalidInput, NotFound
from domain.feed_credentials import FeedCredentials
from domain.ports import AccountStore, TradingAccessSource
from venues.connector import Connector, SignerCheck


class AccountActivities:
    """The activities of `VerifyAccountWorkflow`."""

    def __init__(
        self,
        *,
        accounts: AccountStore,
        access: TradingAccessSource,
        connectors: ConnectorSource,
        feeds: FeedCredentials | None = None,
        rights: RightsNotes | None = None,
    ) -> None:
        self._rights = rights
        self._accounts = accounts
        self._access = access
        self._connectors = connectors
        self._feeds = feeds

    @activity.defn(name="verify_account")
    async def verify(self, task: AccountTask) -> Account:
        """Find out what the account's credential signs for; make it ACTIVE or REFUSED.

        Raises:
            NotFound: there is no such account.
        """
        account = await self._accounts.get(task.account_id)
        if account is None:
            raise NotFound(f"no account {task.account_id!r}")
        if account.state is not AccountState.PENDING:
            return account
        try:
            access = await self._access.open(task.account_id)
            connector = await self._connectors.connector(account.venue, account.network)
            check = await connector.check_signer(access)
            if self._rights is not None:
                self._rights.note(task.account_id, check)
            if check.refusal is None:
                await keep_feed_credential(connector, access, self._feeds)
        except InvalidInput as error:
            return await self._accounts.set_state(
                task.account_id, AccountState.REFUSED, reason=str(error), signer=None
            )
        state = AccountState.ACTIVE if check.refusal is None else AccountState.REFUSED
        return await self._accounts.set_state(
            task.account_id,
            state,
            reason=check.refusal or power_in_words(connector, check),
            signer=check.signer,
            facts=facts_of(account, check) if check.refusal is None else None,
        )


def power_in_words(connector: Connector, check: SignerCheck) -> str:
    """Return what the owner of a credential is told of it, and of its venue."""
    if not connector.capabilities.experimental:
        return check.power
    proven = "verified live" if connector.proofs.live_verified else "not verified live"
    caution = f": {connector.capabilities.caution}" if connector.capabilities.caution else ""
    return f"{check.power}; {connector.venue} is experimental here, and {proven}{caution}"


def facts_of(account: Account, check: SignerCheck) -> SignerFacts:
    """Return what a check found out, as it is kept with the account."""
    owner = check.owner_address
    is_own = owner is None or owner.lower() == account.address.lower()
    return SignerFacts(
        signer=check.signer,
        master_address=None if is_own else owner,
        power=check.power,
        expires_at=check.expires_at,
    )
