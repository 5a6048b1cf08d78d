"""Conditional closes in SQL: what is watched, by whom, the trailing extremes; kept for ever."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, delete, or_, select, update

from domain.closing import CloseStatus
from domain.condition_store import ActiveGuard, ConditionFilter, MovedExtreme
from domain.conditions import better
from domain.guard_steps import WATCH_FRESH
from domain.guarding import Extreme, GuardPlan, GuardState, GuardStatus, Watch
from domain.numbers import plain
from storage.clock import Clock, utc_now
from storage.closing_tables import closes
from storage.codec import Codec
from storage.condition_tables import conditions
from storage.engine import Database
from storage.risk_tables import net_positions
from storage.tables import orders

_states = Codec(GuardState)


class SqlConditionStore:
    """Implements `domain.condition_store.ConditionStore`; `told` hears of accounts with news."""

    def __init__(
        self,
        database: Database,
        *,
        now: Clock = utc_now,
        told: Callable[[str], None] = lambda account_id: None,
    ) -> None:
        self._database = database
        self._now = now
        self._told = told
        self._insert = database.insert(conditions).on_conflict_do_nothing(
            index_elements=["condition_id"]
        )

    async def keep(self, state: GuardState) -> GuardState:
        """Write how far a guard is; return what is kept.

        One that has ended stays as it is, and a mere request never overwrites what was begun.
        """
        condition_id = state.plan.condition_id

        def work(connection: Connection) -> GuardState:
            values = _values(state) | {"updated_at": self._now()}
            if connection.execute(self._insert, values).rowcount == 1:
                return state
            kept = _read(connection.execute(self._read_locked(), _key(condition_id)).one())
            if kept.status.is_terminal or state.status is GuardStatus.REQUESTED:
                return kept
            merged = replace(state, watch=kept.watch, extreme=_merged(state, kept))
            changed = _values(merged) | {"updated_at": self._now()}
            connection.execute(
                _WRITE, _key(condition_id) | {name: changed[name] for name in _WRITTEN}
            )
            return merged

        kept = await self._database.write(work)
        self._told(kept.plan.account_id)
        return kept

    def _read_locked(self) -> Any:
        return _READ if self._database.is_sqlite else _READ.with_for_update()

    async def withdraw(self, condition_id: str) -> None:
        """Forget a guard that was asked for and provably never begun."""
        gone = delete(conditions).where(
            conditions.c.condition_id == condition_id,
            conditions.c.status == GuardStatus.REQUESTED.value,
        )

        def work(connection: Connection) -> None:
            connection.execute(gone)

        await self._database.write(work)

    async def get(self, condition_id: str) -> GuardState | None:
        """Return a guard, or None."""
        found = await self._database.fetch_one(_READ, _key(condition_id))
        return None if found is None else _read(found)

    async def page(self, wanted: ConditionFilter) -> tuple[GuardState, ...]:
        """Return guards, newest first."""
        query = (
            select(conditions)
            .where(conditions.c.owner == wanted.owner)
            .order_by(conditions.c.created_at.desc(), conditions.c.condition_id.desc())
            .limit(wanted.limit)
        )
        if wanted.account_id is not None:
            query = query.where(conditions.c.account_id == wanted.account_id)
        if wanted.symbol is not None:
            query = query.where(conditions.c.symbol == wanted.symbol)
        if wanted.running is not None:
            query = query.where(conditions.c.ended != wanted.running)
        return tuple(_read(row) for row in await self._database.fetch_all(query))

    async def active(self) -> tuple[ActiveGuard, ...]:
        """Return every guard that watches now."""
        rows = await self._database.fetch_all(_READ_ACTIVE)
        return tuple(
            ActiveGuard(state=_read(row), held=None if row.held is None else _quantity(row.held))
            for row in rows
        )

    async def silent(self, *, before: datetime) -> tuple[GuardPlan, ...]:
        """Return the plans of guards that have not ended and that nobody has written since."""
        rows = await self._database.fetch_all(_READ_SILENT, {"before": before})
        return tuple(_read(row).plan for row in rows)

    async def watched(self, condition_ids: Collection[str], *, by: str, at: datetime) -> None:
        """Prove that guards are evaluated on fresh marks, in one statement."""
        if not condition_ids:
            return
        values = {
            "condition_ids": list(condition_ids),
            "watcher": by,
            "now": at,
            "fresh_since": at - WATCH_FRESH,
        }

        def work(connection: Connection) -> None:
            connection.execute(_WATCHED, values)

        await self._database.write(work)

    async def move_extremes(self, moved: Collection[MovedExtreme]) -> None:
        """Keep trailing extremes; one that is no better, or of another version, changes nothing."""

        def work(connection: Connection) -> None:
            for extreme in sorted(moved, key=lambda one: one.condition_id):
                key = _key(extreme.condition_id)
                found = connection.execute(self._read_locked(), key).one_or_none()
                if found is None or found.version != extreme.version or found.ended:
                    continue
                kept = _read(found)
                if kept.position is None:
                    continue
                known = None if kept.extreme is None else kept.extreme.price
                best = better(kept.position, known, extreme.price)
                if best is not None and best != known:
                    connection.execute(
                        _MOVE, key | {"extreme": plain(best), "extreme_at": extreme.at}
                    )

        if moved:
            await self._database.write(work)

    async def how_it_closed(self, close_id: str) -> CloseStatus | None:
        """Return how a guard's close ended; None: it has not begun, or not ended."""
        found = await self._database.fetch_one(_READ_CLOSE, {"a_close_id": close_id})
        return None if found is None else CloseStatus(found.status)

    async def live_orders(self, order_ids: Collection[str]) -> tuple[str, ...]:
        """Return which of these orders are ours and have not ended."""
        rows = await self._database.fetch_all(_READ_LIVE, {"order_ids": list(order_ids)})
        return tuple(row.order_id for row in rows)


