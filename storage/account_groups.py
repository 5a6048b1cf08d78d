"""Account groups in SQL. A removed account's memberships stay written and are never shown.

Changes of one owner's groups wait for each other, so that a group never outgrows its bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from domain.account_groups import MEMBERS_MAX, AccountGroup
from domain.accounts import AccountState
from domain.errors import InvalidInput, NotFound
from storage.account_group_tables import account_group_members as members
from storage.engine import Database
from storage.tables import accounts, principals


class SqlAccountGroupStore:
    """Implements `domain.account_groups.AccountGroupStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = database.insert(members).on_conflict_do_nothing()

    async def of_owner(self, owner: str) -> tuple[AccountGroup, ...]:
        """Return a principal's groups, by name."""
        found: dict[str, list[str]] = {}
        for row in await self._database.fetch_all(_MEMBERS, {"an_owner": owner}):
            found.setdefault(row.name, []).append(row.account_id)
        return tuple(_group(owner, name, found[name]) for name in sorted(found))

    async def get(self, owner: str, name: str) -> AccountGroup | None:
        """Return a group, or None where it has no member."""
        rows = await self._database.fetch_all(_OF_ONE, _key(owner, name))
        return _group(owner, name, [row.account_id for row in rows]) if rows else None

    async def replace(self, owner: str, name: str, account_ids: Sequence[str]) -> AccountGroup:
        """Make these accounts the group's members, and no others.

        Raises:
            NotFound: one of them is not an account in use of the owner's; nothing was changed.
            InvalidInput: they are more than a group can have.
        """

        def work(connection: Connection) -> AccountGroup:
            self._lock(connection, owner)
            connection.execute(_DROP_ALL, _key(owner, name))
            return self._add(connection, owner, name, account_ids)

        return await self._database.write(work)

    async def change(
        self, owner: str, name: str, *, add: Sequence[str] = (), drop: Sequence[str] = ()
    ) -> AccountGroup:
        """Add members and drop others, in one step; doing it again changes nothing.

        Raises:
            NotFound: one to be added is not an account in use of the owner's; nothing was changed.
            InvalidInput: the group would have more members than it can.
        """

        def work(connection: Connection) -> AccountGroup:
            self._lock(connection, owner)
            if drop:
                connection.execute(_DROP, _key(owner, name) | {"account_ids": list(drop)})
            return self._add(connection, owner, name, add)

        return await self._database.write(work)

    def _lock(self, connection: Connection, owner: str) -> None:
        if not self._database.is_sqlite:
            connection.execute(_LOCK, {"an_owner": owner})

    def _add(
        self, connection: Connection, owner: str, name: str, account_ids: Sequence[str]
    ) -> AccountGroup:
        wanted = list(dict.fromkeys(account_ids))
        if len(wanted) > MEMBERS_MAX:
            raise _too_many(len(wanted))
        if wanted:
            asked = {"an_owner": owner, "account_ids": wanted}
            usable = {row.account_id for row in connection.execute(_USABLE, asked)}
            missing = [each for each in wanted if each not in usable]
            if missing:
                raise NotFound(f"no account in use {missing[0]!r}")
            rows = [{"owner": owner, "name": name, "account_id": each} for each in wanted]
            connection.execute(self._insert, rows)
        kept = [row.account_id for row in connection.execute(_OF_ONE, _key(owner, name))]
        if len(kept) > MEMBERS_MAX:
            raise _too_many(len(kept))
        return _group(owner, name, kept)


def _group(owner: str, name: str, account_ids: Sequence[str]) -> AccountGroup:
    return AccountGroup(owner=owner, name=name, account_ids=tuple(account_ids))


def _too_many(count: int) -> InvalidInput:
    return InvalidInput("accounts", f"expected at most {MEMBERS_MAX} in a group, found {count}")


def _key(owner: str, name: str) -> dict[str, Any]:
    return {"an_owner": owner, "a_name": name}


_IN_USE = accounts.c.state.in_([AccountState.PENDING.value, AccountState.ACTIVE.value])
_MEMBERS = (
    select(members.c.name, members.c.account_id)
    .join(accounts, accounts.c.account_id == members.c.account_id)
    .where(members.c.owner == bindparam("an_owner"), _IN_USE)
    .order_by(accounts.c.created_at, accounts.c.account_id)
)
_OF_ONE = _MEMBERS.where(members.c.name == bindparam("a_name"))
_USABLE = select(accounts.c.account_id).where(
    accounts.c.owner == bindparam("an_owner"),
    accounts.c.account_id.in_(bindparam("account_ids", expanding=True)),
    _IN_USE,
)
_DROP_ALL = delete(members).where(
    members.c.owner == bindparam("an_owner"), members.c.name == bindparam("a_name")
)
_DROP = _DROP_ALL.where(members.c.account_id.in_(bindparam("account_ids", expanding=True)))
_LOCK = (
    select(principals.c.principal_id)
    .where(principals.c.principal_id == bindparam("an_owner"))
    .with_for_update(key_share=True)
)
