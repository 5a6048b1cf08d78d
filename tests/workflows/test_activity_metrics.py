"""What the worker tells Prometheus of its activities."""

from __future__ import annotations

from domain.orders import OrderStatus
from process.metrics import registry_of
from serving.metrics import ActivityMeter
from serving.settings import Parts
from tests.activities.floor import AwayLedger, an_order
from tests.workflows.stage import Stage


async def test_activities_are_counted_as_they_end(stage: Stage) -> None:
    meter = ActivityMeter()
    registry = registry_of([meter])

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"perp_dex_{name}", labels)

    await stage.stop_worker()
    # An activity fails that finds no ledger; the workflow has it done again.
    away = AwayLedger(stage.floor.storage.ledger, away=3)
    await stage.start_worker(Parts(ledger=lambda _: away, meter=meter))
    order = await stage.place(an_order())

    assert order.status is OrderStatus.ACCEPTED
    done = value("activities_total", activity="place_order", outcome="done")
    failed = value("activities_total", activity="place_order", outcome="failed")
    assert failed is not None and failed >= 1
    assert value("activity_seconds_count", activity="place_order") == failed + (done or 0)
    assert value("activities_under_way", activity="place_order") == 0
