"""From a venue's frame to many clients: how late, how many, and what it costs.

Three processes: the venue, our streaming process, the crowd of clients; and for the floor a bare
server in place of the first two, with the same crowd.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import psutil

from benchmarks.figures import cpu_seconds
from benchmarks.running import Stack
from benchmarks.streaming.lines import Program

AT_MOST_MS: Final = 20.0
DELIVERED_LEAST: Final = 0.97
SECONDS: Final = 8.0
#: So often a rate is tried before it counts as too high.
TRIES: Final = 3
WARM_SECONDS: Final = 1.0
SETTLE_S: Final = 1.0

Flood = Callable[[int, float, float], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One run. Ages in milliseconds: `from_received` since our process (or the bare one) had the
    data, `from_sent` since the venue sent it. `server_cpu` in shares of one core."""

    clients: int
    asked_per_s: float
    per_s: float
    share: float
    from_received: dict[str, float]
    from_sent: dict[str, float]
    server_cpu: float
    crowd_cpu: float
    messages: int
    resyncs: int
    gone: int

    @property
    def is_good(self) -> bool:
        """Whether everything came, and in time."""
        late = self.from_received.get("p99", float("inf")) >= AT_MOST_MS
        return self.share >= DELIVERED_LEAST and not late and self.gone == 0


class Ground:
    """Where a run takes place: who is asked to send, and whose CPU counts."""

    def __init__(self, crowd: Program, server_pid: int, flood: Flood) -> None:
        self.crowd = crowd
        self._server_pid = server_pid
        self._flood = flood

    async def gather(self, url: str, count: int, first: Sequence[Sequence[str]]) -> Any:
        """Connect clients; about every eighth, at least one, is sampled."""
        sample = max(1, min(8, count // 25))
        return await self.crowd.ask(do="connect", url=url, count=count, first=first, sample=sample)

    async def leave(self) -> None:
        """Disconnect all."""
        await self.crowd.ask(do="leave")

    async def run(
        self, *, clients: int, topics: int, rate: float, seconds: float = SECONDS
    ) -> Delivered:
        """Send `rate` messages a second in all, each to `clients / topics`, and count."""
        await self._flood(topics, rate, WARM_SECONDS)
        await asyncio.sleep(SETTLE_S)
        await self.crowd.ask(do="reset")
        before = cpu_seconds({"server": self._server_pid})["server"]
        sent = await self._flood(topics, rate, seconds)
        await asyncio.sleep(SETTLE_S)
        used = cpu_seconds({"server": self._server_pid})["server"] - before
        counted = await self.crowd.ask(do="report")
        expected = rate * seconds * clients / topics
        # A venue that could not keep its own rate makes nobody look better.
        wall_s = max(sent["wall_s"], counted["wall_s"])
        return Delivered(
            clients=clients,
            asked_per_s=rate * clients / topics,
            per_s=counted["messages"] / wall_s,
            share=counted["messages"] / expected,
            from_received=counted["from_received_ms"],
            from_sent=counted["from_sent_ms"],
            server_cpu=used / wall_s,
            crowd_cpu=counted["cpu_s"] / wall_s,
            messages=int(rate * seconds),
            resyncs=counted["resyncs"],
            gone=counted["gone"],
        )


async def highest(
    ground: Ground, *, clients: int, rates: Sequence[float], topics: int = 1
) -> list[Delivered]:
    """Raise the rate until something comes late, or not at all, twice; return every run."""
    runs: list[Delivered] = []
    for rate in rates:
        for _ in range(TRIES):
            run = await ground.run(clients=clients, topics=topics, rate=rate, seconds=SECONDS / 2)
            runs.append(run)
            if run.is_good:
                break
        else:
            break
    return runs


def sustained(runs: Sequence[Delivered]) -> Delivered | None:
    """Return the highest good run, or None."""
    good = [run for run in runs if run.is_good]
    return max(good, key=lambda run: run.per_s) if good else None


def bare_ground(crowd: Program, server: Program) -> Ground:
    """The floor: the bare server sends."""

    async def flood(topics: int, rate: float, seconds: float) -> Any:
        return await server.ask(topics=topics, rate=rate, seconds=seconds)

    return Ground(crowd, server.pid, flood)


def our_ground(crowd: Program, stack: Stack, venue_port: str) -> Ground:
    """Ours: the venue sends, our process passes on."""

    async def flood(topics: int, rate: float, seconds: float) -> Any:
        body = {"coins": topics, "rate": rate, "seconds": seconds}
        url = f"http://127.0.0.1:{venue_port}/flood"
        timeout = aiohttp.ClientTimeout(total=seconds * 3 + 30)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, json=body) as response,
        ):
            response.raise_for_status()
            return await response.json()

    return Ground(crowd, stack.pids["streaming"], flood)


def first_messages(token: str, topics: int) -> list[list[str]]:
    """Return what the clients of each topic begin with."""
    auth = json.dumps({"op": "auth", "token": token})
    wanted = {"op": "subscribe", "channel": "top", "venue": "hyperliquid", "network": "mainnet"}
    return [
        [auth, json.dumps({**wanted, "symbol": f"COIN{number}-PERP"})] for number in range(topics)
    ]


def resident_bytes(stack: Stack) -> int:
    """Return what the streaming process holds in memory."""
    return int(psutil.Process(stack.pids["streaming"]).memory_info().rss)
