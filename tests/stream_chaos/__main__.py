"""A storm over the streaming process: `python -m tests.stream_chaos --seconds 30 --seed N`.

`--soak-seconds 600` runs steady traffic instead, with a cut every ten seconds and clients that come
and go, and measures what the process holds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from tests.crash.__main__ import homes
from tests.stream_chaos.market_judge import LEVELS
from tests.stream_chaos.soak import run_soak
from tests.stream_chaos.storm import run_storm


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def main() -> int:
    """Parse the command line and run; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.stream_chaos")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the storm lasts")
    parser.add_argument("--soak-seconds", type=float, default=0.0, help="soak instead, so long")
    parser.add_argument("--seed", type=int, default=20261130)
    parser.add_argument("--venue", default="hyperliquid", choices=sorted(LEVELS))
    parser.add_argument(
        "--patient", action="store_true", help="leave the feeds the product's own patience"
    )
    parser.add_argument("--keep", action="store_true", help="keep the home directory")
    options = parser.parse_args()
    with homes(options.keep) as home:
        if options.soak_seconds:
            soaked = asyncio.run(
                run_soak(home / "soak", seconds=options.soak_seconds, seed=options.seed, say=say)
            )
            wrong, lines = soaked.wrong, soaked.lines()
        else:
            outcome = asyncio.run(
                run_storm(
                    home / "storm",
                    seconds=options.seconds,
                    seed=options.seed,
                    venue=options.venue,
                    patient=options.patient,
                    say=say,
                )
            )
            wrong, lines = outcome.wrong, outcome.lines()
    sys.stdout.write(f"seed {options.seed}: {f'{len(wrong)} wrong' if wrong else 'good'}\n")
    sys.stdout.writelines(f"  {line}\n" for line in (*lines, *wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
