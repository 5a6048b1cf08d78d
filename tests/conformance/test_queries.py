"""Every query says what the exchange knows; what was not answered is an error, never a default."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from domain.accounts import MarginMode, PositionSide
from domain.candle_intervals import interval_length
from domain.errors import InvalidInput, VenueRefused, VenueUnavailable
from domain.instruments import MarketState, OrderSide
from domain.ledger import NonceRule
from domain.orders import OrderType, Verdict
from domain.outcomes import Accepted, NotSent, SendResult
from tests.conformance.rig import WireReply
from tests.conformance.stage import Stage, now
from tests.conformance.way import Broken, Way
from venues.connector import Connector, MarketQuery
from venues.simulation import margin, operations

HOUR: Final = timedelta(hours=1)
NO_SUCH_SYMBOL: Final = "NOSUCH-PERP"

Ask = Callable[[Stage], Awaitable[Any]]


async def _check_signer(stage: Stage) -> Any:
    return await stage.connector.check_signer(await stage.trading())


#: Every question that goes to the venue, asked somehow.
QUERIES: Final[Mapping[str, Ask]] = {
    "check_signer": _check_signer,
    "instruments": lambda s: s.connector.instruments(refresh=True),
    "find_order": lambda s: s.connector.find_order(
        s.account,
        symbol=s.rig.symbol,
        client_order_id=_never_given(s),
    ),
    "venue_time": lambda s: s.connector.venue_time(s.account),
    "open_orders": lambda s: s.connector.open_orders(s.account),
    "order_history": lambda s: s.connector.order_history(s.account),
    "fills": lambda s: s.connector.fills(s.account, since=now() - HOUR),
    "account_summary": lambda s: s.connector.account_summary(s.account),
    "fee_rates": lambda s: s.connector.fee_rates(s.account),
    "funding_payments": lambda s: s.connector.funding_payments(s.account, since=now() - HOUR),
    "order_book": lambda s: s.connector.order_book(s.rig.symbol),
    "price_bound": lambda s: s.connector.price_bound(s.rig.symbol, OrderSide.BUY, 50),
    "recent_trades": lambda s: s.connector.recent_trades(s.rig.symbol),
    "candles": lambda s: s.connector.candles(s.rig.symbol, "1m", start=now() - HOUR, end=now()),
    "tickers": lambda s: s.connector.tickers(),
    "funding_rates": lambda s: s.connector.funding_rates(s.rig.symbol, since=now() - HOUR),
    "leverage_of": lambda s: s.connector.leverage_of(s.account, s.rig.symbol),
}
#: Questions that a venue answers only where it declares so.
DECLARED: Final = {
    "recent_trades": MarketQuery.TRADES,
    "candles": MarketQuery.CANDLES,
    "funding_rates": MarketQuery.FUNDING,
}
#: What asks the venue nothing, or is a command: it is tried elsewhere in this suite.
NO_QUERIES: Final = {
    "start", "close", "signer_of", "instrument", "client_order_id", "compose", "send", "resend",
    "set_leverage", "schedule_cancel",
}  # fmt: skip
#: Answers that say nothing.
SILENT: Final[Mapping[str, WireReply | Broken]] = {
    "lost": Broken.LOST,
    "its answer lost": Broken.ANSWER_LOST,
    "500": WireReply(status=500, body=b"null"),
    "500 with a list": WireReply(status=500, body=b"[]"),
    "500 with an object": WireReply(status=500, body=b"{}"),
    "a page in place of an answer": WireReply(
        status=502, body=b"<html>Bad Gateway</html>", content_type="text/html"
    ),
    "half an answer": WireReply(status=200, body=b'{"data": [{"a": 1'),
    "an empty answer": WireReply(status=200, body=b""),
    "another answer": WireReply(status=200, body=b'"what"'),
    "too many": WireReply(status=429, body=b"null"),
}


def _never_given(stage: Stage) -> str:
    """Return a client order id that is none of any order's."""
    if stage.connector.capabilities.nonce_rule is NonceRule.NAMES_ORDER:
        return "1"
    return stage.connector.client_order_id("00010203-0405-4607-8809-0a0b0c0d0e0f", 0, 0)


def test_every_question_of_the_protocol_is_asked_here() -> None:
    asked = {name for name in vars(Connector) if not name.startswith("_")}
    assert asked == QUERIES.keys() | NO_QUERIES


def _answers(stage: Stage, name: str) -> bool:
    if name == "funding_payments" and not stage.connector.capabilities.lists_funding_payments:
        return False
    return name not in DECLARED or _tells(stage, DECLARED[name])


def _tells(stage: Stage, query: MarketQuery) -> bool:
    return query in stage.connector.capabilities.market_queries


