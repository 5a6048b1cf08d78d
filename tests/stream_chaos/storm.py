"""One storm: traffic at two venues and clients on every line, bad weather, and calm after it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from tests.stream_chaos.crowd import Crowd
from tests.stream_chaos.rig import ACCOUNTS, OTHER, Rig, open_rig, until
from tests.stream_chaos.traffic import Traffic
from tests.stream_chaos.weather import CALM, ROUGH, SHAKY, STORM, Cut
from tests.stream_chaos.witness import Witness
from tests.streaming.stage import order_id

#: Actions a second at the venue in the storm, and at the one beside it.
VENUE_PER_S: Final = 8.0
OTHER_PER_S: Final = 2.0
#: All has to be well again so long after the storm, and so by what a new connection leads to, not
#: by the safety net of every half minute; with the product's own patience later, since the venue
#: allows few new connections a minute.
CALM_WITHIN_S: Final = 15.0
CALM_WITHIN_PATIENT_S: Final = 150.0
#: A fill at the venue beside the storm reaches its client within this, whatever happens here.
UNTOUCHED_WITHIN_S: Final = 10.0
_PROBES_FROM: Final = 900_000


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    wrong: list[str] = field(default_factory=list)
    weather: dict[str, Counter[str]] = field(default_factory=dict)
    actions: Counter[str] = field(default_factory=Counter)
    clients: Counter[str] = field(default_factory=Counter)
    fills: int = 0
    changes: int = 0
    calm_after_s: float = 0.0
    trades_told: dict[str, str] = field(default_factory=dict)
    #: From a fill at the venue beside the storm to its client, in seconds.
    untouched_s: list[float] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the run in words."""
        delays = self.untouched_s or [0.0]
        return [
            f"actions: {dict(self.actions)}",
            *(f"line {name}: {dict(counts)}" for name, counts in self.weather.items()),
            f"clients: {dict(self.clients)}",
            f"{self.fills} fills, {self.changes} changes, all well {self.calm_after_s:.1f} s after",
            f"trades told of: {self.trades_told}",
            f"beside the storm: {len(self.untouched_s)} fills, median {median(delays):.3f} s, "
            f"slowest {max(delays):.3f} s",
        ]


async def run_storm(
    home: Path,
    *,
    seconds: float,
    seed: int,
    venue: str = "hyperliquid",
    say: Callable[[str], None] = lambda text: None,
    patient: bool = False,
) -> Outcome:
    """Run one storm over a venue's sockets, and judge it."""
    outcome = Outcome()
    async with open_rig(home, seed=seed, venue=venue, patient=patient) as rig:
        say("the rig stands")
        crowd = Crowd(rig)
        await crowd.start()
        beside = Beside(rig)
        losses = await rig.metric("perp_dex_feed_losses_total", network="testnet")
        begun_at = time.monotonic()
        traffic = await _weather(rig, crowd, beside, seconds, seed)
        say("it is calm")
        await settle(rig, crowd, outcome, CALM_WITHIN_PATIENT_S if patient else CALM_WITHIN_S)
        outcome.wrong += await beside.judge(crowd, begun_at, losses)
        outcome.wrong += rig.errors()
        await crowd.stop()
        outcome.untouched_s = beside.delays(crowd)
        outcome.weather = {line.name: line.counts for line in rig.lines}
        for one in traffic:
            outcome.actions += one.counts
        for follower in crowd.followers:
            outcome.clients += follower.counts
    return outcome


async def _weather(
    rig: Rig, crowd: Crowd, beside: Beside, seconds: float, seed: int
) -> tuple[Traffic, Traffic]:
    """Let it blow for so long; return the traffic there was."""
    numbers = itertools.count(1)
    at_venue = Traffic(rig.venue, ACCOUNTS, numbers, seed)
    at_other = Traffic(rig.other, (OTHER,), numbers, seed)
    ended = asyncio.Event()
    rig.venue_line.weather, rig.rough_line.weather, rig.shaky_line.weather = STORM, ROUGH, SHAKY
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(at_venue.run(VENUE_PER_S, ended))
        tasks.create_task(at_other.run(OTHER_PER_S, ended))
        tasks.create_task(beside.run(ended))
        await asyncio.sleep(seconds)
        ended.set()
    crowd.check()
    return at_venue, at_other


async def settle(rig: Rig, crowd: Crowd, outcome: Outcome, within_s: float = CALM_WITHIN_S) -> None:
    """End the storm with a last cut, so that every loss has a gap after it, and wait for truth."""
    for line in rig.lines:
        line.weather = CALM
        line.cut_all(Cut.ABORT)
    witness, begun = Witness(rig, crowd), time.monotonic()
    found: list[str] = []

    async def all_is_well() -> bool:
        crowd.check()
        found[:] = await witness.differences()
        return not found

    try:
        await until(all_is_well, within_s, lambda: "\n".join(found[:20]))
    except AssertionError:
        outcome.wrong += found
    outcome.calm_after_s = time.monotonic() - begun
    outcome.fills, outcome.changes = witness.fills, witness.changes
    outcome.trades_told = witness.trades_told


class Beside:
    """Watches the venue beside the storm: its fills come at once, and its feed is never lost."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._filled_at: dict[str, float] = {}

    async def run(self, ended: asyncio.Event) -> None:
        """Have an order filled at once a second."""
        for number in itertools.count(_PROBES_FROM):
            if ended.is_set():
                return
            await self._rig.other.send(number, account_id=OTHER, quantity="0.01")
            self._filled_at[order_id(number)] = time.monotonic()
            await self._rig.other.fill(number)
            await asyncio.sleep(1.0)

    def delays(self, crowd: Crowd) -> list[float]:
        """Return how long each fill took to its client, in seconds."""
        found: dict[str, float] = {}
        for one in crowd.of_other.heard:
            order = one.body.get("order") if one.kind == "update" else None
            if order and order["status"] == "FILLED" and order["order_id"] in self._filled_at:
                found.setdefault(order["order_id"], one.at - self._filled_at[order["order_id"]])
        return list(found.values())

    async def judge(self, crowd: Crowd, since: float, losses_before: float) -> list[str]:
        """Return what of the storm was felt."""
        wrong: list[str] = []
        delays = self.delays(crowd)
        if len(delays) != len(self._filled_at):
            wrong.append(f"beside: {len(self._filled_at)} filled, {len(delays)} told as updates")
        if max(delays, default=0.0) > UNTOUCHED_WITHIN_S:
            wrong.append(f"beside: a fill took {max(delays):.1f} s to its client")
        losses = await self._rig.metric("perp_dex_feed_losses_total", network="testnet")
        if losses != losses_before:
            wrong.append(f"beside: its feed was lost {losses - losses_before:g} times")
        statuses = (*crowd.of_other.statuses, *crowd.of_other_market.statuses)
        stale = [reason for at, stale, reason in statuses if stale and at > since]
        wrong += [f"beside: stale, {reason}" for reason in stale]
        return wrong
