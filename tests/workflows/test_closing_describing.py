"""What an operator reads of closes and brackets in the web UI."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain import bracket_steps, close_steps
from domain.bracket_orders import PlaceLeg
from domain.bracket_steps import AwaitNews, FinishBracket, LookAtBracket, StartEntry
from domain.brackets import BracketState, BracketStatus, LegKind
from domain.close_steps import Await, CancelClosing, Escalate, Finish, Look, PlaceClosing
from domain.closing import CloseState, CloseStatus, Escalation, Then
from domain.instruments import OrderSide
from tests.domain.building import later
from tests.domain.closing_building import a_plan, begun, step_of
from tests.domain.test_brackets import Life
from tests.domain.test_brackets import a_plan as a_bracket
from workflows import bracket_describing, close_describing

TIMETABLE = Escalation(reprice_every_s=30, reprices=2, then=Then.MARKET)


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({}, "market within 100 bps"),
        ({"limit_price": Decimal(110)}, "limit 110"),
        (
            {"limit_price": Decimal(110), "escalation": TIMETABLE},
            "limit 110, then best price 2 × 30 s, then market within 100 bps",
        ),
        (
            {"escalation": replace(TIMETABLE, then=Then.STOP)},
            "best price 3 × 30 s, then stop",
        ),
    ],
)
def test_a_timetable_in_one_line(plan: dict[str, Any], says: str) -> None:
    assert close_describing.timetable(a_plan(**plan)) == says
    assert says in close_describing.summary(a_plan(**plan))


def test_the_details_of_a_close() -> None:
    state = begun(
        limit_price=Decimal(110), escalation=TIMETABLE, reason="*why*", requested_by="ann"
    )
    step = step_of(state)
    state = replace(close_steps.placing(state, step), filled=Decimal(2), last_answer="<b>")

    text = close_describing.details(state, Await(until=later(30)))

    again = close_steps.resumed(CloseState(plan=a_plan()), begun(), may_come_until=later(15))
    assert "an earlier run of this close may" in close_describing.details(again, step_of(again))
    assert text.startswith("**RUNNING**")
    assert "closed 2 of 10, which is 100 % of 10 LONG BTC-PERP" in text
    assert "10 @ 110" in text
    assert "waiting for the order's end or a request until 2026-01-02T03:04:35+00:00" in text
    assert "for: ann, because \\*why\\*" in text
    assert "\\<b\\>" in text
    assert "doubling to 5 s, until the close is stopped" in text


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (Look(), "reading the position"),
        (
            PlaceClosing(number=0, side=OrderSide.SELL, quantity=Decimal(2), price=None),
            "placing SELL 2 at market, reduce-only",
        ),
        (CancelClosing(order_ids=("a",)), "canceling"),
        (Await(), "waiting"),
        (Escalate(), "next step of the timetable"),
        (Finish(status=CloseStatus.DONE, reason=""), "ending"),
    ],
)
def test_every_step_of_a_close_has_words(step: Any, says: str) -> None:
    assert says in close_describing.details(CloseState(plan=a_plan()), step)


def test_a_closes_end_waits_for_nothing() -> None:
    state = replace(begun(), status=CloseStatus.DONE, reason="closed 10")

    text = close_describing.details(state, Look())

    assert text.startswith("**DONE** closed 10")
    assert "now:" not in text


def test_the_details_of_a_bracket() -> None:
    life = Life()
    life.protect(4)
    state = replace(life.state, failures=1, last_answer="STOP_LOSS REJECTED")
    state = bracket_steps.canceling(state, (state.legs[0].order_id,))

    text = bracket_describing.details(state, AwaitNews(until=later(60)))

    assert "entered 4 of 10 BTC-PERP, closed 0, open 4" in text
    assert "exits asked: TAKE_PROFIT 110, STOP_LOSS 95; when one cannot be kept: close" in text
    assert "STOP_LOSS 4 @ 95: ACCEPTED, being canceled" in text
    assert "1 protective orders were refused" in text
    assert "waiting for news of the orders until" in text


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (StartEntry(), "starting the entry"),
        (LookAtBracket(), "reading how the orders stand"),
        (
            PlaceLeg(leg=LegKind.CLOSE, number=0, quantity=Decimal(2), trigger_price=None),
            "placing CLOSE of 2",
        ),
        (bracket_steps.CancelOrders(order_ids=("a",)), "canceling"),
        (AwaitNews(), "waiting for news"),
        (FinishBracket(status=BracketStatus.DONE, reason=""), "ending"),
    ],
)
def test_every_step_of_a_bracket_has_words(step: Any, says: str) -> None:
    assert says in bracket_describing.details(BracketState(plan=a_bracket()), step)
    assert "bracket: BUY 10 BTC-PERP" in bracket_describing.summary(a_bracket())
