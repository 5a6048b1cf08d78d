"""Starting what is measured: the product's own stack, and the programs of the floors."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

ENVIRONMENT = {
    "LOG_LEVEL": "WARNING",
    # The venue's weight budget is not what is measured.
    "HYPERLIQUID_WEIGHT_PER_MINUTE": "1000000000",
    # One exchange is measured; five others beside it would be part of every figure.
    "SIMULATED_VENUES": "hyperliquid",
    "WORKER_VENUES": "hyperliquid",
    "API_VENUES": "hyperliquid",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A running stack with a paper account."""

    home: Path
    api_url: str
    control_url: str
    venue_url: str
    temporal_address: str
    pids: dict[str, int]
    account: str
    token: str
    streaming_url: str

    async def control(
        self, session: aiohttp.ClientSession, method: str, path: str, body: object = None
    ) -> Any:
        """Ask the simulator's control port."""
        async with session.request(method, self.control_url + path, json=body) as response:
            response.raise_for_status()
            return await response.json()


@contextmanager
def running_stack(home: Path, more: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Run the stack in `home` with a server tuned as `perp-dex up --durability process` does.

    `more` is put into the environment of its processes.
    """
    environment = {**os.environ, **ENVIRONMENT, **(more or {}), "PERP_DEX_HOME": str(home)}
    command = str(Path(sys.executable).with_name("perp-dex"))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [command, *arguments],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=120,
        )
        return done.stdout

    run("up", "--detach", "--ports", "auto", "--durability", "process")
    try:
        label = ("--label", "bench", "--json")
        account = json.loads(run("account", "add", "--venue", "hyperliquid", "--paper", *label))
        status = json.loads(run("status", "--json"))
        processes = {p["name"]: p for p in status["processes"]}
        yield Stack(
            home=home,
            api_url=status["api_url"],
            control_url=status["sim_control_url"],
            venue_url=processes["sim-hyperliquid"]["endpoint"],
            temporal_address=processes["temporal"]["endpoint"],
            pids={name: p["pid"] for name, p in processes.items()},
            account=account["account_id"],
            token=(home / "api-token").read_text().strip(),
            streaming_url=processes["streaming"]["endpoint"],
        )
    finally:
        run("down")


@asynccontextmanager
async def running_program(module: str, *arguments: str) -> AsyncIterator[tuple[str, int]]:
    """Run one of our bare programs; yield the first line it prints, and its pid."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode().strip()
        yield line, process.pid
    finally:
        process.kill()
        await process.wait()
