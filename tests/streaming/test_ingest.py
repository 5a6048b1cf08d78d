"""Feeds and catching up against the simulated Hyperliquid, with real storage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import AccountState, Network
from domain.commands import CommandKind
from domain.errors import VenueUnavailable
from domain.ledger import CommandKey
from domain.orders import OrderStatus, TimeInForce
from domain.ports import Folded, OrderStore
from streaming import ingest as ingest_module
from streaming.budget import LISTING_COST, LOOKUP_COST, BudgetRule, ReadBudget
from streaming.catch_up import Cadence, CatchUp
from streaming.connectors import Connectors
from streaming.fallback_source import own_sources
from streaming.freshness import FreshnessBoard
from streaming.ingest import Ingest
from streaming.intake import Intake
from streaming.market_feeds import MarketFeeds
from streaming.marks import Marks
from streaming.positions import PositionBoard
from tests.streaming.doubles import Away, Blind, Breaking, Forgetful
from tests.streaming.floor import Floor, open_floor
from tests.streaming.stage import Stage, order_id
from venues import registry
from venues.simulation.faults import FaultKind

NEVER_S = 3600.0


@dataclass
class Followed:
    """The parts under test, at work."""

    intake: Intake
    catch_up: CatchUp
    ingest: Ingest
    board: FreshnessBoard
    folded: list[Folded] = field(default_factory=list)


@pytest.fixture
async def floor(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Floor]:
    async with open_floor(stage) as made:
        monkeypatch.setenv("HYPERLIQUID_PAPER_URL", made.sim.url)
        yield made


@asynccontextmanager
async def following(
    stage: Stage,
    *,
    store: OrderStore | None = None,
    cadence: Cadence | None = None,
    load: Any = registry.load,
    hold_s: float = 5.0,
) -> AsyncIterator[Followed]:
    orders = store or stage.orders
    folded: list[Folded] = []
    connectors = Connectors(load)
    board = FreshnessBoard(asyncio.get_running_loop().time)
    intake = Intake(orders, folded.append, hold_s=hold_s)
    positions = PositionBoard(
        stage.positions, Marks(MarketFeeds(own_sources(load, connectors))), lambda: None
    )
    catch_up = CatchUp(
        orders,
        intake,
        positions,
        stage.positions,
        connectors,
        ReadBudget(BudgetRule()),
        cadence=cadence
        or Cadence(live_s=NEVER_S, stale_s=NEVER_S, retry_first_s=0.05, retry_max_s=0.1),
    )
    ingest = Ingest(stage.accounts, load, intake, positions, catch_up, board, refresh_s=0.2)
    tasks = [asyncio.create_task(part.run()) for part in (intake, catch_up, ingest)]
    try:
        yield Followed(intake=intake, catch_up=catch_up, ingest=ingest, board=board, folded=folded)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks), [t for t in tasks if not t.cancelled()]
        await connectors.close()


async def until(condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
    """Wait until an asynchronous or plain condition holds."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.01)


async def is_live(followed: Followed, account_id: str = "acc-1") -> None:
    """Wait until the feed is live and the gap behind it is closed."""
    await until(lambda: followed.board.of(account_id).live)

    def is_idle() -> bool:
        kept = followed.catch_up._followed[account_id]
        return kept.done > 0 and not kept.reading and kept.due > asyncio.get_running_loop().time()

    await until(is_idle)


def status_is(floor: Floor, number: int, status: OrderStatus) -> Callable[[], Any]:
    async def check() -> bool:
        return (await floor.stage.order(number)).status is status

    return check


def filled_is(floor: Floor, number: int, quantity: str) -> Callable[[], Any]:
    async def check() -> bool:
        booked = await floor.stage.orders.fill_total(order_id(number))
        found = await floor.stage.order(number)
        return booked.quantity == found.filled_quantity == Decimal(quantity)

    return check