@pytest.mark.parametrize("silent", SILENT)
async def test_what_was_not_answered_is_an_error_and_never_a_default(
    scripted: tuple[Stage, Way], silent: str
) -> None:
    stage, way = scripted
    way.queries = SILENT[silent]
    asked = {name: ask for name, ask in QUERIES.items() if _answers(stage, name)}
    answers = await asyncio.gather(*(ask(stage) for ask in asked.values()), return_exceptions=True)
    for name, answer in zip(asked, answers, strict=True):
        assert isinstance(answer, VenueUnavailable | VenueRefused), f"{name}: {answer!r}"


@pytest.mark.parametrize("name", QUERIES)
async def test_every_question_is_answered(stage: Stage, name: str) -> None:
    lists = stage.connector.capabilities.lists_funding_payments
    if _answers(stage, name) or (name == "funding_payments" and not lists):
        assert await QUERIES[name](stage) is not None
        return
    with pytest.raises(InvalidInput) as refused:
        await QUERIES[name](stage)
    assert refused.value.field == "venue"


async def test_markets_are_those_of_the_exchange(stage: Stage) -> None:
    there = stage.running.exchange.tables.instruments
    markets = await stage.connector.instruments()
    assert len({market.symbol for market in markets}) == len(markets)
    for market in markets:
        known = there[stage.running.simulator.venue_symbol(market.symbol)]
        assert market.venue == stage.rig.venue
        assert market.lot_size > 0
        assert market.min_quantity is None or market.min_quantity >= market.lot_size
        assert market.fees is None or market.fees.maker <= market.fees.taker < Decimal("0.01")
        assert market.max_leverage == known.max_leverage
        assert (market.state is MarketState.OPEN) is not known.delisted
        assert await stage.connector.instrument(market.symbol) == market
    assert {m.symbol for m in markets if m.state is MarketState.OPEN} >= {stage.rig.symbol}
    with pytest.raises(InvalidInput):
        await stage.connector.instrument(NO_SUCH_SYMBOL)


async def test_the_book_is_the_exchanges(stage: Stage) -> None:
    tables = stage.running.exchange.tables
    book = await stage.connector.order_book(stage.rig.symbol, depth=5)
    assert (book.venue, book.symbol) == (stage.rig.venue, stage.rig.symbol)
    for side, levels in (("bids", book.bids), ("asks", book.asks)):
        known = list(getattr(tables.books[stage.venue_symbol], side).levels(5))
        assert [(level.price, level.quantity) for level in levels] == [
            (level.price, level.quantity) for level in known
        ]
    assert abs(now() - book.received_time) < timedelta(seconds=10)
    with pytest.raises(InvalidInput):
        await stage.connector.order_book(stage.rig.symbol, depth=0)
    for name in ("order_book", "recent_trades"):
        with pytest.raises(InvalidInput):
            await getattr(stage.connector, name)(NO_SUCH_SYMBOL)


@pytest.mark.parametrize("side", OrderSide)
async def test_a_bound_is_on_the_far_side_of_the_book(stage: Stage, side: OrderSide) -> None:
    prices = await stage.prices()
    rule = (await stage.instrument()).price_rule
    for slippage_bps in (10, 500):
        bound = await stage.connector.price_bound(stage.rig.symbol, side, slippage_bps)
        assert rule.allows(bound)
        share = Decimal(slippage_bps) / 10_000
        if side is OrderSide.BUY:
            assert prices.best_bid < bound <= rule.ceiling(prices.best_ask * (1 + share))
        else:
            assert prices.best_ask > bound >= rule.floor(prices.best_bid * (1 - share))


async def test_tickers_tell_the_present_prices(stage: Stage) -> None:
    await stage.move_mark((await stage.instrument()).price_rule.floor(stage.mark() * 2))
    tickers = {ticker.symbol: ticker for ticker in await stage.connector.tickers()}
    assert tickers[stage.rig.symbol].mark_price == stage.mark()
    assert tickers[stage.rig.symbol].funding_interval_s > 0
    delisted = [m.symbol for m in await stage.connector.instruments() if m.state != "OPEN"]
    assert not set(delisted) & tickers.keys()


async def test_public_trades_tell_what_was_traded(stage: Stage) -> None:
    if not _tells(stage, MarketQuery.TRADES):
        return
    row, _ = await stage.accepted(await stage.taking())
    record = stage.one_at_venue(row)
    (newest, *_) = await stage.connector.recent_trades(stage.rig.symbol)
    assert newest.aggressor_side in (OrderSide.BUY, None), "some venues do not say who took"
    trades = await stage.connector.recent_trades(stage.rig.symbol, limit=50)
    assert list(trades) == sorted(trades, key=lambda trade: trade.event_time, reverse=True)
    assert sum(trade.quantity for trade in trades) >= record.filled
    assert len(await stage.connector.recent_trades(stage.rig.symbol, limit=1)) == 1
    assert len({trade.trade_id for trade in trades}) == len(trades)


