"""Whole messages from a client's frames: reassembly, sizes, text only; and frames of ours. Pure.

The socket library gives and sends single frames. What RFC 6455 asks of a receiver beyond them is
here, and how several go out together.
"""

from __future__ import annotations

from streaming.protocol import CloseCode

FRAGMENTS_MAX = 64
_WHOLE_TEXT = b"\x81"
_LENGTH_OF_16_BITS = b"\x7e"
_LENGTH_OF_64_BITS = b"\x7f"


def text_frame(message: bytes) -> bytes:
    """Return a whole text message as a server's frame: not masked (RFC 6455, 5.2)."""
    length = len(message)
    if length < 126:
        return _WHOLE_TEXT + length.to_bytes(1, "big") + message
    if length < 1 << 16:
        return _WHOLE_TEXT + _LENGTH_OF_16_BITS + length.to_bytes(2, "big") + message
    return _WHOLE_TEXT + _LENGTH_OF_64_BITS + length.to_bytes(8, "big") + message


class FrameError(Exception):
    """A frame that ends the connection; `code` says why."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Assembler:
    """Puts the frames of one connection together."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._parts: list[bytes] | None = None

    def take(
        self, payload: bytes, *, is_text: bool, is_continuation: bool, fin: bool
    ) -> bytes | None:
        """Return the message that this frame completes, as valid UTF-8, or None.

        Raises:
            FrameError: binary, too big, too many pieces, out of order, or not UTF-8.
        """
        if is_continuation:
            if self._parts is None:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "a continuation of nothing")
            self._parts.append(payload)
        else:
            if self._parts is not None:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "a new message within a message")
            if not is_text:
                raise FrameError(CloseCode.UNSUPPORTED_DATA, "expected text")
            self._parts = [payload]
        if sum(map(len, self._parts)) > self._bytes_max:
            raise FrameError(CloseCode.MESSAGE_TOO_BIG, f"expected at most {self._bytes_max} bytes")
        if len(self._parts) > FRAGMENTS_MAX:
            raise FrameError(CloseCode.MESSAGE_TOO_BIG, "a message in too many pieces")
        if not fin:
            return None
        message, self._parts = b"".join(self._parts), None
        try:
            message.decode("utf-8")
        except UnicodeDecodeError:
            raise FrameError(CloseCode.INVALID_TEXT, "expected UTF-8") from None
        return message
