from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from bus import latest_prices
from bus.connection import Bus
from bus.latest_prices import KEY, LatestPrices, LatestPriceWriter
from domain.accounts import Network
from domain.latest_prices import LatestPrice
from tests.bus.valkey import ValkeyProcess, running_valkey
from tests.bus.waiting import eventually

T0 = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
BTC = ("hyperliquid", Network.PAPER, "BTC-PERP")


def price(**changes: Any) -> LatestPrice:
    values: dict[str, Any] = {
        "venue": "hyperliquid",
        "network": Network.PAPER,
        "symbol": "BTC-PERP",
        "mark_price": Decimal("100000.123456789012345678"),
        "index_price": Decimal("1E-8"),
        "mid_price": Decimal("100000.10"),
        "best_bid": Decimal(100000),
        "best_ask": Decimal("100000.2"),
        "event_time": T0 - timedelta(milliseconds=80),
        "received_time": T0,
        "source": "stream",
    }
    return LatestPrice(**(values | changes))


@dataclass
class At:
    now: datetime = T0

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def writing(bus: Bus, **options: Any) -> AsyncIterator[LatestPriceWriter]:
    writer = LatestPriceWriter(bus, **options)
    task = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done


async def test_a_price_comes_back_exactly_with_its_age(bus: Bus) -> None:
    clock = At()
    reader = LatestPrices(bus, now=clock)
    assert await reader.read(*BTC) is None
    async with writing(bus) as writer:
        writer.note(price())
        await eventually(lambda: writer.writes == 1)
    found = await reader.read(*BTC)
    assert found == price()
    assert found is not None
    assert str(found.mark_price) == "100000.123456789012345678"
    assert str(found.mid_price) == "100000.10", "digits are kept as they were"
    clock.now += timedelta(seconds=3)
    assert found.age_s(clock()) == 3.0


async def test_only_the_newest_of_each_market_is_written(bus: Bus) -> None:
    reader = LatestPrices(bus, now=At())
    async with writing(bus, every_s=0.05) as writer:
        for number in range(500):
            writer.note(price(mark_price=Decimal(number)))
            writer.note(price(symbol="ETH-PERP", mark_price=Decimal(-number)))
            await asyncio.sleep(0)
        await eventually(lambda: not writer._waiting)
        await eventually(lambda: writer.writes >= 1)
    btc, eth, other = await reader.read_many(
        [
            BTC,
            ("hyperliquid", Network.PAPER, "ETH-PERP"),
            ("hyperliquid", Network.MAINNET, "BTC-PERP"),
        ]
    )
    assert btc is not None
    assert eth is not None
    assert (btc.mark_price, eth.mark_price, other) == (Decimal(499), Decimal(-499), None)
    assert writer.writes + writer.passed_over <= 1000
    assert writer.writes < 50, "many prices, few writes"
    assert await reader.read_many([]) == []


async def test_nothing_survives_its_writer_for_long(bus: Bus) -> None:
    async with writing(bus) as writer:
        writer.note(price())
        await eventually(lambda: writer.writes == 1)
    assert 0 < await bus.redis.ttl(KEY + "hyperliquid:paper:BTC-PERP") <= 60


async def test_without_valkey_there_is_no_price_and_then_again(
    valkey_process: ValkeyProcess,
) -> None:
    bus = Bus(valkey_process.url, call_timeout_s=0.3)
    reader = LatestPrices(bus, now=At())
    async with writing(bus) as writer:
        writer.note(price())
        await eventually(lambda: writer.writes == 1)
        valkey_process.freeze()
        assert await reader.read(*BTC) is None
        valkey_process.thaw()
        valkey_process.kill()
        assert await reader.read(*BTC) is None
        writer.note(price(mark_price=Decimal(1)))
        await eventually(lambda: writer.passed_over >= 1)
        valkey_process.start()
        writer.note(price(mark_price=Decimal(2)))
        await eventually(lambda: writer.writes == 2)
        found = await reader.read(*BTC)
        assert found is not None
        assert found.mark_price == 2
    await bus.close()


async def test_with_its_memory_full_prices_end_and_come_again() -> None:
    with running_valkey("--maxmemory-policy", "noeviction") as valkey:
        bus = Bus(valkey.url)
        reader = LatestPrices(bus, now=At())
        async with writing(bus) as writer:
            valkey.command("CONFIG", "SET", "maxmemory", "1")
            writer.note(price())
            await eventually(lambda: writer.passed_over == 1)
            assert await reader.read(*BTC) is None
            valkey.command("CONFIG", "SET", "maxmemory", "0")
            writer.note(price())
            await eventually(lambda: writer.writes == 1)
            assert await reader.read(*BTC) == price()
        await bus.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({"venue": 1}),
        msgspec.msgpack.encode(price(symbol="ETH-PERP")),
        msgspec.msgpack.encode(price(received_time=T0 + timedelta(seconds=6))),
    ],
)
async def test_what_is_no_price_of_this_market_is_none(bus: Bus, data: bytes) -> None:
    await bus.redis.set(KEY + "hyperliquid:paper:BTC-PERP", data)
    assert await LatestPrices(bus, now=At()).read(*BTC) is None


async def test_markets_that_wait_are_bounded(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest_prices, "MARKETS_MAX", 2)
    writer = LatestPriceWriter(bus)
    for symbol in ("A-PERP", "B-PERP", "C-PERP", "A-PERP"):
        writer.note(price(symbol=symbol))
    assert writer.passed_over == 2
    assert {market[2] for market in writer._waiting} == {"A-PERP", "B-PERP"}
