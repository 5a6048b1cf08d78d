"""When a followed market begins to be told: also if its first word came before it was fresh."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from domain.accounts import Network
from domain.market_data import BookLevel, OrderBook
from streaming.hub import Hub
from streaming.market_board import MarketBoard
from streaming.market_feeds import MarketFeeds
from streaming.market_names import MarketName
from streaming.market_topics import MarketTopics
from streaming.protocol import Limits
from tests.streaming.building import T0
from tests.streaming.test_hub import Client, joined
from tests.streaming.test_market_feeds import HOME, Played
from venues.connector import BookSeen, FeedState, MarketChannelKind


def top(price: int = 100) -> BookSeen:
    book = OrderBook(
        venue="hyperliquid",
        symbol="BTC-PERP",
        bids=(BookLevel(price=Decimal(price), quantity=Decimal(1)),),
        asks=(),
        event_time=T0,
        received_time=T0,
    )
    return BookSeen(book=book, is_top=True)


def told(client: Client) -> list[dict[str, Any]]:
    return [json.loads(data) for data in client.sent]


async def test_what_came_before_its_connection_was_live_is_told_when_it_is() -> None:
    played, hub = Played(), Hub(Limits())
    feeds = MarketFeeds(played.make)
    topics = MarketTopics(hub, feeds, MarketBoard(feeds), lambda: ["hyperliquid"])
    session, client = joined(hub)
    shared = MarketName(MarketChannelKind.TOP, None, Network.PAPER, "BTC-PERP")
    await topics.open(shared)
    topics.attach(session, shared.topic)
    source = played.sources[HOME]
    source.say(top())
    assert {message["type"] for message in told(client)} == {"status"}
    source.say(FeedState(account_id=None, live=True, reason="subscribed", at=T0))
    *_, snapshot, status = told(client)
    assert snapshot["type"] == "snapshot"
    assert snapshot["bid"] == ["100", "1", [["hyperliquid", "1"]]]
    assert (status["type"], status["stale"]) == ("status", False)
    await feeds.close()


async def test_who_reads_slowly_gets_the_newest_state_and_is_counted() -> None:
    played, hub = Played(), Hub(Limits())
    feeds = MarketFeeds(played.make)
    topics = MarketTopics(hub, feeds, MarketBoard(feeds), lambda: ["hyperliquid"])
    session, client = joined(hub)
    name = MarketName(MarketChannelKind.TOP, "hyperliquid", Network.PAPER, "BTC-PERP")
    await topics.open(name)
    topics.attach(session, name.topic)
    source = played.sources[HOME]
    source.say(top())
    session.outbox.pause(0.0)
    for price in (101, 102, 103):
        source.say(top(price))
    session.outbox.resume(1.0)
    assert hub.due_for_resync() == [(session, name.topic)]
    topics.resync(session, name.topic)
    resync, snapshot, _ = told(client)[-3:]
    assert (resync["type"], snapshot["bid"]) == ("resync", ["103", "1"])
    assert (hub.counts.left_out, hub.counts.resyncs) == (1, 1)
    await feeds.close()
