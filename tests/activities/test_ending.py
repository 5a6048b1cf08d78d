"""Canceling, closing, adopting, settling, and an operator's word."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from activities.contracts import CancelTask, CloseTask, OperatorVerdict, OrderTask, RequestNote
from activities.orders import OrderActivities
from domain.commands import CommandKind
from domain.errors import CorruptState
from domain.order_fold import with_closure
from domain.orders import Closure, Concern, Order, OrderReport, OrderStatus, Verdict
from domain.outcomes import Accepted, NotSent, Rejected, Unknown
from domain.timeline import EventKind, TimelineEvent
from tests.activities.floor import TAKING, Altered, Floor, an_order, now
from venues.connector import OrderLookup
from venues.simulation.faults import FaultKind


async def resting(floor: Floor, **changes: Any) -> Order:
    return (await floor.place(an_order(**changes))).order


# Cancel


async def test_a_cancel_reads_the_final_quantity(floor: Floor) -> None:
    order = await resting(floor)
    floor.fill("0.004")

    result = await floor.cancel(order)

    assert result.definite
    assert result.order.status is OrderStatus.CANCELED
    assert result.order.filled_quantity == Decimal("0.004")
    assert result.order.concern is Concern.NONE


async def test_a_cancel_for_a_modify_keeps_the_order_pending(floor: Floor) -> None:
    order = await resting(floor)

    result = await floor.cancel(order, concern=Concern.PENDING_MODIFY)

    assert result.order.status is OrderStatus.PENDING_MODIFY
    assert result.order.revisions[0].effective is Verdict.CANCELED


async def test_the_cancel_answer_counts_where_no_look_up_answers(floor: Floor) -> None:
    order = await resting(floor)
    floor.fault(FaultKind.ERROR_BEFORE_APPLY, "orderStatus", count=None)

    result = await floor.cancel(order)

    outcome = (await floor.row(order, CommandKind.CANCEL)).outcome
    assert isinstance(outcome, Accepted)
    assert outcome.report is not None
    assert outcome.report.source == "cancel answer"
    assert result.order.status is OrderStatus.CANCELED


async def test_a_look_up_that_lags_behind_does_not_bring_a_canceled_order_back(
    floor: Floor,
) -> None:
    order = await resting(floor)
    connector = await floor.connector()
    account = (await floor.opened_access()).account
    before = await connector.find_order(
        account, symbol=order.symbol, client_order_id=order.client_order_id
    )
    assert before.order is not None
    assert before.order.verdict is Verdict.ACCEPTED

    async def find_order(*_: object, **__: object) -> OrderLookup:
        return before

    source = Altered(connector, find_order=find_order)
    stale = OrderActivities(floor.parts(connectors=source))
    task = CancelTask(order_id=order.order_id, number=0, revision=0, concern=Concern.PENDING_CANCEL)
    result = await floor.environment.run(stale.cancel, task)

    assert result.order.status is OrderStatus.CANCELED
    assert result.order.filled_quantity == 0


async def test_a_cancel_of_a_filled_order_finds_the_fill(floor: Floor) -> None:
    order = await resting(floor)
    floor.fill()

    result = await floor.cancel(order)

    assert result.definite
    assert result.order.status is OrderStatus.FILLED
    outcome = (await floor.row(order, CommandKind.CANCEL)).outcome
    assert isinstance(outcome, Rejected)
    assert outcome.code == "no_such_order"
    assert outcome.report is not None


@pytest.mark.parametrize("answering", [True, False])
async def test_no_such_order_proves_nothing_without_a_record(floor: Floor, answering: bool) -> None:
    order = await resting(floor)
    floor.fill()
    if answering:
        floor.venue.exchange.switches.lookup_lag_ms = 60_000
    else:
        floor.fault(FaultKind.ERROR_BEFORE_APPLY, "orderStatus", count=None)

    result = await floor.cancel(order)

    assert not result.definite
    assert result.order.concern is Concern.PENDING_CANCEL
    outcome = (await floor.row(order, CommandKind.CANCEL)).outcome
    assert isinstance(outcome, Unknown)
    assert "no look-up shows its end" in outcome.reason


async def test_a_cancel_that_was_not_sent_says_so(floor: Floor) -> None:
    order = await resting(floor)
    floor.fault(FaultKind.RATE_LIMIT, "cancel")

    result = await floor.cancel(order)

    assert result.definite
    assert result.answer.startswith("not sent: rate_limited")
    assert result.order.status is OrderStatus.ACCEPTED
    assert isinstance((await floor.row(order, CommandKind.CANCEL)).outcome, NotSent)


async def test_another_refusal_of_a_cancel_says_nothing_of_the_order(floor: Floor) -> None:
    order = await resting(floor)
    agents = floor.venue.exchange.tables.agents
    agents.pop(floor.opened["agent_address"])

    result = await floor.cancel(order)

    assert result.definite
    assert result.answer.startswith("rejected: User or API Wallet")
    assert result.order.status is OrderStatus.ACCEPTED


async def test_a_cancel_found_undecided_is_not_sent_again(floor: Floor) -> None:
    order = await resting(floor)
    floor.fault(FaultKind.DROP_BEFORE_APPLY, "cancel")
    await floor.cancel(order)

    again = await floor.cancel(order)

    assert not again.definite
    assert floor.one_at_venue().reason is None


# Close


def closing(order: Order, verdict: Verdict = Verdict.EXPIRED) -> CloseTask:
    return CloseTask(order=order, reason="not_sent", verdict=verdict.value)


async def test_closing_an_order_that_sql_does_not_know_keeps_it(floor: Floor) -> None:
    order = an_order()

    adoption = await floor.environment.run(floor.orders.close, closing(order))

    assert adoption.undecided == ()
    assert adoption.order.status is OrderStatus.EXPIRED
    assert adoption.order.reason == "not_sent"
    assert await floor.stored(order) == adoption.order
    assert await floor.timeline(order) == ["EXPIRED: not_sent"]


async def test_an_order_whose_bytes_may_be_out_is_not_closed(floor: Floor) -> None:
    order = an_order()
    floor.fault(FaultKind.DROP_AFTER_APPLY)
    await floor.place(order)

    adoption = await floor.environment.run(floor.orders.close, closing(order))

    assert [key.command for key in adoption.undecided] == [CommandKind.PLACE]
    assert not (await floor.stored(order)).is_terminal


async def test_an_order_that_lives_is_not_closed(floor: Floor) -> None:
    order = await resting(floor)

    adoption = await floor.environment.run(floor.orders.close, closing(order))

    assert adoption.undecided == ()
    assert adoption.order.status is OrderStatus.ACCEPTED


async def test_an_order_proven_absent_is_closed_once(floor: Floor) -> None:
    order = an_order()
    floor.fault(FaultKind.RATE_LIMIT)
    placed = await floor.place(order)

    first = await floor.environment.run(floor.orders.close, closing(placed.order))
    second = await floor.environment.run(floor.orders.close, closing(placed.order))

    assert first.order.status is OrderStatus.EXPIRED
    assert second.order == first.order
    assert (await floor.timeline(order)).count("EXPIRED: not_sent") == 1


# Adopt


async def test_adopting_brings_what_is_undecided_and_the_next_cancels_number(
    floor: Floor,
) -> None:
    order = await resting(floor)
    floor.fault(FaultKind.RATE_LIMIT, "cancel")
    await floor.cancel(order)
    floor.fault(FaultKind.DROP_BEFORE_APPLY, "cancel")
    await floor.cancel(order, number=1)

    adoption = await floor.environment.run(floor.orders.adopt, OrderTask(order_id=order.order_id))

    assert [(key.command, key.revision) for key in adoption.undecided] == [(CommandKind.CANCEL, 1)]
    assert adoption.cancel_count == 2
    assert adoption.order == await floor.stored(order)


async def test_adopting_what_nobody_knows_is_corrupt(floor: Floor) -> None:
    with pytest.raises(CorruptState, match="nothing is known"):
        await floor.environment.run(floor.orders.adopt, OrderTask(order_id="nothing"))


# Settle


async def test_settling_waits_for_nothing_when_all_fills_are_booked(floor: Floor) -> None:
    order = (await floor.place(an_order(**TAKING))).order
    await floor.book_fills()

    settlement = await floor.settle(order)

    assert settlement.settled
    assert settlement.order.status is OrderStatus.FILLED
    assert (await floor.timeline(order))[-1] == "workflow ends: FILLED"


async def test_settling_books_what_is_missing_from_the_venue(floor: Floor) -> None:
    order = (await floor.place(an_order(**TAKING))).order
    assert (await floor.storage.orders.fill_total(order.order_id)).quantity == 0

    settlement = await floor.settle(order)

    assert settlement.settled
    total = await floor.storage.orders.fill_total(order.order_id)
    assert total.quantity == order.quantity
    assert total.average_price == settlement.order.average_price


async def test_settling_goes_on_while_fills_are_missing(floor: Floor) -> None:
    order = await resting(floor)
    report = OrderReport(
        order_id=order.order_id,
        revision=0,
        verdict=Verdict.FILLED,
        filled_quantity=order.quantity,
        average_price=order.price,
    )
    await floor.storage.orders.fold(report)

    settlement = await floor.settle(order)

    assert not settlement.settled
    assert settlement.missing == "booked 0 of 0.01"


async def test_an_order_that_lives_again_does_not_settle(floor: Floor) -> None:
    order = await resting(floor)

    settlement = await floor.settle(order)

    assert not settlement.settled
    assert settlement.missing == "the order lives again"


async def test_a_closed_order_that_turns_out_to_have_filled_is_reopened_and_settles(
    floor: Floor,
) -> None:
    """The venue's own list of fills outranks our closure."""
    order = an_order(**TAKING)
    placed = (await floor.place(order)).order
    closed = replace(
        with_closure(placed, Closure(verdict=Verdict.EXPIRED, reason="operator", by_operator=True)),
        revisions=tuple(
            replace(r, verdict=Verdict.SUBMITTED, filled_quantity=Decimal(0), average_price=None)
            for r in placed.revisions
        ),
    )
    event = TimelineEvent(order_id=order.order_id, kind=EventKind.CLOSED, text="cut", at=now())
    await floor.storage.orders.amend(order.order_id, lambda _: closed, event)
    assert (await floor.stored(order)).status is OrderStatus.EXPIRED
    await floor.book_fills()

    settlement = await floor.settle(order)

    assert settlement.settled
    assert settlement.order.status is OrderStatus.FILLED


