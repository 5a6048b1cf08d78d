"""Both feeds over real sockets: every channel, loss and return, doubled and reversed frames.

What a feed tells may come twice, late or in another order, but it is never of another account,
never wrong, and never silently incomplete: a gap is told, and what was missed can be read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from domain.accounts import Account, Network, SecretText
from domain.errors import InvalidInput
from domain.orders import OrderType, Verdict
from domain.outcomes import Unknown
from tests.conformance.stage import Stage
from venues import registry
from venues.connector import (
    AccountFeed,
    AccountSeen,
    BookSeen,
    CandleSeen,
    CredentialedFeed,
    FeedCredentialMinter,
    FeedState,
    FillsSeen,
    FundingSeen,
    MarketChannel,
    MarketChannelKind,
    MarketFeed,
    OrdersSeen,
    TickerSeen,
    TradesSeen,
)
from venues.simulation import operations
from venues.simulation.faults import FaultKind

WITHIN_S: Final = 12.0
#: What shows a channel to be alive.
EVENTS: Final = {
    MarketChannelKind.BOOK: BookSeen,
    MarketChannelKind.TOP: BookSeen,
    MarketChannelKind.TRADES: TradesSeen,
    MarketChannelKind.TICKER: TickerSeen,
    MarketChannelKind.CANDLES: CandleSeen,
}


class Heard:
    """What a feed has told so far, and waiting for more with a deadline."""

    def __init__(self, events: AsyncIterator[Any]) -> None:
        self._events = events
        self.all: list[Any] = []

    async def until(self, fits: Callable[[Any], bool]) -> Any:
        """Read on until an event fits, and return it."""
        async with asyncio.timeout(WITHIN_S):
            async for event in self._events:
                self.all.append(event)
                if fits(event):
                    return event
        raise AssertionError("the feed ended")

    async def live(self, live: bool = True, *, of: Account | None = None) -> FeedState:
        state: FeedState = await self.until(
            lambda event: (
                isinstance(event, FeedState)
                and event.live is live
                and (of is None or event.account_id == of.account_id)
            )
        )
        return state

    async def order(self, client_order_id: str, *verdicts: Verdict) -> Any:
        return await self.until(
            lambda event: (
                isinstance(event, OrdersSeen)
                and any(
                    order.client_order_id == client_order_id and order.verdict in verdicts
                    for order in event.orders
                )
            )
        )

    def fills(self) -> list[Any]:
        return [fill for e in self.all if isinstance(e, FillsSeen) for fill in e.fills]


class _Minted:
    """Mints what a feed needs from the trading key, as a worker does."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def open(self, account: Account) -> SecretText:
        assert isinstance(self._stage.connector, FeedCredentialMinter)
        return await self._stage.connector.mint_feed_credential(await self._stage.trading(account))


@asynccontextmanager
async def account_feed(stage: Stage, *accounts: Account) -> AsyncIterator[Heard]:
    """Follow accounts (the stage's, if none is named) and wait until all are live."""
    feed: AccountFeed = registry.load(stage.rig.venue).account_feed(Network.PAPER)
    needs_secret = stage.connector.capabilities.feed_credential
    assert isinstance(feed, CredentialedFeed) is needs_secret
    assert isinstance(stage.connector, FeedCredentialMinter) is needs_secret
    if isinstance(feed, CredentialedFeed):
        feed.use_credentials(_Minted(stage))
    followed = accounts or (stage.account,)
    try:
        await feed.watch(followed)
        heard = Heard(feed.events())
        awaited = {account.account_id for account in followed}
        while awaited:
            awaited.discard((await heard.live()).account_id or "")
        yield heard
    finally:
        await feed.close()


@asynccontextmanager
async def market_feed(stage: Stage) -> AsyncIterator[tuple[MarketFeed, Heard]]:
    spec = registry.load(stage.rig.venue)
    feed = spec.market_feed(Network.PAPER, await stage.connector.instruments())
    try:
        yield feed, Heard(feed.events())
    finally:
        await feed.close()


def channel(stage: Stage, kind: MarketChannelKind) -> MarketChannel:
    interval = "1m" if kind is MarketChannelKind.CANDLES else None
    return MarketChannel(kind=kind, symbol=stage.rig.symbol, interval=interval)


