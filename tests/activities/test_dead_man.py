"""The dead man's switch over the simulated exchange: armed, renewed, refused, gone off."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.dead_man import DeadManRenewal
from domain.dead_man import DeadManState, DeadManSwitch, Keeper
from domain.errors import NotFound, Unavailable
from domain.watchdog import FEED, WATCHDOG
from storage.dead_man import SqlDeadManStore
from tests.activities.floor import ACCOUNT_ID, Altered, Floor, an_order, until
from venues.simulation import operations
from venues.simulation.faults import FaultKind


class Hands:
    """A worker's renewal with a clock of its own, which the exchange follows."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.shift = timedelta(0)
        self.store = SqlDeadManStore(floor.storage.database, now=self.now)
        self.renewal = DeadManRenewal(
            switches=self.store,
            watched=self.store,
            access=floor.access,
            connectors=floor.connectors,
            nonces=floor.storage.signer_nonces,
            now=self.now,
        )

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def later(self, seconds: float) -> None:
        """Let time pass, here and at the exchange."""
        self.shift += timedelta(seconds=seconds)
        self.floor.shift_venue_clock(seconds)
        operations.pass_time(self.floor.venue.exchange)

    async def want(self, after_s: int | None) -> DeadManSwitch:
        await self.store.want(ACCOUNT_ID, after_s, by="local")
        [switch] = await self.renewal.run()
        return switch

    @property
    def at_venue_ms(self) -> int | None:
        account = self.floor.venue.exchange.tables.accounts[self.floor.opened["address"]]
        return account.cancel_all_at_ms

    def live(self) -> int:
        return sum(order.status.is_live for order in self.floor.at_venue())


@pytest.fixture
async def hands(floor: Floor) -> Hands:
    hands = Hands(floor)
    connector: Any = await floor.connector()
    # What is signed expires by the clock that both sides go by here.
    connector._clock = hands.now
    return hands


async def test_it_is_armed_by_the_venues_word_and_renewed_long_before_its_time(
    hands: Hands, floor: Floor
) -> None:
    await floor.place(an_order())
    switch = await hands.want(60)
    assert switch.state is DeadManState.ARMED
    assert switch.armed_until is not None
    assert switch.renew_at is not None
    assert switch.renew_at < hands.now() + timedelta(seconds=21)
    assert hands.at_venue_ms == int(switch.armed_until.timestamp() * 1000)
    assert await hands.renewal.run() == ()

    for _ in range(10):
        hands.later(25)
        [renewed] = await hands.renewal.run()
        assert renewed.state is DeadManState.ARMED
    assert hands.live() == 1
    assert await hands.store.triggers(ACCOUNT_ID, since=datetime(2020, 1, 1, tzinfo=UTC)) == 0


async def test_with_no_worker_the_venue_cancels_and_the_next_one_counts_it(
    hands: Hands, floor: Floor
) -> None:
    await floor.place(an_order())
    await hands.want(60)
    hands.later(61)
    assert hands.live() == 0
    assert {order.reason.value for order in floor.at_venue() if order.reason} == {"scheduled"}
    kept = await hands.store.get(ACCOUNT_ID)
    assert kept is not None
    assert kept.has_gone_off(hands.now())
    assert not kept.is_armed(hands.now())

    [renewed] = await hands.renewal.run()

    assert renewed.state is DeadManState.ARMED
    today = hands.now() - timedelta(hours=1)
    assert await hands.store.triggers(ACCOUNT_ID, since=today) == 1


async def test_off_is_confirmed_by_the_venue_too(hands: Hands, floor: Floor) -> None:
    await floor.place(an_order())
    await hands.want(60)
    switch = await hands.want(None)
    assert (switch.state, switch.armed_until, switch.renew_at) == (DeadManState.OFF, None, None)
    assert hands.at_venue_ms is None
    hands.later(300)
    assert await hands.renewal.run() == ()
    assert hands.live() == 1


async def test_a_refusal_is_shown_and_never_taken_for_armed(hands: Hands, floor: Floor) -> None:
    floor.venue.exchange.switches.schedule_cancel_needs_volume = True
    switch = await hands.want(60)
    assert switch.state is DeadManState.REFUSED
    assert "until enough volume traded" in switch.reason
    assert not switch.is_armed(hands.now())
    assert await hands.renewal.run() == ()
    floor.venue.exchange.switches.schedule_cancel_needs_volume = False
    hands.later(61)
    [again] = await hands.renewal.run()
    assert again.state is DeadManState.ARMED


async def test_refused_later_the_earlier_time_still_runs(hands: Hands, floor: Floor) -> None:
    first = await hands.want(60)
    floor.venue.exchange.switches.schedule_cancel_needs_volume = True
    second = await hands.want(120)
    assert second.state is DeadManState.REFUSED
    assert second.armed_until == first.armed_until
    assert second.is_armed(hands.now())


