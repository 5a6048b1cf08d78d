"""The next step of an order and what follows from it, path by path."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain import lifecycle
from domain.commands import CommandKind
from domain.ledger import CommandKey
from domain.lifecycle import (
    ANSWERS_KEPT,
    Announce,
    Cancel,
    Close,
    GiveUp,
    Lifecycle,
    Place,
    Replacement,
    Resolve,
    Settle,
    Wait,
    adopted,
    after_command,
    after_report,
    next_step,
    taken_over,
)
from domain.order_fold import with_absence, with_closure
from domain.orders import Closure, Concern, Order, OrderStatus, Verdict
from tests.domain.building import NOW, ORDER_ID, a_placed_order, a_revision, an_order, later

REJECTED_REPLACEMENT = "margin"


def key(kind: CommandKind, number: int = 0) -> CommandKey:
    return CommandKey(order_id=ORDER_ID, command=kind, revision=number)


PLACE_0, CANCEL_0 = key(CommandKind.PLACE), key(CommandKind.CANCEL)


def resting(filled: int = 0, **changes: object) -> Order:
    return an_order(
        revisions=(a_revision(verdict=Verdict.ACCEPTED, filled_quantity=Decimal(filled)),),
        **changes,
    )


def a_replacement(quantity: int = 5, **changes: Any) -> Replacement:
    values: dict[str, Any] = {
        "request_id": "m1",
        "quantity": Decimal(quantity),
        "price": Decimal(99),
        "place_by": later(10),
    }
    return Replacement(**{**values, **changes})


def being_replaced(filled: int = 0, quantity: int = 5, **changes: object) -> Lifecycle:
    """The old venue order is gone by our cancel; the rest is to be placed."""
    old = a_revision(verdict=Verdict.CANCELED, filled_quantity=Decimal(filled))
    order = an_order(revisions=(old,), concern=Concern.PENDING_MODIFY)
    life = lifecycle.request(Lifecycle(order=order), "m1", "modify")
    wanted = a_replacement(quantity, announced=True, cleared=True, **changes)
    return replace(life, replacement=wanted, cancel_count=1)


def ended(order: Order, verdict: Verdict) -> Order:
    newest = replace(order.revisions[-1], verdict=verdict)
    return replace(order, revisions=(*order.revisions[:-1], newest), concern=Concern.NONE)


# Placing


def test_a_new_order_is_placed_as_asked() -> None:
    assert next_step(Lifecycle(order=an_order()), NOW) == Place(
        revision=0, quantity=Decimal(10), price=Decimal(100)
    )


def test_past_place_by_an_unsent_order_expires_and_is_never_sent() -> None:
    step = next_step(Lifecycle(order=an_order()), later(15))
    assert step == Close(closure=Closure(verdict=Verdict.EXPIRED, reason="not_sent"))


def test_a_cancel_before_anything_was_sent_sends_nothing() -> None:
    life = lifecycle.want_cancel(Lifecycle(order=an_order()))
    step = next_step(life, NOW)
    assert step == Close(closure=Closure(verdict=Verdict.CANCELED, reason="canceled_before_sent"))


def test_an_order_proven_absent_is_sent_again_as_a_new_revision_after_the_pause() -> None:
    life = Lifecycle(order=an_order(revisions=(a_revision(absent="no connection"),)))
    assert next_step(life, NOW) == Place(revision=1, quantity=Decimal(10), price=Decimal(100))
    paused = lifecycle.delayed(life, later(2))
    assert next_step(paused, NOW) == Wait(until=later(2))
    assert next_step(paused, later(2)).kind == "place"
    assert next_step(lifecycle.delayed(life, later(60)), NOW) == Wait(until=later(15))


def test_past_place_by_the_proof_of_absence_is_the_reason() -> None:
    life = Lifecycle(order=an_order(revisions=(a_revision(absent="no connection"),)))
    step = next_step(life, later(15))
    assert isinstance(step, Close)
    assert step.closure.reason == "not_sent: no connection"


# Unresolved commands


def test_nothing_is_sent_while_bytes_may_be_out() -> None:
    life = after_command(
        Lifecycle(order=an_order()), PLACE_0, a_placed_order(), definite=False, answer="timeout"
    )
    life = lifecycle.want_cancel(life)
    for at in (NOW, later(1000)):
        assert next_step(life, at) == Resolve(key=PLACE_0)
    assert next_step(lifecycle.delayed(life, later(5)), NOW) == Wait(until=later(5))
    assert next_step(lifecycle.delayed(life, later(5)), later(5)) == Resolve(key=PLACE_0)


def test_an_ended_order_with_an_unresolved_cancel_is_resolved_before_it_settles() -> None:
    order = ended(resting(), Verdict.FILLED)
    life = Lifecycle(order=order, unresolved=(CANCEL_0,))
    assert next_step(life, NOW) == Resolve(key=CANCEL_0)
    life = after_command(life, CANCEL_0, order, definite=True, answer="too late")
    assert next_step(life, NOW) == Settle()


def test_a_command_is_unresolved_once_however_often_it_is_tried() -> None:
    life = Lifecycle(order=an_order())
    for _ in range(3):
        life = after_command(life, PLACE_0, a_placed_order(), definite=False, answer="?")
    assert life.unresolved == (PLACE_0,)
    life = after_command(life, PLACE_0, resting(), definite=True, answer="accepted")
    assert (life.unresolved, life.last_answer) == ((), "accepted")
    assert next_step(life, NOW) == Wait()


# Canceling


def test_a_resting_order_is_canceled_with_growing_numbers() -> None:
    life = lifecycle.want_cancel(Lifecycle(order=resting()))
    step = next_step(life, NOW)
    assert step == Cancel(number=0, revision=0, concern=Concern.PENDING_CANCEL)
    life = after_command(life, CANCEL_0, resting(), definite=True, answer="not sent")
    step = next_step(life, NOW)
    assert isinstance(step, Cancel) and step.number == 1
    assert next_step(lifecycle.delayed(life, later(3)), NOW) == Wait(until=later(3))


def test_a_cancel_is_answered_when_the_end_is_known() -> None:
    life = lifecycle.request(Lifecycle(order=resting()), "c1", "cancel")
    life = lifecycle.want_cancel(life)
    record = lifecycle.find_request(life, "c1")
    assert record is not None and not record.answered
    life = after_report(life, ended(life.order, Verdict.CANCELED))
    record = lifecycle.find_request(life, "c1")
    assert record is not None and record.answered and record.refusal is None


@pytest.mark.parametrize("verdict", [Verdict.FILLED, Verdict.REJECTED])
def test_a_cancel_that_came_too_late_is_refused_with_the_end(verdict: Verdict) -> None:
    life = lifecycle.request(Lifecycle(order=resting()), "c1", "cancel")
    order = ended(life.order, verdict)
    order = replace(order, revisions=(replace(order.revisions[0], reason="because"),))
    record = lifecycle.find_request(after_report(life, order), "c1")
    assert record is not None
    assert record.refusal == f"the order is {verdict.value} (because)"


def test_requests_are_not_answered_while_a_command_is_unresolved() -> None:
    life = lifecycle.request(Lifecycle(order=resting(), unresolved=(CANCEL_0,)), "c1", "cancel")
    record = lifecycle.find_request(after_report(life, ended(life.order, Verdict.CANCELED)), "c1")
    assert record is not None and not record.answered


def test_an_operators_word_is_answered_plainly() -> None:
    life = lifecycle.request(Lifecycle(order=resting()), "r1", "resolve")
    record = lifecycle.find_request(after_report(life, ended(life.order, Verdict.FILLED)), "r1")
    assert record is not None and record.answered and record.refusal is None


# Modifying


def test_a_modify_is_announced_then_canceled_then_placed() -> None:
    life = lifecycle.want_replacement(Lifecycle(order=resting(filled=2)), a_replacement(7))
    assert next_step(life, NOW) == Announce()
    announced = replace(life, replacement=a_replacement(7, announced=True))
    step = next_step(announced, NOW)
    assert step == Cancel(number=0, revision=0, concern=Concern.PENDING_MODIFY)
    gone = replace(ended(life.order, Verdict.CANCELED), concern=Concern.PENDING_MODIFY)
    life = after_command(announced, CANCEL_0, gone, definite=True, answer="canceled")
    assert life.replacement is not None and life.replacement.cleared
    assert next_step(life, NOW) == Place(revision=1, quantity=Decimal(5), price=Decimal(99))


def test_the_remainder_is_computed_from_the_final_fills() -> None:
    step = next_step(being_replaced(filled=3, quantity=5), NOW)
    assert step == Place(revision=1, quantity=Decimal(2), price=Decimal(99))


@pytest.mark.parametrize("filled", [5, 6])
def test_when_the_fills_overtook_the_modify_nothing_is_placed(filled: int) -> None:
    life = being_replaced(filled=filled, quantity=5)
    step = next_step(life, NOW)
    assert isinstance(step, Close)
    assert step.closure.verdict is Verdict.CANCELED
    assert step.closure.reason == f"replace_refused: {filled} had filled before"
    closed = replace(with_closure(life.order, step.closure), concern=Concern.NONE)
    life = after_report(life, closed)
    assert next_step(life, NOW) == Settle()
    record = lifecycle.find_request(life, "m1")
    assert record is not None and record.refusal is not None


def test_an_accepted_replacement_answers_the_modify() -> None:
    life = being_replaced()
    order = replace(
        life.order,
        revisions=(*life.order.revisions, a_revision(1, 5, verdict=Verdict.ACCEPTED)),
        concern=Concern.NONE,
        quantity=Decimal(5),
    )
    life = after_command(life, key(CommandKind.PLACE, 1), order, definite=True, answer="ok")
    record = lifecycle.find_request(life, "m1")
    assert record is not None and record.answered and record.refusal is None
    assert life.replacement is None and next_step(life, NOW) == Wait()


def test_a_refused_replacement_is_said_at_once_and_ends_the_order() -> None:
    life = being_replaced()
    refused = a_revision(1, 5, verdict=Verdict.REJECTED, reason=REJECTED_REPLACEMENT)
    order = replace(life.order, revisions=(*life.order.revisions, refused), concern=Concern.NONE)
    life = after_command(life, key(CommandKind.PLACE, 1), order, definite=True, answer="no")
    record = lifecycle.find_request(life, "m1")
    assert record is not None and record.refusal == "replace_refused: margin"
    assert life.order.status is OrderStatus.CANCELED
    assert next_step(life, NOW) == Settle()


def test_a_replacement_that_never_reached_the_venue_is_tried_again() -> None:
    life = being_replaced()
    order = replace(
        life.order,
        revisions=(*life.order.revisions, a_revision(1, 5, absent="no connection")),
        concern=Concern.NONE,
    )
    life = after_command(life, key(CommandKind.PLACE, 1), order, definite=True, answer="no")
    record = lifecycle.find_request(life, "m1")
    assert record is not None and not record.answered
    assert next_step(life, NOW) == Place(revision=2, quantity=Decimal(5), price=Decimal(99))


def test_a_placement_that_made_no_revision_does_not_answer_the_modify() -> None:
    """The ledger refused it as too late: the newest revision is still the old one."""
    life = being_replaced()
    life = after_command(
        life, key(CommandKind.PLACE, 1), life.order, definite=True, answer="too late"
    )
    record = lifecycle.find_request(life, "m1")
    assert record is not None and not record.answered
    step = next_step(life, later(10))
    assert isinstance(step, Close) and step.closure.reason == "replace_refused: not_sent"


def test_past_its_time_a_replacement_ends_the_order_with_the_proof() -> None:
    life = being_replaced()
    order = replace(
        life.order, revisions=(*life.order.revisions, a_revision(1, 5, absent="no connection"))
    )
    step = next_step(replace(life, order=order), later(10))
    assert isinstance(step, Close)
    assert step.closure == Closure(
        verdict=Verdict.CANCELED, reason="replace_refused: not_sent: no connection"
    )


def test_a_modify_that_was_not_begun_in_time_leaves_the_order_as_it_was() -> None:
    life = lifecycle.request(Lifecycle(order=resting()), "m1", "modify")
    life = replace(life, replacement=a_replacement(announced=True))

    assert next_step(life, later(9)) == Cancel(number=0, revision=0, concern=Concern.PENDING_MODIFY)
    assert next_step(life, later(10)) == GiveUp()
    life = lifecycle.given_up(life)
    assert next_step(life, later(10)) == Wait()
    assert life.requests[0].refusal is not None
    assert lifecycle.given_up(life) == life


def test_a_cancel_overtakes_a_modify() -> None:
    life = lifecycle.want_cancel(being_replaced())
    step = next_step(life, NOW)
    assert step == Close(closure=Closure(verdict=Verdict.CANCELED, reason="canceled"))


def test_an_end_during_a_modify_refuses_it() -> None:
    life = lifecycle.request(Lifecycle(order=resting()), "m1", "modify")
    life = lifecycle.want_replacement(life, a_replacement())
    life = after_report(life, ended(life.order, Verdict.FILLED))
    record = lifecycle.find_request(life, "m1")
    assert record is not None and record.refusal == "the order is FILLED"
    assert life.replacement is None


def test_a_replacement_learned_of_from_the_ledger_is_not_canceled_by_itself() -> None:
    """The cancel's answer was lost and the ledger told of its outcome instead."""
    life = lifecycle.request(Lifecycle(order=resting()), "m1", "modify")
    life = lifecycle.want_replacement(life, a_replacement(announced=True))
    gone = replace(ended(life.order, Verdict.CANCELED), concern=Concern.PENDING_MODIFY)
    life = after_report(life, gone)
    assert next_step(life, NOW).kind == "place"
    placed = replace(
        gone,
        revisions=(*gone.revisions, a_revision(1, 5, verdict=Verdict.ACCEPTED)),
        concern=Concern.NONE,
        quantity=Decimal(5),
    )
    life = after_command(life, key(CommandKind.PLACE, 1), placed, definite=True, answer="ok")
    assert next_step(life, NOW) == Wait()


