"""Latency and CPU figures, and the tables that show them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Seconds of single operations, and the wall time of all of them."""

    seconds: tuple[float, ...]
    wall_s: float

    def percentile_ms(self, percent: float) -> float:
        """Return the nearest-rank percentile in milliseconds."""
        ordered = sorted(self.seconds)
        rank = max(1, math.ceil(percent / 100 * len(ordered)))
        return ordered[rank - 1] * 1000

    @property
    def per_second(self) -> float:
        """Operations per second of wall time."""
        return len(self.seconds) / self.wall_s


async def measure(
    operation: Callable[[int], Awaitable[float]], *, count: int, concurrency: int
) -> Latencies:
    """Run `operation(i)` `count` times, at most `concurrency` at once; it returns its seconds."""
    limit = asyncio.Semaphore(concurrency)

    async def one(index: int) -> float:
        async with limit:
            return await operation(index)

    began = time.perf_counter()
    seconds = await asyncio.gather(*(one(index) for index in range(count)))
    return Latencies(seconds=tuple(seconds), wall_s=time.perf_counter() - began)


def cpu_seconds(pids: dict[str, int]) -> dict[str, float]:
    """Return the CPU seconds that processes (with their children) have used so far."""
    used = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        used[name] = sum(t.user + t.system for t in (p.cpu_times() for p in family))
    return used


def spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Return what each process used between two readings."""
    return {name: after[name] - before[name] for name in after if name in before}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
