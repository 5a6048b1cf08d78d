"""When a venue is asked what became of a command that it has only acknowledged.

The account's private feed tells it for nothing, and each question costs some of the requests that
commands and cancels live on. So a live feed is waited for, up to a stated silence; where it is
stale or absent the venue is asked at once and then again, more rarely as the requests get few.
Decides when to ask and nothing else: silence, whoever keeps it, is no verdict. Knows no venue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from domain.ledger import CommandRow
from domain.orders import OrderReport

#: With fewer questions to spare than this the moments between the first and the last are left out.
PLENTY: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPlan:
    """A venue's moments to be asked, in seconds after an acknowledgement.

    `feed_within_s`: so long a live feed may be silent. `unheard_at_s`: when to ask without one,
    rising. `within_s`: the last moment of all; afterwards whoever resolves goes on.
    """

    feed_within_s: float
    unheard_at_s: tuple[float, ...]
    within_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Where the wait for one verdict stands, in seconds after the acknowledgement.

    `looked_at_s` is when the venue was asked last. `looks_left`: so many questions the budget has
    beyond what is kept for commands and cancels; `look_in_s`: in so many seconds it has one.
    """

    since_s: float
    looked_at_s: float | None
    feed_is_live: bool
    looks_left: int
    look_in_s: float


def next_look_s(plan: LookPlan, waiting: Waiting) -> float | None:
    """Return in how many seconds to ask the venue, 0 for now; None: no more within the time."""
    looked_at_s = -1.0 if waiting.looked_at_s is None else waiting.looked_at_s
    due_s = next((at_s for at_s in _moments(plan, waiting) if at_s > looked_at_s), None)
    if due_s is None:
        return None
    due_s = max(due_s, waiting.since_s + waiting.look_in_s)
    if due_s > max(plan.within_s, waiting.since_s):
        return None
    return max(due_s - waiting.since_s, 0.0)


def _moments(plan: LookPlan, waiting: Waiting) -> tuple[float, ...]:
    if waiting.feed_is_live:
        return (plan.feed_within_s, plan.within_s)
    first_s, *others_s = plan.unheard_at_s
    if waiting.looks_left < PLENTY:
        return (others_s[0] if others_s else first_s, plan.within_s)
    return plan.unheard_at_s


class OrderNews(Protocol):
    """What is heard of the order that one command concerns, without asking its venue."""

    async def told(self) -> OrderReport | None:
        """Return what its venue has told of it so far; None: nothing, or it cannot be read now."""
        ...

    async def is_live(self) -> bool:
        """Tell whether the account's feed is live, as far as anybody knows."""
        ...

    async def changed(self, within_s: float) -> None:
        """Wait until there may be something new since `told`, or the time is over."""
        ...

    def was_missed(self) -> None:
        """Take note that the venue showed what a live feed had not told in its time."""
        ...


class FeedWord(Protocol):
    """What a process hears of the private feeds of accounts. Nothing of it raises."""

    def follow(self, row: CommandRow) -> AbstractContextManager[OrderNews]:
        """Hear of the order that a command concerns."""
        ...


class NoFeed:
    """Implements both where no feed is heard of: in a check, an emergency, a watchdog."""

    @contextmanager
    def follow(self, row: CommandRow) -> Iterator[OrderNews]:
        """Hear of nothing."""
        yield self

    async def told(self) -> OrderReport | None:
        """Return nothing."""
        return None

    async def is_live(self) -> bool:
        """Tell that it is not."""
        return False

    async def changed(self, within_s: float) -> None:
        """Let the time pass."""
        await asyncio.sleep(within_s)

    def was_missed(self) -> None:
        """Nothing was waited for."""
