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


def top() -> BookSeen:
    book = OrderBook(
        venue="hyperliquid",
        symbol="BTC-PERP",
        bids=(BookLevel(price=Decimal(100), quantity=Decimal(1)),),
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
