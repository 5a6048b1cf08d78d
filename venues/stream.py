"""The shell around a stream core: sockets by picows, reconnecting with jittered patience.

Does I/O and timing only; what a message means is the core's matter. Knows no venue.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import picows

from domain.errors import VenueRefused, VenueUnavailable
from venues.connections import ConnectionBudget
from venues.stream_core import Step, StreamCore
from venues.transport import Clock, utc_now

E = TypeVar("E")

_CONNECT_TIMEOUT_S: Final = 10.0
_TICK_S: Final = 1.0
_MESSAGE_SIZE_MAX: Final = 32 * 1024 * 1024
_CLOSE_TIMEOUT_S: Final = 2.0
_PING_REPLY_S: Final = 10.0
#: Events that may wait for a slow consumer; beyond it the connection is given up, and the
#: catch-up after the reconnect brings what was missed.
_EVENTS_MAX: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """Where and how one connection is opened; both may hold what nobody may read."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class EventQueue(Generic[E]):
    """Events on their way to the one consumer; ends on `close`, raises what a follower raised."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[E | BaseException | None] = asyncio.Queue()
        self._closed = False

    @property
    def is_full(self) -> bool:
        """Whether the consumer is too far behind."""
        return self._events.qsize() >= _EVENTS_MAX

    def put(self, event: E) -> None:
        """Add an event."""
        self._events.put_nowait(event)

    def fail_with(self, task: asyncio.Task[None]) -> None:
        """Make the consumer raise what broke a follower's task: such a thing is our defect."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._events.put_nowait(error)

    def close(self) -> None:
        """End the iteration after what is already there."""
        self._closed = True
        self._events.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[E]:
        while True:
            event = await self._events.get()
            if event is None and self._closed:
                return
            if isinstance(event, BaseException):
                raise event
            if event is not None:
                yield event


#: Tells before each connection where to connect, and how where each is signed anew; raises
#: VenueUnavailable and VenueRefused.
Address = Callable[[], Awaitable[str | Handshake]]


class Follower(Generic[E]):
    """Keeps one core connected until cancelled.

    `url` may be asked for anew before each connection, where the venue gives a key in it or wants
    each handshake signed.
    """

    def __init__(
        self,
        url: str | Address,
        core: StreamCore[E],
        queue: EventQueue[E],
        connections: ConnectionBudget,
        *,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        backoff: Backoff | None = None,
        headers: Mapping[str, str] | None = None,
        ping_idle_s: float | None = None,
    ) -> None:
        """Take the address; `headers` go with the handshake, and may hold what nobody may read.

        `ping_idle_s`: after so long without a frame the protocol's own ping is sent, and a venue
        that does not answer it is gone. For streams on which silence says nothing.
        """
        self._headers = {"User-Agent": "perp-dex", **(headers or {})}
        self._ping_idle_s = ping_idle_s
        self._url = url
        self._core = core
        self._queue = queue
        self._connections = connections
        self._clock = clock
        self._monotonic = monotonic
        self._backoff = backoff or Backoff()
        self._socket: _Socket[E] | None = None

    async def run(self) -> None:
        """Connect, follow, and connect again, for ever."""
        while True:
            await self._wait_for_slot()
            try:
                reason = await self._follow()
            finally:
                self._connections.release()
            self.emit(self._core.disconnected(reason, self._clock()))
            await asyncio.sleep(self._backoff.next_s())

    def apply(self, step: Step[E]) -> None:
        """Carry out a step that the core's owner asked for."""
        if self._socket is not None:
            self._socket.apply(step)
        else:
            self.emit(step.events)

    def emit(self, events: tuple[E, ...]) -> None:
        """Pass events on."""
        for event in events:
            self._queue.put(event)

    async def _wait_for_slot(self) -> None:
        told = False
        while (wait := self._connections.acquire(self._monotonic())) > 0:
            if not told:
                reason = "waiting: the venue's limit of connections is reached"
                self.emit(self._core.disconnected(reason, self._clock()))
                told = True
            await asyncio.sleep(wait)

    async def _follow(self) -> str:
        """Follow one connection to its end and return why it ended."""
        socket = _Socket(self._core, self._queue, self._clock, self._monotonic)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                handshake = await self._handshake()
                transport, _ = await picows.ws_connect(
                    lambda: socket,
                    handshake.url,
                    max_redirects=0,
                    websocket_handshake_timeout=_CONNECT_TIMEOUT_S,
                    max_frame_size=_MESSAGE_SIZE_MAX,
                    extra_headers={**self._headers, **handshake.headers},
                    enable_auto_ping=self._ping_idle_s is not None,
                    auto_ping_idle_timeout=self._ping_idle_s or _PING_REPLY_S,
                    auto_ping_reply_timeout=_PING_REPLY_S,
                )
        except (OSError, picows.WSError, VenueUnavailable, VenueRefused) as error:
            return f"no connection: {type(error).__name__}: {error}"[:300]
        if not socket.was_answered:
            # A connection that is cut before the venue has answered is no error to picows, and
            # its end is told to nobody: waiting for it would be for ever.
            return "no connection: cut before the venue answered the handshake"
        self._socket = socket
        started = self._monotonic()
        try:
            await self._tick_until_gone(socket)
        finally:
            self._socket = None
            transport.disconnect(graceful=False)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await transport.wait_disconnected()
        self._backoff.lasted(self._monotonic() - started)
        return socket.reason or "the venue closed the connection"

    async def _handshake(self) -> Handshake:
        found = self._url if isinstance(self._url, str) else await self._url()
        return Handshake(url=found) if isinstance(found, str) else found

    async def _tick_until_gone(self, socket: _Socket[E]) -> None:
        while not socket.gone.is_set():
            try:
                async with asyncio.timeout(_TICK_S):
                    await socket.gone.wait()
            except TimeoutError:
                socket.tick()


