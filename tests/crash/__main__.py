"""Run the crash matrix, the storm or a mutant: `python -m tests.crash [--help]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.crash.fills_first import run_fills_first
from tests.crash.freezing import run_freezing
from tests.crash.late_requests import run_late_requests
from tests.crash.matrix import COMMANDS, CellResult, Matrix, cells, show
from tests.crash.mutants import MUTANTS
from tests.crash.native import NativeBrackets, native_cells
from tests.crash.native_storm import NativeStorm
from tests.crash.rig import Rig
from tests.crash.splits import Splits, split_cells
from tests.crash.storm import Storm
from tests.crash.trader import Trader


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


@contextmanager
def homes(keep: bool) -> Iterator[Path]:
    """Yield a directory for a rig's home."""
    if keep:
        yield Path(tempfile.mkdtemp(prefix="perp-dex-crash-"))
    else:
        with tempfile.TemporaryDirectory(prefix="perp-dex-crash-") as directory:
            yield Path(directory)


async def trader_of(rig: Rig) -> Trader:
    """Return a trader with a new funded paper account."""
    trader = Trader(rig.api_url, rig.home / "api-token")
    await trader.open_account(await rig.control("POST", "/accounts", {}), "crash")
    return trader


async def run_matrix(
    home: Path, *, every: int, mutant: str, commands: Sequence[str]
) -> list[CellResult]:
    """Run every `every`th cell of the matrix, then what comes too early, too late, or freezes."""
    results: list[CellResult] = []
    async with Rig(home, mutant=mutant) as rig:
        trader = await trader_of(rig)
        matrix = Matrix(rig, trader)
        chosen = [cell for cell in cells() if cell.command in commands][::every]
        for number, cell in enumerate(chosen, 1):
            result = await matrix.run(cell)
            say(f"{number}/{len(chosen)} {cell}: {result.wrong or 'good'} ({result.seconds:.1f} s)")
            results.append(result)
        if "native" in commands:
            native = NativeBrackets(rig)
            for cell in native_cells()[::every]:
                results.append(await native.run(cell))
                say(f"{cell}: {results[-1].wrong or 'good'} ({results[-1].seconds:.1f} s)")
            results.append(await native.run_all_dead())
        if "split" in commands:
            splits = Splits(rig)
            for cell in split_cells()[::every]:
                results.append(await splits.run(cell))
                say(f"{cell}: {results[-1].wrong or 'good'} ({results[-1].seconds:.1f} s)")
        extras = (
            *run_fills_first(rig, trader),
            *run_late_requests(rig, trader),
            *run_freezing(rig, trader),
        )
        for extra in extras:
            result = await extra
            say(f"{result.cell}: {result.wrong or 'good'} ({result.seconds:.1f} s)")
            results.append(result)
    return results


async def run_storm(home: Path, *, count: int, seed: int, mutant: str) -> list[str]:
    """Run the storm over orders, then over native brackets, a quarter as many."""
    async with Rig(home, mutant=mutant) as rig:
        trader = await trader_of(rig)
        wrong = await Storm(rig, trader, seed=seed, say=say).run(count)
        say(f"orders: {len(wrong)} wrong; native brackets now")
        brackets = NativeStorm(rig, trader, seed=seed, say=say)
        await brackets.open_account()
        return wrong + await brackets.run(count // 4)


def main() -> int:
    """Parse the command line and run; 0 when all is good (or a mutant was caught)."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("what", choices=("all", "matrix", "storm"), nargs="?", default="all")
    parser.add_argument("--every", type=int, default=1, help="run every Nth cell only")
    commands = (*COMMANDS, "native", "split")
    parser.add_argument("--command", choices=commands, action="append", help="only this one")
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--mutant", choices=MUTANTS, default="", help="must be caught")
    parser.add_argument("--keep", action="store_true", help="keep the home directory")
    options = parser.parse_args()
    bad = 0
    with homes(options.keep) as home:
        if options.what in ("all", "matrix"):
            results = asyncio.run(
                run_matrix(
                    home / "matrix",
                    every=options.every,
                    mutant=options.mutant,
                    commands=options.command or commands,
                )
            )
            sys.stdout.write(show(results) + "\n")
            bad += sum(result.wrong is not None for result in results)
        if options.what in ("all", "storm"):
            wrong = asyncio.run(
                run_storm(
                    home / "storm", count=options.orders, seed=options.seed, mutant=options.mutant
                )
            )
            sys.stdout.write(
                f"storm of {options.orders} orders, seed {options.seed}: "
                f"{'good' if not wrong else f'{len(wrong)} wrong'}\n"
            )
            sys.stdout.writelines(f"  {line}\n" for line in wrong)
            bad += len(wrong)
    if options.mutant:
        caught = bad > 0
        sys.stdout.write(f"mutant {options.mutant}: {'caught' if caught else 'NOT CAUGHT'}\n")
        return 0 if caught else 1
    return 1 if bad else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
