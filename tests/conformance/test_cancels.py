"""Cancels by both ids, of what lives, of what has ended, and of what never was."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.orders import Verdict
from domain.outcomes import Accepted, Rejected, Unknown
from tests.conformance.stage import Stage


async def canceled(stage: Stage, outcome: object) -> None:
    """Check that a cancel's answer says what was done."""
    assert isinstance(outcome, Accepted), outcome
    assert outcome.report is None or outcome.report.verdict is Verdict.CANCELED


async def test_by_the_venues_id(stage: Stage) -> None:
    row, _ = await stage.accepted(await stage.resting())
    seen = await stage.until(row, Verdict.ACCEPTED)
    await canceled(stage, await stage.cancel(row, venue_order_id=seen.venue_order_id))
    assert not stage.one_at_venue(row).status.is_live
    ended = await stage.ended(row)
    assert (ended.verdict, ended.filled_quantity) == (Verdict.CANCELED, Decimal(0))
    assert await stage.connector.open_orders(stage.account) == ()
    history = await stage.connector.order_history(stage.account)
    assert row.client_order_id in {order.client_order_id for order in history}


async def test_by_the_client_order_id(stage: Stage) -> None:
    assert stage.connector.capabilities.cancel_by_client_order_id, (
        "an order of unknown outcome can be canceled by its client order id alone; a venue that "
        "cannot needs another way, and a test of it"
    )
    row, _ = await stage.accepted(await stage.resting())
    other, _ = await stage.accepted(await stage.resting())
    await canceled(stage, await stage.cancel(row))
    assert not stage.one_at_venue(row).status.is_live
    assert stage.one_at_venue(other).status.is_live


async def test_a_cancel_keeps_what_had_filled(stage: Stage) -> None:
    row, _ = await stage.accepted(await stage.resting())
    lot = (await stage.instrument()).lot_size
    stage.fill(row, lot)
    await canceled(stage, await stage.cancel(row))
    ended = await stage.ended(row)
    assert (ended.verdict, ended.filled_quantity) == (Verdict.CANCELED, lot)
    assert stage.held() == lot


@pytest.mark.parametrize("how", ["filled", "canceled", "never placed"])
async def test_of_an_order_that_is_not_there_is_no_success(stage: Stage, how: str) -> None:
    row = await stage.reserve(await stage.resting())
    if how != "never placed":
        await stage.carry_out(row)
    if how == "filled":
        stage.fill(row)
    number = 0
    if how == "canceled":
        await canceled(stage, await stage.cancel(row))
        number = 1
    outcome = await stage.cancel(row, number=number)
    assert isinstance(outcome, Rejected), outcome
    assert outcome.code == "no_such_order"
    assert stage.held() == (stage.one_at_venue(row).quantity if how == "filled" else 0)


async def test_another_accounts_order_is_not_canceled(stage: Stage) -> None:
    row, _ = await stage.accepted(await stage.resting())
    seen = await stage.until(row, Verdict.ACCEPTED)
    stranger = await stage.open_account()
    theirs, _ = await stage.accepted(await stage.resting(), stranger)
    cancel = await stage.reserve_cancel(theirs, venue_order_id=seen.venue_order_id)
    outcome = await stage.carry_out(cancel)
    assert isinstance(outcome, Rejected | Unknown), outcome
    assert stage.one_at_venue(row).status.is_live


async def test_the_same_cancel_sent_again_changes_nothing(stage: Stage) -> None:
    row, _ = await stage.accepted(await stage.resting())
    kept, _ = await stage.accepted(await stage.resting())
    cancel = await stage.reserve_cancel(row)
    await canceled(stage, await stage.carry_out(cancel))
    again = await stage.resend(cancel)
    assert isinstance(again, Unknown | Rejected), again
    assert stage.one_at_venue(kept).status.is_live
    assert (await stage.ended(row)).verdict is Verdict.CANCELED


async def test_a_cancel_past_its_moment_is_not_sent(stage: Stage) -> None:
    row, _ = await stage.accepted(await stage.resting())
    cancel = await stage.reserve_cancel(row)
    late = replace(cancel, send_by=cancel.inserted_at)
    result = await stage.connector.send(late, await stage.trading())
    assert result.outcome.kind == "not_sent"
    assert stage.one_at_venue(row).status.is_live
