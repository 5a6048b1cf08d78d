"""A bare server that says one thing to every request: `python -m … STATUS CONTENT-TYPE BODY-HEX`.

Prints its port, serves until killed. Knows no venue and just enough HTTP for one client.
"""

from __future__ import annotations

import asyncio
import sys


class Answering(asyncio.Protocol):
    """Answers as soon as a whole request is there."""

    answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
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
            self._transport.write(self.answer)


async def main(status: str, content_type: str, body: bytes) -> None:
    """Serve."""
    head = f"HTTP/1.1 {status} \r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}"
    Answering.answer = head.encode() + b"\r\n\r\n" + body
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])))
