"""What the ledger refuses: under a halt, on a blocked symbol, too late, or for an ended order."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from domain.accounts import AccountState
from domain.errors import Conflict, RiskRefused
from domain.ledger import Found, Inserted
from domain.orders import Closure, Verdict
from domain.timeline import EventKind, TimelineEvent
from storage.accounts import SqlAccountStore
from storage.engine import Database
from storage.halts import HaltStore
from storage.ledger import SqlIntentLedger
from storage.orders import SqlOrderStore
from tests.storage.builders import (
    CREATED_AT,
    a_cancel,
    a_placement,
    an_order,
    compose,
    reserve,
)
from tests.storage.conftest import Clock


async def test_a_halt_refuses_new_exposure_only(
    database: Database, ledger: SqlIntentLedger, orders: SqlOrderStore, clock: Clock
) -> None:
    halts = HaltStore(database, now=clock)
    resting = an_order("resting")
    await reserve(ledger, a_placement(resting))
    await halts.halt(None, reason="maintenance", by="local")
    with pytest.raises(RiskRefused, match="halted: maintenance"):
        await reserve(ledger, a_placement(an_order("new")))
    assert await orders.get(an_order("new").order_id) is None
    found = await ledger.reserve(
        a_placement(resting), spell_client_order_id=lambda _: "x", compose=compose
    )
    assert isinstance(found, Found)
    await reserve(ledger, a_cancel(resting))
    await reserve(ledger, a_placement(an_order("closing"), raises_exposure=False))
    await halts.resume(None, reason="done", by="local")
    await halts.halt("acc", reason="too much", by="local")
    with pytest.raises(RiskRefused, match="account is halted: too much"):
        await reserve(ledger, a_placement(an_order("new")))
    await halts.resume("acc", reason="fine", by="local")
    await reserve(ledger, a_placement(an_order("new")))


@pytest.mark.parametrize("halted_account", [None, "acc"])
async def test_once_a_halt_is_set_nothing_more_gets_past_the_ledger(
    database: Database, ledger: SqlIntentLedger, clock: Clock, halted_account: str | None
) -> None:
    tasks = [
        asyncio.create_task(reserve(ledger, a_placement(an_order(f"k{i}")))) for i in range(40)
    ]
    while await ledger.ledger_position() == 0:
        await asyncio.sleep(0)
    await HaltStore(database, now=clock).halt(halted_account, reason="stop", by="local")
    position = await ledger.ledger_position()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert await ledger.ledger_position() == position
    passed = [answer for answer in answers if isinstance(answer, Inserted)]
    refused = [answer for answer in answers if isinstance(answer, RiskRefused)]
    assert len(passed) + len(refused) == 40
    assert passed


@pytest.mark.parametrize("state", [AccountState.PENDING, AccountState.REMOVED])
async def test_an_account_that_is_not_active_takes_no_exposure(
    ledger: SqlIntentLedger, accounts: SqlAccountStore, state: AccountState
) -> None:
    await accounts.set_state("acc", state, reason=None, signer=None)
    with pytest.raises(RiskRefused, match=state.value):
        await reserve(ledger, a_placement(an_order()))


async def test_a_blocked_symbol_takes_no_exposure_of_other_orders(
    database: Database, ledger: SqlIntentLedger, clock: Clock
) -> None:
    halts = HaltStore(database, now=clock)
    unknown = an_order("unknown")
    await reserve(ledger, a_placement(unknown))
    await halts.block("acc", "BTC-PERP", order_id=unknown.order_id, reason="nobody knows")
    with pytest.raises(RiskRefused, match="BTC-PERP is blocked on this account: nobody knows"):
        await reserve(ledger, a_placement(an_order("other")))
    await reserve(ledger, a_placement(an_order("eth", symbol="ETH-PERP")))
    await reserve(ledger, a_placement(unknown, revision=1))
    await halts.unblock("acc", "BTC-PERP", order_id=unknown.order_id)
    await reserve(ledger, a_placement(an_order("other")))


async def test_a_placement_past_its_time_is_too_late_unless_it_is_in_the_ledger(
    ledger: SqlIntentLedger, clock: Clock
) -> None:
    early, late = an_order("early"), an_order("late")
    not_after = CREATED_AT + timedelta(seconds=0.5)
    row = (await reserve(ledger, a_placement(early, not_after=not_after))).row
    assert row.send_by == not_after
    clock.advance(seconds=1)
    with pytest.raises(Conflict) as refused:
        await reserve(ledger, a_placement(late, not_after=not_after))
    assert refused.value.code == "too_late"
    again = await ledger.reserve(
        a_placement(early, not_after=not_after), spell_client_order_id=str, compose=compose
    )
    assert again == Found(row=row)


async def test_an_ended_order_is_not_placed_again(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    closed = an_order(closure=Closure(verdict=Verdict.EXPIRED, reason="not_sent"))
    await orders.add(closed, _event(closed.order_id))
    with pytest.raises(Conflict) as refused:
        await reserve(ledger, a_placement(an_order()))
    assert refused.value.code == "order_ended"
    assert await ledger.of_order(closed.order_id) == ()


def _event(order_id: str) -> TimelineEvent:
    return TimelineEvent(order_id=order_id, kind=EventKind.CLOSED, text="test", at=CREATED_AT)
