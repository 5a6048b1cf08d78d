"""What was traded since 00:00 UTC, per account and market, added up as fills are booked.

Sums are kept in this process and only fills booked since are read, so that asking costs little at
the end of a busy day too. Fills of an account get their numbers under its lock, so none is missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from sqlalchemy import Connection, bindparam, select

from domain.instruments import OrderSide
from domain.net_positions import EXACT, signed
from storage.tables import fills


@dataclass(frozen=True, slots=True)
class Traded:
    """Bought less sold in one market, and what was paid for it."""

    quantity: Decimal = Decimal(0)
    value: Decimal = Decimal(0)

    def plus(self, quantity: Decimal, price: Decimal) -> Traded:
        """Return the sum with one more fill; `quantity` is signed."""
        return Traded(
            EXACT.add(self.quantity, quantity),
            EXACT.add(self.value, EXACT.multiply(quantity, price)),
        )


@dataclass(frozen=True, slots=True)
class DaySums:
    """One account's day so far; fills up to number `last_fill` are in it."""

    since: datetime
    last_fill: int = 0
    markets: Mapping[str, Traded] = field(default_factory=lambda: MappingProxyType({}))
    fees: Decimal = Decimal(0)


class DayFills:
    """The sums of the accounts that were asked for."""

    def __init__(self) -> None:
        self._sums: dict[str, DaySums] = {}

    def sums(self, connection: Connection, account_id: str, since: datetime) -> DaySums:
        """Return what an account traded since the day began at `since`."""
        known = self._sums.get(account_id)
        if known is None or known.since != since:
            known = DaySums(since)
        key = {"an_account_id": account_id, "since": since, "last_fill": known.last_fill}
        rows = connection.execute(_NEWER, key).all()
        if not rows:
            return known
        markets, fees = dict(known.markets), known.fees
        for row in rows:
            quantity = signed(OrderSide(row.side), Decimal(row.quantity))
            market = markets.get(row.symbol, Traded())
            markets[row.symbol] = market.plus(quantity, Decimal(row.price))
            fees = EXACT.add(fees, Decimal(row.fee))
        # Set whole: of two who read at once either has counted each fill once.
        sums = DaySums(since, rows[-1].fill_id, MappingProxyType(markets), fees)
        self._sums[account_id] = sums
        return sums


_NEWER = (
    select(
        fills.c.fill_id, fills.c.symbol, fills.c.side, fills.c.quantity, fills.c.price, fills.c.fee
    )
    .where(
        fills.c.account_id == bindparam("an_account_id"),
        fills.c.fill_id > bindparam("last_fill"),
        fills.c.event_time >= bindparam("since"),
    )
    .order_by(fills.c.fill_id)
)
