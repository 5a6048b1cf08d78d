"""A bare acknowledging server: answers every order with one fixed acceptance, checks nothing.

Run as `python -m benchmarks.bare_venue`; prints its port, serves until killed.
"""

from __future__ import annotations

import asyncio
import sys

ANSWER = b'{"status":"ok","response":{"type":"order","data":{"statuses":[{"resting":{"oid":1}}]}}}'
REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    + str(len(ANSWER)).encode()
    + b"\r\n\r\n"
    + ANSWER
)


class Acknowledging(asyncio.Protocol):
    """Answers as soon as a whole request is there; knows just enough HTTP for one client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        self._buffer += data
        while True:
            head, mark, rest = self._buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            assert isinstance(self._transport, asyncio.Transport)
            self._transport.write(REPLY)


async def main() -> None:
    """Serve."""
    server = await asyncio.get_running_loop().create_server(Acknowledging, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