async def test_candles_tell_what_was_traded(stage: Stage) -> None:
    if not _tells(stage, MarketQuery.CANDLES):
        return
    row, _ = await stage.accepted(await stage.taking())
    record = stage.one_at_venue(row)
    candles = await stage.connector.candles(
        stage.rig.symbol, "1m", start=now() - HOUR, end=now() + HOUR
    )
    assert candles[-1].volume >= record.filled
    for candle in candles:
        assert candle.low <= min(candle.open, candle.close)
        assert candle.high >= max(candle.open, candle.close)
        assert candle.open_time < candle.close_time
    assert list(candles) == sorted(candles, key=lambda candle: candle.open_time)
    with pytest.raises(InvalidInput):
        await stage.connector.candles(stage.rig.symbol, "7m", start=now() - HOUR, end=now())


async def test_candles_come_in_every_interval_that_is_declared(stage: Stage) -> None:
    declared = stage.connector.capabilities.candle_intervals
    assert len(set(declared)) == len(declared)
    if not _tells(stage, MarketQuery.CANDLES):
        assert declared == ()
        return
    await stage.accepted(await stage.taking())
    lengths: list[timedelta] = []
    for interval in declared:
        length = interval_length(interval)
        *_, newest = await stage.connector.candles(
            stage.rig.symbol, interval, start=now() - 2 * length, end=now() + length
        )
        assert newest.interval == interval
        assert newest.volume > 0
        lengths.append(newest.close_time - newest.open_time)
    assert lengths == sorted(lengths), "the shortest interval comes first"


async def test_the_venues_time_is_the_venues(stage: Stage) -> None:
    before = await stage.connector.venue_time(stage.account)
    assert abs(before - now()) < timedelta(seconds=5)
    stage.advance_venue(3600)
    assert await stage.connector.venue_time(stage.account) - before >= HOUR


async def test_fills_are_single_once_and_in_order(stage: Stage) -> None:
    since = await stage.connector.venue_time(stage.account)
    rows = [(await stage.accepted(await stage.taking()))[0] for _ in range(3)]
    resting, _ = await stage.accepted(await stage.resting())
    stage.fill(resting, (await stage.instrument()).lot_size)
    fills = await stage.connector.fills(stage.account, since=since)
    known = stage.running.exchange.tables.fills
    assert len({fill.key for fill in fills}) == len(fills) == len(known)
    assert list(fills) == sorted(fills, key=lambda fill: fill.event_time)
    assert sum(fill.fee for fill in fills) == sum(fill.fee for fill in known)
    for row in (*rows, resting):
        record = stage.one_at_venue(row)
        own = [f for f in fills if f.venue_order_id == stage.id_of(record)]
        assert sum(fill.quantity for fill in own) == record.filled
        assert {fill.client_order_id for fill in own} <= {row.client_order_id, None}
    assert {fill.liquidity_side.value for fill in fills} == {"MAKER", "TAKER"}
    stage.advance_venue(60)
    later = await stage.connector.venue_time(stage.account)
    assert await stage.connector.fills(stage.account, since=later) == ()


async def test_money_and_positions_are_the_exchanges(stage: Stage) -> None:
    held = await stage.position()
    summary = await stage.connector.account_summary(stage.account)
    tables = stage.running.exchange.tables
    known = margin.full_summary(tables, stage.account.address)
    assert abs(summary.equity - known.account_value) < Decimal("0.01")
    (position,) = summary.positions
    assert (position.symbol, position.side, position.quantity) == (
        stage.rig.symbol,
        PositionSide.LONG,
        held,
    )
    row = tables.position(stage.account.address, stage.venue_symbol)
    assert position.entry_price is not None and row.entry_price is not None
    assert abs(position.entry_price / row.entry_price - 1) < Decimal("0.0001")
    assert 0 < summary.available < summary.equity
    assert (await stage.connector.account_summary(await stage.open_account())).positions == ()


async def test_history_remembers_what_has_ended(stage: Stage) -> None:
    first, _ = await stage.accepted(await stage.resting())
    await stage.cancel(first)
    second, _ = await stage.accepted(await stage.taking())
    history = await stage.connector.order_history(stage.account)
    newest = {order.client_order_id: order for order in reversed(history)}
    assert newest[first.client_order_id].verdict is Verdict.CANCELED
    assert newest[second.client_order_id].verdict is Verdict.FILLED
    assert newest[second.client_order_id].filled_quantity == stage.one_at_venue(second).filled


async def test_what_nobody_placed_is_not_found(stage: Stage) -> None:
    assert (await QUERIES["find_order"](stage)).order is None
    row = await stage.reserve(await stage.resting())
    assert await stage.find(row) is None


