"""One WebSocket session with Pacifica, without I/O: heartbeat, and the open acknowledgements.

A subscription to something that does not exist is answered by nothing at all, so what is not
acknowledged in its time ends the session. What a step is and who carries it out is in
`venues.stream_core` and `venues.stream`.

Source: docs.pacifica.fi api/websocket; NOTES.md "WebSocket".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from venues.pacifica import wire

#: The venue closes a socket on which the client has said nothing for 60 s.
PING_EVERY_S: Final = 25.0
SILENCE_MAX_S: Final = 60.0
#: Subscriptions are acknowledged within milliseconds; longer means that something is wrong.
ACKNOWLEDGE_WITHIN_S: Final = 15.0

_PING: Final = b'{"method":"ping"}'
_ERROR: Final = 400

_Name = tuple[str, str, str]


class Session:
    """Heartbeat and open acknowledgements of one connection."""

    def __init__(self) -> None:
        self._waiting: dict[_Name, float] = {}
        self._heard_at = 0.0
        self._pinged_at = 0.0

    @property
    def is_acknowledged(self) -> bool:
        """Whether no subscription waits for its acknowledgement."""
        return not self._waiting

    def begin(self, now: float) -> None:
        """Start anew on a fresh connection."""
        self._waiting.clear()
        self._heard_at = self._pinged_at = now

    def subscribe(self, parameters: dict[str, Any], now: float) -> bytes:
        """Return the frame that subscribes, and wait for its acknowledgement."""
        self._waiting[_name(parameters)] = now
        return _frame("subscribe", parameters)

    def unsubscribe(self, parameters: dict[str, Any]) -> bytes:
        """Return the frame that unsubscribes."""
        self._waiting.pop(_name(parameters), None)
        return _frame("unsubscribe", parameters)

    def read(self, payload: bytes, now: float) -> wire.Frame | str | None:
        """Read one message: a data frame, a reason to close, or None for housekeeping.

        Raises:
            WireError: it is not what the venue documents.
        """
        self._heard_at = now
        frame = wire.decode(payload, wire.Frame)
        if frame.code is not None and frame.code >= _ERROR:
            return f"the venue says: {frame.code} {frame.err or frame.error or ''}"[:200]
        if frame.channel is None or frame.channel in ("pong", "unsubscribe"):
            return None
        if frame.channel == "subscribe":
            # The acknowledgement of a book may leave its aggregation out; the name has none.
            named = wire.decode(bytes(frame.data), wire.Subscription)
            self._waiting.pop(_subject(named), None)
            return None
        return frame

    def tick(self, now: float) -> tuple[bytes | None, str | None]:
        """Return a ping if one is due, and a reason to close if the connection seems dead."""
        if now - self._heard_at >= SILENCE_MAX_S:
            return None, f"nothing heard for {SILENCE_MAX_S:g} s"
        if self._waiting and now - min(self._waiting.values()) >= ACKNOWLEDGE_WITHIN_S:
            source, subject, _ = min(self._waiting, key=lambda name: self._waiting[name])
            return None, f"{source} {subject} not acknowledged within {ACKNOWLEDGE_WITHIN_S:g} s"
        if now - self._pinged_at >= PING_EVERY_S:
            self._pinged_at = now
            return _PING, None
        return None, None


def _name(parameters: dict[str, Any]) -> _Name:
    return _subject(msgspec.convert(parameters, wire.Subscription))


def _subject(named: wire.Subscription) -> _Name:
    return named.source, named.symbol or named.account or "", named.interval or ""


def _frame(method: str, parameters: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"method": method, "params": parameters})
