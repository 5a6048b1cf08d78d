"""Cancel, modify and an operator's word, in every state an order can be in."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from domain.commands import CommandKind
from domain.errors import Conflict, Unavailable
from domain.orders import Order, OrderStatus
from tests.activities.floor import BELOW, TAKING, an_order, now, until
from tests.workflows.stage import Stage
from venues.simulation.faults import FaultKind
from workflows.client import RequestAnswer
from workflows.contracts import RequestReply, ResolveRequest


async def cancel(stage: Stage, order: Order, request_id: str = "c1") -> RequestAnswer:
    return await stage.workflows.cancel(order.order_id, request_id, wait_s=20)


async def modify(
    stage: Stage,
    order: Order,
    request_id: str = "m1",
    *,
    price: str | None = None,
    quantity: str | None = None,
) -> RequestAnswer:
    return await stage.workflows.modify(
        order.order_id,
        request_id,
        price=None if price is None else Decimal(price),
        quantity=None if quantity is None else Decimal(quantity),
        wait_s=20,
    )


async def running(stage: Stage, order: Order) -> asyncio.Task[Any]:
    """Start placing, and return when the workflow runs."""
    placing = asyncio.create_task(stage.try_place(order))
    await until(lambda: stage.workflows.is_running(order.order_id), what="a running workflow")
    return placing


def end_of(answer: RequestAnswer) -> tuple[OrderStatus, str | None]:
    assert answer.decided
    assert answer.order is not None
    return answer.order.status, answer.refusal


# Cancel


async def test_cancel_before_anything_is_sent(stage: Stage) -> None:
    """The database is away, so that the ledger has nothing of it."""
    order = an_order()
    stage.floor.fault(FaultKind.RATE_LIMIT, count=None)
    placing = await running(stage, order)
    await until(lambda: _has_absent(stage, order), what="an unsent revision")

    status, refusal = end_of(await cancel(stage, order))

    assert status is OrderStatus.CANCELED
    assert refusal is None
    placed = (await placing).order
    assert placed is not None
    assert placed.outcome == "not_sent"
    assert placed.reason == "canceled_before_sent"
    await stage.ended(order)
    assert stage.floor.at_venue() == []


async def _has_absent(stage: Stage, order: Order) -> bool:
    kept = await stage.floor.storage.orders.get(order.order_id)
    return kept is not None and any(r.absent for r in kept.revisions)


async def test_cancel_while_the_placement_is_under_way(stage: Stage) -> None:
    order = an_order()
    stage.floor.fault(FaultKind.DELAY_ANSWER, delay_ms=600)
    placing = await running(stage, order)
    await stage.until_placed(order)

    status, refusal = end_of(await cancel(stage, order))

    assert status is OrderStatus.CANCELED
    assert refusal is None
    placed = (await placing).order
    assert placed is not None
    assert placed.outcome == "accepted"
    assert stage.floor.one_at_venue().status.value == "canceled"


async def test_cancel_of_an_order_whose_placement_is_unknown_and_never_came(
    stage: Stage,
) -> None:
    order = an_order()
    stage.floor.fault(FaultKind.DROP_BEFORE_APPLY)
    stage.floor.fault(FaultKind.DELAY, "orderStatus", delay_ms=500, count=1)
    placing = await running(stage, order)
    await until(lambda: _is_unknown(stage, order), what="an unknown order")

    status, refusal = end_of(await cancel(stage, order))

    assert status is OrderStatus.CANCELED
    assert refusal is None
    await placing
    await stage.ended(order)
    assert stage.floor.at_venue() == []


async def _is_unknown(stage: Stage, order: Order) -> bool:
    kept = await stage.floor.storage.orders.get(order.order_id)
    return kept is not None and kept.status is OrderStatus.UNKNOWN


async def test_cancel_of_an_order_whose_placement_is_unknown_and_rests(stage: Stage) -> None:
    order = an_order()
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY)
    placing = await running(stage, order)
    await stage.until_placed(order)

    status, _ = end_of(await cancel(stage, order))

    assert status is OrderStatus.CANCELED
    await placing
    assert stage.floor.one_at_venue().status.value == "canceled"


async def test_cancel_of_a_resting_order(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)

    answer = await cancel(stage, order)

    assert end_of(answer) == (OrderStatus.CANCELED, None)
    assert await stage.ended(order) == "CANCELED: filled 0 of 0.01"
    assert await cancel(stage, order) == answer, "the same request, the same answer"


async def test_cancel_of_a_partly_filled_order(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    await stage.fill("0.004")

    answer = await cancel(stage, order)

    assert end_of(answer) == (OrderStatus.CANCELED, None)
    assert answer.order is not None
    assert answer.order.filled_quantity == Decimal("0.004")
    assert await stage.ended(order) == "CANCELED: filled 0.004 of 0.01 at 60000"


async def test_cancel_of_an_order_that_filled_meanwhile(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    stage.floor.fill()

    status, refusal = end_of(await cancel(stage, order))

    assert status is OrderStatus.FILLED
    assert refusal == "the order is FILLED"
    await stage.ended(order)


async def test_cancel_whose_answer_is_lost(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY, "cancel")

    assert end_of(await cancel(stage, order)) == (OrderStatus.CANCELED, None)
    await stage.ended(order)


async def test_cancel_that_is_not_sent_is_tried_again(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    stage.floor.fault(FaultKind.RATE_LIMIT, "cancel", count=2)

    assert end_of(await cancel(stage, order)) == (OrderStatus.CANCELED, None)

    rows = await stage.floor.storage.ledger.of_order(order.order_id)
    assert [row.key.command for row in rows].count(CommandKind.CANCEL) == 3


async def test_cancels_that_are_refused_slow_down(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    agents = stage.floor.venue.exchange.tables.agents
    agent = agents.pop(stage.floor.opened["agent_address"])
    began = now()

    answer = await stage.workflows.cancel(order.order_id, "c1", wait_s=3.0)

    assert not answer.decided
    rows = await stage.floor.storage.ledger.of_order(order.order_id)
    assert 2 <= [row.key.command for row in rows].count(CommandKind.CANCEL) <= 6
    agents[agent.address] = agent
    assert end_of(await cancel(stage, order)) == (OrderStatus.CANCELED, None)
    assert (now() - began).total_seconds() < 20


async def test_cancel_of_an_ended_order_is_refused(stage: Stage) -> None:
    order = an_order(**TAKING)
    await stage.place(order)

    with pytest.raises(Conflict) as told:
        await cancel(stage, order)

    assert told.value.code in ("order_ended", "workflow_closed")
    await stage.ended(order)
    with pytest.raises(Conflict) as told:
        await cancel(stage, order, "c2")
    assert told.value.code == "workflow_closed"


async def test_a_cancellation_request_cancels_the_order(stage: Stage) -> None:
    """As the button of Temporal's web UI sends it."""
    order = an_order()
    await stage.place(order)

    await stage.handle(order).cancel()

    assert await stage.ended(order) == "CANCELED: filled 0 of 0.01"
    assert stage.floor.one_at_venue().status.value == "canceled"


