"""Reconciling over a real exchange and a real database: equal ledgers, whatever was lost or done.

The judge is the exchange's own ledger, compared to the last digit.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import NotFound
from domain.findings import FindingKind, FindingState, ReconciliationStatus
from domain.orders import Closure, Order, OrderStatus, Origin, Revision, Verdict
from domain.timeline import EventKind, TimelineEvent
from tests.activities.floor import ACCOUNT_ID, TAKING, Floor, an_order
from tests.activities.reconciliation import Office
from venues.simulation import operations
from venues.simulation.faults import FaultKind
from venues.simulation.records import Side
from venues.simulation.trading import OrderRequest, cancel, place


@pytest.fixture
def office(floor: Floor) -> Office:
    return Office(floor)


async def test_equal_ledgers_have_no_findings(office: Office, floor: Floor) -> None:
    await floor.place(an_order())
    await floor.place(an_order(**TAKING))
    await floor.book_fills()

    ended, findings = await office.reconcile()

    assert (ended.status, findings, ended.counts.looks) == (ReconciliationStatus.PASSED, (), 1)
    assert ended.counts.orders_seen == 2
    await office.assert_equal()


async def test_what_was_deleted_behind_our_back_is_there_again(
    office: Office, floor: Floor
) -> None:
    for _ in range(3):
        await floor.place(an_order(**TAKING))
    resting = an_order()
    await floor.place(resting)
    await floor.book_fills()
    await office.reconcile()
    await office.sql("DELETE FROM fills WHERE fill_id IN (SELECT max(fill_id) FROM fills)")
    await office.sql("DELETE FROM orders WHERE order_id = :its_id", its_id=resting.order_id)
    await office.sql("DELETE FROM client_order_ids")
    await office.sql("DELETE FROM venue_order_ids")
    office.wait(120)

    ended, findings = await office.reconcile()

    await office.assert_equal()
    assert ended.status is ReconciliationStatus.PASSED
    kinds = {finding.kind for finding in findings}
    assert {FindingKind.MISSING_FILLS, FindingKind.LOST_ORDER} <= kinds
    assert {finding.state for finding in findings} <= {
        FindingState.REPAIRED,
        FindingState.SETTLED,
    }
    again, nothing = await office.reconcile()
    assert (again.status, nothing) == (ReconciliationStatus.PASSED, ())
    await office.assert_equal()


async def test_orders_made_by_hand_are_adopted_and_labelled(office: Office, floor: Floor) -> None:
    ours = an_order()
    await floor.place(ours)
    resting = office.by_hand(Side.BUY, "50000")
    taken = office.by_hand(Side.BUY, "70000", "0.02")
    office.wait(10)

    ended, findings = await office.reconcile()

    assert ended.status is ReconciliationStatus.PASSED
    await office.assert_equal()
    kept = await office.our_orders()
    by_hand = kept[str(resting.venue_order_id)]
    assert (by_hand.origin, by_hand.status) == (Origin.EXTERNAL, OrderStatus.ACCEPTED)
    assert kept[str(taken.venue_order_id)].status is OrderStatus.FILLED
    assert kept[str(taken.venue_order_id)].origin is Origin.EXTERNAL
    assert (await floor.stored(ours)).origin is Origin.USER
    assert {f.kind for f in findings} >= {FindingKind.EXTERNAL_ORDER}
    assert {record.status.value for record in office.their_orders()} == {"open", "filled"}
    again, nothing = await office.reconcile()
    assert (again.status, nothing) == (ReconciliationStatus.PASSED, ())


async def test_a_liquidation_is_labelled_as_one(office: Office, floor: Floor) -> None:
    await floor.place(an_order(quantity=an_order().quantity * 2000, **TAKING))
    await floor.place(an_order())
    await floor.book_fills()
    await office.reconcile()
    office.wait(10)
    operations.set_price(office.exchange, "BTC", Decimal(10_000))
    office.wait(20)

    ended, findings = await office.reconcile()

    await office.assert_equal()
    assert ended.status is ReconciliationStatus.PASSED
    (liquidation,) = [f for f in findings if f.kind is FindingKind.LIQUIDATION]
    kept = await office.our_orders()
    assert kept[str(liquidation.venue_order_id)].origin is Origin.LIQUIDATION
    assert ACCOUNT_ID in {order.account_id for order in kept.values()}


async def test_a_position_that_nothing_explains_is_corrected_once(
    office: Office, floor: Floor
) -> None:
    await floor.place(an_order(**TAKING))
    await floor.book_fills()
    await office.reconcile()
    await office.sql("UPDATE net_positions SET quantity = '7'")

    ended, findings = await office.reconcile()

    (finding,) = findings
    assert (finding.kind, finding.state) == (
        FindingKind.POSITION_DIFFERS,
        FindingState.REPAIRED,
    )
    assert ended.status is ReconciliationStatus.PASSED
    assert ended.alerts == 1
    rows = await office.rows("SELECT quantity_before, quantity_after FROM position_corrections")
    assert rows == [("7", "0.01")]
    audited = await office.rows("SELECT action, outcome FROM audit")
    assert audited == [("reconciliation.finding", "REPAIRED")]
    await office.assert_equal()


async def test_a_position_is_left_alone_while_a_command_is_undecided(
    office: Office, floor: Floor
) -> None:
    await floor.place(an_order(**TAKING))
    await floor.book_fills()
    await office.reconcile()
    floor.fault(FaultKind.DROP_AFTER_APPLY)
    undecided = an_order(**TAKING)
    await floor.place(undecided)
    office.by_hand(Side.BUY, "50000")
    await office.sql("UPDATE net_positions SET quantity = '7'")
    office.wait(10)

    ended, findings = await office.reconcile()

    assert ended.status is ReconciliationStatus.INCOMPLETE
    states = {finding.kind: finding.state for finding in findings}
    assert states[FindingKind.POSITION_DIFFERS] is FindingState.OPEN
    assert states[FindingKind.UNKNOWN_ORDER] is FindingState.OPEN
    origins = {order.origin for order in (await office.our_orders()).values()}
    assert origins == {Origin.USER}
    await floor.resolve(undecided)
    office.wait(10)
    ended, _ = await office.reconcile()
    assert ended.status is ReconciliationStatus.PASSED
    await office.assert_equal()


async def test_money_that_came_or_went_is_recorded_and_trading_is_not(
    office: Office, floor: Floor
) -> None:
    await office.reconcile()
    await floor.place(an_order(**TAKING))
    await floor.book_fills()
    operations.pay_funding(office.exchange, "BTC", Decimal("0.001"))
    operations.set_price(office.exchange, "BTC", Decimal(64_000))
    office.wait(10)
    ended, findings = await office.reconcile()
    assert (ended.findings, findings) == ({}, ())
    with office.exchange.action("deposit"):
        row = office.exchange.tables.accounts[floor.opened["address"]]
        row.cash += Decimal("123.5")
        office.exchange.tables.touch(row)

    ended, (jump,) = await office.reconcile()

    assert (jump.kind, jump.state) == (FindingKind.BALANCE_JUMP, FindingState.NOTED)
    assert jump.text.startswith("123.5 came in")
    assert ended.status is ReconciliationStatus.PASSED
    ended, findings = await office.reconcile()
    assert findings == ()


async def test_a_live_order_that_the_venue_forgot_is_told_and_not_ended(
    office: Office, floor: Floor
) -> None:
    revision = Revision(
        number=0,
        client_order_id="0x" + "7" * 32,
        quantity=Decimal("0.01"),
        venue_order_id="999999999",
        verdict=Verdict.ACCEPTED,
    )
    order = an_order(revisions=(revision,))
    event = TimelineEvent(
        order_id=order.order_id, kind=EventKind.CREATED, text="made", at=order.created_at
    )
    await floor.storage.orders.add(order, event)
    office.wait(30)

    ended, (finding,) = await office.reconcile()

    assert (finding.kind, finding.state) == (FindingKind.UNSEEN_ORDER, FindingState.OPEN)
    assert (ended.status, ended.open) == (ReconciliationStatus.PASSED, 1)
    assert (await floor.stored(order)).status is OrderStatus.ACCEPTED


async def test_an_order_that_ended_unheard_is_ended_here(office: Office, floor: Floor) -> None:
    filled, canceled = an_order(), an_order()
    await floor.place(filled)
    floor.fill()
    await floor.place(canceled)
    with office.exchange.action("by hand"):
        cancel(office.exchange.tables, office.their_orders()[-1])
    office.wait(30)

    ended, findings = await office.reconcile()

    assert ended.status is ReconciliationStatus.PASSED
    assert {finding.kind for finding in findings} == {
        FindingKind.MISSING_FILLS,
        FindingKind.STALE_ORDER,
    }
    assert (await floor.stored(filled)).status is OrderStatus.FILLED
    assert (await floor.stored(canceled)).status is OrderStatus.CANCELED
    await office.assert_equal()
    assert len(await floor.storage.orders.undelivered()) > 0, "their workflows have to hear"


async def test_an_order_that_only_its_workflow_remembers_is_ours_again(
    office: Office, floor: Floor
) -> None:
    order, by_hand = an_order(), office.by_hand(Side.BUY, "50000")
    await floor.place(order)
    office.memory.orders[order.order_id] = order
    for table in ("orders", "order_events", "commands", "client_order_ids", "venue_order_ids"):
        await office.sql(f"DELETE FROM {table}")
    office.wait(30)

    ended, findings = await office.reconcile()

    assert ended.status is ReconciliationStatus.PASSED
    assert {finding.kind for finding in findings} == {
        FindingKind.LOST_ORDER,
        FindingKind.EXTERNAL_ORDER,
    }
    restored = await floor.stored(order)
    assert (restored.origin, restored.status) == (Origin.USER, OrderStatus.ACCEPTED)
    kept = await office.our_orders()
    assert kept[str(by_hand.venue_order_id)].origin is Origin.EXTERNAL
    await office.assert_equal()


async def test_a_look_that_died_half_way_is_done_again(office: Office, floor: Floor) -> None:
    """Killed between any two of its steps, the second run comes to the same."""
    for _ in range(2):
        await floor.place(an_order(**TAKING))
    office.by_hand(Side.BUY, "50000")
    office.wait(30)
    reconciliation_id = await office.begin()

    def die() -> None:
        raise RuntimeError("killed here")

    for point in ("reconcile:venue_read", "reconcile:before_adopt"):
        floor.points.actions[point] = [die]
        with pytest.raises(RuntimeError, match="killed here"):
            await office.look(reconciliation_id, 1)
    looked, number = None, 0
    while looked is None or looked.again:
        number += 1
        looked = await office.look(reconciliation_id, number, looked)
        office.wait()
    ended = await office.finish(reconciliation_id, looked, number)

    assert ended.status is ReconciliationStatus.PASSED
    await office.assert_equal()
    findings = await floor.storage.reconciliations.findings(reconciliation_id)
    assert FindingState.OPEN not in {finding.state for finding in findings}


async def test_a_failure_is_written_down_with_its_cause(office: Office) -> None:
    reconciliation_id = await office.begin()
    ended = await office.finish(reconciliation_id, None, 1, error="the venue does not answer")
    assert (ended.status, ended.error) == (
        ReconciliationStatus.FAILED,
        "the venue does not answer",
    )
    with pytest.raises(NotFound):
        await office.look("nothing", 1)


@pytest.mark.parametrize("point", ["reconcile:venue_read", "reconcile:before_adopt"])
async def test_nothing_of_ours_is_called_external_while_orders_are_placed(
    office: Office, floor: Floor, point: str
) -> None:
    """Orders go out before, between and after the readings, some with their answers lost."""
    placed: list[Order] = []

    async def place_one(*, lost: bool) -> None:
        if lost:
            floor.fault(FaultKind.DROP_AFTER_APPLY)
        order = an_order(price=Decimal(59_000 - len(placed)))
        placed.append(order)
        await floor.place(order)

    for number in range(6):
        office.by_hand(Side.BUY, str(50_000 - number)).created_ms -= 60_000
        racing: list[asyncio.Task[None]] = []
        lost = number % 2 == 1

        def race(into: list[asyncio.Task[None]] = racing, drops: bool = lost) -> None:
            into.append(asyncio.ensure_future(place_one(lost=drops)))

        floor.points.actions[point] = [race]
        await place_one(lost=number % 3 == 2)
        reconciliation_id = await office.begin()
        looked = await office.look(reconciliation_id, 1)
        for task in racing:
            await task
        await office.finish(reconciliation_id, looked, 1)

    floor.points.actions.clear()
    ours = {order.order_id for order in placed}
    for order in (await office.our_orders()).values():
        assert (order.order_id in ours) is order.origin.is_ours, order
    assert len(placed) > 6, "expected orders in the middle of the looks"
    for order in placed:
        # What a reading has told of is not UNKNOWN, and its command is decided all the same.
        if not (await floor.row(order)).is_decided:
            assert (await floor.resolve(order)).definite
    office.wait(10)
    ended, _ = await office.reconcile()
    assert ended.status is ReconciliationStatus.PASSED
    await office.assert_equal()


async def test_fills_over_several_pages_are_booked_in_short_transactions(
    office: Office, floor: Floor
) -> None:
    """Ten thousand are reconciled by `benchmarks.reconciling`; these are three pages."""
    connector: Any = await floor.connector()
    connector._rest._budget._rate *= 100
    exchange, address = office.exchange, floor.opened["address"]
    request = OrderRequest(
        symbol="BTC", side=Side.BUY, price=Decimal(64_000), quantity=Decimal("4.5")
    )
    for _ in range(10):
        with exchange.action("by hand"):
            made = place(exchange.tables, exchange.switches, address, request).order
            for _ in range(450):
                operations._fill(exchange, made, made.price, Decimal("0.01"))
    assert len(exchange.tables.fills_of[address]) == 4_500
    office.wait(60)

    ended, _ = await office.reconcile()

    assert ended.status is ReconciliationStatus.PASSED
    await office.assert_equal()
    assert "booking fills: 4400 of 4500" in office.beats
    office.wait(120)
    again, findings = await office.reconcile()
    assert (again.counts.fills_booked, findings) == (0, ())
    assert again.counts.fills_seen == 0, "only what is newer, and an overlap, is read again"


async def test_a_live_order_that_no_list_shows_is_looked_up(
    office: Office, floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listings are cut at some length; an order that fell out of them is asked for by its id."""
    resting, ended = an_order(), an_order()
    await floor.place(resting)
    await floor.place(ended)
    with office.exchange.action("by hand"):
        cancel(office.exchange.tables, office.their_orders()[-1])
    connector: Any = await floor.connector()

    async def nothing(*_: object) -> tuple[()]:
        return ()

    monkeypatch.setattr(connector, "open_orders", nothing)
    monkeypatch.setattr(connector, "order_history", nothing)
    office.wait(30)

    ended_well, (finding,) = await office.reconcile()

    assert ended_well.status is ReconciliationStatus.PASSED
    assert (finding.kind, finding.state, finding.order_id) == (
        FindingKind.STALE_ORDER,
        FindingState.REPAIRED,
        ended.order_id,
    )
    await office.assert_equal()