@pytest.mark.parametrize("fault", [FaultKind.DROP_AFTER_APPLY, FaultKind.DROP_BEFORE_APPLY])
async def test_a_lost_answer_leaves_it_uncertain_and_is_asked_again(
    hands: Hands, floor: Floor, fault: FaultKind
) -> None:
    floor.fault(fault, "scheduleCancel")
    switch = await hands.want(60)
    assert switch.state is DeadManState.UNCERTAIN
    assert not switch.is_armed(hands.now())
    hands.later(1.1)
    [again] = await hands.renewal.run()
    assert again.state is DeadManState.ARMED


async def test_a_venue_without_one_is_kept_by_our_watchdog(hands: Hands, floor: Floor) -> None:
    connector = await floor.connector()
    lacking: Any = Altered(
        connector, capabilities=replace(connector.capabilities, schedule_cancel=False)
    )
    renewal = replace(hands.renewal, connectors=lacking, temporal_at=hands.now)
    await hands.store.want(ACCOUNT_ID, 60, by="local")
    [waiting] = await renewal.run()
    assert (waiting.state, waiting.kept_by) == (DeadManState.ARMING, Keeper.WATCHDOG)
    await hands.store.give_sign(FEED, ACCOUNT_ID)
    hands.later(1.1)
    [alone] = await renewal.run()
    assert (alone.state, alone.is_armed(hands.now())) == (DeadManState.UNCERTAIN, False)
    assert "no watchdog runs" in alone.reason
    await hands.store.give_sign(WATCHDOG)
    hands.later(1.1)
    [armed] = await renewal.run()
    assert (armed.state, armed.is_armed(hands.now())) == (DeadManState.ARMED, True)
    assert hands.at_venue_ms is None
    assert await hands.store.get(ACCOUNT_ID) == armed


async def test_our_watchdogs_trigger_is_not_counted_by_a_renewal(
    hands: Hands, floor: Floor
) -> None:
    await test_a_venue_without_one_is_kept_by_our_watchdog(hands, floor)
    armed = await hands.store.get(ACCOUNT_ID)
    assert armed is not None and armed.armed_until is not None
    connector = await floor.connector()
    lacking: Any = Altered(
        connector, capabilities=replace(connector.capabilities, schedule_cancel=False)
    )
    hands.later(100)
    [gone] = await replace(hands.renewal, connectors=lacking, temporal_at=hands.now).run()
    assert gone.armed_until == armed.armed_until
    assert gone.has_gone_off(hands.now())
    assert not await hands.store.has_trigger(ACCOUNT_ID, armed.armed_until)


async def test_what_is_wanted_meanwhile_is_not_forgotten(hands: Hands) -> None:
    await hands.store.want(ACCOUNT_ID, 60, by="local")
    [claimed] = await hands.store.claim(lease=timedelta(seconds=5))
    # Another worker finds nothing to do; the owner wants it off.
    assert await hands.store.claim(lease=timedelta(seconds=5)) == ()
    await hands.store.want(ACCOUNT_ID, None, by="local")
    until_then = hands.now() + timedelta(seconds=60)
    kept = await hands.store.keep(
        replace(claimed, state=DeadManState.ARMED, armed_until=until_then)
    )
    assert (kept.state, kept.after_s) == (DeadManState.DISARMING, None)
    assert kept.armed_until == until_then
    [switch] = await hands.renewal.run()
    assert switch.state is DeadManState.OFF


async def test_a_trigger_is_counted_once(hands: Hands) -> None:
    due_at = hands.now()
    noted = [await hands.store.note_trigger(ACCOUNT_ID, due_at) for _ in range(3)]
    assert noted == [True, False, False]
    assert await hands.store.has_trigger(ACCOUNT_ID, due_at)
    assert await hands.store.triggers(ACCOUNT_ID, since=due_at) == 1
    assert await hands.store.triggers(ACCOUNT_ID, since=due_at + timedelta(seconds=1)) == 0


async def test_an_unknown_account_has_none(hands: Hands) -> None:
    with pytest.raises(NotFound):
        await hands.store.want("none", 60, by="local")
    assert await hands.store.get("none") is None


async def test_without_nonces_nothing_is_asked(hands: Hands) -> None:
    class Away:
        async def take(self, *_: object) -> int:
            raise Unavailable("the database does not answer")

    away: Any = Away()
    await hands.store.want(ACCOUNT_ID, 60, by="local")
    with pytest.raises(Unavailable):
        await replace(hands.renewal, nonces=away).run()
    assert hands.at_venue_ms is None
    hands.later(6)
    await until(hands.renewal.run, what="the switch to be taken again")
    assert hands.at_venue_ms is not None
