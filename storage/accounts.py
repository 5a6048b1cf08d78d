"""Accounts and their sealed credentials in SQL. Seals and opens nothing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from domain.accounts import Account, AccountState, Network, SignerFacts
from domain.errors import Conflict, NotFound
from sealing.box import CredentialPart
from storage.clock import Clock, utc_now
from storage.credentials import Credentials
from storage.engine import Database
from storage.tables import account_sequences, accounts, commands, credentials, halts


class SqlAccountStore:
    """Implements `domain.ports.AccountStore`."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        self._credentials = Credentials(now)
        self._insert = (
            database.insert(accounts).on_conflict_do_nothing().returning(accounts.c.account_id)
        )

    async def add(self, account: Account, *, trading: bytes, feed: bytes | None) -> Account:
        """Keep an account with its sealed credential parts.

        Accounts that were refused or removed do not stand in the way of a new one.

        Raises:
            Conflict: the owner has an account with that label, or with that venue, network and
                address, or the account id is used.
            NotFound: there is no such principal.
        """
        parts = {CredentialPart.TRADING: trading}
        if feed is not None:
            parts[CredentialPart.FEED] = feed

        def work(connection: Connection) -> Account:
            try:
                added = connection.execute(self._insert, _account_values(account)).first()
            except IntegrityError:
                raise NotFound(f"no principal {account.owner!r}") from None
            if added is None:
                raise _clash(connection, account)
            first = {"account_id": account.account_id, "last_sequence": 0}
            connection.execute(insert(account_sequences), first)
            self._credentials.keep(connection, account.account_id, account.signer, parts)
            return account

        return await self._database.write(work, repeat=False)

    async def get(self, account_id: str) -> Account | None:
        """Return the account, or None."""
        found = await self._database.fetch_one(_READ_ONE, {"an_account_id": account_id})
        return None if found is None else _read_account(found)

    async def of_owner(self, owner: str) -> tuple[Account, ...]:
        """Return a principal's accounts, oldest first."""
        rows = await self._database.fetch_all(_READ_OF_OWNER, {"an_owner": owner})
        return tuple(_read_account(row) for row in rows)

    async def all_active(self) -> tuple[Account, ...]:
        """Return every account that may trade, oldest first."""
        return tuple(_read_account(row) for row in await self._database.fetch_all(_READ_ACTIVE))

    async def set_state(
        self,
        account_id: str,
        state: AccountState,
        *,
        reason: str | None,
        signer: str | None,
        facts: SignerFacts | None = None,
    ) -> Account:
        """Change an account's state after its check; REFUSED destroys the sealed credential.

        `signer`, where given, is the identity the credential turned out to have, `facts` what else
        is known of it. REMOVED retires the credential: it goes once no undecided command names it.

        Raises:
            NotFound: there is no such account.
        """

        def work(connection: Connection) -> Account:
            self.locked(connection, account_id)
            changes: dict[str, Any] = {"state": state.value, "state_reason": reason}
            if signer is not None:
                changes["signer"] = signer
                self._credentials.name(connection, account_id, signer)
            if facts is not None:
                changes |= facts_values(facts)
            connection.execute(_update(account_id).values(**changes))
            if state is AccountState.REFUSED:
                self._credentials.destroy(connection, account_id)
            elif state is AccountState.REMOVED:
                self._credentials.retire(connection, account_id)
            return self.locked(connection, account_id)

        return await self._database.write(work)

    async def note_facts(self, account_id: str, facts: SignerFacts) -> Account:
        """Write down what is known of the account's credential now, if it is still the current one.

        Raises:
            NotFound: there is no such account.
        """

        def work(connection: Connection) -> Account:
            account = self.locked(connection, account_id)
            if account.signer != facts.signer:
                return account
            connection.execute(_update(account_id).values(**facts_values(facts)))
            return self.locked(connection, account_id)

        return await self._database.write(work)

    async def destroy_unneeded_credentials(self) -> int:
        """Destroy retired credentials that no undecided command names; return how many."""

        def work(connection: Connection) -> int:
            needed = exists().where(
                commands.c.account_id == credentials.c.account_id,
                commands.c.signer == credentials.c.signer,
                commands.c.decided_at.is_(None),
            )
            return self._credentials.destroy_retired(connection, unless=needed)

        return await self._database.write(work)

    async def only_paper(self) -> bool:
        """Tell whether every account in use is a paper account."""
        count = select(func.count()).where(
            accounts.c.network != Network.PAPER.value,
            accounts.c.state.in_([AccountState.PENDING.value, AccountState.ACTIVE.value]),
        )
        found = await self._database.fetch_one(count)
        return found is not None and found[0] == 0

    def locked(self, connection: Connection, account_id: str) -> Account:
        """Return the account, to be changed in this transaction only. Raises NotFound."""
        if not self._database.is_sqlite:
            connection.execute(_LOCK, {"an_account_id": account_id})
        found = connection.execute(_READ_ONE, {"an_account_id": account_id}).first()
        if found is None:
            raise NotFound(f"no account {account_id!r}")
        return _read_account(found)