def _merged(state: GuardState, kept: GuardState) -> Extreme | None:
    """Return the better extreme of one version; a new version begins with its own."""
    if state.extreme is None or kept.extreme is None or state.position is None:
        return state.extreme
    if state.plan.version != kept.plan.version:
        return state.extreme
    best = better(state.position, state.extreme.price, kept.extreme.price)
    return state.extreme if best == state.extreme.price else kept.extreme


def _values(state: GuardState) -> dict[str, Any]:
    plan = state.plan
    return {
        "condition_id": plan.condition_id,
        "owner": plan.owner,
        "account_id": plan.account_id,
        "symbol": plan.symbol,
        "status": state.status.value,
        "ended": state.status.is_terminal,
        "version": plan.version,
        "created_at": plan.created_at,
        "extreme": None if state.extreme is None else plain(state.extreme.price),
        "extreme_at": None if state.extreme is None else state.extreme.at,
        "body": _states.encode(state),
    }


def _read(row: Row[Any]) -> GuardState:
    state = _states.decode(row.body)
    watch = None
    if row.watched_by is not None:
        watch = Watch(by=row.watched_by, since=row.watched_since, at=row.watched_at)
    extreme = None
    if row.extreme is not None:
        extreme = Extreme(price=Decimal(row.extreme), at=row.extreme_at)
    return replace(state, watch=watch, extreme=extreme)


def _quantity(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _key(condition_id: str) -> dict[str, str]:
    return {"a_condition_id": condition_id}


_WRITTEN = ("status", "ended", "version", "updated_at", "extreme", "extreme_at", "body")
_HIS: Any = conditions.c.condition_id == bindparam("a_condition_id")
_READ = select(conditions).where(_HIS)
_WRITE: Any = update(conditions).where(_HIS).values({name: bindparam(name) for name in _WRITTEN})
_MOVE: Any = (
    update(conditions)
    .where(_HIS)
    .values(extreme=bindparam("extreme"), extreme_at=bindparam("extreme_at"))
)
_READ_ACTIVE = (
    select(conditions, net_positions.c.quantity.label("held"))
    .outerjoin(
        net_positions,
        and_(
            net_positions.c.account_id == conditions.c.account_id,
            net_positions.c.symbol == conditions.c.symbol,
        ),
    )
    .where(~conditions.c.ended, conditions.c.status == GuardStatus.WATCHING.value)
    .order_by(conditions.c.condition_id)
)
_READ_SILENT = (
    select(conditions)
    .where(~conditions.c.ended, conditions.c.updated_at < bindparam("before"))
    .order_by(conditions.c.condition_id)
)
_GOES_ON = and_(
    conditions.c.watched_by == bindparam("watcher"),
    conditions.c.watched_at >= bindparam("fresh_since"),
)
_WATCHED: Any = (
    update(conditions)
    .where(
        conditions.c.condition_id.in_(bindparam("condition_ids", expanding=True)),
        or_(conditions.c.watched_at.is_(None), conditions.c.watched_at < bindparam("now")),
    )
    .values(
        watched_by=bindparam("watcher"),
        watched_since=case((_GOES_ON, conditions.c.watched_since), else_=bindparam("now")),
        watched_at=bindparam("now"),
    )
)
_READ_CLOSE = select(closes.c.status).where(
    closes.c.close_id == bindparam("a_close_id"), closes.c.ended
)
_READ_LIVE = select(orders.c.order_id).where(
    orders.c.order_id.in_(bindparam("order_ids", expanding=True)), ~orders.c.ended
)
