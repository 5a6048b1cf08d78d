"""Run the crash matrix, the storm or a mutant: `python -m tests.crash [--help]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.crash.all_at_once import AllAtOnce, all_cells
from tests.crash.fills_first import run_fills_first
from tests.crash.freezing import run_freezing
from tests.crash.ground import Party, join
from tests.crash.late_requests import run_late_requests
from tests.crash.matrix import COMMANDS, GAPS, Cell, CellResult, Matrix, cells, show
from tests.crash.mutants import MUTANTS
from tests.crash.native import NativeBrackets, native_cells
from tests.crash.native_storm import NativeStorm
from tests.crash.rig import HOUSE, WITHOUT_FENCE, Rig
from tests.crash.splits import VENUES, Splits, split_cells
from tests.crash.storm import Storm
from tests.crash.trader import Trader
from venues import registry

EVERY_VENUE = "all"


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
    """Return a trader with a new funded paper account at the house's venue."""
    trader = Trader(rig.api_url, rig.home / "api-token")
    await trader.open_account(await rig.control("POST", "/accounts", {}), "crash")
    return trader


async def run_matrix(
    home: Path, *, venue: str, every: int, mutant: str, commands: Sequence[str]
) -> list[CellResult]:
    """Run every `every`th cell of a venue, then what comes too early, too late, or freezes."""
    results: list[CellResult] = []

    def note(found: Iterable[CellResult]) -> None:
        for result in found:
            say(f"{result.cell}: {result.wrong or 'good'} ({result.seconds:.1f} s)")
            results.append(result)

    async with Rig(home, venues=(venue,), mutant=mutant) as rig:
        party = await join(rig, venue)
        matrix = Matrix(rig, party)
        for cell in [cell for cell in cells(venue) if cell.command in commands][::every]:
            note([await matrix.run(cell)])
        if "native" in commands and venue == HOUSE:
            native = NativeBrackets(rig)
            for cell in native_cells()[::every]:
                note([await native.run(cell)])
            note([await native.run_all_dead()])
        for extra in _extras(rig, party):
            note([await extra])
    return results


def _extras(rig: Rig, party: Party) -> Iterator[Coroutine[Any, Any, CellResult]]:
    yield from run_fills_first(rig, party)
    yield from run_late_requests(rig, party)
    yield from run_freezing(rig, party)


async def run_splits(home: Path, *, every: int, mutant: str) -> list[CellResult]:
    """Run the cells of orders that name no account, and of split ones."""
    results: list[CellResult] = []
    async with Rig(home, venues=VENUES, mutant=mutant) as rig:
        splits = Splits(rig)
        for cell in split_cells()[::every]:
            results.append(await splits.run(cell))
            say(f"{cell}: {results[-1].wrong or 'good'} ({results[-1].seconds:.1f} s)")
    return results


async def run_all_at_once(home: Path, *, every: int, mutant: str) -> list[CellResult]:
    """Run the cells in which an order on every venue is under way when everything dies."""
    results: list[CellResult] = []
    async with Rig(home, venues=registry.names(), mutant=mutant) as rig:
        everywhere = AllAtOnce(rig, [await join(rig, venue) for venue in rig.venues])
        for cell in all_cells()[::every]:
            for result in await everywhere.run(cell):
                say(f"{result.cell}: {result.wrong or 'good'} ({result.seconds:.1f} s)")
                results.append(result)
        if not mutant:
            results += await _without_fence(rig)
    return results


async def _without_fence(rig: Rig) -> list[CellResult]:
    """Take every venue for one without a fence, and lose a placement and a cancel there."""
    await rig.become(WITHOUT_FENCE)
    results = []
    for venue in rig.venues:
        matrix = Matrix(rig, await join(rig, venue))
        for command in ("place", "cancel"):
            cell = Cell(command=command, gap=GAPS[0], kill="worker", venue=venue)
            results.append(await matrix.run(cell))
            say(f"without a fence: {cell}: {results[-1].wrong or 'good'}")
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


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    what = ("all", "matrix", "together", "storm")
    parser.add_argument("what", choices=what, nargs="?", default="all")
    parser.add_argument(
        "--venue",
        choices=(EVERY_VENUE, *registry.names()),
        default=EVERY_VENUE,
        help="the matrix of this one only",
    )
    parser.add_argument("--every", type=int, default=1, help="run every Nth cell only")
    commands = (*COMMANDS, "native", "split")
    parser.add_argument("--command", choices=commands, action="append", help="only this one")
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--mutant", choices=MUTANTS, default="", help="must be caught")
    parser.add_argument("--keep", action="store_true", help="keep the home directory")
    options = parser.parse_args()
    options.commands = options.command or commands
    options.venues = registry.names() if options.venue == EVERY_VENUE else (options.venue,)
    return options


def _tables(options: argparse.Namespace, home: Path) -> Iterator[list[CellResult]]:
    """Run what of the matrix is asked for, a table at a time."""
    if options.what in ("all", "matrix"):
        for venue in options.venues:
            yield asyncio.run(
                run_matrix(
                    home / f"matrix-{venue}",
                    venue=venue,
                    every=options.every,
                    mutant=options.mutant,
                    commands=options.commands,
                )
            )
        if "split" in options.commands and set(VENUES) <= set(options.venues):
            yield asyncio.run(
                run_splits(home / "splits", every=options.every, mutant=options.mutant)
            )
    if options.what in ("all", "together") and options.venue == EVERY_VENUE:
        yield asyncio.run(
            run_all_at_once(home / "together", every=options.every, mutant=options.mutant)
        )


def main() -> int:
    """Parse the command line and run; 0 when all is good (or a mutant was caught)."""
    options = _options()
    bad = 0
    with homes(options.keep) as home:
        for results in _tables(options, home):
            sys.stdout.write(show(results) + "\n")
            bad += sum(result.wrong is not None for result in results)
        if options.what in ("all", "storm") and HOUSE in options.venues:
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
