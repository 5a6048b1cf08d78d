"""Steady traffic for a long time, and what the streaming process holds meanwhile.

Nothing may grow: descriptors beyond those of the clients there are, tasks of the event loop,
memory.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from tests.stream_chaos.crowd import Crowd
from tests.stream_chaos.follower import Follower
from tests.stream_chaos.rig import ACCOUNTS, OTHER, Rig, open_rig
from tests.stream_chaos.storm import Outcome, settle
from tests.stream_chaos.traffic import Traffic
from tests.stream_chaos.weather import Weather

#: A cut every ten seconds, and now and then something else.
SOAKING: Final = Weather(
    drop=0.01, duplicate=0.02, swap=0.01, stall=0.002, stall_s=1.0, cut_every_s=10.0
)
ONLY_CUT: Final = Weather(cut_every_s=10.0)
PER_S: Final = 10.0
SAMPLE_EVERY_S: Final = 2.0
SAMPLES_MIN: Final = 80
#: This share of the time is warming up, and counts for nothing. What is kept of each account and
#: topic (512 states, 512 messages) is full after four to five minutes of this traffic.
WARM_UP: Final = 0.5
DESCRIPTORS_MORE_MAX: Final = 0
#: In a short look a few sockets may be on their way out; each connection that leaves one behind
#: would show as dozens.
DESCRIPTORS_MORE_AT_ONCE_MAX: Final = 4
#: So long the comparison itself takes with all that happened.
SETTLED_WITHIN_S: Final = 60.0
TASKS_MORE_MAX: Final = 2
MEMORY_MORE_MAX: Final = 0.10
MEMORY_MORE_BYTES_MAX: Final = 8 * 1024 * 1024
VISITORS: Final = 4
STAY_S: Final = (1.0, 8.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process held at a moment; `descriptors` and `tasks` without those of clients."""

    at: float
    descriptors: int
    tasks: int
    memory: int
    clients: int


@dataclass(slots=True, kw_only=True)
class Soaked:
    """What a soak came to."""

    samples: list[Sample]
    outcome: Outcome
    wrong: list[str] = field(default_factory=list)
    visits: int = 0

    def lines(self) -> list[str]:
        """Return the figures of the first and of the last third."""
        if len(self.samples) < 3:
            return ["too short to tell"]
        return [
            f"{len(self.samples)} samples after warm-up, {self.visits} visits of clients",
            *(f"{name}: {before:g} → {after:g}" for name, before, after in self._thirds()),
            *self.outcome.lines(),
        ]

    def _thirds(self) -> list[tuple[str, float, float]]:
        first, last = thirds(self.samples)
        return [
            (name, _median(first, name), _median(last, name))
            for name in ("descriptors", "tasks", "memory", "clients")
        ]