async def test_a_cancellation_request_does_not_interrupt_what_is_being_sent(
    stage: Stage,
) -> None:
    order = an_order()
    stage.floor.fault(FaultKind.DELAY_ANSWER, delay_ms=600)
    placing = await running(stage, order)
    await stage.until_placed(order)

    await stage.handle(order).cancel()

    placed = (await placing).order
    assert placed is not None
    assert placed.outcome == "accepted"
    assert (await stage.ended(order)).startswith("CANCELED")
    rows = await stage.floor.storage.ledger.of_order(order.order_id)
    assert [(row.key.command, row.is_decided) for row in rows] == [
        (CommandKind.PLACE, True),
        (CommandKind.CANCEL, True),
    ]


# Modify


async def test_modify_the_price(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)

    answer = await modify(stage, order, price="59000")

    assert end_of(answer) == (OrderStatus.ACCEPTED, None)
    assert answer.order is not None
    assert answer.order.price == Decimal(59_000)
    assert [r.quantity for r in answer.order.revisions] == [order.quantity, order.quantity]
    old, new = stage.floor.at_venue()
    assert (old.status.value, new.status.value) == ("canceled", "open")
    assert new.price == Decimal(59_000)
    assert any("becomes 0.01 @ 59000" in text for text in await stage.floor.timeline(order))
    assert await modify(stage, order, price="59000") == answer
    await stage.fill()
    assert (await stage.ended(order)).startswith("FILLED")


async def test_modify_the_quantity_after_a_partial_fill_places_the_remainder(
    stage: Stage,
) -> None:
    order = an_order()
    await stage.place(order)
    await stage.fill("0.004")

    answer = await modify(stage, order, quantity="0.03")

    status, refusal = end_of(answer)
    assert status is OrderStatus.PARTIALLY_FILLED
    assert refusal is None
    assert answer.order is not None
    assert answer.order.quantity == Decimal("0.03")
    assert answer.order.revisions[1].quantity == Decimal("0.026")
    await stage.fill()
    assert await stage.ended(order) == "FILLED: filled 0.03 of 0.03 at 60000"


