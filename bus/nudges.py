"""Nudges: "account X has changes", said between processes so that nobody has to poll quickly.

A nudge carries no news, only where to look; losing one costs latency and nothing else. They are
kept in one short stream, so that who was away for a moment reads on where it was. Knows no order
and no storage.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from redis.asyncio import Redis

from bus.connection import Bus, as_bytes, backoff_s
from domain.errors import Unavailable

STREAM: Final = "perp-dex:nudges"
#: About so many are kept; whoever is further behind is told to look everywhere.
KEPT: Final = 10_000
PENDING_MAX: Final = 10_000
READ_MAX: Final = 1_000
#: Nudges of one process are at least so far apart: an order alone brings four within 30 ms, and
#: whoever hears one reads everything that is new.
APART_S: Final = 0.01
_BLOCK_S: Final = 0.5
_NUDGE: Final = b"n"
_SENDER: Final = b"s"
_MARK: Final = b"m"

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


def new_sender() -> bytes:
    """Return a name by which a process knows the nudges that it sent itself."""
    return os.urandom(8)


class NudgePublisher:
    """Sends nudges without ever making the caller wait: equal ones waiting are sent once.

    What could not be sent is made good by one nudge of its kind without account, as soon as
    Valkey answers again. Used as
    `async with NudgePublisher(bus) as publisher: publisher.nudge(...)`.
    """

    def __init__(self, bus: Bus, *, sender: bytes | None = None) -> None:
        self._bus = bus
        self._stream = bus.key(STREAM)
        #: By this a subscriber of the same process knows these nudges.
        self.sender = sender or new_sender()
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
        self._task = asyncio.create_task(self.run(), name="nudge-publisher")
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

    async def run(self) -> None:
        """Send until cancelled; `async with` does so in a task of its own."""
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = list(self._waiting), {}
            try:
                await self._publish(batch)
            except Unavailable:
                # Not kept one by one: one for each kind says the same.
                self.dropped += sum(nudge.account_id is not None for nudge in batch)
                failures += 1
                await asyncio.sleep(backoff_s(failures))
                for kind in {nudge.kind for nudge in batch}:
                    self._waiting[Nudge(kind=kind)] = None
                self._wake.set()
            else:
                failures = 0
                # The first one goes at once; what follows closely goes together, once.
                await asyncio.sleep(APART_S)

    async def _publish(self, batch: list[Nudge]) -> None:
        for start in range(0, len(batch), READ_MAX):
            messages = [_encoder.encode(nudge) for nudge in batch[start : start + READ_MAX]]
            await self._bus.call(partial(self._append, messages))

    async def _append(self, messages: list[bytes], redis: Redis) -> None:
        async with redis.pipeline(transaction=False) as together:
            for message in messages:
                fields: dict[Any, Any] = {_NUDGE: message, _SENDER: self.sender}
                together.xadd(self._stream, fields, maxlen=KEPT, approximate=True)
            await together.execute()


class NudgeSubscriber:
    """Hears nudges and reads on where it was after a lost connection.

    At the start, and whenever nudges were lost (Valkey was flushed, came back empty or older, or
    too many were sent meanwhile), `on_nudge` gets one nudge of each kind without account. With
    `sender`, what that publisher sent is passed over.
    """

    def __init__(
        self, bus: Bus, on_nudge: Callable[[Nudge], None], *, sender: bytes | None = None
    ) -> None:
        self._bus = bus
        self._on_nudge = on_nudge
        self._stream = bus.key(STREAM)
        self._sender = sender
        self._last: bytes | None = None

    async def run(self) -> None:
        """Listen until cancelled."""
        failures = 0
        while True:
            try:
                await self._read_on()
            except Unavailable:
                failures += 1
                await asyncio.sleep(backoff_s(failures))
            else:
                failures = 0

    async def _read_on(self) -> None:
        """Take what is new, or wait for it a while."""
        last = self._last
        if last is None:
            # An entry of one's own is where to begin: as long as it, or a later one that was read,
            # is still there, nothing in between was lost.
            self._last = await self._bus.call(lambda redis: _append_mark(redis, self._stream))
            self._look_everywhere()
            return
        # Shorter than what a call may take, else waiting in vain would look like a silent Valkey.
        block_ms = max(1, int(min(_BLOCK_S, self._bus.call_timeout_s / 2) * 1000))
        entries, is_there = await self._bus.call(
            lambda redis: _entries_after(redis, self._stream, last, block_ms)
        )
        for entry_id, fields in entries:
            self._last = entry_id
            self._hear(fields)
        if not is_there:
            _log.info("nudges were lost, looking everywhere")
            if entries:
                # The newest of these is where to go on; a mark would come after what follows it.
                self._look_everywhere()
            else:
                self._last = None

    def _look_everywhere(self) -> None:
        for kind in NudgeKind:
            self._on_nudge(Nudge(kind=kind))

    def _hear(self, fields: dict[bytes, bytes]) -> None:
        if _MARK in fields or (self._sender is not None and fields.get(_SENDER) == self._sender):
            return
        try:
            nudge = _decoder.decode(fields.get(_NUDGE, b""))
        except msgspec.DecodeError as error:
            _log.warning("expected a nudge, found other bytes", extra={"error": str(error)})
            return
        self._on_nudge(nudge)


async def _append_mark(redis: Redis, stream: str) -> bytes:
    fields: dict[Any, Any] = {_MARK: b""}
    return as_bytes(await redis.xadd(stream, fields, maxlen=KEPT, approximate=True))


async def _entries_after(
    redis: Redis, stream: str, last: bytes, block_ms: int
) -> tuple[list[tuple[bytes, dict[bytes, bytes]]], bool]:
    """Return what came after `last`, and whether that was still there afterwards."""
    async with redis.pipeline(transaction=False) as together:
        together.xread({stream: last}, count=READ_MAX, block=block_ms)
        together.xrange(stream, last, last, count=1)
        answer, found = await together.execute()
    entries = [(entry_id, fields) for _, entries in answer or () for entry_id, fields in entries]
    return entries, bool(found)
