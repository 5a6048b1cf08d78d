"""`python -m venues.simulation`: a process that says when it is ready and can be killed."""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.venues.hyperliquid.simulator_client import SimulatorClient
from venues import registry
from venues.simulation.__main__ import SimulatorSettings, main, serve
from venues.simulation.venue import NoSimulator, load_simulator


@asynccontextmanager
async def simulator(home: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str]]:
    """Run the process; yield it and its two addresses."""
    beat = home / "beat"
    beat.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "SIM_PORT": "0",
        "SIM_CONTROL_PORT": "0",
        "SIM_HOME": str(home / "sim"),
        "LOG_FORMAT": "json",
        "PERP_DEX_HEARTBEAT_FILE": str(beat),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "venues.simulation",
        "hyperliquid",
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            words = json.loads(await process.stderr.readline())["event"].split()
            while True:
                try:
                    said = json.loads(beat.read_text())
                except (OSError, ValueError):
                    said = {"state": ""}
                if said["state"] == "ready":
                    break
                await asyncio.sleep(0.02)
        assert said["endpoint"] == words[4].rstrip(",")
        yield process, said["endpoint"], words[6]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_process_goes_on_from_its_log(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:

        async def ask(method: str, url: str, body: Any = None) -> Any:
            async with session.request(method, url, json=body) as response:
                assert response.status == 200
                return await response.json()

        async with simulator(tmp_path) as (process, url, control):
            made = await ask("POST", control + "/accounts", {"balance": "5"})
            assert made["endpoint"] == url
            before = await ask("GET", control + "/ledger")
            process.kill()
            await process.wait()
        async with simulator(tmp_path) as (process, url, control):
            assert await ask("GET", control + "/ledger") == before
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(15):
                assert await process.wait() == 0


async def test_it_serves_until_it_is_asked_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat = tmp_path / "beat"
    monkeypatch.setenv("PERP_DEX_HEARTBEAT_FILE", str(beat))
    settings = SimulatorSettings.load(sim_port=0, sim_control_port=0, sim_commit_delay_ms=5)
    serving = asyncio.create_task(serve("hyperliquid", settings))
    async with asyncio.timeout(20):
        while not beat.exists() or json.loads(beat.read_text())["state"] != "ready":
            await asyncio.sleep(0.01)
        endpoint = json.loads(beat.read_text())["endpoint"]
        async with (
            aiohttp.ClientSession() as session,
            session.post(endpoint + "/info", json={"type": "meta"}) as response,
        ):
            assert response.status == 200
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
    assert not beat.exists()


@pytest.mark.parametrize("arguments", [[], ["nasdaq"], ["hyperliquid", "now"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    venues = "{" + "|".join(registry.names()) + "}"
    assert f"usage: python -m venues.simulation {venues}" in capsys.readouterr().err


def test_a_wrong_setting_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIM_PORT", "many")
    assert main(["hyperliquid"]) == 2
    assert "SIM_PORT" in capsys.readouterr().err


def test_a_venue_without_a_simulator() -> None:
    with pytest.raises(NoSimulator, match="nasdaq"):
        load_simulator("nasdaq")


async def test_the_network_is_one_of_two() -> None:
    from venues.simulation.server import running_simulator

    with pytest.raises(ValueError, match="testnet or mainnet"):
        async with running_simulator(environment={"SIM_HYPERLIQUID_NETWORK": "moon"}):
            pass


async def test_a_process_whose_log_cannot_be_written_ends(tmp_path: Path) -> None:
    """A full disk: nobody is answered with what is not kept, and the supervisor gets its turn."""
    limit = (1 << 14, 1 << 14)
    async with aiohttp.ClientSession() as session, simulator(tmp_path) as (process, _, control):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limit)
        answered = 200
        async with asyncio.timeout(20):
            while answered == 200:
                try:
                    async with session.post(control + "/accounts", json={}) as response:
                        answered = response.status
                except aiohttp.ClientError:
                    break
            assert await process.wait() == 1
    content = (tmp_path / "sim" / "exchange.wal").read_bytes()
    assert len(content) <= limit[0]


async def test_a_second_process_on_the_same_log_is_refused(tmp_path: Path) -> None:
    async with simulator(tmp_path):
        environment = {**os.environ, "SIM_PORT": "0", "SIM_HOME": str(tmp_path / "sim")}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "venues.simulation",
            "hyperliquid",
            env=environment,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(20):
            _, text = await process.communicate()
        assert process.returncode == 2
        assert b"SIM_HOME" in text


async def test_what_was_answered_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    """Orders are placed side by side while the process dies: every answered one has survived."""
    answered: list[str] = []
    async with (
        simulator(tmp_path) as (process, url, control),
        SimulatorClient.opened(url, control) as client,
    ):

        async def trade(lane: int) -> None:
            for step in range(10_000):
                cloid = lane * 10_000 + step
                with suppress(aiohttp.ClientError, ValueError):
                    status = await client.order(price="30000", size="0.001", cloid=cloid)
                    answered.append(status["resting"]["cloid"])
                    continue
                return

        lanes = [asyncio.create_task(trade(lane)) for lane in range(1, 9)]
        async with asyncio.timeout(30):
            while len(answered) < 150:
                await asyncio.sleep(0.005)
        process.kill()
        await asyncio.gather(*lanes)
        await process.wait()
    async with (
        simulator(tmp_path) as (_, _, control),
        aiohttp.ClientSession() as session,
        session.get(control + "/ledger") as response,
    ):
        kept = [one["client_order_id"] for one in (await response.json())["orders"]]
    assert set(answered) <= set(kept)
    assert len(kept) == len(set(kept))
    assert len(kept) - len(answered) <= len(lanes)
