"""What markets' past holds: asked once, answered again for a moment, and never old as new."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

import pytest

from domain.accounts import Network
from domain.errors import InvalidInput, Unavailable, VenueUnavailable
from domain.instruments import OrderSide
from domain.market_data import Candle, FundingRate, Ticker, Trade
from domain.market_past import MarketQuery, PastQuestion
from streaming import market_past as module
from streaming.budget import BudgetRule, ReadBudget
from streaming.connectors import Connectors
from streaming.market_board import MarketBoard
from streaming.market_feeds import STREAM, MarketFeeds, Place
from streaming.market_past import PastReader
from tests.streaming.building import T0
from tests.streaming.test_ingest import until
from tests.streaming.test_prices import ticker
from venues.connector import FeedState, MarketChannel, MarketChannelKind, TradesSeen

PLACE = Place("v", Network.PAPER)
TRADES = PastQuestion(
    venue="v", network=Network.PAPER, symbol="BTC-PERP", query=MarketQuery.TRADES, limit=3
)
FUNDING = replace(TRADES, query=MarketQuery.FUNDING, limit=2)
CANDLES = replace(TRADES, query=MarketQuery.CANDLES, limit=2, interval="1h")


@dataclass
class Capabilities:
    market_queries: frozenset[MarketQuery] = frozenset(MarketQuery)


class Venue:
    """A venue that counts what it is asked, and answers when it may."""

    def __init__(self) -> None:
        self.capabilities = Capabilities()
        self.asked: list[tuple[Any, ...]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    def connect(self, network: Network) -> Any:
        return self

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def recent_trades(self, symbol: str, *, limit: int) -> tuple[Trade, ...]:
        await self._asked("trades", symbol, limit)
        return tuple(trade(number) for number in range(5, 0, -1))

    async def funding_rates(self, symbol: str, *, since: datetime) -> tuple[FundingRate, ...]:
        await self._asked("funding", symbol, since)
        return tuple(rate(hour) for hour in range(4))

    async def candles(
        self, symbol: str, interval: str, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        await self._asked("candles", symbol, interval, start, end)
        return tuple(candle(hour) for hour in range(3))

    async def _asked(self, *what: Any) -> None:
        self.asked.append(what)
        await self.gate.wait()
        if self.error is not None:
            raise self.error


def trade(number: int) -> Trade:
    at = T0 + timedelta(seconds=number)
    return Trade(
        venue="v", symbol="BTC-PERP", trade_id=str(number), price=Decimal(100), quantity=Decimal(1),
        aggressor_side=OrderSide.BUY, event_time=at, received_time=at,
    )  # fmt: skip


def rate(hour: int) -> FundingRate:
    at = T0 + timedelta(hours=hour)
    return FundingRate(
        venue="v", symbol="BTC-PERP", rate=Decimal(hour), interval_s=3600, event_time=at
    )


def candle(hour: int) -> Candle:
    at, one = T0 + timedelta(hours=hour), Decimal(1)
    return Candle(
        venue="v", symbol="BTC-PERP", interval="1h", open_time=at,
        close_time=at + timedelta(hours=1), open=one, high=one, low=one, close=one, volume=one,
    )  # fmt: skip


class Made:
    """A reader over a double of a venue, a board that can be told of trades, and clocks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def never(place: Place, deliver: object) -> NoReturn:
            raise AssertionError("nothing is delivered by a source here")

        self.venue, self.passed_s = Venue(), 0.0
        self.ticker: Ticker | Exception | None = replace(ticker(), funding_rate=Decimal("0.5"))
        feeds = MarketFeeds(never)
        monkeypatch.setattr(feeds, "is_wanted", lambda place, channel: True)
        self.board = MarketBoard(feeds, clock=lambda: self.passed_s)
        self.budget = ReadBudget(BudgetRule(), clock=lambda: self.passed_s)
        self.reader = PastReader(
            Connectors(lambda name: self.venue),
            self.board,
            self.budget,
            self._present,
            clock=lambda: self.passed_s,
            now=lambda: T0 + timedelta(seconds=self.passed_s),
        )

    async def _present(self, venue: str, network: Network, symbol: str) -> Ticker | None:
        if isinstance(self.ticker, Exception):
            raise self.ticker
        return self.ticker

    def hear(self, *numbers: int, live: bool = True) -> None:
        state = FeedState(account_id=None, live=live, reason="", at=T0)
        self.board._take(PLACE, state, STREAM)
        if numbers:
            seen = TradesSeen(trades=tuple(trade(each) for each in numbers), is_backlog=False)
            self.board._take(PLACE, seen, STREAM)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


