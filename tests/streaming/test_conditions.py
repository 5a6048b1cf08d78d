"""Conditions evaluated on marks that the test plays: what is told, how often, and what is not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import Network
from domain.conditions import ConditionKind, Conditions, Crossing, Trail
from domain.errors import Unavailable
from domain.guard_steps import after_look, changed, finished
from domain.guarding import GuardState, GuardStatus
from domain.identifiers import order_id_for
from storage.net_positions import SqlNetPositions
from storage.opening import Storage
from streaming.conditions import TELL_AGAIN_S, ConditionWatch
from streaming.marks import Listener, Mark, MarketKey
from tests.domain.guard_building import LONG, a_guard, a_look
from tests.streaming.building import T0
from tests.streaming.doubles import Away
from tests.streaming.stage import Stage
from tests.streaming.test_ingest import until

BTC = MarketKey("hyperliquid", Network.PAPER, "BTC-PERP")


class PlayedMarks:
    """Marks that the test says."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.wanted: list[MarketKey] = []
        self.live = True

    def listen(self, listener: Listener) -> None:
        self.listeners.append(listener)

    def want(self, key: MarketKey) -> None:
        self.wanted.append(key)

    def release(self, key: MarketKey) -> None:
        self.wanted.remove(key)

    def is_live(self, venue: str, network: Network) -> bool:
        return self.live


class Guards:
    """Workflows that hear of crossings."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Crossing]] = []
        self.moves: list[str] = []
        self.away = 0
        self.exist = True

    async def crossed(self, condition_id: str, crossing: Crossing) -> bool:
        if self.away:
            self.away -= 1
            raise Unavailable("Temporal does not answer")
        self.told.append((condition_id, crossing))
        return self.exist

    async def moved(self, condition_id: str) -> bool:
        self.moves.append(condition_id)
        return True


class Scene:
    """A watch over a real database, with a clock and marks of the test's."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.store: Any = Away(storage.conditions)
        self.marks = PlayedMarks()
        self.guards = Guards()
        self.time = T0
        self.watch = self.another()

    def another(self) -> ConditionWatch:
        marks: Any = self.marks
        return ConditionWatch(
            self.store,
            marks,
            self.guards,
            watcher="streaming test",
            now=lambda: self.time,
            clock=lambda: (self.time - T0).total_seconds(),
        )

    async def guard(self, key: str = "one", **plan: Any) -> GuardState:
        """Have a guard watch a long position of 2 entered at 100."""
        plan = {"condition_id": order_id_for("local", key), "account_id": "acc-1", **plan}
        state = after_look(GuardState(plan=a_guard(**plan)), a_look(at=T0), T0)
        assert state.status is GuardStatus.WATCHING
        kept = await self.storage.conditions.keep(state)
        await self.watch.reload()
        return kept

    async def mark(self, price: str | int, seconds: float = 1, **more: Any) -> list[ConditionKind]:
        """Say a mark so much later, tell; return what guards were told of."""
        self.time += timedelta(seconds=seconds)
        age = timedelta(seconds=more.pop("age", 0))
        index = Decimal(str(more.pop("index", price)))
        mark = Mark(price=Decimal(str(price)), index_price=index, received_time=self.time - age)
        before = len(self.guards.told)
        for listener in self.marks.listeners:
            listener(BTC, mark)
        await self.watch.tell()
        return [crossing.kind for _, crossing in self.guards.told[before:]]


@pytest.fixture
async def scene(storage: Storage, stage: Stage) -> Scene:
    await stage.add_account()
    return Scene(storage)


async def test_a_crossing_is_told_once_and_again_after_a_while(scene: Scene) -> None:
    state = await scene.guard()
    assert await scene.mark(100) == []
    assert await scene.mark(102) == []
    assert await scene.mark("104.5") == []
    for price in (107, 109):
        assert await scene.mark(price) == []

    assert await scene.mark("110") == [ConditionKind.PROFIT]
    assert await scene.mark("110.5") == []
    assert await scene.mark("110.5", TELL_AGAIN_S) == [ConditionKind.PROFIT]

    condition_id, crossing = scene.guards.told[0]
    assert condition_id == state.plan.condition_id
    assert (crossing.price, crossing.threshold) == (Decimal(110), Decimal(110))
    assert crossing.source == "stream"


async def test_one_that_was_over_is_told_anew(scene: Scene) -> None:
    await scene.guard(conditions=Conditions(profit_percent=Decimal(2)))

    assert await scene.mark(102) == [ConditionKind.PROFIT]
    assert await scene.mark(101) == []
    assert await scene.mark(102) == [ConditionKind.PROFIT]


@pytest.mark.parametrize("more", [{"age": 6}, {"index": 90}])
async def test_a_stale_or_lone_strange_mark_tells_nothing(
    scene: Scene, more: dict[str, Any]
) -> None:
    await scene.guard(conditions=Conditions(profit_percent=Decimal(2)))
    await scene.mark(100)

    assert await scene.mark("102.5", **more) == []


async def test_a_spike_tells_nothing_and_a_jump_that_stays_does(scene: Scene) -> None:
    await scene.guard()
    await scene.mark(100)

    assert await scene.mark(115) == []
    assert await scene.mark(100) == []
    assert await scene.mark(115) == []
    assert await scene.mark(115) == [ConditionKind.PROFIT]


