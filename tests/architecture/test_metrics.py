"""Every metric that a process exposes is explained in docs/metrics.md, and nothing else is."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from prometheus_client.registry import CollectorRegistry

from api.metrics import RequestMeter
from bus.connection import Bus
from process.metrics import loop_delays, loop_tasks, registry_of
from serving.dead_man import DeadManMeter
from serving.metrics import ActivityMeter, SessionMeter, VenueMeter
from streaming.app import StreamingApp, StreamingParts
from streaming.metrics import StreamingMetrics
from tests.architecture.tree import ROOT
from venues import registry as venue_registry
from venues.circuits import Circuits
from venues.field_watch import FieldWatch
from venues.started import Connectors

ROW = re.compile(r"^\| `(perp_dex_[a-z_]+)` \| (\w+) \| ([a-z_, –]+) \| \S.* \|$", re.M)
Row = tuple[str, str, str]


def idle_app() -> StreamingApp:
    """Return a streaming app that nobody starts; it needs nothing for that."""
    nothing: Any = None
    return StreamingApp(
        StreamingParts(
            orders=nothing,
            accounts=nothing,
            positions=nothing,
            load=venue_registry.load,
            sink=nothing,
            conditions=nothing,
            crossings=nothing,
            bus=Bus("redis://127.0.0.1:1/0"),
            authenticator=nothing,
            hosts=frozenset(),
        )
    )


def exposed(registry: CollectorRegistry) -> set[Row]:
    found = set()
    for family in registry.collect():
        if not family.name.startswith("perp_dex_"):
            continue
        # Families without a sample yet have their labels all the same.
        labels: tuple[str, ...] = getattr(family, "_labelnames", ())
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found.add((name, family.type, ", ".join(labels) or "–"))
    return found


def test_the_page_lists_exactly_what_is_exposed() -> None:
    registry = registry_of(
        [
            RequestMeter(),
            ActivityMeter(),
            VenueMeter(Circuits()),
            SessionMeter(Connectors(frozenset())),
            StreamingMetrics(idle_app()),
            FieldWatch(()),
            DeadManMeter(),
        ]
    )
    loop_delays(registry)
    with asyncio.Runner() as runner:
        loop_tasks(registry, runner.get_loop())
    rows: list[Row] = ROW.findall((ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"))
    assert len(rows) == len(set(rows))
    assert set(rows) == exposed(registry)


def test_names_carry_their_units_and_no_label_can_grow() -> None:
    registry = registry_of(
        [
            RequestMeter(),
            ActivityMeter(),
            VenueMeter(Circuits()),
            SessionMeter(Connectors(frozenset())),
            StreamingMetrics(idle_app()),
            FieldWatch(()),
            DeadManMeter(),
        ]
    )
    for name, kind, labels in exposed(registry):
        assert kind != "histogram" or name.endswith("_seconds"), name
        assert not {"account", "account_id", "symbol", "order_id"} & set(labels.split(", ")), name
