"""Tells workflows what venues reported: the only file of this room that knows them.

Reports wait in storage until a workflow has accepted their signal, so that nothing is lost when
either side dies. Of the reports of one revision only the newest cumulative one is told, at most
five a second per order; one that ends the order goes at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Protocol

from domain.conditions import Crossing
from domain.errors import Unavailable
from domain.orders import OrderReport
from domain.ports import Delivery, OrderStore
from domain.timeline import EventKind, TimelineEvent
from workflows.client import Delivered, OrderWorkflows, connect
from workflows.condition_client import ConditionWorkflows
from workflows.payloads import KeySource

REDELIVER_S: Final = 10.0
INTERVAL_S: Final = 0.2
TOGETHER_MAX: Final = 16
PAGE: Final = 500
PAGE_MAX: Final = 16_000
_PAUSE_FIRST_S: Final = 0.5
_PAUSE_MAX_S: Final = 10.0
_REMEMBERED_S: Final = 60.0

_log = logging.getLogger(__name__)


class ReportSink(Protocol):
    """Where reports go: `workflows.client.OrderWorkflows`."""

    async def report(self, order_id: str, report: OrderReport) -> Delivered:
        """Tell an order's workflow of a report. Raises `Unavailable`."""
        ...


async def connect_sink(address: str, namespace: str, keys: KeySource) -> WorkflowSink:
    """Return the way to workflows; it connects when first used, and again by itself."""
    client = await connect(
        address,
        namespace,
        keys,
        refused=lambda reason: _log.error("a payload was refused: %s", reason),
    )
    return WorkflowSink(OrderWorkflows(client), ConditionWorkflows(client))


class WorkflowSink:
    """The façade of workflows, also while Temporal was never reached yet."""

    def __init__(self, workflows: OrderWorkflows, conditions: ConditionWorkflows) -> None:
        self._workflows = workflows
        self._conditions = conditions

    async def report(self, order_id: str, report: OrderReport) -> Delivered:
        """Tell an order's workflow of a report. Raises `Unavailable`."""
        try:
            return await self._workflows.report(order_id, report)
        except RuntimeError as error:
            # What the SDK raises when its first connection cannot be made.
            raise Unavailable(f"Temporal cannot be reached: {error}") from None

    async def crossed(self, condition_id: str, crossing: Crossing) -> bool:
        """Tell a guard of a crossing; False: nobody guards this. Raises `Unavailable`."""
        return await self._conditions.crossed(condition_id, crossing)

    async def moved(self, condition_id: str) -> bool:
        """Tell a guard that its position changed. As `crossed`."""
        return await self._conditions.moved(condition_id)


@dataclass(frozen=True, slots=True)
class Bundle:
    """One report to tell, and the deliveries that it settles."""

    report: OrderReport
    delivery_ids: tuple[int, ...]


