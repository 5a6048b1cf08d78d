"""One client's socket: picows callbacks on one side, the hub and a bounded inbox on the other.

All policy is elsewhere; here are frames, back-pressure of the operating system, and closing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol, cast

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from streaming.frames import Assembler, FrameError
from streaming.handshake import Refused
from streaming.hub import Hub, Session
from streaming.protocol import CloseCode, Limits
from streaming.rate import TokenBucket

INBOX_MAX: Final = 64
#: Bytes that the operating system may leave with us before a client counts as blocked.
WRITE_BUFFER_BYTES: Final = 64 * 1024
_CLOSE_GRACE_S: Final = 1.0

_log = logging.getLogger(__name__)


class Opened(Protocol):
    """Told of every session that opens."""

    def __call__(self, connection: ClientConnection) -> None:
        """Take over a new session."""
        ...


class RefusedConnection(WSListener):
    """A socket that is closed as soon as it is open."""

    def __init__(self, refused: Refused) -> None:
        super().__init__()
        self._refused = refused

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say why, and close."""
        _close(transport, self._refused.code, self._refused.reason)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Hear nothing but the answer to our closing."""
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


class ClientConnection(WSListener):
    """A client that was let in; `session` and `inbox` are there once it is connected."""

    def __init__(
        self,
        *,
        hub: Hub,
        session_id: str,
        channel: str,
        limits: Limits,
        opened: Opened,
        left: Callable[[ClientConnection], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._hub = hub
        self._opened = opened
        self._left = left
        self._clock = clock
        self._limits = limits
        self._assembler = Assembler(limits.message_bytes_max)
        self._bucket = TokenBucket(limits.messages_per_s, limits.messages_burst, now=clock())
        self._transport: WSTransport | None = None
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue(INBOX_MAX)
        self.session: Session = hub.open(session_id, channel, self, clock())

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin the session."""
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a frame; what breaks a limit closes the connection."""
        if self.session.is_closed:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            return
        try:
            self._take(transport, frame)
        except FrameError as error:
            self._hub.close(self.session, error.code, error.reason)
        except Exception:  # noqa: BLE001 - a defect of ours closes one client, not the server
            _log.exception("a client's frame could not be taken")
            self._hub.close(self.session, CloseCode.INTERNAL_ERROR, "internal error")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """End the session."""
        self._hub.forget(self.session)
        self._left(self)

    def pause_writing(self) -> None:
        """The client's connection takes nothing more."""
        self.session.outbox.pause(self._clock())

    def resume_writing(self) -> None:
        """The client's connection takes messages again."""
        if not self.session.is_closed:
            self.session.outbox.resume(self._clock())

    def send(self, data: bytes) -> None:
        """Send one text message now (for the hub)."""
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send(WSMsgType.TEXT, data)

    def send_frames(self, frames: bytes) -> None:
        """Send messages that are frames already (for the hub)."""
        if self._transport is not None and not self._transport.is_disconnected:
            # By the transport below, which keeps the order: what picows cannot write waits there.
            self._transport.underlying_transport.write(frames)

    def close(self, code: int, reason: str) -> None:
        """Close the connection (for the hub)."""
        if self._transport is not None:
            _close(self._transport, CloseCode(code), reason)

    def _take(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            return
        if not self._bucket.take(1, self._clock()):
            raise FrameError(CloseCode.TOO_MANY, "too many messages")
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "no extension was agreed on")
        if kind == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
            return
        if kind == WSMsgType.PONG:
            return
        message = self._assembler.take(
            frame.get_payload_as_bytes(),
            is_text=kind == WSMsgType.TEXT,
            is_continuation=kind == WSMsgType.CONTINUATION,
            fin=bool(frame.fin),
        )
        if message is not None:
            try:
                self.inbox.put_nowait(message)
            except asyncio.QueueFull:
                raise FrameError(CloseCode.TOO_MANY, "too many messages") from None


def _close(transport: WSTransport, code: CloseCode, reason: str) -> None:
    # picows names the RFC's codes only; ours above 4000 are as valid on the wire.
    transport.send_close(cast(WSCloseCode, int(code)), reason.encode())
    # A client that does not answer, or reads nothing, is cut off.
    asyncio.get_running_loop().call_later(_CLOSE_GRACE_S, transport.disconnect, False)
