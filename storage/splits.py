"""Split orders in SQL: what was asked and how far it is; kept for ever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from domain.orders import Order
from domain.routing_store import SplitFilter
from domain.splits import SplitState, SplitStatus
from storage import codec
from storage.clock import Clock, utc_now
from storage.codec import Codec
from storage.engine import Database
from storage.routing_tables import splits
from storage.tables import orders

_states = Codec(SplitState)


class SqlSplitStore:
    """Implements `domain.routing_store.SplitStore`."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        self._insert = database.insert(splits).on_conflict_do_nothing(index_elements=["split_id"])

    async def keep(self, state: SplitState) -> SplitState:
        """Write how far a split order is; return what is kept.

        One that has ended stays as it is, and a mere request never overwrites what was begun.
        """
        values = _values(state) | {"updated_at": self._now()}
        key = {"a_split_id": state.plan.split_id}

        def work(connection: Connection) -> SplitState:
            if connection.execute(self._insert, values).rowcount == 1:
                return state
            found = connection.execute(self._read_locked(), key).one()
            kept = _states.decode(found.body)
            if kept.status.is_terminal or state.status is SplitStatus.REQUESTED:
                return kept
            changed = {name: values[name] for name in ("status", "ended", "updated_at", "body")}
            connection.execute(_WRITE, key | changed)
            return state

        return await self._database.write(work)

    def _read_locked(self) -> Any:
        return _READ if self._database.is_sqlite else _READ.with_for_update()

    async def get(self, split_id: str) -> SplitState | None:
        """Return a split order, or None."""
        found = await self._database.fetch_one(_READ, {"a_split_id": split_id})
        return None if found is None else _states.decode(found.body)

    async def unfinished(self, *, before: datetime) -> tuple[SplitState, ...]:
        """Return those of all owners that have not ended and were last written before a time."""
        query = (
            select(splits.c.body)
            .where(~splits.c.ended, splits.c.updated_at < before)
            .order_by(splits.c.created_at, splits.c.split_id)
        )
        rows = await self._database.fetch_all(query)
        return tuple(_states.decode(row.body) for row in rows)

    async def page(self, wanted: SplitFilter) -> tuple[SplitState, ...]:
        """Return split orders, newest first."""
        query = (
            select(splits.c.body)
            .where(splits.c.owner == wanted.owner)
            .order_by(splits.c.created_at.desc(), splits.c.split_id.desc())
            .limit(wanted.limit)
        )
        if wanted.symbol is not None:
            query = query.where(splits.c.symbol == wanted.symbol)
        if wanted.running is not None:
            query = query.where(splits.c.ended != wanted.running)
        rows = await self._database.fetch_all(query)
        return tuple(_states.decode(row.body) for row in rows)

    async def orders(self, order_ids: Sequence[str]) -> tuple[Order, ...]:
        """Return those of these orders that are stored."""
        rows = await self._database.fetch_all(_READ_ORDERS, {"order_ids": list(order_ids)})
        return tuple(codec.orders.decode(row.body) for row in rows)


def _values(state: SplitState) -> dict[str, Any]:
    plan = state.plan
    return {
        "split_id": plan.split_id,
        "owner": plan.owner,
        "symbol": plan.symbol,
        "status": state.status.value,
        "ended": state.status.is_terminal,
        "created_at": plan.created_at,
        "body": _states.encode(state),
    }


_READ = select(splits.c.body).where(splits.c.split_id == bindparam("a_split_id"))
_WRITE: Any = (
    update(splits)
    .where(splits.c.split_id == bindparam("a_split_id"))
    .values(
        status=bindparam("status"),
        ended=bindparam("ended"),
        updated_at=bindparam("updated_at"),
        body=bindparam("body"),
    )
)
_READ_ORDERS = select(orders.c.body).where(
    orders.c.order_id.in_(bindparam("order_ids", expanding=True))
)
