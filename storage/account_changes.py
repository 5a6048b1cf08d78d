"""Changing accounts in use, in SQL: label, default, and out of use.

An account leaves use under the lock under which its commands are reserved: what was reserved before
is counted as open, what comes after is refused because the account is not ACTIVE any more.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError

from domain.account_changes import HeldPosition, Holdings, Removal
from domain.accounts import Account, AccountState, AccountSummary
from domain.errors import Conflict, NotFound
from domain.net_positions import NetPosition
from domain.positions import AccountBooks, SeenSummary, open_positions
from storage.accounts import SqlAccountStore
from storage.clock import Clock, utc_now
from storage.closing_tables import brackets, closes
from storage.codec import Codec
from storage.condition_tables import conditions
from storage.credential_tables import credential_candidates
from storage.credentials import Credentials
from storage.engine import Database
from storage.position_tables import account_summaries
from storage.risk_tables import net_positions
from storage.tables import accounts, orders, principals

_summaries = Codec(AccountSummary)
_IN_USE = (AccountState.PENDING, AccountState.ACTIVE)


class SqlAccountChanges:
    """Implements `domain.account_changes.AccountChanges`."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._accounts = SqlAccountStore(database, now=now)
        self._credentials = Credentials(now)

    async def holdings(self, account_id: str) -> Holdings:
        """Return what the account has open, as our books and the venue's last word say.

        Raises:
            NotFound: there is no such account.
        """

        account = await self._accounts.get(account_id)
        if account is None:
            raise NotFound(f"no account {account_id!r}")
        return await self._database.read(lambda connection: _holdings(connection, account))

    async def rename(self, account_id: str, label: str) -> Account:
        """Give an account in use another label. See the port."""

        def work(connection: Connection) -> Account:
            account = self._accounts.locked(connection, account_id)
            _check_in_use(account)
            try:
                connection.execute(_CHANGE, _key(account_id) | {"label": label})
            except IntegrityError:
                raise Conflict(
                    f"there is an account labelled {label!r} already", code="label_taken"
                ) from None
            return self._accounts.locked(connection, account_id)

        return await self._database.write(work)

    async def make_default(self, account_id: str) -> Account:
        """Make an account in use its owner's default, and no other. See the port."""

        def work(connection: Connection) -> Account:
            if not self._database.is_sqlite:
                # Two switches at once would else leave two defaults.
                connection.execute(_LOCK_OWNER, _key(account_id))
            account = self._accounts.locked(connection, account_id)
            _check_in_use(account)
            connection.execute(_NO_DEFAULT, {"an_owner": account.owner})
            connection.execute(_CHANGE, _key(account_id) | {"is_default": True})
            return self._accounts.locked(connection, account_id)

        return await self._database.write(work)

    async def remove(self, account_id: str, *, force: bool, by: str) -> Removal:
        """Take an account out of use unless it has something open. See the port."""

        def work(connection: Connection) -> Removal:
            account = self._accounts.locked(connection, account_id)
            held = _holdings(connection, account)
            if account.state is AccountState.REMOVED:
                return Removal(account=account, left_open=held, is_done=True)
            if not held.is_empty and not force:
                return Removal(account=account, left_open=held, is_done=False)
            changes: dict[str, Any] = {
                "state": AccountState.REMOVED.value,
                "state_reason": f"removed by {by} with {held.in_words}",
                "is_default": False,
            }
            connection.execute(_CHANGE, _key(account_id) | changes)
            self._credentials.retire(connection, account_id)
            connection.execute(_DROP_CANDIDATE, _key(account_id))
            removed = self._accounts.locked(connection, account_id)
            return Removal(account=removed, left_open=held, is_done=True)

        return await self._database.write(work)


def _holdings(connection: Connection, account: Account) -> Holdings:
    key = {"an_account_id": account.account_id}
    counted = tuple(
        NetPosition(
            account_id=account.account_id,
            symbol=row.symbol,
            quantity=Decimal(row.quantity),
            last_price=None,
            updated_at=row.updated_at,
        )
        for row in connection.execute(_COUNTED, key)
    )
    row = connection.execute(_SUMMARY, key).first()
    seen = None
    if row is not None:
        summary = _summaries.decode(row.body)
        seen = SeenSummary(summary=summary, seen_at=row.seen_at, source=row.source)
    books = AccountBooks(account=account, seen=seen, net_positions=counted, funding={}, marks={})
    return Holdings(
        order_ids=_ids(connection, _OPEN_ORDERS, key),
        positions=tuple(
            HeldPosition(symbol=each.symbol, quantity=each.signed_quantity)
            for each in open_positions(books)
        ),
        close_ids=_ids(connection, _RUNNING_CLOSES, key),
        bracket_ids=_ids(connection, _RUNNING_BRACKETS, key),
        condition_ids=_ids(connection, _RUNNING_CONDITIONS, key),
        as_of=None if seen is None else seen.seen_at,
    )


def _ids(connection: Connection, query: Any, key: dict[str, str]) -> tuple[str, ...]:
    return tuple(connection.execute(query, key).scalars())


def _check_in_use(account: Account) -> None:
    if account.state not in _IN_USE:
        raise Conflict(
            f"expected an account in use, {account.label!r} is {account.state}; add it again",
            code="account_out_of_use",
        )


def _key(account_id: str) -> dict[str, Any]:
    return {"an_account_id": account_id}


_CHANGE = update(accounts).where(accounts.c.account_id == bindparam("an_account_id"))
_DROP_CANDIDATE = delete(credential_candidates).where(
    credential_candidates.c.account_id == bindparam("an_account_id")
)
_NO_DEFAULT = (
    update(accounts)
    .where(accounts.c.owner == bindparam("an_owner"), accounts.c.is_default)
    .values(is_default=False)
)
_LOCK_OWNER = (
    select(principals.c.principal_id)
    .join(accounts, accounts.c.owner == principals.c.principal_id)
    .where(accounts.c.account_id == bindparam("an_account_id"))
    .with_for_update(of=principals, key_share=True)
)
_COUNTED = select(
    net_positions.c.symbol, net_positions.c.quantity, net_positions.c.updated_at
).where(net_positions.c.account_id == bindparam("an_account_id"))
_SUMMARY = select(account_summaries).where(
    account_summaries.c.account_id == bindparam("an_account_id")
)
_OPEN_ORDERS = (
    select(orders.c.order_id)
    .where(orders.c.account_id == bindparam("an_account_id"), ~orders.c.ended)
    .order_by(orders.c.created_at, orders.c.order_id)
)
_RUNNING_CLOSES = (
    select(closes.c.close_id)
    .where(closes.c.account_id == bindparam("an_account_id"), ~closes.c.ended)
    .order_by(closes.c.created_at, closes.c.close_id)
)
_RUNNING_BRACKETS = (
    select(brackets.c.bracket_id)
    .where(brackets.c.account_id == bindparam("an_account_id"), ~brackets.c.ended)
    .order_by(brackets.c.created_at, brackets.c.bracket_id)
)
_RUNNING_CONDITIONS = (
    select(conditions.c.condition_id)
    .where(conditions.c.account_id == bindparam("an_account_id"), ~conditions.c.ended)
    .order_by(conditions.c.created_at, conditions.c.condition_id)
)