async def test_a_request_is_kept_in_the_timeline(floor: Floor) -> None:
    order = await resting(floor)

    await floor.environment.run(
        floor.orders.note_request, RequestNote(order_id=order.order_id, text="modify to 1")
    )

    assert (await floor.timeline(order))[-1] == "modify to 1"


# An operator's word


def word(order: Order, verdict: str) -> OperatorVerdict:
    return OperatorVerdict(
        order_id=order.order_id, verdict=verdict, reason="seen at the venue", by="local"
    )


async def test_an_operator_says_absent(floor: Floor) -> None:
    order = an_order()
    floor.fault(FaultKind.DROP_BEFORE_APPLY)
    await floor.place(order)

    adoption = await floor.environment.run(
        floor.orders.apply_operator_verdict, word(order, "absent")
    )

    assert adoption.undecided == ()
    assert adoption.order.status is OrderStatus.EXPIRED
    assert adoption.order.reason == "operator local: seen at the venue"
    assert adoption.order.outcome == "not_sent"
    outcome = (await floor.row(order)).outcome
    assert isinstance(outcome, NotSent)
    assert not outcome.retryable


async def test_an_operator_says_accepted(floor: Floor) -> None:
    order = an_order()
    floor.fault(FaultKind.DROP_AFTER_APPLY)
    await floor.place(order)

    adoption = await floor.environment.run(
        floor.orders.apply_operator_verdict, word(order, "accepted")
    )

    assert adoption.order.concern is Concern.NONE
    assert not adoption.order.is_terminal
    assert (await floor.row(order)).outcome == Accepted()


async def test_an_operators_word_on_a_cancel_leaves_the_order_to_the_venue(floor: Floor) -> None:
    order = await resting(floor)
    floor.fault(FaultKind.DROP_AFTER_APPLY, "cancel")
    await floor.cancel(order)

    await floor.environment.run(floor.orders.apply_operator_verdict, word(order, "accepted"))

    assert isinstance((await floor.row(order, CommandKind.CANCEL)).outcome, NotSent)
    assert (await floor.stored(order)).concern is Concern.NONE


async def test_the_venue_outranks_an_operator(floor: Floor) -> None:
    order = an_order(**TAKING)
    floor.fault(FaultKind.DROP_AFTER_APPLY)
    await floor.place(order)
    await floor.environment.run(floor.orders.apply_operator_verdict, word(order, "absent"))

    await floor.book_fills()

    assert (await floor.stored(order)).status is OrderStatus.FILLED
