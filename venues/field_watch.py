"""Noticing while we trade that a venue's payloads have changed: a few of them, looked at later.

What is kept by the tap is compared in idle moments, a few at a time; differences are counted for
Prometheus and each is logged once. Labels are the channels that we list, never a field's name.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from venues import wire_tap
from venues.shapes import Shape, differences, shapes_of
from venues.wire_tap import Kept, Tap

LOOK_EVERY_S: Final = 5.0
#: So many payloads are compared in one go: each may take a millisecond.
LOOKED_AT_ONCE: Final = 4
#: So many differences are logged in the life of a process; all are counted.
SAID_MAX: Final = 200

_log = logging.getLogger(__name__)


class FieldWatch(Collector):
    """Looks at payloads that the tap kept, and counts what differs."""

    def __init__(self, venues: Iterable[str], *, one_in: int = wire_tap.ONE_IN) -> None:
        self._shapes: dict[Any, tuple[str, Shape]] = {
            shape.kind: (venue, shape) for venue in venues for shape in shapes_of(venue) or ()
        }
        self._tap = Tap(self._shapes, one_in=one_in)
        self._looked_at: Counter[str] = Counter()
        self._differ: Counter[tuple[str, str, str]] = Counter()
        self._said: set[tuple[str, str, str]] = set()

    def install(self) -> None:
        """Have this process's payloads pass by from now on."""
        wire_tap.install(self._tap)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            for number, kept in enumerate(self._tap.take(), start=1):
                self.look(kept)
                if number % LOOKED_AT_ONCE == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self, kept: Kept) -> None:
        """Compare one payload with what we read of it."""
        venue, shape = self._shapes[kept.kind]
        self._looked_at[venue] += 1
        try:
            payload = msgspec.json.decode(kept.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._count(venue, shape, "unreadable", "not JSON")
            return
        found = differences(payload, shape)
        for name in found.unknown:
            self._count(venue, shape, "unknown", name)
        for name in found.vanished:
            self._count(venue, shape, "vanished", name)

    def collect(self) -> Iterable[Metric]:
        """Return everything as it is now."""
        looked_at = CounterMetricFamily(
            "perp_dex_venue_payloads_compared",
            "Payloads, a few of many, that were held against what we read.",
            labels=("venue",),
        )
        for venue, count in self._looked_at.items():
            looked_at.add_metric((venue,), count)
        differ = CounterMetricFamily(
            "perp_dex_venue_field_differences",
            "Fields in those that we do not know, or need and miss.",
            labels=("venue", "channel", "difference"),
        )
        for labels, count in self._differ.items():
            differ.add_metric(labels, count)
        yield from (looked_at, differ)

    def _count(self, venue: str, shape: Shape, difference: str, path: str) -> None:
        self._differ[venue, shape.channel, difference] += 1
        said = (shape.channel, difference, path)
        if said in self._said or len(self._said) >= SAID_MAX:
            return
        self._said.add(said)
        _log.warning(
            "a payload of %s differs from what we read: %s %s in %s",
            venue,
            difference,
            path,
            shape.channel,
        )
