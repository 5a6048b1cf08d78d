"""The process as the supervisor runs it: real Valkey, real database, real simulator."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import connect

from bus.connection import Bus
from bus.market_requests import MarketRequests
from bus.nudges import NudgeKind, NudgePublisher
from domain.accounts import Network
from domain.errors import InvalidInput
from domain.orders import OrderStatus
from storage.opening import Storage
from streaming import app as app_module
from streaming.app import keep_running
from streaming.main import _endpoint
from streaming.settings import StreamingSettings
from tests.bus.valkey import ValkeyProcess, running_valkey
from tests.streaming.floor import Floor, open_floor
from tests.streaming.sockets import ask, hear
from tests.streaming.stage import Stage, order_id
from tests.streaming.test_ingest import filled_is, until

ROOT = Path(__file__).parents[2]


@dataclass
class Running:
    process: asyncio.subprocess.Process
    home: Path
    log: Path

    async def endpoint(self) -> str:
        beat = self.home / "heartbeat.json"

        def is_ready() -> bool:
            assert self.process.returncode is None, self.log.read_text()
            return beat.is_file() and json.loads(beat.read_text())["state"] == "ready"

        await until(is_ready, 60)
        found = json.loads(beat.read_text())
        assert found["pid"] == self.process.pid
        return str(found["endpoint"])


@asynccontextmanager
async def running(home: Path, **environment: str) -> AsyncIterator[Running]:
    log = home / "streaming.log"
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COV")}
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "streaming.main",
            cwd=ROOT,
            stderr=stderr,
            env={
                **base,
                **coverage,
                "PERP_DEX_HOME": str(home),
                "PERP_DEX_HEARTBEAT_FILE": str(home / "heartbeat.json"),
                "STREAMING_PORT": "0",
                "METRICS_PORT": "0",
                "TEMPORAL_ADDRESS": "127.0.0.1:1",
                "REDIS_URL": "redis://127.0.0.1:1/0",
                **environment,
            },
        )
    try:
        yield Running(process=process, home=home, log=log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_whole_process(stage: Stage, storage: Storage, tmp_path: Path) -> None:
    with running_valkey() as valkey:
        async with open_floor(stage) as floor:
            await floor.open_account()
            environment = {"REDIS_URL": valkey.url, "HYPERLIQUID_PAPER_URL": floor.sim.url}
            async with running(tmp_path, **environment) as run:
                url = await run.endpoint()
                await a_client_sees_orders_live(stage, floor, url, tmp_path)
                await the_bus_answers_and_nudges(valkey, await storage.installation())
                await metrics_tell_of_it_and_of_nobody(run)
                run.process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(run.process.wait(), 15) == 0, run.log.read_text()
            log = run.log.read_text()
    token = (tmp_path / "api-token").read_text().strip()
    assert token not in log
    lines = [json.loads(line) for line in log.splitlines()]
    events = [line["event"] for line in lines]
    assert events.index("streaming ready") < events.index("streaming drains")
    # Temporal is away in this test: said once, and reports wait.
    assert sum("reports cannot be delivered" in event for event in events) == 1
    assert len(await stage.orders.undelivered()) > 0
    assert not any(line["level"] == "error" for line in lines), log
    assert not (tmp_path / "heartbeat.json").exists()


async def a_client_sees_orders_live(stage: Stage, floor: Floor, url: str, home: Path) -> None:
    token = (home / "api-token").read_text().strip()
    async with connect(f"{url}/ws/v1/orders") as client:
        assert (await hear(client))["type"] == "hello"
        assert (await ask(client, op="auth", token=token))["type"] == "ack"
        assert (await ask(client, op="subscribe"))["accounts"] == ["acc-1"]
        assert (await hear(client))["type"] == "snapshot"
        await floor.send(1)
        await floor.fill(1)
        async with asyncio.timeout(20):
            while True:
                message = await hear(client, 20)
                if message["type"] == "update" and message["order"]["status"] == "FILLED":
                    break
        assert message["order"]["order_id"] == order_id(1)
        await until(filled_is(floor, 1, "1"))


async def metrics_tell_of_it_and_of_nobody(run: Running) -> None:
    lines = [json.loads(line) for line in run.log.read_text().splitlines()]
    [url] = [line["metrics"] for line in lines if line["event"] == "streaming ready"]
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        text = await answer.text()
    assert 'perp_dex_stream_deliveries_total{channel="orders"}' in text
    assert "perp_dex_valkey_up 1.0" in text
    assert "process_resident_memory_bytes" in text
    for named in ("acc-1", "BTC", order_id(1)):
        assert named not in text


async def the_bus_answers_and_nudges(valkey: ValkeyProcess, group: str) -> None:
    bus = Bus(valkey.url, group=group)
    async with NudgePublisher(bus) as publisher:
        publisher.nudge("acc-1")
        publisher.nudge("acc-1", NudgeKind.ACCOUNT)
        requests = MarketRequests(bus, deadline_s=10)
        book = await requests.request_book("hyperliquid", Network.PAPER, "BTC-PERP", 5)
        assert len(book.bids) == 5
        with pytest.raises(InvalidInput):
            await requests.request_book("hyperliquid", Network.PAPER, "NOTHING-PERP", 5)
        with pytest.raises(InvalidInput):
            await requests.request_book("nowhere", Network.PAPER, "BTC-PERP", 5)
    await bus.close()


async def test_valkey_killed_costs_books_and_nothing_else(
    stage: Stage, storage: Storage, tmp_path: Path
) -> None:
    with running_valkey() as valkey:
        async with open_floor(stage) as floor:
            await floor.open_account()
            environment = {"REDIS_URL": valkey.url, "HYPERLIQUID_PAPER_URL": floor.sim.url}
            async with running(tmp_path, **environment) as run:
                await run.endpoint()
                valkey.kill()
                await floor.send(1)
                await floor.fill(1)
                await until(filled_is(floor, 1, "1"))
                valkey.start()
                bus = Bus(valkey.url, group=await storage.installation())
                requests = MarketRequests(bus, deadline_s=20)
                assert await requests.request_book("hyperliquid", Network.PAPER, "BTC-PERP", 1)
                await bus.close()
            log = run.log.read_text()
    assert 1 <= log.count("valkey does not answer") <= 3, "once per change of state"


async def test_killed_and_started_again_it_catches_up(stage: Stage, tmp_path: Path) -> None:
    async with open_floor(stage) as floor:
        await floor.open_account()
        await floor.send(1)
        async with running(tmp_path, HYPERLIQUID_PAPER_URL=floor.sim.url) as run:
            await run.endpoint()
            await floor.fill(1, "0.5")
            await until(filled_is(floor, 1, "0.5"))
            run.process.kill()
            await run.process.wait()
        await floor.fill(1)
        (tmp_path / "heartbeat.json").unlink()
        async with running(tmp_path, HYPERLIQUID_PAPER_URL=floor.sim.url) as run:
            await run.endpoint()
            await until(filled_is(floor, 1, "1"))
        assert (await stage.order(1)).status is OrderStatus.FILLED


async def test_without_a_schema_it_says_what_to_run(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        assert await asyncio.wait_for(run.process.wait(), 30) == 2
    line = json.loads(run.log.read_text().splitlines()[-1])
    assert "db upgrade" in line["error"]


async def test_a_taken_port_is_said(storage: Storage, tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    async with running(tmp_path, STREAMING_PORT=str(port)) as run:
        assert await asyncio.wait_for(run.process.wait(), 30) == 2
    taken.close()
    assert "address already in use" in run.log.read_text()


async def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    async with running(tmp_path, STREAMING_PORT="high") as run:
        assert await asyncio.wait_for(run.process.wait(), 30) == 2
    assert "STREAMING_PORT" in run.log.read_text()


def test_settings_name_hosts_and_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMING_HOST", "10.0.0.7")
    monkeypatch.setenv("STREAMING_ALLOWED_HOSTS", "Desk.example, , other")
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://desk.example")
    monkeypatch.setenv("STREAMING_SESSIONS_PER_PRINCIPAL_MAX", "7")
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://u:hunter2@h/d")
    settings = StreamingSettings.load()
    assert settings.hosts == {"localhost", "127.0.0.1", "::1", "10.0.0.7", "desk.example", "other"}
    assert settings.origins == {"https://desk.example"}
    assert settings.limits.sessions_per_principal_max == 7
    assert settings.limits.sessions_max == 12_000
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("host", "endpoint"),
    [
        ("127.0.0.1", "ws://127.0.0.1:7"),
        ("0.0.0.0", "ws://127.0.0.1:7"),
        ("::", "ws://[::1]:7"),
        ("::1", "ws://[::1]:7"),
    ],
)
def test_the_endpoint_can_be_reached(host: str, endpoint: str) -> None:
    assert _endpoint(host, 7) == endpoint


async def test_a_part_that_fails_is_started_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app_module, "RESTART_FIRST_S", 0.001)
    runs: list[int] = []

    async def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise ZeroDivisionError("a defect")
        if len(runs) == 3:
            await asyncio.Event().wait()

    task = asyncio.create_task(keep_running("part", work))
    await until(lambda: len(runs) == 3)
    task.cancel()
    await asyncio.wait([task])
    assert "a part failed" in caplog.text
    assert "a part ended by itself" in caplog.text
