"""Resolving: what became of a command is found out by proof, whatever the venue hides."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from activities.contracts import ResolveTask
from activities.resolution import ResolutionActivities
from domain.accounts import SignerFacts
from domain.commands import BurnNonce, CommandKind
from domain.errors import CorruptState
from domain.ledger import CommandKey, CommandRow, CommandSlot, Found
from domain.orders import Concern, Order, OrderReport, OrderStatus, Verdict
from domain.outcomes import Accepted, NotSent, Rejected, SendResult, Unknown
from domain.settlement import TOLD
from sealing.box import BoxLabel, CredentialPart, seal
from tests.activities.floor import ACCOUNT_ID, TAKING, Altered, Floor, an_order
from venues.connector import Fence
from venues.simulation.faults import FaultKind
from venues.simulation.records import NonceUsed

LOST = FaultKind.DROP_AFTER_APPLY
NEVER_CAME = FaultKind.DROP_BEFORE_APPLY
LONG_MS = 600_000
PLACE = CommandKind.PLACE


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up looking after a second."""
    monkeypatch.setattr("activities.resolution.LOOK_FOR_S", 1.0)
    monkeypatch.setattr("activities.resolution.LOOK_EVERY_S", 0.2)


async def unknown(floor: Floor, kind: FaultKind = LOST, **changes: Any) -> Order:
    """Place an order whose answer is lost."""
    floor.fault(kind)
    result = await floor.place(an_order(**changes))
    assert not result.definite
    return result.order


async def noops(floor: Floor, order: Order) -> list[CommandRow]:
    rows = await floor.storage.ledger.of_order(order.order_id)
    return [row for row in rows if row.key.command is CommandKind.NOOP]


async def test_an_order_that_rests_is_found_by_its_client_id(floor: Floor) -> None:
    order = await unknown(floor)

    result = await floor.resolve(order)

    assert result.definite
    assert result.order.status is OrderStatus.ACCEPTED
    assert result.order.concern is Concern.NONE
    assert await noops(floor, order) == []
    assert floor.heartbeats == ["looking for the order at the venue"]


async def test_what_the_feed_has_told_is_not_asked_for(floor: Floor) -> None:
    """The venue answers nothing at all, and the search ends by what is stored."""
    order = await unknown(floor)
    report = OrderReport(order_id=order.order_id, revision=0, verdict=Verdict.ACCEPTED)
    folded = await floor.storage.orders.fold(report)
    assert (folded.order.status, folded.order.outcome) == (OrderStatus.ACCEPTED, "accepted")
    await floor.close_venue()

    result = await floor.resolve(order)

    assert result.definite
    assert (result.order.status, result.order.concern) == (OrderStatus.ACCEPTED, Concern.NONE)
    row = await floor.row(order)
    assert isinstance(row.outcome, Accepted) and row.outcome.report is not None
    assert row.outcome.report.source == TOLD


async def test_an_order_that_filled_is_found(floor: Floor) -> None:
    order = await unknown(floor, **TAKING)

    result = await floor.resolve(order)

    assert result.order.status is OrderStatus.FILLED


async def test_an_order_that_was_refused_is_found_rejected(floor: Floor) -> None:
    order = await unknown(floor, quantity=Decimal(5_000))

    result = await floor.resolve(order)

    assert result.definite
    assert result.order.status is OrderStatus.REJECTED
    outcome = (await floor.row(order)).outcome
    assert isinstance(outcome, Rejected)
    assert outcome.proof == "the venue's record of the order"


async def test_an_order_that_never_came_is_fenced_off_by_its_nonce(floor: Floor) -> None:
    order = await unknown(floor, NEVER_CAME)

    result = await floor.resolve(order)

    assert result.definite
    outcome = (await floor.row(order)).outcome
    assert isinstance(outcome, NotSent)
    assert "used up by a noop" in outcome.proof
    assert result.order.revisions[0].absent is not None
    (noop,) = await noops(floor, order)
    assert noop.nonce == (await floor.row(order)).nonce
    assert noop.signer == (await floor.row(order)).signer
    assert isinstance(noop.outcome, Accepted)
    late = await (await floor.connector()).resend(
        await floor.row(order), await floor.opened_access()
    )
    assert isinstance(late.outcome, Unknown)
    assert floor.at_venue() == []


async def test_the_bytes_arrive_while_we_look_and_are_found_not_sent_again(floor: Floor) -> None:
    """The noop is refused: something with that nonce was admitted. It is the order."""
    order = await unknown(floor, NEVER_CAME)
    connector, access = await floor.connector(), await floor.opened_access()
    await connector.resend(await floor.row(order), access)
    floor.venue.exchange.switches.lookup_lag_ms = LONG_MS

    first = await floor.resolve(order)

    assert first.definite, "open orders and history show it although the look-up does not"
    assert first.order.status is OrderStatus.ACCEPTED
    (noop,) = await noops(floor, order)
    assert isinstance(noop.outcome, Rejected)
    assert noop.outcome.code == "nonce_used"
    assert len(floor.at_venue()) == 1