class Bridge:
    """Delivers what waits in storage."""

    def __init__(
        self,
        store: OrderStore,
        sink: ReportSink,
        *,
        redeliver_s: float = REDELIVER_S,
        interval_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._sink = sink
        self._redeliver_s = redeliver_s
        self._interval_s = interval_s
        self._clock = clock
        self._now = now
        self._woken = asyncio.Event()
        self._not_before: dict[str, float] = {}
        self._missing_until: dict[str, float] = {}
        self._ended: set[str] = set()
        self._page = PAGE
        self._away = False
        #: Deliveries that waited when storage was read last, at most a page, less those made since.
        self.waiting = 0
        #: Deliveries marked as made, and the signals that it took.
        self.delivered = 0
        self.signals = 0

    def wake(self, ended_order_id: str | None = None) -> None:
        """Look at storage now; what is waiting of an order that ended goes at once."""
        if ended_order_id is not None:
            self._ended.add(ended_order_id)
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        failures = 0
        while True:
            self._woken.clear()
            try:
                pause_s = await self.deliver_due()
            except Unavailable as error:
                failures += 1
                pause_s = min(_PAUSE_FIRST_S * 2 ** (failures - 1), _PAUSE_MAX_S)
                self._note(away=True, reason=str(error))
                # Waking must not make this a busy loop.
                await asyncio.sleep(pause_s)
                continue
            failures = 0
            self._note(away=False)
            try:
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def deliver_due(self) -> float:
        """Deliver what may be delivered now; return in how many seconds to look again.

        Raises:
            Unavailable: storage or Temporal does not answer; what was not marked comes again.
        """
        ended = set(self._ended)
        waiting = await self._store.undelivered(limit=self._page)
        self.waiting = len(waiting)
        self._ended -= ended - {delivery.report.order_id for delivery in waiting}
        by_order: dict[str, list[Delivery]] = defaultdict(list)
        for delivery in waiting:
            by_order[delivery.report.order_id].append(delivery)
        now = self._clock()
        self._forget_old(now)
        due: list[list[Bundle]] = []
        pause_s = self._redeliver_s
        for order_id, deliveries in by_order.items():
            bundles = coalesce(deliveries)
            wait_s = self._wait_s(order_id, bundles, now)
            if wait_s <= 0:
                due.append(bundles)
            else:
                pause_s = min(pause_s, wait_s)
        # A page full of what has to wait must not hide what came after it.
        full = len(waiting) >= self._page
        self._page = min(self._page * 2, PAGE_MAX) if full and not due else PAGE
        await self._deliver_all(due)
        return 0.0 if full and (due or self._page > len(waiting)) else pause_s

    def _wait_s(self, order_id: str, bundles: Iterable[Bundle], now: float) -> float:
        missing_until = self._missing_until.get(order_id, now)
        if missing_until > now:
            return missing_until - now
        if order_id in self._ended or any(b.report.verdict.is_terminal for b in bundles):
            return 0.0
        return self._not_before.get(order_id, now) - now

    async def _deliver_all(self, due: Sequence[list[Bundle]]) -> None:
        places = asyncio.Semaphore(TOGETHER_MAX)
        failed: list[Unavailable] = []

        async def one(bundles: list[Bundle]) -> None:
            async with places:
                # Once Temporal does not answer, the others need not find out one by one.
                if failed:
                    return
                try:
                    await self._deliver(bundles)
                except Unavailable as error:
                    failed.append(error)

        async with asyncio.TaskGroup() as tasks:
            for bundles in due:
                tasks.create_task(one(bundles))
        if failed:
            raise failed[0]

    async def _deliver(self, bundles: list[Bundle]) -> None:
        for bundle in bundles:
            order_id = bundle.report.order_id
            answer = await self._sink.report(order_id, bundle.report)
            self.signals += 1
            if answer is Delivered.MISSING:
                # The orphan sweep starts a workflow for it; until then the report waits.
                self._missing_until[order_id] = self._clock() + self._redeliver_s
                return
            if answer is Delivered.CLOSED:
                await self._look_at_closed(bundle)
            await self._store.mark_delivered(bundle.delivery_ids)
            self.delivered += len(bundle.delivery_ids)
            self.waiting -= len(bundle.delivery_ids)
            self._not_before[order_id] = self._clock() + self._interval_s

    async def _look_at_closed(self, bundle: Bundle) -> None:
        """Record a finding if the order changed after its workflow had closed."""
        order_id = bundle.report.order_id
        timeline = await self._store.timeline(order_id)
        finding = _finding(timeline, bundle, self._now())
        if finding is not None:
            _log.error("an order changed after its workflow closed", extra={"order_id": order_id})
            await self._store.record(finding)

    def _forget_old(self, now: float) -> None:
        for kept in (self._not_before, self._missing_until):
            for order_id in [o for o, at in kept.items() if at < now - _REMEMBERED_S]:
                del kept[order_id]

    def _note(self, *, away: bool, reason: str = "") -> None:
        if away != self._away:
            self._away = away
            if away:
                _log.warning("reports cannot be delivered to workflows: %s", reason)
            else:
                _log.info("reports are delivered to workflows again")


def coalesce(deliveries: Sequence[Delivery]) -> list[Bundle]:
    """Return what to tell of one order's deliveries: per revision, what no other one surpasses.

    Reports are cumulative, so a report is surpassed by one of the same revision that knows at
    least as high a verdict and at least as great a filled quantity.
    """
    bundles: list[Bundle] = []
    for revision in sorted({d.report.revision for d in deliveries}):
        kept: list[Bundle] = []
        for delivery in deliveries:
            if delivery.report.revision == revision:
                kept = _with(kept, delivery)
        bundles.extend(kept)
    return bundles


def _with(kept: list[Bundle], delivery: Delivery) -> list[Bundle]:
    report = delivery.report
    ids: tuple[int, ...] = (delivery.delivery_id,)
    rest: list[Bundle] = []
    for bundle in kept:
        if _surpasses(report, bundle.report):
            ids = (*bundle.delivery_ids, *ids)
        else:
            rest.append(bundle)
    for index, bundle in enumerate(rest):
        if _surpasses(bundle.report, report):
            rest[index] = Bundle(bundle.report, (*bundle.delivery_ids, *ids))
            return rest
    return [*rest, Bundle(report, ids)]


def _surpasses(newer: OrderReport, older: OrderReport) -> bool:
    filled = newer.filled_quantity or Decimal(0)
    filled_before = older.filled_quantity or Decimal(0)
    knows_price = newer.average_price is not None or older.average_price is None
    return (
        newer.verdict.rank >= older.verdict.rank
        and (filled > filled_before or (filled == filled_before and knows_price))
        and (newer.venue_order_id is not None or older.venue_order_id is None)
        and (newer.verdict is not older.verdict or newer.reason is not None or older.reason is None)
    )


def _finding(
    timeline: Sequence[TimelineEvent], bundle: Bundle, now: datetime
) -> TimelineEvent | None:
    closings = [i for i, event in enumerate(timeline) if event.kind is EventKind.CLOSED]
    if not closings:
        return None
    later = timeline[closings[-1] + 1 :]
    detail = {"deliveries": ",".join(map(str, bundle.delivery_ids)), "source": bundle.report.source}
    changed = any(event.kind in (EventKind.REPORT, EventKind.FILL) for event in later)
    told = any(event.kind is EventKind.FINDING and event.detail == detail for event in later)
    if not changed or told:
        return None
    return TimelineEvent(
        order_id=bundle.report.order_id,
        kind=EventKind.FINDING,
        text=f"the venue reported {bundle.report.verdict} after the order's workflow had closed",
        at=now,
        detail=detail,
    )
