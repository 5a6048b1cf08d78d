"""The bridge: a sink double, real storage."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from domain.errors import Unavailable
from domain.orders import OrderReport, Verdict
from domain.ports import Delivery
from domain.timeline import EventKind, TimelineEvent
from streaming import bridge as bridge_module
from streaming.bridge import Bridge, coalesce
from tests.bus.waiting import eventually
from tests.streaming.building import T0
from tests.streaming.stage import Stage, order_id
from workflows.client import Delivered
from workflows.payloads import PayloadKeys


class Workflows:
    """What workflows would have heard."""

    def __init__(self) -> None:
        self.heard: dict[str, list[OrderReport]] = defaultdict(list)
        self.answers: dict[str, Delivered] = {}
        self.away = False
        self.calls = 0
        self.together = 0
        self.together_most = 0
        self.gate: asyncio.Event | None = None

    async def report(self, order_id: str, report: OrderReport) -> Delivered:
        self.calls += 1
        self.together += 1
        self.together_most = max(self.together, self.together_most)
        try:
            if self.gate is not None:
                await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self.together -= 1
        if self.away:
            raise Unavailable("Temporal does not answer")
        answer = self.answers.get(order_id, Delivered.DELIVERED)
        if answer is Delivered.DELIVERED:
            self.heard[order_id].append(report)
        return answer


@asynccontextmanager
async def running(bridge: Bridge) -> AsyncIterator[None]:
    task = asyncio.create_task(bridge.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def two_partial_fills(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    await stage.report(1)
    await stage.book(1, 1)
    await stage.book(1, 2)


async def test_only_the_newest_cumulative_report_is_told(stage: Stage) -> None:
    await two_partial_fills(stage)
    workflows = Workflows()
    await Bridge(stage.orders, workflows).deliver_due()
    (report,) = workflows.heard[order_id(1)]
    assert (report.revision, report.filled_quantity) == (0, Decimal("0.2"))
    assert await stage.orders.undelivered() == ()


async def test_what_was_left_is_told_at_the_start_and_what_comes_when_woken(stage: Stage) -> None:
    await two_partial_fills(stage)
    workflows = Workflows()
    bridge = Bridge(stage.orders, workflows, redeliver_s=60)
    async with running(bridge):
        await eventually(lambda: len(workflows.heard[order_id(1)]) == 1)
        await stage.book(1, 3)
        bridge.wake()
        await eventually(lambda: len(workflows.heard[order_id(1)]) == 2)
    assert workflows.heard[order_id(1)][-1].filled_quantity == Decimal("0.3")


async def test_without_a_wake_it_is_told_at_the_next_look(stage: Stage) -> None:
    await two_partial_fills(stage)
    workflows = Workflows()
    async with running(Bridge(stage.orders, workflows, redeliver_s=0.05)):
        await eventually(lambda: len(workflows.heard[order_id(1)]) == 1)
        await stage.book(1, 3)
        await eventually(lambda: len(workflows.heard[order_id(1)]) == 2)


async def test_at_most_five_a_second_per_order_but_the_end_at_once(stage: Stage) -> None:
    await two_partial_fills(stage)
    now = [100.0]
    workflows = Workflows()
    bridge = Bridge(stage.orders, workflows, clock=lambda: now[0])
    await bridge.deliver_due()
    await stage.book(1, 3)
    assert await bridge.deliver_due() == pytest.approx(0.2)
    now[0] += 0.15
    assert await bridge.deliver_due() == pytest.approx(0.05)
    assert len(workflows.heard[order_id(1)]) == 1
    now[0] += 0.06
    await bridge.deliver_due()
    assert len(workflows.heard[order_id(1)]) == 2
    await stage.report(1, Verdict.CANCELED)
    await bridge.deliver_due()
    assert workflows.heard[order_id(1)][-1].verdict is Verdict.CANCELED


async def test_an_order_ended_by_its_fills_is_told_at_once(stage: Stage) -> None:
    await two_partial_fills(stage)
    workflows = Workflows()
    now = [100.0]
    bridge = Bridge(stage.orders, workflows, clock=lambda: now[0])
    await bridge.deliver_due()
    (folded,) = await stage.book(1, 3, quantity=Decimal("0.8"))
    assert folded.order.is_terminal
    bridge.wake(folded.order.order_id)
    await bridge.deliver_due()
    assert workflows.heard[order_id(1)][-1].filled_quantity == 1
    # That is over: the next change of it would wait again.
    await bridge.deliver_due()
    assert bridge._ended == set()


async def test_while_temporal_is_away_everything_waits(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bridge_module, "_PAUSE_FIRST_S", 0.02)
    caplog.set_level(logging.INFO, logger="streaming.bridge")
    await two_partial_fills(stage)
    workflows = Workflows()
    workflows.away = True
    async with running(Bridge(stage.orders, workflows, redeliver_s=60)):
        await eventually(lambda: workflows.calls >= 3)
        assert len(await stage.orders.undelivered()) == 2
        workflows.away = False
        await eventually(lambda: len(caplog.records) == 2)
    assert len(workflows.heard[order_id(1)]) == 1
    assert [r.message for r in caplog.records] == [
        "reports cannot be delivered to workflows: Temporal does not answer",
        "reports are delivered to workflows again",
    ]


async def test_an_order_without_workflow_waits_for_one(stage: Stage) -> None:
    await two_partial_fills(stage)
    await stage.place(2)
    await stage.report(2, Verdict.REJECTED)
    now = [100.0]
    workflows = Workflows()
    workflows.answers[order_id(1)] = Delivered.MISSING
    bridge = Bridge(stage.orders, workflows, clock=lambda: now[0])
    await bridge.deliver_due()
    assert [d.report.order_id for d in await stage.orders.undelivered()] == [order_id(1)] * 2
    assert workflows.heard[order_id(2)][0].verdict is Verdict.REJECTED
    calls = workflows.calls
    now[0] += 9
    assert await bridge.deliver_due() == pytest.approx(1.0)
    assert workflows.calls == calls, "not before its time"
    now[0] += 2
    workflows.answers.clear()
    await bridge.deliver_due()
    assert len(workflows.heard[order_id(1)]) == 1
    now[0] += 1000
    await bridge.deliver_due()
    assert bridge._missing_until == {}


async def test_many_waiting_orders_do_not_hide_the_newer_ones(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_module, "PAGE", 2)
    await stage.add_account()
    workflows = Workflows()
    for number in range(1, 8):
        await stage.place(number)
        await stage.report(number, Verdict.REJECTED)
        if number < 7:
            workflows.answers[order_id(number)] = Delivered.MISSING
    async with running(Bridge(stage.orders, workflows)):
        while len(await stage.orders.undelivered()) > 6:
            await asyncio.sleep(0.005)
    assert len(workflows.heard[order_id(7)]) == 1


def closed_event(number: int = 1) -> TimelineEvent:
    return TimelineEvent(
        order_id=order_id(number), kind=EventKind.CLOSED, text="workflow ends", at=T0
    )


async def findings(stage: Stage) -> list[TimelineEvent]:
    events = await stage.orders.timeline(order_id(1))
    return [event for event in events if event.kind is EventKind.FINDING]


async def test_a_report_after_the_end_is_a_finding_once(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    await stage.report(1, Verdict.CANCELED)
    workflows = Workflows()
    bridge = Bridge(stage.orders, workflows)
    await bridge.deliver_due()
    await stage.orders.record(closed_event())
    workflows.answers[order_id(1)] = Delivered.CLOSED
    await stage.book(1, 1)
    await bridge.deliver_due()
    (finding,) = await findings(stage)
    assert "after the order's workflow had closed" in finding.text
    assert finding.detail is not None and finding.detail["deliveries"]
    assert await stage.orders.undelivered() == ()
    assert (await stage.order(1)).filled_quantity == Decimal("0.1"), "folded in all the same"
    await bridge.deliver_due()
    assert len(await findings(stage)) == 1


async def test_a_report_the_workflow_knew_when_it_closed_is_none(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    await stage.report(1, Verdict.CANCELED)
    await stage.orders.record(closed_event())
    workflows = Workflows()
    workflows.answers[order_id(1)] = Delivered.CLOSED
    await Bridge(stage.orders, workflows).deliver_due()
    assert await findings(stage) == []
    assert await stage.orders.undelivered() == ()


async def test_a_workflow_that_closed_without_a_word_is_no_finding_of_a_change(
    stage: Stage,
) -> None:
    await two_partial_fills(stage)
    workflows = Workflows()
    workflows.answers[order_id(1)] = Delivered.CLOSED
    await Bridge(stage.orders, workflows).deliver_due()
    assert await findings(stage) == []
    assert await stage.orders.undelivered() == ()


async def test_a_crash_between_signal_and_mark_tells_it_twice_and_finds_it_once(
    stage: Stage,
) -> None:
    await stage.add_account()
    await stage.place(1)
    await stage.report(1, Verdict.CANCELED)
    await stage.orders.record(closed_event())
    await stage.book(1, 1)
    workflows = Workflows()
    workflows.answers[order_id(1)] = Delivered.CLOSED
    dying = MarksNothing(stage.orders)
    with pytest.raises(Unavailable):
        await Bridge(dying, workflows).deliver_due()
    await Bridge(stage.orders, workflows).deliver_due()
    assert workflows.calls == 2
    assert len(await findings(stage)) == 1
    assert await stage.orders.undelivered() == ()


async def test_deliveries_at_once_are_bounded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_module, "TOGETHER_MAX", 3)
    await stage.add_account()
    for number in range(1, 11):
        await stage.place(number)
        await stage.report(number, Verdict.REJECTED)
    workflows = Workflows()
    workflows.gate = asyncio.Event()
    delivering = asyncio.create_task(Bridge(stage.orders, workflows).deliver_due())
    await eventually(lambda: workflows.together == 3)
    workflows.gate.set()
    await delivering
    assert workflows.together_most == 3
    assert sum(map(len, workflows.heard.values())) == 10


class MarksNothing:
    """A store of a process that dies before it can mark."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def mark_delivered(self, delivery_ids: object) -> None:
        raise Unavailable("gone")


