"""Reconciliations in SQL: records, findings, the gate, and orders that only it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from domain.accounts import AccountState
from domain.errors import NotFound, Unavailable
from domain.findings import (
    Counts,
    Finding,
    FindingKind,
    FindingState,
    Marks,
    Reconciliation,
    ReconciliationReason,
    ReconciliationStatus,
)
from domain.instruments import OrderSide
from domain.orders import Concern, Order, OrderStatus, Origin, Revision, Verdict
from domain.outcomes import Accepted, SendResult
from domain.reconciliation_store import Ending
from domain.reconciliation_views import ListedOrder, OrderName
from domain.timeline import EventKind, TimelineEvent
from storage.accounts import SqlAccountStore
from storage.engine import Database
from storage.ledger import SqlIntentLedger
from storage.net_positions import SqlNetPositions
from storage.orders import SqlOrderStore
from storage.reconciliation_reads import SqlReconciliationLedger
from storage.reconciliations import KEPT_WITHOUT_FINDINGS, UNWATCHED_AFTER, SqlReconciliations
from tests.storage.builders import (
    CREATED_AT,
    a_cancel,
    a_fill,
    a_placement,
    a_report,
    an_account,
    an_order,
    reserve,
)
from tests.storage.conftest import Clock

PASSED = ReconciliationStatus.PASSED


@pytest.fixture
def records(database: Database, accounts: SqlAccountStore, clock: Clock) -> SqlReconciliations:
    return SqlReconciliations(database, now=clock)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def reads(
    database: Database, accounts: SqlAccountStore, clock: Clock, told: list[str]
) -> SqlReconciliationLedger:
    return SqlReconciliationLedger(database, now=clock, told=told.append)


def begun(clock: Clock, reconciliation_id: str = "r1", **changes: Any) -> Reconciliation:
    made = Reconciliation(
        reconciliation_id=reconciliation_id,
        account_id="acc",
        reason=ReconciliationReason.SCHEDULE,
        status=ReconciliationStatus.RUNNING,
        started_at=clock(),
    )
    return replace(made, **changes)


def a_finding(subject: str = "order:1", **changes: Any) -> Finding:
    made = Finding(
        kind=FindingKind.EXTERNAL_ORDER, subject=subject, text="x", evidence={"quantity": "1"}
    )
    return replace(made, **changes)


def an_ending(**changes: Any) -> Ending:
    ending = Ending(status=PASSED, counts=Counts(orders_seen=2, looks=1))
    return replace(ending, **changes)


def external(venue_order_id: str = "v9", **changes: Any) -> Order:
    revision = Revision(
        number=0,
        client_order_id=f"venue:{venue_order_id}",
        quantity=Decimal(1),
        venue_order_id=venue_order_id,
        verdict=Verdict.ACCEPTED,
    )
    fields = {"origin": Origin.EXTERNAL, "revisions": (revision,), **changes}
    return an_order(f"external-{venue_order_id}", **fields)


def event_of(order: Order) -> TimelineEvent:
    return TimelineEvent(
        order_id=order.order_id, kind=EventKind.FINDING, text="seen", at=CREATED_AT
    )


def listed(order: Order, **changes: Any) -> ListedOrder:
    made = ListedOrder(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id or "v1",
        symbol=order.symbol,
        side=OrderSide.BUY,
        quantity=order.quantity,
        price=order.price,
        verdict=Verdict.ACCEPTED,
        filled_quantity=Decimal(0),
    )
    return replace(made, **changes)


async def sql(database: Database, statement: str) -> None:
    await database.write(lambda connection: connection.execute(text(statement)))


async def test_a_reconciliation_is_kept_with_its_findings(
    records: SqlReconciliations, clock: Clock
) -> None:
    assert await records.begin(begun(clock)) == begun(clock)
    clock.advance(seconds=1)
    assert await records.begin(begun(clock)) != begun(clock), "the first one of an id stays"
    await records.record("r1", [a_finding(), a_finding("order:2")], look=1)
    await records.record("r1", [], look=1)
    changed = a_finding(kind=FindingKind.LIQUIDATION, order_id="o")
    await records.record("r1", [changed], look=2)
    await records.mark("r1", ["order:1"], FindingState.REPAIRED)
    await records.mark("r1", [], FindingState.REPAIRED)
    await records.settle("r1", still_open={"order:1"})
    marks = Marks(complete_until=clock(), fill_count=3, balance=Decimal("1.5"), balance_at=clock())

    ended = await records.finish("r1", an_ending(marks=marks))

    first, second = await records.findings("r1")
    assert (first.kind, first.order_id, first.state) == (
        FindingKind.LIQUIDATION,
        "o",
        FindingState.REPAIRED,
    )
    assert (second.state, second.evidence) == (FindingState.SETTLED, {"quantity": "1"})
    assert (ended.status, ended.findings, ended.open, ended.alerts) == (
        PASSED,
        {"liquidation": 1, "external_order": 1},
        0,
        1,
    )
    assert await records.get("r1") == ended
    assert await records.last_marks("acc") == marks
    assert await records.finish("r1", an_ending(status=ReconciliationStatus.FAILED)) == ended
    assert await records.get("none") is None
    with pytest.raises(NotFound, match="no reconciliation"):
        await records.finish("none", an_ending())
    with pytest.raises(NotFound, match="no account"):
        await records.begin(begun(clock, "r2", account_id="nobody"))


async def test_a_failed_one_leaves_no_marks_and_an_interrupted_one_is_ended(
    records: SqlReconciliations, clock: Clock
) -> None:
    assert await records.last_marks("acc") is None
    await records.begin(begun(clock))
    marks = Marks(complete_until=clock(), fill_count=0)
    await records.finish("r1", an_ending(marks=marks))
    clock.advance(minutes=5)
    await records.begin(begun(clock, "r2"))
    await records.finish("r2", an_ending(status=ReconciliationStatus.FAILED, error="away"))
    clock.advance(minutes=5)
    await records.begin(begun(clock, "r3"))
    clock.advance(minutes=5)
    await records.begin(begun(clock, "r4"))

    assert await records.last_marks("acc") == marks
    newest = await records.page("acc", limit=10)
    assert [each.reconciliation_id for each in newest] == ["r4", "r3", "r2", "r1"]
    assert (newest[1].status, newest[1].error) == (
        ReconciliationStatus.FAILED,
        "interrupted: its workflow was ended before it",
    )
    older = await records.page("acc", limit=1, before=newest[1].started_at)
    assert [each.reconciliation_id for each in older] == ["r2"]


async def test_old_ones_that_found_nothing_go(records: SqlReconciliations, clock: Clock) -> None:
    await records.begin(begun(clock, "found"))
    await records.record("found", [a_finding()], look=1)
    await records.finish("found", an_ending())
    await records.begin(begun(clock, "quiet"))
    await records.finish("quiet", an_ending())
    clock.advance(seconds=KEPT_WITHOUT_FINDINGS.total_seconds() + 1)
    await records.begin(begun(clock, "new"))
    kept = [each.reconciliation_id for each in await records.page("acc", limit=10)]
    assert kept == ["new", "found"]


async def test_accounts_are_due_when_nobody_watched_and_until_one_has_passed(
    records: SqlReconciliations, accounts: SqlAccountStore, clock: Clock
) -> None:
    await accounts.add(an_account("gone", state=AccountState.REMOVED), trading=b"x", feed=None)
    await accounts.add(an_account("other", venue="lighter"), trading=b"x", feed=None)
    assert await records.worker_seen("hyperliquid"), "nobody was ever seen"
    since = await records.due_since("acc")
    assert since == clock()
    assert await records.due_accounts() == {"acc": since}
    await records.begin(begun(clock, "before"))
    clock.advance(seconds=1)
    await records.make_due()
    await records.finish("before", an_ending())
    assert await records.due_since("acc") == clock(), "it began before the account was due"
    clock.advance(seconds=1)
    await records.begin(begun(clock, "after"))
    await records.finish("after", an_ending(status=ReconciliationStatus.INCOMPLETE))
    assert await records.due_since("acc") is not None
    clock.advance(seconds=1)
    await records.begin(begun(clock, "passes"))
    await records.finish("passes", an_ending())
    assert await records.due_since("acc") is None
    assert await records.due_since("nobody") is None
    assert not await records.worker_seen("hyperliquid")
    clock.advance(seconds=UNWATCHED_AFTER.total_seconds())
    assert not await records.worker_seen("hyperliquid")
    assert await records.due_since("acc") is None
    clock.advance(seconds=UNWATCHED_AFTER.total_seconds() + 1)
    assert await records.worker_seen("hyperliquid")
    assert await records.due_since("acc") == clock()


async def test_a_due_account_takes_no_new_exposure_and_everything_else(
    records: SqlReconciliations, ledger: SqlIntentLedger, clock: Clock
) -> None:
    live = an_order("live")
    await reserve(ledger, a_placement(live))
    await records.make_due()

    with pytest.raises(Unavailable, match="compared with its venue"):
        await reserve(ledger, a_placement(an_order("new")))
    assert await ledger.of_order(an_order("new").order_id) == ()
    await reserve(ledger, a_cancel(live))
    reducing = an_order("reducing", reduce_only=True)
    await reserve(ledger, a_placement(reducing, raises_exposure=False))
    await records.begin(begun(clock))
    await records.finish("r1", an_ending())
    await reserve(ledger, a_placement(an_order("new")))


async def test_the_ledgers_view_names_what_the_venue_lists(
    reads: SqlReconciliationLedger, ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order, undecided = an_order("one"), an_order("two", symbol="ETH-PERP")
    placed = await reserve(ledger, a_placement(order))
    accepted = Accepted(report=a_report(order, Verdict.ACCEPTED, venue_order_id="v1"))
    await ledger.decide(placed.row.key, SendResult(outcome=accepted))
    await reserve(ledger, a_placement(undecided))
    known, unknown = a_fill("t1", "0.4"), a_fill("t2", "0.1", venue_order_id="v7")
    await orders.book([known, unknown])
    fresh = a_fill("t3", "0.1")
    seen = [
        listed(order, client_order_id=None, venue_order_id="v1"),
        listed(undecided, client_order_id=f"{undecided.order_id}-0-0", venue_order_id="v2"),
    ]

    view = await reads.view("acc", seen, [known, unknown, fresh])

    assert view.unbooked == (fresh,)
    assert [fill.trade_id for fill in view.unmatched] == ["t2"]
    assert view.by_venue_id == {"v1": OrderName(order_id=order.order_id, revision=0)}
    assert set(view.by_client_id.values()) == {OrderName(order_id=undecided.order_id, revision=0)}
    assert set(view.orders) == {order.order_id, undecided.order_id}
    assert view.undecided == {"ETH-PERP"}
    assert view.undecided_orders == {undecided.order_id}
    assert view.net_positions == {"BTC-PERP": Decimal("0.5")}
    assert await reads.fill_count("acc", until=known.event_time) == 2
    assert await reads.fill_count("acc", until=CREATED_AT) == 0
    await orders.book([replace(fresh, realized_pnl=Decimal("1.5"))])
    earned = await reads.earned("acc", after=CREATED_AT, until=known.event_time)
    assert (earned.realized_pnl, earned.fees, earned.fills) == (
        Decimal("1.5"),
        Decimal("0.3"),
        3,
    )


async def test_a_profit_that_the_venue_does_not_tell_is_reckoned(
    reads: SqlReconciliationLedger, orders: SqlOrderStore, clock: Clock
) -> None:
    bought = a_fill("t1", "0.2", price=Decimal(45000))
    sold = replace(
        a_fill("t2", "0.1", side=OrderSide.SELL, price=Decimal(45100)),
        event_time=bought.event_time + timedelta(seconds=1),
    )
    elsewhere = replace(sold, symbol="ETH-PERP", trade_id="t3", realized_pnl=Decimal(3))
    await orders.book([bought, sold, elsewhere])
    earned = await reads.earned("acc", after=bought.event_time, until=sold.event_time)
    assert (earned.realized_pnl, earned.fees, earned.fills) == (Decimal(13), Decimal("0.2"), 2)
    earlier = await reads.earned("acc", after=CREATED_AT, until=bought.event_time)
    assert (earlier.realized_pnl, earlier.fills) == (Decimal(0), 1)


@pytest.mark.parametrize("unnamed_by", ["command", "spelling"])
async def test_an_order_without_its_names_is_found_by_what_is_left(
    reads: SqlReconciliationLedger,
    ledger: SqlIntentLedger,
    database: Database,
    unnamed_by: str,
) -> None:
    order = an_order("one")
    placed = await reserve(ledger, a_placement(order))
    accepted = Accepted(report=a_report(order, Verdict.ACCEPTED, venue_order_id="v1"))
    await ledger.decide(placed.row.key, SendResult(outcome=accepted))
    await sql(database, "DELETE FROM client_order_ids")
    await sql(database, "DELETE FROM venue_order_ids")
    spelled = placed.row.client_order_id
    if unnamed_by == "spelling":
        await sql(database, "DELETE FROM commands")
        spelled = "0x" + order.order_id.replace("-", "")

    view = await reads.view("acc", [listed(order, client_order_id=spelled)], [])

    assert view.lost == {"v1": order.order_id}
    assert await reads.known_orders([order.order_id, "nobody"]) == {order.order_id}


@pytest.mark.parametrize("missing", ["row", "names", "everything"])
async def test_an_order_is_written_again_from_what_is_left(
    reads: SqlReconciliationLedger,
    ledger: SqlIntentLedger,
    orders: SqlOrderStore,
    database: Database,
    told: list[str],
    missing: str,
) -> None:
    order = an_order("one")
    placed = await reserve(ledger, a_placement(order))
    accepted = Accepted(report=a_report(order, Verdict.ACCEPTED, venue_order_id="v1"))
    before = await ledger.decide(placed.row.key, SendResult(outcome=accepted))
    statements = {
        "row": ["DELETE FROM orders"],
        "names": ["DELETE FROM client_order_ids", "DELETE FROM venue_order_ids"],
        "everything": [
            "DELETE FROM orders",
            "DELETE FROM order_events",
            "DELETE FROM client_order_ids",
            "DELETE FROM venue_order_ids",
        ],
    }[missing]
    for statement in statements:
        await sql(database, statement)
    fill = a_fill("t1", "0.4", venue_order_id="v1")
    if missing != "row":
        await orders.book([fill])
    seen = listed(before)

    restored = await reads.restore(order.order_id, seen, event_of(order), otherwise=order)
    again = await reads.restore(order.order_id, seen, event_of(order), otherwise=order)

    assert again.revisions == restored.revisions
    if missing == "row":
        await orders.book([fill])
    kept = await orders.get(order.order_id)
    assert kept is not None
    assert (kept.filled_quantity, kept.venue_order_id, kept.client_order_id) == (
        Decimal("0.4"),
        "v1",
        before.client_order_id,
    )
    assert [each.trade_id for each in await orders.fills(order.order_id)] == ["t1"]
    assert told == ["acc", "acc"]
    held = SqlNetPositions(database)
    assert await held.quantity("acc", "BTC-PERP") == Decimal("0.4")


async def test_what_is_not_ours_is_adopted_with_its_fills_once(
    reads: SqlReconciliationLedger,
    orders: SqlOrderStore,
    database: Database,
    told: list[str],
) -> None:
    await orders.book([a_fill("t1", "0.4", venue_order_id="v9")])
    order = external()

    adopted = await reads.adopt(order, event_of(order))
    again = await reads.adopt(order, event_of(order))

    assert adopted is not None
    assert again is None
    kept = await orders.get(order.order_id)
    assert kept is not None
    assert (kept.status, kept.filled_quantity) == (
        OrderStatus.PARTIALLY_FILLED,
        Decimal("0.4"),
    )
    assert [fill.trade_id for fill in await orders.fills(order.order_id)] == ["t1"]
    assert await SqlNetPositions(database).quantity("acc", "BTC-PERP") == Decimal("0.4")
    assert told == ["acc"]


async def test_nothing_is_adopted_that_may_be_ours(
    reads: SqlReconciliationLedger, ledger: SqlIntentLedger
) -> None:
    order = an_order("one")
    placed = await reserve(ledger, a_placement(order))
    assert await reads.adopt(external(), event_of(external())) is None, "a command is undecided"
    elsewhere = external("v8", symbol="ETH-PERP")
    assert await reads.adopt(elsewhere, event_of(elsewhere)) is not None
    accepted = Accepted(report=a_report(order, Verdict.ACCEPTED, venue_order_id="v9"))
    await ledger.decide(placed.row.key, SendResult(outcome=accepted))
    assert await reads.adopt(external(), event_of(external())) is None, "it bears our venue id"


@pytest.mark.parametrize(
    ("change", "heard"),
    [
        (lambda order: order, False),
        (lambda order: replace(order, concern=Concern.PENDING_CANCEL), True),
    ],
)
async def test_an_order_that_has_no_workflow_delivers_no_reports(
    reads: SqlReconciliationLedger,
    orders: SqlOrderStore,
    change: Callable[[Order], Order],
    heard: bool,
) -> None:
    order = external()
    await reads.adopt(order, event_of(order))
    await orders.amend(order.order_id, change, event_of(order))

    folded = await orders.fold(a_report(order, Verdict.CANCELED))

    assert (folded.delivery_id is not None) is heard