async def test_a_venue_report_that_contradicts_our_word_is_told(
    office: Office, floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    order = an_order()
    await floor.place(order)
    closure = Closure(verdict=Verdict.EXPIRED, reason="an operator's word", by_operator=True)

    def denied(stored: Order) -> Order:
        (revision,) = stored.revisions
        unheard = replace(revision, verdict=Verdict.SUBMITTED, venue_order_id=None)
        return replace(stored, revisions=(unheard,), closure=closure)

    event = TimelineEvent(
        order_id=order.order_id, kind=EventKind.CLOSED, text="closed", at=order.created_at
    )
    await floor.storage.orders.amend(order.order_id, denied, event)
    floor.fill()
    office.wait(30)

    await office.reconcile()

    assert (await floor.stored(order)).status is OrderStatus.FILLED
    assert "contradicts how the order was closed" in caplog.text
    await office.assert_equal()


async def test_a_count_that_moves_at_the_last_moment_is_not_corrected(
    office: Office, floor: Floor
) -> None:
    await floor.place(an_order(**TAKING))
    await floor.book_fills()
    await office.reconcile()
    await office.sql("UPDATE net_positions SET quantity = '7'")
    moved: list[asyncio.Task[None]] = []

    def move() -> None:
        moved.append(asyncio.ensure_future(office.sql("UPDATE net_positions SET quantity = '8'")))

    floor.points.actions["reconcile:before_correct"] = [move]
    ended, _ = await office.reconcile()

    assert ended.status is ReconciliationStatus.PASSED
    rows = await office.rows("SELECT quantity_before, quantity_after FROM position_corrections")
    assert rows[-1][1] == "0.01"
    await office.assert_equal()
