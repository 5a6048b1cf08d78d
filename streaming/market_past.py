"""Answers what a market's past holds: trades from a followed channel, all else by asking the venue.

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
from typing import Final

from domain.accounts import Network
from domain.errors import InvalidInput, Unavailable, VenueRefused
from domain.market_data import FundingRate, Ticker
from domain.market_past import MarketPast, MarketQuery, PastQuestion
from streaming.budget import LISTING_COST, ReadBudget
from streaming.connectors import Connectors
from streaming.market_board import ChannelKey, MarketBoard
from streaming.market_sources import Place
from venues.connector import Connector, MarketChannel, MarketChannelKind

#: So long an answer is given again, in seconds; what changes seldom is asked for seldom.
CACHE_S: Final = {MarketQuery.TRADES: 1.0, MarketQuery.FUNDING: 10.0, MarketQuery.CANDLES: 2.0}
#: So long the last answer stands in for a venue that does not answer.
KEPT_S: Final = 60.0
KEPT_MAX: Final = 500
ASKING_MAX: Final = 32
QUERY: Final = "query"

_PresentTicker = Callable[[str, Network, str], Awaitable[Ticker | None]]


class PastReader:
    """What markets' past holds, from the venues' connectors; `ticker` tells present funding."""

    def __init__(
        self,
        connectors: Connectors,
        board: MarketBoard,
        budget: ReadBudget,
        ticker: _PresentTicker,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connectors = connectors
        self._board = board
        self._budget = budget
        self._ticker = ticker
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
            return await self._shared(question), QUERY
        except (Unavailable, VenueRefused):
            if kept is None or age_s is None or age_s > KEPT_S:
                raise
            return kept[1], "kept"

    def _followed(self, question: PastQuestion) -> MarketPast | None:
        """Return the trades of a stream if somebody follows it, it is fresh, and has enough."""
        if question.query is not MarketQuery.TRADES:
            return None
        channel = MarketChannel(kind=MarketChannelKind.TRADES, symbol=question.symbol)
        key = ChannelKey(Place(question.venue, question.network), channel)
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
