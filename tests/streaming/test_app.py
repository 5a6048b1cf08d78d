"""The parts put together in one process, with a sink double, a real Valkey and real storage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from bus.connection import Bus
from bus.market_requests import MarketRequests
from bus.nudges import NudgeKind, NudgePublisher
from domain.accounts import Network
from domain.conditions import Crossing
from domain.guard_steps import after_look
from domain.guarding import GuardState
from domain.orders import Verdict
from storage.opening import Storage
from streaming.app import StreamingApp, StreamingParts
from streaming.catch_up import Cadence
from streaming.handshake import LOOPBACK_HOSTS
from streaming.tokens import FileToken
from tests.bus.valkey import ValkeyProcess, running_valkey
from tests.domain.guard_building import LONG, a_guard, a_look
from tests.streaming.floor import Floor, open_floor
from tests.streaming.sockets import TOKEN, Served, hear, subscribed
from tests.streaming.stage import Stage, order_id
from tests.streaming.test_bridge import Workflows
from tests.streaming.test_ingest import filled_is, until
from venues import registry


class Crossings:
    """Guards that hear of crossings."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Crossing]] = []
        self.moves: list[str] = []

    async def crossed(self, condition_id: str, crossing: Crossing) -> bool:
        self.told.append((condition_id, crossing))
        return True

    async def moved(self, condition_id: str) -> bool:
        self.moves.append(condition_id)
        return True


@pytest.fixture
async def floor(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Floor]:
    async with open_floor(stage) as made:
        monkeypatch.setenv("HYPERLIQUID_PAPER_URL", made.sim.url)
        yield made


@asynccontextmanager
async def working(
    storage: Storage,
    workflows: Workflows,
    valkey: ValkeyProcess,
    crossings: Crossings | None = None,
) -> AsyncIterator[tuple[StreamingApp, Served]]:
    bus = Bus(valkey.url)
    app = StreamingApp(
        StreamingParts(
            orders=storage.orders,
            accounts=storage.accounts,
            positions=storage.positions,
            load=registry.load,
            sink=workflows,
            conditions=storage.conditions,
            crossings=crossings or Crossings(),
            bus=bus,
            authenticator=FileToken(lambda: TOKEN),
            hosts=LOOPBACK_HOSTS,
            cadence=Cadence(live_s=3600, stale_s=3600),
        )
    )
    storage.on_change(app.storage_changed)
    port = await app.start("127.0.0.1", 0)
    task = asyncio.create_task(app.run())
    try:
        yield app, Served(server=app.server, board=app.board, port=port)
    finally:
        await app.drain()
        task.cancel()
        await asyncio.wait([task])
        await app.close()
        await bus.close()


async def test_from_the_venue_to_storage_workflow_and_socket(
    floor: Floor, stage: Stage, storage: Storage
) -> None:
    await floor.open_account()
    workflows = Workflows()
    with running_valkey() as valkey:
        async with working(storage, workflows, valkey) as (app, served):
            await until(lambda: app.board.of("acc-1").live)
            async with subscribed(served) as client:
                await floor.send(1)
                await floor.fill(1)
                await until(filled_is(floor, 1, "1"))
                await until(lambda: bool(workflows.heard[order_id(1)]))
                assert workflows.heard[order_id(1)][-1].filled_quantity == 1
                statuses: list[str] = []
                while "FILLED" not in statuses:
                    update = await hear(client)
                    assert update["type"] == "update"
                    statuses.append(update["order"]["status"])
                await floor.control("/maintenance", {"on": True})
                while (status := await hear(client))["type"] != "status":
                    assert status["type"] == "update"
                assert status["stale"] is True


async def test_the_bus_wakes_what_other_processes_changed(
    floor: Floor, stage: Stage, storage: Storage
) -> None:
    workflows = Workflows()
    with running_valkey() as valkey:
        async with working(storage, workflows, valkey) as (app, _):
            bus = Bus(valkey.url)
            async with NudgePublisher(bus) as publisher:
                await floor.open_account()
                publisher.nudge("acc-1", NudgeKind.ACCOUNT)
                await until(lambda: app.board.of("acc-1").live)
                await stage.place(1)
                await stage.report(1, Verdict.REJECTED)
                publisher.nudge("acc-1")
                await until(lambda: bool(workflows.heard[order_id(1)]))
                book = await MarketRequests(bus).request_book(
                    "hyperliquid", Network.PAPER, "BTC-PERP", 3
                )
                assert len(book.asks) == 3
            await bus.close()


async def test_a_crossing_at_the_exchange_is_told_to_its_guard(
    floor: Floor, stage: Stage, storage: Storage
) -> None:
    await floor.open_account()
    tickers = {ticker.symbol: ticker for ticker in await floor.connector.tickers()}
    mark_price = tickers["BTC-PERP"].mark_price
    assert mark_price is not None
    held = replace(LONG, entry_price=mark_price)
    plan = a_guard(account_id="acc-1", created_at=datetime.now(UTC))
    first = a_look(mark_price, position=held, at=datetime.now(UTC))
    state = after_look(GuardState(plan=plan), first, datetime.now(UTC))
    await storage.conditions.keep(state)
    crossings = Crossings()

    async def is_watched() -> bool:
        kept = await storage.conditions.get(plan.condition_id)
        return kept is not None and kept.watch is not None

    with running_valkey() as valkey:
        async with working(storage, Workflows(), valkey, crossings):
            async with asyncio.timeout(20):
                while not await is_watched():
                    await asyncio.sleep(0.05)
            assert not crossings.told
            price = str((mark_price * Decimal("1.12")).quantize(Decimal(1)))
            await floor.control("/price", {"symbol": "BTC", "price": price})
            await until(lambda: bool(crossings.told), 20.0)

    condition_id, crossing = crossings.told[0]
    assert condition_id == plan.condition_id
    assert crossing.price == Decimal(price)
