"""What can go wrong with a command at every simulated venue, before it is applied and after.

How a venue spells a refusal or a failed gateway is its own; knows no venue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan

#: How long the answer waits behind the socket's frames under a reorder fault.
_ANSWER_LAST_S: Final = 0.05


class ConnectionDropped(Exception):
    """The connection is to be cut without an answer."""


class CommandFaults:
    """Applies the faults of commands; `names` (type, group) are what they are filtered by."""

    def __init__(self, exchange: Exchange, faults: FaultPlan) -> None:
        self._exchange = exchange
        self._faults = faults

    async def before(self, names: Collection[str], *, longer_ms: int = 0) -> FaultKind | None:
        """Let a command arrive, `longer_ms` later than others.

        Returns RATE_LIMIT or ERROR_BEFORE_APPLY where the venue has to answer so and apply nothing.

        Raises:
            ConnectionDropped: it never arrives.
        """
        for kind in (FaultKind.RATE_LIMIT, FaultKind.ERROR_BEFORE_APPLY):
            if self._faults.take(kind, names):
                return kind
        if self._faults.take(FaultKind.DROP_BEFORE_APPLY, names):
            raise ConnectionDropped
        delay = self._faults.take(FaultKind.DELAY, names)
        delay_ms = longer_ms + self._exchange.switches.commit_delay_ms
        delay_ms += delay.delay_ms if delay else 0
        if delay_ms:
            await asyncio.sleep(delay_ms / 1_000)
        return None

    async def after(self, names: Collection[str]) -> FaultKind | None:
        """Let the answer to an applied command leave.

        Returns ERROR_AFTER_APPLY where a gateway's failure comes instead of it, GARBLE for half of
        it.

        Raises:
            ConnectionDropped: it never leaves.
        """
        if self._faults.is_armed(FaultKind.REORDER, names):
            await asyncio.sleep(_ANSWER_LAST_S)
        delay = self._faults.take(FaultKind.DELAY_ANSWER, names)
        if delay is not None:
            await asyncio.sleep(delay.delay_ms / 1_000)
        if self._faults.take(FaultKind.DROP_AFTER_APPLY, names):
            raise ConnectionDropped
        for kind in (FaultKind.ERROR_AFTER_APPLY, FaultKind.GARBLE):
            if self._faults.take(kind, names):
                return kind
        return None