def delivery(number: int, **changes: Any) -> Delivery:
    values: dict[str, Any] = {
        "order_id": "o",
        "revision": 0,
        "verdict": Verdict.PARTIALLY_FILLED,
        "filled_quantity": Decimal(number),
        "average_price": Decimal(100),
        "venue_order_id": "v",
    }
    report = OrderReport(**(values | changes))
    return Delivery(delivery_id=number, report=report, attempts=0)


def ids(deliveries: list[Delivery]) -> list[tuple[int, ...]]:
    return [tuple(sorted(bundle.delivery_ids)) for bundle in coalesce(deliveries)]


def test_coalescing_keeps_the_greatest_whatever_the_order() -> None:
    three = [delivery(1), delivery(2), delivery(3, verdict=Verdict.CANCELED)]
    for permuted in permutations(three):
        (bundle,) = coalesce(list(permuted))
        assert bundle.report == three[2].report
        assert sorted(bundle.delivery_ids) == [1, 2, 3]


def test_neither_of_two_that_know_different_things_is_left_out() -> None:
    higher_verdict = delivery(1, verdict=Verdict.CANCELED)
    greater_quantity = delivery(2, verdict=Verdict.ACCEPTED)
    assert ids([higher_verdict, greater_quantity]) == [(1,), (2,)]
    settles_both = delivery(3, verdict=Verdict.CANCELED)
    assert ids([higher_verdict, greater_quantity, settles_both]) == [(1, 2, 3)]


