"""Cancels with the database away: they go out, each once, and the ledger learns of them afterwards.

The database is a real SQLite file that another connection holds locked.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.contracts import CancelTask
from activities.emergency_journal import CachedAccess
from domain.accounts import AccountState, SecretText, TradingAccess
from domain.commands import CommandKind
from domain.errors import CorruptState, NotFound, Unavailable, VenueUnavailable
from domain.ledger import CommandRow, NonceRule
from domain.orders import Concern, OrderStatus
from domain.outcomes import Accepted, NotSent, Rejected, SendResult, Unknown
from tests.activities.away import Away, Killed, away, locked, short_waits
from tests.activities.floor import (
    ACCOUNT_ID,
    Altered,
    Floor,
    add_account,
    an_order,
    place_task,
)
from tests.storage.builders import an_account
from venues.simulation.faults import FaultKind

__all__ = ["away", "short_waits"]


async def test_a_cancel_goes_out_and_the_ledger_learns_of_it(away: Away, floor: Floor) -> None:
    order = await away.resting()

    with locked(away.home):
        result = await away.cancel(order)

        assert result.definite
        assert result.order.status is OrderStatus.CANCELED
        assert "journaled" in result.answer
        assert floor.one_at_venue().reason is not None
        assert not (await floor.stored(order)).is_terminal
    assert await away.absorb() == 1

    (row,) = await away.cancels(order)
    assert isinstance(row.outcome, Accepted)
    assert row.nonce is not None
    assert row.nonce > ((await floor.row(order)).nonce or 0)
    stored = await floor.stored(order)
    assert stored.status is OrderStatus.CANCELED
    assert stored.concern is Concern.NONE
    assert stored.revisions == result.order.revisions
    assert await away.absorb() == 0
    assert await floor.storage.orders.undelivered() != ()


async def test_what_filled_before_the_cancel_is_read_from_the_venue(
    away: Away, floor: Floor
) -> None:
    order = await away.resting()
    floor.fill("0.004")
    with locked(away.home):
        result = await away.cancel(order)
    assert str(result.order.filled_quantity) == "0.004"
    await away.absorb()
    assert (await floor.stored(order)).filled_quantity == result.order.filled_quantity


async def test_a_placement_is_never_sent_without_the_ledger(away: Away, floor: Floor) -> None:
    with locked(away.home), pytest.raises(Unavailable):
        await floor.environment.run(away.orders.place, place_task(an_order()))
    assert floor.at_venue() == []
    assert await away.journal.pending() == ()


async def test_a_cancel_for_a_modify_waits_for_the_database(away: Away, floor: Floor) -> None:
    order = await away.resting()
    with locked(away.home), pytest.raises(Unavailable):
        await away.cancel(order, concern=Concern.PENDING_MODIFY)
    with locked(away.home), pytest.raises(Unavailable):
        await away.cancel(order, order=None)
    assert floor.one_at_venue().reason is None
    assert await away.journal.pending() == ()


async def test_a_lost_answer_leaves_the_cancel_to_be_resolved(away: Away, floor: Floor) -> None:
    order = await away.resting()
    floor.fault(FaultKind.DROP_AFTER_APPLY, "cancel")
    with locked(away.home):
        result = await away.cancel(order)
        again = await away.cancel(order)
    assert not result.definite
    assert result.order.concern is Concern.PENDING_CANCEL
    assert (again.definite, again.order) == (False, result.order)
    (entry,) = await away.journal.pending()
    assert entry.result is not None
    assert isinstance(entry.result.outcome, Unknown)

    assert await away.absorb() == 1
    assert (await floor.stored(order)).status is OrderStatus.PENDING_CANCEL
    resolved = await floor.resolve(order, CommandKind.CANCEL)
    assert resolved.order.status is OrderStatus.CANCELED
    assert len(await away.cancels(order)) == 1


async def test_a_cancel_that_was_not_sent_may_be_tried_again(away: Away, floor: Floor) -> None:
    order = await away.resting()
    floor.fault(FaultKind.RATE_LIMIT, "cancel")
    with locked(away.home):
        refused = await away.cancel(order)
        assert refused.definite
        assert refused.order.status is OrderStatus.ACCEPTED
        await floor.forget_rate_limit()
        assert (await away.cancel(order, 1)).order.status is OrderStatus.CANCELED
    assert await away.absorb() == 2
    first, second = await away.cancels(order)
    assert isinstance(first.outcome, NotSent)
    assert isinstance(second.outcome, Accepted)
    assert (first.nonce or 0) < (second.nonce or 0)


@pytest.mark.parametrize("point", ["cancel.journaled", "cancel.answer_read"])
async def test_killed_in_between_the_cancel_is_resolved_from_its_line(
    away: Away, floor: Floor, point: str
) -> None:
    order = await away.resting()
    floor.points.actions[point] = [_kill]
    with locked(away.home), pytest.raises(Killed):
        await away.cancel(order)
    was_sent = floor.one_at_venue().reason is not None
    assert was_sent == (point == "cancel.answer_read")

    restarted = Away(floor, away.home)
    assert await restarted.absorb() == 0  # It might be on its way still.
    assert await restarted.absorb(later_s=11) == 1
    (row,) = await restarted.cancels(order)
    assert row.outcome is None
    resolved = await floor.resolve(order, CommandKind.CANCEL)
    assert resolved.definite
    assert resolved.order.status is OrderStatus.CANCELED
    assert floor.one_at_venue().reason is not None


async def test_an_outcome_that_comes_after_its_absorption_is_absorbed_too(
    away: Away, floor: Floor
) -> None:
    order = await away.resting()
    floor.points.actions["cancel.answer_read"] = [_kill]
    with locked(away.home), pytest.raises(Killed):
        await away.cancel(order)
    (entry,) = await away.journal.pending()
    assert await away.absorb(later_s=11) == 1
    late = SendResult(outcome=Rejected(code="other", reason="no", proof="its words"))
    await away.journal.note(entry.entry_id, late)
    assert await away.absorb() == 1
    (row,) = await away.cancels(order)
    assert row.outcome == late.outcome
    assert await away.absorb() == 0


async def test_a_key_that_was_given_away_meanwhile_keeps_its_command(
    away: Away, floor: Floor
) -> None:
    order = await away.resting()
    floor.fault(FaultKind.DROP_BEFORE_APPLY, "cancel")
    await away.cancel(order)
    with locked(away.home):
        result = await away.cancel(order)
    assert result.order.status is OrderStatus.CANCELED
    await away.absorb()
    first, second = await away.cancels(order)
    assert (first.key.revision, second.key.revision) == (0, 1)
    assert isinstance(first.outcome, Unknown)
    assert isinstance(second.outcome, Accepted)
    assert (await floor.stored(order)).status is OrderStatus.CANCELED


async def test_nothing_is_sent_that_the_journal_cannot_hold(away: Away, floor: Floor) -> None:
    order = await away.resting()
    (away.home / "journal").touch()
    with locked(away.home), pytest.raises(Unavailable, match="cannot be written"):
        await away.cancel(order)
    assert floor.one_at_venue().reason is None
    (away.home / "journal").unlink()
    with locked(away.home):
        assert (await away.cancel(order)).order.status is OrderStatus.CANCELED


async def test_without_an_opened_credential_the_cancel_waits(away: Away, floor: Floor) -> None:
    order = await away.resting()
    away.access.keep_only([])
    with locked(away.home), pytest.raises(Unavailable, match="has not been opened"):
        # The credential is opened before the ledger is asked, if the database can be read.
        away.orders._access = Unreadable()
        await away.cancel(order)
    assert floor.one_at_venue().reason is None


async def test_a_fresh_credential_is_not_opened_again(floor: Floor) -> None:
    access = CachedAccess(floor.access)
    first = await access.open(ACCOUNT_ID)

    class Removed:
        async def open(self, account_id: str) -> Any:
            raise NotFound(f"no account {account_id!r}")

    removed: Any = Removed()
    access._source = removed
    assert await access.open(ACCOUNT_ID) is first


async def test_an_account_that_is_not_active_yet_is_opened_each_time() -> None:
    class Checked:
        """An account whose check ends between two openings."""

        states = iter((AccountState.PENDING, AccountState.ACTIVE))

        async def open(self, account_id: str) -> TradingAccess:
            account = an_account(state=next(self.states))
            return TradingAccess(account=account, credential=SecretText("key"))

    checked: Any = Checked()
    access = CachedAccess(checked)
    assert (await access.open(ACCOUNT_ID)).account.state is AccountState.PENDING
    assert (await access.open(ACCOUNT_ID)).account.state is AccountState.ACTIVE


async def test_a_credential_that_is_gone_is_forgotten(away: Away, floor: Floor) -> None:
    other = "22222222-2222-4222-8222-222222222222"
    await add_account(floor, other, address="0x" + "2" * 40)
    await away.access.open(other)
    assert away.access.last(other).account.account_id == other
    signer = floor.opened["agent_address"]
    assert (await away.access.open_signer(ACCOUNT_ID, signer)).account.signer == signer

    class Removed:
        async def open(self, account_id: str) -> Any:
            raise NotFound(f"no account {account_id!r}")

    away.access._source = Removed()  # type: ignore[assignment]
    with pytest.raises(NotFound):
        await away.access.open(other)
    with pytest.raises(Unavailable):
        away.access.last(other)


@pytest.mark.parametrize("rule", [NonceRule.SEQUENCE, NonceRule.NONE])
async def test_nonces_that_only_the_ledger_counts_wait_for_it(
    floor: Floor, tmp_path: Path, rule: NonceRule
) -> None:
    real = await floor.connector()
    sent: list[CommandRow] = []

    async def send(row: CommandRow, _access: object) -> SendResult:
        sent.append(row)
        return SendResult(outcome=NotSent(reason="test", proof="test"))

    connector = Altered(real, capabilities=replace(real.capabilities, nonce_rule=rule), send=send)
    away = Away(floor, tmp_path, connectors=connector)
    order = await away.resting()
    with locked(tmp_path):
        if rule is NonceRule.SEQUENCE:
            with pytest.raises(Unavailable, match="counted in the ledger"):
                await away.cancel(order)
        else:
            await away.cancel(order)
    assert [row.nonce for row in sent] == ([] if rule is NonceRule.SEQUENCE else [None])
    assert await away.absorb() == len(sent)


async def test_a_venue_that_is_away_is_no_emergency(floor: Floor, tmp_path: Path) -> None:
    async def compose(_command: object) -> Any:
        raise VenueUnavailable("no metadata")

    away = Away(floor, tmp_path, connectors=Altered(await floor.connector(), compose=compose))
    order = await away.resting()
    with pytest.raises(VenueUnavailable):
        await away.cancel(order)
    assert await away.journal.pending() == ()


async def test_an_entry_that_cannot_be_absorbed_does_not_keep_back_the_others(
    away: Away, floor: Floor
) -> None:
    order = await away.resting()
    row = await floor.row(order)
    stranger = replace(row.key, order_id="not in this ledger", command=CommandKind.CANCEL)
    await away.journal.begin(replace(row, key=stranger))
    with locked(away.home):
        await away.cancel(order)
    with pytest.raises(NotFound, match="compare with the venue"):
        await away.absorb(later_s=11)
    assert (await floor.stored(order)).status is OrderStatus.CANCELED
    assert len(await away.journal.pending()) == 1


async def test_absorbing_waits_for_the_database(away: Away, floor: Floor) -> None:
    order = await away.resting()
    with locked(away.home):
        await away.cancel(order)
        with pytest.raises(Unavailable):
            await away.absorb()
    assert await away.absorb() == 1


async def test_a_store_without_the_order_is_corrupt_not_away(away: Away) -> None:
    order = an_order()
    with pytest.raises(CorruptState):
        await away.cancel(order)


class Unreadable:
    """Credentials in a database that does not answer."""

    async def open(self, account_id: str) -> Any:
        raise Unavailable("the database does not answer")

    async def open_signer(self, account_id: str, signer: str) -> Any:
        raise Unavailable("the database does not answer")


def _kill() -> None:
    raise Killed


async def test_a_task_of_an_older_history_still_reads() -> None:
    converter = pydantic_data_converter.payload_converter
    task = CancelTask(
        order_id="o", number=1, revision=0, concern=Concern.PENDING_CANCEL, order=an_order()
    )
    (payload,) = converter.to_payloads([task])
    assert converter.from_payloads([payload], [CancelTask]) == [task]
    older = json.loads(payload.data)
    del older["order"]
    payload.data = json.dumps(older).encode()
    assert converter.from_payloads([payload], [CancelTask]) == [replace(task, order=None)]