async def test_what_happens_at_the_venue_comes_by_feed(floor: Floor, stage: Stage) -> None:
    await floor.open_account()
    async with following(stage) as followed:
        await is_live(followed)
        passes = dict(followed.catch_up.passes())
        await floor.send(1, quantity="2")
        await floor.fill(1, "0.5")
        await until(filled_is(floor, 1, "0.5"))
        await floor.fill(1)
        await until(filled_is(floor, 1, "2"))
        assert (await stage.order(1)).status is OrderStatus.FILLED
        await floor.send(2)
        await floor.cancel(2)
        await until(status_is(floor, 2, OrderStatus.CANCELED))
        assert followed.catch_up.passes() == passes, "without reading the account again"
        assert {f.order.order_id for f in followed.folded} == {order_id(1), order_id(2)}
        assert any(f.delivery_id is not None for f in followed.folded)


async def test_fill_before_answer(floor: Floor, stage: Stage) -> None:
    """The worker died before it kept the outcome: the feed alone tells of the order."""
    await floor.open_account()
    async with following(stage) as followed:
        await is_live(followed)
        result = await floor.send(
            1, price=floor.bid * 2, time_in_force=TimeInForce.IOC, decide=False
        )
        await until(status_is(floor, 1, OrderStatus.FILLED))
        await until(filled_is(floor, 1, "1"))
        # The answer that comes late changes nothing.
        key = CommandKey(order_id=order_id(1), command=CommandKind.PLACE, revision=0)
        late = await stage.ledger.decide(key, result)
        assert (late.status, late.filled_quantity) == (OrderStatus.FILLED, Decimal(1))


async def test_missed_fills_are_caught_up_exactly_once(floor: Floor, stage: Stage) -> None:
    await floor.open_account()
    async with following(stage) as followed:
        await is_live(followed)
        await floor.send(1, quantity="1")
        await floor.send(2, quantity="1")
        await floor.send(3, quantity="1")
        await floor.fill(1, "0.1")
        await until(filled_is(floor, 1, "0.1"))
        await floor.control("/maintenance", {"on": True})
        await until(lambda: not followed.board.of("acc-1").live)
        await floor.fill(1, "0.2")
        await floor.fill(1, "0.3")
        await floor.fill(2)
        await floor.control("/maintenance", {"on": False})
        await until(filled_is(floor, 1, "0.6"))
        await until(filled_is(floor, 2, "1"))
        await until(lambda: followed.board.of("acc-1").live)
        await floor.fill(1)
        await until(status_is(floor, 1, OrderStatus.FILLED))
        await until(filled_is(floor, 1, "1"))
        assert (await stage.order(3)).status is OrderStatus.ACCEPTED
    booked = [*await stage.orders.fills(order_id(1)), *await stage.orders.fills(order_id(2))]
    witness = await floor.fills_at_venue()
    assert len({fill.trade_id for fill in booked}) == len(booked) == len(witness)


async def test_sockets_cut_again_and_again_lose_and_double_nothing(
    floor: Floor, stage: Stage
) -> None:
    await floor.open_account()
    async with following(stage) as followed:
        await is_live(followed)
        await floor.send(1, quantity="1")
        for _ in range(5):
            await floor.fill(1, "0.1")
            await floor.cut()
            await floor.fill(1, "0.1")
        await until(filled_is(floor, 1, "1"), 60)
        assert (await stage.order(1)).status is OrderStatus.FILLED
    assert len(await stage.orders.fills(order_id(1))) == len(await floor.fills_at_venue())


async def test_canceled_while_nobody_listened_is_found_by_look_up(
    floor: Floor, stage: Stage
) -> None:
    await floor.open_account()
    await floor.send(1)
    await floor.send(2)
    await floor.cancel(1)
    assert (await stage.order(1)).status is OrderStatus.ACCEPTED
    async with following(stage) as followed:
        await is_live(followed)
        await until(status_is(floor, 1, OrderStatus.CANCELED))
        assert (await stage.order(2)).status is OrderStatus.ACCEPTED


