"""Several orders in one signed request: what comes of each, also when nothing comes back.

A venue that declares `joint_exits` takes an entry with its exits; one that does not must not offer
it, so that nobody relies on it.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.commands import CommandKind, PlaceOrder
from domain.errors import InvalidInput
from domain.identifiers import order_id_for
from domain.instruments import OrderSide
from domain.ledger import CommandRow, CommandSlot
from domain.orders import OrderType
from domain.outcomes import Accepted, Outcome, Rejected, Unknown
from tests.conformance.stage import Stage, now
from venues.batches import BatchMember, BatchResult, JointPlacer
from venues.connector import Capabilities
from venues.simulation.faults import FaultKind


def placer_of(stage: Stage) -> JointPlacer | None:
    """Return the connector as what places jointly, where its venue declares that."""
    capabilities: Capabilities = stage.connector.capabilities
    assert isinstance(stage.connector, JointPlacer) is capabilities.joint_exits
    return stage.connector if isinstance(stage.connector, JointPlacer) else None


async def bracket(stage: Stage, **entry: Any) -> list[PlaceOrder]:
    """Return an entry that rests, a stop below it and a target above the book."""
    resting = replace(await stage.resting(), **entry)
    prices = await stage.prices()
    rule = (await stage.instrument()).price_rule
    exits = [
        (OrderType.STOP_MARKET, prices.below * Decimal("0.9"), Decimal("0.95")),
        (OrderType.TAKE_PROFIT_MARKET, prices.above * Decimal("1.1"), Decimal("0.95")),
    ]
    return [
        resting,
        *(
            stage.order(
                resting.quantity,
                rule.floor(touched * bound),
                side=OrderSide.SELL,
                order_type=kind,
                trigger_price=rule.floor(touched),
                reduce_only=True,
            )
            for kind, touched, bound in exits
        ),
    ]


async def prepared(
    stage: Stage, placer: JointPlacer, commands: list[PlaceOrder]
) -> tuple[CommandRow, list[BatchMember]]:
    """Return the one row of a joint placement and its members, as the ledger would make them."""
    first = await stage.reserve(commands[0])
    compose = await placer.compose_joint(commands[0], commands[1:])
    names = [
        first.key.order_id,
        *(order_id_for("local", f"{first.key}-{n}") for n in range(1, len(commands))),
    ]
    slots = [
        CommandSlot(
            client_order_id=stage.connector.client_order_id(name, 0, 0),
            nonce=first.nonce,
            admitted_until=first.admitted_until,
        )
        for name in names
    ]
    members = [
        BatchMember(order_id=name, revision=0, client_order_id=slot.client_order_id)
        for name, slot in zip(names, slots, strict=True)
    ]
    return replace(first, message=compose(slots)), members


async def placed(
    stage: Stage, placer: JointPlacer, commands: list[PlaceOrder]
) -> tuple[list[BatchMember], BatchResult]:
    row, members = await prepared(stage, placer, commands)
    return members, await placer.send_batch(row, await stage.trading(), members)


def lives(stage: Stage, member: BatchMember) -> bool:
    """Tell whether the exchange has the member's order and it can still trade."""
    return any(
        record.status.is_live
        for record in stage.records()
        if record.client_order_id == member.client_order_id
    )


def report_ids(outcomes: tuple[Outcome, ...]) -> list[str]:
    return [o.report.order_id for o in outcomes if isinstance(o, Accepted) and o.report]


async def test_an_entry_takes_its_exits_along_and_each_has_its_own_outcome(stage: Stage) -> None:
    placer = placer_of(stage)
    if placer is None:
        return
    members, result = await placed(stage, placer, await bracket(stage))
    assert [outcome.kind for outcome in result.outcomes] == ["accepted"] * 3
    assert report_ids(result.outcomes) == [member.order_id for member in members]
    assert all(lives(stage, member) for member in members)
    assert result.raw


async def test_a_refused_entry_leaves_none_of_its_exits_alive(stage: Stage) -> None:
    placer = placer_of(stage)
    if placer is None:
        return
    quantity = (await stage.resting()).quantity * 1_000_000
    members, result = await placed(stage, placer, await bracket(stage, quantity=quantity))
    assert isinstance(result.outcomes[0], Rejected), result
    for member, outcome in zip(members, result.outcomes, strict=True):
        assert not lives(stage, member)
        assert not isinstance(outcome, Accepted), outcome


async def test_each_outcome_is_what_the_exchange_did_with_that_order(stage: Stage) -> None:
    """The stop is on the wrong side of the market: whatever the venue makes of the others."""
    placer = placer_of(stage)
    if placer is None:
        return
    entry, stop, target = await bracket(stage)
    wrong = replace(stop, trigger_price=target.trigger_price)
    members, result = await placed(stage, placer, [entry, wrong, target])
    for member, outcome in zip(members, result.outcomes, strict=True):
        assert outcome.kind in ("accepted", "rejected")
        assert (outcome.kind == "accepted") is lives(stage, member)


@pytest.mark.parametrize(
    ("kind", "applied"),
    [
        (FaultKind.DROP_BEFORE_APPLY, False),
        (FaultKind.DROP_AFTER_APPLY, True),
        (FaultKind.ERROR_BEFORE_APPLY, False),
        (FaultKind.ERROR_AFTER_APPLY, True),
        (FaultKind.GARBLE, True),
    ],
)
async def test_no_answer_leaves_every_member_unknown(
    stage: Stage, kind: FaultKind, applied: bool
) -> None:
    placer = placer_of(stage)
    if placer is None:
        return
    stage.fault(kind, CommandKind.PLACE)
    members, result = await placed(stage, placer, await bracket(stage))
    assert all(isinstance(outcome, Unknown) for outcome in result.outcomes)
    assert [lives(stage, member) for member in members] == [applied] * 3


async def test_exits_that_are_none_are_refused_unsent(stage: Stage) -> None:
    placer = placer_of(stage)
    if placer is None:
        return
    entry, stop, _ = await bracket(stage)
    for wrong in (replace(stop, reduce_only=False), await stage.resting()):
        with pytest.raises(InvalidInput):
            await placer.compose_joint(entry, [wrong])
    assert stage.records() == []


async def test_a_batch_past_its_moment_is_not_sent(stage: Stage) -> None:
    placer = placer_of(stage)
    if placer is None:
        return
    row, members = await prepared(stage, placer, await bracket(stage))
    late = replace(row, send_by=now())
    result = await placer.send_batch(late, await stage.trading(), members)
    assert {outcome.kind for outcome in result.outcomes} == {"not_sent"}
    assert stage.records() == []
