"""Responses: an account with what it has open, groups, and what a removal left open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from api.risk_views import limits_document
from api.session_views import SessionView
from api.views import AccountView, View, account_view, moment
from domain.account_changes import Holdings, Removal
from domain.account_groups import AccountGroup
from domain.accounts import Account
from domain.numbers import plain
from domain.risk_limits import RiskLimits


class HeldPositionView(View):
    """An open position; `quantity` is below zero for a short."""

    position_id: str
    symbol: str
    quantity: str


class HoldingsView(View):
    """What an account has open; `as_of` is when its venue was last heard."""

    orders: list[str]
    positions: list[HeldPositionView]
    closes: list[str]
    brackets: list[str]
    conditions: list[str]
    as_of: str | None


class AccountDetailView(AccountView):
    """An account with its groups, limits, what its key is, and what it has open.

    `power` says in words what the key may do, `master_address` whose account this is a sub-account
    of. `reconcile_due` is since when no new exposure is taken before it is reconciled. `session` is
    what workers and feeds say of it now, each with its age.
    """

    groups: list[str]
    power: str | None
    master_address: str | None
    credential_expires_at: str | None
    credential_expires_soon: bool
    risk_limits: dict[str, str | int | None]
    reconcile_due: str | None
    session: SessionView
    open: HoldingsView


class RemovalView(View):
    """An account out of use, and what stays open at its venue: nobody here looks after it."""

    account: AccountView
    left_open: HoldingsView


class GroupMemberView(View):
    """A member of a group."""

    account_id: str
    account: str
    venue: str
    network: str
    state: str


class GroupView(View):
    """A group of accounts, oldest first; one without members does not exist."""

    name: str
    accounts: list[GroupMemberView]


class GroupsView(View):
    """The caller's groups, by name."""

    groups: list[GroupView]


def detail_view(
    account: Account,
    *,
    groups: Sequence[AccountGroup],
    limits: RiskLimits,
    reconcile_due: datetime | None,
    holdings: Holdings,
    session: SessionView,
    now: datetime,
) -> AccountDetailView:
    """Return an account's view with everything that belongs to it."""
    facts = account.facts
    expires_at = None if facts is None else facts.expires_at
    return AccountDetailView(
        **account_view(account).model_dump(),
        groups=[each.name for each in groups if account.account_id in each.account_ids],
        power=None if facts is None else facts.power,
        master_address=None if facts is None else facts.master_address,
        credential_expires_at=None if expires_at is None else moment(expires_at),
        credential_expires_soon=facts is not None and facts.expires_soon(now),
        risk_limits=limits_document(limits),
        reconcile_due=None if reconcile_due is None else moment(reconcile_due),
        session=session,
        open=holdings_view(account.account_id, holdings),
    )


def holdings_view(account_id: str, holdings: Holdings) -> HoldingsView:
    """Return the view of what an account has open."""
    return HoldingsView(
        orders=list(holdings.order_ids),
        positions=[
            HeldPositionView(
                position_id=f"{account_id}:{each.symbol}",
                symbol=each.symbol,
                quantity=plain(each.quantity),
            )
            for each in holdings.positions
        ],
        closes=list(holdings.close_ids),
        brackets=list(holdings.bracket_ids),
        conditions=list(holdings.condition_ids),
        as_of=None if holdings.as_of is None else moment(holdings.as_of),
    )


def removal_view(removal: Removal) -> RemovalView:
    """Return the view of a removal that was done."""
    return RemovalView(
        account=account_view(removal.account),
        left_open=holdings_view(removal.account.account_id, removal.left_open),
    )


def group_view(group: AccountGroup, accounts: Mapping[str, Account]) -> GroupView:
    """Return a group's view; `accounts` are its owner's, by id."""
    members = [accounts[each] for each in group.account_ids if each in accounts]
    return GroupView(
        name=group.name,
        accounts=[
            GroupMemberView(
                account_id=each.account_id,
                account=each.label,
                venue=each.venue,
                network=each.network.value,
                state=each.state.value,
            )
            for each in members
        ],
    )
