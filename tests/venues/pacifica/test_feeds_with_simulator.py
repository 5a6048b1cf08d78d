"""Both feeds against the simulated exchange: loss, doubled and reversed frames, maintenance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from domain.commands import CancelOrder
from domain.orders import Verdict
from domain.outcomes import Unknown
from tests.venues.pacifica.desk import RESTING, TAKING, Desk, desk
from venues.connector import (
    AccountFeed,
    AccountSeen,
    BookSeen,
    CandleSeen,
    FeedState,
    FillsSeen,
    MarketChannel,
    MarketChannelKind,
    OrdersSeen,
    TickerSeen,
    TradesSeen,
)
from venues.pacifica.account_stream import account_feed
from venues.pacifica.feed_reading import FeedReading
from venues.pacifica.market_stream import market_feed
from venues.simulation.faults import FaultKind

__all__ = ["desk"]

E = TypeVar("E")


class Reader:
    """Reads a feed's events one by one, each within a time."""

    def __init__(self, events: AsyncIterator[Any]) -> None:
        self._events = events

    async def next(self, kind: type[E] | None = None) -> Any:
        async with asyncio.timeout(10):
            async for event in self._events:
                if kind is None or isinstance(event, kind):
                    return event
        raise AssertionError("the feed ended")

    async def until_live(self, live: bool = True) -> None:
        while (await self.next(FeedState)).live is not live:
            pass


async def following(desk: Desk) -> tuple[AccountFeed, Reader]:
    feed = account_feed(desk.venue.ws_url, FeedReading(desk.venue.url))
    reader = Reader(feed.events())
    await feed.watch([desk.account])
    await reader.until_live()
    return feed, reader


async def test_account_feed_tells_orders_fills_and_money_and_heals(desk: Desk) -> None:
    feed, reader = await following(desk)
    row, _ = await desk.send(RESTING)
    seen = await reader.next(OrdersSeen)
    assert seen.orders[0].client_order_id == row.client_order_id
    assert seen.orders[0].verdict is Verdict.ACCEPTED
    taken, _ = await desk.send(TAKING)
    fills = await reader.next(FillsSeen)
    assert sum(fill.quantity for fill in fills.fills) == Decimal("0.01")
    ended = await reader.next(OrdersSeen)
    assert [order.verdict for order in ended.orders] == [Verdict.ACCEPTED, Verdict.FILLED]
    # Positions and money come in frames of their own, and are one picture after both.
    while not (summary := (await reader.next(AccountSeen)).summary).initial_margin:
        pass
    assert summary.positions[0].quantity == Decimal("0.01")
    told = await desk.connector.account_summary(desk.account)
    assert (summary.equity, summary.initial_margin) == (told.equity, told.initial_margin)
    assert replace(summary, event_time=told.event_time) == told
    await desk.venue.simulator.close_sockets()
    await reader.until_live(False)
    # What happens while nobody listens is read by REST after it.
    await desk.send(CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id))
    await reader.until_live()
    assert await desk.connector.open_orders(desk.account) == ()
    listed = await desk.connector.fills(
        desk.account, since=datetime.now(UTC) - timedelta(minutes=1)
    )
    assert {fill.key for fill in fills.fills} == {fill.key for fill in listed}
    assert (await desk.find(taken)).verdict is Verdict.FILLED
    await feed.watch([])
    await feed.close()


async def test_feed_frames_twice_and_reversed_give_the_same_facts(desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.DUPLICATE, count=None)
    desk.venue.faults.add(FaultKind.REORDER, count=None)
    feed, reader = await following(desk)
    await desk.send(TAKING)
    keys: set[Any] = set()
    verdicts: set[Verdict] = set()
    while Verdict.FILLED not in verdicts or not keys:
        event = await reader.next()
        if isinstance(event, FillsSeen):
            keys |= {fill.key for fill in event.fills}
        if isinstance(event, OrdersSeen):
            verdicts |= {order.verdict for order in event.orders}
        assert not isinstance(event, FeedState), event
    found = await desk.connector.fills(desk.account, since=datetime.now(UTC) - timedelta(minutes=1))
    assert keys <= {fill.key for fill in found}
    await feed.close()


async def test_maintenance_is_unknown_for_orders_and_a_dead_feed(desk: Desk) -> None:
    feed, reader = await following(desk)
    row = await desk.reserve(RESTING)
    desk.venue.faults.add(FaultKind.MAINTENANCE, count=None)
    await desk.venue.simulator.close_sockets()
    outcome = (await desk.connector.send(row, desk.access)).outcome
    assert isinstance(outcome, Unknown)
    assert "503" in outcome.reason
    await reader.until_live(False)
    desk.venue.faults.clear()
    await reader.until_live()
    await feed.close()


async def test_without_settings_orders_and_fills_are_told_all_the_same(desk: Desk) -> None:
    feed = account_feed(desk.venue.ws_url, FeedReading("http://127.0.0.1:1"))
    reader = Reader(feed.events())
    await feed.watch([desk.account])
    await reader.until_live()
    await desk.send(TAKING)
    assert await reader.next(FillsSeen)
    await feed.close()


async def test_market_feed(desk: Desk) -> None:
    feed = market_feed(desk.venue.ws_url, await desk.connector.instruments())
    channels = [
        MarketChannel(kind=kind, symbol="BTC-PERP")
        for kind in (
            MarketChannelKind.BOOK,
            MarketChannelKind.TOP,
            MarketChannelKind.TRADES,
            MarketChannelKind.TICKER,
        )
    ]
    candle = MarketChannel(kind=MarketChannelKind.CANDLES, symbol="BTC-PERP", interval="1m")
    await feed.subscribe([*channels, candle])
    reader = Reader(feed.events())
    await reader.until_live()
    wanted: set[type[Any]] = {BookSeen, TradesSeen, TickerSeen, CandleSeen}
    await desk.send(TAKING)
    while wanted:
        wanted.discard(type(await reader.next()))
    await feed.subscribe(channels[:1])
    assert await reader.next(BookSeen)
    await feed.close()
