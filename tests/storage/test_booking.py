"""Asking for fills that are booked already, in statements of few different sizes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, event

from domain.fills import Fill
from storage.booking import in_few_sizes, not_booked
from storage.engine import Database
from storage.ledger import SqlIntentLedger
from storage.orders import SqlOrderStore
from tests.storage.builders import a_fill, a_placement, an_order, reserve


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


async def test_of_totals_only_what_is_missing_is_booked(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order = an_order(quantity=Decimal(3))
    row = (await reserve(ledger, a_placement(order))).row

    def so_far(quantity: str, price: str, fee: str) -> Fill:
        return a_fill(
            quantity,
            quantity,
            price=Decimal(price),
            fee=Decimal(fee),
            client_order_id=row.client_order_id,
            venue_order_id="0x1",
            is_total=True,
        )

    first, second = so_far("1", "100", "0.1"), so_far("3", "102", "0.4")
    for told in ((first,), (first,), (second,), (second, first), (so_far("2", "101", "0.2"),)):
        await orders.book(told)
    booked = await orders.fills(order.order_id)
    assert [(fill.quantity, fill.price, fill.fee, fill.is_total) for fill in booked] == [
        (Decimal(1), Decimal(100), Decimal("0.1"), False),
        (Decimal(2), Decimal(103), Decimal("0.3"), False),
    ]
    found = await orders.get(order.order_id)
    assert found is not None
    assert (found.filled_quantity, found.average_price) == (Decimal(3), Decimal(102))
