"""No fill is lost while a real Valkey fails in each way: into storage, and out at the socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from bus.connection import Bus
from bus.market_requests import MarketRequests
from bus.nudges import NudgePublisher
from domain.accounts import Network
from domain.errors import Unavailable
from domain.orders import Verdict
from storage.opening import Storage
from tests.bus.tls import make_certificates, tls_before
from tests.bus.valkey import ValkeyProcess, running_valkey
from tests.streaming.floor import Floor, open_floor
from tests.streaming.sockets import ask, hear, subscribed
from tests.streaming.stage import Stage, order_id
from tests.streaming.test_app import working
from tests.streaming.test_bridge import Workflows
from tests.streaming.test_ingest import filled_is, until
from tests.streaming.test_main import running

PASSWORD = "hunter2-of-the-test"
TROUBLES = ("flushed", "killed", "frozen", "memory full", "cut")


@pytest.fixture
async def floor(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Floor]:
    async with open_floor(stage) as made:
        monkeypatch.setenv("HYPERLIQUID_PAPER_URL", made.sim.url)
        yield made


def begin(valkey: ValkeyProcess, trouble: str) -> None:
    match trouble:
        case "flushed":
            valkey.command("FLUSHALL")
        case "killed":
            valkey.kill()
        case "frozen":
            valkey.freeze()
        case "memory full":
            valkey.command("CONFIG", "SET", "maxmemory", "1")
        case "cut":
            valkey.command("CLIENT", "KILL", "TYPE", "normal")


def end(valkey: ValkeyProcess, trouble: str) -> None:
    match trouble:
        case "killed":
            valkey.start()
        case "frozen":
            valkey.thaw()
        case "memory full":
            valkey.command("CONFIG", "SET", "maxmemory", "0")


async def is_filled(client: Any, number: int) -> None:
    """Wait until a socket says that an order is filled."""
    async with asyncio.timeout(20):
        while True:
            message = await hear(client, 20)
            if message["type"] != "update" or message["order"]["order_id"] != order_id(number):
                continue
            if message["order"]["status"] == "FILLED":
                return


async def a_book_comes(requests: MarketRequests) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                assert await requests.request_book("hyperliquid", Network.PAPER, "BTC-PERP", 1)
                return
            except Unavailable:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_fills_arrive_while_valkey_is(
    floor: Floor, stage: Stage, storage: Storage, trouble: str
) -> None:
    await floor.open_account()
    workflows = Workflows()
    with running_valkey("--maxmemory-policy", "noeviction") as valkey:
        async with working(storage, workflows, valkey) as (app, served):
            await until(lambda: app.board.of("acc-1").live)
            async with subscribed(served) as client:
                for number, step in enumerate(("before", "during", "after"), start=1):
                    if step == "during":
                        begin(valkey, trouble)
                    elif step == "after":
                        end(valkey, trouble)
                    await floor.send(number)
                    await floor.fill(number)
                    await until(filled_is(floor, number, "1"))
                    await is_filled(client, number)
                    await until(partial(workflows.heard.__getitem__, order_id(number)))
            assert len(await floor.fills_at_venue()) == 3
            await another_process_is_heard_and_answered(stage, valkey, workflows)


async def another_process_is_heard_and_answered(
    stage: Stage, valkey: ValkeyProcess, workflows: Workflows
) -> None:
    bus = Bus(valkey.url)
    requests = MarketRequests(bus, deadline_s=1)
    async with asyncio.timeout(20), NudgePublisher(bus) as publisher:
        await a_book_comes(requests)
        await stage.place(9)
        await stage.report(9, Verdict.REJECTED)
        while not workflows.heard[order_id(9)]:
            publisher.nudge("acc-1")
            await asyncio.sleep(0.02)
    await bus.close()


async def test_the_process_speaks_tls_with_a_password(
    stage: Stage, storage: Storage, tmp_path: Path
) -> None:
    certificates = make_certificates(tmp_path)
    with running_valkey(password=PASSWORD) as valkey:
        async with open_floor(stage) as floor, tls_before(valkey.port, certificates) as port:
            await floor.open_account()
            environment = {
                "REDIS_URL": f"rediss://:{PASSWORD}@127.0.0.1:{port}/0",
                "REDIS_CA_FILE": str(certificates.authority),
                "HYPERLIQUID_PAPER_URL": floor.sim.url,
            }
            async with running(tmp_path, **environment) as run:
                url = await run.endpoint()
                bus = Bus(
                    environment["REDIS_URL"],
                    ca_file=certificates.authority,
                    group=await storage.installation(),
                )
                requests = MarketRequests(bus, deadline_s=2)
                await a_book_comes(requests)
                valkey.kill()
                await a_fill_reaches_the_socket(floor, url, tmp_path, 1)
                valkey.start()
                await a_fill_reaches_the_socket(floor, url, tmp_path, 2)
                await a_book_comes(requests)
                await bus.close()
            log = run.log.read_text()
    assert PASSWORD not in log
    assert "valkey answers" in log


async def test_a_wrong_password_costs_nothing_but_what_valkey_gives(
    stage: Stage, tmp_path: Path
) -> None:
    with running_valkey(password=PASSWORD) as valkey:
        async with open_floor(stage) as floor:
            await floor.open_account()
            environment = {
                "REDIS_URL": f"redis://:not-{PASSWORD}@127.0.0.1:{valkey.port}/0",
                "HYPERLIQUID_PAPER_URL": floor.sim.url,
            }
            async with running(tmp_path, **environment) as run:
                url = await run.endpoint()
                await a_fill_reaches_the_socket(floor, url, tmp_path, 1)
            log = run.log.read_text()
    assert "correct them in REDIS_URL" in log
    assert PASSWORD not in log


async def a_fill_reaches_the_socket(floor: Floor, url: str, home: Path, number: int) -> None:
    token = (home / "api-token").read_text().strip()
    async with connect(f"{url}/ws/v1/orders") as client:
        assert (await hear(client))["type"] == "hello"
        assert (await ask(client, op="auth", token=token))["type"] == "ack"
        assert (await ask(client, op="subscribe"))["type"] == "ack"
        await floor.send(number)
        await floor.fill(number)
        await is_filled(client, number)
        await until(filled_is(floor, number, "1"))


async def test_nudges_of_this_process_wake_others_and_not_itself(
    floor: Floor,
    stage: Stage,
    storage: Storage,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    await floor.open_account()
    first, second = Workflows(), Workflows()
    with running_valkey() as valkey:
        async with working(storage, first, valkey) as (app, _):
            await until(lambda: app.board.of("acc-1").live)
            async with working(storage, second, valkey) as (other, _):
                await until(lambda: other.board.of("acc-1").live)
                heard: list[str | None] = []
                touch = other.positions.touch

                def touched(account_id: str | None) -> None:
                    heard.append(account_id)
                    touch(account_id)

                monkeypatch.setattr(other.positions, "touch", touched)
                app.storage_changed("acc-1")
                await until(lambda: "acc-1" in heard)
