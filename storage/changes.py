"""An order's timeline, and the stream of an account's changes in gapless sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from domain.timeline import EventKind, OrderChange, TimelineEvent
from storage import codec
from storage.engine import Database
from storage.tables import account_sequences, order_events


async def timeline(database: Database, order_id: str) -> tuple[TimelineEvent, ...]:
    """Return an order's timeline, in the order in which it was written."""
    rows = await database.fetch_all(_READ_TIMELINE, {"an_order_id": order_id})
    return tuple(_read_event(row) for row in rows)


async def read_changes(
    database: Database, account_ids: Sequence[str], after: dict[str, int], *, limit: int
) -> tuple[OrderChange, ...]:
    """Return changes of accounts past the given sequences, in order per account."""

    def read(connection: Connection) -> list[Row[Any]]:
        found: list[Row[Any]] = []
        for account_id in dict.fromkeys(account_ids):
            # One query per account: each is a short walk along one index.
            wanted = {"an_account_id": account_id, "past": after.get(account_id, 0)}
            found += connection.execute(_READ_CHANGES, wanted | {"at_most": limit})
        return sorted(found, key=lambda row: int(row.event_id))[:limit]

    return tuple(
        OrderChange(
            account_id=row.account_id,
            sequence=row.sequence,
            order=codec.orders.decode(row.snapshot),
            event=_read_event(row),
        )
        for row in await database.read(read)
    )


async def last_sequence(database: Database, account_id: str) -> int:
    """Return the newest sequence of an account, 0 before the first."""
    found = await database.fetch_one(_READ_LAST, {"an_account_id": account_id})
    return 0 if found is None else int(found.last_sequence)


def _read_event(row: Row[Any]) -> TimelineEvent:
    return TimelineEvent(
        order_id=row.order_id,
        kind=EventKind(row.kind),
        text=row.text,
        at=row.at,
        detail=None if row.detail is None else codec.details.decode(row.detail),
    )


_READ_TIMELINE = (
    select(order_events)
    .where(order_events.c.order_id == bindparam("an_order_id"))
    .order_by(order_events.c.event_id)
)
_READ_CHANGES = (
    select(order_events)
    .where(
        order_events.c.account_id == bindparam("an_account_id"),
        order_events.c.sequence > bindparam("past"),
    )
    .order_by(order_events.c.sequence)
    .limit(bindparam("at_most"))
)
_READ_LAST = select(account_sequences.c.last_sequence).where(
    account_sequences.c.account_id == bindparam("an_account_id")
)
