"""Nudges: "account X has changes", said between processes so that nobody has to poll quickly.

A nudge carries no news, only where to look; losing one costs latency and nothing else. Knows no
order and no storage.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

import msgspec

from bus.connection import BUS_ERRORS, Bus, backoff_s
from domain.errors import Unavailable

CHANNEL: Final = "perp-dex:nudges"
PENDING_MAX: Final = 10_000
_LISTEN_TIMEOUT_S: Final = 5.0

_log = logging.getLogger(__name__)


class NudgeKind(StrEnum):
    """What changed: an account's orders, or the account itself (added, refused, removed)."""

    ORDERS = "orders"
    ACCOUNT = "account"


class Nudge(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look. `account_id` None: anywhere, because nudges may have been lost."""

    kind: NudgeKind
    account_id: str | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Nudge)


class NudgePublisher:
    """Sends nudges without ever making the caller wait: equal ones waiting are sent once.

    Used as `async with NudgePublisher(bus) as publisher: publisher.nudge(...)`.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: dict[Nudge, None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def nudge(self, account_id: str, kind: NudgeKind = NudgeKind.ORDERS) -> None:
        """Have subscribers look at an account soon."""
        if len(self._waiting) >= PENDING_MAX:
            self.dropped += 1
            return
        self._waiting[Nudge(kind=kind, account_id=account_id)] = None
        self._wake.set()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._publish_forever(), name="nudge-publisher")
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _publish_forever(self) -> None:
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = list(self._waiting), {}
            try:
                await self._publish(batch)
            except Unavailable:
                # Not kept for later: whoever missed a nudge looks by itself after a while.
                self.dropped += len(batch)
                failures += 1
                await asyncio.sleep(backoff_s(failures))
            else:
                failures = 0

    async def _publish(self, batch: list[Nudge]) -> None:
        for nudge in batch:
            message = _encoder.encode(nudge)
            await self._bus.call(lambda redis, m=message: redis.publish(CHANNEL, m))  # type: ignore[misc]


class NudgeSubscriber:
    """Hears nudges and reconnects by itself.

    After every (re)connect `on_nudge` gets one nudge of each kind without account, for what was
    said while nobody listened.
    """

    def __init__(self, bus: Bus, on_nudge: Callable[[Nudge], None]) -> None:
        self._bus = bus
        self._on_nudge = on_nudge

    async def run(self) -> None:
        """Listen until cancelled."""
        failures = 0
        while True:
            try:
                async with self._bus.redis.pubsub(ignore_subscribe_messages=True) as listening:
                    await listening.subscribe(CHANNEL)
                    self._bus.saw_success()
                    failures = 0
                    for kind in NudgeKind:
                        self._on_nudge(Nudge(kind=kind))
                    while True:
                        message = await listening.get_message(timeout=_LISTEN_TIMEOUT_S)
                        if message is not None and message["type"] == "message":
                            self._hear(message["data"])
            except BUS_ERRORS as error:
                self._bus.saw_failure(error)
                failures += 1
                await asyncio.sleep(backoff_s(failures))

    def _hear(self, data: bytes) -> None:
        try:
            nudge = _decoder.decode(data)
        except msgspec.DecodeError as error:
            _log.warning("expected a nudge, found other bytes", extra={"error": str(error)})
            return
        self._on_nudge(nudge)
