"""Accounts over the API: what belongs to one, changing it, taking it out of use, and groups."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from perp_dex_client.errors import ApiProblem, UnreadableAnswer
from perp_dex_client.models import Account
from perp_dex_client.sessions import AccountSession
from perp_dex_client.transport import Transport

T = TypeVar("T")

_PATH: Final = "/api/v1/accounts"
_GROUPS: Final = "/api/v1/account-groups"
#: The venue is asked first.
_REMOVED_WITHIN_S: Final = 20.0


class HeldPosition(msgspec.Struct, frozen=True, kw_only=True):
    """An open position; `quantity` is below zero for a short."""

    position_id: str
    symbol: str
    quantity: Decimal


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has open, by id; `as_of` is when its venue was last heard."""

    orders: tuple[str, ...] = ()
    positions: tuple[HeldPosition, ...] = ()
    closes: tuple[str, ...] = ()
    brackets: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    as_of: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is open."""
        works = self.closes or self.brackets or self.conditions
        return not (self.orders or self.positions or works)


class AccountDetail(Account, frozen=True, kw_only=True):
    """An account with its groups, limits, what its key is, and what it has open.

    `power` says in words what the key may do, `master_address` whose account this is a sub-account
    of. `reconcile_due` is since when no new exposure is taken before it is reconciled. `session` is
    what workers and feeds say of it now.
    """

    open: Holdings
    groups: tuple[str, ...] = ()
    power: str | None = None
    master_address: str | None = None
    credential_expires_at: datetime | None = None
    credential_expires_soon: bool = False
    risk_limits: dict[str, Decimal | int | None] = msgspec.field(default_factory=dict)
    reconcile_due: datetime | None = None
    session: AccountSession = AccountSession()


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """An account out of use, and what stays open at its venue."""

    account: Account
    left_open: Holdings


class GroupMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a group; `account` is its label."""

    account_id: str
    account: str
    venue: str
    network: str
    state: str


class AccountGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group of accounts, oldest first."""

    name: str
    accounts: tuple[GroupMember, ...]


class AccountsApi:
    """Accounts with what belongs to them; `PerpDexClient.account_details`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def of(
        self, *, venue: str | None = None, group: str | None = None
    ) -> tuple[Account, ...]:
        """Return accounts, oldest first; of a venue, or a group.

        Raises:
            UnknownObject: there is no such group.
        """
        wanted = {"venue": venue, "group": group}
        query = {name: text for name, text in wanted.items() if text is not None}
        answer = await self._transport.call("GET", _PATH, query=query, repeatable=True)
        found = _as(answer.document, dict[str, tuple[Account, ...]])
        return found["accounts"]

    async def get(self, account: str) -> AccountDetail:
        """Return an account, by label or id, with everything that belongs to it.

        Raises:
            UnknownObject: there is no such account.
        """
        answer = await self._transport.call("GET", _path(account), repeatable=True)
        return _as(answer.document, AccountDetail)

    async def rename(self, account: str, label: str) -> AccountDetail:
        """Give an account another label.

        Raises:
            StateConflict: another has that label, or the account is out of use.
            InvalidRequest: nothing can be labelled so.
        """
        return await self._change(account, {"label": label})

    async def make_default(self, account: str) -> AccountDetail:
        """Use an account where none is named, in place of the one before.

        Raises:
            StateConflict: it is out of use.
        """
        return await self._change(account, {"is_default": True})

    async def remove(self, account: str, *, force: bool = False) -> Removal:
        """Take an account out of use; nothing of it is canceled or closed.

        Raises:
            StateConflict: it has something open; `document["open"]` says what.
            ServiceBusy: the venue does not say what is open.
        """
        answer = await self._transport.call(
            "DELETE",
            _path(account),
            query={"force": "true"} if force else None,
            repeatable=True,
            answer_within_s=_REMOVED_WITHIN_S,
        )
        return _as(answer.document, Removal)

    async def _change(self, account: str, body: dict[str, Any]) -> AccountDetail:
        # Said again it is the same. A new label is not the old name: by id it is found again.
        account_id = account
        if "label" in body:
            account_id = (await self.get(account)).account_id
        answer = await self._transport.call("PATCH", _path(account_id), body=body, repeatable=True)
        return _as(answer.document, AccountDetail)


class GroupsApi:
    """Groups of accounts; `PerpDexClient.groups`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def all(self) -> tuple[AccountGroup, ...]:
        """Return all groups, by name."""
        answer = await self._transport.call("GET", _GROUPS, repeatable=True)
        found = _as(answer.document, dict[str, tuple[AccountGroup, ...]])
        return found["groups"]

    async def get(self, name: str) -> AccountGroup:
        """Return a group.

        Raises:
            UnknownObject: there is no such group.
        """
        return await self._call("GET", name)

    async def set(self, name: str, accounts: tuple[str, ...]) -> AccountGroup:
        """Make a group of these accounts, by label or id, and no others.

        Raises:
            InvalidRequest: one of them is no account in use.
        """
        return await self._call("PUT", name, body={"accounts": list(accounts)})

    async def add(self, name: str, account: str) -> AccountGroup:
        """Add an account to a group; the group is made where there is none."""
        return await self._call("PUT", name, account)

    async def drop(self, name: str, account: str) -> AccountGroup:
        """Take an account out of a group; one without members is no more."""
        return await self._call("DELETE", name, account)

    async def delete(self, name: str) -> AccountGroup:
        """Take a group apart; its accounts stay as they are."""
        return await self._call("DELETE", name)

    async def _call(
        self, method: str, name: str, account: str | None = None, **more: Any
    ) -> AccountGroup:
        path = f"{_GROUPS}/{quote(name, safe='')}"
        if account is not None:
            path += f"/accounts/{quote(account, safe='')}"
        # Taken apart already, a group is not found again: the repetition would say so.
        repeatable = method != "DELETE"
        answer = await self._transport.call(method, path, repeatable=repeatable, **more)
        return _as(answer.document, AccountGroup)


def left_open(problem: ApiProblem) -> Holdings | None:
    """Return what an account has open, where the API refused to remove it for that."""
    try:
        return msgspec.convert(problem.document.get("open"), Holdings)
    except msgspec.ValidationError:
        return None


def _path(account: str) -> str:
    return f"{_PATH}/{quote(account, safe='')}"


def _as(document: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(
            f"expected an answer of the API this client knows: {error}"
        ) from None
