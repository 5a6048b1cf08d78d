"""Asking for fills that are booked already, in statements of few different sizes."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, event

from storage.booking import in_few_sizes, not_booked
from storage.engine import Database
from storage.orders import SqlOrderStore
from tests.storage.builders import a_fill


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 99, 100, 101, 200, 201, 431])
def test_parts_hold_every_key_and_have_few_sizes(count: int) -> None:
    parts = list(in_few_sizes(range(count)))
    assert {len(part) for part in parts} <= {5, 25, 100, 200}
    assert sorted({key for part in parts for key in part}) == list(range(count))
    assert sum(map(len, parts)) <= 5 * count


async def test_whatever_is_offered_only_what_is_new_is_left(
    database: Database, orders: SqlOrderStore
) -> None:
    fills = [a_fill(f"t{number:03}", "0.001") for number in range(140)]
    booked, new = fills[:130], fills[130:]
    await orders.book(booked)
    said: set[str] = set()

    def note(*seen: Any) -> None:
        said.add(seen[2])

    def look(connection: Connection) -> None:
        event.listen(connection, "before_cursor_execute", note)
        try:
            for count in range(131):
                more = new[: count % 11]
                assert not_booked(connection, [*booked[:count], *more]) == more
        finally:
            event.remove(connection, "before_cursor_execute", note)

    await database.read(look)
    # Each would be prepared, and kept, by every connection.
    assert 0 < len(said) <= 4
