"""Frames decoded in a second, by what they say, beside a bare JSON decoder over the same bytes.

The frames are what the venue's simulated exchange sends to the venue's own feeds while prices walk
and orders trade. Whole sessions are read again, from a fresh connection on, as a feed reads them.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest

from domain.accounts import Account, Network, SecretText
from tests.conformance.stage import Stage
from venues import registry, stream
from venues.connector import (
    BookSeen,
    CredentialedFeed,
    FeedCredentialMinter,
    FeedState,
    MarketChannel,
    MarketChannelKind,
)
from venues.simulation import operations
from venues.stream_core import Step, StreamCore

FRAMES: Final = 20_000
LISTEN_S: Final = 4.0
TRADE_EVERY_S: Final = 0.1
AT: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Frames of one kind: how many the recording has, and how many are read in a second."""

    channel: str
    recorded: int
    per_s: float
    bare_per_s: float


@dataclass(slots=True)
class _Recording:
    """A core as the shell drives it, with what it was given since its connection stood."""

    core: StreamCore[Any]
    payloads: list[bytes] = field(default_factory=list)

    def connected(self, now: float, at: datetime) -> Step[Any]:
        """Pass on, and forget what an earlier connection brought."""
        self.payloads.clear()
        return self.core.connected(now, at)

    def received(self, payload: bytes, now: float, at: datetime) -> Step[Any]:
        """Pass on, and keep."""
        self.payloads.append(payload)
        return self.core.received(payload, now, at)

    def tick(self, now: float, at: datetime) -> Step[Any]:
        """Pass on."""
        return self.core.tick(now, at)

    def disconnected(self, reason: str, at: datetime) -> tuple[Any, ...]:
        """Pass on."""
        return self.core.disconnected(reason, at)


async def frame_rates(stage: Stage, *, frames: int = FRAMES) -> list[Decoded]:
    """Record what both feeds of a venue hear, and measure how fast it is read."""
    recordings: list[_Recording] = []
    begin = stream.Follower.__init__

    def recording(self: Any, url: str, core: StreamCore[Any], *others: Any, **more: Any) -> None:
        recordings.append(_Recording(core))
        begin(self, url, recordings[-1], *others, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream.Follower, "__init__", recording)
        async with _following(stage):
            await _trading(stage)
    return _measured([one for one in recordings if one.payloads], frames)


@asynccontextmanager
async def _following(stage: Stage) -> AsyncIterator[None]:
    """Follow the account, and every public channel of the market, until the block ends."""
    spec = registry.load(stage.rig.venue)
    accounts = spec.account_feed(Network.PAPER)
    if isinstance(accounts, CredentialedFeed):
        accounts.use_credentials(_Minted(stage))
    markets = spec.market_feed(Network.PAPER, await stage.connector.instruments())
    readers = [asyncio.create_task(_drain(feed.events())) for feed in (accounts, markets)]
    try:
        await accounts.watch([stage.account])
        await markets.subscribe([_channel(stage, kind) for kind in MarketChannelKind])
        yield
    finally:
        await accounts.close()
        await markets.close()
        await asyncio.gather(*readers)


class _Minted:
    """Mints what a feed needs from the trading key, as a worker does."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def open(self, account: Account) -> SecretText | None:
        """Return the account's feed credential."""
        assert isinstance(self._stage.connector, FeedCredentialMinter)
        return await self._stage.connector.mint_feed_credential(await self._stage.trading(account))


def _channel(stage: Stage, kind: MarketChannelKind) -> MarketChannel:
    interval = "1m" if kind is MarketChannelKind.CANDLES else None
    return MarketChannel(kind=kind, symbol=stage.rig.symbol, interval=interval)


async def _drain(events: AsyncIterator[Any]) -> None:
    async for _ in events:
        pass


async def _trading(stage: Stage) -> None:
    """Have the market move and the account trade for a while."""
    resting, taking = await stage.resting(), await stage.taking()
    mark, steps = stage.mark(), 0
    until = asyncio.get_running_loop().time() + LISTEN_S
    while asyncio.get_running_loop().time() < until:
        steps += 1
        price = (await stage.instrument()).price_rule.floor(mark * (1000 + steps % 3) / 1000)
        exchange = stage.running.exchange
        await exchange.durable(operations.set_price(exchange, stage.venue_symbol, price))
        row, _ = await stage.send(resting)
        await stage.cancel(row)
        await stage.send(taking)
        await asyncio.sleep(TRADE_EVERY_S)


def _measured(recordings: list[_Recording], frames: int) -> list[Decoded]:
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    rounds = max(1, frames // max(1, sum(len(one.payloads) for one in recordings)))
    for turn in range(rounds):
        for recording in recordings:
            _read_again(recording, float(turn), tallies)
    return [
        Decoded(
            channel=kind,
            recorded=tally.read // rounds,
            per_s=tally.read / tally.spent_s,
            bare_per_s=tally.read / tally.bare_s,
        )
        for kind, tally in sorted(tallies.items())
    ]


@dataclass(slots=True)
class _Tally:
    read: int = 0
    spent_s: float = 0.0
    bare_s: float = 0.0


def _read_again(recording: _Recording, now: float, tallies: dict[str, _Tally]) -> None:
    """Read a whole session from a fresh connection on, and each frame by a bare decoder."""
    core, decode, clock = recording.core, msgspec.json.Decoder().decode, time.perf_counter
    core.disconnected("read again", AT)
    core.connected(now, AT)
    for payload in recording.payloads:
        began = clock()
        step = core.received(payload, now, AT)
        read = clock()
        decode(payload)
        tally = tallies[_kind(step)]
        tally.read += 1
        tally.spent_s += read - began
        tally.bare_s += clock() - read


def _kind(step: Step[Any]) -> str:
    """Return what a frame said: the kind of its first event, or that it said nothing."""
    if step.close is not None:
        raise AssertionError(f"a recorded frame ended its connection: {step.close}")
    told = [event for event in step.events if not isinstance(event, FeedState)]
    if not told:
        return "housekeeping"
    if isinstance(told[0], BookSeen) and told[0].is_top:
        return "top of book"
    return str(told[0].kind)
