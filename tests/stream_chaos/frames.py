"""WebSocket frames as bytes on the wire: where each begins and ends. Pure; changes no byte.

Written from RFC 6455 for the proxy alone, so that it shares no defect with either side's library.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

TEXT = 0x1


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: its bytes, and where its payload begins in them."""

    data: bytes
    payload_at: int
    opcode: int
    fin: bool
    masked: bool

    @property
    def is_message(self) -> bool:
        """Whether it is a whole text message, and so may be tampered with."""
        return self.fin and self.opcode == TEXT

    @property
    def payload(self) -> bytes:
        """The payload as it was sent; masked if the frame is."""
        return self.data[self.payload_at :]


def text_frame(payload: bytes) -> bytes:
    """Return an unmasked frame of one text message, as servers send it."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | TEXT, size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | TEXT, 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | TEXT, 127, size)
    return head + payload


class FrameCutter:
    """Cuts one direction of a connection into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes."""
        self._rest += data
        found: list[Frame] = []
        while (frame := self._first()) is not None:
            self._rest = self._rest[len(frame.data) :]
            found.append(frame)
        return found

    def _first(self) -> Frame | None:
        if len(self._rest) < 2:
            return None
        first, second = self._rest[0], self._rest[1]
        size, at = second & 0x7F, 2
        if size == 126:
            at = 4
        elif size == 127:
            at = 10
        if len(self._rest) < at:
            return None
        if at > 2:
            size = int.from_bytes(self._rest[2:at], "big")
        masked = bool(second & 0x80)
        at += 4 if masked else 0
        if len(self._rest) < at + size:
            return None
        return Frame(
            data=self._rest[: at + size],
            payload_at=at,
            opcode=first & 0x0F,
            fin=bool(first & 0x80),
            masked=masked,
        )