async def test_what_cannot_be_told_is_told_later(scene: Scene) -> None:
    await scene.guard(conditions=Conditions(profit_percent=Decimal(2)))
    scene.guards.away = 1
    with pytest.raises(Unavailable):
        await scene.mark(102)

    await scene.watch.tell()
    await scene.watch.tell()

    assert len(scene.guards.told) == 1


async def test_a_trailing_stop_and_its_extreme(scene: Scene) -> None:
    state = await scene.guard(conditions=Conditions(trail=Trail(percent=Decimal(2))))
    for price in (100, 102, 104):
        assert await scene.mark(price) == []
    await scene.watch.keep_extremes()
    kept = await scene.storage.conditions.get(state.plan.condition_id)
    assert kept is not None
    assert kept.extreme is not None
    assert kept.extreme.price == 104

    assert await scene.mark("101.93") == []
    assert await scene.mark("101.92") == [ConditionKind.TRAIL]
    assert scene.guards.told[0][1].extreme == 104


async def test_another_process_goes_on_from_the_kept_extreme(scene: Scene) -> None:
    await scene.guard(conditions=Conditions(trail=Trail(percent=Decimal(2))))
    await scene.mark(102)
    await scene.mark(104)
    await scene.watch.keep_extremes()

    scene.marks.listeners.clear()
    scene.watch = scene.another()
    await scene.watch.reload()

    assert await scene.mark("101.9") == [ConditionKind.TRAIL]


async def test_watching_is_proven_only_on_fresh_marks(scene: Scene) -> None:
    state = await scene.guard()

    async def watched_at() -> Any:
        kept = await scene.storage.conditions.get(state.plan.condition_id)
        return None if kept is None or kept.watch is None else kept.watch.at

    await scene.watch.prove()
    assert await watched_at() is None, "no mark yet"
    await scene.mark(100)
    await scene.watch.prove()
    proven = scene.time
    assert await watched_at() == proven
    scene.time += timedelta(seconds=6)
    await scene.watch.prove()
    assert await watched_at() == proven, "the mark is stale"
    await scene.mark(100)
    scene.marks.live = False
    await scene.watch.prove()
    assert await watched_at() == proven, "the feed is down"


async def test_rows_come_change_and_go(scene: Scene) -> None:
    state = await scene.guard()
    other = await scene.guard("two")
    assert scene.marks.wanted == [BTC, BTC]
    await scene.mark(100)
    tighter = replace(state.plan, conditions=Conditions(profit_percent=Decimal(2)))
    await scene.storage.conditions.keep(changed(state, tighter, T0))
    await scene.storage.conditions.keep(finished(other, GuardStatus.CANCELED, "", T0))
    await scene.watch.reload()

    assert scene.marks.wanted == [BTC]
    assert await scene.mark(102) == [ConditionKind.PROFIT]
    kept = await scene.storage.conditions.get(state.plan.condition_id)
    assert kept is not None
    await scene.storage.conditions.keep(finished(kept, GuardStatus.CLOSED, "", T0))
    await scene.watch.reload()
    assert scene.marks.wanted == []
    assert await scene.mark(110) == []


async def test_what_is_set_is_evaluated_on_the_last_fresh_mark(scene: Scene) -> None:
    await scene.guard("other")
    await scene.mark(102)
    state = await scene.guard(conditions=Conditions(profit_percent=Decimal(2)))

    await scene.watch.tell()

    assert [condition_id for condition_id, _ in scene.guards.told] == [state.plan.condition_id]


async def test_a_position_that_our_books_count_otherwise_is_looked_at_once(scene: Scene) -> None:
    state = await scene.guard()
    counts = SqlNetPositions(scene.storage.database)
    for quantity, moves in ((LONG.quantity, 0), (Decimal(3), 1), (Decimal(3), 1), (Decimal(0), 2)):
        await counts.correct("acc-1", "BTC-PERP", quantity, "a fill")
        await scene.watch.reload()
        await scene.watch.tell()
        assert len(scene.guards.moves) == moves
    assert set(scene.guards.moves) == {state.plan.condition_id}


async def test_a_row_that_nobody_guards_is_only_logged(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.guard(conditions=Conditions(profit_percent=Decimal(2)))
    scene.guards.exist = False

    assert await scene.mark(102) == [ConditionKind.PROFIT]
    assert "nobody guards" in caplog.text


async def test_it_runs_through_a_database_and_workflows_that_are_away(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RELOAD_S", "PROOF_S", "KEEP_EXTREMES_S", "_PAUSE_FIRST_S"):
        monkeypatch.setattr(f"streaming.conditions.{name}", 0.02)
    state = await scene.guard(conditions=Conditions(profit_percent=Decimal(2)))
    scene.store.is_away = True
    running = asyncio.create_task(scene.watch.run())
    try:
        await until(lambda: scene.store.refused >= 3)
        scene.store.is_away = False
        scene.watch.wake()
        scene.guards.away = 2
        mark = Mark(price=Decimal(102), index_price=None, received_time=scene.time)
        scene.marks.listeners[0](BTC, mark)
        await until(lambda: len(scene.guards.told) == 1)

        async def is_watched() -> bool:
            kept = await scene.storage.conditions.get(state.plan.condition_id)
            return kept is not None and kept.watch is not None

        async with asyncio.timeout(10):
            while not await is_watched():
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        await asyncio.wait([running])