def a_ledger_ahead(**changes: Any) -> tuple[Lifecycle, Order]:
    """A modify whose process died after its placement was reserved: the cancel runs again."""
    life = lifecycle.request(Lifecycle(order=resting()), "m1", "modify")
    life = replace(life, replacement=a_replacement(announced=True))
    old = a_revision(verdict=Verdict.CANCELED)
    order = an_order(
        revisions=(old, a_revision(number=1, client_order_id="c1", **changes)),
    )
    return life, order


def test_a_placement_that_the_ledger_knows_and_we_do_not_is_resolved_before_all_else() -> None:
    life, order = a_ledger_ahead()

    life = after_command(life, CANCEL_0, order, definite=True, answer="")

    assert next_step(life, NOW) == Resolve(key=key(CommandKind.PLACE, 1))
    assert life.replacement is not None
    assert life.replacement.cleared
    accepted = replace(order.revisions[1], verdict=Verdict.ACCEPTED)
    order = replace(order, revisions=(order.revisions[0], accepted))
    life = after_command(life, key(CommandKind.PLACE, 1), order, definite=True, answer="")
    assert life.replacement is None
    assert life.requests[0].answered
    assert life.requests[0].refusal is None


def test_a_replacement_that_the_ledger_has_as_accepted_answers_the_modify() -> None:
    life, order = a_ledger_ahead(verdict=Verdict.ACCEPTED)

    life = after_command(life, CANCEL_0, order, definite=True, answer="")

    assert life.requests[0].answered
    assert life.replacement is None
    assert next_step(life, NOW) == Wait()