@pytest.mark.parametrize(
    ("knows_more", "knows_less"),
    [
        (delivery(1), delivery(1, average_price=None)),
        (delivery(1, reason="margin"), delivery(1)),
        (delivery(1), delivery(1, filled_quantity=None)),
    ],
)
def test_the_report_that_knows_more_is_kept(knows_more: Delivery, knows_less: Delivery) -> None:
    for pair in ([knows_more, knows_less], [knows_less, knows_more]):
        (bundle,) = coalesce(pair)
        assert bundle.report == knows_more.report


def test_revisions_are_told_apart_and_in_order() -> None:
    bundles = coalesce([delivery(1, revision=1), delivery(2), delivery(3, revision=1)])
    assert [(b.report.revision, b.delivery_ids) for b in bundles] == [(0, (2,)), (1, (1, 3))]


def test_equal_reports_are_told_once() -> None:
    assert ids([delivery(1), delivery(1)]) == [(1, 1)]


async def test_a_sink_that_cannot_reach_temporal_says_so(
    stage: Stage, free_port: Callable[[], int]
) -> None:
    await two_partial_fills(stage)
    sink = await bridge_module.connect_sink(
        f"127.0.0.1:{free_port()}", "default", PayloadKeys("k", {"k": b"0" * 32})
    )
    with pytest.raises(Unavailable):
        await Bridge(stage.orders, sink).deliver_due()
    assert len(await stage.orders.undelivered()) == 2
