"""Connectors, clocks and chores: what the composition keeps running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.accounts import Account, Network
from domain.errors import InvalidInput, Unavailable, VenueUnavailable
from serving.chores import again, save_markets
from tests.activities.floor import until
from tests.api.serving import account
from venues.simulation.faults import FaultKind
from venues.simulation.server import RunningSimulator
from venues.started import ClockOffset, Connectors


@pytest.fixture
async def connectors(
    exchange: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Connectors]:
    monkeypatch.setenv("HYPERLIQUID_PAPER_URL", exchange.url)
    opened = Connectors(frozenset({"hyperliquid"}))
    yield opened
    await opened.close()


async def test_a_connector_is_started_once(connectors: Connectors) -> None:
    wanted = [connectors.connector("hyperliquid", Network.PAPER) for _ in range(5)]

    started = await asyncio.gather(*wanted)

    assert len(set(map(id, started))) == 1
    assert connectors.started() == (started[0],)


async def test_a_venue_it_does_not_serve_is_refused(connectors: Connectors) -> None:
    with pytest.raises(InvalidInput, match="does not serve"):
        await connectors.connector("lighter", Network.PAPER)


async def test_a_connector_that_cannot_start_is_tried_again(
    connectors: Connectors, exchange: RunningSimulator
) -> None:
    exchange.faults.add(FaultKind.MAINTENANCE, count=None)
    with pytest.raises(VenueUnavailable):
        await connectors.connector("hyperliquid", Network.PAPER)
    assert connectors.started() == ()

    exchange.faults.clear()

    assert await connectors.connector("hyperliquid", Network.PAPER)


async def test_the_clock_is_measured_where_accounts_are(
    connectors: Connectors, exchange: RunningSimulator
) -> None:
    await connectors.measure_clock((account(),))
    assert connectors.clock_refusal("hyperliquid", Network.PAPER) is None, "nothing is started"
    await connectors.connector("hyperliquid", Network.PAPER)

    exchange.exchange.shift_clock(-700)
    await connectors.measure_clock((account(), replace(account(), account_id="b")))

    refusal = connectors.clock_refusal("hyperliquid", Network.PAPER)
    assert refusal is not None
    assert "our clock is +0." in refusal
    assert connectors.clock_refusal("hyperliquid", Network.TESTNET) is None
    exchange.exchange.shift_clock(0)
    await connectors.measure_clock((account(),))
    assert connectors.clock_refusal("hyperliquid", Network.PAPER) is None


async def test_a_venue_that_is_away_keeps_no_other_from_being_read(
    connectors: Connectors, exchange: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[tuple[str, int]] = []

    class Markets:
        async def save(self, network: Network, markets: Any, *, seen_at: datetime) -> None:
            saved.append((network.value, len(markets)))

    async def away(*_: Any, **__: Any) -> Any:
        raise VenueUnavailable("away")

    for network in (Network.TESTNET, Network.PAPER):
        monkeypatch.setenv(f"HYPERLIQUID_{network.upper()}_URL", exchange.url)
        await connectors.connector("hyperliquid", network)
    first = connectors.started()[0]
    assert first.network is Network.TESTNET
    for name in ("instruments", "venue_time"):
        monkeypatch.setattr(first, name, away)
    markets: Any = Markets()
    with pytest.raises(VenueUnavailable):
        await save_markets(markets, connectors)
    assert [network for network, _ in saved] == ["paper"]
    accounts = (replace(account(), network=Network.TESTNET), account())
    with pytest.raises(VenueUnavailable):
        await connectors.measure_clock(accounts)
    assert connectors.clock("hyperliquid", Network.TESTNET) is None
    measured = connectors.clock("hyperliquid", Network.PAPER)
    assert measured is not None
    with pytest.raises(VenueUnavailable):
        await connectors.measure_clock(accounts, only_new=True)
    assert connectors.clock("hyperliquid", Network.PAPER) == measured, "it was measured before"


@pytest.mark.parametrize(
    ("before_s", "after_s", "beyond"),
    [(0, 0, False), (0.6, 0.6, True), (-0.6, -0.6, True), (-2, 3, False), (0.45, 0.65, False)],
)
def test_a_slow_answer_proves_no_wrong_clock(before_s: float, after_s: float, beyond: bool) -> None:
    venue_time = datetime.now(UTC)
    measured = ClockOffset.of(
        venue_time + timedelta(seconds=before_s),
        venue_time,
        venue_time + timedelta(seconds=after_s),
    )
    assert measured.is_beyond_bound is beyond


@pytest.mark.parametrize(("ours_s", "beyond"), [(0.0, False), (0.9, False), (1.6, True)])
def test_a_clock_told_in_whole_seconds_is_judged_by_what_it_can_say(
    ours_s: float, beyond: bool
) -> None:
    told = datetime.now(UTC).replace(microsecond=0)
    ours = told + timedelta(seconds=ours_s)
    measured = ClockOffset.of(ours, told, ours, step_s=1.0)
    assert measured.is_beyond_bound is beyond
    assert not measured.tells_nothing
    late = ClockOffset.of(ours, told, ours + timedelta(seconds=1.2), step_s=1.0)
    assert late.tells_nothing


async def test_of_several_slow_answers_the_quickest_counts(
    connectors: Connectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = await connectors.connector("hyperliquid", Network.PAPER)
    pauses = [0.3, 0.4, 0.0]

    async def late(asked: Account) -> datetime:
        await asyncio.sleep(pauses.pop(0))
        return datetime.now(UTC) - timedelta(seconds=0.62)

    monkeypatch.setattr(connector, "venue_time", late)
    await connectors.measure_clock((account(),))

    assert pauses == []
    refusal = connectors.clock_refusal("hyperliquid", Network.PAPER)
    assert "+0.6" in (refusal or "")

    pauses += [1.1, 1.2, 1.3]
    await connectors.measure_clock((account(),))

    assert pauses == []
    assert connectors.clock_refusal("hyperliquid", Network.PAPER) == refusal, "it told nothing new"


async def test_a_chore_survives_what_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("serving.chores.RETRY_S", 0.01)
    done: list[int] = []

    async def work() -> None:
        done.append(len(done))
        if len(done) in (1, 2):
            raise Unavailable("the database does not answer")

    chore = asyncio.create_task(again("test", 0.02, work))
    await until(lambda: len(done) > 4, what="the chore to go on")
    chore.cancel()

    assert capsys.readouterr().out.count("chore failed") == 1, "said once, not at each attempt"


async def test_a_chore_does_not_hide_a_mistake() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await again("test", 1.0, work)
