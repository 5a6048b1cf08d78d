"""Absorbing journaled commands: once, under a key of their own, with outcome, nonce and concern."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from domain.commands import CommandKind
from domain.errors import NotFound
from domain.ledger import CommandRow
from domain.order_fold import with_revision
from domain.orders import Concern, Order, OrderStatus, Revision, Verdict
from domain.outcomes import Accepted, NotSent, SendResult, Unknown
from domain.timeline import EventKind
from storage.ledger import SqlIntentLedger
from storage.orders import SqlOrderStore
from tests.storage.builders import a_cancel, a_fill, a_placement, a_report, an_order, reserve
from tests.storage.test_journal import a_row

FAR = 1_900_000_000_000


@pytest.fixture
async def order(ledger: SqlIntentLedger) -> Order:
    """An order that rests."""
    placed = an_order()
    await reserve(ledger, a_placement(placed))
    report = a_report(placed, Verdict.ACCEPTED, venue_order_id="v1")
    return await ledger.decide(a_placement(placed).key, SendResult(outcome=Accepted(report=report)))


def canceled(order: Order) -> SendResult:
    return SendResult(outcome=Accepted(report=a_report(order, Verdict.CANCELED)), raw="{}")


async def rows(ledger: SqlIntentLedger, order: Order) -> list[CommandRow]:
    return [r for r in await ledger.of_order(order.order_id) if r.key.command.value == "cancel"]


async def test_a_decided_command_comes_in_once(
    ledger: SqlIntentLedger, orders: SqlOrderStore, order: Order
) -> None:
    first = await ledger.absorb(a_row(), canceled(order))
    events = len(await orders.timeline(order.order_id))
    again = await ledger.absorb(a_row(), canceled(order))

    assert again == first == await orders.get(order.order_id)
    assert first.status is OrderStatus.CANCELED
    assert first.concern is Concern.NONE
    (row,) = await rows(ledger, order)
    assert replace(row, outcome=None, raw_answer=None, decided_at=None) == a_row()
    assert row.outcome == canceled(order).outcome
    assert row.raw_answer == "{}"
    assert len(await orders.timeline(order.order_id)) == events
    assert [d.report.verdict for d in await orders.undelivered()] == [Verdict.CANCELED]


async def test_an_undecided_command_waits_for_its_resolution(
    ledger: SqlIntentLedger, order: Order
) -> None:
    absorbed = await ledger.absorb(a_row(), None)
    assert absorbed.concern is Concern.PENDING_CANCEL
    (row,) = await ledger.undecided(before=datetime.now(UTC))
    assert row == a_row()
    unknown = await ledger.absorb(a_row(), SendResult(outcome=Unknown(reason="no answer")))
    assert unknown.concern is Concern.PENDING_CANCEL
    decided = await ledger.absorb(a_row(), canceled(order))
    assert decided.status is OrderStatus.CANCELED
    assert decided.concern is Concern.NONE
    assert len(await rows(ledger, order)) == 1


async def test_a_cancel_that_was_not_sent_leaves_the_order_as_it_was(
    ledger: SqlIntentLedger, order: Order
) -> None:
    result = SendResult(outcome=NotSent(reason="rate_limited", proof="429"))
    absorbed = await ledger.absorb(a_row(), result)
    assert absorbed.status is OrderStatus.ACCEPTED


async def test_an_order_that_has_ended_meanwhile_keeps_its_end(
    ledger: SqlIntentLedger, orders: SqlOrderStore, order: Order
) -> None:
    await orders.fold(a_report(order, Verdict.FILLED, "1"))
    absorbed = await ledger.absorb(a_row(), None)
    assert absorbed.status is OrderStatus.FILLED
    assert absorbed.concern is Concern.NONE


async def test_a_key_that_was_given_away_is_not_overwritten(
    ledger: SqlIntentLedger, order: Order
) -> None:
    await reserve(ledger, a_cancel(order))
    for _ in range(2):
        absorbed = await ledger.absorb(a_row(), canceled(order))
    assert absorbed.status is OrderStatus.CANCELED
    first, second = await rows(ledger, order)
    assert (first.key.revision, first.outcome) == (0, None)
    assert (second.key.revision, second.nonce) == (1, a_row().nonce)
    assert second.is_decided


async def test_a_nonce_that_was_used_is_not_given_again(
    ledger: SqlIntentLedger, order: Order
) -> None:
    await ledger.absorb(replace(a_row(), nonce=FAR), canceled(order))
    other = an_order("other")
    assert (await reserve(ledger, a_placement(other))).row.nonce == FAR + 1
    await ledger.absorb(replace(a_row(1), nonce=None), canceled(order))
    assert len(await rows(ledger, order)) == 2


async def test_an_order_that_the_ledger_has_forgotten_is_not_made_up(
    ledger: SqlIntentLedger,
) -> None:
    with pytest.raises(NotFound, match="compare with the venue"):
        await ledger.absorb(a_row(), None)
    assert await ledger.ledger_position() == 0


async def test_fills_heard_before_a_journaled_placement_are_told_once(
    ledger: SqlIntentLedger, orders: SqlOrderStore, order: Order
) -> None:
    await orders.book([a_fill("t1", "0.25", client_order_id="c2", venue_order_id="v2")])
    key = replace(a_row().key, command=CommandKind.PLACE, revision=1)
    placed = replace(a_row(), key=key, target_revision=1, client_order_id="c2")
    revision = Revision(number=1, client_order_id="c2", quantity=Decimal("0.5"))
    for _ in range(2):
        absorbed = await ledger.absorb(placed, None, with_revision(order, revision))
        assert absorbed.filled_quantity == Decimal("0.25")
    told = [e for e in await orders.timeline(order.order_id) if e.kind is EventKind.FILL]
    assert [(event.detail or {})["trade_id"] for event in told] == ["t1"]
