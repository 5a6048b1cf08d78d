"""Account groups: names under which an owner looks at several accounts together.

A group is its members and nothing else: one without members does not exist. Grouping changes
nothing of an account; its keys, limits and orders stay its own. Knows no storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from domain.errors import InvalidInput
from domain.identifiers import check_label

MEMBERS_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountGroup:
    """A group with the ids of its members, oldest account first."""

    owner: str
    name: str
    account_ids: tuple[str, ...]


def check_group_name(text: str) -> str:
    """Return `text` if it can name a group; the rules are those of an account's label.

    Raises:
        InvalidInput: it cannot.
    """
    try:
        return check_label(text)
    except InvalidInput as error:
        raise InvalidInput("group", error.message) from None


class AccountGroupStore(Protocol):
    """The groups of principals. Accounts that were removed are members of none."""

    async def of_owner(self, owner: str) -> tuple[AccountGroup, ...]:
        """Return a principal's groups, by name."""
        ...

    async def get(self, owner: str, name: str) -> AccountGroup | None:
        """Return a group, or None where it has no member."""
        ...

    async def replace(self, owner: str, name: str, account_ids: Sequence[str]) -> AccountGroup:
        """Make these accounts the group's members, and no others.

        Raises:
            NotFound: one of them is not an account in use of the owner's; nothing was changed.
            InvalidInput: they are more than a group can have.
        """
        ...

    async def change(
        self, owner: str, name: str, *, add: Sequence[str] = (), drop: Sequence[str] = ()
    ) -> AccountGroup:
        """Add members and drop others, in one step; doing it again changes nothing.

        Raises:
            NotFound: one to be added is not an account in use of the owner's; nothing was changed.
            InvalidInput: the group would have more members than it can.
        """
        ...
