"""The watchdog over the simulated exchange: cancels, whatever is lost; ends when all is well."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities import watchdog as watchdog_module
from activities.emergency_halt import EmergencyHalt
from activities.watchdog import Watchdog
from domain.accounts import TradingAccess
from domain.dead_man import DeadManState, DeadManSwitch, Keeper
from domain.errors import Unavailable
from domain.halts import AccountSight
from tests.activities.floor import ACCOUNT_ID, Floor, an_order
from venues.simulation.faults import FaultKind


class Quick(EmergencyHalt):
    """One whose venue shows at once what it has taken."""

    async def clear_once(self, access: TradingAccess) -> AccountSight:
        return replace(await super().clear_once(access), visibility_delay_s=0.0)


class Heard:
    """An alarm that remembers."""

    def __init__(self) -> None:
        self.said: list[tuple[bool, str]] = []

    async def went_off(self, switch: DeadManSwitch, said: str, *, done: bool) -> None:
        self.said.append((done, said))


class Kept:
    """A switch of our own in the store, and the watchdog that looks at it."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.store = floor.storage.dead_man
        self.alarm = Heard()
        self.watchdog = Watchdog(
            switches=self.store,
            access=floor.access,
            halt=Quick(floor.parts(), floor.orders),
            alarm=self.alarm,
            now=lambda: datetime.now(UTC),
        )

    async def until(self, seconds: float) -> DeadManSwitch:
        """Keep a switch whose time is in so many seconds."""
        wanted = await self.store.want(ACCOUNT_ID, 60, by="local")
        return await self.store.keep(
            replace(
                wanted,
                state=DeadManState.ARMED,
                kept_by=Keeper.WATCHDOG,
                armed_until=datetime.now(UTC) + timedelta(seconds=seconds),
            )
        )

    def live(self) -> int:
        return sum(order.status.is_live for order in self.floor.at_venue())


@pytest.fixture
def kept(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setattr(watchdog_module, "PAUSE_S", 0.05)
    return Kept(floor)


async def test_it_cancels_and_counts_it_once(kept: Kept, floor: Floor) -> None:
    await floor.place(an_order())
    switch = await kept.until(-1)
    assert await kept.watchdog.is_wanted(switch)
    assert await kept.watchdog.carry_out(switch)
    assert kept.live() == 0
    assert switch.armed_until is not None
    assert await kept.store.has_trigger(ACCOUNT_ID, switch.armed_until)
    assert not await kept.watchdog.is_wanted(switch)
    assert [done for done, _ in kept.alarm.said] == [True]


async def test_what_is_not_due_or_moved_on_is_left(kept: Kept, floor: Floor) -> None:
    await floor.place(an_order())
    assert not await kept.watchdog.is_wanted(await kept.until(30))
    switch = await kept.until(-1)
    await kept.until(30)
    # The worker is back and has moved the time on since we looked.
    assert not await kept.watchdog.is_wanted(switch)
    assert await kept.watchdog.carry_out(switch)
    assert kept.live() == 1
    assert kept.alarm.said == []


async def test_what_it_canceled_before_the_worker_was_back_counts(kept: Kept, floor: Floor) -> None:
    await floor.place(an_order())
    switch = await kept.until(-1)
    halt = kept.watchdog.halt

    class ThenBack(Quick):
        async def clear_once(self, access: TradingAccess) -> AccountSight:
            sight = await halt.clear_once(access)
            await kept.until(30)
            return sight

    back = replace(kept.watchdog, halt=ThenBack(floor.parts(), floor.orders))
    assert await back.carry_out(switch)
    assert kept.live() == 0
    assert switch.armed_until is not None
    assert await kept.store.has_trigger(ACCOUNT_ID, switch.armed_until)
    assert [done for done, _ in kept.alarm.said] == [True]


async def test_it_goes_on_until_the_venue_shows_nothing(kept: Kept, floor: Floor) -> None:
    await floor.place(an_order())
    floor.fault(FaultKind.DROP_BEFORE_APPLY, "cancelByCloid")
    assert await kept.watchdog.carry_out(await kept.until(-1))
    assert kept.live() == 0


async def test_a_venue_that_does_not_answer_is_told_as_not_done(
    kept: Kept, floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog_module, "WITHIN_S", 0.2)
    await floor.place(an_order())
    await floor.connector()

    async def silent(_: Any) -> Any:
        raise Unavailable("the venue does not answer")

    monkeypatch.setattr(kept.watchdog.halt, "clear_once", silent)
    switch = await kept.until(-1)
    assert not await kept.watchdog.carry_out(switch)
    ((done, said),) = kept.alarm.said
    assert not done and "the venue does not answer" in said
    assert await kept.watchdog.is_wanted(switch)


async def test_with_the_database_away_what_was_known_last_holds(kept: Kept, floor: Floor) -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            async def away(*_: object) -> None:
                raise Unavailable("the database does not answer")

            return away

    await floor.place(an_order())
    switch = await kept.until(-1)
    away: Any = Away()
    blind = replace(kept.watchdog, switches=away)
    assert await blind.is_wanted(switch)
    assert await blind.carry_out(switch)
    assert kept.live() == 0
    assert not await blind.note(switch)
    assert await kept.watchdog.is_wanted(switch)
    assert await kept.watchdog.note(switch)
    assert not await kept.watchdog.is_wanted(switch)


async def test_the_stand_in_waits_for_the_watchdog(kept: Kept, floor: Floor) -> None:
    stand_in = replace(kept.watchdog, grace=timedelta(seconds=5))
    assert not await stand_in.is_wanted(await kept.until(-1))
    assert await stand_in.is_wanted(await kept.until(-6))