async def test_each_kind_is_cut_to_what_is_wanted(made: Made) -> None:
    trades = await made.reader.past(TRADES)
    assert [each.trade_id for each in trades.trades] == ["5", "4", "3"]
    assert (trades.source, trades.as_of) == ("query", T0)
    funding = await made.reader.past(FUNDING)
    assert [each.rate for each in funding.rates] == [3, 2], "newest first"
    assert funding.present_rate is not None
    assert (funding.present_rate.rate, funding.present_rate.interval_s) == (Decimal("0.5"), 3600)
    candles = await made.reader.past(CANDLES)
    assert [each.open_time for each in candles.candles] == [
        T0 + timedelta(hours=1),
        T0 + timedelta(hours=2),
    ]
    assert made.venue.asked == [
        ("trades", "BTC-PERP", 3),
        ("funding", "BTC-PERP", T0 - timedelta(days=7)),
        ("candles", "BTC-PERP", "1h", T0 - timedelta(hours=2), T0),
    ]


async def test_funding_is_told_without_the_present_where_that_is_not_known(made: Made) -> None:
    for ticker_now in (None, ticker(), VenueUnavailable("no tickers")):
        made.ticker = ticker_now
        made.passed_s += 100
        found = await made.reader.past(FUNDING)
        assert found.present_rate is None and found.rates


