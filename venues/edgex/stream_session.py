"""One WebSocket session with EdgeX, without I/O: pings, subscriptions, and what is housekeeping.

The venue pings in JSON and wants the same time back; it drops a connection that leaves five
unanswered. It answers a subscription, and one to something that does not exist by an error.

Source: edgeX gitbook api/websocket-api; recorded on production 2026-09-28.
"""

from __future__ import annotations

from typing import Final

import msgspec

from venues.edgex import wire
from venues.stream_session import SessionOver, SessionWatch

PING_EVERY_S: Final = 30.0
#: The venue pings every few seconds; so long without a word means that nobody is there.
SILENCE_MAX_S: Final = 75.0
#: Subscriptions are answered within milliseconds; longer means that something is wrong.
ANSWER_WITHIN_S: Final = 15.0

_PING: Final = b'{"type":"ping","time":"0"}'


class Session:
    """What is said and heard on one connection beside the data."""

    def __init__(self) -> None:
        self.watch = SessionWatch(
            silence_max_s=SILENCE_MAX_S,
            answer_within_s=ANSWER_WITHIN_S,
            ping=_PING,
            ping_every_s=PING_EVERY_S,
        )

    def subscribe(self, channel: str, now: float) -> bytes:
        """Return the frame that subscribes, and wait for its answer."""
        self.watch.expect(channel, f"{channel} not subscribed", now)
        return _frame("subscribe", channel)

    def unsubscribe(self, channel: str) -> bytes:
        """Return the frame that unsubscribes; whatever answers it is nothing to wait for."""
        self.watch.answered(channel)
        return _frame("unsubscribe", channel)

    def read(self, payload: bytes) -> wire.Frame | None:
        """Read one message: a data frame, or None for housekeeping.

        Raises:
            WireError: it is not what the venue documents.
            SessionOver: the venue says that something is wrong.
        """
        frame = wire.decode(payload, wire.Frame)
        match frame.type:
            case "ping":
                time = "" if frame.time is None else str(frame.time)
                self.watch.reply(msgspec.json.encode({"type": "pong", "time": time}))
            case "subscribed":
                self.watch.answered(frame.channel)
            case "error":
                error = wire.decode(bytes(frame.content), wire.ErrorContent)
                raise SessionOver(f"the venue says: {error.code} {error.msg or ''}"[:200])
            case "quote-event" | "trade-event":
                return frame
            case _:
                pass
        return None


def _frame(kind: str, channel: str) -> bytes:
    return msgspec.json.encode({"type": kind, "channel": channel})
