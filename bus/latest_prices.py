"""The newest prices of followed markets: streaming writes them, API and workers read them.

Each market is one key that expires, so that nothing old survives its writer. A price from here may
be shown and compared with; nothing is triggered by it. Knows no venue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from redis.asyncio import Redis

from bus.connection import Bus, as_bytes, backoff_s
from domain.accounts import Network
from domain.errors import Unavailable
from domain.latest_prices import LatestPrice

KEY: Final = "perp-dex:price:"
EXPIRES_S: Final = 60
#: So often at most are prices written; what came in between is overtaken by the newest.
WRITE_EVERY_S: Final = 0.1
MARKETS_MAX: Final = 10_000
#: A price from further ahead than this was stamped by a clock that is wrong.
AHEAD_MAX_S: Final = 5.0

_log = logging.getLogger(__name__)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LatestPrice)

_Market = tuple[str, Network, str]


class LatestPriceWriter:
    """Writes what `note` is told, the newest of each market, at most ten times a second."""

    def __init__(self, bus: Bus, *, every_s: float = WRITE_EVERY_S) -> None:
        self._bus = bus
        self._every_s = every_s
        self._waiting: dict[_Market, LatestPrice] = {}
        self._wake = asyncio.Event()
        #: Pipelines written, and prices that were overtaken or refused before they were.
        self.writes = 0
        self.passed_over = 0

    def note(self, price: LatestPrice) -> None:
        """Have a price written soon. Quick, and never raises."""
        market = (price.venue, price.network, price.symbol)
        if market in self._waiting:
            self.passed_over += 1
        elif len(self._waiting) >= MARKETS_MAX:
            self.passed_over += 1
            return
        self._waiting[market] = price
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled; while Valkey is away, only the newest of each market is kept."""
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, {}
            try:
                await self._bus.call(lambda redis, b=batch: _write(redis, self._bus, b.values()))  # type: ignore[misc]
            except Unavailable:
                # A price a minute old is worth nothing: what comes next is written instead.
                self.passed_over += len(batch)
                failures += 1
                await asyncio.sleep(backoff_s(failures))
            else:
                failures = 0
                self.writes += 1
                await asyncio.sleep(self._every_s)


class LatestPrices:
    """Reads prices; with Valkey away, or nothing said for a minute, there is none."""

    def __init__(
        self, bus: Bus, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._bus = bus
        self._now = now

    async def read(self, venue: str, network: Network, symbol: str) -> LatestPrice | None:
        """Return the newest price of a market, however old up to a minute, or None."""
        return (await self.read_many([(venue, network, symbol)]))[0]

    async def read_many(self, markets: Sequence[_Market]) -> list[LatestPrice | None]:
        """Return the newest price of each market, as `read` does, by one question."""
        if not markets:
            return []
        keys = [_key(self._bus, *market) for market in markets]
        try:
            found = await self._bus.call(lambda redis: redis.mget(keys))
        except Unavailable:
            return [None] * len(markets)
        return [self._price_in(data, market) for data, market in zip(found, markets, strict=True)]

    def _price_in(self, data: bytes | str | None, market: _Market) -> LatestPrice | None:
        if data is None:
            return None
        try:
            price = _decoder.decode(as_bytes(data))
        except msgspec.DecodeError as error:
            _log.warning("expected a price, found other bytes", extra={"error": str(error)})
            return None
        if (price.venue, price.network, price.symbol) != market:
            return None
        ahead_s = (price.received_time - self._now()).total_seconds()
        return None if ahead_s > AHEAD_MAX_S else price


async def _write(redis: Redis, bus: Bus, prices: Iterable[LatestPrice]) -> None:
    async with redis.pipeline(transaction=False) as together:
        for price in prices:
            key = _key(bus, price.venue, price.network, price.symbol)
            together.set(key, _encoder.encode(price), ex=EXPIRES_S)
        await together.execute()


def _key(bus: Bus, venue: str, network: Network, symbol: str) -> str:
    return bus.key(f"{KEY}{venue}:{network.value}:{symbol}")
