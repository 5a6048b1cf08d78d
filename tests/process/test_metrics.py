"""The port for Prometheus, over real sockets."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

import aiohttp
import pytest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from process.metrics import LOOP_LOOK_S, serving_metrics


class Seven(Collector):
    """A part that has counted to seven."""

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily("perp_dex_seven", "Seven.", value=7)


async def scrape(url: str) -> dict[str, Metric]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        text = await answer.text()
    return {family.name: family for family in text_string_to_metric_families(text)}


async def test_what_the_collectors_say_and_what_every_process_has() -> None:
    async with serving_metrics([Seven()], "127.0.0.1", 0) as url:
        found = await scrape(url)
        async with aiohttp.ClientSession() as session:
            async with session.get(url.removesuffix("/metrics")) as answer:
                assert answer.status == 404
            async with session.post(url) as answer:
                assert answer.status == 405
    assert [sample.value for sample in found["perp_dex_seven"].samples] == [7]
    for name in ("process_resident_memory_bytes", "python_gc_collections", "python_info"):
        assert found[name].samples, name
    with pytest.raises(aiohttp.ClientConnectionError):
        await scrape(url)


async def test_one_name_can_be_asked_for() -> None:
    async with serving_metrics([Seven()], "127.0.0.1", 0) as url:
        assert set(await scrape(f"{url}?name[]=perp_dex_seven_total")) == {"perp_dex_seven"}


async def test_a_taken_port_costs_the_address_and_not_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    async with serving_metrics([Seven()], "127.0.0.1", 0) as first:
        port = int(first.rsplit(":", 1)[1].partition("/")[0])
        async with serving_metrics([], "127.0.0.1", port) as second:
            assert second != first
            assert "perp_dex_seven" in await scrape(first)
            assert "perp_dex_seven" not in await scrape(second)
    assert "is taken" in caplog.text


async def test_an_address_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(OSError, match=r"192\.0\.2\.1"):
        async with serving_metrics([], "192.0.2.1", 0):
            pass


async def test_tasks_that_wait_are_counted() -> None:
    async with serving_metrics([], "127.0.0.1", 0) as url:

        async def tasks() -> float:
            [sample] = (await scrape(url))["perp_dex_event_loop_tasks"].samples
            return sample.value

        before = await tasks()
        waiting = [asyncio.create_task(asyncio.Event().wait()) for _ in range(100)]
        assert await tasks() >= before + 90
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert await tasks() < before + 90


async def test_a_loop_that_is_held_up_shows() -> None:
    async with serving_metrics([], "127.0.0.1", 0) as url:

        async def delays() -> dict[str, float]:
            family = (await scrape(url))["perp_dex_event_loop_delay_seconds"]
            return {sample.labels.get("le", sample.name): sample.value for sample in family.samples}

        # Long enough that the loop's own look falls into it.
        time.sleep(LOOP_LOOK_S + 0.2)
        async with asyncio.timeout(10):
            while (seen := await delays())["+Inf"] == 0:
                await asyncio.sleep(0.02)
        assert seen["+Inf"] > seen["0.1"]
