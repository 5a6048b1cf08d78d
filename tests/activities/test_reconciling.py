"""Reconciling over a real exchange and a real database: equal ledgers, whatever was lost or done.

The judge is the exchange's own ledger, compared to the last digit.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from domain.findings import FindingKind, FindingState, ReconciliationStatus
from domain.orders import OrderStatus, Origin
from tests.activities.floor import ACCOUNT_ID, TAKING, Floor, an_order
from tests.activities.reconciliation import Office
from venues.simulation import operations
from venues.simulation.records import Side


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