def _clash(connection: Connection, account: Account) -> Conflict:
    query = _ACCOUNTS.where(
        accounts.c.owner == account.owner,
        accounts.c.label == account.label,
        accounts.c.state.in_([AccountState.PENDING.value, AccountState.ACTIVE.value]),
    )
    if connection.execute(query).first() is not None:
        return Conflict(f"there is an account labelled {account.label!r} already")
    return Conflict(
        f"there is an account of {account.address!r} at {account.venue} ({account.network}) already"
    )


def _account_values(account: Account) -> dict[str, Any]:
    return {
        "account_id": account.account_id,
        "owner": account.owner,
        "venue": account.venue,
        "label": account.label,
        "network": account.network.value,
        "address": account.address,
        "signer": account.signer,
        "state": account.state.value,
        "state_reason": account.state_reason,
        "is_default": account.is_default,
        "created_at": account.created_at,
    }


def facts_values(facts: SignerFacts) -> dict[str, Any]:
    """Return what is known of a credential as the values of its account's row."""
    return {
        "master_address": facts.master_address,
        "power": facts.power,
        "credential_expires_at": facts.expires_at,
    }


def _read_facts(row: Row[Any]) -> SignerFacts | None:
    if row.power is None:
        return None
    return SignerFacts(
        signer=row.signer,
        master_address=row.master_address,
        power=row.power,
        expires_at=row.credential_expires_at,
    )


def _read_account(row: Row[Any]) -> Account:
    return Account(
        account_id=row.account_id,
        owner=row.owner,
        venue=row.venue,
        label=row.label,
        network=Network(row.network),
        address=row.address,
        signer=row.signer,
        state=AccountState(row.state),
        created_at=row.created_at,
        is_default=row.is_default,
        halted=bool(row.halted),
        state_reason=row.state_reason,
        facts=_read_facts(row),
    )


def _update(account_id: str) -> Any:
    return update(accounts).where(accounts.c.account_id == account_id)


_ACCOUNTS: Select[Any] = select(accounts, halts.c.halted).outerjoin_from(
    accounts, halts, halts.c.scope == accounts.c.account_id
)
_READ_ONE = _ACCOUNTS.where(accounts.c.account_id == bindparam("an_account_id"))
_OLDEST_FIRST = (accounts.c.created_at, accounts.c.account_id)
# Built once: building a query takes longer than running it.
_READ_OF_OWNER = _ACCOUNTS.where(accounts.c.owner == bindparam("an_owner")).order_by(*_OLDEST_FIRST)
_READ_ACTIVE = _ACCOUNTS.where(accounts.c.state == AccountState.ACTIVE.value).order_by(
    *_OLDEST_FIRST
)
_LOCK = (
    select(account_sequences.c.account_id)
    .where(account_sequences.c.account_id == bindparam("an_account_id"))
    .with_for_update()
)
