"""Many clients in one process: connects them, counts what they receive, and how old it was.

Run as `python -m benchmarks.streaming.crowd`, driven by `lines`. Every message carries when the
server received what it tells; the clients of every `sample`-th number compare that with their
clock.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from typing import Any, cast

import picows

from benchmarks.streaming.flood_venue import DAY_S
from benchmarks.streaming.lines import lines_of

_RECEIVED = b'"received_time":"'
_SENT = b'"bid":["'
_CONNECTING_AT_ONCE = 64
_CONNECT_S = 30.0
_NARROW_BYTES = 4_096
_WAKE_S = 2.0
_ACK = b'{"type":"ack"'
_SUBSCRIBED = b'"op":"subscribe"'
_UPDATE = b'{"type":"update"'
_RESYNC = b'{"type":"resync"'


class Count:
    """What all clients received since the last reset. Ages are in seconds."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.messages = 0
        self.resyncs = 0
        self.ages: list[float] = []
        self.whole_ages: list[float] = []
        self.began = time.monotonic()
        self.last = self.began
        self.cpu = time.process_time()

    def report(self) -> dict[str, Any]:
        """Return what was counted, the percentiles in milliseconds."""
        return {
            "messages": self.messages,
            "resyncs": self.resyncs,
            "wall_s": self.last - self.began,
            "cpu_s": time.process_time() - self.cpu,
            "samples": len(self.ages),
            "from_received_ms": percentiles(self.ages),
            "from_sent_ms": percentiles(self.whole_ages),
        }


class Client(picows.WSListener):
    """One client."""

    def __init__(self, count: Count, first: list[str], *, is_sampled: bool) -> None:
        super().__init__()
        self.count = count
        self._first = first
        self._is_sampled = is_sampled
        self.subscribed = asyncio.Event()
        self.gone = False
        self.close_code: int | None = None
        self.transport: picows.WSTransport | None = None
        if not first:
            self.subscribed.set()

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """Say who we are and what we want."""
        self.transport = transport
        for message in self._first:
            transport.send(picows.WSMsgType.TEXT, message.encode())

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        """Remember that it ended."""
        self.gone = True
        self.subscribed.set()

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Count a message."""
        if frame.msg_type is picows.WSMsgType.CLOSE:
            self.close_code = cast(int, frame.get_close_code())
            transport.disconnect(graceful=False)
            return
        if frame.msg_type is not picows.WSMsgType.TEXT:
            return
        data = frame.get_payload_as_memoryview()
        if not self.subscribed.is_set():
            if data[: len(_ACK)] == _ACK and _SUBSCRIBED in bytes(data):
                self.subscribed.set()
            return
        count = self.count
        if data[: len(_UPDATE)] != _UPDATE:
            count.resyncs += data[: len(_RESYNC)] == _RESYNC
            return
        count.messages += 1
        count.last = time.monotonic()
        if self._is_sampled:
            now = time.time() % DAY_S
            text = bytes(data)
            count.ages.append(_age(text, now))
            count.whole_ages.append(now - _sent_at(text))


def _age(data: bytes, now: float) -> float:
    """Return how long ago the message says that it was received by the server."""
    at = data.find(_RECEIVED) + len(_RECEIVED) + 11
    seconds = int(data[at : at + 2]) * 3600 + int(data[at + 3 : at + 5]) * 60
    return now - seconds - float(data[at + 6 : data.find(b"Z", at)])


def _sent_at(data: bytes) -> float:
    """Return the second of the day that the venue put into the best bid's quantity."""
    at = data.find(b'","', data.find(_SENT)) + 3
    return float(data[at : data.find(b'"', at)])


def _narrow(address: Any) -> socket.socket:
    """Return a connected socket for which the operating system keeps next to nothing."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NARROW_BYTES)
    narrow.connect((address.host, address.port))
    narrow.setblocking(False)
    return narrow


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return p50, p99 and the maximum in milliseconds; empty when there is nothing."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return {
        "p50": ordered[last // 2] * 1000,
        "p99": ordered[int(last * 0.99)] * 1000,
        "max": ordered[-1] * 1000,
    }


class Crowd:
    """Carries out commands."""

    def __init__(self) -> None:
        self._count = Count()
        self._clients: list[Client] = []
        self._slow: list[Client] = []

    async def do(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command and return its answer."""
        match asked["do"]:
            case "connect":
                return await self._connect(asked)
            case "slow":
                return await self._connect_slow(asked)
            case "wake":
                return await self._wake()
            case "leave":
                return await self._leave()
            case "reset":
                self._count.reset()
                return {}
            case _:
                gone = sum(client.gone for client in self._clients)
                return self._count.report() | {"gone": gone}

    async def _connect(self, asked: dict[str, Any]) -> dict[str, Any]:
        """`first`: for each client in turn, the messages that it begins with."""
        limit = asyncio.Semaphore(_CONNECTING_AT_ONCE)
        first: list[list[str]] = asked["first"]

        async def one(number: int) -> None:
            async with limit:
                is_sampled = number % asked["sample"] == 0
                client = Client(self._count, first[number % len(first)], is_sampled=is_sampled)
                async with asyncio.timeout(_CONNECT_S):
                    await picows.ws_connect(lambda: client, asked["url"])
                    await client.subscribed.wait()
                if client.gone:
                    raise RuntimeError(f"expected to be let in, found {client.close_code}")
                self._clients.append(client)

        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(asked["count"]):
                tasks.create_task(one(number))
        return {"connected": len(self._clients), "wall_s": time.monotonic() - began}

    async def _connect_slow(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Connect clients that read nothing once they are subscribed, with little room to spare."""
        for _ in range(asked["count"]):
            client = Client(Count(), asked["first"][0], is_sampled=False)
            await picows.ws_connect(
                lambda client=client: client, asked["url"], socket_factory=_narrow
            )
            await client.subscribed.wait()
            assert client.transport is not None
            client.transport.underlying_transport.pause_reading()
            self._slow.append(client)
        return {"slow": len(self._slow)}

    async def _wake(self) -> dict[str, Any]:
        """Let the slow clients read what is there, and tell what became of them."""
        for client in self._slow:
            assert client.transport is not None
            client.transport.underlying_transport.resume_reading()
        await asyncio.sleep(_WAKE_S)
        return {
            "closed": [client.close_code for client in self._slow if client.gone],
            "resyncs": sum(client.count.resyncs for client in self._slow),
        }

    async def _leave(self) -> dict[str, Any]:
        """Disconnect everybody."""
        clients, self._clients, self._slow = [*self._clients, *self._slow], [], []
        for client in clients:
            if client.transport is not None:
                client.transport.disconnect(graceful=False)
        await asyncio.sleep(0.5)
        return {"left": len(clients)}


async def main() -> None:
    """Do as asked."""
    crowd = Crowd()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async for line in lines_of(sys.stdin):
        answer = await crowd.do(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
