"""Moves what is new in storage to the hub: woken when something happened, else a quick poll.

Storage is asked only for accounts that somebody follows. Knows no socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from domain.errors import Unavailable
from streaming.channels import Channel
from streaming.hub import Hub

POLL_S: Final = 0.25
_UNAVAILABLE_PAUSE_S: Final = 1.0

_log = logging.getLogger(__name__)


class Tail:
    """Follows the channels of one hub."""

    def __init__(self, hub: Hub, channels: Sequence[Channel], *, poll_s: float = POLL_S) -> None:
        self._hub = hub
        self._channels = tuple(channels)
        self._poll_s = poll_s
        self._woken = asyncio.Event()
        self._failing = False

    def wake(self) -> None:
        """Look at storage now."""
        self._woken.set()

    async def run(self) -> None:
        """Follow until cancelled; while storage is away, try again each second."""
        while True:
            try:
                await self.read_all()
            except Unavailable as error:
                self._note(failing=True, reason=str(error))
                await asyncio.sleep(_UNAVAILABLE_PAUSE_S)
                continue
            self._note(failing=False, reason="")
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def read_all(self) -> None:
        """Publish everything that is new.

        Raises:
            Unavailable: storage does not answer.
        """
        self._woken.clear()
        for channel in self._channels:
            while after := self._hub.followed(channel.name):
                news = await channel.read(after)
                for topic, sequence, data in news:
                    self._hub.publish(topic, sequence, data)
                if not news or self._hub.followed(channel.name) == after:
                    break

    def _note(self, *, failing: bool, reason: str) -> None:
        if failing != self._failing:
            self._failing = failing
            if failing:
                _log.warning("changes cannot be read from storage: %s", reason)
            else:
                _log.info("changes can be read from storage again")
