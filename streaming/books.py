"""Answers requests for order books: from the board where a fresh one is followed, else by asking.

A venue is asked at most every half second per book; equal requests at once share one question.
Knows the bus only by its request type.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bus.market_requests import BookRequest
from domain.accounts import Network
from domain.identifiers import check_symbol
from domain.market_data import OrderBook
from streaming.connectors import Connectors
from streaming.market_board import ChannelKey, MarketBoard
from streaming.market_sources import Place
from venues.connector import MarketChannel, MarketChannelKind

CACHE_S: Final = 0.5
CACHED_MAX: Final = 1_000
#: A followed book is answered with while it was heard within so long.
CURRENT_S: Final = 1.0
_DEEP: Final = (MarketChannelKind.BOOK,)

_Key = tuple[str, Network, str, int]


class Books:
    """The present books, from the venues' connectors."""

    def __init__(
        self,
        connectors: Connectors,
        *,
        board: MarketBoard | None = None,
        cache_s: float = CACHE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connectors = connectors
        self._board = board
        self._cache_s = cache_s
        self._clock = clock
        self._cached: dict[_Key, tuple[float, OrderBook]] = {}
        self._asking: dict[_Key, asyncio.Task[OrderBook]] = {}

    async def book(self, request: BookRequest) -> OrderBook:
        """Return a book.

        Raises:
            InvalidInput: no such venue, network or market.
            Unavailable, VenueRefused: the venue's answer.
        """
        key = (request.venue, request.network, check_symbol(request.symbol), request.depth)
        followed = self._followed(*key)
        if followed is not None:
            return followed
        cached = self._cached.get(key)
        if cached is not None and self._clock() - cached[0] < self._cache_s:
            return cached[1]
        task = self._asking.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(key))
            self._asking[key] = task
            task.add_done_callback(lambda done: self._answered(key, done))
        # Who stops waiting does not take the answer from the others.
        return await asyncio.shield(task)

    def _followed(self, venue: str, network: Network, symbol: str, depth: int) -> OrderBook | None:
        """Return the book of a stream if somebody follows it, it is new, and it is deep enough."""
        if self._board is None:
            return None
        kinds = (MarketChannelKind.BOOK, MarketChannelKind.TOP) if depth == 1 else _DEEP
        for kind in kinds:
            channel = MarketChannel(kind=kind, symbol=symbol)
            key = ChannelKey(Place(venue, network), channel)
            book, age_s = self._board.fresh_book(key), self._board.freshness(key).age_s
            if book is None or age_s is None or age_s > CURRENT_S:
                continue
            if min(len(book.bids), len(book.asks)) >= depth:
                return replace(book, bids=book.bids[:depth], asks=book.asks[:depth])
        return None

    async def close(self) -> None:
        """Stop asking."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _ask(self, key: _Key) -> OrderBook:
        venue, network, symbol, depth = key
        connector = await self._connectors.of(venue, network)
        asked_at = self._clock()
        book = await connector.order_book(symbol, depth=depth)
        if len(self._cached) >= CACHED_MAX:
            self._cached.clear()
        self._cached[key] = (asked_at, book)
        return book

    def _answered(self, key: _Key, task: asyncio.Task[OrderBook]) -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            # Also when nobody waits any more, the error counts as seen.
            task.exception()
