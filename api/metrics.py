"""What the API tells Prometheus: its requests, by route, counted as they end.

Labels are routes as templates, methods and status codes, all bounded: never a path as it was sent.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from domain.distributions import Distribution

#: Methods that are counted under their own name; the rest is whatever somebody made up.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER: Final = "other"


class RequestMeter(Collector):
    """Counts requests. `began` and `ended` belong together."""

    def __init__(self) -> None:
        self._under_way = 0
        self._answered: Counter[tuple[str, str, str]] = Counter()
        self._took: defaultdict[tuple[str, str], Distribution] = defaultdict(Distribution)

    def began(self) -> None:
        """Count a request as under way."""
        self._under_way += 1

    def ended(self, method: str, route: str | None, status: int | None, took_s: float) -> None:
        """Count how a request ended. `route` is its template, None for a path that has none;
        `status` is None where the client went before it was answered."""
        self._under_way -= 1
        method = method if method in _METHODS else _OTHER
        route = route or _OTHER
        self._answered[method, route, "none" if status is None else str(status)] += 1
        self._took[method, route].add(took_s)

    def collect(self) -> Iterable[Metric]:
        """Return everything as it is now."""
        yield GaugeMetricFamily(
            "perp_dex_api_requests_under_way", "Requests under way.", value=self._under_way
        )
        answered = CounterMetricFamily(
            "perp_dex_api_requests",
            "Requests by how they were answered.",
            labels=("method", "route", "status"),
        )
        for labels, count in self._answered.items():
            answered.add_metric(labels, count)
        yield answered
        took = HistogramMetricFamily(
            "perp_dex_api_request_seconds",
            "How long requests took, waiting for a verdict included.",
            labels=("method", "route"),
        )
        for key, distribution in self._took.items():
            took.add_metric(key, distribution.up_to(), distribution.total)
        yield took
