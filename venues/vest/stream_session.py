"""One WebSocket session with Vest, without I/O: heartbeat, and the open acknowledgements.

Requests are answered by their number. What a step is and who carries it out is in
`venues.stream_core` and `venues.stream`.

Source: the official v2 API page, WebSocket; NOTES.md "WebSocket".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

import msgspec

from venues.stream_session import SessionOver, SessionWatch
from venues.vest import wire

#: Clients ping every 30 s; after how much silence the venue closes is not documented.
PING_EVERY_S: Final = 20.0
SILENCE_MAX_S: Final = 60.0
#: Subscriptions are acknowledged within milliseconds; longer means that something is wrong.
ACKNOWLEDGE_WITHIN_S: Final = 15.0
_PING: Final = b'{"method":"PING","params":[],"id":0}'
_VERSION: Final = "1.0"


def address(socket_url: str, acc_group: int, listen_key: str | None = None) -> str:
    """Return where to connect; the page spells the routing field in two ways, so both are given."""
    routed = wire.routing(acc_group)
    query = {"version": _VERSION, "xwebsocketserver": routed, "websocketserver": routed}
    if listen_key is not None:
        query["listenKey"] = listen_key
    return f"{socket_url}?{urlencode(query)}"


class Session:
    """Heartbeat and open acknowledgements of one connection."""

    def __init__(self) -> None:
        self.watch = SessionWatch(
            silence_max_s=SILENCE_MAX_S,
            answer_within_s=ACKNOWLEDGE_WITHIN_S,
            ping=_PING,
            ping_every_s=PING_EVERY_S,
        )
        self._number = 0

    def subscribe(self, channels: Sequence[str], now: float) -> bytes:
        """Return the frame that subscribes, and wait for its acknowledgement."""
        self._number += 1
        self.watch.expect(self._number, f"{', '.join(channels)} not acknowledged"[:200], now)
        return self._frame("SUBSCRIBE", channels)

    def unsubscribe(self, channels: Sequence[str]) -> bytes:
        """Return the frame that unsubscribes."""
        self._number += 1
        return self._frame("UNSUBSCRIBE", channels)

    def _frame(self, method: str, channels: Sequence[str]) -> bytes:
        return msgspec.json.encode({"method": method, "params": list(channels), "id": self._number})

    def read(self, payload: bytes) -> wire.Frame | None:
        """Read one message: a data frame, or None for housekeeping.

        Raises:
            WireError: it is not what the venue documents.
            SessionOver: the venue says that something is wrong.
        """
        frame = wire.decode(payload, wire.Frame)
        failed = wire.failure_in(payload) if frame.channel is None else None
        if failed is not None:
            raise SessionOver(f"the venue says: {failed.code} {failed.text}"[:200])
        if frame.channel is not None:
            return frame
        if frame.id is not None:
            self.watch.answered(frame.id)
        return None
