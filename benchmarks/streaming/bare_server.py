"""The floor of fan-out: a picows server that sends the same bytes to everybody, and nothing else.

Run as `python -m benchmarks.streaming.bare_server`; prints its port. Driven by `lines`:
`{"topics": K, "rate": R, "seconds": S}` sends R messages a second in all; the n-th goes to the
clients whose number modulo K is n modulo K.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from functools import partial

import picows

from benchmarks.streaming.flood_venue import paced
from benchmarks.streaming.lines import lines_of

#: As long as one of ours.
_MESSAGE = (
    '{{"type":"update","channel":"top","venue":"hyperliquid","network":"mainnet",'
    '"symbol":"COIN0-PERP","seq":1790668800000001,"prev_seq":1790668800000000,'
    '"bid":["99.55","28859.123456"],"ask":["100.55","7.5"],'
    '"event_time":"2026-01-01T00:00:00.000000Z","received_time":"{stamp}Z","source":"stream"}}'
)


class Clients:
    """Everybody who is connected, in the order they came."""

    def __init__(self) -> None:
        self._all: list[picows.WSTransport] = []

    def listener(self, _request: picows.WSUpgradeRequest) -> picows.WSListener:
        """Take a client."""
        return _Client(self._all)

    def of_topics(self, topics: int) -> tuple[tuple[picows.WSTransport, ...], ...]:
        """Return the clients of each topic."""
        return tuple(tuple(self._all[number::topics]) for number in range(topics))


class _Client(picows.WSListener):
    def __init__(self, clients: list[picows.WSTransport]) -> None:
        super().__init__()
        self._clients = clients

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self._clients.append(transport)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self._clients.remove(transport)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.CLOSE:
            transport.disconnect()


async def main() -> None:
    """Serve and send."""
    clients = Clients()
    server = await picows.ws_create_server(clients.listener, "127.0.0.1", 0, backlog=512)
    _say(server.sockets[0].getsockname()[1])
    async for line in lines_of(sys.stdin):
        asked = json.loads(line)
        send = partial(_send, clients.of_topics(asked["topics"]))
        began = time.monotonic()
        sent = await paced(int(asked["rate"] * asked["seconds"]), asked["rate"], send)
        _say(json.dumps({"sent": sent, "wall_s": time.monotonic() - began}))


async def _send(topics: tuple[tuple[picows.WSTransport, ...], ...], number: int) -> int:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    data = _MESSAGE.format(stamp=stamp).encode()
    receivers = topics[number % len(topics)]
    for transport in receivers:
        transport.send(picows.WSMsgType.TEXT, data)
    return len(receivers)


def _say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