async def test_fees_are_fractions(stage: Stage) -> None:
    rates = await stage.connector.fee_rates(stage.account)
    assert rates.maker <= rates.taker
    assert Decimal(0) < rates.taker < Decimal("0.01")
    row, _ = await stage.accepted(await stage.taking())
    record = stage.one_at_venue(row)
    since = await stage.connector.venue_time(stage.account) - HOUR
    paid = sum(f.fee for f in await stage.connector.fills(stage.account, since=since))
    assert abs(paid - rates.taker * record.filled_notional) < Decimal("0.001")


async def test_funding_is_told_with_its_sign(stage: Stage) -> None:
    held = await stage.position()
    since = await stage.connector.venue_time(stage.account) - timedelta(seconds=1)
    exchange = stage.running.exchange
    rate = Decimal("0.001")
    await exchange.durable(operations.pay_funding(exchange, stage.venue_symbol, rate))
    if _tells(stage, MarketQuery.FUNDING):
        rates = await stage.connector.funding_rates(stage.rig.symbol, since=since)
        assert rate in {found.rate for found in rates}
        assert list(rates) == sorted(rates, key=lambda found: found.event_time)
        assert all(found.interval_s > 0 for found in rates)
    payments = await stage.connector.funding_payments(stage.account, since=since)
    if not stage.connector.capabilities.lists_funding_payments:
        assert payments == ()
        return
    # At a full hour the exchange pays by itself, too.
    (payment,) = [found for found in payments if found.rate == rate]
    assert (payment.symbol, payment.rate, payment.position_quantity) == (
        stage.rig.symbol,
        rate,
        held,
    )
    paid = exchange.tables.funding_payments[stage.account.address]
    (known,) = [found for found in paid if found.rate == rate]
    assert payment.amount == known.amount < 0


@pytest.mark.parametrize("mode", MarginMode)
async def test_leverage_is_what_was_set(stage: Stage, mode: MarginMode) -> None:
    async def ask(leverage: int) -> SendResult:
        nonce = await stage.storage.signer_nonces.take(
            stage.rig.venue, stage.account.network, stage.account.signer
        )
        return await stage.connector.set_leverage(
            await stage.trading(), stage.rig.symbol, leverage, mode, nonce
        )

    if mode not in stage.connector.capabilities.margin_modes:
        with pytest.raises(InvalidInput):
            await ask(3)
        return
    assert isinstance((await ask(3)).outcome, Accepted)
    setting = await stage.connector.leverage_of(stage.account, stage.rig.symbol)
    assert (setting.leverage, setting.mode) == (3, mode)
    row = stage.running.exchange.tables.position(stage.account.address, stage.venue_symbol)
    assert (row.leverage, row.is_isolated) == (3, mode is MarginMode.ISOLATED)
    for impossible in (0, (await stage.instrument()).max_leverage + 1):
        with pytest.raises(InvalidInput):
            await ask(impossible)


async def test_a_scheduled_cancel_takes_everything_stops_included(stage: Stage) -> None:
    async def ask(ahead: timedelta | None) -> SendResult:
        nonce = await stage.storage.signer_nonces.take(
            stage.rig.venue, stage.account.network, stage.account.signer
        )
        at = None if ahead is None else now() + ahead
        return await stage.connector.schedule_cancel(await stage.trading(), at, nonce)

    if not stage.connector.capabilities.schedule_cancel:
        try:
            refused = (await ask(HOUR)).outcome
        except InvalidInput:
            return
        assert isinstance(refused, NotSent) and not refused.retryable
        return
    held = await stage.position()
    row, _ = await stage.accepted(await stage.resting())
    stop, _ = await stage.accepted(
        await stage.waiting(OrderType.STOP_MARKET, quantity=held, reduce_only=True)
    )
    assert isinstance((await ask(HOUR)).outcome, Accepted)
    assert isinstance((await ask(None)).outcome, Accepted)
    least = timedelta(seconds=stage.connector.capabilities.schedule_cancel_least_s)
    assert isinstance((await ask(least)).outcome, Accepted), "as soon as is declared"
    assert isinstance((await ask(None)).outcome, Accepted)
    stage.advance_venue(7200)
    assert (await stage.until(row, Verdict.ACCEPTED)).verdict is Verdict.ACCEPTED
    stage.advance_venue(-7200)
    assert isinstance((await ask(HOUR)).outcome, Accepted)
    stage.advance_venue(3700)
    assert (await stage.ended(row)).verdict is Verdict.CANCELED
    assert stage.held() == held
    stop_lives = (await stage.find(stop)) in (await stage.connector.open_orders(stage.account))
    assert stop_lives is not stage.connector.capabilities.schedule_cancel_takes_stops