class Backoff:
    """How long to wait before the next connection: doubling, with full jitter."""

    def __init__(
        self,
        *,
        first_s: float = 0.5,
        longest_s: float = 30.0,
        stable_after_s: float = 60.0,
        rng: random.Random | None = None,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._stable_after_s = stable_after_s
        self._rng = rng or random.Random()
        self._failures = 0

    def next_s(self) -> float:
        """Return the next wait in seconds and count a failure."""
        bound = min(self._first_s * 2**self._failures, self._longest_s)
        self._failures = min(self._failures + 1, 16)
        return self._rng.uniform(self._first_s / 2, max(bound, self._first_s))

    def lasted(self, seconds: float) -> None:
        """Begin anew after a connection that held."""
        if seconds >= self._stable_after_s:
            self._failures = 0


class _Socket(picows.WSListener, Generic[E]):
    """One connection: feeds the core and carries out its steps."""

    def __init__(
        self,
        core: StreamCore[E],
        queue: EventQueue[E],
        clock: Clock,
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__()
        self._core = core
        self._queue = queue
        self._clock = clock
        self._monotonic = monotonic
        self._transport: picows.WSTransport | None = None
        self._parts = bytearray()
        self.reason: str | None = None
        self.gone = asyncio.Event()

    @property
    def was_answered(self) -> bool:
        """Whether the venue has taken the connection as a socket."""
        return self._transport is not None

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self._transport = transport
        self.apply(self._core.connected(self._monotonic(), self._clock()))

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is picows.WSMsgType.CLOSE:
            code = frame.get_close_code()
            self._give_up(f"the venue closed the connection ({code})")
            return
        if frame.msg_type in (picows.WSMsgType.PING, picows.WSMsgType.PONG):
            return
        payload = self._assembled(frame)
        if payload is not None and self.reason is None:
            self.apply(self._core.received(payload, self._monotonic(), self._clock()))

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.gone.set()

    def tick(self) -> None:
        """Let the core see the time."""
        self.apply(self._core.tick(self._monotonic(), self._clock()))

    def apply(self, step: Step[E]) -> None:
        """Send, pass events on, and give the connection up if the step says so."""
        for event in step.events:
            self._queue.put(event)
        if self._transport is not None and self.reason is None:
            for payload in step.send:
                self._transport.send(picows.WSMsgType.TEXT, payload)
        if step.close is not None:
            self._give_up(step.close)
        elif self._queue.is_full:
            self._give_up("the consumer of the feed is too slow")

    def _assembled(self, frame: picows.WSFrame) -> bytes | None:
        """Join the fragments of a message; None until it is whole."""
        payload = frame.get_payload_as_bytes()
        if frame.fin and not self._parts:
            return payload
        self._parts += payload
        if len(self._parts) > _MESSAGE_SIZE_MAX:
            self._give_up(f"a message of more than {_MESSAGE_SIZE_MAX} bytes")
            return None
        if not frame.fin:
            return None
        whole = bytes(self._parts)
        self._parts.clear()
        return whole

    def _give_up(self, reason: str) -> None:
        self.reason = self.reason or reason
        if self._transport is not None:
            self._transport.disconnect(graceful=False)