def thirds(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Return the first and the last third."""
    size = max(len(samples) // 3, 1)
    return samples[:size], samples[-size:]


def judge_growth(samples: Sequence[Sample], *, only_descriptors: bool = False) -> list[str]:
    """Nothing grew from the first third to the last, by the medians."""
    first, last = thirds(samples)
    before = _median(first, "memory")
    memory_max = max(before * (1 + MEMORY_MORE_MAX), before + MEMORY_MORE_BYTES_MAX)
    descriptors = _median(first, "descriptors")
    if only_descriptors:
        limits = {"descriptors": descriptors + DESCRIPTORS_MORE_AT_ONCE_MAX}
    else:
        limits = {"descriptors": descriptors + DESCRIPTORS_MORE_MAX}
        limits |= {"tasks": _median(first, "tasks") + TASKS_MORE_MAX, "memory": memory_max}
    return [
        f"{name} grew from {_median(first, name):g} to {_median(last, name):g}"
        for name, at_most in limits.items()
        if _median(last, name) > at_most
    ]


def _median(samples: Sequence[Sample], name: str) -> float:
    return float(median(getattr(sample, name) for sample in samples))


async def run_soak(
    home: Path,
    *,
    seconds: float,
    seed: int,
    say: Callable[[str], None] = lambda text: None,
    only_descriptors: bool = False,
) -> Soaked:
    """Soak for so long, and compare the last third with the first."""
    soaked = Soaked(samples=[], outcome=Outcome())
    async with open_rig(home, seed=seed) as rig:
        crowd, visitors = Crowd(rig), Visitors(rig, seed)
        await crowd.start()
        say("the rig stands")
        await _steady(rig, visitors, soaked, seconds, seed, say)
        crowd.check()
        await settle(rig, crowd, soaked.outcome, SETTLED_WITHIN_S)
        soaked.wrong += soaked.outcome.wrong + rig.errors()
        soaked.visits = visitors.visits
        await crowd.stop()
    warm = soaked.samples[0].at + seconds * WARM_UP
    soaked.samples = [sample for sample in soaked.samples if sample.at >= warm]
    soaked.wrong += judge_growth(soaked.samples, only_descriptors=only_descriptors)
    return soaked


async def _steady(
    rig: Rig,
    visitors: Visitors,
    soaked: Soaked,
    seconds: float,
    seed: int,
    say: Callable[[str], None],
) -> None:
    numbers = itertools.count(1)
    traffic = Traffic(rig.venue, ACCOUNTS, numbers, seed)
    beside = Traffic(rig.other, (OTHER,), numbers, seed)
    ended = asyncio.Event()
    rig.venue_line.weather = rig.rough_line.weather = SOAKING
    rig.shaky_line.weather = ONLY_CUT
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(traffic.run(PER_S, ended))
        tasks.create_task(beside.run(PER_S / 4, ended))
        tasks.create_task(visitors.run(ended))
        tasks.create_task(_hear_reports(rig, ended))
        until, told = time.monotonic() + seconds, time.monotonic()
        while time.monotonic() < until:
            soaked.samples.append(await _sample(rig))
            if time.monotonic() - told >= 30.0:
                told = time.monotonic()
                say(str(soaked.samples[-1]))
            await asyncio.sleep(min(SAMPLE_EVERY_S, seconds / SAMPLES_MIN))
        ended.set()
    soaked.outcome.actions = traffic.counts + beside.counts
    soaked.outcome.weather = {line.name: Counter(line.counts) for line in rig.lines}


async def _hear_reports(rig: Rig, ended: asyncio.Event) -> None:
    """Do the workflows' part: what waits for them in storage is marked as heard."""
    while not ended.is_set():
        waiting = await rig.storage.orders.undelivered()
        await rig.storage.orders.mark_delivered([one.delivery_id for one in waiting])
        await asyncio.sleep(SAMPLE_EVERY_S)


async def _sample(rig: Rig) -> Sample:
    process = psutil.Process(rig.process.pid)
    clients = int(await rig.metric("perp_dex_stream_clients"))
    tasks = int(await rig.metric("perp_dex_event_loop_tasks"))
    return Sample(
        at=time.monotonic(),
        descriptors=process.num_fds() - clients,
        tasks=tasks - clients,
        memory=process.memory_info().rss,
        clients=clients,
    )


class Visitors:
    """Clients that come, follow for some seconds, and go without a word."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.visits = 0
        self._rig = rig
        self._source = random.Random(f"{seed}/visitors")

    async def run(self, ended: asyncio.Event) -> None:
        """Have a few there at any time, until `ended`."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(VISITORS):
                tasks.create_task(self._come_and_go(ended))

    async def _come_and_go(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            channel = self._source.choice(("orders", "positions", "account"))
            line = self._source.choice(self._rig.lines[1:])
            subject = {"account_id": self._source.choice((*ACCOUNTS, OTHER))}
            url = f"ws://127.0.0.1:{line.port}"
            self.visits += 1
            name = f"visitor/{self.visits}"
            visitor = Follower(name, url, channel, subject, self._rig.token, sound=False)
            try:
                async with asyncio.timeout(self._source.uniform(*STAY_S)):
                    await visitor.run()
            except TimeoutError:
                continue