async def test_a_fill_during_the_modify_is_counted(stage: Stage) -> None:
    """It fills between the cancel's reservation and its arrival."""
    order = an_order()
    await stage.place(order)
    stage.floor.points.actions["cancel.ledger_committed"] = [lambda: stage.floor.fill("0.006")]

    answer = await modify(stage, order, price="59000")

    assert answer.order is not None
    assert answer.order.revisions[1].quantity == Decimal("0.004")
    await stage.fill()
    assert (await stage.ended(order)).startswith("FILLED: filled 0.01 of 0.01")


async def test_a_fill_of_everything_during_the_modify_ends_it(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    stage.floor.points.actions["cancel.ledger_committed"] = [lambda: stage.floor.fill()]

    status, refusal = end_of(await modify(stage, order, price="59000"))

    assert status is OrderStatus.FILLED
    assert refusal == "the order is FILLED"
    assert len(stage.floor.at_venue()) == 1


async def test_a_fill_beyond_the_new_quantity_ends_it(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    stage.floor.points.actions["cancel.ledger_committed"] = [lambda: stage.floor.fill("0.006")]

    status, refusal = end_of(await modify(stage, order, quantity="0.005"))

    assert status is OrderStatus.CANCELED
    assert refusal is not None
    assert "0.006 had filled before" in refusal
    assert len(stage.floor.at_venue()) == 1


async def test_a_refused_replacement_is_said_at_once(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)

    status, refusal = end_of(await modify(stage, order, quantity="5000"))

    assert status is OrderStatus.CANCELED
    assert refusal is not None
    assert refusal.startswith("replace_refused: Insufficient margin")
    assert (await stage.ended(order)).startswith("CANCELED (replace_refused")


async def test_a_replacement_that_we_deny_is_refused_too(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)

    status, refusal = end_of(await modify(stage, order, price="59000.123"))

    assert status is OrderStatus.CANCELED
    assert refusal is not None
    assert refusal.startswith("the order is CANCELED (replace_refused: price:")


async def test_a_replacement_whose_answer_is_lost_is_found(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY)

    assert end_of(await modify(stage, order, price="59000")) == (OrderStatus.ACCEPTED, None)
    assert len(stage.floor.at_venue()) == 2


REFUSED = [
    ({"quantity": "0.004"}, "modify_refused"),
    ({"quantity": "0.003"}, "modify_refused"),
]


@pytest.mark.parametrize(("wanted", "code"), REFUSED)
async def test_a_modify_not_above_what_is_filled_is_refused(
    stage: Stage, wanted: dict[str, str], code: str
) -> None:
    order = an_order()
    await stage.place(order)
    await stage.fill("0.004")
    await until(lambda: _has_filled(stage, order), what="the fill in the workflow")

    with pytest.raises(Conflict) as told:
        await modify(stage, order, **wanted)

    assert told.value.code == code
    assert stage.floor.one_at_venue().status.value == "open"


async def _has_filled(stage: Stage, order: Order) -> bool:
    return bool((await stage.state(order)).filled_quantity)


async def test_a_modify_beside_another_is_refused(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    with stage.floor.busy_database():
        first = asyncio.create_task(modify(stage, order, price="59000"))
        await until(lambda: _is_asked(stage, order), what="the first modify")

        with pytest.raises(Conflict) as told:
            await modify(stage, order, "m2", price="58000")

    assert told.value.code == "modify_refused"
    assert "another modify" in str(told.value)
    assert end_of(await first)[0] is OrderStatus.ACCEPTED


async def _is_asked(stage: Stage, order: Order) -> bool:
    """Tell whether the history has a request besides the placement."""
    events = await stage.events(order)
    updates = [
        e for e in events if e.HasField("workflow_execution_update_accepted_event_attributes")
    ]
    return len(updates) == 2


async def test_a_cancel_during_a_modify_wins(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    with stage.floor.busy_database():
        changing = asyncio.create_task(modify(stage, order, price="59000"))
        await until(lambda: _is_asked(stage, order), what="the modify")
        canceling = asyncio.create_task(cancel(stage, order))
        await until(lambda: _is_cancel_asked(stage, order), what="the cancel")
        with pytest.raises(Conflict) as told:
            await modify(stage, order, "m2", price="58000")
        assert told.value.code == "modify_refused"
        assert "being canceled" in str(told.value)

    assert end_of(await canceling) == (OrderStatus.CANCELED, None)
    status, refusal = end_of(await changing)
    assert status is OrderStatus.CANCELED
    assert refusal == "the order is CANCELED"
    assert len(stage.floor.at_venue()) == 1


async def _is_cancel_asked(stage: Stage, order: Order) -> bool:
    events = await stage.events(order)
    updates = [
        e for e in events if e.HasField("workflow_execution_update_accepted_event_attributes")
    ]
    return len(updates) == 3


async def test_a_modify_before_the_order_is_placed_is_refused(stage: Stage) -> None:
    order = an_order()
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY)
    stage.floor.fault(FaultKind.DELAY, "orderStatus", delay_ms=800)
    placing = await running(stage, order)
    await until(lambda: _is_unknown(stage, order), what="an unknown order")

    with pytest.raises(Conflict) as told:
        await modify(stage, order, price="59000")

    assert told.value.code == "not_placed"
    await placing


# An operator's word


async def unknown(stage: Stage, kind: FaultKind) -> Order:
    """Place an order that stays unknown: the venue answers no look-up."""
    order = an_order()
    stage.floor.monkeypatch.setattr("activities.resolution.LOOK_FOR_S", 1.0)
    stage.floor.fault(kind)
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "orderStatus", count=None)
    assert not (await stage.place_unheard(order)).decided
    await until(lambda: _is_unknown(stage, order), what="an unknown order")
    return order


async def resolve(stage: Stage, order: Order, request_id: str = "r1", **more: Any) -> RequestAnswer:
    wanted: Any = {"verdict": "absent", "reason": "seen", "by": "local", **more}
    return await stage.workflows.resolve(order.order_id, request_id, **wanted)


async def test_an_operator_says_absent(stage: Stage) -> None:
    order = await unknown(stage, FaultKind.DROP_BEFORE_APPLY)

    answer = await resolve(stage, order)

    assert end_of(answer) == (OrderStatus.EXPIRED, None)
    assert (await stage.ended(order)).startswith("EXPIRED (operator local: seen)")
    assert await resolve(stage, order) == answer


async def test_an_operator_says_accepted_and_the_fill_comes(stage: Stage) -> None:
    order = await unknown(stage, FaultKind.DROP_AFTER_APPLY)

    answer = await resolve(stage, order, verdict="accepted")

    assert answer.decided
    again = await resolve(stage, order, verdict="accepted")
    assert again == answer
    stage.floor.venue_is_back()
    await stage.fill()
    assert (await stage.ended(order)).startswith("FILLED")


async def test_an_operators_request_is_answered_once(stage: Stage) -> None:
    """Also where Temporal has forgotten the update's id, as it does at a continuation."""
    order = await unknown(stage, FaultKind.DROP_AFTER_APPLY)
    await resolve(stage, order, verdict="accepted")
    word = ResolveRequest(request_id="r1", verdict="absent", reason="no", by="local")

    reply = await stage.handle(order).execute_update(
        "resolve", word, id="another", result_type=RequestReply
    )

    assert reply.decided
    assert not reply.order.is_terminal, "the first word holds"


async def test_an_operator_has_nothing_to_say_of_what_is_known(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)

    with pytest.raises(Conflict) as told:
        await resolve(stage, order)

    assert told.value.code == "not_unknown"


async def test_an_operators_word_that_no_worker_takes_is_not_acknowledged(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.client.RESOLVE_WAIT_S", 0.3)
    order = await unknown(stage, FaultKind.DROP_BEFORE_APPLY)
    await stage.stop_worker()

    with pytest.raises(Unavailable, match="with the same Idempotency-Key"):
        await resolve(stage, order)

    await stage.start_worker()
    monkeypatch.setattr("workflows.client.RESOLVE_WAIT_S", 20)
    assert end_of(await resolve(stage, order)) == (OrderStatus.EXPIRED, None)


async def test_one_modify_after_another(stage: Stage) -> None:
    order = an_order()
    await stage.place(order)
    prices = [BELOW - number for number in range(1, 4)]

    for number, price in enumerate(prices):
        answer = await modify(stage, order, f"m{number}", price=str(price))
        assert end_of(answer)[0] is OrderStatus.ACCEPTED

    assert (await stage.state(order)).price == prices[-1]
    assert len(stage.floor.at_venue()) == 4
