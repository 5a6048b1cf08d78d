"""Net positions in SQL: moved inside the transactions that book fills, read, and corrected.

Everything is written under the account's lock, which whoever calls `NetPositionWriter` holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select

from domain.errors import Conflict, NotFound
from domain.fills import Fill
from domain.net_positions import EXACT, NetPosition, fills_change, order_change
from domain.numbers import plain
from domain.orders import Order
from storage import codec
from storage.clock import Clock, utc_now
from storage.engine import Database
from storage.risk_tables import net_positions, position_corrections
from storage.tables import account_sequences


class NetPositionWriter:
    """The statements that move net positions; all run inside the caller's transaction."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._now = now
        row = database.insert(net_positions)
        names = ("quantity", "last_price", "updated_at")
        self._write = row.on_conflict_do_update(
            index_elements=["account_id", "symbol"],
            set_={name: row.excluded[name] for name in names},
        )

    def order_changed(
        self,
        connection: Connection,
        before: Order | None,
        after: Order,
        matched: Iterable[Fill] = (),
    ) -> None:
        """Move the position by what an order has filled since `before`.

        `matched` are fills that were counted by themselves before and are the order's now.
        """
        change = order_change(before, after, matched)
        price = after.average_price or after.price
        self._move(connection, after.account_id, after.symbol, change, price)

    def unmatched_booked(self, connection: Connection, fills: Iterable[Fill]) -> None:
        """Move positions by fills that belong to no order of ours (yet)."""
        by_market: dict[tuple[str, str], list[Fill]] = {}
        for fill in fills:
            by_market.setdefault((fill.account_id, fill.symbol), []).append(fill)
        for (account_id, symbol), booked in by_market.items():
            self._move(connection, account_id, symbol, fills_change(booked), booked[-1].price)

    def read(self, connection: Connection, account_id: str, symbol: str) -> NetPosition | None:
        """Return the position, or None where nothing ever filled."""
        key = {"an_account_id": account_id, "a_symbol": symbol}
        row = connection.execute(_READ_ONE, key).first()
        return None if row is None else _read_position(row)

    def write(
        self,
        connection: Connection,
        account_id: str,
        symbol: str,
        quantity: Decimal,
        last_price: Decimal | None,
    ) -> NetPosition:
        """Write a position as it is now."""
        position = NetPosition(
            account_id=account_id,
            symbol=symbol,
            quantity=quantity,
            last_price=last_price,
            updated_at=self._now(),
        )
        values = {
            "account_id": account_id,
            "symbol": symbol,
            "quantity": plain(quantity),
            "last_price": None if last_price is None else plain(last_price),
            "updated_at": position.updated_at,
        }
        connection.execute(self._write, values)
        return position

    def _move(
        self,
        connection: Connection,
        account_id: str,
        symbol: str,
        change: Decimal,
        price: Decimal | None,
    ) -> None:
        if not change:
            return
        held = self.read(connection, account_id, symbol)
        quantity = change if held is None else EXACT.add(held.quantity, change)
        if price is None and held is not None:
            price = held.last_price
        self.write(connection, account_id, symbol, quantity, price)


class SqlNetPositions:
    """Implements `domain.net_positions.NetPositions`."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        self._writer = NetPositionWriter(database, now)

    async def quantity(self, account_id: str, symbol: str) -> Decimal:
        """Return the signed quantity; 0 where nothing ever filled."""
        held = await self._database.read(
            lambda connection: self._writer.read(connection, account_id, symbol)
        )
        return Decimal(0) if held is None else held.quantity

    async def of_account(self, account_id: str) -> tuple[NetPosition, ...]:
        """Return every market of an account that ever had a fill, by symbol; flat ones too."""
        rows = await self._database.fetch_all(_READ_ALL, {"an_account_id": account_id})
        return tuple(_read_position(row) for row in rows)

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

        Raises:
            NotFound: there is no such account.
            Conflict: the count is not `found` any more; compare again.
        """

        def work(connection: Connection) -> NetPosition:
            self._lock(connection, account_id)
            held = self._writer.read(connection, account_id, symbol)
            if held is not None and held.quantity == quantity:
                return held
            before = Decimal(0) if held is None else held.quantity
            if found is not None and before != found:
                raise Conflict(
                    f"expected our position in {symbol} to be {plain(found)} still, it is "
                    f"{plain(before)}; compare with the venue again",
                    code="position_moved",
                )
            last_price = None if held is None else held.last_price
            position = self._writer.write(connection, account_id, symbol, quantity, last_price)
            values = {
                "account_id": account_id,
                "symbol": symbol,
                "quantity_before": plain(before),
                "quantity_after": plain(quantity),
                "evidence": codec.storable_text(evidence),
                "corrected_at": position.updated_at,
            }
            connection.execute(insert(position_corrections), values)
            return position

        return await self._database.write(work)

    def _lock(self, connection: Connection, account_id: str) -> None:
        query = _ACCOUNT if self._database.is_sqlite else _ACCOUNT.with_for_update()
        if connection.execute(query, {"an_account_id": account_id}).first() is None:
            raise NotFound(f"no account {account_id!r}")


def _read_position(row: Row[Any]) -> NetPosition:
    return NetPosition(
        account_id=row.account_id,
        symbol=row.symbol,
        quantity=Decimal(row.quantity),
        last_price=None if row.last_price is None else Decimal(row.last_price),
        updated_at=row.updated_at,
    )


_READ_ALL = (
    select(net_positions)
    .where(net_positions.c.account_id == bindparam("an_account_id"))
    .order_by(net_positions.c.symbol)
)
_READ_ONE = _READ_ALL.where(net_positions.c.symbol == bindparam("a_symbol"))
_ACCOUNT = select(account_sequences.c.account_id).where(
    account_sequences.c.account_id == bindparam("an_account_id")
)
