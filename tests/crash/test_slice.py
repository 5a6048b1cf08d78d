"""A seeded slice of the crash matrix and of the storm; the whole of both is `make crash`.

All of it on one stack that serves every venue there is. CRASH_SEED chooses another slice.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.crash.all_at_once import AllAtOnce, all_cells
from tests.crash.fills_first import run_fills_first
from tests.crash.ground import Party, join
from tests.crash.late_requests import run_late_requests
from tests.crash.matrix import GAPS, Cell, CellResult, Matrix, cells
from tests.crash.native import NativeBrackets
from tests.crash.rig import WITHOUT_FENCE, Rig
from tests.crash.storm import Storm
from tests.crash.trader import Trader
from venues import registry

SEED = int(os.environ.get("CRASH_SEED", "20261125"))
STORM_ORDERS = 8
LOST_ANSWERS = "all: venue applied | answer read"

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with Rig(tmp_path_factory.mktemp("crash") / "home", venues=registry.names()) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parties(rig: Rig) -> list[Party]:
    return [await join(rig, venue) for venue in rig.venues]


@pytest.fixture
def source(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(f"{SEED}/{request.node.name}")


def good(results: list[CellResult]) -> None:
    wrong = [f"{result.cell}: {result.wrong}" for result in results if result.wrong]
    assert not wrong, f"seed {SEED}:\n" + "\n".join(wrong)


async def test_a_command_is_killed_between_two_of_its_steps(
    rig: Rig, parties: list[Party], source: random.Random
) -> None:
    """A cancel or a modify, at a venue of the seed's choice; placements die in the tests below."""
    party = source.choice(parties)
    chosen = source.choice([one for one in cells(party.venue) if one.command != "place"])
    good([await Matrix(rig, party, first=100).run(chosen)])


async def test_an_order_on_every_venue_survives_that_everything_dies(
    rig: Rig, parties: list[Party], source: random.Random
) -> None:
    results = await AllAtOnce(rig, parties).run(source.choice(all_cells()))
    assert [result.cell.venue for result in results] == list(registry.names())
    good(results)


async def test_fills_and_requests_that_come_out_of_turn(
    rig: Rig, parties: list[Party], source: random.Random
) -> None:
    runs = [*run_fills_first(rig, source.choice(parties))]
    late = [*run_late_requests(rig, source.choice(parties))]
    chosen = [source.choice(runs), late[0]]
    for run in (*runs, *late):
        if run not in chosen:
            run.close()
    good([await run for run in chosen])


async def test_a_native_bracket_ends_while_all_is_dead_and_a_small_storm(rig: Rig) -> None:
    good([await NativeBrackets(rig).run_all_dead()])
    trader = Trader(rig.api_url, rig.home / "api-token")
    await trader.open_account(await rig.control("POST", "/accounts", {}), "storm")
    wrong = await Storm(rig, trader, seed=SEED, say=lambda text: None).run(STORM_ORDERS)
    assert not wrong, f"seed {SEED}:\n" + "\n".join(wrong)


async def test_without_a_fence_what_was_never_sent_is_not_placed_again(
    rig: Rig, source: random.Random
) -> None:
    """A worker that knows of no fence, killed between the ledger's commit and the first byte."""
    await rig.become(WITHOUT_FENCE)
    venue = source.choice(rig.venues)
    cell = Cell(command="place", gap=GAPS[0], kill="worker", venue=venue)
    good([await Matrix(rig, await join(rig, venue)).run(cell)])


async def test_without_the_ledger_every_venue_has_an_order_twice(rig: Rig) -> None:
    """The matrix would prove nothing of a venue on which it did not notice this."""
    await rig.become("always-inserted")
    parties = [await join(rig, venue) for venue in rig.venues]
    (cell, *_) = [one for one in all_cells() if one.gap == LOST_ANSWERS]
    results = await AllAtOnce(rig, parties).run(cell)
    unnoticed = [result.cell.venue for result in results if not result.wrong]
    assert not unnoticed, f"without the ledger nothing was wrong on {', '.join(unnoticed)}"
    for result in results:
        assert "expected 1 orders" in (result.wrong or ""), result