async def test_orders_and_fills_from_before_the_start_are_found(floor: Floor, stage: Stage) -> None:
    await floor.open_account()
    await floor.send(1, decide=False)
    await floor.send(2, price=floor.bid * 2, time_in_force=TimeInForce.IOC, decide=False)
    assert (await stage.order(1)).status is OrderStatus.SUBMITTED
    async with following(stage):
        await until(status_is(floor, 1, OrderStatus.ACCEPTED))
        await until(filled_is(floor, 2, "1"))


async def test_duplicated_and_reordered_frames(floor: Floor, stage: Stage) -> None:
    await floor.open_account()
    async with following(stage) as followed:
        await is_live(followed)
        floor.sim.faults.add(FaultKind.DUPLICATE, count=None)
        floor.sim.faults.add(FaultKind.REORDER, count=None)
        for number in (1, 2, 3):
            await floor.send(number, quantity="1")
            await floor.fill(number, "0.4")
            await floor.fill(number)
        for number in (1, 2, 3):
            await until(filled_is(floor, number, "1"))
            assert (await stage.order(number)).status is OrderStatus.FILLED
    booked = [f for n in (1, 2, 3) for f in await stage.orders.fills(order_id(n))]
    assert len(booked) == len(await floor.fills_at_venue())


async def test_a_second_account_is_followed_without_disturbing_the_first(
    floor: Floor, stage: Stage
) -> None:
    await floor.open_account("acc-1")
    async with following(stage) as followed:
        await is_live(followed)
        await floor.open_account("acc-2")
        followed.ingest.wake()
        await is_live(followed, "acc-2")
        assert followed.catch_up.passes()["acc-1"] >= 1
        await floor.send(1, account_id="acc-1")
        await floor.send(2, account_id="acc-2")
        await floor.fill(1)
        await floor.fill(2)
        await until(filled_is(floor, 1, "1"))
        await until(filled_is(floor, 2, "1"))
        await stage.accounts.set_state("acc-2", AccountState.REMOVED, reason="gone", signer=None)
        followed.ingest.wake()
        await until(lambda: "acc-2" not in followed.catch_up.passes())
        assert not followed.board.of("acc-2").live
        assert followed.board.of("acc-1").live


async def test_orders_of_nobody_are_counted_and_labelled_nothing(
    floor: Floor, stage: Stage
) -> None:
    """An order that our ledger does not know: placed by other means on the same account."""
    await floor.open_account()
    forgetful: Any = Forgetful(stage.ledger)
    elsewhere = Stage(stage.orders, stage.accounts, forgetful, stage.positions)
    strange = Floor(
        sim=floor.sim,
        stage=elsewhere,
        connector=floor.connector,
        http=floor.http,
        access=floor.access,
        bid=floor.bid,
    )
    async with following(stage, hold_s=0.3) as followed:
        await is_live(followed)
        await strange.send(9, decide=False)
        await until(lambda: followed.intake.held > 0)
        await until(lambda: followed.intake.unmatched > 0)
        await until(lambda: followed.intake.held == 0)
    assert await stage.orders.get(order_id(9)) is None
    assert await stage.orders.last_sequence("acc-1") == 0


async def test_a_report_that_overtakes_our_own_commit_is_matched_when_it_comes(
    floor: Floor, stage: Stage
) -> None:
    await floor.open_account()
    blind = Blind(stage.orders)
    async with following(stage, store=blind) as followed:
        await is_live(followed)
        blind.sees_nothing = True
        await floor.send(1, decide=False)
        await until(lambda: followed.intake.held > 0)
        blind.sees_nothing = False
        await until(status_is(floor, 1, OrderStatus.ACCEPTED))
        await until(lambda: followed.intake.held == 0)
        assert followed.intake.unmatched == 0


