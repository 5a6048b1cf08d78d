"""What is measured of the sockets, one scenario after the other, with the floor between them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.running import Stack, running_stack
from benchmarks.streaming.fan_out import (
    SECONDS,
    Delivered,
    Ground,
    bare_ground,
    first_messages,
    highest,
    our_ground,
    resident_bytes,
)
from benchmarks.streaming.lines import Program, running

CLIENTS: Final = 1_000
RATE: Final = 100.0
RATES: Final = (100.0, 110.0, 120.0, 135.0, 150.0, 165.0, 180.0, 200.0, 225.0, 250.0)
MANY: Final = 10_000
MANY_TOPICS: Final = 10
MANY_RATES: Final = (25.0, 50.0, 75.0, 100.0)
FEW: Final = (1, 100, 1_000)
GROWTH: Final = (1, 10, 100, 1_000, 10_000)
GROWTH_RATE: Final = 10.0
FAST_CLIENTS: Final = 200
SLOW_CLIENTS: Final = 1
SLOW_RUNS: Final = 5
SLOW_RATE: Final = 250.0
BEST_ROOM: Final = {
    "STREAMING_SESSIONS_PER_PRINCIPAL_MAX": str(MANY + 100),
    "LOG_LEVEL": "WARNING",
}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """Ten thousand connections at growing rates, and what they take in memory."""

    bare: list[Delivered]
    ours: list[Delivered]
    bytes_per_connection: float
    connect_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClient:
    """p99 in milliseconds of the fast clients, run by run."""

    without: tuple[float, ...]
    beside: tuple[float, ...]
    became: str

    @property
    def spread(self) -> float:
        """The greater ratio of a highest to a lowest run, of either kind."""
        return max(max(side) / min(side) for side in (self.without, self.beside))

    @property
    def ratio(self) -> float:
        """Median beside a slow client over median without one."""
        return statistics.median(self.beside) / statistics.median(self.without)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """Everything that was measured of the sockets."""

    bare: Delivered
    ours: Delivered
    bare_highest: list[Delivered]
    ours_highest: list[Delivered]
    many: Many
    few: list[Delivered]
    growth: list[Delivered]
    slow: SlowClient


async def streamed(home: Path, say: Say) -> Streamed:
    """Start everything and measure; `say` is told of the progress."""
    async with (
        running("benchmarks.streaming.flood_venue") as venue,
        running("benchmarks.streaming.bare_server") as bare_server,
        running("benchmarks.streaming.crowd") as crowd,
    ):
        environment = {
            **BEST_ROOM,
            "HYPERLIQUID_MAINNET_URL": f"http://127.0.0.1:{venue.greeting}",
        }
        with running_stack(home, environment) as stack:
            bare = _Side(
                bare_ground(crowd, bare_server), f"ws://127.0.0.1:{bare_server.greeting}/", None
            )
            url = f"{stack.streaming_url}/ws/v1/markets"
            ours = _Side(our_ground(crowd, stack, venue.greeting), url, stack.token)
            return await _all(bare, ours, stack, crowd, say)


class _Side:
    """The bare server or ours: where clients connect and what they begin with."""

    def __init__(self, ground: Ground, url: str, token: str | None) -> None:
        self.ground = ground
        self.url = url
        self._token = token

    def first(self, topics: int) -> list[list[str]]:
        """Return what each topic's clients begin with; the bare server takes nothing."""
        if self._token is None:
            return [[] for _ in range(topics)]
        return first_messages(self._token, topics)

    async def gather(self, clients: int, topics: int = 1) -> float:
        """Connect clients and return the seconds that took."""
        connected = await self.ground.gather(self.url, clients, self.first(topics))
        return float(connected["wall_s"])

    async def once(self, clients: int, rate: float, topics: int = 1) -> Delivered:
        """Connect, measure one run, disconnect."""
        await self.gather(clients, topics)
        run = await self.ground.run(clients=clients, topics=topics, rate=rate)
        await self.ground.leave()
        return run


async def _all(bare: _Side, ours: _Side, stack: Stack, crowd: Program, say: Say) -> Streamed:
    say(f"{CLIENTS} clients, {CLIENTS * RATE:.0f} deliveries a second")
    one_bare = await bare.once(CLIENTS, RATE)
    one_ours = await ours.once(CLIENTS, RATE)
    say("the highest sustained rate")
    bare_highest = await _highest(bare)
    ours_highest = await _highest(ours)
    say(f"{MANY} connections")
    many = await _many(bare, ours, stack)
    say(f"from the venue's frame to {', '.join(map(str, FEW))} clients")
    few = [await ours.once(clients, RATE) for clients in FEW]
    say("cost from 1 to 10,000 clients")
    growth = [await ours.once(clients, GROWTH_RATE) for clients in GROWTH]
    say(f"a slow client among {FAST_CLIENTS}")
    slow = await _slow(ours, crowd)
    return Streamed(
        bare=one_bare,
        ours=one_ours,
        bare_highest=bare_highest,
        ours_highest=ours_highest,
        many=many,
        few=few,
        growth=growth,
        slow=slow,
    )


async def _highest(side: _Side) -> list[Delivered]:
    await side.gather(CLIENTS)
    runs = await highest(side.ground, clients=CLIENTS, rates=RATES)
    await side.ground.leave()
    return runs


async def _many(bare: _Side, ours: _Side, stack: Stack) -> Many:
    """Every tenth client follows the same market, so that a message has a thousand receivers."""
    await bare.gather(MANY, MANY_TOPICS)
    bare_runs = await _at_all(bare, MANY_RATES)
    await bare.ground.leave()
    before = resident_bytes(stack)
    connect_s = await ours.gather(MANY, MANY_TOPICS)
    held = resident_bytes(stack) - before
    our_runs = await _at_all(ours, MANY_RATES)
    await ours.ground.leave()
    return Many(
        bare=bare_runs, ours=our_runs, bytes_per_connection=held / MANY, connect_s=connect_s
    )


async def _at_all(side: _Side, rates: Sequence[float]) -> list[Delivered]:
    return [
        await side.ground.run(clients=MANY, topics=MANY_TOPICS, rate=rate, seconds=SECONDS / 2)
        for rate in rates
    ]


async def _slow(ours: _Side, crowd: Program) -> SlowClient:
    without: list[float] = []
    beside: list[float] = []
    became: list[str] = []
    for _ in range(SLOW_RUNS):
        for kept, slow in ((without, 0), (beside, SLOW_CLIENTS)):
            await ours.gather(FAST_CLIENTS)
            if slow:
                await crowd.ask(do="slow", url=ours.url, count=slow, first=ours.first(1))
            run = await ours.ground.run(clients=FAST_CLIENTS, topics=1, rate=SLOW_RATE)
            kept.append(run.from_received["p99"])
            if slow:
                found = await crowd.ask(do="wake")
                became.append(f"closed with {found['closed']}" if found["closed"] else "resynced")
            await ours.ground.leave()
    return SlowClient(
        without=tuple(without), beside=tuple(beside), became=", ".join(sorted(set(became)))
    )
