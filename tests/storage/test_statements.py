"""What an order costs the database: a bound on statements and transactions for each step.

A count says the same on every machine; a time does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from domain.orders import Concern, Order, Verdict
from domain.outcomes import Accepted, SendResult
from domain.timeline import EventKind, TimelineEvent
from storage.ledger import SqlIntentLedger
from storage.orders import SqlOrderStore
from tests.storage.builders import CREATED_AT, a_fill, a_placement, a_report, an_order, reserve


@dataclass(slots=True)
class Counted:
    """Statements by their first words, BEGIN among them, and commits."""

    statements: list[str] = field(default_factory=list)
    commits: int = 0


@contextmanager
def counting() -> Iterator[Counted]:
    counted = Counted()

    def executed(_: Any, __: Any, statement: str, *rest: object) -> None:
        counted.statements.append(" ".join(statement.split())[:60])

    def committed(_: Any) -> None:
        counted.commits += 1

    event.listen(Engine, "before_cursor_execute", executed)
    event.listen(Engine, "commit", committed)
    try:
        yield counted
    finally:
        event.remove(Engine, "before_cursor_execute", executed)
        event.remove(Engine, "commit", committed)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Count on SQLite alone: PostgreSQL adds its locks, and nothing else."""
    return sqlite_url


async def test_a_placement_is_two_transactions_of_few_statements(ledger: SqlIntentLedger) -> None:
    order = an_order()
    with counting() as reserving:
        inserted = await reserve(ledger, a_placement(order))
    report = a_report(order, Verdict.ACCEPTED, venue_order_id="v1")
    answer = SendResult(outcome=Accepted(report=report))
    with counting() as deciding:
        await ledger.decide(inserted.row.key, answer, concern=Concern.NONE)

    assert (len(reserving.statements), reserving.commits) == (9, 1), reserving.statements
    assert (len(deciding.statements), deciding.commits) == (8, 1), deciding.statements


async def test_a_report_that_says_nothing_new_is_found_out_by_reading(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order = await _resting(ledger, orders)

    with counting() as counted:
        found = await orders.find("acc", client_order_id=order.client_order_id, venue_order_id="v1")

    assert found == (order, 0)
    assert (len(counted.statements), counted.commits) == (2, 0), counted.statements


async def test_a_fill_is_one_transaction_and_its_delivery_another(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order = await _resting(ledger, orders)

    with counting() as booking:
        await orders.book([a_fill("t1", "0.001", client_order_id=order.client_order_id)])
    with counting() as telling:
        (delivery,) = await orders.undelivered()
        await orders.mark_delivered([delivery.delivery_id])

    assert booking.commits == 1
    assert len(booking.statements) <= 15, booking.statements
    # Taken by a read: no transaction stands between a fill and its workflow.
    assert (len(telling.statements), telling.commits) == (3, 1), telling.statements


async def test_an_entry_in_a_timeline_reads_no_order(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order = await _resting(ledger, orders)
    note = TimelineEvent(
        order_id=order.order_id, kind=EventKind.CLOSED, text="workflow ends", at=CREATED_AT
    )

    with counting() as counted:
        await orders.record(note)

    assert (len(counted.statements), counted.commits) == (3, 1)
    assert not [one for one in counted.statements if "orders.body" in one]


async def _resting(ledger: SqlIntentLedger, orders: SqlOrderStore) -> Order:
    order = an_order()
    inserted = await reserve(ledger, a_placement(order))
    report = a_report(order, Verdict.ACCEPTED, venue_order_id="v1")
    answer = SendResult(outcome=Accepted(report=report))
    return await ledger.decide(inserted.row.key, answer, concern=Concern.NONE)
