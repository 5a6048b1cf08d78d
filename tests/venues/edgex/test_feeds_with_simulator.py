"""Both feeds against the simulated venue: what only this venue's sockets do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from domain.orders import OrderType, Verdict
from tests.venues.edgex.desk import RESTING, TAKING, Desk, Held
from tests.venues.edgex.desk import desk as desk
from venues.connector import (
    AccountSeen,
    BookSeen,
    FeedState,
    FillsSeen,
    MarketChannel,
    MarketChannelKind,
    OrdersSeen,
)
from venues.edgex.account_feed import EdgexAccountFeed
from venues.edgex.feed_reading import FeedReading
from venues.edgex.market_stream import market_feed
from venues.simulation import operations
from venues.stream import Backoff

BOOK = MarketChannel(kind=MarketChannelKind.BOOK, symbol="BTC-PERP")


async def until(events: AsyncIterator[Any], fits: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(15):
        async for event in events:
            if fits(event):
                return event
    raise AssertionError("the feed ended")


@asynccontextmanager
async def following(
    desk: Desk, held: Held | None = None
) -> AsyncIterator[tuple[EdgexAccountFeed, AsyncIterator[Any]]]:
    reading = FeedReading(desk.venue.url, per_second=500)
    feed = EdgexAccountFeed(
        desk.venue.url.replace("http", "ws"), reading, backoff=lambda: Backoff(first_s=0.05)
    )
    feed.use_credentials(held or Held(desk.key))
    try:
        await feed.watch([desk.account])
        yield feed, feed.events()
    finally:
        await feed.close()


async def test_the_minted_part_is_enough_for_everything_that_is_told(desk: Desk) -> None:
    minted = await desk.connector.mint_feed_credential(desk.access)
    async with following(desk, Held(minted.reveal())) as (_, events):
        await until(events, lambda e: isinstance(e, FeedState) and e.live)
        _, outcome = await desk.send(TAKING)
        assert outcome.kind == "accepted"
        fills = await until(events, lambda e: isinstance(e, FillsSeen))
        assert sum(fill.quantity for fill in fills.fills) == Decimal("0.01")
        seen = await until(
            events, lambda e: isinstance(e, AccountSeen) and bool(e.summary.positions)
        )
        (position,) = seen.summary.positions
        assert (position.symbol, position.quantity) == ("BTC-PERP", Decimal("0.01"))


async def test_open_orders_come_with_the_snapshot_and_a_stop_tells_its_end(desk: Desk) -> None:
    await desk.send(TAKING)
    row, _ = await desk.accepted(RESTING)
    async with following(desk) as (_, events):
        first = await until(events, lambda e: isinstance(e, OrdersSeen))
        assert {order.client_order_id for order in first.orders} == {row.client_order_id}
        stop = replace(
            TAKING,
            side=TAKING.side.opposite,
            order_type=OrderType.STOP_MARKET,
            price=Decimal(55_000),
            trigger_price=Decimal(62_000),
            reduce_only=True,
        )
        stopped, _ = await desk.accepted(stop)
        exchange = desk.venue.exchange
        await exchange.durable(operations.set_price(exchange, "BTC", Decimal(61_900)))
        ended = await until(
            events,
            lambda e: (
                isinstance(e, OrdersSeen)
                and any(
                    order.client_order_id == stopped.client_order_id
                    and order.verdict is Verdict.FILLED
                    for order in e.orders
                )
            ),
        )
        assert ended.account_id == desk.account.account_id


async def test_without_a_key_the_feed_says_so_and_comes_up_when_there_is_one(desk: Desk) -> None:
    held = Held("")
    async with following(desk, held) as (_, events):
        state = await until(events, lambda e: isinstance(e, FeedState))
        assert not state.live and "no API key is kept" in state.reason
        held.credential = "no JSON"
        state = await until(events, lambda e: isinstance(e, FeedState) and "JSON" in e.reason)
        assert not state.live
        held.credential = desk.key
        await until(events, lambda e: isinstance(e, FeedState) and e.live)


async def test_a_revoked_key_is_a_dead_feed_that_shows_no_secret(desk: Desk) -> None:
    exchange = desk.venue.exchange
    with exchange.action("revoke"):
        for agent in exchange.tables.agents.values():
            agent.revoked = True
            exchange.tables.touch(agent)
    async with following(desk) as (_, events):
        state = await until(events, lambda e: isinstance(e, FeedState))
        assert not state.live
        for secret in desk.key.replace('"', " ").split():
            assert len(secret) < 16 or secret not in state.reason


async def test_a_broken_chain_of_a_book_heals(desk: Desk) -> None:
    markets = await desk.connector.instruments()
    feed = market_feed(desk.venue.url.replace("http", "ws"), markets)
    try:
        await feed.subscribe([BOOK])
        events = feed.events()
        await until(events, lambda e: isinstance(e, BookSeen))
        exchange = desk.venue.exchange
        simulator: Any = desk.venue.simulator
        simulator.lose_depth()
        await exchange.durable(operations.set_price(exchange, "BTC", Decimal(50_000)))
        seen = await until(
            events, lambda e: isinstance(e, BookSeen) and e.book.asks[0].price < 51_000
        )
        known = exchange.tables.books["BTC"]
        assert [level.price for level in seen.book.bids] == [
            level.price for level in known.bids.levels(15)
        ]
        # The books of feed and exchange go on being the same.
        await exchange.durable(operations.set_price(exchange, "BTC", Decimal(52_000)))
        seen = await until(
            events, lambda e: isinstance(e, BookSeen) and e.book.bids[0].price > 51_000
        )
        assert [(level.price, level.quantity) for level in seen.book.asks] == [
            (level.price, level.quantity) for level in known.asks.levels(15)
        ]
    finally:
        await feed.close()
