"""Every venue's past as the streaming process reads it: what is declared is told, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import NoReturn

import pytest

from domain.accounts import Network
from domain.errors import InvalidInput
from domain.market_data import Ticker
from domain.market_past import MarketQuery, PastQuestion
from streaming.budget import BudgetRule, ReadBudget
from streaming.connectors import Connectors
from streaming.market_board import MarketBoard
from streaming.market_feeds import MarketFeeds, Place
from streaming.market_past import PastReader
from tests.conformance.stage import Stage, now
from venues import registry
from venues.simulation import operations


@pytest.fixture
async def reader(stage: Stage) -> AsyncIterator[PastReader]:
    connectors = Connectors(registry.load)

    def nothing_followed(place: Place, deliver: object) -> NoReturn:
        raise AssertionError("nobody follows anything here")

    async def present(venue: str, network: Network, symbol: str) -> Ticker | None:
        tickers = await (await connectors.of(venue, network)).tickers()
        return next((each for each in tickers if each.symbol == symbol), None)

    board = MarketBoard(MarketFeeds(nothing_followed))
    made = PastReader(connectors, board, ReadBudget(BudgetRule()), present)
    yield made
    await made.close()
    await connectors.close()


async def test_what_is_declared_of_the_past_is_told_and_nothing_else(
    stage: Stage, reader: PastReader
) -> None:
    for _ in range(3):
        await stage.accepted(await stage.taking())
    exchange = stage.running.exchange
    for rate in ("0.001", "0.002", "0.003"):
        await exchange.durable(operations.pay_funding(exchange, stage.venue_symbol, Decimal(rate)))
        await asyncio.sleep(0.002)
    asked = PastQuestion(
        venue=stage.rig.venue,
        network=Network.PAPER,
        symbol=stage.rig.symbol,
        query=MarketQuery.TRADES,
        limit=2,
    )
    questions = {
        MarketQuery.TRADES: asked,
        MarketQuery.FUNDING: replace(asked, query=MarketQuery.FUNDING),
        MarketQuery.CANDLES: replace(asked, query=MarketQuery.CANDLES, interval="1m"),
    }
    for query, question in questions.items():
        if query not in stage.connector.capabilities.market_queries:
            with pytest.raises(InvalidInput) as refused:
                await reader.past(question)
            assert refused.value.field == "venue"
            continue
        past = await reader.past(question)
        assert past.source == "query" and abs(now() - past.as_of) < timedelta(seconds=10)
        if query is MarketQuery.TRADES:
            first, second = past.trades
            assert first.event_time >= second.event_time
        elif query is MarketQuery.FUNDING:
            newest, before = past.rates
            assert newest.event_time >= before.event_time
            assert past.present_rate is not None and past.present_rate.interval_s > 0
        else:
            assert 1 <= len(past.candles) <= 2
            assert past.candles[-1].volume > 0
