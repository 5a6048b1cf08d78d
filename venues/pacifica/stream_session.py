"""One WebSocket session with Pacifica, without I/O: how it subscribes, and what is housekeeping.

A subscription to something that does not exist is answered by nothing at all, so what is not
acknowledged in its time ends the session; the times are kept by `venues.stream_session`.

Source: docs.pacifica.fi api/websocket; NOTES.md "WebSocket".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from venues.pacifica import wire
from venues.stream_session import SessionOver, SessionWatch

#: The venue closes a socket on which the client has said nothing for 60 s.
PING_EVERY_S: Final = 25.0
SILENCE_MAX_S: Final = 60.0
#: Subscriptions are acknowledged within milliseconds; longer means that something is wrong.
ACKNOWLEDGE_WITHIN_S: Final = 15.0

_PING: Final = b'{"method":"ping"}'
_ERROR: Final = 400

_Name = tuple[str, str, str]


class Session:
    """What is said and heard on one connection beside the data."""

    def __init__(self) -> None:
        self.watch = SessionWatch(
            silence_max_s=SILENCE_MAX_S,
            answer_within_s=ACKNOWLEDGE_WITHIN_S,
            ping=_PING,
            ping_every_s=PING_EVERY_S,
        )
        #: What the message that was read last acknowledged, if it was such a one.
        self.acknowledged: wire.Subscription | None = None

    def subscribe(self, parameters: dict[str, Any], now: float) -> bytes:
        """Return the frame that subscribes, and wait for its acknowledgement."""
        source, subject, _ = name = _name(parameters)
        self.watch.expect(name, f"{source} {subject} not acknowledged", now)
        return _frame("subscribe", parameters)

    def unsubscribe(self, parameters: dict[str, Any]) -> bytes:
        """Return the frame that unsubscribes."""
        self.watch.answered(_name(parameters))
        return _frame("unsubscribe", parameters)

    def read(self, payload: bytes) -> wire.Frame | None:
        """Read one message: a data frame, or None for housekeeping.

        Raises:
            WireError: it is not what the venue documents.
            SessionOver: the venue says that something is wrong.
        """
        self.acknowledged = None
        frame = wire.decode(payload, wire.Frame)
        if frame.code is not None and frame.code >= _ERROR:
            raise SessionOver(
                f"the venue says: {frame.code} {frame.err or frame.error or ''}"[:200]
            )
        if frame.channel is None or frame.channel in ("pong", "unsubscribe"):
            return None
        if frame.channel == "subscribe":
            # The acknowledgement of a book may leave its aggregation out; the name has none.
            named = wire.decode(bytes(frame.data), wire.Subscription)
            self.watch.answered(_subject(named))
            self.acknowledged = named
            return None
        return frame


def _name(parameters: dict[str, Any]) -> _Name:
    return _subject(msgspec.convert(parameters, wire.Subscription))


def _subject(named: wire.Subscription) -> _Name:
    return named.source, named.symbol or named.account or "", named.interval or ""


def _frame(method: str, parameters: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"method": method, "params": parameters})
