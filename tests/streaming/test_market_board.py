"""What the board keeps of books that overtake each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import NoReturn

import pytest

from domain.accounts import Network
from domain.market_data import BookLevel, OrderBook
from streaming.market_board import LATE_MAX_S, ChannelKey, MarketBoard
from streaming.market_feeds import STREAM, STREAM_2, MarketFeeds, Place
from tests.streaming.building import T0
from venues.connector import BookSeen, FeedState, MarketChannel, MarketChannelKind

PLACE = Place("hyperliquid", Network.PAPER)
BOOK = MarketChannel(kind=MarketChannelKind.BOOK, symbol="BTC-PERP")
KEY = ChannelKey(PLACE, BOOK)


class Heard:
    """A board with one wanted book, and what its listeners were told."""

    def __init__(self) -> None:
        def never(place: Place, deliver: object) -> NoReturn:
            raise AssertionError("nothing is delivered by a source here")

        self.feeds = MarketFeeds(never)
        self.board = MarketBoard(self.feeds)
        self.told: list[int] = []
        self.board.listen(lambda key, latest: self.told.append(seconds(latest.book)))

    def book(self, after_s: float, source: str = STREAM) -> None:
        level = BookLevel(price=Decimal(100), quantity=Decimal(1))
        at = T0 + timedelta(seconds=after_s)
        found = OrderBook(
            venue="hyperliquid",
            symbol="BTC-PERP",
            bids=(level,),
            asks=(replace(level, price=Decimal(101)),),
            event_time=at,
            received_time=at,
        )
        self.board._take(PLACE, BookSeen(book=found, is_top=False), source)

    def state(self, *, live: bool, source: str = STREAM) -> None:
        state = FeedState(account_id=None, live=live, reason="", at=T0)
        self.board._take(PLACE, state, source)


def seconds(book: OrderBook | None) -> int:
    assert book is not None
    return int((book.event_time - T0).total_seconds())


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    made = Heard()
    monkeypatch.setattr(made.feeds, "is_wanted", lambda place, channel: True)
    return made


def test_a_book_that_was_overtaken_is_not_shown(heard: Heard) -> None:
    heard.state(live=True)
    for after_s in (1, 3, 2, 3, 4):
        heard.book(after_s)
    assert heard.told == [1, 3, 3, 4]


def test_nor_is_one_that_comes_another_way(heard: Heard) -> None:
    heard.state(live=True)
    heard.state(live=True, source=STREAM_2)
    heard.book(3)
    heard.book(2, STREAM_2)
    assert heard.told == [3]
    fresh = heard.board.freshness(KEY)
    assert (fresh.source, fresh.stale) == (STREAM_2, False), "it says that the newer one holds"
    heard.book(4, STREAM_2)
    assert heard.told == [3, 4]


def test_after_a_reconnect_whatever_comes_is_shown(heard: Heard) -> None:
    heard.state(live=True)
    heard.book(3)
    heard.state(live=False)
    heard.state(live=True)
    heard.book(2)
    assert heard.told == [3, 2]


def test_a_venue_whose_clock_was_set_back_is_believed(heard: Heard) -> None:
    heard.state(live=True)
    heard.book(100)
    heard.book(100 - LATE_MAX_S)
    heard.book(100 - LATE_MAX_S - 1)
    assert heard.told == [100, int(100 - LATE_MAX_S - 1)]
