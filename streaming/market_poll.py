"""Asks a venue for what its streams do not tell: tickers and books, every two seconds at most.

All tickers are one question, a book is one each; no more is asked than the read budget can spare.
Trades and candles are not asked for: their streams begin with what was missed. Knows no wishes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import replace
from typing import Final

from domain.errors import PerpDexError
from streaming.budget import LISTING_COST, LOOKUP_COST, ReadBudget
from streaming.connectors import Connectors
from streaming.market_sources import POLL, Deliver, Place
from venues.connector import (
    BookSeen,
    Connector,
    MarketChannel,
    MarketChannelKind,
    TickerSeen,
)

POLL_S: Final = 2.0
#: Books asked for in one round; with more wanted they take turns.
BOOKS_TOGETHER: Final = 10
BOOK_DEPTH: Final = 20

_BOOKS: Final = (MarketChannelKind.BOOK, MarketChannelKind.TOP)

_log = logging.getLogger(__name__)


class MarketPoll:
    """Asks for the channels of one place that it is given."""

    def __init__(
        self,
        place: Place,
        connectors: Connectors,
        budget: ReadBudget,
        deliver: Deliver,
        *,
        poll_s: float = POLL_S,
    ) -> None:
        self._place = place
        self._connectors = connectors
        self._budget = budget
        self._deliver = deliver
        self._poll_s = poll_s
        self._channels: frozenset[MarketChannel] = frozenset()
        self._turns: deque[str] = deque()
        self._some = asyncio.Event()
        self._failing = False

    def follow(self, channels: frozenset[MarketChannel]) -> None:
        """Set the channels to ask for."""
        if channels == self._channels:
            return
        self._channels = channels
        symbols = {each.symbol for each in channels if each.kind in _BOOKS}
        self._turns = deque([s for s in self._turns if s in symbols])
        self._turns.extend(sorted(symbols - set(self._turns)))
        if channels:
            self._some.set()
        else:
            self._some.clear()

    async def run(self) -> None:
        """Ask until cancelled; wait while there is nothing to ask for."""
        while True:
            await self._some.wait()
            try:
                await self._ask()
                self._failing = False
            except PerpDexError as error:
                if not self._failing:
                    _log.warning("a venue's markets cannot be asked for: %s", error)
                self._failing = True
            except Exception:  # noqa: BLE001 - whatever a venue does, it is asked again
                _log.exception("a venue's markets could not be asked for")
            await asyncio.sleep(self._poll_s)

    async def _ask(self) -> None:
        connector = await self._connectors.of(*self._place)
        if any(each.kind is MarketChannelKind.TICKER for each in self._channels):
            await self._ask_tickers(connector)
        for _ in range(min(len(self._turns), BOOKS_TOGETHER)):
            if not self._budget.spare(*self._place, LOOKUP_COST):
                return
            symbol = self._turns[0]
            self._turns.rotate(-1)
            await self._ask_book(connector, symbol)

    async def _ask_tickers(self, connector: Connector) -> None:
        if not self._budget.spare(*self._place, LISTING_COST):
            return
        for ticker in await connector.tickers():
            channel = MarketChannel(kind=MarketChannelKind.TICKER, symbol=ticker.symbol)
            if channel in self._channels:
                self._deliver(self._place, TickerSeen(ticker=ticker), POLL)

    async def _ask_book(self, connector: Connector, symbol: str) -> None:
        book = await connector.order_book(symbol, depth=BOOK_DEPTH)
        best = replace(book, bids=book.bids[:1], asks=book.asks[:1])
        for kind in _BOOKS:
            channel = MarketChannel(kind=kind, symbol=symbol)
            if channel in self._channels:
                is_top = kind is MarketChannelKind.TOP
                seen = BookSeen(book=best if is_top else book, is_top=is_top)
                self._deliver(self._place, seen, POLL)
