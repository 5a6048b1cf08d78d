"""Who delivers a place's market events: the Protocol, the labels of the ways they come, pauses.

A source is this process's own feed of a venue, or another process that has it. Knows no wishes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from domain.accounts import Network
from venues.connector import MarketChannel, MarketEvent

STREAM: Final = "stream"
STREAM_2: Final = "stream-2"
POLL: Final = "poll"
RESTART_FIRST_S: Final = 0.5
RESTART_MAX_S: Final = 30.0


class Place(NamedTuple):
    """A venue on one network."""

    venue: str
    network: Network


class Deliver(Protocol):
    """Takes an event of a place; `source` says which way it came. Quick, and never raises."""

    def __call__(self, place: Place, event: MarketEvent, source: str) -> None:
        """Take one event."""
        ...


class MarketSource(Protocol):
    """What delivers one place's events, to the function it was made with."""

    async def follow(self, channels: frozenset[MarketChannel]) -> None:
        """Set the channels to deliver.

        Raises:
            InvalidInput: no such venue, network, market or interval, or more than can be carried;
                nothing is changed. Never for a part of what is carried already, nor for none.
            Unavailable: it cannot be asked now; ask again.
        """
        ...

    async def run(self) -> None:
        """Deliver until cancelled; a return or an exception is a failure, and it is run anew."""
        ...

    async def close(self) -> None:
        """Release connections; `follow` and `run` may begin anew."""
        ...


SourceFactory = Callable[[Place, Deliver], MarketSource]


def pause_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row (at least one), with jitter."""
    bound = min(RESTART_FIRST_S * 2 ** min(failures - 1, 16), RESTART_MAX_S)
    return random.uniform(bound / 2, bound)
