"""A strict client of one channel: it notices every loss, resumes where it was, and forgets nothing.

Over a line that loses messages it has only the protocol to go by: the sequence of every message,
the one before it, acknowledgements and heartbeats. On a sound line each of these is a demand.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

Json = dict[str, Any]

OPEN_WITHIN_S: Final = 5.0
ANSWER_WITHIN_S: Final = 3.0
HEARTBEATS_MISSED_MAX: Final = 2
RETRY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that was taken: a snapshot, or the change that follows what was there before."""

    kind: str
    seq: int
    body: Json
    connection: int
    at: float
    #: A snapshot that the server announced by `resync`.
    announced: bool = False


class _Lost(Exception):
    """The connection is of no more use: something is missing on it."""


class Follower:
    """Follows one subject of one channel until cancelled.

    `sound`: the line loses and repeats nothing, so that what does not fit is the server's fault.
    `subject` is what a subscription names, `{"account_id": "acc-1"}` or a market. `path` is that of
    a socket with several channels; by default it is the channel's own.
    """

    def __init__(
        self,
        name: str,
        url: str,
        channel: str,
        subject: Json,
        token: str,
        *,
        sound: bool,
        path: str | None = None,
    ) -> None:
        self.name = name
        self.channel = channel
        self.subject = subject
        self.sound = sound
        self.heard: list[Heard] = []
        #: (when, stale, reason) of every status.
        self.statuses: list[tuple[float, bool, str]] = []
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()
        self.last: int | None = None
        #: A market's messages are numbered anew for whoever subscribes: nothing to resume from.
        self._is_market = "symbol" in subject
        self._names_channel = path is not None or self._is_market
        self._path = path or ("markets" if self._is_market else channel)
        self.go_to(url, token)
        self._connection = 0
        self._announced = False
        self._parts: list[Json] = []
        self._source = random.Random(name)

    @property
    def newest(self) -> Json | None:
        """The last message taken."""
        return self.heard[-1].body if self.heard else None

    @property
    def is_live(self) -> bool:
        """Whether the server said last that the venue's data are fresh."""
        return bool(self.statuses) and not self.statuses[-1][1]

    def go_to(self, url: str, token: str) -> None:
        """Connect there from the next time on, as behind a load balancer."""
        self._url = f"{url}/ws/v1/{self._path}"
        self._token = token

    async def run(self) -> None:
        """Follow over as many connections as it takes."""
        while True:
            try:
                async with connect(
                    self._url,
                    open_timeout=OPEN_WITHIN_S,
                    close_timeout=1.0,
                    ping_interval=None,
                    compression=None,
                    max_size=16 * 1024 * 1024,
                    proxy=None,
                ) as socket:
                    self._connection += 1
                    self.counts["connections"] += 1
                    await self._over(socket)
            except (ConnectionClosed, InvalidHandshake, InvalidMessage, OSError, TimeoutError) as e:
                self.counts[type(e).__name__] += 1
                if self.sound and isinstance(e, ConnectionClosed) and e.rcvd is not None:
                    self._blame(f"closed by the server: {e.rcvd.code} {e.rcvd.reason}")
            except _Lost as lost:
                self.counts[str(lost)] += 1
            await asyncio.sleep(RETRY_S * self._source.uniform(0.5, 1.5))

    async def _over(self, socket: ClientConnection) -> None:
        self._announced, self._parts = False, []
        greeting = await self._receive(socket, ANSWER_WITHIN_S)
        if greeting["type"] != "hello":
            raise _Lost("no greeting")
        silence_s = greeting["heartbeat_ms"] / 1000 * HEARTBEATS_MISSED_MAX + 1.0
        await self._ask(socket, {"op": "auth", "token": self._token, "id": "auth"})
        wanted = {"op": "subscribe", "id": "subscribe", **self.subject}
        if self._names_channel:
            wanted["channel"] = self.channel
        if self._is_market:
            self._announced = True
        elif self.last is not None:
            wanted["from_seq"] = self.last
        await self._ask(socket, wanted)
        while True:
            self._take(await self._receive(socket, silence_s))

    async def _ask(self, socket: ClientConnection, message: Json) -> None:
        await socket.send(json.dumps(message))
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while (left_s := deadline - time.monotonic()) > 0:
            answer = await self._receive(socket, left_s)
            if answer["type"] == "ack" and answer["id"] == message["id"]:
                return
            if answer["type"] in ("heartbeat", "status"):
                continue
            if self.sound:
                self._blame(f"expected an acknowledgement of {message['id']}, found {answer}")
            # The acknowledgement is lost, or comes later than what it announces.
            self._take(answer)
        raise _Lost("no acknowledgement")

    async def _receive(self, socket: ClientConnection, within_s: float) -> Json:
        async with asyncio.timeout(within_s):
            data = await socket.recv()
        message: Json = json.loads(data)
        return message

    def _take(self, message: Json) -> None:
        match message["type"]:
            case "update":
                self._update(message)
            case "snapshot":
                self._snapshot(message)
            case "resync":
                self._announced = True
                self.counts["resyncs"] += 1
            case "status":
                self.statuses.append((time.monotonic(), message["stale"], message["reason"]))
            case "error":
                if self.sound:
                    self._blame(f"refused: {message['code']}: {message['message']}")
                raise _Lost("refused")
            case _:
                self.counts[message["type"]] += 1

    def _update(self, message: Json) -> None:
        seq, prev_seq = int(message["seq"]), int(message["prev_seq"])
        if self.last is not None and seq <= self.last:
            self.counts["repeated"] += 1
            if self.sound:
                self._blame(f"change {seq} came again after {self.last}")
            return
        if self.last is None or prev_seq != self.last or (self._is_market and self._announced):
            if self.sound:
                self._blame(f"change {seq} follows {prev_seq}, and {self.last} was the last")
            raise _Lost("gap")
        self._keep("update", seq, message)

    def _snapshot(self, message: Json) -> None:
        seq = int(message["seq"])
        if self._parts and self._parts[0]["seq"] != seq:
            self._parts = []
        self._parts.append(message)
        if message.get("more"):
            return
        parts, self._parts = self._parts, []
        if self.last is not None and not self._announced and self.sound:
            self._blame(f"a snapshot ({seq}) that nobody asked for and nobody announced")
        if self.last is not None and seq < self.last and self.sound:
            self._blame(f"a snapshot of {seq} after {self.last}")
        if self.last is not None and seq < self.last:
            raise _Lost("an old snapshot")
        whole = dict(message)
        if "orders" in message:
            whole["orders"] = [order for part in parts for order in part["orders"]]
        self._keep("snapshot", seq, whole)
        self._announced = False

    def _keep(self, kind: str, seq: int, body: Json) -> None:
        self.last = seq
        at = time.monotonic()
        self.heard.append(Heard(kind, seq, body, self._connection, at, self._announced))

    def _blame(self, text: str) -> None:
        self.wrong.append(f"{self.name} (connection {self._connection}): {text}")
