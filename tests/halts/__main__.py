"""Drill the kill switch: `python -m tests.halts [--help]`.

50 open orders and 5 positions to verified flat, a tenth of all requests failing, the worker killed
twice; over several seeds. Before that the dead man's switch, with a worker and without one, and our
watchdog at a venue without a switch, each part of the trading side killed in its turn.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.halts.dead_man import run_dead_man
from tests.halts.drill import Plan, run_drill
from tests.halts.watchdog import run_watchdog


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def main() -> int:
    """Run the drills; 0 when all end as they must."""
    parser = argparse.ArgumentParser(prog="python -m tests.halts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--orders", type=int, default=50)
    parser.add_argument("--positions", type=int, default=5)
    parser.add_argument("--kills", type=int, default=2)
    options = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="perp-dex-halts-") as directory:
        wrong = asyncio.run(run_dead_man(Path(directory) / "home", say))
    bad += bool(wrong)
    sys.stdout.write(f"dead man's switch: {wrong or 'good'}\n")
    with tempfile.TemporaryDirectory(prefix="perp-dex-halts-") as directory:
        wrong = asyncio.run(run_watchdog(Path(directory) / "home", say))
    bad += bool(wrong)
    sys.stdout.write(f"our watchdog: {wrong or 'good'}\n")
    for number in range(options.rounds):
        plan = Plan(
            orders=options.orders,
            positions=options.positions,
            kills=options.kills,
            seed=options.seed + number,
        )
        with tempfile.TemporaryDirectory(prefix="perp-dex-halts-") as directory:
            outcome = asyncio.run(run_drill(Path(directory) / "home", plan, say))
        bad += bool(outcome.wrong)
        sys.stdout.write(
            f"seed {plan.seed}: {plan.orders} orders, {plan.positions} positions, "
            f"{outcome.kills} kills, {outcome.requests} requests of which "
            f"{outcome.failed_share:.0%} failed, {outcome.seconds:.1f} s: "
            f"{'flat' if not outcome.wrong else 'WRONG'}\n"
        )
        sys.stdout.writelines(f"  {line}\n" for line in outcome.wrong)
    return 1 if bad else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
