"""The order store: whoever has news folds it, once, in one transaction."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import Conflict, InvalidInput, NotFound
from domain.order_fold import with_revision
from domain.orders import Closure, Concern, Order, OrderStatus, Revision, Verdict
from domain.ports import OrderFilter
from domain.timeline import EventKind, TimelineEvent
from storage.accounts import SqlAccountStore
from storage.ledger import SqlIntentLedger
from storage.listing import cursor_after
from storage.orders import SqlOrderStore
from tests.storage.builders import (
    CREATED_AT,
    a_fill,
    a_placement,
    a_report,
    an_account,
    an_order,
    reserve,
)
from tests.storage.conftest import Clock


def an_event(order_id: str, text: str = "test") -> TimelineEvent:
    return TimelineEvent(
        order_id=order_id, kind=EventKind.CONCERN, text=text, at=CREATED_AT, detail={"a": "b"}
    )


def placed(order: Order) -> Order:
    """The order with revision 0, as the ledger leaves it."""
    revision = Revision(
        number=0,
        client_order_id=f"c-{order.order_id}",
        quantity=order.quantity,
        price=order.price,
    )
    return with_revision(order, revision)


@pytest.fixture
async def order(orders: SqlOrderStore) -> Order:
    """A stored order with one revision."""
    order = placed(an_order())
    return await orders.add(order, an_event(order.order_id))


async def test_adding_twice_keeps_the_first(orders: SqlOrderStore, clock: Clock) -> None:
    denied = an_order(denied="limit")
    kept = await orders.add(denied, an_event(denied.order_id))
    assert kept == replace(denied, updated_at=clock())
    clock.advance(seconds=1)
    assert await orders.add(an_order(denied="other"), an_event(denied.order_id)) == kept
    assert await orders.get(denied.order_id) == kept
    assert len(await orders.timeline(denied.order_id)) == 1
    assert await orders.get(an_order("none").order_id) is None


async def test_an_order_needs_its_account(orders: SqlOrderStore) -> None:
    stray = an_order(account_id="none")
    with pytest.raises(NotFound, match="no account 'none'"):
        await orders.add(stray, an_event(stray.order_id))


async def test_an_added_order_cannot_take_anothers_client_id(
    orders: SqlOrderStore, order: Order
) -> None:
    thief = placed(an_order("thief"))
    thief = replace(
        thief,
        revisions=(replace(thief.revisions[0], client_order_id=order.client_order_id or ""),),
    )
    with pytest.raises(Conflict) as refused:
        await orders.add(thief, an_event(thief.order_id))
    assert refused.value.code == "client_order_id_taken"
    assert await orders.get(thief.order_id) is None


async def test_folding_writes_once_and_queues_what_a_workflow_must_hear(
    orders: SqlOrderStore, order: Order
) -> None:
    accepted = await orders.fold(a_report(order, Verdict.ACCEPTED, venue_order_id="v1"))
    assert (accepted.changed, accepted.delivery_id, accepted.reopened) == (True, None, False)
    again = await orders.fold(a_report(order, Verdict.ACCEPTED, venue_order_id="v1"))
    assert (again.changed, again.order) == (False, accepted.order)
    partly = await orders.fold(a_report(order, Verdict.PARTIALLY_FILLED, "0.5"))
    ended = await orders.fold(a_report(order, Verdict.CANCELED, None, reason="by owner"))
    assert ended.order.status is OrderStatus.CANCELED
    waiting = await orders.undelivered()
    assert [delivery.delivery_id for delivery in waiting] == [
        partly.delivery_id,
        ended.delivery_id,
    ]
    last = waiting[-1].report
    assert (last.verdict, last.filled_quantity, last.venue_order_id, last.reason) == (
        Verdict.CANCELED,
        Decimal("0.5"),
        "v1",
        "by owner",
    )
    texts = [event.text for event in await orders.timeline(order.order_id)]
    assert texts[1:] == ["ACCEPTED", "PARTIALLY_FILLED, filled 0.5", "CANCELED: by owner"]


async def test_a_contradicted_closure_is_reopened_and_told(
    orders: SqlOrderStore, order: Order
) -> None:
    closure = Closure(verdict=Verdict.EXPIRED, reason="not_sent")
    closed = await orders.amend(
        order.order_id, lambda o: replace(o, closure=closure), an_event(order.order_id)
    )
    assert closed.is_terminal
    assert await orders.live() == ()
    folded = await orders.fold(a_report(order, Verdict.ACCEPTED, event_time=CREATED_AT))
    assert folded.reopened
    assert folded.delivery_id is not None
    assert await orders.live() == (folded.order,)


async def test_reports_of_nothing_we_know_are_refused(orders: SqlOrderStore, order: Order) -> None:
    with pytest.raises(NotFound, match="no order"):
        await orders.fold(a_report(an_order("none"), Verdict.ACCEPTED))
    with pytest.raises(NotFound, match="no revision 5"):
        await orders.fold(a_report(order, Verdict.ACCEPTED, revision=5))
    with pytest.raises(NotFound, match="no order"):
        await orders.amend("none", lambda o: o, an_event("none"))
    with pytest.raises(NotFound, match="no order"):
        await orders.record(an_event("none"))


async def test_an_amendment_that_changes_nothing_writes_nothing(
    orders: SqlOrderStore, order: Order, clock: Clock
) -> None:
    clock.advance(seconds=1)
    same = await orders.amend(order.order_id, lambda o: replace(o), an_event(order.order_id))
    assert same == order
    assert await orders.last_sequence("acc") == 1
    changed = await orders.amend(
        order.order_id,
        lambda o: replace(o, concern=Concern.UNKNOWN),
        an_event(order.order_id, "looking"),
    )
    assert changed.updated_at == clock()
    assert await orders.get(order.order_id) == changed
    assert (await orders.timeline(order.order_id))[-1] == an_event(order.order_id, "looking")


async def test_an_amendment_that_fails_leaves_the_order(
    orders: SqlOrderStore, order: Order
) -> None:
    def fail(_: Order) -> Order:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await orders.amend(order.order_id, fail, an_event(order.order_id))
    assert await orders.get(order.order_id) == order


async def test_amendments_at_once_all_take_effect(orders: SqlOrderStore, order: Order) -> None:
    def grow(o: Order) -> Order:
        return replace(o, quantity=o.quantity + 1)

    await asyncio.gather(
        *(orders.amend(order.order_id, grow, an_event(order.order_id)) for _ in range(20))
    )
    stored = await orders.get(order.order_id)
    assert stored is not None
    assert stored.quantity == order.quantity + 20


async def test_fills_are_booked_once_and_folded_as_cumulative_totals(
    orders: SqlOrderStore, order: Order
) -> None:
    ours = order.client_order_id
    first = a_fill("t1", "0.4", client_order_id=ours, price=Decimal("45000.1"))
    second = a_fill("t2", "0.6", client_order_id=ours, price=Decimal("45000.2"))
    (partly,) = await orders.book([first, first])
    assert partly.order.status is OrderStatus.PARTIALLY_FILLED
    assert partly.order.venue_order_id == "v1"
    assert partly.delivery_id is not None
    (filled,) = await orders.book([second, first])
    assert filled.order.status is OrderStatus.FILLED
    assert filled.order.average_price == Decimal("45000.16")
    assert await orders.book([first, second]) == ()
    booked = await orders.fills(order.order_id)
    assert [fill.trade_id for fill in booked] == ["t1", "t2"]
    assert booked[0] == replace(first, order_id=order.order_id, revision=0)
    total = await orders.fill_total(order.order_id)
    assert (total.quantity, total.fees) == (Decimal("1.0"), Decimal("0.2"))
    delivered = [delivery.report.filled_quantity for delivery in await orders.undelivered()]
    assert delivered == [Decimal("0.4"), Decimal("1.0")]


async def test_fills_the_venue_has_told_of_before_are_booked_without_news(
    orders: SqlOrderStore, order: Order
) -> None:
    await orders.fold(a_report(order, Verdict.FILLED, "1", venue_order_id="v1"))
    heard = len(await orders.undelivered())
    (folded,) = await orders.book([a_fill("t1", "1")])
    assert (folded.changed, folded.delivery_id) == (False, None)
    assert (await orders.fill_total(order.order_id)).quantity == Decimal(1)
    assert len(await orders.undelivered()) == heard
    assert (await orders.timeline(order.order_id))[-1].kind is EventKind.FILL


async def test_a_fill_that_matches_nothing_waits_for_its_order(
    orders: SqlOrderStore, order: Order
) -> None:
    assert await orders.book([a_fill("t1", "0.5"), a_fill("t2", "1", venue_order_id="v9")]) == ()
    assert await orders.fills(order.order_id) == ()
    folded = await orders.fold(a_report(order, Verdict.ACCEPTED, venue_order_id="v1"))
    assert folded.order.filled_quantity == Decimal("0.5")
    assert folded.delivery_id is not None
    assert [fill.trade_id for fill in await orders.fills(order.order_id)] == ["t1"]


async def test_fills_find_old_venue_orders_and_each_revision_has_its_own_total(
    orders: SqlOrderStore, order: Order
) -> None:
    await orders.fold(a_report(order, Verdict.ACCEPTED, venue_order_id="v1"))
    replaced = Revision(number=1, client_order_id="c1", quantity=Decimal("0.5"), price=None)
    await orders.amend(
        order.order_id, lambda o: with_revision(o, replaced), an_event(order.order_id)
    )
    old = a_fill("t1", "0.25", client_order_id="unknown")
    new = a_fill("t1", "0.125", client_order_id="c1", venue_order_id="v2")
    folded = await orders.book([old, new])
    assert [f.delivery_id is not None for f in folded] == [True, True]
    stored = await orders.get(order.order_id)
    assert stored is not None
    assert [r.filled_quantity for r in stored.revisions] == [Decimal("0.25"), Decimal("0.125")]
    delivered = [(d.report.revision, d.report.filled_quantity) for d in await orders.undelivered()]
    assert sorted(delivered) == [(0, Decimal("0.25")), (1, Decimal("0.125"))]


async def test_a_venue_id_told_by_a_fill_brings_the_fills_that_waited_under_it(
    orders: SqlOrderStore, order: Order
) -> None:
    assert await orders.book([a_fill("t1", "0.5")]) == ()
    (folded,) = await orders.book([a_fill("t2", "0.25", client_order_id=order.client_order_id)])
    assert folded.order.filled_quantity == Decimal("0.75")


async def test_fills_that_waited_under_a_client_id_come_with_the_revision(
    orders: SqlOrderStore, order: Order
) -> None:
    assert (
        await orders.book([a_fill("t1", "0.5", client_order_id="late", venue_order_id="v7")]) == ()
    )
    late = Revision(number=1, client_order_id="late", quantity=Decimal(1))
    amended = await orders.amend(
        order.order_id, lambda o: with_revision(o, late), an_event(order.order_id)
    )
    assert amended.filled_quantity == Decimal("0.5")
    assert await orders.match("acc", client_order_id=None, venue_order_id="v7") == (
        order.order_id,
        1,
    )


async def test_ids_are_matched_client_id_first_and_per_account(
    orders: SqlOrderStore, accounts: SqlAccountStore, order: Order
) -> None:
    other = placed(an_order("other"))
    await orders.add(other, an_event(other.order_id))
    await orders.fold(a_report(other, Verdict.ACCEPTED, venue_order_id="v2"))

    async def match(client: str | None, venue: str | None, account: str = "acc") -> object:
        return await orders.match(account, client_order_id=client, venue_order_id=venue)

    assert await match(order.client_order_id, "v2") == (order.order_id, 0)
    assert await match("nobody's", "v2") == (other.order_id, 0)
    assert await match(None, "v2") == (other.order_id, 0)
    assert await match(None, None) is None
    assert await match(order.client_order_id, "v2", "acc2") is None


async def test_fills_of_several_accounts_are_booked_together(
    orders: SqlOrderStore, accounts: SqlAccountStore, order: Order
) -> None:
    await accounts.add(an_account("two"), trading=b"x", feed=None)
    other = placed(an_order("other", account_id="two"))
    await orders.add(other, an_event(other.order_id))
    late = CREATED_AT + timedelta(minutes=1)
    folded = await orders.book(
        [
            a_fill("t1", "1", client_order_id=other.client_order_id, account_id="two"),
            a_fill("t1", "1", client_order_id=order.client_order_id, event_time=late),
        ]
    )
    assert {f.order.order_id for f in folded} == {order.order_id, other.order_id}
    assert await orders.newest_fill_time("acc") == late
    assert await orders.newest_fill_time("two") == CREATED_AT + timedelta(seconds=2)
    assert await orders.newest_fill_time("none") is None


async def test_a_fill_keeps_every_field(orders: SqlOrderStore, order: Order) -> None:
    fill = a_fill(
        "t1",
        "0.10",
        client_order_id=order.client_order_id,
        realized_pnl=Decimal("-1.230"),
        is_liquidation=True,
        fee=Decimal("-0.00010"),
    )
    await orders.book([fill])
    (booked,) = await orders.fills(order.order_id)
    assert repr(booked) == repr(replace(fill, order_id=order.order_id, revision=0))


async def test_many_fills_are_booked_in_one_go(orders: SqlOrderStore, order: Order) -> None:
    fills = [a_fill(f"t{i}", "0.001", client_order_id=order.client_order_id) for i in range(450)]
    (folded,) = await orders.book(fills)
    assert folded.order.filled_quantity == Decimal("0.450")
    assert await orders.book(fills) == ()
    assert await orders.book([]) == ()


async def test_deliveries_are_kept_until_marked(orders: SqlOrderStore, order: Order) -> None:
    await orders.fold(a_report(order, Verdict.PARTIALLY_FILLED, "0.5"))
    await orders.fold(a_report(order, Verdict.FILLED, "1"))
    first, second = await orders.undelivered()
    assert (first.attempts, second.attempts) == (0, 0)
    assert [d.attempts for d in await orders.undelivered(limit=1)] == [1]
    await orders.mark_delivered([first.delivery_id])
    await orders.mark_delivered([first.delivery_id])
    await orders.mark_delivered([])
    (waiting,) = await orders.undelivered()
    assert (waiting.delivery_id, waiting.attempts) == (second.delivery_id, 1)


async def test_changes_are_numbered_without_gaps_per_account(
    orders: SqlOrderStore, accounts: SqlAccountStore, order: Order
) -> None:
    await accounts.add(an_account("two"), trading=b"x", feed=None)
    other = placed(an_order("other", account_id="two"))
    await orders.add(other, an_event(other.order_id))
    folded = await orders.fold(a_report(order, Verdict.ACCEPTED))
    await orders.record(an_event(order.order_id, "a remark"))
    await orders.fold(a_report(order, Verdict.FILLED, "1"))
    changes = await orders.changes(["acc", "two"], {"acc": 1})
    assert [(c.account_id, c.sequence) for c in changes] == [("two", 1), ("acc", 2), ("acc", 3)]
    assert changes[1].order == folded.order
    assert changes[2].event.text == "FILLED, filled 1"
    assert [c.sequence for c in await orders.changes(["acc"], {}, limit=2)] == [1, 2]
    assert await orders.changes([], {}) == ()
    assert await orders.last_sequence("acc") == 3
    assert await orders.last_sequence("none") == 0
    assert "a remark" in [event.text for event in await orders.timeline(order.order_id)]


async def test_sequences_have_no_gaps_under_concurrency(
    orders: SqlOrderStore, ledger: SqlIntentLedger
) -> None:
    drafts = [a_placement(an_order(f"k{i}")) for i in range(25)]

    async def live(number: int) -> None:
        row = (await reserve(ledger, drafts[number])).row
        report = a_report(an_order(f"k{number}"), Verdict.ACCEPTED, venue_order_id=f"v{number}")
        await orders.fold(report)
        await orders.book([a_fill("t", "1", client_order_id=row.client_order_id)])

    await asyncio.gather(*(live(number) for number in range(25)))
    last = await orders.last_sequence("acc")
    changes = await orders.changes(["acc"], {}, limit=1000)
    assert [change.sequence for change in changes] == list(range(1, last + 1))
    for change in changes:
        assert change.event.order_id == change.order.order_id


async def test_pages_lead_through_all_orders_newest_first(orders: SqlOrderStore) -> None:
    made = []
    for number in range(7):
        created = CREATED_AT + timedelta(microseconds=number // 2)
        order = an_order(f"k{number}", created_at=created, denied="x")
        made.append(await orders.add(order, an_event(order.order_id)))
    wanted = sorted(made, key=lambda o: (o.created_at, o.order_id), reverse=True)
    seen: list[Order] = []
    cursor = None
    for _ in range(10):
        page = await orders.page(OrderFilter(owner="local", limit=3, cursor=cursor))
        seen += page.orders
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == wanted


async def test_a_page_shows_what_was_asked_for(
    orders: SqlOrderStore, accounts: SqlAccountStore, order: Order
) -> None:
    await accounts.add(an_account("two"), trading=b"x", feed=None)
    later = CREATED_AT + timedelta(hours=1)
    other = an_order(
        "other", account_id="two", symbol="ETH-PERP", venue="sim", created_at=later, denied="x"
    )
    other = await orders.add(other, an_event(other.order_id))

    async def ids(**wanted: Any) -> list[str]:
        page = await orders.page(OrderFilter(owner="local", **wanted))
        return [o.order_id for o in page.orders]

    everything = [other.order_id, order.order_id]
    assert await ids() == everything
    assert await ids(account_id="two") == [other.order_id]
    assert await ids(account_ids=("two", "three")) == [other.order_id]
    assert await ids(account_ids=("two",), account_id=order.account_id) == []
    assert await ids(account_ids=()) == []
    assert await ids(venue="hyperliquid") == [order.order_id]
    assert await ids(symbol="ETH-PERP") == [other.order_id]
    assert await ids(statuses=("DENIED",)) == [other.order_id]
    assert await ids(statuses=("DENIED", "SUBMITTED")) == everything
    assert await ids(created_from=later) == [other.order_id]
    assert await ids(created_until=later) == [order.order_id]
    assert (await orders.page(OrderFilter(owner="another"))).orders == ()


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "é",
        "!!!!",
        "W10",
        "WzEsMl0",
        "WyJhIiwiYiJd",
        "WzEsIm5vIGlkIl0",
        "WzFlOTk5LCJhIl0",
        "WzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwLCAiMGI5YzdhNTItNmY0ZS01YjFkLTliN2YtMmYxYzBhM2Q0ZTVmIl0",
        "A" * 300,
    ],
)
async def test_a_cursor_of_another_make_is_refused(orders: SqlOrderStore, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="next_cursor"):
        await orders.page(OrderFilter(owner="local", cursor=cursor))


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_limit_out_of_bounds_is_refused(orders: SqlOrderStore, limit: int) -> None:
    with pytest.raises(InvalidInput, match="limit"):
        await orders.page(OrderFilter(owner="local", limit=limit))


async def test_a_forged_cursor_shows_nothing_of_others(orders: SqlOrderStore, order: Order) -> None:
    forged = cursor_after(replace(order, created_at=CREATED_AT + timedelta(days=1)))
    page = await orders.page(OrderFilter(owner="another", cursor=forged))
    assert page.orders == ()
