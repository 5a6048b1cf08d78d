"""The rig: the streaming process as a process of its own, two venues, and bad weather in between.

The venue of paper accounts is reached through a proxy, that of testnet accounts directly: what
happens to the one must not be felt on the other. Clients are between proxies too. Temporal and
Valkey are away: what they do in the dark is tested elsewhere, and reports wait in storage.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from domain.accounts import Network
from storage.opening import Storage, open_storage
from storage.schema import upgrade
from tests.stream_chaos.proxy import FaultProxy
from tests.stream_chaos.streaming_process import PATIENT_VARIABLE
from tests.streaming.floor import Floor, open_floor
from tests.streaming.stage import Stage

ROOT: Final = Path(__file__).parents[2]
READY_WITHIN_S: Final = 60.0
STOPPED_WITHIN_S: Final = 15.0
NOWHERE: Final = "127.0.0.1:1"
#: The accounts at the venue in the storm, and at the one that must not feel it.
ACCOUNTS: Final = ("acc-1", "acc-2", "acc-3")
OTHER: Final = "acc-9"


@dataclass
class Rig:
    """All that runs."""

    home: Path
    storage: Storage
    venue: Floor
    other: Floor
    #: Between the streaming process and the venue of the paper accounts.
    venue_line: FaultProxy
    #: Between clients and the streaming process: one that alters, and one that only cuts.
    rough_line: FaultProxy
    shaky_line: FaultProxy
    process: asyncio.subprocess.Process
    port: int
    metrics_url: str
    token: str

    @property
    def url(self) -> str:
        """Where clients connect without anything in between."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def lines(self) -> tuple[FaultProxy, ...]:
        """Every proxy."""
        return (self.venue_line, self.rough_line, self.shaky_line)

    @property
    def log(self) -> str:
        """What the streaming process wrote."""
        return (self.home / "streaming.log").read_text()

    def errors(self) -> list[str]:
        """Return what the streaming process complained of as an error of its own."""
        return [str(line) for line in said(self.log) if line["level"] in ("error", "critical")]

    async def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's values that bear these labels; 0 if there is none."""
        async with aiohttp.ClientSession() as session, session.get(self.metrics_url) as answer:
            text = await answer.text()
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        found = 0.0
        for line in text.splitlines():
            matched = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
            if matched and wanted <= set((matched[1] or "").split(",")):
                found += float(matched[2])
        return found


def said(log: str) -> list[dict[str, Any]]:
    """Return the lines of a log; what other libraries print is none."""
    return [json.loads(line) for line in log.splitlines() if line.startswith("{")]


@asynccontextmanager
async def open_rig(
    home: Path, *, seed: int, venue: str = "hyperliquid", patient: bool = False
) -> AsyncIterator[Rig]:
    """Start everything, with accounts whose feeds are live; `patient` as the product's own.

    `venue` is the one in the storm; Hyperliquid is the one beside it.
    """
    home.mkdir(parents=True, exist_ok=True)
    url = f"sqlite+aiosqlite:///{home / 'perp-dex.db'}"
    await asyncio.to_thread(upgrade, url)
    async with AsyncExitStack() as stack:
        storage = await open_storage(url, home)
        stack.push_async_callback(storage.close)
        stage = Stage(storage.orders, storage.accounts, storage.ledger, storage.positions)
        stormy = await stack.enter_async_context(open_floor(stage, venue=venue))
        other = await stack.enter_async_context(open_floor(stage, Network.TESTNET))
        for account_id in ACCOUNTS:
            await stormy.open_account(account_id)
        await other.open_account(OTHER)
        venue_line = await _line(stack, "venue", urlsplit(stormy.sim.url).port or 0, seed)
        process = await stack.enter_async_context(
            _streaming(
                home,
                DATABASE_URL=url,
                HYPERLIQUID_TESTNET_URL=other.sim.url,
                **{f"{venue.upper()}_PAPER_URL": f"http://127.0.0.1:{venue_line.port}"},
                **({PATIENT_VARIABLE: "1"} if patient else _generous()),
            )
        )
        port, metrics_url = await _ready(home, process)
        rig = Rig(
            home=home,
            storage=storage,
            venue=stormy,
            other=other,
            venue_line=venue_line,
            rough_line=await _line(stack, "rough", port, seed),
            shaky_line=await _line(stack, "shaky", port, seed),
            process=process,
            port=port,
            metrics_url=metrics_url,
            token=(home / "api-token").read_text().strip(),
        )
        await until(lambda: _all_live(rig), READY_WITHIN_S, "every feed live")
        yield rig


def _generous() -> dict[str, str]:
    """Return settings of a venue that allows more requests a minute than the real one does."""
    return {"HYPERLIQUID_WEIGHT_PER_MINUTE": "1000000", "PACIFICA_CREDITS_PER_MINUTE": "1000000"}


async def _all_live(rig: Rig) -> bool:
    live = await rig.metric("perp_dex_feed_live", source="accounts")
    return live == len(ACCOUNTS) + 1


async def _line(stack: AsyncExitStack, name: str, port: int, seed: int) -> FaultProxy:
    line = FaultProxy(name, port, seed)
    await line.start()
    stack.push_async_callback(line.stop)
    return line


@asynccontextmanager
async def _streaming(home: Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME") or k.startswith("COV")}
    with (home / "streaming.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.stream_chaos.streaming_process",
            cwd=ROOT,
            stderr=log,
            env={
                **kept,
                "PERP_DEX_HOME": str(home),
                "PERP_DEX_KEY_KEEPER": "file",
                "PERP_DEX_HEARTBEAT_FILE": str(home / "heartbeat.json"),
                "STREAMING_PORT": "0",
                "METRICS_PORT": "0",
                "TEMPORAL_ADDRESS": NOWHERE,
                "REDIS_URL": f"redis://{NOWHERE}/0",
                **environment,
            },
        )
    try:
        yield process
        process.terminate()
        async with asyncio.timeout(STOPPED_WITHIN_S):
            code = await process.wait()
        assert code == 0, (home / "streaming.log").read_text()[-4_000:]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ready(home: Path, process: asyncio.subprocess.Process) -> tuple[int, str]:
    beat, log = home / "heartbeat.json", home / "streaming.log"

    async def ready() -> bool:
        assert process.returncode is None, log.read_text()[-4_000:]
        return beat.is_file() and json.loads(beat.read_text())["state"] == "ready"

    await until(ready, READY_WITHIN_S, "the streaming process ready")
    endpoint = urlsplit(json.loads(beat.read_text())["endpoint"])

    def metrics() -> str | None:
        lines = said(log.read_text())
        return next((x["metrics"] for x in lines if x["event"] == "streaming ready"), None)

    async def is_told() -> bool:
        return metrics() is not None

    await until(is_told, READY_WITHIN_S, "the address of the metrics in the log")
    return endpoint.port or 0, str(metrics())


async def until(
    look: Callable[[], Awaitable[bool]], within_s: float, what: str | Callable[[], str]
) -> None:
    """Look until it holds; fail with what was expected, and with what is missing."""
    deadline = time.monotonic() + within_s
    while not await look():
        if time.monotonic() >= deadline:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"expected within {within_s:g} s: {told}")
        await asyncio.sleep(0.05)
