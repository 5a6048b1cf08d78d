"""One WebSocket session with Hyperliquid, without I/O: how it subscribes, and what is housekeeping.

The times to ping and to give up are kept by `venues.stream_session`.

Source: docs api/websocket, api/websocket/timeouts-and-heartbeats; NOTES.md "WebSocket".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from venues.hyperliquid import wire
from venues.stream_session import SessionOver, SessionWatch

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

    def subscribe(self, subscription: dict[str, Any], now: float) -> bytes:
        """Return the frame that subscribes, and wait for its acknowledgement."""
        kind, subject = name = _name(subscription)
        self.watch.expect(name, f"{kind} {subject} not acknowledged", now)
        return _frame("subscribe", subscription)

    def unsubscribe(self, subscription: dict[str, Any]) -> bytes:
        """Return the frame that unsubscribes."""
        self.watch.answered(_name(subscription))
        return _frame("unsubscribe", subscription)

    def read(self, payload: bytes) -> wire.Frame | None:
        """Read one message: a data frame, or None for housekeeping.

        Raises:
            WireError: it is not what the venue documents.
            SessionOver: the venue says that something is wrong.
        """
        self.acknowledged = None
        if payload == _GREETING:
            return None
        frame = wire.decode(payload, wire.Frame)
        if frame.channel == "pong":
            return None
        if frame.channel == "subscriptionResponse":
            reply = wire.decode(bytes(frame.data), wire.SubscriptionReply)
            if reply.method == "subscribe":
                self.watch.answered((reply.subscription.type, _subject(reply.subscription)))
                self.acknowledged = reply.subscription
            return None
        if frame.channel == "error":
            text = wire.decode(bytes(frame.data), str)
            if text.startswith(_HARMLESS):
                return None
            raise SessionOver(f"the venue says: {text[:200]}")
        return frame


def _name(subscription: dict[str, Any]) -> tuple[str, str]:
    kind = str(subscription["type"])
    return kind, _subject(msgspec.convert(subscription, wire.Subscription))


def _subject(subscription: wire.Subscription) -> str:
    subject = subscription.coin or (subscription.user or "").lower()
    return f"{subject} {subscription.interval}" if subscription.interval else subject


def _frame(method: str, subscription: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"method": method, "subscription": subscription})
