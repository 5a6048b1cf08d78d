"""The floor of account streams: a bare process that passes the venue's fill frames on.

Run as `python -m benchmarks.bare_relay VENUE_SOCKET ADDRESS`; prints its port, serves until killed.
"""

from __future__ import annotations

import asyncio
import json
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve


async def main(venue: str, address: str) -> None:
    """Follow one account's fills and send every frame to all clients."""
    clients: set[ServerConnection] = set()

    async def client(connection: ServerConnection) -> None:
        clients.add(connection)
        await connection.wait_closed()
        clients.discard(connection)

    async with serve(client, "127.0.0.1", 0) as server, connect(venue) as upstream:
        subscription = {"type": "userFills", "user": address, "aggregateByTime": False}
        await upstream.send(json.dumps({"method": "subscribe", "subscription": subscription}))
        sys.stdout.write(f"{next(iter(server.sockets)).getsockname()[1]}\n")
        sys.stdout.flush()
        async for frame in upstream:
            broadcast(clients, frame)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
