"""One WebSocket session with Hyperliquid, without I/O: bytes and time in, steps out.

Keeps the heartbeat and the acknowledgements that every kind of stream needs; what a step is and who
carries it out is in `venues.stream_core` and `venues.stream`.

Source: docs api/websocket, api/websocket/timeouts-and-heartbeats; NOTES.md "WebSocket".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from venues.hyperliquid import wire

#: The venue closes a socket to which it has sent nothing for 60 s; a ping makes it send.
PING_EVERY_S: Final = 25.0
SILENCE_MAX_S: Final = 60.0
#: Subscriptions are acknowledged within milliseconds; longer means that something is wrong.
ACKNOWLEDGE_WITHIN_S: Final = 15.0

_PING: Final = b'{"method":"ping"}'
#: Sent by some of the venue's servers as plain text.
_GREETING: Final = b"Websocket connection established."
_HARMLESS: Final = ("Already subscribed", "Already unsubscribed")


class Session:
    """Heartbeat and open acknowledgements of one connection."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], float] = {}
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

    def subscribe(self, subscription: dict[str, Any], now: float) -> bytes:
        """Return the frame that subscribes, and wait for its acknowledgement."""
        self._waiting[_name(subscription)] = now
        return _frame("subscribe", subscription)

    def unsubscribe(self, subscription: dict[str, Any]) -> bytes:
        """Return the frame that unsubscribes."""
        self._waiting.pop(_name(subscription), None)
        return _frame("unsubscribe", subscription)

    def read(self, payload: bytes, now: float) -> wire.Frame | str | None:
        """Read one message: a data frame, a reason to close, or None for housekeeping.

        Raises:
            WireError: it is not what the venue documents.
        """
        self._heard_at = now
        if payload == _GREETING:
            return None
        frame = wire.decode(payload, wire.Frame)
        if frame.channel == "pong":
            return None
        if frame.channel == "subscriptionResponse":
            reply = wire.decode(bytes(frame.data), wire.SubscriptionReply)
            if reply.method == "subscribe":
                self._waiting.pop((reply.subscription.type, _subject(reply.subscription)), None)
            return None
        if frame.channel == "error":
            text = wire.decode(bytes(frame.data), str)
            return None if text.startswith(_HARMLESS) else f"the venue says: {text[:200]}"
        return frame

    def tick(self, now: float) -> tuple[bytes | None, str | None]:
        """Return a ping if one is due, and a reason to close if the connection seems dead."""
        if now - self._heard_at >= SILENCE_MAX_S:
            return None, f"nothing heard for {SILENCE_MAX_S:g} s"
        if self._waiting and now - min(self._waiting.values()) >= ACKNOWLEDGE_WITHIN_S:
            kind, subject = min(self._waiting, key=lambda name: self._waiting[name])
            return None, f"{kind} {subject} not acknowledged within {ACKNOWLEDGE_WITHIN_S:g} s"
        if now - self._pinged_at >= PING_EVERY_S:
            self._pinged_at = now
            return _PING, None
        return None, None


def _name(subscription: dict[str, Any]) -> tuple[str, str]:
    kind = str(subscription["type"])
    return kind, _subject(msgspec.convert(subscription, wire.Subscription))


def _subject(subscription: wire.Subscription) -> str:
    subject = subscription.coin or (subscription.user or "").lower()
    return f"{subject} {subscription.interval}" if subscription.interval else subject


def _frame(method: str, subscription: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"method": method, "subscription": subscription})
