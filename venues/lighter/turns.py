"""Turns: a key's transactions go one after the other, in the order of their nonces.

The venue takes exactly the nonce after the last one it took, so that a transaction is sent only
when the one before has been answered. What the venue expects next is learned from its answers; of
a transaction without an answer nothing is known, and the lane is unclear until the venue is asked.
Sans I/O but for waiting. Knows no ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

#: An account's index, and the key's.
LaneName = tuple[int, int]


class Turn:
    """The right to send on a lane; `expected` is the venue's next nonce, None: to be asked."""

    def __init__(self, lane: _Lane) -> None:
        self._lane = lane

    @property
    def expected(self) -> int | None:
        """The nonce that the venue expects next, as far as it is known."""
        return self._lane.expected

    def learn(self, nonce: int | None) -> None:
        """Take what the venue expects next; None: nothing is known of it any more."""
        self._lane.expected = nonce

    def took(self, nonce: int) -> None:
        """The venue took this nonce."""
        self._lane.expected = max(nonce + 1, self._lane.expected or 0)


class _Lane:
    def __init__(self) -> None:
        self.expected: int | None = None
        self.changed = asyncio.Condition()
        self.is_busy = False


class Turns:
    """The lanes of one process."""

    def __init__(self) -> None:
        self._lanes: dict[LaneName, _Lane] = {}

    def expected(self, name: LaneName) -> int | None:
        """Return what the venue expects next on a lane; None where nothing is known."""
        return self._lane(name).expected

    def forget(self, name: LaneName) -> None:
        """Have the venue asked before the next transaction: somebody else had the lane."""
        self._lane(name).expected = None

    @asynccontextmanager
    async def turn(
        self, name: LaneName, nonce: int | None, *, wait_s: float
    ) -> AsyncIterator[Turn | None]:
        """Wait for the turn of a nonce (None: of anybody) and hold it; None: it never came.

        It comes when nobody else sends on the lane and no nonce before it is still to be sent.
        """
        lane = self._lane(name)
        if not await _taken(lane, nonce, wait_s):
            yield None
            return
        try:
            yield Turn(lane)
        finally:
            async with lane.changed:
                lane.is_busy = False
                lane.changed.notify_all()

    def _lane(self, name: LaneName) -> _Lane:
        return self._lanes.setdefault(name, _Lane())


async def _taken(lane: _Lane, nonce: int | None, wait_s: float) -> bool:
    def is_free() -> bool:
        if lane.is_busy:
            return False
        return nonce is None or lane.expected is None or nonce <= lane.expected

    try:
        async with asyncio.timeout(wait_s), lane.changed:
            await lane.changed.wait_for(is_free)
            lane.is_busy = True
    except TimeoutError:
        return False
    return True