async def test_equal_questions_are_one_and_a_moment_later_too(made: Made) -> None:
    made.venue.gate.clear()
    waiting = [asyncio.create_task(made.reader.past(TRADES)) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting[0].cancel()
    made.venue.gate.set()
    answers = await asyncio.gather(*waiting[1:])
    assert len(set(map(id, answers))) == 1
    made.passed_s = 0.9
    assert await made.reader.past(TRADES) is answers[0]
    assert len(made.venue.asked) == 1
    await made.reader.past(replace(TRADES, limit=4))
    made.passed_s = 1.1
    assert await made.reader.past(TRADES) is not answers[0]
    assert len(made.venue.asked) == 3
    counted = made.reader.answers
    assert counted["v", Network.PAPER, "trades", "kept"] == 1
    assert counted["v", Network.PAPER, "trades", "query"] == 6


async def test_while_the_venue_is_away_its_last_answer_is_told_with_its_age(made: Made) -> None:
    first = await made.reader.past(CANDLES)
    made.venue.error = VenueUnavailable("away")
    made.passed_s = 40
    again = await made.reader.past(CANDLES)
    assert again is first
    assert again.is_stale(T0 + timedelta(seconds=40))
    made.passed_s = 61
    with pytest.raises(VenueUnavailable, match="away"):
        await made.reader.past(CANDLES)
    with pytest.raises(VenueUnavailable, match="away"):
        await made.reader.past(TRADES)


async def test_a_followed_channel_answers_for_the_venue_while_it_is_live(made: Made) -> None:
    made.hear(1, 2, 3, 4)
    found = await made.reader.past(TRADES)
    assert [each.trade_id for each in found.trades] == ["4", "3", "2"]
    assert (found.source, made.venue.asked) == (STREAM, [])
    more = await made.reader.past(replace(TRADES, limit=5))
    assert more.source == "query", "the channel has fewer than that"
    made.hear(live=False)
    assert (await made.reader.past(TRADES)).source == "query"


async def test_what_a_venue_does_not_tell_is_refused_unasked(made: Made) -> None:
    made.venue.capabilities = Capabilities(frozenset({MarketQuery.TRADES}))
    for question in (FUNDING, CANDLES):
        with pytest.raises(InvalidInput, match="v tells trades") as refused:
            await made.reader.past(question)
        assert refused.value.field == "venue"
    made.venue.capabilities = Capabilities(frozenset())
    with pytest.raises(InvalidInput, match="v tells nothing"):
        await made.reader.past(TRADES)
    made.hear(1, 2, 3)
    assert (await made.reader.past(TRADES)).source == STREAM
    assert made.venue.asked == []
    with pytest.raises(InvalidInput, match="limit"):
        await made.reader.past(replace(TRADES, limit=0))


class Feeds:
    """Has trades begin as soon as they are wished for, if they are to."""

    def __init__(self, made: Made) -> None:
        self.made = made
        self.begins = True
        self.wished: list[str] = []
        self.error: Exception | None = None

    async def join(self, place: Place, channel: MarketChannel) -> None:
        if self.error is not None:
            raise self.error
        assert (place, channel.kind) == (PLACE, MarketChannelKind.TRADES)
        self.wished.append(channel.symbol)
        if self.begins:
            self.made.hear(1, 2)

    def release(self, place: Place, channel: MarketChannel) -> None:
        self.wished.remove(channel.symbol)


async def test_where_only_the_stream_tells_trades_it_is_followed_for_a_while(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeds = Feeds(made)
    made.reader._feeds = feeds
    made.venue.capabilities = Capabilities(frozenset())
    feeds.error = InvalidInput("symbol", "no such market")
    with pytest.raises(InvalidInput, match="no such market"):
        await made.reader.past(TRADES)
    feeds.error, feeds.begins = None, False
    monkeypatch.setattr(module, "BEGINS_WITHIN_S", 0.05)
    with pytest.raises(VenueUnavailable, match="begin telling trades"):
        await made.reader.past(TRADES)
    assert feeds.wished == ["BTC-PERP"], "it is followed on: it may begin late"
    monkeypatch.setattr(module, "BEGINS_WITHIN_S", 5.0)
    waiting = [
        asyncio.create_task(made.reader.past(replace(TRADES, limit=each))) for each in (1, 2)
    ]
    await until(lambda: bool(made.reader._beginning))
    await asyncio.sleep(0)
    made.hear(1, 2)
    assert [len(answer.trades) for answer in await asyncio.gather(*waiting)] == [1, 2]
    monkeypatch.setattr(module, "LINGER_S", 0.05)
    found = await made.reader.past(TRADES)
    assert ([each.trade_id for each in found.trades], found.source) == (["2", "1"], STREAM)
    assert feeds.wished == ["BTC-PERP"], "once, however often it is asked"
    await until(lambda: feeds.wished == [])
    made.hear(live=False)
    made.passed_s = 40
    old = await made.reader.past(TRADES)
    assert old.is_stale(T0 + timedelta(seconds=40)) and old.as_of == T0 + timedelta(seconds=2)
    with pytest.raises(InvalidInput, match="v tells nothing"):
        await made.reader.past(FUNDING)
    monkeypatch.setattr(module, "LINGERING_MAX", 0)
    await until(lambda: feeds.wished == [])
    made.passed_s = 80
    with pytest.raises(Unavailable, match="fewer than 0"):
        await made.reader.past(replace(TRADES, symbol="ETH-PERP"))
    await made.reader.close()


async def test_no_more_is_asked_than_the_budget_can_spare(made: Made) -> None:
    answered = 0
    with pytest.raises(Unavailable, match="used up"):
        for number in range(1, 500):
            await made.reader.past(replace(TRADES, limit=number))
            answered += 1
    assert answered == len(made.venue.asked) > 10
    made.passed_s = 0.5
    assert (await made.reader.past(TRADES)).trades, "what was answered lately is answered still"


async def test_questions_at_once_and_answers_kept_are_bounded(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASKING_MAX", 2)
    monkeypatch.setattr(module, "KEPT_MAX", 2)
    made.venue.gate.clear()
    waiting = [
        asyncio.create_task(made.reader.past(replace(TRADES, limit=each))) for each in (1, 2)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="fewer than 2"):
        await made.reader.past(TRADES)
    made.venue.gate.set()
    await asyncio.gather(*waiting)
    await made.reader.past(TRADES)
    await made.reader.past(TRADES)
    assert len(made.venue.asked) == 3
    made.venue.gate.clear()
    last = asyncio.create_task(made.reader.past(FUNDING))
    await asyncio.sleep(0)
    await made.reader.close()
    with pytest.raises(asyncio.CancelledError):
        await last
