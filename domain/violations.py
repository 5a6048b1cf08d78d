"""A limit that an order would exceed: which one, what it is, and what was found.

Carried by refusals and by the orders they denied. Knows no order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from domain.numbers import plain

ALL_ACCOUNTS = "*"
"""The scope of limits (and halts) that hold for everything; any other is an account's id."""


class LimitName(StrEnum):
    """The limits there are, named as in documents and options.

    Notionals and losses are in quote units; a distance is in basis points of the mark price.
    """

    MAX_ORDER_NOTIONAL = "max_order_notional"
    MAX_POSITION_NOTIONAL = "max_position_notional"
    MAX_TOTAL_NOTIONAL = "max_total_notional"
    MAX_LEVERAGE = "max_leverage"
    MAX_OPEN_ORDERS = "max_open_orders"
    MAX_ORDERS_PER_MINUTE = "max_orders_per_minute"
    MAX_PRICE_DISTANCE_BPS = "max_price_distance_bps"
    MAX_DAILY_LOSS = "max_daily_loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One limit exceeded. `value` is what it would come to, None where that cannot be counted.

    `scope` is an account's id, or `*` for a limit of everything. `note` says why a value cannot be
    counted, or what it is of.
    """

    limit: LimitName
    limit_value: Decimal
    value: Decimal | None
    scope: str
    note: str = ""

    def __str__(self) -> str:
        whose = "of all accounts" if self.scope == ALL_ACCOUNTS else "of this account"
        found = "found no value" if self.value is None else f"found {plain(self.value)}"
        note = f" ({self.note})" if self.note else ""
        return f"{self.limit} {whose}: expected at most {plain(self.limit_value)}, {found}{note}"


def in_words(violations: Sequence[Violation]) -> str:
    """Return all of them in one line."""
    return "; ".join(str(violation) for violation in violations)
