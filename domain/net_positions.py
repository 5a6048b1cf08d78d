"""Our own count of each account's net position, moved by every fill we learn of.

It moves with the cumulative filled quantity of our orders and with fills that belong to none of
them, in the transaction that writes those; so it is what we can know without asking the venue, and
what the venue's word is compared with. Knows no storage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from typing import Protocol

from domain.fills import Fill
from domain.instruments import OrderSide
from domain.orders import Order

#: Wide enough that no sum of quantities or of values is ever rounded.
EXACT = Context(prec=200)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetPosition:
    """An account's net position in one market.

    `quantity` is in base units, above zero for long and below for short. `last_price` is what its
    last change was done at, where that is known: a value of last resort where no mark is.
    """

    account_id: str
    symbol: str
    quantity: Decimal
    last_price: Decimal | None
    updated_at: datetime


class NetPositions(Protocol):
    """Reading our count, and correcting it by the venue's."""

    async def quantity(self, account_id: str, symbol: str) -> Decimal:
        """Return the signed quantity; 0 where nothing ever filled."""
        ...

    async def of_account(self, account_id: str) -> tuple[NetPosition, ...]:
        """Return every market of an account that ever had a fill, by symbol; flat ones too."""
        ...

    async def correct(
        self,
        account_id: str,
        symbol: str,
        quantity: Decimal,
        evidence: str,
        *,
        found: Decimal | None = None,
    ) -> NetPosition:
        """Set the signed quantity to the venue's, under the account's lock; keep why.

        `found` is the quantity the venue's was compared with: where given, a count that has moved
        since is left alone.

        Raises:
            NotFound: there is no such account.
            Conflict: the count is not `found` any more; compare again.
        """
        ...


def signed(side: OrderSide, quantity: Decimal) -> Decimal:
    """Return `quantity` as it changes a position: bought above zero, sold below."""
    return quantity if side is OrderSide.BUY else -quantity


def order_change(before: Order | None, after: Order, matched: Iterable[Fill] = ()) -> Decimal:
    """Return what the change from `before` (None: it was not there) to `after` does to the count.

    `matched` are fills that had been counted by themselves and now belong to the order.
    """
    filled = signed(after.side, after.filled_quantity)
    if before is not None:
        filled = EXACT.subtract(filled, signed(before.side, before.filled_quantity))
    return EXACT.subtract(filled, fills_change(matched))


def fills_change(fills: Iterable[Fill]) -> Decimal:
    """Return what fills that belong to no order of ours do to the count."""
    change = Decimal(0)
    for fill in fills:
        change = EXACT.add(change, signed(fill.side, fill.quantity))
    return change
