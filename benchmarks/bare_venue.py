"""A bare acknowledging server: answers every order with one fixed acceptance, checks nothing.

Run as `python -m benchmarks.bare_venue METADATA`, METADATA a JSON file with the answers to queries
by their type; prints its port, serves until killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

ACCEPTANCE = (
    b'{"status":"ok","response":{"type":"order","data":{"statuses":[{"resting":{"oid":1}}]}}}'
)


def reply(body: bytes) -> bytes:
    """Return `body` as an HTTP response."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Acknowledging(asyncio.Protocol):
    """Answers as soon as a whole request is there; knows just enough HTTP for one client."""

    acceptance = reply(ACCEPTANCE)
    queries: dict[str, bytes]

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
            body, self._buffer = rest[:length], rest[length:]
            is_query = head.startswith(b"POST /info")
            self._transport.write(self._query(body) if is_query else self.acceptance)

    def _query(self, body: bytes) -> bytes:
        return self.queries[json.loads(body)["type"]]


async def main(metadata: Path) -> None:
    """Serve."""
    answers = json.loads(metadata.read_text())
    Acknowledging.queries = {
        kind: reply(json.dumps(answer).encode()) for kind, answer in answers.items()
    }
    server = await asyncio.get_running_loop().create_server(Acknowledging, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
