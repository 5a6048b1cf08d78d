"""Closes in SQL: what was asked, how far it is, and the orders it gave; kept for ever."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, select, update

from domain.close_store import CloseFilter
from domain.closing import ClosePlan, CloseState, CloseStatus, closing_order_id
from domain.errors import NotFound
from domain.orders import Order, Origin
from storage import codec
from storage.clock import Clock, utc_now
from storage.closing_tables import closes
from storage.codec import Codec
from storage.engine import Database
from storage.parent_orders import ParentTable, SqlParentOrderStore
from storage.tables import orders

_plans = Codec(ClosePlan)
_states = Codec(CloseState)
_IDS_AT_ONCE = 500
_CLOSING = (Origin.CLOSE, Origin.KILL_SWITCH)


class SqlCloseStore:
    """Implements `domain.close_store.CloseStore`."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        self._parents = SqlParentOrderStore(database, _CLOSES, now=now)

    async def request(self, plan: ClosePlan) -> CloseState:
        """Keep a close that is asked for, or return what is known of the one of that id."""
        return await self.keep(CloseState(plan=plan))

    async def withdraw(self, close_id: str) -> None:
        """Forget a close that was asked for and provably never begun."""
        gone = delete(closes).where(
            closes.c.close_id == close_id,
            closes.c.status == CloseStatus.REQUESTED.value,
            closes.c.joined_id.is_(None),
        )

        def work(connection: Connection) -> None:
            connection.execute(gone)

        await self._database.write(work)

    async def join(self, close_id: str, running_id: str) -> None:
        """Have a close that was asked for stand for the one that runs already.

        Raises:
            NotFound: it was never asked for.
        """
        joins = (
            update(closes)
            .where(closes.c.close_id == close_id)
            .values(joined_id=running_id, ended=True, updated_at=self._now())
        )

        def work(connection: Connection) -> None:
            if connection.execute(joins).rowcount == 0:
                raise NotFound(f"no close {close_id}")

        await self._database.write(work)

    async def keep(self, state: CloseState) -> CloseState:
        """Write how far a close is; return what is kept. See `domain.parent_orders`."""
        return await self._parents.keep(state)

    async def get(self, close_id: str) -> CloseState | None:
        """Return a close (the one it joined, if it joined one), or None."""
        found = await self._database.fetch_one(_READ, _key(close_id))
        if found is not None and found.joined_id is not None:
            found = await self._database.fetch_one(_READ, _key(found.joined_id))
        return None if found is None else _states.decode(found.body)

    async def plan(self, close_id: str) -> ClosePlan | None:
        """Return what was asked under this id itself, joined or not, or None."""
        found = await self._database.fetch_one(_READ, _key(close_id))
        return None if found is None else _plans.decode(found.plan)

    async def unfinished(self, *, before: datetime) -> tuple[CloseState, ...]:
        """Return those of all owners that have not ended and were last written before a time."""
        return await self._parents.unfinished(before=before)

    async def page(self, wanted: CloseFilter) -> tuple[CloseState, ...]:
        """Return closes, newest first; those that joined another are not told twice."""
        return await self._parents.page(wanted)

    async def orders(self, close_id: str, count: int) -> tuple[Order, ...]:
        """Return the first `count` orders of a close that are stored, oldest first."""
        ids = [closing_order_id(close_id, number) for number in range(count)]
        place = {order_id: number for number, order_id in enumerate(ids)}
        found: list[Order] = []
        for start in range(0, count, _IDS_AT_ONCE):
            wanted = {"order_ids": ids[start : start + _IDS_AT_ONCE]}
            rows = await self._database.fetch_all(_READ_ORDERS, wanted)
            found += [codec.orders.decode(row.body) for row in rows]
        return tuple(sorted(found, key=lambda order: place[order.order_id]))

    async def live_orders(self, account_id: str, symbol: str) -> tuple[Order, ...]:
        """Return the closing orders of an account and symbol that have not ended."""
        wanted = {"an_account_id": account_id, "a_symbol": symbol}
        rows = await self._database.fetch_all(_READ_LIVE, wanted)
        live = (codec.orders.decode(row.body) for row in rows)
        return tuple(
            order for order in live if order.origin in _CLOSING and order.parent_id is not None
        )


def _fixed(state: CloseState) -> dict[str, Any]:
    plan = state.plan
    return {
        "close_id": plan.close_id,
        "owner": plan.owner,
        "account_id": plan.account_id,
        "symbol": plan.symbol,
        "created_at": plan.created_at,
        "plan": _plans.encode(plan),
    }


def _narrowed(wanted: CloseFilter) -> list[ColumnElement[bool]]:
    is_own = closes.c.joined_id.is_(None)
    if wanted.account_id is None:
        return [is_own]
    return [is_own, closes.c.account_id == wanted.account_id]


_CLOSES: ParentTable[CloseState, CloseFilter] = ParentTable(
    table=closes, states=_states, fixed=_fixed, narrowed=_narrowed
)


def _key(close_id: str) -> dict[str, str]:
    return {"a_close_id": close_id}


_READ = select(closes.c.plan, closes.c.body, closes.c.joined_id).where(
    closes.c.close_id == bindparam("a_close_id")
)
_READ_ORDERS = select(orders.c.body).where(
    orders.c.order_id.in_(bindparam("order_ids", expanding=True))
)
_READ_LIVE = (
    select(orders.c.body)
    .where(
        orders.c.account_id == bindparam("an_account_id"),
        orders.c.symbol == bindparam("a_symbol"),
        ~orders.c.ended,
    )
    .order_by(orders.c.created_at, orders.c.order_id)
)
