"""Parent orders of whatever kind in SQL: how far each is, in a table of its kind; for ever."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, bindparam, select, update

from domain.orders import Order
from domain.parent_orders import REQUESTED, ParentFilter, ParentState
from storage import codec
from storage.clock import Clock, utc_now
from storage.codec import Codec
from storage.engine import Database
from storage.tables import orders

S = TypeVar("S", bound=ParentState)
F = TypeVar("F", bound=ParentFilter)


def _nothing_more(wanted: object) -> list[ColumnElement[bool]]:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentTable(Generic[S, F]):
    """Where parent orders of one kind are kept.

    `fixed` returns what never changes of one, by column: its id (the primary key), owner, symbol,
    `created_at`. `narrowed` returns what a filter asks beyond owner, symbol and whether it runs.
    """

    table: Table
    states: Codec[S]
    fixed: Callable[[S], dict[str, Any]]
    narrowed: Callable[[F], Sequence[ColumnElement[bool]]] = _nothing_more


class SqlParentOrderStore(Generic[S, F]):
    """Implements `domain.parent_orders.ParentOrderStore` over one table."""

    def __init__(
        self, database: Database, kept: ParentTable[S, F], *, now: Clock = utc_now
    ) -> None:
        self._database = database
        self._kept = kept
        self._now = now
        table = self._table = kept.table
        [self._id] = table.primary_key.columns
        self._insert = database.insert(table).on_conflict_do_nothing(index_elements=[self._id.name])
        self._read = select(table.c.body).where(self._id == bindparam("an_id"))
        self._read_locked = self._read if database.is_sqlite else self._read.with_for_update()
        self._write = (
            update(table)
            .where(self._id == bindparam("an_id"))
            .values({name: bindparam(name) for name in ("status", "ended", "updated_at", "body")})
        )

    async def keep(self, state: S) -> S:
        """Write how far a parent order is; return what is kept. See the port."""
        fixed = self._kept.fixed(state)
        key = {"an_id": fixed[self._id.name]}
        moving = {
            "status": str(state.status),
            "ended": state.status.is_terminal,
            "updated_at": self._now(),
            "body": self._kept.states.encode(state),
        }

        def work(connection: Connection) -> S:
            if connection.execute(self._insert, fixed | moving).rowcount == 1:
                return state
            found = connection.execute(self._read_locked, key).one()
            kept = self._kept.states.decode(found.body)
            if kept.status.is_terminal or moving["status"] == REQUESTED:
                return kept
            connection.execute(self._write, key | moving)
            return state

        return await self._database.write(work)

    async def get(self, parent_id: str) -> S | None:
        """Return a parent order, or None."""
        found = await self._database.fetch_one(self._read, {"an_id": parent_id})
        return None if found is None else self._kept.states.decode(found.body)

    async def unfinished(self, *, before: datetime) -> tuple[S, ...]:
        """Return those of all owners that have not ended and were last written before a time."""
        columns = self._table.c
        query = (
            select(columns.body)
            .where(~columns.ended, columns.updated_at < before)
            .order_by(columns.created_at, self._id)
        )
        rows = await self._database.fetch_all(query)
        return tuple(self._kept.states.decode(row.body) for row in rows)

    async def page(self, wanted: F) -> tuple[S, ...]:
        """Return parent orders, newest first."""
        columns = self._table.c
        query = (
            select(columns.body)
            .where(columns.owner == wanted.owner, *self._kept.narrowed(wanted))
            .order_by(columns.created_at.desc(), self._id.desc())
            .limit(wanted.limit)
        )
        if wanted.symbol is not None:
            query = query.where(columns.symbol == wanted.symbol)
        if wanted.running is not None:
            query = query.where(columns.ended != wanted.running)
        rows = await self._database.fetch_all(query)
        return tuple(self._kept.states.decode(row.body) for row in rows)

    async def orders(self, order_ids: Sequence[str]) -> tuple[Order, ...]:
        """Return those of these orders that are stored."""
        rows = await self._database.fetch_all(_READ_ORDERS, {"order_ids": list(order_ids)})
        return tuple(codec.orders.decode(row.body) for row in rows)


_READ_ORDERS = select(orders.c.body).where(
    orders.c.order_id.in_(bindparam("order_ids", expanding=True))
)
