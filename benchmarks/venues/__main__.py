"""What each connector costs: `python -m benchmarks.venues [--venue X] [--write]`.

Every venue of the registry is measured by its rig and its simulated exchange alone. `--quick` only
proves that everything runs: its figures say nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import table
from benchmarks.page import machine, write
from benchmarks.venues.frames import FRAMES, Decoded, frame_rates
from benchmarks.venues.limits import published
from benchmarks.venues.orders import OrderRates, order_rates
from benchmarks.venues.staging import staged
from benchmarks.venues.starting import TIMES, ColdStart, cold_start
from venues import registry

ORDERS = 2_000
QUICK_ORDERS, QUICK_FRAMES, QUICK_TIMES = 20, 500, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All figures of one venue."""

    venue: str
    orders: OrderRates
    frames: list[Decoded]
    start: ColdStart


async def measured(venue: str, *, quick: bool = False) -> Measured:
    """Measure one venue."""
    async with staged(venue) as stage:
        return Measured(
            venue=venue,
            start=await cold_start(stage, times=QUICK_TIMES if quick else TIMES),
            orders=await order_rates(stage, count=QUICK_ORDERS if quick else ORDERS),
            frames=await frame_rates(stage, frames=QUICK_FRAMES if quick else FRAMES),
        )


def figures(found: Sequence[Measured]) -> str:
    """Return the tables."""
    about = machine("the simulated exchange, the bare server and the connector")
    return "\n\n".join((about, _orders(found), _starts(found), _frames(found)))


def _orders(found: Sequence[Measured]) -> str:
    title = (
        "Placements: written and signed without a wire, then signed and acknowledged, so many at "
        "once. Where it is one, the venue counts nonces for each key and takes only the next: a "
        "worker has one key for orders, and sends by it when the order before is answered. The "
        "floor posts the same bytes unsigned to the same bare server, as many at once; where a "
        "venue allows less, its own limit is what counts."
    )
    header = ["", "at once", "signed/s", "acknowledged/s", "p50 ms", "p99 ms", "floor/s", "ratio"]
    rows = []
    for one in found:
        ours, floor = one.orders.acknowledged, one.orders.unsigned
        rows.append(
            [
                one.venue,
                str(one.orders.at_once),
                f"{one.orders.signed_per_s:.0f}",
                f"{ours.per_second:.0f}",
                f"{ours.percentile_ms(50):.1f}",
                f"{ours.percentile_ms(99):.1f}",
                f"{floor.per_second:.0f}",
                f"{ours.per_second / floor.per_second:.2f}",
                published(one.venue),
            ]
        )
    return f"{title}\n\n{table([*header, 'the venue allows'], rows)}"


def _starts(found: Sequence[Measured]) -> str:
    title = "From the start of a process to its first order at the exchange, medians:"
    header = ["", "cold start to first order, s", "floor: an HTTP client alone, s"]
    rows = [[one.venue, f"{one.start.ours_s:.2f}", f"{one.start.bare_s:.2f}"] for one in found]
    return f"{title}\n\n{table(header, rows)}"


def _frames(found: Sequence[Measured]) -> str:
    title = (
        "Frames of the simulated exchanges, read into our events by one process, by what a frame "
        "says first; the floor decodes the same bytes into plain objects:"
    )
    header = ["", "frames say", "recorded", "frames/s", "floor/s", "ratio"]
    rows = [
        [
            one.venue,
            each.channel,
            str(each.recorded),
            f"{each.per_s:.0f}",
            f"{each.bare_per_s:.0f}",
            f"{each.per_s / each.bare_per_s:.2f}",
        ]
        for one in found
        for each in one.frames
    ]
    return f"{title}\n\n{table(header, rows)}"


def main() -> int:
    """Measure, print the tables, and write them down if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.venues")
    parser.add_argument("--venue", choices=registry.names(), action="append", help="only this one")
    parser.add_argument("--quick", action="store_true", help="prove only that it runs")
    parser.add_argument("--write", action="store_true", help="update docs/performance.md")
    options = parser.parse_args()
    if options.write and (options.quick or options.venue):
        parser.error("--write takes the figures of every venue, measured in full")
    found = []
    for venue in options.venue or registry.names():
        sys.stderr.write(f"{venue}\n")
        found.append(asyncio.run(measured(venue, quick=options.quick)))
    shown = figures(found)
    sys.stdout.write(shown + "\n")
    if options.write:
        write("venues", shown)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
