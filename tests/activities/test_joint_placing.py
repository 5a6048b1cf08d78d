"""Entry and exits in one request: one send for one row, and each order's outcome found out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from activities.bracket_contracts import JointResult, JointTask
from activities.contracts import CloseTask, CommandResult
from activities.joint_placing import JointActivities
from activities.orders import OrderActivities
from domain.brackets import BracketPlan, ExitRule
from domain.commands import CommandKind
from domain.errors import Unavailable
from domain.ledger import CommandRow
from domain.orders import Order, OrderStatus
from domain.risk_limits import RiskLimits
from domain.timeline import TimelineEvent
from domain.violations import LimitName
from tests.activities.floor import (
    ACCOUNT_ID,
    MARKET,
    Altered,
    AwayLedger,
    Floor,
    an_order,
    now,
)
from venues.connector import Connector
from venues.simulation.faults import FaultKind


class Killed(BaseException):
    """The process dies here."""


def dies() -> None:
    raise Killed


@dataclass
class Joint:
    """One bracket whose request is made, and made again, as its workflow would."""

    floor: Floor
    plan: BracketPlan

    async def place(self, *, parts: Any = None, **changes: Any) -> JointResult:
        task = JointTask(plan=self.plan, revision=0, created_at=now())
        activities = JointActivities(parts or self.floor.parts())
        result: JointResult = await self.floor.environment.run(
            activities.place, replace(task, **changes)
        )
        return result

    async def dies_at(self, point: str) -> None:
        self.floor.points.actions[point] = [dies]
        with pytest.raises(Killed):
            await self.place()

    async def rows(self, result: JointResult) -> list[CommandRow]:
        return [await self.floor.row(order) for order in (result.entry, *result.exits)]

    async def resolved(self, result: JointResult) -> list[CommandResult]:
        """Find out about each order at the same time, as their workflows do."""
        orders = (result.entry, *result.exits)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.until_known(order)) for order in orders]
        return [task.result() for task in tasks]

    async def until_known(self, order: Order) -> CommandResult:
        while True:
            result = await self.floor.resolve(order)
            if result.definite:
                return result

    async def noops(self) -> list[CommandRow]:
        rows = await self.floor.storage.ledger.of_order(self.plan.bracket_id)
        return [row for row in rows if row.key.command is CommandKind.NOOP]


@pytest.fixture
def joint(floor: Floor) -> Joint:
    return Joint(floor, a_plan())


def a_plan(entry: Order | None = None, **changes: Any) -> BracketPlan:
    order = entry or an_order()
    plan = BracketPlan(
        entry=replace(order, parent_id=order.order_id, joint=True),
        take_profit=ExitRule(price=Decimal(70_000)),
        stop_loss=ExitRule(price=Decimal(55_000)),
        native=True,
    )
    return replace(plan, **changes)


async def test_it_is_reserved_sent_once_and_decided_for_each(joint: Joint) -> None:
    result = await joint.place()

    assert result.known
    orders = (result.entry, *result.exits)
    assert [order.status for order in orders] == [OrderStatus.ACCEPTED] * 3
    assert {order.client_order_id for order in orders} == {
        record.client_order_id for record in joint.floor.at_venue()
    }
    assert joint.floor.points.passed == [
        "joint.ledger_committed",
        "joint.answer_read",
        *["joint.one_outcome_committed"] * 3,
        "joint.outcome_committed",
    ]
    rows = await joint.rows(result)
    assert [row.raw_answer is not None for row in rows] == [True] * 3
    assert await joint.place() == replace(result, answer="the request may have been sent before")
    assert len(joint.floor.at_venue()) == 3


async def test_twenty_at_once_send_once(joint: Joint) -> None:
    await asyncio.gather(*(joint.place() for _ in range(20)))

    assert len(joint.floor.at_venue()) == 3


async def test_a_market_entry_is_filled_and_its_exits_wait(floor: Floor) -> None:
    result = await Joint(floor, a_plan(an_order(**MARKET))).place()

    assert result.entry.status is OrderStatus.FILLED
    assert [order.status for order in result.exits] == [OrderStatus.ACCEPTED] * 2


async def test_dead_before_the_first_byte(joint: Joint) -> None:
    """Nothing left, and nobody knows: each is proven absent, by one noop for all."""
    await joint.dies_at("joint.ledger_committed")

    result = await joint.place()

    assert not joint.floor.at_venue(), "found, so not sent"
    answers = await joint.resolved(result)
    assert ["never_admitted" in answer.answer for answer in answers] == [True] * 3
    assert len(await joint.noops()) == 1
    assert {order.order.current.absent is not None for order in answers if order.order.current} == {
        True
    }
    again = await joint.place(revision=1)
    assert again.entry.status is OrderStatus.ACCEPTED
    assert len(joint.floor.at_venue()) == 3


@pytest.mark.parametrize("committed", [0, 1, 2, 3])
async def test_dead_between_answer_and_outcomes(joint: Joint, committed: int) -> None:
    """The venue has it all; so much as is committed is known, the rest is looked up."""
    point = "joint.answer_read" if committed == 0 else "joint.one_outcome_committed"
    passes: list[Callable[[], object]] = [lambda: None] * max(committed - 1, 0)
    joint.floor.points.actions[point] = [*passes, dies]
    with pytest.raises(Killed):
        await joint.place()

    result = await joint.place()

    assert [row.is_decided for row in await joint.rows(result)] == [
        number < committed for number in range(3)
    ]
    answers = await joint.resolved(result)
    assert [answer.order.status for answer in answers] == [OrderStatus.ACCEPTED] * 3
    assert len(joint.floor.at_venue()) == 3
    assert not await joint.noops(), "a look was enough"


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.DROP_AFTER_APPLY,
        FaultKind.GARBLE,
        FaultKind.DROP_BEFORE_APPLY,
        FaultKind.ERROR_BEFORE_APPLY,
    ],
)
async def test_an_answer_that_never_came(joint: Joint, kind: FaultKind) -> None:
    joint.floor.fault(kind)

    result = await joint.place()

    orders = (result.entry, *result.exits)
    assert [order.status for order in orders] == [OrderStatus.UNKNOWN] * 3
    answers = await joint.resolved(result)
    arrived = kind in (FaultKind.DROP_AFTER_APPLY, FaultKind.GARBLE)
    status = OrderStatus.ACCEPTED if arrived else OrderStatus.SUBMITTED
    assert [answer.order.status for answer in answers] == [status] * 3
    assert len(joint.floor.at_venue()) == (3 if arrived else 0)
    assert len(await joint.noops()) == (0 if arrived else 1)


async def test_a_noop_under_way_is_not_sent_again_by_another(joint: Joint) -> None:
    """A copy would be told that the nonce is used, and write that down before the first answer."""
    joint.floor.fault(FaultKind.DROP_BEFORE_APPLY)
    result = await joint.place()
    joint.floor.fault(FaultKind.DELAY_ANSWER, action="noop", delay_ms=400)

    answers = await joint.resolved(result)

    assert ["was used up by a noop" in answer.answer for answer in answers] == [True] * 3
    (noop,) = await joint.noops()
    assert noop.outcome is not None
    assert noop.outcome.kind == "accepted"


async def test_the_database_away_at_the_outcome(joint: Joint) -> None:
    ledger = AwayLedger(joint.floor.storage.ledger, away=4)

    with pytest.raises(Unavailable):
        await joint.place(parts=joint.floor.parts(ledger=ledger))

    result = await joint.place()
    answers = await joint.resolved(result)
    assert [answer.order.status for answer in answers] == [OrderStatus.ACCEPTED] * 3
    assert len(joint.floor.at_venue()) == 3


async def test_a_process_that_was_paused_sends_nothing(joint: Joint) -> None:
    joint.floor.monkeypatch.setattr("activities.joint_placing.SEND_WITHIN_S", -1.0)

    result = await joint.place()

    assert "send_by passed" in result.answer
    assert not joint.floor.at_venue()
    for order in (result.entry, *result.exits):
        assert order.current is not None
        assert order.current.absent is not None


async def test_our_refusal_is_the_entrys_and_leaves_no_exit(joint: Joint) -> None:
    await joint.floor.storage.risk.put(
        ACCOUNT_ID, RiskLimits(max_order_notional=Decimal(500)), by="test"
    )

    result = await joint.place()

    assert result.entry.status is OrderStatus.DENIED
    assert [v.limit for v in result.entry.violations] == [LimitName.MAX_ORDER_NOTIONAL]
    assert result.exits == ()
    assert not joint.floor.at_venue()
    assert (await joint.place()).entry == result.entry


async def test_a_limit_measured_by_the_mark_is_measured(joint: Joint) -> None:
    limits = RiskLimits(max_price_distance_bps=Decimal(100))
    await joint.floor.storage.risk.put(ACCOUNT_ID, limits, by="test")

    result = await joint.place()

    assert [v.limit for v in result.entry.violations] == [LimitName.MAX_PRICE_DISTANCE_BPS]


async def test_a_refusal_of_a_later_attempt_leaves_the_entry_as_it_was(joint: Joint) -> None:
    await joint.dies_at("joint.ledger_committed")
    await joint.resolved(await joint.place())
    await joint.floor.storage.halts.halt(ACCOUNT_ID, reason="a test", by="test")

    result = await joint.place(revision=1)

    assert "a test" in result.answer
    assert result.entry.denied is None
    assert len(result.exits) == 2


async def test_a_venue_that_cannot_do_it(joint: Joint) -> None:
    class Plain:
        """A connector without the ability."""

        def __init__(self, connector: Connector) -> None:
            self._connector = connector

        def __getattr__(self, name: str) -> Any:
            if name in ("compose_joint", "send_batch"):
                raise AttributeError(name)
            return getattr(self._connector, name)

    plain: Any = Plain(await joint.floor.connector())
    source = Altered(plain)

    async def connector(_venue: str, _network: object) -> Any:
        return plain

    vars(source)["connector"] = connector

    result = await joint.place(parts=joint.floor.parts(connectors=source))

    assert result.entry.status is OrderStatus.DENIED
    assert "takes no exits along" in (result.entry.denied or "")


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"send": False}, OrderStatus.CANCELED), ({}, OrderStatus.EXPIRED)],
    ids=["its end is wanted", "past its time"],
)
async def test_what_is_not_to_be_sent_is_closed_for_good(
    joint: Joint, changes: dict[str, Any], status: OrderStatus
) -> None:
    if not changes:
        entry = replace(joint.plan.entry, place_by=now() - timedelta(seconds=1))
        joint.plan = replace(joint.plan, entry=entry)

    result = await joint.place(**changes)

    assert (result.entry.status, result.exits) == (status, ())
    late = replace(joint.plan.entry, place_by=now() + timedelta(seconds=15))
    joint.plan = replace(joint.plan, entry=late)
    assert (await joint.place()).entry.status is status, "whoever comes after sends nothing"
    assert not joint.floor.at_venue()


async def test_an_earlier_attempt_is_found_also_where_nothing_is_to_be_sent(joint: Joint) -> None:
    await joint.dies_at("joint.answer_read")

    result = await joint.place(send=False)

    assert len(result.exits) == 2
    assert result.entry.status is OrderStatus.SUBMITTED


async def test_past_its_time_in_the_ledgers_own_clock(joint: Joint) -> None:
    """The account was in use by others until the entry's time was over."""
    soon = replace(joint.plan.entry, place_by=now() + timedelta(seconds=0.3))
    joint.plan = replace(joint.plan, entry=soon)
    with joint.floor.busy_database():
        placing = asyncio.create_task(joint.place())
        await asyncio.sleep(0.5)

    result = await placing

    assert not result.known
    assert "nothing was sent" in result.answer
    assert not joint.floor.at_venue()


async def test_an_end_that_comes_together_with_the_request(joint: Joint) -> None:
    """The entry's workflow closes it in the moment in which its bracket places it."""
    floor, entry = joint.floor, joint.plan.entry

    class Late:
        """The store, whose look comes before the request and whose writing after."""

        def __getattr__(self, name: str) -> Any:
            return getattr(floor.storage.orders, name)

        async def add(self, order: Order, event: TimelineEvent) -> Order:
            await joint.place()
            return await floor.storage.orders.add(order, event)

    activities = OrderActivities(floor.parts(orders=Late()))
    task = CloseTask(order=entry, reason="not_sent", verdict="EXPIRED")

    adoption = await floor.environment.run(activities.close, task)

    assert adoption.order.status is OrderStatus.ACCEPTED
    assert adoption.undecided == ()
