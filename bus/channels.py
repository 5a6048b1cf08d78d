"""Listening to one channel of Valkey: what is said while nobody listens is lost.

For what may be lost. Reconnects by itself and says so, because something was missed then. Knows
nothing of what is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from bus.connection import BUS_ERRORS, Bus, as_bytes, backoff_s, cancellations, keep_cancellation

#: Silence is looked into so often, by a ping.
LISTEN_S: Final = 5.0


class ChannelListener:
    """Hears one channel. `subscribed` is told after every (re)connect, before the first message."""

    def __init__(
        self,
        bus: Bus,
        channel: str,
        hear: Callable[[bytes], None],
        subscribed: Callable[[], None] = lambda: None,
    ) -> None:
        self._bus = bus
        self._channel = channel
        self._hear = hear
        self._subscribed = subscribed

    async def run(self) -> None:
        """Listen until cancelled."""
        failures = 0
        canceled_before = cancellations()
        while True:
            try:
                async with self._bus.redis.pubsub(ignore_subscribe_messages=True) as listening:
                    await listening.subscribe(self._channel)
                    keep_cancellation(canceled_before)
                    self._bus.saw_success()
                    failures = 0
                    self._subscribed()
                    while True:
                        message = await listening.get_message(timeout=LISTEN_S)
                        keep_cancellation(canceled_before)
                        if message is not None and message["type"] == "message":
                            self._hear(as_bytes(message["data"]))
            except BUS_ERRORS as error:
                keep_cancellation(canceled_before)
                self._bus.saw_failure(error)
                failures += 1
                await asyncio.sleep(backoff_s(failures))