def test_a_replacement_found_in_the_ledger_is_not_replaced_once_more() -> None:
    """Told to look before the cancel ran again; what was reserved had never left us."""
    life, order = a_ledger_ahead()

    life = taken_over(life, order, (key(CommandKind.PLACE, 1),), 1)

    assert next_step(life, NOW) == Resolve(key=key(CommandKind.PLACE, 1))
    order = with_absence(order, 1, "its nonce was burned")
    life = after_command(life, key(CommandKind.PLACE, 1), order, definite=True, answer="")
    assert next_step(life, NOW) == Place(revision=2, quantity=Decimal(5), price=Decimal(99))
    placed = a_revision(2, 5, client_order_id="c2", verdict=Verdict.ACCEPTED)
    order = replace(order, revisions=(*order.revisions, placed))
    life = after_command(life, key(CommandKind.PLACE, 2), order, definite=True, answer="ok")
    assert next_step(life, NOW) == Wait()
    assert life.requests[0].answered


def test_a_revision_ahead_without_a_modify_is_resolved_too() -> None:
    _, order = a_ledger_ahead()

    life = after_command(Lifecycle(order=resting()), CANCEL_0, order, definite=True, answer="")

    assert next_step(life, NOW) == Resolve(key=key(CommandKind.PLACE, 1))


