"""Runs seeded rounds on many lanes of one real stack, and judges them by the exchange's ledger."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from storage.opening import open_storage
from tests.crash.rig import HOUSE, ORDER_OF_START, Rig, eventually
from tests.crash.trader import Trader
from tests.races.judge import books_differ, judge
from tests.races.lane import CASH, MARKETS, Lane, Story
from tests.races.protection import protected_through_kills
from tests.venues.hyperliquid.simulator_client import SimulatorClient

VICTIMS: Final = ("worker", "worker", "streaming", "api", "temporal")
BOOKS_WITHIN_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    wrong: list[str]
    stories: list[Story] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)


class RaceRig(Rig):
    """The rig, with a venue that allows more requests a minute than the real one does."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._extra |= {"HYPERLIQUID_WEIGHT_PER_MINUTE": "1000000"}


async def open_lanes(rig: Rig, stack: AsyncExitStack, count: int) -> list[Lane]:
    """Return so many lanes, two to an account."""
    session = await stack.enter_async_context(aiohttp.ClientSession())
    venue_url = rig.venue_url(HOUSE)
    lanes: list[Lane] = []
    while len(lanes) < count:
        hand = SimulatorClient(session, venue_url, rig.control_url)
        await hand.open_account(CASH)
        number = len(lanes) // 2
        trader = Trader(rig.api_url, rig.home / "api-token")
        await trader.open_account(hand.keys, f"racer-{number}")
        for market in (MARKETS[number % 2], MARKETS[2 + number % 2])[: count - len(lanes)]:
            lanes.append(Lane(rig, trader, hand, market, f"{number}/{market.venue_symbol}"))
    return lanes


async def kill_now_and_then(
    rig: Rig, source: random.Random, every_s: float, kills: Counter[str]
) -> None:
    """Kill one process, and start it again, for ever."""
    while True:
        await asyncio.sleep(every_s * source.uniform(0.5, 1.5))
        victim = source.choice(VICTIMS)
        kills[victim] += 1
        rig.kill(victim)
        await rig.start(*ORDER_OF_START)


async def race(
    home: Path,
    *,
    rounds: int,
    seed: int,
    lanes: int,
    kill_every_s: float = 0.0,
    say: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Run `rounds` rounds over `lanes` lanes; return all that is wrong."""
    kills: Counter[str] = Counter()
    async with RaceRig(home) as rig, AsyncExitStack() as stack:
        tracks = await open_lanes(rig, stack, min(lanes, rounds))
        first = tracks[0]
        unprotected = await protected_through_kills(rig, first.trader, first.hand.address)
        say(f"{len(tracks)} lanes are open")
        numbers = iter(range(rounds))
        done: list[Story] = []

        async def run(lane: Lane) -> None:
            for number in numbers:
                source = random.Random(f"{seed}/{number}")
                done.append(await lane.round(number, source))
                if len(done) % 25 == 0:
                    say(f"{len(done)} of {rounds} rounds")

        nemesis = None
        if kill_every_s:
            nemesis = asyncio.create_task(
                kill_now_and_then(rig, random.Random(seed), kill_every_s, kills)
            )
        try:
            async with asyncio.TaskGroup() as group:
                for lane in tracks:
                    group.create_task(run(lane))
        finally:
            if nemesis is not None:
                nemesis.cancel()
                await asyncio.gather(nemesis, return_exceptions=True)
        await rig.start(*ORDER_OF_START)
        wrong = unprotected + await _judged(rig, tracks)
    return Outcome(
        wrong=wrong,
        stories=done,
        ends=Counter(str(story.close.get("status")) for story in done),
        events=Counter(
            event.split(": ")[0].split(" ", 1)[1]
            for story in done
            for event in story.events
            if event[0].isdigit()
        ),
        kills=kills,
    )


async def _judged(rig: Rig, lanes: list[Lane]) -> list[str]:
    storage = await open_storage("", rig.home)
    try:
        wrong = await judge(lanes, await rig.ledger(), storage)

        async def differing() -> list[str]:
            return await books_differ(lanes, await rig.ledger(), storage)

        try:
            await eventually(
                differing, within_s=BOOKS_WITHIN_S, what="our books", until=lambda found: not found
            )
        except AssertionError as error:
            wrong.append(str(error))
        return wrong
    finally:
        await storage.close()
