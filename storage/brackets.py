"""Brackets in SQL: what was asked and how far it is; kept for ever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from domain.bracket_store import BracketFilter
from domain.brackets import BracketState, BracketStatus
from domain.orders import Order
from storage import codec
from storage.clock import Clock, utc_now
from storage.closing_tables import brackets
from storage.codec import Codec
from storage.engine import Database
from storage.tables import orders

_states = Codec(BracketState)


class SqlBracketStore:
    """Implements `domain.bracket_store.BracketStore`."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        self._insert = database.insert(brackets).on_conflict_do_nothing(
            index_elements=["bracket_id"]
        )

    async def keep(self, state: BracketState) -> BracketState:
        """Write how far a bracket is; return what is kept.

        One that has ended stays as it is, and a mere request never overwrites what was begun.
        """
        values = _values(state) | {"updated_at": self._now()}
        key = {"a_bracket_id": state.plan.bracket_id}

        def work(connection: Connection) -> BracketState:
            if connection.execute(self._insert, values).rowcount == 1:
                return state
            found = connection.execute(self._read_locked(), key).one()
            kept = _states.decode(found.body)
            if kept.status.is_terminal or state.status is BracketStatus.REQUESTED:
                return kept
            changed = {name: values[name] for name in ("status", "ended", "updated_at", "body")}
            connection.execute(_WRITE, key | changed)
            return state

        return await self._database.write(work)

    def _read_locked(self) -> Any:
        return _READ if self._database.is_sqlite else _READ.with_for_update()

    async def get(self, bracket_id: str) -> BracketState | None:
        """Return a bracket, or None."""
        found = await self._database.fetch_one(_READ, {"a_bracket_id": bracket_id})
        return None if found is None else _states.decode(found.body)

    async def unfinished(self, *, before: datetime) -> tuple[BracketState, ...]:
        """Return those of all owners that have not ended and were last written before a time."""
        query = (
            select(brackets.c.body)
            .where(~brackets.c.ended, brackets.c.updated_at < before)
            .order_by(brackets.c.created_at, brackets.c.bracket_id)
        )
        rows = await self._database.fetch_all(query)
        return tuple(_states.decode(row.body) for row in rows)

    async def page(self, wanted: BracketFilter) -> tuple[BracketState, ...]:
        """Return brackets, newest first."""
        query = (
            select(brackets.c.body)
            .where(brackets.c.owner == wanted.owner)
            .order_by(brackets.c.created_at.desc(), brackets.c.bracket_id.desc())
            .limit(wanted.limit)
        )
        if wanted.account_id is not None:
            query = query.where(brackets.c.account_id == wanted.account_id)
        if wanted.symbol is not None:
            query = query.where(brackets.c.symbol == wanted.symbol)
        if wanted.running is not None:
            query = query.where(brackets.c.ended != wanted.running)
        rows = await self._database.fetch_all(query)
        return tuple(_states.decode(row.body) for row in rows)

    async def orders(self, order_ids: Sequence[str]) -> tuple[Order, ...]:
        """Return those of these orders that are stored."""
        rows = await self._database.fetch_all(_READ_ORDERS, {"order_ids": list(order_ids)})
        return tuple(codec.orders.decode(row.body) for row in rows)


def _values(state: BracketState) -> dict[str, Any]:
    entry = state.plan.entry
    return {
        "bracket_id": state.plan.bracket_id,
        "owner": entry.owner,
        "account_id": entry.account_id,
        "symbol": entry.symbol,
        "status": state.status.value,
        "ended": state.status.is_terminal,
        "created_at": entry.created_at,
        "body": _states.encode(state),
    }


_READ = select(brackets.c.body).where(brackets.c.bracket_id == bindparam("a_bracket_id"))
_WRITE: Any = (
    update(brackets)
    .where(brackets.c.bracket_id == bindparam("a_bracket_id"))
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