async def test_a_used_nonce_without_a_visible_order_stays_unknown_until_admission_ends(
    floor: Floor,
) -> None:
    order = await unknown(floor, NEVER_CAME)
    await _burn_by_hand(floor, order)

    first = await floor.resolve(order)

    assert not first.definite
    assert "the nonce was admitted, and no look-up shows the order" in first.answer
    assert "it could still be admitted until" in first.answer
    floor.past_admission()
    second = await floor.resolve(order)
    assert second.definite
    outcome = (await floor.row(order)).outcome
    assert isinstance(outcome, Rejected)
    assert outcome.code == "admitted_no_order"
    assert second.order.status is OrderStatus.REJECTED


async def _burn_by_hand(floor: Floor, order: Order) -> None:
    """Use the order's nonce with a noop that our ledger knows nothing of."""
    connector, access = await floor.connector(), await floor.opened_access()
    row = await floor.row(order)
    slot = CommandSlot(client_order_id="", nonce=row.nonce, admitted_until=row.admitted_until)
    compose = await connector.compose(BurnNonce(nonce=row.nonce or 0))
    key = replace(row.key, command=CommandKind.NOOP)
    foreign = replace(row, key=key, message=compose(slot))
    result = await connector.send(foreign, access)
    assert isinstance(result.outcome, Accepted)


async def test_a_noop_whose_answer_is_lost_is_sent_again_as_the_same_bytes(floor: Floor) -> None:
    order = await unknown(floor, NEVER_CAME)
    floor.fault(LOST, "noop")

    first = await floor.resolve(order)

    # The second copy finds the nonce used: by the order, or by the first copy.
    assert not first.definite
    assert first.answer.startswith("the nonce is spent, and no look-up shows the order; it could")
    (noop,) = await noops(floor, order)
    assert isinstance(noop.outcome, Rejected)
    assert noop.outcome.code == "nonce_spent"
    floor.past_admission()
    second = await floor.resolve(order)
    assert second.definite
    outcome = (await floor.row(order)).outcome
    assert isinstance(outcome, NotSent), "nothing proves that the venue ever took the order"
    assert floor.at_venue() == []


async def test_a_noop_that_never_came_is_sent_again(floor: Floor) -> None:
    order = await unknown(floor, NEVER_CAME)
    floor.fault(NEVER_CAME, "noop")

    result = await floor.resolve(order)

    assert result.definite
    (noop,) = await noops(floor, order)
    assert isinstance(noop.outcome, Accepted)
    assert isinstance((await floor.row(order)).outcome, NotSent)


async def test_a_noop_that_was_refused_for_its_rate_is_made_anew(floor: Floor) -> None:
    order = await unknown(floor, NEVER_CAME)
    floor.fault(FaultKind.RATE_LIMIT, "noop")
    assert not (await floor.resolve(order)).definite
    await floor.forget_rate_limit()

    result = await floor.resolve(order)

    assert result.definite
    first, second = await noops(floor, order)
    assert isinstance(first.outcome, NotSent)
    assert isinstance(second.outcome, Accepted)
    assert first.nonce == second.nonce
    assert first.key.revision != second.key.revision


async def test_a_noop_past_its_admission_is_made_anew(floor: Floor) -> None:
    order = await unknown(floor, NEVER_CAME)
    floor.fault(NEVER_CAME, "noop", count=50)
    assert not (await floor.resolve(order)).definite
    (lost,) = await noops(floor, order)
    floor.venue.faults.clear()
    assert lost.admitted_until is not None
    later = ResolutionActivities(floor.parts(now=lambda: lost.admitted_until + timedelta(1)))

    key = CommandKey(order_id=order.order_id, command=CommandKind.PLACE, revision=0)
    result = await floor.environment.run(later.resolve, ResolveTask(key=key))

    assert result.definite
    old, new = await noops(floor, order)
    assert old.outcome is not None
    assert not old.is_decided
    assert isinstance(new.outcome, Accepted)


async def test_of_two_resolvers_one_burns_the_nonce(floor: Floor) -> None:
    order = await unknown(floor, NEVER_CAME)
    resolution, connector, access = (
        floor.resolution,
        await floor.connector(),
        await floor.opened_access(),
    )
    row = await floor.row(order)

    outcomes = await asyncio.gather(
        *(resolution.burn(connector, access, row) for _ in range(5)), return_exceptions=True
    )

    assert all(o is None or isinstance(o, Accepted | Rejected) for o in outcomes), outcomes
    assert len({noop.key for noop in await noops(floor, order)}) == 1


async def test_a_nonce_too_low_was_never_admitted(floor: Floor) -> None:
    order = await unknown(floor, NEVER_CAME)
    row = await floor.row(order)
    assert row.nonce is not None
    tables = floor.venue.exchange.tables
    with floor.venue.exchange.action("nonces"):
        for number in range(1, 110):
            tables.record(NonceUsed(signer=row.signer, nonce=row.nonce + number))

    result = await floor.resolve(order)

    assert result.definite
    (noop,) = await noops(floor, order)
    assert isinstance(noop.outcome, Rejected)
    assert noop.outcome.code == "nonce_too_low"
    assert isinstance((await floor.row(order)).outcome, NotSent)


