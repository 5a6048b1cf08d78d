"""Changing accounts in use: their label, which is the default, and taking one out of use.

What an account has open is counted in the transaction that takes it out of use, so that no order
slips in between. Knows no storage and no venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from domain.accounts import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPosition:
    """An open position; `quantity` is below zero for a short."""

    symbol: str
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What an account has open: orders that have not ended, positions, and what works on them.

    `as_of` is when the venue was last heard on the account, None if it never was.
    """

    order_ids: tuple[str, ...] = ()
    positions: tuple[HeldPosition, ...] = ()
    close_ids: tuple[str, ...] = ()
    bracket_ids: tuple[str, ...] = ()
    condition_ids: tuple[str, ...] = ()
    as_of: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is open."""
        works = self.close_ids or self.bracket_ids or self.condition_ids
        return not (self.order_ids or self.positions or works)

    @property
    def in_words(self) -> str:
        """What is open, for a person."""
        parts = [
            f"{len(ids)} {what}{'' if len(ids) == 1 else 's'}"
            for ids, what in (
                (self.order_ids, "open order"),
                (self.positions, "open position"),
                (self.close_ids, "running close"),
                (self.bracket_ids, "running bracket"),
                (self.condition_ids, "conditional close"),
            )
            if ids
        ]
        return ", ".join(parts) or "nothing open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What became of a request to take an account out of use, and what it had open then.

    The account is as it was where `is_done` is False.
    """

    account: Account
    left_open: Holdings
    is_done: bool


class AccountChanges(Protocol):
    """What an owner changes of an account."""

    async def holdings(self, account_id: str) -> Holdings:
        """Return what the account has open, as our books and the venue's last word say."""
        ...

    async def rename(self, account_id: str, label: str) -> Account:
        """Give an account in use another label; its id, orders and history stay.

        Raises:
            NotFound: there is no such account.
            Conflict: the owner has another account in use of that label, or this one is not in use.
        """
        ...

    async def make_default(self, account_id: str) -> Account:
        """Make an account in use its owner's default, and no other.

        Raises:
            NotFound: there is no such account.
            Conflict: it is not in use.
        """
        ...

    async def remove(self, account_id: str, *, force: bool, by: str) -> Removal:
        """Take an account out of use unless it has something open; with `force` whatever is open.

        Nothing is canceled or closed. The credential stays only to resolve what it signed.

        Raises:
            NotFound: there is no such account.
        """
        ...
