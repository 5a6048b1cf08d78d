"""One stack for the whole room: started once, whole again after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.crash.trader import Trader
from tests.down.stage import DownRig, Stage
from tests.down.venue_door import venue_door
from tests.storage.postgres import name_of, start_postgres


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A stack with a funded account."""
    home: Path = tmp_path_factory.mktemp("down") / "home"
    with start_postgres() as postgres, pytest.MonkeyPatch.context() as environment:
        database_url = postgres.create_database()
        environment.setenv("DATABASE_URL", database_url)
        environment.setenv("WORKER_SWEEP_EVERY_S", "1")
        async with venue_door() as door, DownRig(home, door) as rig:
            environment.setenv("PERP_DEX_API_URL", rig.api_url)
            environment.setenv("PERP_DEX_API_TOKEN_FILE", str(rig.home / "api-token"))
            trader = Trader(rig.api_url, rig.home / "api-token")
            await trader.open_account(await rig.control("POST", "/accounts", {}), "down")
            other = Trader(rig.api_url, rig.home / "api-token")
            await other.open_account(await rig.control("POST", "/accounts", {}), "other")
            yield Stage(rig, door, trader, other, postgres, name_of(database_url))


@pytest_asyncio.fixture(loop_scope="package")
async def stage(whole: Stage) -> AsyncIterator[Stage]:
    """The whole stack; after the test everything is back, and nothing was lost or doubled."""
    yield whole
    await whole.until_all_is_back()
