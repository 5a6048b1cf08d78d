"""Several placements in one signed request: all rows or none, one message, one nonce."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.errors import Conflict, CorruptState, NotFound, RiskRefused, Unavailable
from domain.instruments import OrderSide
from domain.ledger import CommandDraft, CommandKey, CommandSlot, JointDraft, JointReservation
from domain.order_fold import with_closure
from domain.orders import Closure, Order, OrderStatus, OrderType, Verdict
from domain.outcomes import Accepted, NotSent, SendResult
from domain.timeline import EventKind, TimelineEvent
from storage.accounts import SqlAccountStore
from storage.engine import Database
from storage.halts import HaltStore
from storage.ledger import SqlIntentLedger
from storage.orders import SqlOrderStore
from tests.storage.builders import CREATED_AT, a_placement, a_report, an_order, reserve
from tests.storage.conftest import Clock
from tests.storage.proxy import AtCommit
from tests.storage.test_failures import Rig, rig

__all__ = ["rig"]

ENTRY = an_order("entry", joint=True)


def an_exit(key: str, **changes: Any) -> Order:
    return replace(
        an_order(key, joint=True, reduce_only=True, side=OrderSide.SELL),
        order_type=OrderType.STOP_MARKET,
        **changes,
    )


STOP, TARGET = an_exit("stop"), an_exit("target")


def a_joint(revision: int = 0, **changes: object) -> JointDraft:
    def placed(order: Order) -> CommandDraft:
        raises = not order.reduce_only
        return a_placement(order, revision, raises_exposure=raises, **changes)

    return JointDraft(entry=placed(ENTRY), exits=(placed(STOP), placed(TARGET)))


def spell(key: CommandKey, collision: int) -> str:
    return f"{key.order_id}-{key.revision}-{collision}"


def compose(slots: Sequence[CommandSlot]) -> str:
    return "|".join(f"{slot.client_order_id} {slot.nonce}" for slot in slots)


async def reserve_joint(ledger: SqlIntentLedger, draft: JointDraft) -> JointReservation:
    return await ledger.reserve_joint(draft, spell_client_order_id=spell, compose=compose)


async def test_one_row_bears_the_message_and_each_order_has_its_own(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    reservation = await reserve_joint(ledger, a_joint())

    assert reservation.inserted
    entry, stop, target = reservation.rows
    assert entry.carried_by is None
    assert entry.message == compose(
        [
            CommandSlot(client_order_id=row.client_order_id, nonce=entry.nonce, admitted_until=None)
            for row in reservation.rows
        ]
    )
    for row, order in ((entry, ENTRY), (stop, STOP), (target, TARGET)):
        assert await ledger.read(row.key) == row
        assert (row.nonce, row.admitted_until) == (entry.nonce, entry.admitted_until)
        stored = await orders.get(order.order_id)
        assert stored is not None
        assert stored.status is OrderStatus.SUBMITTED
        assert stored.client_order_id == row.client_order_id
        assert stored.joint
    assert {(row.message, row.carried_by) for row in (stop, target)} == {("", ENTRY.order_id)}
    assert (await reserve(ledger, a_placement(an_order("next")))).row.nonce != entry.nonce


async def test_it_is_found_as_a_whole(ledger: SqlIntentLedger, clock: Clock) -> None:
    first = await reserve_joint(ledger, a_joint())
    clock.advance(seconds=3)

    again = await reserve_joint(ledger, a_joint())

    assert again == JointReservation(rows=first.rows, inserted=False)


async def test_twenty_at_once_insert_one(ledger: SqlIntentLedger) -> None:
    answers = await asyncio.gather(*(reserve_joint(ledger, a_joint()) for _ in range(20)))

    assert [answer.inserted for answer in answers].count(True) == 1
    assert len({answer.rows for answer in answers}) == 1


async def test_each_outcome_is_its_own(ledger: SqlIntentLedger, orders: SqlOrderStore) -> None:
    entry, stop, target = (await reserve_joint(ledger, a_joint())).rows
    report = a_report(ENTRY, Verdict.ACCEPTED, venue_order_id="v1")

    await ledger.decide(entry.key, SendResult(outcome=Accepted(report=report)))
    absent = NotSent(reason="never_admitted", proof="a test")
    await ledger.decide(stop.key, SendResult(outcome=absent))

    undecided = await ledger.undecided(before=CREATED_AT + timedelta(seconds=1))
    assert [row.key for row in undecided] == [target.key]
    kept = await orders.get(STOP.order_id)
    assert kept is not None
    assert kept.current is not None
    assert kept.current.absent == "a test"


async def test_it_is_placed_again_as_a_whole(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    for row in (await reserve_joint(ledger, a_joint())).rows:
        absent = NotSent(reason="never_admitted", proof="a test")
        await ledger.decide(row.key, SendResult(outcome=absent))

    again = await reserve_joint(ledger, a_joint(1))

    assert again.inserted
    for order in (ENTRY, STOP, TARGET):
        stored = await orders.get(order.order_id)
        assert stored is not None
        assert [revision.number for revision in stored.revisions] == [0, 1]


async def _nothing_of(ledger: SqlIntentLedger, orders: SqlOrderStore, *kept: Order) -> None:
    for order in (ENTRY, STOP, TARGET):
        assert await ledger.of_order(order.order_id) == ()
        assert (await orders.get(order.order_id) is None) is (order not in kept)


async def test_a_halt_forbids_all_of_it(
    ledger: SqlIntentLedger, orders: SqlOrderStore, database: Database
) -> None:
    await HaltStore(database).halt("acc", reason="a test", by="local")

    with pytest.raises(RiskRefused, match="a test"):
        await reserve_joint(ledger, a_joint())

    await _nothing_of(ledger, orders)


async def test_one_that_has_ended_forbids_all_of_it(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    event = TimelineEvent(order_id=STOP.order_id, kind=EventKind.CLOSED, text="", at=CREATED_AT)
    closed = with_closure(STOP, Closure(verdict=Verdict.CANCELED, reason="a test"))
    await orders.add(closed, event)

    with pytest.raises(Conflict, match="has ended"):
        await reserve_joint(ledger, a_joint())

    await _nothing_of(ledger, orders, STOP)


async def test_past_its_time_nothing_of_it_is_written(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    with pytest.raises(Conflict) as caught:
        await reserve_joint(ledger, a_joint(not_after=CREATED_AT - timedelta(seconds=1)))

    assert caught.value.code == "too_late"
    await _nothing_of(ledger, orders)


async def test_of_an_account_that_is_none(
    database: Database, accounts: SqlAccountStore, clock: Clock
) -> None:
    ledger = SqlIntentLedger(database, now=clock)

    with pytest.raises(NotFound, match="no account"):
        await reserve_joint(ledger, a_joint(account_id="nobody"))


async def test_an_exit_that_was_placed_before_forbids_it(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    await reserve(ledger, a_placement(STOP, raises_exposure=False))

    with pytest.raises(Conflict, match="placed before"):
        await reserve_joint(ledger, a_joint())

    assert await ledger.of_order(ENTRY.order_id) == ()
    assert await orders.get(TARGET.order_id) is None


async def test_an_entry_that_was_placed_alone_is_no_joint_placement(
    ledger: SqlIntentLedger,
) -> None:
    await reserve(ledger, a_placement(ENTRY))

    with pytest.raises(CorruptState, match="found nothing"):
        await reserve_joint(ledger, a_joint())


async def test_a_client_order_id_in_use_is_a_collision(ledger: SqlIntentLedger) -> None:
    reservation = await ledger.reserve_joint(
        a_joint(), spell_client_order_id=lambda _, collision: f"id-{collision}", compose=compose
    )

    assert [row.client_order_id for row in reservation.rows] == ["id-0", "id-1", "id-2"]
    assert reservation.rows[0].message.startswith("id-0 ")


async def test_a_commit_whose_answer_is_lost_is_read_again_and_is_ours(rig: Rig) -> None:
    rig.proxy.at_commit = AtCommit.LOSE_ANSWER

    reservation = await reserve_joint(rig.ledger, a_joint())

    assert rig.proxy.commits_broken == 1
    assert reservation.inserted
    assert reservation.rows == tuple(
        [await rig.ledger.read(member.key) for member in a_joint().members]
    )
    assert not (await reserve_joint(rig.ledger, a_joint())).inserted


async def test_a_commit_that_never_arrived_leaves_nothing(rig: Rig) -> None:
    rig.proxy.at_commit = AtCommit.LOSE

    with pytest.raises(Unavailable, match="answer to COMMIT was lost"):
        await reserve_joint(rig.ledger, a_joint())

    assert await rig.ledger.of_order(ENTRY.order_id) == ()
    assert (await reserve_joint(rig.ledger, a_joint())).inserted