# Accounts


async def test_an_orders_life_is_told(stage: Stage) -> None:
    async with account_feed(stage) as heard:
        row, _ = await stage.accepted(await stage.resting())
        await heard.order(row.client_order_id, Verdict.ACCEPTED)
        part = (await stage.instrument()).lot_size
        stage.fill(row, part)
        seen = await heard.until(lambda event: isinstance(event, FillsSeen))
        assert not seen.is_snapshot
        assert [(fill.quantity, fill.account_id) for fill in seen.fills] == [
            (part, stage.account.account_id)
        ]
        record = stage.one_at_venue(row)
        assert seen.fills[0].venue_order_id == stage.id_of(record)
        await stage.cancel(row)
        last = await heard.order(row.client_order_id, Verdict.CANCELED)
        (order,) = [o for o in last.orders if o.client_order_id == row.client_order_id]
        assert order.filled_quantity in (part, None)
        assert [e.live for e in heard.all if isinstance(e, FeedState)] == [True]


async def test_money_and_funding_are_told(stage: Stage) -> None:
    async with account_feed(stage) as heard:
        held = await stage.position()
        seen = await heard.until(
            lambda event: isinstance(event, AccountSeen) and bool(event.summary.positions)
        )
        assert [position.quantity for position in seen.summary.positions] == [held]
        if not stage.connector.capabilities.lists_funding_payments:
            return
        exchange = stage.running.exchange
        rate = Decimal("0.001")
        await exchange.durable(operations.pay_funding(exchange, stage.venue_symbol, rate))
        paid = await heard.until(
            lambda event: (
                isinstance(event, FundingSeen) and any(p.rate == rate for p in event.payments)
            )
        )
        assert all(payment.account_id == stage.account.account_id for payment in paid.payments)


async def test_a_trigger_that_acts_is_told(stage: Stage) -> None:
    if OrderType.STOP_MARKET not in stage.connector.capabilities.order_types:
        return
    held = await stage.position()
    command = await stage.waiting(OrderType.STOP_MARKET, quantity=held, reduce_only=True)
    async with account_feed(stage) as heard:
        row, _ = await stage.accepted(command)
        await heard.order(row.client_order_id, Verdict.ACCEPTED)
        assert command.trigger_price is not None
        rule = (await stage.instrument()).price_rule
        await stage.move_mark(rule.floor(command.trigger_price * Decimal("0.999")))
        while sum(f.quantity for f in heard.fills() if f.side is command.side) < held:
            await heard.until(lambda event: isinstance(event, FillsSeen))
        assert stage.held() == 0


async def test_a_loss_is_told_and_healed_and_what_was_missed_can_be_read(stage: Stage) -> None:
    since = await stage.connector.venue_time(stage.account) - timedelta(seconds=1)
    async with account_feed(stage) as heard:
        row, _ = await stage.accepted(await stage.resting())
        await heard.order(row.client_order_id, Verdict.ACCEPTED)
        await stage.running.simulator.close_sockets()
        assert (await heard.live(False)).reason
        stage.fill(row, (await stage.instrument()).lot_size)
        await stage.cancel(row)
        await heard.live()
        # Whoever hears that it is live again reads once: nothing is lost by then.
        assert await stage.connector.open_orders(stage.account) == ()
        read = await stage.connector.fills(stage.account, since=since)
        assert [fill.quantity for fill in read] == [(await stage.instrument()).lot_size]
        later, _ = await stage.accepted(await stage.resting())
        await heard.order(later.client_order_id, Verdict.ACCEPTED)
        keys = {fill.key for fill in heard.fills()}
        assert keys <= {fill.key for fill in read}


async def test_frames_twice_and_reversed_give_the_same_facts(stage: Stage) -> None:
    since = await stage.connector.venue_time(stage.account) - timedelta(seconds=1)
    async with account_feed(stage) as heard:
        stage.fault(FaultKind.DUPLICATE, count=None)
        stage.fault(FaultKind.REORDER, count=None)
        row, _ = await stage.accepted(await stage.taking())
        await heard.order(row.client_order_id, Verdict.FILLED)
        record = stage.one_at_venue(row)
        quantities: dict[tuple[str, str, str, str, int], Decimal] = {}
        while sum(quantities.values(), Decimal(0)) < record.filled:
            if not heard.fills():
                await heard.until(lambda event: isinstance(event, FillsSeen))
            quantities = {fill.key: fill.quantity for fill in heard.fills()}
        read = await stage.connector.fills(stage.account, since=since)
        assert quantities == {fill.key: fill.quantity for fill in read}
        assert sum(quantities.values()) == record.filled


