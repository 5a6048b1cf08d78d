"""What workers say of their venues, over a real Valkey."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bus.connection import Bus
from bus.served_venues import EXPIRES_S, KEY, ServedVenuesOnBus
from domain.errors import Unavailable
from domain.venue_sheets import ServedVenue
from tests.bus.valkey import ValkeyProcess
from venues import registry
from venues.sheets import sheet_of

SPEC = registry.load("hyperliquid")
SERVED = ServedVenue(
    sheet=sheet_of(SPEC.venue, SPEC.capabilities, SPEC.proofs),
    connected=("paper",),
    seen_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
)


async def test_what_was_said_is_read_whole_and_for_a_minute(bus: Bus) -> None:
    venues = ServedVenuesOnBus(bus)
    assert await venues.read("hyperliquid") is None
    await venues.say(SERVED)
    assert await venues.read("hyperliquid") == SERVED
    assert await venues.read("another") is None
    left_s = await bus.call(lambda redis: redis.ttl(KEY + "hyperliquid"))
    assert 0 < left_s <= EXPIRES_S


async def test_the_last_word_counts(bus: Bus) -> None:
    venues = ServedVenuesOnBus(bus)
    await venues.say(SERVED)
    later = replace(SERVED, connected=("mainnet", "paper"))
    await venues.say(later)
    assert await venues.read("hyperliquid") == later


@pytest.mark.parametrize("found", [b"", b"\xff", b"{}", b'{"sheet": 1}', b"[]"])
async def test_other_bytes_are_no_venue(bus: Bus, found: bytes) -> None:
    await bus.call(lambda redis: redis.set(KEY + "hyperliquid", found))
    assert await ServedVenuesOnBus(bus).read("hyperliquid") is None


async def test_another_venues_sheet_under_a_name_is_not_shown(bus: Bus) -> None:
    await ServedVenuesOnBus(bus).say(SERVED)
    said = await bus.call(lambda redis: redis.get(KEY + "hyperliquid"))
    assert said is not None
    await bus.call(lambda redis: redis.set(KEY + "lighter", said))
    assert await ServedVenuesOnBus(bus).read("lighter") is None


async def test_two_installations_on_one_server_keep_theirs_apart(
    bus: Bus, valkey_process: ValkeyProcess
) -> None:
    other = Bus(valkey_process.url, group="another")
    await ServedVenuesOnBus(bus).say(SERVED)
    assert await ServedVenuesOnBus(other).read("hyperliquid") is None
    await other.close()


async def test_without_valkey_both_say_so(bus: Bus, valkey_process: ValkeyProcess) -> None:
    valkey_process.kill()
    venues = ServedVenuesOnBus(bus)
    with pytest.raises(Unavailable):
        await venues.say(SERVED)
    with pytest.raises(Unavailable):
        await venues.read("hyperliquid")
