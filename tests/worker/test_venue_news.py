"""What a worker says of its venues reaches whoever asks, over a real Valkey."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bus.connection import Bus
from bus.served_venues import ServedVenuesOnBus
from domain.accounts import Network
from domain.circuits import UNANSWERED_MAX
from domain.outcomes import Unknown
from serving.settings import now
from serving.venue_news import say_venues
from tests.bus.valkey import running_valkey
from venues import registry
from venues.simulation.server import running_simulator
from venues.started import Connectors


async def test_each_served_venue_is_told_with_its_connected_networks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running_valkey() as valkey:
        bus = Bus(valkey.url)
        news = ServedVenuesOnBus(bus)
        connectors = Connectors(frozenset({"hyperliquid"}))
        await say_venues(connectors, news)
        before = await news.read("hyperliquid")
        assert before is not None and before.connected == ()
        async with running_simulator() as simulator:
            monkeypatch.setenv("HYPERLIQUID_PAPER_URL", simulator.url)
            await connectors.connector("hyperliquid", Network.PAPER)
            await say_venues(connectors, news)
            said = await news.read("hyperliquid")
            for _ in range(UNANSWERED_MAX):
                connectors.note_outcome("hyperliquid", Network.PAPER, Unknown(reason="silence"))
            await say_venues(connectors, news)
            silent = await news.read("hyperliquid")
            await connectors.close()
        await bus.close()
    assert said is not None and said.connected == ("paper",)
    assert said.opening_refused == ()
    assert silent is not None and silent.opening_refused == ("paper",)
    assert said.sheet.fill_key == registry.load("hyperliquid").proofs.fill_key
    assert abs(now() - said.seen_at) < timedelta(seconds=20)
