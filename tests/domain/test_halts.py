"""Halts: how scopes are spelled, what a look means, and how far a kill switch is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts import Account, AccountState, Network, PositionSide
from domain.dead_man import DeadManState, DeadManSwitch
from domain.errors import InvalidInput
from domain.external_orders import external_order, external_order_id
from domain.halt_store import Halt
from domain.halts import (
    EVERYTHING,
    SHOWN_MAX,
    AccountProgress,
    AccountSight,
    HaltLevel,
    HaltScope,
    HaltStage,
    KillSwitch,
    OpenOrder,
    OpenPosition,
    account_scope,
    least_stage,
    order_words,
    scope_of,
    venue_scope,
)
from domain.instruments import OrderSide
from domain.orders import OrderStatus, OrderType, Origin, Verdict
from domain.outcomes import Accepted, Acknowledged, NotSent, Rejected, SendResult, Unknown
from venues.connector import VenueOrder

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
ORDER = OpenOrder(order_id="o", text="BUY 1 BTC-PERP", at_venue=True)
POSITION = OpenPosition(symbol="BTC-PERP", side=PositionSide.LONG, quantity=Decimal("0.50"))
PROGRESS = AccountProgress(account_id="a", venue="hyperliquid", owner="local")
SWITCH = KillSwitch(
    kill_switch_id="k",
    scope=EVERYTHING,
    owner="local",
    flatten=False,
    reason="test",
    requested_by="local",
    requested_at=NOW,
)


@pytest.mark.parametrize(
    ("scope", "key", "slug", "words"),
    [
        (EVERYTHING, "*", "all", "everything"),
        (venue_scope("lighter"), "venue:lighter", "venue-lighter", "venue lighter"),
        (account_scope("a1"), "a1", "a1", "account a1"),
    ],
)
def test_a_scope_is_read_as_it_is_spelled(
    scope: HaltScope, key: str, slug: str, words: str
) -> None:
    assert (scope.key, scope.slug, str(scope)) == (key, slug, words)
    assert scope_of(key) == scope
    halt = Halt(scope=scope, reason="", set_by="", set_at=NOW)
    assert halt.account_id == ("a1" if scope.level is HaltLevel.ACCOUNT else None)


@pytest.mark.parametrize(
    ("level", "name"), [(HaltLevel.ALL, "x"), (HaltLevel.VENUE, ""), (HaltLevel.ACCOUNT, "")]
)
def test_a_scope_has_the_name_it_needs_and_no_other(level: HaltLevel, name: str) -> None:
    with pytest.raises(InvalidInput):
        HaltScope(level=level, name=name)


def test_what_is_still_open_is_named_and_bounded() -> None:
    sight = AccountSight(at=NOW, orders=(ORDER,), positions=(POSITION,))
    assert sight.still_open(positions_too=False) == ("order BUY 1 BTC-PERP",)
    assert sight.still_open(positions_too=True)[-1] == "position LONG 0.5 BTC-PERP"
    many = replace(sight, orders=(ORDER,) * (SHOWN_MAX + 5)).still_open(positions_too=True)
    assert len(many) == SHOWN_MAX + 1
    assert many[-1] == "and 6 more"
    assert order_words("BTC-PERP", OrderSide.BUY, Decimal("1.0"), None, "x") == "BUY 1 BTC-PERP (x)"


def test_looks_that_find_less_are_no_vain_attempts() -> None:
    two = AccountSight(at=NOW, orders=(ORDER, ORDER))
    one = AccountSight(at=NOW, orders=(ORDER,))
    progress = PROGRESS.seen(two)
    assert (progress.attempts, progress.round, progress.orders) == (0, 1, 2)
    progress = progress.seen(two)
    assert progress.attempts == 1
    progress = progress.seen(one)
    assert (progress.attempts, progress.round, progress.last_look) == (0, 3, NOW)


def test_a_kill_switch_is_as_far_as_its_last_account_and_never_done_by_itself() -> None:
    assert least_stage(()) is HaltStage.BLOCKING
    other = replace(PROGRESS, account_id="b", stage=HaltStage.CANCELING)
    state = SWITCH.with_progress(replace(PROGRESS, stage=HaltStage.HALTED))
    assert state.stage is HaltStage.VERIFYING
    state = state.with_progress(other)
    assert state.stage is HaltStage.CANCELING
    assert state.shown_stage == "CANCELING"
    late = state.with_progress(replace(other, needs_attention=True))
    assert late.shown_stage == "ATTENTION"
    assert len(late.accounts) == 2
    ended = replace(late, stage=HaltStage.STOPPED)
    assert not ended.needs_attention


def test_to_close_too_sends_those_that_were_done_back() -> None:
    done = replace(PROGRESS, stage=HaltStage.HALTED)
    busy = replace(PROGRESS, account_id="b", stage=HaltStage.CANCELING)
    state = SWITCH.with_progress(done).with_progress(busy)
    assert state.upgraded(flatten=False) is state
    upgraded = state.upgraded(flatten=True)
    assert upgraded.flatten
    assert [a.stage for a in upgraded.accounts] == [HaltStage.BLOCKING, HaltStage.CANCELING]
    assert all(a.flatten for a in upgraded.accounts)
    assert upgraded.upgraded(flatten=True) is upgraded


@given(st.lists(st.sampled_from(list(HaltStage)), min_size=1))
def test_the_least_stage_is_never_ahead_of_any(stages: list[HaltStage]) -> None:
    order = list(HaltStage)
    assert all(order.index(least_stage(stages)) <= order.index(each) for each in stages)


# External orders

ACCOUNT = Account(
    account_id="a",
    owner="local",
    venue="hyperliquid",
    label="main",
    network=Network.PAPER,
    address="0x",
    signer="0x",
    state=AccountState.ACTIVE,
    created_at=NOW,
)


@pytest.mark.parametrize(
    ("trigger_price", "price", "order_type"),
    [
        (None, Decimal(1), OrderType.LIMIT),
        (Decimal(2), Decimal(1), OrderType.STOP_LIMIT),
        (Decimal(2), None, OrderType.STOP_MARKET),
    ],
)
def test_an_external_order_is_kept_as_the_venue_tells_it(
    trigger_price: Decimal | None, price: Decimal | None, order_type: OrderType
) -> None:
    seen = VenueOrder(
        client_order_id=None,
        venue_order_id="77",
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        quantity=Decimal(3),
        price=price,
        verdict=Verdict.ACCEPTED,
        filled_quantity=Decimal(1),
        trigger_price=trigger_price,
    )
    order = external_order(ACCOUNT, seen, NOW)
    assert order.order_id == external_order_id("a", "77") != external_order_id("b", "77")
    assert (order.origin, order.order_type) == (Origin.EXTERNAL, order_type)
    assert (order.status, order.venue_order_id) == (OrderStatus.PARTIALLY_FILLED, "77")
    assert (order.client_order_id, order.created_at) == ("venue:77", NOW)


# Dead man's switches

MAN = DeadManSwitch(
    account_id="a", after_s=60, state=DeadManState.ARMING, set_by="local", set_at=NOW
)
LATER = NOW + timedelta(seconds=60)


def test_only_the_venues_word_arms_it() -> None:
    assert MAN.wanted_at(NOW) == LATER
    assert replace(MAN, after_s=None).wanted_at(NOW) is None
    armed = MAN.answered(LATER, SendResult(outcome=Accepted()), NOW)
    assert armed.is_armed(NOW)
    assert armed.renew_at == NOW + timedelta(seconds=20)
    assert armed.has_gone_off(LATER)
    assert not armed.is_armed(LATER)
    off = armed.answered(None, SendResult(outcome=Accepted()), NOW)
    assert (off.state, off.armed_until, off.renew_at) == (DeadManState.OFF, None, None)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Rejected(code="volume_too_low", reason="why", proof="p"), DeadManState.REFUSED),
        (NotSent(reason="why", proof="p", retryable=False), DeadManState.REFUSED),
        (NotSent(reason="why", proof="p"), DeadManState.UNCERTAIN),
        (Unknown(reason="why"), DeadManState.UNCERTAIN),
        (Acknowledged(), DeadManState.UNCERTAIN),
    ],
)
def test_any_other_answer_leaves_what_was_confirmed(
    outcome: Rejected | NotSent | Unknown | Acknowledged, state: DeadManState
) -> None:
    armed = replace(MAN, armed_until=LATER, state=DeadManState.ARMED)
    answered = armed.answered(LATER, SendResult(outcome=outcome), NOW)
    assert (answered.state, answered.armed_until) == (state, LATER)
    assert answered.reason in ("why", "no verdict yet")
    gone = armed.answered(LATER, SendResult(outcome=outcome), LATER)
    assert gone.armed_until is None
    assert not MAN.answered(LATER, SendResult(outcome=outcome), NOW).is_armed(NOW)
