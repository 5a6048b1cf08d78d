"""One WebSocket session with Lighter, without I/O: how it subscribes, and what is housekeeping.

A channel is acknowledged by its snapshot; its name is spelled with `/` towards the venue and with
`:` from it. What an error belongs to is not said, so that any but "already subscribed" ends the
session.

Source: docs websocket-reference; lighter-sdk 1.1.8 `ws_client.py`; NOTES.md "WebSocket".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from venues.lighter import wire
from venues.stream_session import SessionOver, SessionWatch

#: The venue closes a socket on which the client has said nothing for two minutes.
PING_EVERY_S: Final = 45.0
SILENCE_MAX_S: Final = 100.0
ACKNOWLEDGE_WITHIN_S: Final = 15.0

_PING: Final = b'{"type":"ping"}'
_PONG: Final = b'{"type":"pong"}'
_ALREADY_SUBSCRIBED: Final = 30003
_NOT_SUBSCRIBED: Final = 30002


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A data frame: its channel's name, whom it is about, and whether it is a snapshot."""

    name: str
    subject: str
    is_snapshot: bool


class Session:
    """What is said and heard on one connection beside the data."""

    def __init__(self) -> None:
        self.watch = SessionWatch(
            silence_max_s=SILENCE_MAX_S,
            answer_within_s=ACKNOWLEDGE_WITHIN_S,
            ping=_PING,
            ping_every_s=PING_EVERY_S,
        )

    def subscribe(self, channel: str, now: float, token: str | None = None) -> bytes:
        """Return the frame that subscribes, and wait for the channel's snapshot."""
        self.watch.expect(channel, f"{channel} not acknowledged", now)
        asked = {"type": "subscribe", "channel": channel}
        return msgspec.json.encode(asked if token is None else {**asked, "auth": token})

    def unsubscribe(self, channel: str) -> bytes:
        """Return the frame that unsubscribes."""
        self.watch.answered(channel)
        return msgspec.json.encode({"type": "unsubscribe", "channel": channel})

    def read(self, payload: bytes) -> Heard | None:
        """Read one message's outside: a data frame, or None for housekeeping.

        Raises:
            WireError: it is not what the venue documents.
            SessionOver: the venue says that something is wrong, or that it closes.
        """
        frame = wire.decode(payload, wire.Frame)
        error = frame.error
        if error is not None and error.code not in (_ALREADY_SUBSCRIBED, _NOT_SUBSCRIBED):
            raise SessionOver(f"the venue says: {error.code} {error.message}"[:200])
        kind = frame.type or ""
        if kind == "error":
            raise SessionOver(f"the venue says: {frame.code} {frame.message}"[:200])
        if kind == "shutdown":
            raise SessionOver("the venue closes the connection")
        if kind == "ping":
            self.watch.reply(_PONG)
        stage, _, name = kind.partition("/")
        if frame.channel is None or stage not in ("subscribed", "update"):
            return None
        _, _, subject = frame.channel.partition(":")
        is_snapshot = stage == "subscribed"
        if is_snapshot:
            self.watch.answered(f"{name}/{subject.replace(':', '/')}")
        return Heard(name=name, subject=subject, is_snapshot=is_snapshot)