async def test_accounts_are_never_mixed(stage: Stage) -> None:
    other = await stage.open_account()
    async with account_feed(stage, stage.account, other) as heard:
        rows = {
            account.account_id: (await stage.accepted(await stage.resting(), account))[0]
            for account in (stage.account, other)
        }
        awaited = {row.client_order_id for row in rows.values()}
        while awaited:
            event = await heard.until(lambda event: isinstance(event, OrdersSeen))
            awaited -= {order.client_order_id for order in event.orders}
        for event in heard.all:
            if isinstance(event, OrdersSeen):
                own = rows[event.account_id].client_order_id
                assert {order.client_order_id for order in event.orders} == {own}
            if isinstance(event, AccountSeen):
                assert event.summary.account_id == event.account_id


async def test_an_account_that_is_let_go_is_not_told_of_any_more(stage: Stage) -> None:
    other = await stage.open_account()
    feed = registry.load(stage.rig.venue).account_feed(Network.PAPER)
    if isinstance(feed, CredentialedFeed):
        feed.use_credentials(_Minted(stage))
    heard = Heard(feed.events())
    await feed.watch([stage.account, other])
    await heard.live(of=stage.account)
    await feed.watch([other])
    known = len(heard.all)
    await stage.accepted(await stage.resting())
    theirs, _ = await stage.accepted(await stage.resting(), other)
    await heard.order(theirs.client_order_id, Verdict.ACCEPTED)
    orders = [event for event in heard.all[known:] if isinstance(event, OrdersSeen)]
    assert {event.account_id for event in orders} == {other.account_id}
    await feed.close()


async def test_maintenance_is_a_dead_feed_and_no_verdict(stage: Stage) -> None:
    async with account_feed(stage) as heard:
        await stage.accepted(await stage.resting())
        row = await stage.reserve(await stage.resting())
        stage.running.faults.add(FaultKind.MAINTENANCE, count=None)
        await stage.running.simulator.close_sockets()
        assert isinstance(await stage.carry_out(row), Unknown)
        await heard.live(False)
        stage.running.faults.clear()
        await heard.live()


# Markets


@pytest.mark.parametrize("kind", MarketChannelKind)
async def test_every_channel_carries_what_it_is_named_for(
    stage: Stage, kind: MarketChannelKind
) -> None:
    async with market_feed(stage) as (feed, heard):
        await stage.send(await stage.taking())
        await feed.subscribe([channel(stage, kind)])
        taking = await stage.taking()

        def fits(event: Any) -> bool:
            if isinstance(event, TradesSeen) and not event.trades:
                return False
            if isinstance(event, BookSeen) and event.is_top is not (kind is MarketChannelKind.TOP):
                return False
            return isinstance(event, EVENTS[kind])

        async def trade() -> None:
            while True:
                await stage.send(taking)
                await asyncio.sleep(0.1)

        trading = asyncio.create_task(trade())
        try:
            event = await heard.until(fits)
        finally:
            trading.cancel()
            await asyncio.gather(trading, return_exceptions=True)
        kinds = {type(seen) for seen in heard.all} - {FeedState}
        assert kinds == {EVENTS[kind]}
        check(stage, event)


def check(stage: Stage, event: Any) -> None:
    """Compare what a channel told with the exchange."""
    match event:
        case BookSeen(book=book, is_top=is_top):
            assert (book.venue, book.symbol) == (stage.rig.venue, stage.rig.symbol)
            assert book.bids[0].price < stage.mark() < book.asks[0].price
            assert len(book.bids) == 1 or not is_top
        case TradesSeen(trades=trades):
            assert {trade.symbol for trade in trades} == {stage.rig.symbol}
            assert list(trades) == sorted(trades, key=lambda trade: trade.event_time)
        case TickerSeen(ticker=ticker):
            assert (ticker.symbol, ticker.mark_price) == (stage.rig.symbol, stage.mark())
        case CandleSeen(candle=candle):
            assert (candle.symbol, candle.interval) == (stage.rig.symbol, "1m")
            assert candle.low <= candle.close <= candle.high


