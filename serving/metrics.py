"""What the worker tells Prometheus: its activities, counted as they end, and its venues' circuits.

Labels are the names of activities and how they ended, venues, networks and outcomes.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.distributions import Distribution
from venues.circuits import Circuits
from venues.connector import TellsBudget
from venues.started import Connectors


class ActivityMeter(Interceptor, Collector):
    """Counts what all workers of this process do."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._under_way: Counter[str] = Counter()
        self._ended: Counter[tuple[str, str]] = Counter()
        self._took: defaultdict[str, Distribution] = defaultdict(Distribution)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Stand before every activity."""
        return _Measured(next, self)

    async def measured(
        self, name: str, work: ActivityInboundInterceptor, given: ExecuteActivityInput
    ) -> Any:
        """Do the activity; count it as done or failed, whatever it raises."""
        began = self._clock()
        self._under_way[name] += 1
        how = "failed"
        try:
            answer = await work.execute_activity(given)
            how = "done"
            return answer
        finally:
            self._under_way[name] -= 1
            self._ended[name, how] += 1
            self._took[name].add(self._clock() - began)

    def collect(self) -> Iterable[Metric]:
        """Return everything as it is now."""
        under_way = GaugeMetricFamily(
            "perp_dex_activities_under_way", "Activities under way.", labels=("activity",)
        )
        for name, count in self._under_way.items():
            under_way.add_metric((name,), count)
        ended = CounterMetricFamily(
            "perp_dex_activities",
            "Activities by how they ended; what failed is tried again by its policy.",
            labels=("activity", "outcome"),
        )
        for labels, count in self._ended.items():
            ended.add_metric(labels, count)
        took = HistogramMetricFamily(
            "perp_dex_activity_seconds", "How long activities took.", labels=("activity",)
        )
        for name, distribution in self._took.items():
            took.add_metric((name,), distribution.up_to(), distribution.total)
        yield from (under_way, ended, took)


class VenueMeter(Collector):
    """Tells what became of commands, and where a circuit is open."""

    def __init__(self, circuits: Circuits) -> None:
        self._circuits = circuits

    def collect(self) -> Iterable[Metric]:
        """Return everything as it is now."""
        place = ("venue", "network")
        commands = CounterMetricFamily(
            "perp_dex_venue_commands",
            "Signed commands sent, by what became of them at first.",
            labels=(*place, "outcome"),
        )
        for (venue, network, outcome), count in self._circuits.outcomes.items():
            commands.add_metric((venue, network.value, outcome), count)
        is_open = GaugeMetricFamily(
            "perp_dex_venue_circuit_open",
            "Whether what raises exposure is refused for want of verdicts.",
            labels=place,
        )
        for (venue, network), opens_in_s in self._circuits.opens_in_s().items():
            is_open.add_metric((venue, network.value), float(opens_in_s is not None))
        refused = CounterMetricFamily(
            "perp_dex_venue_circuit_refusals",
            "Orders refused because a circuit was open.",
            labels=place,
        )
        for (venue, network), count in self._circuits.refused.items():
            refused.add_metric((venue, network.value), count)
        yield from (commands, is_open, refused)


class SessionMeter(Collector):
    """Tells how far our clock is from each venue's, and what is left of our budget there."""

    def __init__(self, connectors: Connectors) -> None:
        self._connectors = connectors

    def collect(self) -> Iterable[Metric]:
        """Return everything as it is now."""
        offset = GaugeMetricFamily(
            "perp_dex_venue_clock_offset_seconds",
            "How far our clock is before the venue's.",
            labels=("venue", "network"),
        )
        left = GaugeMetricFamily(
            "perp_dex_venue_budget_left",
            "What is left of what this process allows itself to ask of the venue.",
            labels=("venue", "network", "unit"),
        )
        for connector in self._connectors.started():
            place = (connector.venue, connector.network.value)
            clock = self._connectors.clock(connector.venue, connector.network)
            if clock is not None:
                offset.add_metric(place, clock.offset_s)
            if isinstance(connector, TellsBudget):
                budget = connector.budget_left()
                left.add_metric((*place, budget.unit), budget.left)
        yield from (offset, left)


class _Measured(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, meter: ActivityMeter) -> None:
        super().__init__(next)
        self._meter = meter

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        return await self._meter.measured(activity.info().activity_type, self.next, input)
