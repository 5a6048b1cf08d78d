"""Replacing credentials in SQL. Implements `domain.credential_rotation.CredentialRotation`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from domain.accounts import Account, AccountState, SignerFacts
from domain.errors import Conflict, NotFound
from sealing.box import CredentialPart
from storage.accounts import SqlAccountStore, facts_values
from storage.clock import Clock, utc_now
from storage.credential_tables import credential_candidates
from storage.credentials import Credentials
from storage.engine import Database
from storage.sealing_keys import refuse_destroyed
from storage.tables import accounts

_IN_USE = (AccountState.PENDING, AccountState.ACTIVE)


class SqlCredentialRotation:
    """Candidates beside the current credentials."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        self._accounts = SqlAccountStore(database, now=now)
        self._credentials = Credentials(now)
        candidate = database.insert(credential_candidates)
        names = ("trading", "feed", "created_at")
        self._propose = candidate.on_conflict_do_update(
            index_elements=["account_id"],
            set_={name: candidate.excluded[name] for name in names},
        )

    async def propose(self, account_id: str, *, trading: bytes, feed: bytes | None) -> Account:
        """Keep sealed parts as the account's candidate. See the port."""

        def work(connection: Connection) -> Account:
            account = self._accounts.locked(connection, account_id)
            if account.state is not AccountState.ACTIVE:
                raise Conflict(
                    f"expected an ACTIVE account, {account.label!r} is {account.state}; "
                    "add the account again"
                )
            values = {
                "account_id": account_id,
                "trading": trading,
                "feed": feed,
                "created_at": self._now(),
            }
            refuse_destroyed(connection, [trading, *([] if feed is None else [feed])])
            connection.execute(self._propose, values)
            return account

        return await self._database.write(work)

    async def promote(self, account_id: str, facts: SignerFacts) -> Account:
        """Make the candidate current. See the port."""

        def work(connection: Connection) -> Account | None:
            account = self._accounts.locked(connection, account_id)
            candidate = connection.execute(_READ, {"an_account_id": account_id}).first()
            if candidate is None:
                raise NotFound(f"account {account.label!r} has no credential to change to")
            connection.execute(_DROP, {"an_account_id": account_id})
            if account.state not in _IN_USE:
                return None
            parts = {CredentialPart.TRADING: bytes(candidate.trading)}
            if candidate.feed is not None:
                parts[CredentialPart.FEED] = bytes(candidate.feed)
            self._credentials.retire(connection, account_id)
            self._credentials.keep(connection, account_id, facts.signer, parts)
            changes = {"signer": facts.signer, "state_reason": facts.power} | facts_values(facts)
            changed = update(accounts).where(accounts.c.account_id == account_id)
            connection.execute(changed.values(**changes))
            return self._accounts.locked(connection, account_id)

        account = await self._database.write(work)
        if account is None:
            raise Conflict(f"account {account_id} is not in use any more")
        return account

    async def drop(self, account_id: str) -> None:
        """Destroy the candidate, if there is one."""

        def work(connection: Connection) -> None:
            connection.execute(_DROP, {"an_account_id": account_id})

        await self._database.write(work)


async def read_candidate(database: Database, account_id: str) -> bytes | None:
    """Return the sealed trading part of an account's candidate, or None."""
    found = await database.fetch_one(_READ, {"an_account_id": account_id})
    return None if found is None else bytes(found.trading)


_OF_ACCOUNT = credential_candidates.c.account_id == bindparam("an_account_id")
_READ: Any = select(credential_candidates.c.trading, credential_candidates.c.feed).where(
    _OF_ACCOUNT
)
_DROP: Any = delete(credential_candidates).where(_OF_ACCOUNT)
