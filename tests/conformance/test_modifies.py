"""Changing a resting order: natively where a venue declares it, else by cancel and placement.

Whichever it is, old and new never stand for more than was asked, and a replacement that the venue
refuses after the old order is gone is said at once. The order's own workflow drives, on Temporal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pytest

from domain.accounts import Network
from domain.circuits import PAUSE_FIRST_S, UNANSWERED_MAX
from domain.commands import CommandKind
from domain.ledger import CommandKey
from domain.orders import OrderStatus
from domain.outcomes import Unknown
from tests.conformance.life import Life, open_life
from tests.conformance.rig import VenueRig
from tests.conformance.stage import Stage
from tests.workflows.stage import temporal_server
from venues import registry
from venues.circuits import Circuits
from venues.simulation.faults import FaultKind

pytestmark = pytest.mark.filterwarnings(
    "default::temporalio.workflow.UnfinishedUpdateHandlersWarning",
    "default::temporalio.workflow.UnfinishedSignalHandlersWarning",
)


@pytest.fixture(scope="module")
def temporal() -> Iterator[str]:
    with temporal_server() as address:
        yield address


@pytest.fixture
async def life(stage: Stage, temporal: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Life]:
    async with open_life(stage, temporal, monkeypatch) as opened:
        yield opened


async def test_a_new_price_replaces_the_order(life: Life) -> None:
    order = await life.rest()
    assert order.price is not None
    lower = (await life.stage.instrument()).price_rule.floor(order.price * Decimal("0.95"))
    answer = await life.modify(order, "m1", price=lower)
    assert (answer.decided, answer.refusal) == (True, None)
    assert answer.order is not None
    assert answer.order.status is OrderStatus.ACCEPTED
    (old, new) = life.ours()
    assert not old.status.is_live
    assert (new.price, new.remaining) == (lower, order.quantity)
    assert old.client_order_id != new.client_order_id
    assert life.at_most == order.quantity


async def test_what_fills_before_the_old_order_goes_is_not_placed_again(life: Life) -> None:
    order = await life.rest()
    assert order.price is not None
    lot = (await life.stage.instrument()).lot_size
    lower = (await life.stage.instrument()).price_rule.floor(order.price * Decimal("0.95"))
    (old,) = life.ours()
    life.stage.fault(FaultKind.DELAY, CommandKind.CANCEL, delay_ms=500)
    changing = asyncio.create_task(life.modify(order, "m1", price=lower))
    key = CommandKey(order_id=order.order_id, command=CommandKind.CANCEL, revision=0)
    async with asyncio.timeout(10):
        while await life.stage.storage.ledger.read(key) is None:
            await asyncio.sleep(0.01)
    row = await life.stage.storage.ledger.read(
        CommandKey(order_id=order.order_id, command=CommandKind.PLACE, revision=0)
    )
    assert row is not None
    life.stage.fill(row, lot)
    await life.deliver()
    answer = await changing
    assert (answer.decided, answer.refusal) == (True, None)
    (new,) = life.live()
    assert (old.filled, new.price, new.remaining) == (lot, lower, order.quantity - lot)
    assert life.at_most == order.quantity


async def test_more_is_asked_and_no_more_than_that_lives(life: Life) -> None:
    order = await life.rest()
    asked = order.quantity * 2
    answer = await life.modify(order, "m1", quantity=asked)
    assert (answer.decided, answer.refusal) == (True, None)
    (new,) = life.live()
    assert (new.price, new.remaining) == (order.price, asked)
    assert life.at_most == asked


async def test_a_modify_waits_while_nothing_new_is_risked_at_the_venue(life: Life) -> None:
    """The old order stays until its replacement can be placed."""
    order = await life.rest()
    assert order.price is not None
    lower = (await life.stage.instrument()).price_rule.floor(order.price * Decimal("0.95"))
    at = [1000.0]
    circuits = life.stage.connectors.circuits = Circuits(lambda: at[0])
    place = (life.stage.rig.venue, Network.PAPER)
    for _ in range(UNANSWERED_MAX):
        circuits.note_outcome(*place, Unknown(reason="silence"))
    changing = asyncio.create_task(life.modify(order, "m1", price=lower))
    async with asyncio.timeout(10):
        while not circuits.refused[place]:
            await asyncio.sleep(0.01)
    (old,) = life.live()
    assert old.price == order.price
    at[0] += PAUSE_FIRST_S
    answer = await changing
    assert (answer.decided, answer.refusal) == (True, None)
    (new,) = life.live()
    assert (new.price, new.remaining) == (lower, order.quantity)
    assert life.at_most == order.quantity


async def test_a_refused_replacement_is_said_at_once(life: Life) -> None:
    order = await life.rest()
    answer = await life.modify(order, "m1", quantity=order.quantity * 1_000_000)
    assert answer.decided
    assert answer.refusal is not None
    assert answer.order is not None
    assert answer.order.status is OrderStatus.CANCELED
    assert (answer.order.reason or "").startswith("replace_refused")
    assert life.live() == []


def test_no_venue_declares_a_modify_that_nothing_proves(rig: VenueRig) -> None:
    """The house replaces by cancel and placement, whatever a venue has besides.

    Who declares a native one brings its use in the workflow, and puts the proof in place of this:
    with fills at every moment, old and new together never exceed what was asked.
    """
    assert not registry.load(rig.venue).capabilities.native_modify