def test_a_replacement_whose_answer_the_ledger_gave_is_done() -> None:
    """It was unresolved, somebody else resolved it, and the ledger was looked into."""
    life = replace(being_replaced(), unresolved=(key(CommandKind.PLACE, 1),))
    placed = replace(
        life.order,
        revisions=(*life.order.revisions, a_revision(1, 5, verdict=Verdict.ACCEPTED)),
        concern=Concern.NONE,
        quantity=Decimal(5),
    )
    life = after_report(replace(life, unresolved=()), placed)
    record = lifecycle.find_request(life, "m1")
    assert record is not None and record.answered and record.refusal is None
    assert next_step(life, NOW) == Wait()


def test_a_modify_of_an_order_that_was_being_modified_is_announced_before_it_is_placed() -> None:
    life = adopted(being_replaced().order, (), 1)
    life = lifecycle.want_replacement(life, a_replacement(7))
    assert next_step(life, NOW) == Announce()
    assert life.replacement is not None and life.replacement.cleared
    life = replace(life, replacement=replace(life.replacement, announced=True))
    assert next_step(life, NOW) == Place(revision=1, quantity=Decimal(7), price=Decimal(99))


@pytest.mark.parametrize(
    ("life", "quantity", "refusal"),
    [
        (Lifecycle(order=resting()), 5, None),
        (Lifecycle(order=resting(filled=5)), 5, "not above what has been filled"),
        (Lifecycle(order=ended(resting(), Verdict.FILLED)), 5, "the order is FILLED"),
        (Lifecycle(order=resting(), cancel_wanted=True), 5, "being canceled"),
        (Lifecycle(order=resting(), replacement=a_replacement()), 5, "another modify"),
    ],
)
def test_when_a_modify_cannot_be_taken(life: Lifecycle, quantity: int, refusal: str | None) -> None:
    found = lifecycle.refuse_modify(life, Decimal(quantity))
    assert (found is None) if refusal is None else (found is not None and refusal in found)


