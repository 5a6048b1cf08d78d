from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from bus.connection import Bus
from tests.bus.valkey import ValkeyProcess, running_valkey


@pytest.fixture
def valkey_process() -> Iterator[ValkeyProcess]:
    with running_valkey() as server:
        yield server


@pytest.fixture
async def bus(valkey_process: ValkeyProcess) -> AsyncIterator[Bus]:
    made = Bus(valkey_process.url)
    yield made
    await made.close()
