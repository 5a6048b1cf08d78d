"""WebSocket frames by hand, the wrong ones too; and a crowd that says nothing.

`python -m tests.streaming.raw_frames PORT COUNT` opens so many sockets at once, says no word on
them, and prints with which codes they were closed. Imports the standard library only, so that a
process of its own begins quickly.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import sys
from collections import Counter


def upgrade(*, host: str = "127.0.0.1", path: str = "/ws/v1/orders") -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def frame(first: int, payload: bytes) -> bytes:
    mask = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    if len(payload) < 126:
        head = struct.pack("!BB", first, 0x80 | len(payload))
    else:
        head = struct.pack("!BBH", first, 0x80 | 126, len(payload))
    return head + mask + masked


async def raw_close_code(port: int, data: bytes, *, within_s: float = 5.0) -> int:
    """Send frames over a plain socket; return the code of the close frame that comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(upgrade())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        async with asyncio.timeout(within_s):
            while True:
                first, length = await reader.readexactly(2)
                if length == 126:
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                payload = await reader.readexactly(length)
                if first & 0xF == 8:
                    (code,) = struct.unpack("!H", payload[:2])
                    return int(code)
    finally:
        writer.close()


async def silent_crowd(port: int, count: int) -> dict[str, int]:
    """Open sockets and wait until they are closed; return how many with which code."""
    codes = await asyncio.gather(*(raw_close_code(port, b"", within_s=60) for _ in range(count)))
    return dict(Counter(map(str, codes)))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(silent_crowd(int(sys.argv[1]), int(sys.argv[2])))))