# Requests


def test_a_request_is_noted_once_and_its_first_answer_stays() -> None:
    life = lifecycle.request(Lifecycle(order=resting()), "a", "cancel")
    life = lifecycle.request(life, "a", "cancel")
    assert len(life.requests) == 1
    life = lifecycle.answered(life, "a", "first")
    life = lifecycle.answered(life, "a", "second")
    record = lifecycle.find_request(life, "a")
    assert record is not None and record.refusal == "first"
    assert lifecycle.find_request(life, "b") is None


def test_the_newest_requests_are_kept_and_none_that_waits_for_an_answer_is_dropped() -> None:
    life = lifecycle.request(Lifecycle(order=resting()), "waiting", "cancel")
    for number in range(ANSWERS_KEPT + 10):
        name = f"m{number}"
        life = lifecycle.answered(lifecycle.request(life, name, "modify"), name, None)
    assert len(life.requests) == ANSWERS_KEPT
    assert lifecycle.find_request(life, "waiting") is not None
    assert lifecycle.find_request(life, "m0") is None
    assert lifecycle.find_request(life, f"m{ANSWERS_KEPT + 9}") is not None


# Taking over


@pytest.mark.parametrize(
    ("concern", "undecided", "wanted"),
    [
        (Concern.NONE, (), False),
        (Concern.UNKNOWN, (PLACE_0,), False),
        (Concern.PENDING_CANCEL, (), True),
        (Concern.NONE, (CANCEL_0,), True),
        (Concern.PENDING_MODIFY, (CANCEL_0,), False),
    ],
)
def test_a_cancel_that_may_be_out_is_still_wanted_by_who_takes_over(
    concern: Concern, undecided: tuple[CommandKey, ...], wanted: bool
) -> None:
    life = adopted(resting(concern=concern), undecided, cancel_count=3)
    assert (life.cancel_wanted, life.unresolved, life.cancel_count) == (wanted, undecided, 3)


def test_a_modify_that_was_interrupted_after_the_cancel_ends_the_order_and_says_so() -> None:
    life = adopted(being_replaced().order, (), 1)
    step = next_step(life, NOW)
    assert step == Close(
        closure=Closure(verdict=Verdict.CANCELED, reason="replace_refused: interrupted")
    )