async def test_a_market_feed_that_was_lost_comes_back_with_all_its_channels(stage: Stage) -> None:
    async with market_feed(stage) as (feed, heard):
        await feed.subscribe([channel(stage, kind) for kind in MarketChannelKind])
        await heard.until(lambda event: isinstance(event, FeedState) and event.live)
        await stage.running.simulator.close_sockets()
        assert (await heard.live(False)).account_id is None
        lost = len(heard.all)
        await heard.live()
        taking = await stage.taking()
        wanted = set(map(_told, MarketChannelKind))
        async with asyncio.timeout(WITHIN_S):
            while not wanted <= {(type(e), getattr(e, "is_top", False)) for e in heard.all[lost:]}:
                await stage.send(taking)
                await heard.until(lambda event: not isinstance(event, FeedState))


async def test_a_market_in_which_nobody_trades_is_followed_all_the_same(stage: Stage) -> None:
    if not stage.rig.confirms_trades:
        return
    async with market_feed(stage) as (feed, heard):
        await feed.subscribe([channel(stage, MarketChannelKind.TRADES)])

        def is_confirmed(event: Any) -> bool:
            return isinstance(event, TradesSeen) and event.market == stage.rig.symbol

        first = await heard.until(is_confirmed)
        assert (first.trades, first.is_backlog) == ((), True)
        # The word that the feed is live may come before it or after it.
        await live_among(heard, 0)
        await stage.running.simulator.close_sockets()
        await heard.live(False)
        lost = len(heard.all)
        assert (await heard.until(is_confirmed)).trades == ()
        await live_among(heard, lost)
        await stage.send(await stage.taking())
        traded = await heard.until(is_confirmed)
        assert traded.trades and {each.symbol for each in traded.trades} == {stage.rig.symbol}


async def live_among(heard: Any, since: int) -> None:
    """Wait for the word that a feed is live, unless it was said since then."""
    if not any(isinstance(event, FeedState) and event.live for event in heard.all[since:]):
        await heard.live()


def _told(kind: MarketChannelKind) -> tuple[type[Any], bool]:
    """Return the event that a channel brings, and whether it is of the best prices alone."""
    return EVENTS[kind], kind is MarketChannelKind.TOP


async def test_wrong_channels_are_refused_and_change_nothing(stage: Stage) -> None:
    async with market_feed(stage) as (feed, heard):
        book = channel(stage, MarketChannelKind.BOOK)
        await feed.subscribe([book])
        await heard.live()
        for wrong in (
            MarketChannel(kind=MarketChannelKind.BOOK, symbol="NOSUCH-PERP"),
            MarketChannel(kind=MarketChannelKind.CANDLES, symbol=stage.rig.symbol, interval="7m"),
            MarketChannel(kind=MarketChannelKind.CANDLES, symbol=stage.rig.symbol),
        ):
            with pytest.raises(InvalidInput):
                await feed.subscribe([book, wrong])
        # Of a book that does not change some venues say nothing.
        await stage.send(await stage.resting())
        await heard.until(lambda event: isinstance(event, BookSeen))
        assert not [e for e in heard.all if isinstance(e, FeedState) and not e.live]


async def test_a_channel_that_is_let_go_falls_silent(stage: Stage) -> None:
    async with market_feed(stage) as (feed, heard):
        trades, ticker = (
            channel(stage, MarketChannelKind.TRADES),
            channel(stage, MarketChannelKind.TICKER),
        )
        await feed.subscribe([trades, ticker])
        await heard.until(lambda event: isinstance(event, TickerSeen))
        await feed.subscribe([ticker])
        await heard.until(lambda event: isinstance(event, TickerSeen))
        known = len(heard.all)
        await stage.send(await stage.taking())
        for _ in range(2):
            await heard.until(lambda event: isinstance(event, TickerSeen))
        assert not [e for e in heard.all[known:] if isinstance(e, TradesSeen)]
