"""All figures with their floors, in one run: `python -m benchmarks [--write]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

import aiohttp

from benchmarks.conditions import Crossings, condition_crossings
from benchmarks.figures import Latencies, table
from benchmarks.orders import SLOW_SEQUENTIAL, Run, at_rest, floor, ours
from benchmarks.page import machine, write
from benchmarks.positions import Updates, position_updates
from benchmarks.reconciling import Reconciled, reconciling
from benchmarks.running import running_stack

SLOW_COMMIT_MS = 300


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


async def run(home: Path) -> str:
    """Measure everything and return the tables."""
    say("starting the stack")
    with running_stack(home / "stack") as stack:
        say("at rest")
        rest = await at_rest(stack)
        say("floor")
        lowest = await floor(stack)
        say("ours, commit delay 0 ms")
        fast = await ours(stack)
        # Before the rest, which leaves orders behind: here the last one's end is waited for.
        say(f"ours, commit delay {SLOW_COMMIT_MS} ms")
        async with aiohttp.ClientSession() as session:
            await stack.control(session, "POST", "/switches", {"commit_delay_ms": SLOW_COMMIT_MS})
            slow = await ours(stack, sequential=SLOW_SEQUENTIAL)
            await stack.control(session, "POST", "/switches", {"commit_delay_ms": 0})
        say("positions, from the venue's fill frame to a socket")
        updates = await position_updates(stack)
        say("reconciling 1,000 orders and 10,000 fills")
        compared = await reconciling(stack)
        say("conditions, from the crossing mark frame to the close order")
        crossed = await condition_crossings(stack)
    return "\n\n".join(
        (
            _machine(),
            _orders(lowest, fast, slow),
            _positions(updates),
            _crossings(crossed),
            _reconciled(compared),
            _cpu(lowest, fast, slow),
            _rest(rest),
        )
    )


def _machine() -> str:
    programs = "Temporal, Valkey, simulator, worker, API, streaming and the load generator"
    return f"{machine(programs)} Temporal's SQLite with `synchronous=normal`, ours with `FULL`."


def _orders(lowest: Run, fast: Run, slow: Run) -> str:
    rows = []
    for name, side in (
        ("floor: bare workflow, empty local activity", lowest),
        ("ours, commit delay 0", fast),
        (f"ours, commit delay {SLOW_COMMIT_MS} ms", slow),
    ):
        rows.append(
            [
                name,
                _ms(side.place, 50),
                _ms(side.place, 99),
                _ms(side.cancel, 50),
                _ms(side.cancel, 99),
                f"{side.concurrent.per_second:.0f}",
                _ms(side.concurrent, 99),
                str(side.events),
                str(side.history_bytes),
            ]
        )
    over = fast.place.percentile_ms(50) - lowest.place.percentile_ms(50)
    rows.append(["ours − floor, p50", f"{over:+.1f}", *[""] * 7])
    header = ["", "place p50 ms", "p99", "cancel p50 ms", "p99"]
    header += ["20 at once, /s", "p99 ms", "events", "bytes"]
    return table(header, rows)


def _positions(updates: Updates) -> str:
    rows = []
    for name, side in (
        ("floor: a bare relay of the frame", updates.floor),
        ("ours: booked, and every sum moved", updates.ours),
    ):
        rows.append([name, _ms(side, 50), _ms(side, 99), str(len(side.seconds))])
    return (
        "From the venue's fill frame to a position on a client's socket (target: p99 under 50 ms):"
        "\n\n" + table(["", "p50 ms", "p99 ms", "fills"], rows)
    )


def _crossings(crossed: Crossings) -> str:
    rows = []
    for name, side in (
        ("floor: a bare signal to its activity", crossed.floor),
        ("ours: confirmed by the venue, the close begun, its order there", crossed.ours),
    ):
        rows.append([name, _ms(side, 50), _ms(side, 99), str(len(side.seconds))])
    return (
        "From the mark frame that crosses a condition to the close order at the venue:\n\n"
        + table(["", "p50 ms", "p99 ms", "crossings"], rows)
    )


def _reconciled(compared: Reconciled) -> str:
    rows = []
    for name, side in (
        ("floor: the same pages read bare", compared.floor),
        ("ours, nothing differs", compared.equal),
        ("ours, every fill deleted (waits the visibility delay)", compared.repaired),
    ):
        rows.append([name, _ms(side, 50), _ms(side, 100), str(len(side.seconds))])
    title = f"Reconciling an account of {compared.orders} orders and {compared.fills} fills:\n\n"
    return title + table(["", "p50 ms", "longest ms", "rounds"], rows)


def _cpu(lowest: Run, fast: Run, slow: Run) -> str:
    names = sorted({*lowest.cpu_per_order_ms, *fast.cpu_per_order_ms})
    rows = []
    for name, side in (("floor", lowest), ("ours, delay 0", fast), ("ours, delay 300", slow)):
        parts = [f"{side.cpu_per_order_ms.get(part, 0.0):.1f}" for part in names]
        rows.append([name, *parts, f"{side.cpu_ms:.1f}", f"{side.cpu_ms / lowest.cpu_ms:.2f}"])
    return "CPU per order (place, rest, fill, end), ms by process:\n\n" + table(
        ["", *names, "all", "× floor"], rows
    )


def _rest(rest: dict[str, float]) -> str:
    shown = ", ".join(f"{name} {share:.1f} %" for name, share in sorted(rest.items()))
    return f"At rest, in percent of one core: {shown}; together {sum(rest.values()):.1f} %."


def _ms(latencies: Latencies, percent: float) -> str:
    return f"{latencies.percentile_ms(percent):.1f}"


def main() -> int:
    """Run the benchmarks, print the tables, and write them down if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--write", action="store_true", help="update docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="perp-dex-bench-") as directory:
        figures = asyncio.run(run(Path(directory)))
    sys.stdout.write(figures + "\n")
    if options.write:
        write("figures", figures)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
