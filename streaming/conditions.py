"""Evaluates conditional closes on fresh marks, and tells their guards of crossings.

Rows come from storage, at start and whenever something changed; that they are watched is proven
there every two seconds. A crossing is only ever told: the guard confirms it by itself. Stale,
crossed and lone spiking marks are no marks. Knows no Temporal: it is given a sink.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Protocol

from domain.condition_store import ActiveGuard, ConditionStore, MovedExtreme
from domain.conditions import Crossing, better, evaluate
from domain.errors import Unavailable
from domain.guarding import GuardState
from domain.mark_checks import FRESH, Judge, MarkReading, Trust
from streaming.marks import Mark, MarketKey, Marks

RELOAD_S: Final = 5.0
RELOAD_LEAST_S: Final = 0.1
PROOF_S: Final = 2.0
KEEP_EXTREMES_S: Final = 1.0
#: A crossing that still holds is told again after so long: the guard may not have believed it.
TELL_AGAIN_S: Final = 10.0
TOGETHER_MAX: Final = 16
_PAUSE_FIRST_S: Final = 0.2
_PAUSE_MAX_S: Final = 5.0

_log = logging.getLogger(__name__)


class ConditionSink(Protocol):
    """Where crossings go: the workflows of guards."""

    async def crossed(self, condition_id: str, crossing: Crossing) -> bool:
        """Tell a guard of a crossing; False: nobody guards this. Raises `Unavailable`."""
        ...

    async def moved(self, condition_id: str) -> bool:
        """Tell a guard that its position changed. As `crossed`."""
        ...


@dataclass(slots=True)
class _Watched:
    """One guard in memory. `told_at`: when its present crossing was told last."""

    state: GuardState
    key: MarketKey
    extreme: Decimal | None
    extreme_at: datetime | None = None
    told_at: float | None = None
    told_held: Decimal | None = None


class ConditionWatch:
    """Watches every active guard of the database."""

    def __init__(
        self,
        store: ConditionStore,
        marks: Marks,
        sink: ConditionSink,
        *,
        watcher: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._marks = marks
        self._sink = sink
        self._watcher = watcher or f"streaming {os.getpid()}"
        self._now = now
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._by_market: dict[MarketKey, set[str]] = {}
        self._judges: dict[MarketKey, Judge] = {}
        self._crossings: dict[str, Crossing] = {}
        self._moved: set[str] = set()
        self._extremes: set[str] = set()
        self._changed = asyncio.Event()
        self._to_tell = asyncio.Event()
        self._away: set[str] = set()
        #: Crossings and moves told to guards.
        self.signals = 0
        marks.listen(self._marked)

    @property
    def waiting(self) -> int:
        """How many crossings and moves have not been told yet."""
        return len(self._crossings) + len(self._moved)

    @property
    def watched(self) -> int:
        """How many conditional closes are watched."""
        return len(self._watched)

    def wake(self) -> None:
        """Look at storage now: conditions or positions changed."""
        self._changed.set()

    def stop(self) -> None:
        """Watch nothing any more, after `run` has ended: another process does."""
        for condition_id in list(self._watched):
            self._forget(condition_id)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reload_forever(), name="conditions-reload")
            tasks.create_task(self._tell_forever(), name="conditions-tell")
            tasks.create_task(self._every("proof", PROOF_S, self.prove), name="conditions-proof")
            tasks.create_task(
                self._every("extremes", KEEP_EXTREMES_S, self.keep_extremes),
                name="conditions-extremes",
            )

    # From storage

    async def _reload_forever(self) -> None:
        while True:
            self._changed.clear()
            await self._guarded("load", self.reload)
            # Every fold of an order wakes this: many at once are one look.
            await asyncio.sleep(RELOAD_LEAST_S)
            try:
                async with asyncio.timeout(RELOAD_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def reload(self) -> None:
        """Take over which guards are active, and what they are.

        Raises:
            Unavailable: storage does not answer.
        """
        active = {each.state.plan.condition_id: each for each in await self._store.active()}
        for condition_id in self._watched.keys() - active.keys():
            self._forget(condition_id)
        for condition_id, guard in active.items():
            self._take(condition_id, guard)

    def _take(self, condition_id: str, guard: ActiveGuard) -> None:
        state = guard.state
        stored = None if state.extreme is None else state.extreme.price
        known = self._watched.get(condition_id)
        if known is None:
            plan = state.plan
            key = MarketKey(plan.venue, plan.network, plan.symbol)
            known = self._watched[condition_id] = _Watched(state=state, key=key, extreme=stored)
            self._by_market.setdefault(key, set()).add(condition_id)
            self._marks.want(key)
        elif known.state.plan.version != state.plan.version:
            known.extreme, known.told_at = stored, None
        elif state.position is not None:
            known.extreme = better(state.position, known.extreme, stored)
        known.state = state
        self._compare(condition_id, known, guard.held)
        believed = self._judges.get(known.key, Judge()).believed
        if believed is not None and self._now() - believed.at <= FRESH:
            self._evaluate(condition_id, known, believed)

    def _compare(self, condition_id: str, known: _Watched, held: Decimal | None) -> None:
        """Tell a guard once whenever our own count of its position is another than its own."""
        position = known.state.position
        if held is None or position is None:
            return
        signed = position.quantity if position.is_long else -position.quantity
        if held == signed:
            known.told_held = None
        elif known.told_held != held:
            known.told_held = held
            self._moved.add(condition_id)
            self._to_tell.set()

    def _forget(self, condition_id: str) -> None:
        gone = self._watched.pop(condition_id)
        self._crossings.pop(condition_id, None)
        self._moved.discard(condition_id)
        self._extremes.discard(condition_id)
        others = self._by_market[gone.key]
        others.discard(condition_id)
        if not others:
            del self._by_market[gone.key]
            self._judges.pop(gone.key, None)
        self._marks.release(gone.key)

    # From marks

    def _marked(self, key: MarketKey, mark: Mark) -> None:
        watching = self._by_market.get(key)
        if not watching:
            return
        reading = MarkReading(
            price=mark.price,
            at=mark.received_time,
            index_price=mark.index_price,
            source=mark.source,
        )
        judge = self._judges.get(key, Judge())
        self._judges[key], trust = judge.judged(reading, self._now())
        if trust is not Trust.GOOD:
            _log.warning(
                "a mark that closes nothing",
                extra={"symbol": key.symbol, "price": str(mark.price), "trust": trust.value},
            )
            return
        for condition_id in watching:
            self._evaluate(condition_id, self._watched[condition_id], reading)

    def _evaluate(self, condition_id: str, known: _Watched, reading: MarkReading) -> None:
        state = known.state
        if state.position is None:
            return
        conditions = state.plan.conditions
        if conditions.trail is not None:
            best = better(state.position, known.extreme, reading.price)
            if best != known.extreme:
                known.extreme, known.extreme_at = best, reading.at
                self._extremes.add(condition_id)
        crossing = evaluate(
            conditions,
            state.position,
            reading.price,
            extreme=known.extreme,
            at=reading.at,
            source=reading.source,
        )
        if crossing is None:
            known.told_at = None
            return
        if known.told_at is None or self._clock() - known.told_at >= TELL_AGAIN_S:
            known.told_at = self._clock()
            self._crossings[condition_id] = crossing
            self._to_tell.set()

    # To guards

    async def _tell_forever(self) -> None:
        failures = 0
        while True:
            await self._to_tell.wait()
            self._to_tell.clear()
            if await self._guarded("tell", self.tell):
                failures = 0
                continue
            self._to_tell.set()
            await asyncio.sleep(min(_PAUSE_FIRST_S * 2**failures, _PAUSE_MAX_S))
            failures = min(failures + 1, 10)

    async def tell(self) -> None:
        """Tell what waits; what cannot be told now goes on waiting.

        Raises:
            Unavailable: some guards cannot be reached.
        """
        waiting = list(dict.fromkeys([*self._crossings, *self._moved]))
        failed: Unavailable | None = None
        for start in range(0, len(waiting), TOGETHER_MAX):
            told = await asyncio.gather(
                *(self._tell_one(each) for each in waiting[start : start + TOGETHER_MAX]),
                return_exceptions=True,
            )
            for outcome in told:
                if isinstance(outcome, Unavailable):
                    failed = outcome
                elif isinstance(outcome, BaseException):
                    raise outcome
        if failed is not None:
            raise failed

    async def _tell_one(self, condition_id: str) -> None:
        crossing = self._crossings.get(condition_id)
        if crossing is not None:
            if not await self._sink.crossed(condition_id, crossing):
                _log.warning("nobody guards a row", extra={"condition_id": condition_id})
            self.signals += 1
            if self._crossings.get(condition_id) is crossing:
                del self._crossings[condition_id]
        if condition_id in self._moved:
            await self._sink.moved(condition_id)
            self.signals += 1
            self._moved.discard(condition_id)

    # To storage

    async def prove(self) -> None:
        """Prove that what has a fresh, believable mark is watched.

        Raises:
            Unavailable: storage does not answer.
        """
        now = self._now()
        fresh = [
            condition_id
            for condition_id, known in self._watched.items()
            if self._is_fresh(known.key, now)
        ]
        await self._store.watched(fresh, by=self._watcher, at=now)

    def _is_fresh(self, key: MarketKey, now: datetime) -> bool:
        believed = self._judges.get(key, Judge()).believed
        is_live = self._marks.is_live(key.venue, key.network)
        return is_live and believed is not None and now - believed.at <= FRESH

    async def keep_extremes(self) -> None:
        """Keep the trailing extremes that moved.

        Raises:
            Unavailable: storage does not answer; they are kept next time.
        """
        waiting = frozenset(self._extremes)
        moved = [
            MovedExtreme(
                condition_id=condition_id,
                version=known.state.plan.version,
                price=known.extreme,
                at=known.extreme_at,
            )
            for condition_id in waiting
            if (known := self._watched.get(condition_id)) is not None
            and known.extreme is not None
            and known.extreme_at is not None
        ]
        await self._store.move_extremes(moved)
        kept = {each.condition_id: each.price for each in moved}
        for condition_id in waiting:
            now_known = self._watched.get(condition_id)
            if now_known is None or now_known.extreme == kept.get(condition_id):
                self._extremes.discard(condition_id)

    async def _every(self, what: str, pause_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._guarded(what, work)
            await asyncio.sleep(pause_s)

    async def _guarded(self, what: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Do `work`; what is away is logged once, and tried again."""
        try:
            await work()
        except Unavailable as error:
            if what not in self._away:
                _log.warning("conditions: %s not possible now: %s", what, error)
            self._away.add(what)
            return False
        self._away.discard(what)
        return True
