"""From the start of a process to its first order at the exchange, beside a process without us."""

from __future__ import annotations

import asyncio
import pickle
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.venues.cold import Errand
from benchmarks.venues.staging import a_row, forget_lanes
from domain.ledger import CommandRow
from tests.conformance.stage import Stage

TIMES: Final = 5
WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdStart:
    """Seconds until an order is acknowledged, medians."""

    ours_s: float
    bare_s: float


async def cold_start(stage: Stage, *, times: int = TIMES) -> ColdStart:
    """Start a process for each of some orders, and one without a connector for each."""
    rows: list[CommandRow] = []
    ours: list[float] = []
    for _ in range(times):
        rows.append(await a_row(stage))
        ours.append(await _seconds(stage, rows[-1], stage.rig.venue))
    # Rows that were sent: one that never is would hold up what comes after it on its lane.
    bare = [await _seconds(stage, row, "bare") for row in rows]
    await forget_lanes(stage)
    return ColdStart(ours_s=median(ours), bare_s=median(bare))


async def _seconds(stage: Stage, row: CommandRow, which: str) -> float:
    access = await stage.trading()
    errand = Errand(
        row=row,
        account=access.account,
        credential=access.credential.reveal(),
        url=stage.running.control_url,
    )
    began = time.perf_counter()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.venues.cold", which),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(pickle.dumps(errand))
    child.stdin.close()
    async with asyncio.timeout(WITHIN_S):
        out = await child.stdout.readline()
        took = time.perf_counter() - began
        await child.wait()
    if out.decode().strip() not in ("accepted", "acknowledged"):
        raise AssertionError(f"expected {which} to take the order, found {out.decode()!r}")
    return took
