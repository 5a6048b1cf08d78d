"""Booking fills: each once, to the order it belongs to, and the order folded with the new totals.

Runs inside the caller's transaction.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection, and_, bindparam, select, tuple_

from domain.errors import CorruptState
from domain.fills import Fill, missing_to
from domain.order_fold import apply
from domain.ports import Folded
from domain.settlement import is_reopened
from storage.engine import Database
from storage.fill_rows import FILL_COLUMNS, fill_values, read_fill
from storage.market_pnl import MarketPnlWriter
from storage.order_writer import OrderWriter, RevisionName, fill_event
from storage.tables import client_order_ids, fills, venue_order_ids

_Name = TypeVar("_Name")

#: Keys are asked for in statements of these sizes only: each size is a statement that every
#: connection keeps prepared, and a large one takes a hundred kilobytes.
_KEYS_AT_ONCE = (5, 25, 100, 200)


class Booking:
    """Books fills of any accounts in one transaction."""

    def __init__(self, database: Database, writer: OrderWriter) -> None:
        self._writer = writer
        self._pnl = MarketPnlWriter(database)
        self._insert = (
            database.insert(fills)
            .on_conflict_do_nothing(
                index_elements=["venue", "account_id", "venue_order_id", "trade_id", "time_ms"]
            )
            .returning(*FILL_COLUMNS)
        )

    def run(self, connection: Connection, offered: Sequence[Fill]) -> tuple[Folded, ...]:
        """Book what is not booked yet; return what that did to each order concerned."""
        for account_id in sorted({fill.account_id for fill in offered}):
            self._writer.lock_account(connection, account_id)
        booked: dict[RevisionName, list[Fill]] = {}
        unmatched: list[Fill] = []
        for fill in offered:
            owner = match_revision(
                connection,
                fill.account_id,
                client_order_id=fill.client_order_id,
                venue_order_id=fill.venue_order_id,
            )
            if fill.is_total:
                missing = missing_to(fill, _fills_of_venue_order(connection, fill))
                if missing is None:
                    continue
                fill = missing
            named = replace(
                fill,
                order_id=None if owner is None else owner.order_id,
                revision=None if owner is None else owner.number,
            )
            is_new = connection.execute(self._insert, fill_values(named)).first() is not None
            if is_new and owner is not None:
                booked.setdefault(owner, []).append(named)
            elif is_new:
                unmatched.append(named)
        self._writer.positions.unmatched_booked(connection, unmatched)
        self._pnl.booked(connection, [*unmatched, *itertools.chain(*booked.values())])
        return tuple(self._fold(connection, *item) for item in booked.items())

    def _fold(self, connection: Connection, owner: RevisionName, new: Sequence[Fill]) -> Folded:
        before = self._writer.read(connection, owner.order_id)
        if before is None:
            raise CorruptState(f"fills belong to order {owner.order_id}, and there is none")
        report = self._writer.booked(connection, owner, new[-1])
        after = apply(before, report)
        early: tuple[Fill, ...] = ()
        if after != before:
            saved = self._writer.save(connection, before, after)
            after, early = saved.order, saved.early_fills
        events = [fill_event(fill, owner.order_id) for fill in (*new, *early)]
        self._writer.append(connection, after, events)
        return Folded(
            order=after,
            changed=after != before,
            delivery_id=self._writer.deliver(connection, before, after, report),
            reopened=is_reopened(before, after),
        )


def match_revision(
    connection: Connection,
    account_id: str,
    *,
    client_order_id: str | None,
    venue_order_id: str | None,
) -> RevisionName | None:
    """Return the revision that bears the client order id, or else the venue order id, or None."""
    if client_order_id is not None:
        key = {"an_account_id": account_id, "an_id": client_order_id}
        found = connection.execute(_BY_CLIENT_ID, key).first()
        if found is not None:
            return RevisionName(found.order_id, found.revision)
    if venue_order_id is not None:
        key = {"an_account_id": account_id, "an_id": venue_order_id}
        found = connection.execute(_BY_VENUE_ID, key).first()
        if found is not None:
            return RevisionName(found.order_id, found.revision)
    return None


def not_booked(connection: Connection, offered: Sequence[Fill]) -> list[Fill]:
    """Return those of `offered` that are not booked yet, each once, oldest first.

    A total that says no more than what is booked of its order has nothing left to book.
    """
    unique = {fill.key: fill for fill in offered}
    keys = list(unique)
    for part in in_few_sizes(keys):
        for row in connection.execute(select(*_KEY).where(tuple_(*_KEY).in_(part))):
            unique.pop(tuple(row), None)
    missing = [fill for fill in unique.values() if not _is_told(connection, fill)]
    return sorted(missing, key=lambda fill: (fill.event_time, fill.trade_id))


def _is_told(connection: Connection, fill: Fill) -> bool:
    """Tell whether a total adds nothing to what is booked; a single fill always does."""
    return fill.is_total and missing_to(fill, _fills_of_venue_order(connection, fill)) is None


def in_few_sizes(keys: Sequence[_Name]) -> Iterator[Sequence[_Name]]:
    """Cut keys into parts of few different sizes; the last one is filled up with its last key."""
    largest = _KEYS_AT_ONCE[-1]
    for start in range(0, len(keys), largest):
        part = keys[start : start + largest]
        size = next(size for size in _KEYS_AT_ONCE if size >= len(part))
        yield [*part, *itertools.repeat(part[-1], size - len(part))]


def fills_of_order(connection: Connection, order_id: str) -> tuple[Fill, ...]:
    """Return the booked fills of an order, oldest first."""
    rows = connection.execute(_FILLS_OF_ORDER, {"an_order_id": order_id})
    return tuple(read_fill(row) for row in rows)


def _fills_of_venue_order(connection: Connection, fill: Fill) -> tuple[Fill, ...]:
    """Return the booked fills of the venue's order that a fill is of."""
    key = {"an_account_id": fill.account_id, "an_id": fill.venue_order_id}
    return tuple(read_fill(row) for row in connection.execute(_FILLS_OF_VENUE_ORDER, key))


_KEY = (
    fills.c.venue,
    fills.c.account_id,
    fills.c.venue_order_id,
    fills.c.trade_id,
    fills.c.time_ms,
)
_BY_CLIENT_ID = select(client_order_ids.c.order_id, client_order_ids.c.revision).where(
    and_(
        client_order_ids.c.account_id == bindparam("an_account_id"),
        client_order_ids.c.client_order_id == bindparam("an_id"),
    )
)
_BY_VENUE_ID = select(venue_order_ids.c.order_id, venue_order_ids.c.revision).where(
    and_(
        venue_order_ids.c.account_id == bindparam("an_account_id"),
        venue_order_ids.c.venue_order_id == bindparam("an_id"),
    )
)
_FILLS_OF_ORDER = (
    select(*FILL_COLUMNS)
    .where(fills.c.order_id == bindparam("an_order_id"))
    .order_by(fills.c.event_time, fills.c.fill_id)
)
_FILLS_OF_VENUE_ORDER = select(*FILL_COLUMNS).where(
    and_(
        fills.c.account_id == bindparam("an_account_id"),
        fills.c.venue_order_id == bindparam("an_id"),
    )
)
