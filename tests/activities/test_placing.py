"""Placing: one send for one row, and our own word where nothing may be sent."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from activities.commands import DECIDE_PAUSES_S, CommandCarrier, describe
from activities.orders import OrderActivities
from domain.accounts import AccountState
from domain.errors import CorruptState, Unavailable
from domain.instruments import OrderSide
from domain.order_fold import with_closure
from domain.orders import Closure, Concern, OrderStatus, OrderType, Verdict
from domain.outcomes import Accepted, Acknowledged, Rejected, SendResult, Unknown
from domain.timeline import EventKind, TimelineEvent
from tests.activities.floor import (
    ACCOUNT_ID,
    MARKET,
    TAKING,
    AwayLedger,
    Floor,
    an_order,
    now,
    place_task,
)
from venues.simulation.faults import FaultKind


async def test_a_resting_order_is_reserved_sent_once_and_decided(floor: Floor) -> None:
    order = an_order()

    result = await floor.place(order)

    assert result.definite
    assert result.denied is None
    assert result.answer == "accepted: ACCEPTED"
    assert result.order.status is OrderStatus.ACCEPTED
    assert result.order == await floor.stored(order)
    assert floor.one_at_venue().client_order_id == result.order.client_order_id
    assert floor.points.passed == [
        "place.ledger_committed",
        "place.answer_read",
        "place.outcome_committed",
    ]
    row = await floor.row(order)
    assert isinstance(row.outcome, Accepted)
    assert row.signer == floor.opened["agent_address"]


async def test_a_taking_order_comes_back_filled(floor: Floor) -> None:
    result = await floor.place(an_order(**TAKING))

    assert result.order.status is OrderStatus.FILLED
    assert result.order.average_price is not None


async def test_a_market_order_is_bound_by_the_present_book(floor: Floor) -> None:
    order = an_order(**MARKET, max_slippage_bps=100)

    result = await floor.place(order)

    assert result.order.status is OrderStatus.FILLED
    assert result.order.price is None
    revision = result.order.revisions[0]
    assert revision.price is not None
    assert result.order.average_price is not None
    assert result.order.average_price < revision.price
    assert revision.price < result.order.average_price * Decimal("1.011")


async def test_a_refusal_of_the_venue_is_rejected_with_its_words(floor: Floor) -> None:
    result = await floor.place(an_order(quantity=Decimal(5_000)))

    assert result.definite
    assert result.order.status is OrderStatus.REJECTED
    assert "Insufficient margin" in result.answer
    assert isinstance((await floor.row(an_order(order_id=result.order.order_id))).outcome, Rejected)


async def test_a_command_found_decided_is_returned_and_nothing_is_sent(floor: Floor) -> None:
    order = an_order()
    first = await floor.place(order)
    floor.points.passed.clear()

    second = await floor.place(order)

    assert second == first
    assert floor.points.passed == []
    assert len(floor.at_venue()) == 1


async def test_a_command_found_undecided_is_handed_over_and_nothing_is_sent(floor: Floor) -> None:
    order = an_order()
    floor.fault(FaultKind.DROP_AFTER_APPLY)
    first = await floor.place(order)
    assert not first.definite
    assert first.answer.startswith("unknown: ")
    assert first.order.status is OrderStatus.UNKNOWN

    second = await floor.place(order)

    assert not second.definite
    assert second.answer == "the command may have been sent before"
    assert len(floor.at_venue()) == 1


async def test_twenty_at_once_send_once(floor: Floor) -> None:
    order = an_order()

    results = await asyncio.gather(*(floor.place(order) for _ in range(20)))

    assert len(floor.at_venue()) == 1
    assert sum(result.definite for result in results) >= 1


async def test_a_rate_limit_is_not_sent_and_may_be_tried_as_a_new_revision(floor: Floor) -> None:
    order = an_order()
    floor.fault(FaultKind.RATE_LIMIT)

    first = await floor.place(order)

    assert first.definite
    assert first.answer.startswith("not sent: rate_limited")
    assert first.order.revisions[0].absent is not None
    assert floor.at_venue() == []


DENIED = [
    ({"symbol": "NONE-PERP"}, "symbol"),
    ({"quantity": Decimal("0.000001")}, "quantity"),
    ({"price": Decimal("60000.123")}, "price"),
]


@pytest.mark.parametrize(("changes", "word"), DENIED)
async def test_what_the_venue_would_refuse_for_its_form_is_denied(
    floor: Floor, changes: dict[str, object], word: str
) -> None:
    order = an_order(**changes)

    result = await floor.place(order)

    assert result.definite
    assert result.denied is not None
    assert word in result.denied
    assert result.order.status is OrderStatus.DENIED
    assert await floor.stored(order) == result.order
    assert await floor.storage.ledger.of_order(order.order_id) == ()
    assert floor.at_venue() == []
    assert any(text.startswith("denied: ") for text in await floor.timeline(order))


async def test_an_unknown_account_is_not_denied_but_an_error(floor: Floor) -> None:
    """There is no account to keep the order under."""
    with pytest.raises(Exception, match="account"):
        await floor.place(an_order(account_id="nobody"))
    assert floor.at_venue() == []


async def test_a_halt_denies_what_raises_exposure_only(floor: Floor) -> None:
    await floor.place(an_order(**TAKING))
    await floor.storage.halts.halt(ACCOUNT_ID, reason="a test", by="local")

    raising = await floor.place(an_order())
    closing = await floor.place(
        an_order(side=an_order().side.opposite, reduce_only=True, price=Decimal(64_000))
    )

    assert raising.denied is not None
    assert "halted" in raising.denied
    assert closing.denied is None
    assert closing.order.status is OrderStatus.FILLED


async def test_an_account_without_credential_is_denied(floor: Floor) -> None:
    await floor.storage.accounts.set_state(
        ACCOUNT_ID, AccountState.REFUSED, reason="a test", signer=None
    )

    result = await floor.place(an_order())

    assert result.denied is not None
    assert "no credential" in result.denied


async def test_our_clock_denies_what_raises_exposure_only(floor: Floor) -> None:
    await floor.place(an_order(**TAKING))
    floor.shift_venue_clock(2)
    await floor.connectors.measure_clock(await floor.storage.accounts.all_active())

    raising = await floor.place(an_order())
    closing = await floor.place(
        an_order(side=an_order().side.opposite, reduce_only=True, price=Decimal(64_000))
    )

    assert raising.denied is not None
    assert "our clock is -" in raising.denied
    assert "more than 0.5 s" in raising.denied
    assert closing.order.status is OrderStatus.FILLED


async def test_a_placement_that_comes_too_late_is_not_sent(floor: Floor) -> None:
    order = an_order()

    result = await floor.place(order, not_after=now() - timedelta(seconds=1))

    assert result.definite
    assert result.denied is None
    assert "nothing was sent" in result.answer
    assert result.order == order
    assert floor.at_venue() == []


async def test_a_placement_of_an_ended_order_is_not_sent(floor: Floor) -> None:
    order = an_order()
    ended = with_closure(order, Closure(verdict=Verdict.CANCELED, reason="a test"))
    event = TimelineEvent(order_id=order.order_id, kind=EventKind.CLOSED, text="ended", at=now())
    await floor.storage.orders.add(ended, event)

    result = await floor.place(order)

    assert result.definite
    assert "has ended CANCELED" in result.answer
    assert result.order.status is OrderStatus.CANCELED
    assert floor.at_venue() == []


async def test_a_retry_that_is_denied_leaves_the_known_order(floor: Floor) -> None:
    order = an_order()
    floor.fault(FaultKind.RATE_LIMIT)
    first = await floor.place(order)
    await floor.storage.halts.halt(None, reason="a test", by="local")

    retry = await floor.place(first.order, revision=1)

    assert retry.denied is not None
    assert retry.order.denied is None
    assert len(retry.order.revisions) == 1


async def test_what_may_have_been_sent_is_never_denied(floor: Floor) -> None:
    """A run that died after the send, and a second one that may not send any more."""
    order = an_order()
    floor.fault(FaultKind.DROP_AFTER_APPLY)
    await floor.place(order)
    floor.shift_venue_clock(5)
    await floor.connectors.measure_clock(await floor.storage.accounts.all_active())

    again = await floor.place(order)

    assert again.denied is None
    assert not again.definite
    assert again.order.status is OrderStatus.UNKNOWN


async def test_a_decided_placement_is_returned_although_it_would_be_denied_now(
    floor: Floor,
) -> None:
    order = an_order()
    first = await floor.place(order)
    await floor.storage.accounts.set_state(
        ACCOUNT_ID, AccountState.REFUSED, reason="a test", signer=None
    )

    again = await floor.place(order)

    assert again == first


# The carrier


async def test_the_outcome_is_written_once_the_database_is_back(floor: Floor) -> None:
    ledger = AwayLedger(floor.storage.ledger, away=len(DECIDE_PAUSES_S))
    orders = OrderActivities(floor.parts(ledger=ledger))
    order = an_order()

    result = await floor.environment.run(orders.place, place_task(order))

    assert result.definite
    assert ledger.asked == len(DECIDE_PAUSES_S) + 1
    assert (await floor.row(order)).is_decided


async def test_a_database_that_stays_away_leaves_the_command_to_resolution(floor: Floor) -> None:
    ledger = AwayLedger(floor.storage.ledger, away=len(DECIDE_PAUSES_S) + 1)
    orders = OrderActivities(floor.parts(ledger=ledger))
    order = an_order()

    with pytest.raises(Unavailable):
        await floor.environment.run(orders.place, place_task(order))

    assert (await floor.row(order)).outcome is None
    assert not (await floor.place(order)).definite
    assert len(floor.at_venue()) == 1


async def test_an_unknown_placement_marks_the_order_and_an_unknown_cancel_does_not(
    floor: Floor,
) -> None:
    order = an_order()
    floor.fault(FaultKind.DROP_AFTER_APPLY)
    placed = await floor.place(order)
    assert placed.order.concern is Concern.UNKNOWN
    await floor.resolve(order)
    floor.fault(FaultKind.DROP_BEFORE_APPLY, "cancel")

    canceled = await floor.cancel(order)

    assert not canceled.definite
    assert canceled.order.concern is Concern.PENDING_CANCEL


async def test_a_row_of_an_order_that_is_not_stored_is_corrupt(floor: Floor) -> None:
    carrier = CommandCarrier(floor.storage.ledger, floor.storage.orders, floor.points)

    with pytest.raises(CorruptState, match="the store has none"):
        await carrier.stored("no such order")


async def test_a_definite_outcome_stays(floor: Floor) -> None:
    order = an_order()
    placed = await floor.place(order)
    carrier = CommandCarrier(floor.storage.ledger, floor.storage.orders, floor.points)
    row = await floor.row(order)

    after = await carrier.decide(row.key, SendResult(outcome=Unknown(reason="late")))

    assert after == placed.order
    assert (await floor.row(order)).outcome == row.outcome


def test_an_acknowledgement_is_shown_as_no_verdict() -> None:
    assert describe(Acknowledged(venue_order_id="7")) == "acknowledged, no verdict yet"


async def test_a_stop_is_bounded_from_where_it_triggers(floor: Floor) -> None:
    """A bound near the present price would keep it from filling where it is needed."""
    order = an_order(
        order_type=OrderType.STOP_MARKET,
        side=OrderSide.BUY,
        price=None,
        trigger_price=Decimal(80_000),
        max_slippage_bps=100,
    )

    await floor.place(order)

    placed = floor.one_at_venue()
    assert placed.price == 80_800