async def test_while_storage_is_away_the_venue_keeps_it_for_us(floor: Floor, stage: Stage) -> None:
    await floor.open_account()
    away = Away(stage.orders)
    async with following(stage, store=away) as followed:
        await is_live(followed)
        await floor.send(1)
        await until(status_is(floor, 1, OrderStatus.ACCEPTED))
        away.is_away = True
        await floor.fill(1, "0.5")
        await until(lambda: away.refused >= 2)
        away.is_away = False
        await until(filled_is(floor, 1, "0.5"))
        assert followed.board.of("acc-1").live


async def test_while_the_venue_refuses_queries_they_are_repeated(
    floor: Floor, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await floor.open_account()
    await floor.send(1)
    await floor.fill(1, "0.5")
    caplog.set_level(logging.INFO, logger="streaming.catch_up")
    floor.sim.faults.add(FaultKind.ERROR_BEFORE_APPLY, count=3, action="userFillsByTime")
    async with following(stage):
        await until(filled_is(floor, 1, "0.5"))
        await until(lambda: "read again" in caplog.text)
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1, "said once, not at every try"


async def test_a_silent_feed_is_made_up_for_by_reading(floor: Floor, stage: Stage) -> None:
    await floor.open_account()
    cadence = Cadence(live_s=0.3, stale_s=0.3)
    async with following(stage, cadence=cadence) as followed:
        await is_live(followed)
        await floor.send(1)
        floor.sim.faults.add(FaultKind.STALL, count=None)
        await floor.fill(1, "0.25")
        await until(filled_is(floor, 1, "0.25"))


async def test_accounts_of_unknown_venues_do_not_stop_the_others(
    floor: Floor, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.add_account("strange", venue="nowhere")
    await floor.open_account()
    async with following(stage) as followed:
        await is_live(followed)
        followed.ingest.wake()
        await floor.send(1)
        await floor.fill(1)
        await until(filled_is(floor, 1, "1"))
    assert caplog.text.count("accounts cannot be followed") == 1


async def test_a_feed_that_breaks_is_followed_anew(
    floor: Floor, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_module, "RESTART_FIRST_S", 0.02)
    await floor.open_account()
    spec = Breaking(registry.load("hyperliquid"))
    async with following(stage, load=lambda venue: spec) as followed:
        await is_live(followed)
        await floor.send(1)
        await floor.fill(1)
        await until(filled_is(floor, 1, "1"))
    assert spec.broken == 2


async def test_a_connector_that_does_not_start_is_tried_again(floor: Floor, stage: Stage) -> None:
    await floor.open_account()
    floor.sim.faults.add(FaultKind.ERROR_BEFORE_APPLY, count=2, action="meta")
    connectors = Connectors(registry.load)
    with pytest.raises(VenueUnavailable):
        for _ in range(3):
            await connectors.of("hyperliquid", Network.PAPER)
    floor.sim.faults.clear()
    first = await connectors.of("hyperliquid", Network.PAPER)
    assert await connectors.of("hyperliquid", Network.PAPER) is first
    await connectors.close()


async def test_reading_is_paced_by_the_budget(floor: Floor, stage: Stage) -> None:
    await floor.open_account()
    intake = Intake(stage.orders, lambda folded: None)
    connectors = Connectors(registry.load)
    spent: list[float] = []

    class Counting(ReadBudget):
        async def spend(self, venue: str, network: Any, cost: float) -> None:
            spent.append(cost)
            await super().spend(venue, network, cost)

    await floor.send(1)
    await floor.send(2)
    await floor.cancel(2)
    account = await stage.accounts.get("acc-1")
    assert account is not None
    positions = PositionBoard(
        stage.positions, Marks(MarketFeeds(own_sources(registry.load, connectors))), lambda: None
    )
    reading = CatchUp(
        stage.orders, intake, positions, stage.positions, connectors, Counting(BudgetRule())
    )
    await reading.follow(account)
    await reading.read("acc-1")
    assert spent == [
        LISTING_COST,
        LISTING_COST,
        LISTING_COST,
        LOOKUP_COST,
        LOOKUP_COST,
    ], "three listings and one look for the account, one for the one order that is not open"
    await connectors.close()
