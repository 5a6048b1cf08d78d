"""Answers what a market's past holds: trades from a followed channel, all else by asking the venue.

Where a venue tells trades by its stream alone, that is followed for a while, and they are what it
begins with.

What was answered a moment ago is answered again, equal questions at once share one, and no more is
asked than the read budget can spare. While a venue does not answer, its last answer is told with
its age. Knows no bus and no socket.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Protocol

from domain.accounts import Network
from domain.errors import InvalidInput, Unavailable, VenueRefused, VenueUnavailable
from domain.market_data import FundingRate, Ticker
from domain.market_past import MarketPast, MarketQuery, PastQuestion
from streaming.budget import LISTING_COST, ReadBudget
from streaming.connectors import Connectors
from streaming.market_board import ChannelKey, Latest, MarketBoard
from streaming.market_sources import Place
from venues.connector import Connector, MarketChannel, MarketChannelKind

#: So long an answer is given again, in seconds; what changes seldom is asked for seldom.
CACHE_S: Final = {MarketQuery.TRADES: 1.0, MarketQuery.FUNDING: 10.0, MarketQuery.CANDLES: 2.0}
#: So long the last answer stands in for a venue that does not answer.
KEPT_S: Final = 60.0
KEPT_MAX: Final = 500
ASKING_MAX: Final = 32
QUERY: Final = "query"
#: How long a channel that is followed for its trades may take to begin, and is kept afterwards.
BEGINS_WITHIN_S: Final = 1.5
LINGER_S: Final = 30.0
LINGERING_MAX: Final = 50

_PresentTicker = Callable[[str, Network, str], Awaitable[Ticker | None]]


class Wishes(Protocol):
    """Has channels followed (`streaming.market_feeds.MarketFeeds`)."""

    async def join(self, place: Place, channel: MarketChannel) -> None:
        """Wish for a channel. Raises InvalidInput, VenueUnavailable; then nothing is wished for."""
        ...

    def release(self, place: Place, channel: MarketChannel) -> None:
        """Take one wish back."""
        ...


class PastReader:
    """What markets' past holds, from the venues' connectors; `ticker` tells present funding."""

    def __init__(
        self,
        connectors: Connectors,
        board: MarketBoard,
        budget: ReadBudget,
        ticker: _PresentTicker,
        *,
        feeds: Wishes | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connectors = connectors
        self._board = board
        self._budget = budget
        self._ticker = ticker
        self._feeds = feeds
        self._lingering: dict[ChannelKey, asyncio.TimerHandle] = {}
        #: Channels whose first word somebody waits for.
        self._beginning: dict[ChannelKey, asyncio.Event] = {}
        board.listen(self._heard)
        self._clock = clock
        self._now = now
        self._kept: dict[PastQuestion, tuple[float, MarketPast]] = {}
        self._asking: dict[PastQuestion, asyncio.Task[MarketPast]] = {}
        #: Answers by what was asked and how they came, for the metrics.
        self.answers: Counter[tuple[str, Network, str, str]] = Counter()

    async def past(self, question: PastQuestion) -> MarketPast:
        """Return what a market's past holds.

        Raises:
            InvalidInput: the question cannot be asked, or the venue does not tell this.
            Unavailable, VenueRefused: the venue's answer, and no earlier one is recent enough.
        """
        question.check(self._now())
        answer, source = await self._answer(question)
        self.answers[question.venue, question.network, question.query.value, source] += 1
        return answer

    async def close(self) -> None:
        """Stop asking."""
        for handle in self._lingering.values():
            handle.cancel()
        self._lingering.clear()
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _answer(self, question: PastQuestion) -> tuple[MarketPast, str]:
        followed = self._followed(question)
        if followed is not None:
            return followed, followed.source
        kept = self._kept.get(question)
        age_s = None if kept is None else self._clock() - kept[0]
        if kept is not None and age_s is not None and age_s < CACHE_S[question.query]:
            return kept[1], "kept"
        try:
            answer = await self._shared(question)
            return answer, answer.source
        except (Unavailable, VenueRefused):
            if kept is None or age_s is None or age_s > KEPT_S:
                raise
            return kept[1], "kept"

    def _followed(self, question: PastQuestion) -> MarketPast | None:
        """Return the trades of a stream if somebody follows it, it is fresh, and has enough."""
        if question.query is not MarketQuery.TRADES:
            return None
        key = _trades_of(question)
        latest = self._board.latest(key)
        if latest is None or len(latest.trades) < question.limit:
            return None
        if self._board.freshness(key).stale:
            return None
        newest = tuple(reversed(latest.trades))[: question.limit]
        return MarketPast(source=latest.source, as_of=self._now(), trades=newest)

    async def _shared(self, question: PastQuestion) -> MarketPast:
        """Have a question asked once, however many wait for it."""
        task = self._asking.get(question)
        if task is None:
            if len(self._asking) >= ASKING_MAX:
                raise Unavailable(
                    f"expected fewer than {ASKING_MAX} questions to venues at once; try again"
                )
            task = asyncio.get_running_loop().create_task(self._ask(question))
            self._asking[question] = task
            task.add_done_callback(lambda done: self._answered(question, done))
        # Who stops waiting does not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, question: PastQuestion) -> MarketPast:
        venue, network = question.venue, question.network
        connector = await self._connectors.of(venue, network)
        if question.query not in connector.capabilities.market_queries:
            if question.query is MarketQuery.TRADES and self._feeds is not None:
                return await self._begun(self._feeds, question)
            told = ", ".join(sorted(connector.capabilities.market_queries)) or "nothing"
            raise InvalidInput(
                "venue", f"expected one that tells past {question.query}; {venue} tells {told}"
            )
        if not self._budget.spare(venue, network, LISTING_COST):
            raise Unavailable(f"what may be asked of {venue} ({network}) is used up; try again")
        asked_at = self._clock()
        answer = await self._read(connector, question)
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[question] = (asked_at, answer)
        return answer

    async def _begun(self, feeds: Wishes, question: PastQuestion) -> MarketPast:
        """Have the channel of trades followed for a while, and return what it began with.

        Raises:
            InvalidInput: the venue has no such channel.
            Unavailable: it does not begin in time, or too many are followed already.
        """
        key = _trades_of(question)
        if key not in self._lingering:
            if len(self._lingering) >= LINGERING_MAX:
                raise Unavailable(
                    f"expected fewer than {LINGERING_MAX} markets followed for trades; try again"
                )
            await feeds.join(key.place, key.channel)
            if key in self._lingering:
                # Somebody asked at the same time: one wish is enough.
                feeds.release(key.place, key.channel)
        earlier = self._lingering.get(key)
        if earlier is not None:
            earlier.cancel()
        loop = asyncio.get_running_loop()
        self._lingering[key] = loop.call_later(LINGER_S, self._let_go, feeds, key)
        try:
            async with asyncio.timeout(BEGINS_WITHIN_S):
                latest = await self._first_word(key)
        except TimeoutError:
            raise VenueUnavailable(
                f"expected {question.venue} to begin telling trades within {BEGINS_WITHIN_S:g} s"
            ) from None
        stale = self._board.freshness(key).stale
        return MarketPast(
            source=latest.source,
            as_of=latest.received_time if stale else self._now(),
            trades=tuple(reversed(latest.trades))[: question.limit],
        )

    async def _first_word(self, key: ChannelKey) -> Latest:
        while (latest := self._board.latest(key)) is None:
            await self._beginning.setdefault(key, asyncio.Event()).wait()
        return latest

    def _heard(self, key: ChannelKey, latest: Latest) -> None:
        # Called for everything that any feed says: most of the time nobody waits.
        if self._beginning and key in self._beginning:
            self._beginning.pop(key).set()

    def _let_go(self, feeds: Wishes, key: ChannelKey) -> None:
        del self._lingering[key]
        self._beginning.pop(key, None)
        feeds.release(key.place, key.channel)

    async def _read(self, connector: Connector, question: PastQuestion) -> MarketPast:
        symbol, limit, asked = question.symbol, question.limit, self._now()
        match question.query:
            case MarketQuery.TRADES:
                trades = await connector.recent_trades(symbol, limit=limit)
                return MarketPast(source=QUERY, as_of=asked, trades=trades[:limit])
            case MarketQuery.FUNDING:
                rates = await connector.funding_rates(symbol, since=question.funding_since(asked))
                newest = tuple(reversed(rates))[:limit]
                past = MarketPast(source=QUERY, as_of=asked, rates=newest)
                return replace(past, present_rate=await self._present_rate(question))
            case MarketQuery.CANDLES:
                start, end = question.candle_window(asked)
                interval = question.interval or ""
                found = await connector.candles(symbol, interval, start=start, end=end)
                return MarketPast(source=QUERY, as_of=asked, candles=found[-limit:])

    async def _present_rate(self, question: PastQuestion) -> FundingRate | None:
        try:
            ticker = await self._ticker(question.venue, question.network, question.symbol)
        except (Unavailable, VenueRefused):
            return None
        if ticker is None or ticker.funding_rate is None:
            return None
        return FundingRate(
            venue=ticker.venue,
            symbol=ticker.symbol,
            rate=ticker.funding_rate,
            interval_s=ticker.funding_interval_s,
            event_time=ticker.received_time,
        )

    def _answered(self, question: PastQuestion, task: asyncio.Task[MarketPast]) -> None:
        self._asking.pop(question, None)
        if not task.cancelled():
            # Also when nobody waits any more, the error counts as seen.
            task.exception()


def _trades_of(question: PastQuestion) -> ChannelKey:
    channel = MarketChannel(kind=MarketChannelKind.TRADES, symbol=question.symbol)
    return ChannelKey(Place(question.venue, question.network), channel)
