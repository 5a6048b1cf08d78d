"""Market events of one place from the process that follows its venue to those that do not.

Said on one channel for each place: numbered batches that may be lost, and whole snapshots. Wishes
go the other way, in a hash whose entries end by themselves. Knows no venue's feed and no decision
of what is followed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from bus.connection import Bus, as_bytes
from domain.accounts import Network
from domain.market_data import Candle, OrderBook, Ticker, Trade

EVENTS: Final = "perp-dex:market:"
ASKS: Final = "perp-dex:market-asks:"
WISHES: Final = "perp-dex:market-wishes:"
#: A wish that is not said again ends after so long.
WISH_LASTS_S: Final = 5.0

_log = logging.getLogger(__name__)


class RelayedChannel(msgspec.Struct, frozen=True, array_like=True):
    """One public channel of one market; `interval` of candles."""

    kind: str
    symbol: str
    interval: str | None = None


class RelayedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a feed, and the way it came (`source`): the field of its kind is filled.

    `live` is filled for the state of a connection, with `reason` and `at`. `is_top` belongs to a
    book, `is_backlog` and `symbol` to trades.
    """

    source: str
    book: OrderBook | None = None
    is_top: bool = False
    trades: tuple[Trade, ...] | None = None
    is_backlog: bool = False
    symbol: str = ""
    ticker: Ticker | None = None
    candle: Candle | None = None
    live: bool | None = None
    reason: str = ""
    at: datetime | None = None


class Refusal(msgspec.Struct, frozen=True, array_like=True):
    """A wished channel that the venue refuses, and in which words."""

    channel: RelayedChannel
    field: str
    message: str


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is said at once, numbered without gaps within an `epoch`: one reign of one owner.

    `is_snapshot`: `events` is all that is known. `answered`: of each process that wished, the
    version of its wishes that was looked at last; `refused`: what of them cannot be had.
    """

    epoch: str
    sequence: int
    events: list[RelayedEvent] = []
    is_snapshot: bool = False
    answered: dict[str, int] = {}
    refused: list[Refusal] = []


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What one process wishes for, until a time (wall clock, in ms)."""

    version: int
    channels: list[RelayedChannel]
    until_ms: int


_encoder = msgspec.msgpack.Encoder()
_batch_decoder = msgspec.msgpack.Decoder(Batch)
_wishes_decoder = msgspec.msgpack.Decoder(Wishes)


class RelayChannels:
    """The names of one place in Valkey, and what is said and written there."""

    def __init__(self, bus: Bus, venue: str, network: Network) -> None:
        self.bus = bus
        place = f"{venue}:{network.value}"
        self.events = bus.key(EVENTS + place)
        self.asks = bus.key(ASKS + place)
        self._wishes = bus.key(WISHES + place)

    async def say(self, batch: Batch) -> None:
        """Say a batch to whoever listens. Raises `Unavailable`."""
        data = _encoder.encode(batch)
        await self.bus.call(lambda redis: redis.publish(self.events, data))

    async def ask(self) -> None:
        """Have the owner look at the wishes and say a snapshot. Raises `Unavailable`."""
        await self.bus.call(lambda redis: redis.publish(self.asks, b""))

    async def wish(self, process: str, version: int, channels: Iterable[RelayedChannel]) -> None:
        """Write what a process wishes for, in place of what it wished before; `Unavailable`."""
        until_ms = int((time.time() + WISH_LASTS_S) * 1000)
        wishes = Wishes(version=version, channels=list(channels), until_ms=until_ms)
        data = _encoder.encode(wishes)
        await self.bus.call(lambda redis: _write(redis, self._wishes, process, data))

    async def wishes(self, *, but: str) -> Mapping[str, Wishes]:
        """Return what every other process wishes for now. Raises `Unavailable`."""
        found = await self.bus.call(lambda redis: _all(redis, self._wishes))
        now_ms = time.time() * 1000
        wishes: dict[str, Wishes] = {}
        for process, data in found.items():
            name = as_bytes(process).decode()
            try:
                read = _wishes_decoder.decode(as_bytes(data))
            except msgspec.DecodeError as error:
                _log.warning("expected wishes, found other bytes", extra={"error": str(error)})
                continue
            if name != but and read.until_ms > now_ms:
                wishes[name] = read
        return wishes


def batch_in(data: bytes) -> Batch | None:
    """Read a batch, or None where it is none."""
    try:
        return _batch_decoder.decode(data)
    except msgspec.DecodeError as error:
        _log.warning("expected market events, found other bytes", extra={"error": str(error)})
        return None


async def _write(redis: Redis, key: str, process: str, data: bytes) -> None:
    values: dict[Any, Any] = {process: data}
    async with redis.pipeline(transaction=False) as together:
        together.hset(key, mapping=values)
        together.pexpire(key, int(WISH_LASTS_S * 2000))
        await together.execute()


async def _all(redis: Redis, key: str) -> dict[Any, Any]:
    async with redis.pipeline(transaction=False) as together:
        together.hgetall(key)
        found: dict[Any, Any] = (await together.execute())[0]
    return found