async def test_past_admission_silence_is_proof_without_any_noop(floor: Floor) -> None:
    order = await unknown(floor, NEVER_CAME)
    floor.fault(FaultKind.ERROR_BEFORE_APPLY, "noop", count=None)
    floor.past_admission()

    result = await floor.resolve(order)

    assert result.definite
    outcome = (await floor.row(order)).outcome
    assert isinstance(outcome, NotSent)
    assert "by the venue's clock" in outcome.proof


async def test_a_venue_without_burning_waits_for_its_admission_to_end(floor: Floor) -> None:
    order = await unknown(floor, NEVER_CAME)
    await floor.place(an_order())
    connector = await floor.connector()
    proofs = replace(connector.proofs, fences=(Fence.ADMISSION_EXPIRY,))
    resolution = ResolutionActivities(floor.parts(connectors=Altered(connector, proofs=proofs)))
    key = CommandKey(order_id=order.order_id, command=CommandKind.PLACE, revision=0)

    first = await floor.environment.run(resolution.resolve, ResolveTask(key=key))

    assert not first.definite
    floor.past_admission()
    assert (await floor.environment.run(resolution.resolve, ResolveTask(key=key))).definite
    assert await noops(floor, order) == []


async def test_a_market_is_not_blocked_where_a_fence_will_tell(floor: Floor) -> None:
    order = await unknown(floor, NEVER_CAME)
    await floor.resolve(order)
    assert await floor.storage.halts.blocked(ACCOUNT_ID) == ()


async def test_an_order_that_only_its_fills_show_is_found(floor: Floor) -> None:
    order = await unknown(floor, **TAKING)
    floor.hide_orders()

    result = await floor.resolve(order)

    assert result.definite
    assert result.order.status is OrderStatus.FILLED
    assert result.order.average_price is not None


async def test_a_venue_that_is_down_leaves_everything_open(floor: Floor) -> None:
    order = await unknown(floor)
    await floor.close_venue()

    result = await floor.resolve(order)

    assert not result.definite
    assert result.answer.startswith("the venue does not answer look-ups: ")
    assert result.order.status is OrderStatus.UNKNOWN
    assert len(floor.heartbeats) > 1
    floor.venue_is_back()
    assert (await floor.resolve(order)).definite


async def test_what_is_decided_is_returned(floor: Floor) -> None:
    placed = await floor.place(an_order())

    result = await floor.resolve(placed.order)

    assert result.definite
    assert result.order == placed.order
    assert result.answer == "accepted: ACCEPTED"


async def test_a_command_that_is_not_in_the_ledger_is_corrupt(floor: Floor) -> None:
    with pytest.raises(CorruptState, match="not in the ledger"):
        await floor.resolve(an_order())


async def test_the_rows_own_signer_resolves_after_a_rotation(floor: Floor) -> None:
    order = await unknown(floor, NEVER_CAME)
    label = BoxLabel(account_id=ACCOUNT_ID, venue="hyperliquid", part=CredentialPart.TRADING)
    other = seal(b"0x" + b"7" * 64, floor.key.public, label)
    facts = SignerFacts(signer="0xother", master_address=None, power="agent", expires_at=None)
    await floor.storage.rotation.propose(ACCOUNT_ID, trading=other, feed=None)
    await floor.storage.rotation.promote(ACCOUNT_ID, facts)

    result = await floor.resolve(order)

    assert result.definite
    (noop,) = await noops(floor, order)
    assert noop.signer == floor.opened["agent_address"]


async def test_an_order_known_by_a_report_needs_no_proof_of_absence(floor: Floor) -> None:
    """A noop decided long ago is not sent again."""
    order = await unknown(floor, NEVER_CAME)
    resolution, connector, access = (
        floor.resolution,
        await floor.connector(),
        await floor.opened_access(),
    )
    row = await floor.row(order)
    first = await resolution.burn(connector, access, row)

    second = await resolution.burn(connector, access, row)

    assert first == second == Accepted()
    assert len(await noops(floor, order)) == 1


async def test_the_carriers_outcome_of_a_found_noop_is_left_alone(floor: Floor) -> None:
    order = await unknown(floor, NEVER_CAME)
    row = await floor.row(order)
    connector = await floor.connector()
    resolution = floor.resolution
    await floor.storage.ledger.reserve(
        resolution._noop_draft(connector, row, 0),
        spell_client_order_id=lambda _: row.client_order_id,
        compose=await connector.compose(BurnNonce(nonce=row.nonce or 0)),
    )
    found = await floor.storage.ledger.reserve(
        resolution._noop_draft(connector, row, 0),
        spell_client_order_id=lambda _: row.client_order_id,
        compose=await connector.compose(BurnNonce(nonce=row.nonce or 0)),
    )
    assert isinstance(found, Found)
    await floor.storage.ledger.decide(found.row.key, SendResult(outcome=Unknown(reason="lost")))

    result = await floor.resolve(order)

    assert result.definite
    assert result.order.verdict is Verdict.SUBMITTED
    assert result.order.revisions[0].absent is not None
