"""Asking for fills that are booked already, in statements of few different sizes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, event

from domain.fills import Fill
from domain.order_fold import with_revision
from domain.orders import Revision
from domain.outcomes import NotSent, SendResult
from domain.timeline import EventKind, TimelineEvent
from storage.booking import in_few_sizes, not_booked
from storage.engine import Database
from storage.ledger import SqlIntentLedger
from storage.net_positions import SqlNetPositions
from storage.orders import SqlOrderStore
from tests.storage.builders import CREATED_AT, a_fill, a_placement, an_order, reserve
from tests.storage.conftest import Clock


@pytest.fixture
def net_positions(database: Database, clock: Clock) -> SqlNetPositions:
    return SqlNetPositions(database, now=clock)


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
    database: Database, ledger: SqlIntentLedger, orders: SqlOrderStore
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
        # Whoever compares finds nothing missing in what says no more, whatever it is called.
        said_less = so_far("0.5", "99", "0")
        assert await database.read(lambda c: not_booked(c, [*told, said_less])) == []  # noqa: B023
    booked = await orders.fills(order.order_id)
    assert [(fill.quantity, fill.price, fill.fee, fill.is_total) for fill in booked] == [
        (Decimal(1), Decimal(100), Decimal("0.1"), False),
        (Decimal(2), Decimal(103), Decimal("0.3"), False),
    ]
    found = await orders.get(order.order_id)
    assert found is not None
    assert (found.filled_quantity, found.average_price) == (Decimal(3), Decimal(102))


async def test_fills_heard_before_their_order_come_to_it_by_either_name(
    orders: SqlOrderStore, net_positions: SqlNetPositions
) -> None:
    order = an_order()
    named = a_fill("t1", "0.25", client_order_id="c1")
    nameless = [a_fill("t2", "0.5"), a_fill("t3", "0.25")]
    await orders.book([named, *nameless])
    # Only one of the fills bears the id by which the order is known yet.
    revision = Revision(number=0, client_order_id="c1", quantity=Decimal(1))
    created = TimelineEvent(
        order_id=order.order_id, kind=EventKind.CREATED, text="created", at=CREATED_AT
    )
    written = await orders.add(with_revision(order, revision), created)
    assert written.filled_quantity == Decimal(1)
    assert {fill.trade_id for fill in await orders.fills(order.order_id)} == {"t1", "t2", "t3"}
    assert await net_positions.quantity("acc", "BTC-PERP") == Decimal(1)


async def test_fills_heard_before_a_later_revision_are_told(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order = an_order()
    first = await reserve(ledger, a_placement(order))
    never_sent = NotSent(reason="lost", proof="fence", retryable=True)
    await ledger.decide(first.row.key, SendResult(outcome=never_sent))
    # As after a restore, when the venue remembers what the database does not.
    await orders.book([a_fill("t1", "0.25", client_order_id=f"{order.order_id}-1-0")])
    await reserve(ledger, a_placement(order, revision=1))
    told = [e for e in await orders.timeline(order.order_id) if e.kind is EventKind.FILL]
    assert [(event.detail or {})["trade_id"] for event in told] == ["t1"]
