"""Race closes against everything else: `python -m tests.races --rounds 500 --seed S`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from tests.crash.__main__ import homes
from tests.races.run import race


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def main() -> int:
    """Parse the command line and run; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.races")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--lanes", type=int, default=16, help="rounds at once")
    parser.add_argument(
        "--kill-every", type=float, default=20.0, help="seconds between kills, 0 for none"
    )
    parser.add_argument("--stories", action="store_true", help="tell what happened in each round")
    parser.add_argument("--keep", action="store_true", help="keep the home directory")
    options = parser.parse_args()
    with homes(options.keep) as home:
        outcome = asyncio.run(
            race(
                home / "races",
                rounds=options.rounds,
                seed=options.seed,
                lanes=options.lanes,
                kill_every_s=options.kill_every,
                say=say,
            )
        )
    sys.stdout.write(
        f"{options.rounds} rounds, seed {options.seed}: "
        f"{'good' if not outcome.wrong else f'{len(outcome.wrong)} wrong'}\n"
        f"  ends: {dict(outcome.ends)}\n"
        f"  events: {dict(outcome.events)}\n"
        f"  kills: {dict(outcome.kills)}\n"
    )
    sys.stdout.writelines(f"  {line}\n" for line in outcome.wrong)
    if options.stories:
        sys.stdout.writelines(f"{story}\n" for story in outcome.stories)
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
