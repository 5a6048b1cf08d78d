"""The intent ledger: one row per command, whoever asks, however often, at the same time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import Network
from domain.commands import CommandKind
from domain.errors import CorruptState, NotFound
from domain.ledger import CommandKey, Found, Inserted, NonceRule
from domain.orders import Concern, OrderStatus, Verdict
from domain.outcomes import Accepted, Acknowledged, NotSent, Rejected, SendResult, Unknown
from domain.timeline import EventKind, TimelineEvent
from storage.accounts import SqlAccountStore
from storage.clock import milliseconds
from storage.engine import Database
from storage.ledger import RAW_ANSWER_BYTES_MAX, SqlIntentLedger
from storage.orders import SqlOrderStore
from tests.storage.builders import (
    CREATED_AT,
    a_cancel,
    a_fill,
    a_noop,
    a_placement,
    a_report,
    an_account,
    an_order,
    compose,
    reserve,
    spelling,
)
from tests.storage.conftest import Clock


async def test_reserving_twice_finds_the_first_row(
    ledger: SqlIntentLedger, orders: SqlOrderStore, clock: Clock
) -> None:
    order = an_order()
    first = await reserve(ledger, a_placement(order))
    clock.advance(seconds=3)
    second = await ledger.reserve(
        a_placement(order), spell_client_order_id=lambda _: "other", compose=lambda _: "{}"
    )
    assert second == Found(row=first.row)
    row = first.row
    assert row.inserted_at == CREATED_AT
    assert row.send_by == CREATED_AT + timedelta(seconds=1)
    assert row.admitted_until == CREATED_AT + timedelta(seconds=15)
    assert row.nonce == milliseconds(CREATED_AT)
    assert row.message == f'{{"cloid":"{order.order_id}-0-0","nonce":{row.nonce}}}'
    assert await ledger.read(row.key) == row
    stored = await orders.get(order.order_id)
    assert stored is not None
    assert stored.status is OrderStatus.SUBMITTED
    assert stored.client_order_id == row.client_order_id
    assert [event.kind for event in await orders.timeline(order.order_id)] == [
        EventKind.CREATED,
        EventKind.COMMAND,
    ]


async def test_fifty_reservations_at_once_insert_one_row(ledger: SqlIntentLedger) -> None:
    draft = a_placement(an_order())
    answers = await asyncio.gather(
        *(
            ledger.reserve(draft, spell_client_order_id=spelling(draft), compose=compose)
            for _ in range(50)
        )
    )
    assert sum(isinstance(answer, Inserted) for answer in answers) == 1
    assert len({answer.row for answer in answers}) == 1


async def test_nonces_of_a_signer_are_unique_and_rise_even_when_the_clock_goes_back(
    ledger: SqlIntentLedger, clock: Clock
) -> None:
    rows = await asyncio.gather(
        *(reserve(ledger, a_placement(an_order(f"k{i}"))) for i in range(30))
    )
    nonces = sorted(inserted.row.nonce or 0 for inserted in rows)
    start = milliseconds(CREATED_AT)
    assert nonces == list(range(start, start + 30))
    clock.advance(seconds=-60)
    late = await reserve(ledger, a_placement(an_order("late")))
    assert late.row.nonce == start + 30
    clock.advance(seconds=3600)
    later = await reserve(ledger, a_placement(an_order("later")))
    assert later.row.nonce == milliseconds(clock())
    other_lane = await reserve(ledger, a_placement(an_order("lane"), lane="b"))
    assert other_lane.row.nonce == milliseconds(clock())


async def test_counted_nonces_follow_what_the_venue_has_seen(ledger: SqlIntentLedger) -> None:
    draft = a_placement(an_order(), nonce_rule=NonceRule.SEQUENCE)
    with pytest.raises(CorruptState, match="read it from the venue first"):
        await reserve(ledger, draft)
    assert await ledger.read(draft.key) is None
    signer: dict[str, Any] = {
        "venue": "hyperliquid",
        "network": Network.PAPER,
        "signer": "signer-acc",
        "lane": "",
    }
    assert await ledger.learn_nonce(**signer, last_nonce=41) == 41
    assert await ledger.learn_nonce(**signer, last_nonce=7) == 41
    assert (await reserve(ledger, draft)).row.nonce == 42


async def test_a_client_order_id_in_use_is_a_collision_and_another_is_picked(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    first = await ledger.reserve(
        a_placement(an_order("a")), spell_client_order_id=lambda n: f"id-{n}", compose=compose
    )
    second = await ledger.reserve(
        a_placement(an_order("b")), spell_client_order_id=lambda n: f"id-{n}", compose=compose
    )
    assert isinstance(second, Inserted)
    assert (first.row.client_order_id, second.row.client_order_id) == ("id-0", "id-1")
    assert '"id-1"' in second.row.message
    with pytest.raises(CorruptState, match="free client order id"):
        await ledger.reserve(
            a_placement(an_order("c")), spell_client_order_id=lambda _: "id-0", compose=compose
        )
    assert await orders.get(an_order("c").order_id) is None


async def test_where_the_nonce_names_the_order_it_is_its_client_order_id(
    ledger: SqlIntentLedger, orders: SqlOrderStore, clock: Clock
) -> None:
    rule = NonceRule.NAMES_ORDER
    first, second = an_order("one"), an_order("two")
    rows = [
        (await reserve(ledger, a_placement(order, nonce_rule=rule))).row
        for order in (first, second)
    ]
    assert [row.client_order_id for row in rows] == [str(row.nonce) for row in rows]
    assert rows[1].nonce == (rows[0].nonce or 0) + 1
    cancel = (await reserve(ledger, a_cancel(first, nonce_rule=rule))).row
    assert cancel.client_order_id == rows[0].client_order_id
    assert cancel.nonce == (rows[1].nonce or 0) + 1, "a request of its own has its own"
    # Another key of the account counts for itself: a nonce that is an order's name is passed over.
    other = an_order("three")
    changed = (await reserve(ledger, a_placement(other, nonce_rule=rule, signer="0xother"))).row
    taken = {row.client_order_id for row in rows}
    assert changed.client_order_id == str(changed.nonce)
    assert changed.client_order_id not in taken
    kept = await orders.get(other.order_id)
    assert kept is not None and kept.client_order_id == changed.client_order_id


async def test_accounts_do_not_share_client_order_ids(
    ledger: SqlIntentLedger, accounts: SqlAccountStore
) -> None:
    await accounts.add(an_account("two"), trading=b"x", feed=None)
    for order in (an_order("a"), an_order("b", account_id="two")):
        answer = await ledger.reserve(
            a_placement(order), spell_client_order_id=lambda n: f"id-{n}", compose=compose
        )
        assert answer.row.client_order_id == "id-0"


async def test_a_message_that_cannot_be_composed_leaves_nothing(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    def fail(_: object) -> str:
        raise RuntimeError("no message")

    draft = a_placement(an_order())
    with pytest.raises(RuntimeError, match="no message"):
        await ledger.reserve(draft, spell_client_order_id=spelling(draft), compose=fail)
    assert await ledger.read(draft.key) is None
    assert await orders.get(draft.key.order_id) is None
    assert await orders.last_sequence("acc") == 0
    assert (await reserve(ledger, draft)).row.nonce == milliseconds(CREATED_AT)


async def test_a_later_placement_takes_quantity_and_price_and_leaves_the_rest(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order = an_order(concern=Concern.NONE)
    await reserve(ledger, a_placement(order))
    await orders.fold(a_report(order, Verdict.CANCELED, "0.25", venue_order_id="v1"))
    await orders.amend(
        order.order_id,
        lambda o: replace(o, concern=Concern.PENDING_MODIFY),
        _event(order.order_id),
    )
    asked = replace(order, price=Decimal("46000"), quantity=Decimal("0.5"), symbol="IGNORED")
    draft = a_placement(asked, revision=1, concern=Concern.NONE, symbol="BTC-PERP")
    await reserve(ledger, draft)
    stored = await orders.get(order.order_id)
    assert stored is not None
    assert (stored.quantity, stored.price, stored.symbol) == (
        Decimal("0.5"),
        Decimal("46000"),
        "BTC-PERP",
    )
    assert [r.number for r in stored.revisions] == [0, 1]
    assert stored.concern is Concern.NONE
    assert stored.filled_quantity == Decimal("0.25")


async def test_other_commands_use_the_client_id_of_their_revision(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order = an_order()
    placed = (await reserve(ledger, a_placement(order))).row
    cancel = await reserve(ledger, a_cancel(order, concern=Concern.PENDING_CANCEL))
    assert cancel.row.client_order_id == placed.client_order_id
    assert (cancel.row.nonce or 0) == (placed.nonce or 0) + 1
    stored = await orders.get(order.order_id)
    assert stored is not None
    assert stored.status is OrderStatus.PENDING_CANCEL
    noop = await reserve(ledger, a_noop(order, placed.nonce or 0))
    assert noop.row.nonce == placed.nonce
    assert [row.key for row in await ledger.of_order(order.order_id)] == [
        placed.key,
        cancel.row.key,
        noop.row.key,
    ]


async def test_commands_need_their_account_order_and_revision(ledger: SqlIntentLedger) -> None:
    with pytest.raises(NotFound, match="no account"):
        await reserve(ledger, a_placement(an_order(account_id="none")))
    with pytest.raises(NotFound, match="no order"):
        await reserve(ledger, a_cancel(an_order()))
    with pytest.raises(NotFound, match="no order"):
        await reserve(ledger, replace(a_placement(an_order(), revision=1), order=None))
    await reserve(ledger, a_placement(an_order()))
    with pytest.raises(NotFound, match="no revision 4"):
        await reserve(ledger, a_cancel(an_order(), revision=4))
    with pytest.raises(NotFound, match="no command"):
        await ledger.decide(
            CommandKey(order_id="x", command=CommandKind.PLACE, revision=0),
            SendResult(outcome=Unknown(reason="silence")),
        )
    assert await ledger.read(a_cancel(an_order()).key) is None


async def test_a_definite_outcome_is_written_once_and_settles_the_order(
    ledger: SqlIntentLedger, orders: SqlOrderStore, clock: Clock
) -> None:
    order = an_order()
    key = (await reserve(ledger, a_placement(order))).row.key
    clock.advance(seconds=1)
    silent = SendResult(outcome=Unknown(reason="timeout"), raw="<html>")
    unknown = await ledger.decide(key, silent, concern=Concern.UNKNOWN)
    assert unknown.status is OrderStatus.UNKNOWN
    row = await ledger.read(key)
    assert row is not None
    assert (row.is_decided, row.decided_at, row.raw_answer) == (False, None, "<html>")
    report = a_report(order, Verdict.ACCEPTED, venue_order_id="v1")
    accepted = SendResult(outcome=Accepted(report=report))
    decided = await ledger.decide(key, accepted, concern=Concern.NONE)
    assert decided.status is OrderStatus.ACCEPTED
    row = await ledger.read(key)
    assert row is not None
    assert (row.outcome, row.raw_answer, row.decided_at) == (
        accepted.outcome,
        "<html>",
        clock(),
    )
    refused = Rejected(code="duplicate", reason="used", proof="answer")
    again = await ledger.decide(key, SendResult(outcome=refused), concern=Concern.UNKNOWN)
    assert again == decided
    row = await ledger.read(key)
    assert row is not None
    assert row.outcome == accepted.outcome
    assert await orders.undelivered() == ()


async def test_what_the_venue_says_after_the_decision_is_folded_in_and_noted(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order = an_order()
    key = (await reserve(ledger, a_placement(order))).row.key
    absent = NotSent(reason="never_admitted", proof="fence")
    await ledger.decide(key, SendResult(outcome=absent))
    filled = a_report(order, Verdict.FILLED, "1", venue_order_id="v1")
    seen = await ledger.decide(key, SendResult(outcome=Accepted(report=filled)))
    assert seen.status is OrderStatus.FILLED
    row = await ledger.read(key)
    assert row is not None
    assert row.outcome == absent
    last = (await orders.timeline(order.order_id))[-1]
    assert last.kind is EventKind.FINDING
    (delivery,) = await orders.undelivered()
    assert delivery.report.filled_quantity == Decimal(1)


async def test_the_same_undecided_outcome_again_writes_nothing(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    key = (await reserve(ledger, a_placement(an_order()))).row.key
    silent = SendResult(outcome=Unknown(reason="timeout"))
    await ledger.decide(key, silent, concern=Concern.UNKNOWN)
    sequence = await orders.last_sequence("acc")
    await ledger.decide(key, silent, concern=Concern.UNKNOWN)
    assert await orders.last_sequence("acc") == sequence
    taken = SendResult(outcome=Acknowledged(venue_order_id="a1"))
    await ledger.decide(key, taken)
    assert await orders.last_sequence("acc") == sequence + 1


async def test_an_outcome_about_a_revision_that_is_not_there_is_corrupt(
    ledger: SqlIntentLedger,
) -> None:
    order = an_order()
    key = (await reserve(ledger, a_placement(order))).row.key
    stray = a_report(order, Verdict.ACCEPTED, revision=3)
    with pytest.raises(CorruptState, match="no revision 3"):
        await ledger.decide(key, SendResult(outcome=Accepted(report=stray)))
    row = await ledger.read(key)
    assert row is not None
    assert row.outcome is None


async def test_garbled_answers_are_kept_as_far_as_text_goes(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order = an_order()
    key = (await reserve(ledger, a_placement(order))).row.key
    garbled = SendResult(
        outcome=Unknown(reason="un\ud800readable\0"), raw="\0\ud800" + "é" * RAW_ANSWER_BYTES_MAX
    )
    await ledger.decide(key, garbled)
    row = await ledger.read(key)
    assert row is not None
    assert row.outcome == Unknown(reason="un\ufffdreadable\ufffd")
    raw = row.raw_answer or ""
    assert raw.startswith("\ufffd\ufffdé")
    assert RAW_ANSWER_BYTES_MAX - 4 < len(raw.encode()) <= RAW_ANSWER_BYTES_MAX
    assert (await orders.timeline(order.order_id))[-1].text.endswith("un\ufffdreadable\ufffd")


async def test_fills_that_came_before_the_answer_find_their_order(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order = an_order()
    key = (await reserve(ledger, a_placement(order))).row.key
    assert await orders.book([a_fill("t1", "0.4"), a_fill("t2", "0.6", price=Decimal(45001))]) == ()
    report = a_report(order, Verdict.ACCEPTED, venue_order_id="v1")
    decided = await ledger.decide(key, SendResult(outcome=Accepted(report=report)))
    assert decided.status is OrderStatus.FILLED
    assert decided.average_price == Decimal("45000.6")
    assert (await orders.fill_total(order.order_id)).quantity == Decimal(1)
    kinds = [event.kind for event in await orders.timeline(order.order_id)]
    assert kinds[-3:] == [EventKind.OUTCOME, EventKind.FILL, EventKind.FILL]


async def test_undecided_commands_are_listed_oldest_first(
    ledger: SqlIntentLedger, clock: Clock
) -> None:
    rows = []
    for key in ("a", "b", "c"):
        rows.append((await reserve(ledger, a_placement(an_order(key)))).row)
        clock.advance(seconds=1)
    absent = NotSent(reason="late", proof="send_by passed")
    await ledger.decide(rows[0].key, SendResult(outcome=absent))
    await ledger.decide(rows[1].key, SendResult(outcome=Unknown(reason="?")))
    undecided = await ledger.undecided(before=clock())
    assert [row.key for row in undecided] == [rows[1].key, rows[2].key]
    assert len(await ledger.undecided(before=CREATED_AT + timedelta(seconds=2))) == 1


async def test_a_venue_without_nonces_or_expiry_gets_none(ledger: SqlIntentLedger) -> None:
    draft = a_placement(an_order(), nonce_rule=NonceRule.NONE, admission_window_s=None)
    row = (await reserve(ledger, draft)).row
    assert (row.nonce, row.admitted_until) == (None, None)
    assert await ledger.read(draft.key) == row


async def test_the_outcome_keeps_the_venues_own_time(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order = an_order()
    key = (await reserve(ledger, a_placement(order))).row.key
    await ledger.decide(key, SendResult(outcome=Accepted(), venue_time=CREATED_AT))
    detail = (await orders.timeline(order.order_id))[-1].detail or {}
    assert detail["venue_time"] == CREATED_AT.isoformat()


async def test_rows_that_contradict_each_other_stop_everything(
    database: Database, ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    order = an_order()
    draft = a_placement(order)
    row = (await reserve(ledger, draft)).row
    await database.write(lambda c: c.exec_driver_sql("DELETE FROM orders"))
    with pytest.raises(CorruptState, match="expected the order of command"):
        await ledger.decide(row.key, SendResult(outcome=Accepted()))
    with pytest.raises(CorruptState, match="there is none"):
        await orders.book([a_fill("t1", "1", client_order_id=row.client_order_id)])
    await database.write(lambda c: c.exec_driver_sql("UPDATE commands SET message = NULL"))
    with pytest.raises(CorruptState, match="expected the message of command"):
        await ledger.read(row.key)


async def test_a_command_without_concern_leaves_the_order_as_it_is(
    ledger: SqlIntentLedger, orders: SqlOrderStore, clock: Clock
) -> None:
    order = an_order()
    await reserve(ledger, a_placement(order))
    before = await orders.get(order.order_id)
    clock.advance(seconds=1)
    await reserve(ledger, a_cancel(order))
    assert await orders.get(order.order_id) == before
    again = replace(a_placement(order, revision=1), order=None)
    await reserve(ledger, again)
    after = await orders.get(order.order_id)
    assert after is not None
    assert (after.quantity, after.price) == (order.quantity, order.price)
    assert [r.number for r in after.revisions] == [0, 1]


async def test_the_ledger_position_only_grows(ledger: SqlIntentLedger) -> None:
    assert await ledger.ledger_position() == 0
    await reserve(ledger, a_placement(an_order("a")))
    first = await ledger.ledger_position()
    await reserve(ledger, a_placement(an_order("b")))
    assert 0 < first < await ledger.ledger_position()


def _event(order_id: str) -> TimelineEvent:
    return TimelineEvent(order_id=order_id, kind=EventKind.CLOSED, text="test", at=CREATED_AT)
