"""Both feeds against the simulated exchange: loss, doubled and reversed frames, maintenance."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.commands import CancelOrder
from domain.orders import Verdict
from domain.outcomes import Unknown
from tests.venues.hyperliquid.desk import RESTING, TAKING, Desk, desk
from tests.venues.hyperliquid.test_stream import Reader
from venues.connector import (
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
from venues.hyperliquid.account_stream import HyperliquidAccountFeed
from venues.hyperliquid.market_stream import HyperliquidMarketFeed
from venues.simulation.faults import FaultKind

__all__ = ["desk"]


async def test_account_feed_tells_orders_and_fills_and_heals(desk: Desk) -> None:
    feed = HyperliquidAccountFeed(desk.venue.url)
    reader = Reader(feed.events())
    await feed.watch([desk.account])
    await reader.until_live()
    row, _ = await desk.send(RESTING)
    seen = await reader.next(OrdersSeen)
    assert seen.orders[0].client_order_id == row.client_order_id
    assert seen.orders[0].verdict is Verdict.ACCEPTED
    taken, _ = await desk.send(TAKING)
    fills = await reader.next(FillsSeen)
    assert sum(fill.quantity for fill in fills.fills) == Decimal("0.01")
    assert not fills.is_snapshot
    await desk.venue.simulator.close_sockets()
    await reader.until_live(False)
    # What happens while nobody listens is in the snapshot, or is read by REST after it.
    await desk.send(CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id))
    snapshot = await reader.next(FillsSeen)
    assert snapshot.is_snapshot
    assert {fill.key for fill in fills.fills} <= {fill.key for fill in snapshot.fills}
    await reader.until_live()
    assert await desk.connector.open_orders(desk.account) == ()
    assert (await desk.find(taken)).verdict is Verdict.FILLED
    await feed.close()


async def test_feed_frames_twice_and_reversed_give_the_same_facts(desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.DUPLICATE, count=None)
    desk.venue.faults.add(FaultKind.REORDER, count=None)
    feed = HyperliquidAccountFeed(desk.venue.url)
    reader = Reader(feed.events())
    await feed.watch([desk.account])
    await reader.until_live()
    row, _ = await desk.send(TAKING)
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
    assert row.client_order_id
    await feed.close()


async def test_maintenance_is_unknown_for_orders_and_a_dead_feed(desk: Desk) -> None:
    feed = HyperliquidAccountFeed(desk.venue.url)
    reader = Reader(feed.events())
    await feed.watch([desk.account])
    await reader.until_live()
    await desk.send(RESTING)
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


async def test_market_feed(desk: Desk) -> None:
    await desk.send(TAKING)
    feed = HyperliquidMarketFeed(desk.venue.url, await desk.connector.instruments())
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
    wanted: set[type[Any]] = {FeedState, BookSeen, TradesSeen, TickerSeen, CandleSeen}
    backlog = []
    while wanted:
        await desk.send(replace(TAKING, quantity=Decimal("0.001")))
        for _ in range(3):
            event = await reader.next()
            wanted.discard(type(event))
            if isinstance(event, TradesSeen):
                backlog.append(event.is_backlog)
    assert backlog[0]
    assert not any(backlog[1:])
    await feed.close()
