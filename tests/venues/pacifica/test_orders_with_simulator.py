"""Orders and queries against the simulated exchange, with its ledger as the witness."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import MarginMode, PositionSide, SecretText, TradingAccess
from domain.commands import BurnNonce, CancelOrder, CommandKind, ModifyOrder
from domain.errors import InvalidInput
from domain.fills import LiquiditySide
from domain.instruments import OrderSide
from domain.orders import OrderType, Verdict
from domain.outcomes import Accepted, NotSent, Rejected, Unknown
from tests.venues.desk import report_of
from tests.venues.pacifica.building import AGENT, AGENT_KEY
from tests.venues.pacifica.desk import MARKET, RESTING, TAKING, Desk, desk
from venues.simulation import operations
from venues.simulation.exchange import Exchange

__all__ = ["desk"]

EXIT: dict[str, Any] = {
    "side": OrderSide.SELL,
    "order_type": OrderType.STOP_MARKET,
    "trigger_price": Decimal(55000),
    "price": Decimal(50000),
    "reduce_only": True,
}


async def test_keys(desk: Desk) -> None:
    check = await desk.connector.check_signer(desk.access)
    assert (check.refusal, check.owner_address) == (None, desk.account.address)
    assert check.signer == desk.account.signer
    assert "sub-account" in check.power
    master = TradingAccess(account=desk.account, credential=SecretText(desk.master_key))
    refused = await desk.connector.check_signer(master)
    assert "main" in (refused.refusal or "")
    stranger = TradingAccess(account=desk.account, credential=SecretText(AGENT_KEY))
    unknown = await desk.connector.check_signer(stranger)
    assert f"{AGENT} is no agent of {desk.account.address}" in (unknown.refusal or "")
    assert desk.venue.exchange.tables.orders == {}


async def test_a_main_key_that_signed_for_its_own_account_would_be_taken_by_the_venue(
    desk: Desk,
) -> None:
    """So it is our refusal that keeps main keys out, not the venue's."""
    own = replace(desk.account, signer=desk.account.address)
    row = replace(await desk.reserve(RESTING), signer=desk.account.address)
    access = TradingAccess(account=own, credential=SecretText(desk.master_key))
    assert isinstance((await desk.connector.send(row, access)).outcome, Accepted)


async def test_place_rest_look_up_cancel(desk: Desk) -> None:
    row, outcome = await desk.send(RESTING)
    report = report_of(outcome)
    assert report.verdict is Verdict.ACCEPTED
    order = await desk.find(row)
    assert order.venue_order_id == report.venue_order_id
    assert (order.verdict, order.filled_quantity) == (Verdict.ACCEPTED, Decimal(0))
    (listed,) = await desk.connector.open_orders(desk.account)
    assert listed.client_order_id == row.client_order_id
    by_id = CancelOrder(
        symbol="BTC-PERP",
        client_order_id=row.client_order_id,
        venue_order_id=order.venue_order_id,
    )
    _, canceled = await desk.send(by_id)
    assert report_of(canceled).verdict is Verdict.CANCELED
    assert (await desk.find(row)).verdict is Verdict.CANCELED
    for again in (by_id, replace(by_id, venue_order_id=None)):
        _, gone = await desk.send(again)
        assert isinstance(gone, Rejected)
        assert gone.code == "no_such_order"
    history = await desk.connector.order_history(desk.account)
    assert history[0].client_order_id == row.client_order_id
    assert await desk.connector.open_orders(desk.account) == ()
    found = await desk.connector.find_order(
        desk.account, symbol="", venue_order_id=order.venue_order_id
    )
    assert found.order is not None
    assert found.order.verdict is Verdict.CANCELED
    nothing = await desk.connector.find_order(desk.account, symbol="", venue_order_id="1")
    assert nothing.order is None


async def test_cancel_by_client_order_id(desk: Desk) -> None:
    row, _ = await desk.send(RESTING)
    cancel = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    assert isinstance((await desk.send(cancel))[1], Accepted)


async def test_a_market_order_is_answered_with_its_end_and_closed_again(desk: Desk) -> None:
    since = await desk.connector.venue_time(desk.account) - timedelta(seconds=5)
    bound = await desk.connector.price_bound("BTC-PERP", OrderSide.BUY, 100)
    row, outcome = await desk.send(replace(MARKET, price=bound))
    report = report_of(outcome)
    assert (report.verdict, report.filled_quantity) == (Verdict.FILLED, Decimal("0.01"))
    fills = await desk.connector.fills(desk.account, since=since)
    assert {fill.client_order_id for fill in fills} == {row.client_order_id}
    assert {fill.liquidity_side for fill in fills} == {LiquiditySide.TAKER}
    assert sum(fill.quantity for fill in fills) == Decimal("0.01")
    assert all(fill.realized_pnl == 0 for fill in fills)
    summary = await desk.connector.account_summary(desk.account)
    (position,) = summary.positions
    assert (position.side, position.quantity) == (PositionSide.LONG, Decimal("0.01"))
    assert position.leverage == 50
    assert Decimal(0) < summary.initial_margin < summary.equity
    close = replace(
        MARKET,
        side=OrderSide.SELL,
        price=await desk.connector.price_bound("BTC-PERP", OrderSide.SELL, 100),
        reduce_only=True,
    )
    _, too_much = await desk.send(replace(close, quantity=Decimal("0.05")))
    assert isinstance(too_much, Rejected)
    assert too_much.code == "reduce_only_would_increase"
    _, closed = await desk.send(close)
    assert report_of(closed).verdict is Verdict.FILLED
    assert (await desk.connector.account_summary(desk.account)).positions == ()
    _, nothing_left = await desk.send(close)
    assert isinstance(nothing_left, Rejected)
    assert nothing_left.code == "reduce_only_would_increase"


async def test_an_immediate_order_without_match_is_canceled(desk: Desk) -> None:
    row, outcome = await desk.send(replace(TAKING, price=Decimal(60000)))
    report = report_of(outcome)
    assert (report.verdict, report.filled_quantity) == (Verdict.CANCELED, Decimal(0))
    assert (await desk.find(row)).verdict is Verdict.CANCELED


async def test_a_post_only_order_that_would_cross_is_taken_and_refused_afterwards(
    desk: Desk,
) -> None:
    crossing = replace(RESTING, post_only=True, price=Decimal(70000))
    row, outcome = await desk.send(crossing)
    assert report_of(outcome).verdict is Verdict.ACCEPTED
    found = await desk.find(row)
    assert (found.verdict, found.reason) == (Verdict.REJECTED, "post_only_rejected")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (
            {"symbol": "SOL-PERP", "quantity": Decimal(30_000), "price": Decimal(140)},
            "insufficient_margin",
        ),
        ({"quantity": Decimal(100)}, "above_max_notional"),
        ({"reduce_only": True}, "reduce_only_would_increase"),
        ({**EXIT, "reduce_only": False, "trigger_price": Decimal(70000)}, "invalid_trigger_side"),
        ({**EXIT}, "reduce_only_would_increase"),
        ({**EXIT, "position_bound": True}, "no_position"),
    ],
)
async def test_refusals(desk: Desk, changes: dict[str, Any], code: str) -> None:
    row, outcome = await desk.send(replace(RESTING, **changes))
    assert isinstance(outcome, Rejected), outcome
    assert outcome.code == code
    assert outcome.report is not None
    assert outcome.report.verdict is Verdict.REJECTED
    assert all(not order.status.is_live for order in desk.at_venue(row))
    # What was refused is nowhere to be found.
    found = await desk.connector.find_order(
        desk.account, symbol="", client_order_id=row.client_order_id
    )
    assert found.order is None


async def test_stops_rest_with_their_price_shown_and_are_canceled_in_their_own_way(
    desk: Desk,
) -> None:
    row, found = await desk.accepted(replace(RESTING, **{**EXIT, "reduce_only": False}))
    assert (found.verdict, found.trigger_price) == (Verdict.ACCEPTED, Decimal(55000))
    cancel = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    _, wrong = await desk.send(cancel)
    assert isinstance(wrong, Rejected)
    assert wrong.code == "no_such_order"
    _, canceled = await desk.send(replace(cancel, waits_for_trigger=True))
    assert report_of(canceled).verdict is Verdict.CANCELED


async def test_exits_wait_with_their_position_and_end_it(desk: Desk) -> None:
    await desk.send(MARKET)
    take = {
        **EXIT,
        "order_type": OrderType.TAKE_PROFIT_LIMIT,
        "trigger_price": Decimal(70000),
        "price": Decimal(69900),
    }
    row, outcome = await desk.send(replace(RESTING, **take))
    assert report_of(outcome).venue_order_id is None
    taking = await desk.find(row)
    assert (taking.quantity, taking.trigger_price) == (Decimal("0.01"), Decimal(70000))
    stop_row, stop = await desk.accepted(replace(RESTING, **{**EXIT, "position_bound": True}))
    assert stop.quantity == Decimal("0.01")
    await _set_price(desk.venue.exchange, Decimal(54000))
    fired = await desk.find(stop_row)
    assert fired.verdict is Verdict.FILLED
    assert (await desk.connector.account_summary(desk.account)).positions == ()
    assert (await desk.find(row)).verdict is Verdict.CANCELED


async def _set_price(exchange: Exchange, price: Decimal) -> None:
    await exchange.durable(operations.set_price(exchange, "BTC", price))


async def test_an_edit_is_another_order_under_the_same_client_id(desk: Desk) -> None:
    row, order = await desk.accepted(replace(RESTING, post_only=True))
    better = replace(RESTING, post_only=True, price=Decimal(61000))
    command = ModifyOrder(venue_order_id=order.venue_order_id, order=better)
    _, outcome = await desk.send(command)
    report = report_of(outcome)
    assert report.venue_order_id != order.venue_order_id
    found = await desk.find(row)
    assert (found.price, found.venue_order_id) == (Decimal(61000), report.venue_order_id)
    crossing = replace(command, venue_order_id=found.venue_order_id)
    crossing = replace(crossing, order=replace(better, price=Decimal(70000)))
    await desk.send(crossing)
    assert await desk.connector.open_orders(desk.account) == ()


async def test_leverage_and_margin_mode(desk: Desk) -> None:
    connector, account = desk.connector, desk.account
    assert (await connector.leverage_of(account, "SOL-PERP")).leverage == 20
    result = await connector.set_leverage(desk.access, "SOL-PERP", 7, MarginMode.ISOLATED, 0)
    assert isinstance(result.outcome, Accepted)
    found = await connector.leverage_of(account, "SOL-PERP")
    assert (found.leverage, found.mode) == (7, MarginMode.ISOLATED)
    await desk.send(MARKET)
    refused = await connector.set_leverage(desk.access, "BTC-PERP", 5, MarginMode.CROSS, 0)
    assert isinstance(refused.outcome, Rejected)
    assert refused.outcome.code == "leverage_with_position"
    mode = await connector.set_leverage(desk.access, "BTC-PERP", 50, MarginMode.ISOLATED, 0)
    assert isinstance(mode.outcome, Rejected)
    assert mode.outcome.code == "margin_mode_with_position"


async def test_market_data(desk: Desk) -> None:
    connector = desk.connector
    await desk.send(MARKET)
    markets = await connector.instruments()
    assert {market.symbol for market in markets} >= {"BTC-PERP", "1000BONK-PERP"}
    book = await connector.order_book("BTC-PERP", depth=3)
    assert len(book.bids) == 3 and book.bids[0].price < book.asks[0].price
    trades = await connector.recent_trades("BTC-PERP")
    assert trades[0].aggressor_side is OrderSide.BUY
    now = datetime.now(UTC)
    candles = await connector.candles(
        "BTC-PERP", "1m", start=now - timedelta(minutes=5), end=now + timedelta(minutes=1)
    )
    assert candles[-1].volume == Decimal("0.01")
    tickers = {ticker.symbol: ticker for ticker in await connector.tickers()}
    assert tickers["BTC-PERP"].open_interest == Decimal("0.01")
    rates = await connector.fee_rates(desk.account)
    assert rates.maker < rates.taker
    with pytest.raises(InvalidInput, match="interval"):
        await connector.candles("BTC-PERP", "2m", start=now, end=now)
    with pytest.raises(InvalidInput, match="symbol"):
        await connector.order_book("NOWHERE-PERP")


async def test_funding(desk: Desk) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    await desk.send(MARKET)
    exchange = desk.venue.exchange
    await exchange.durable(operations.pay_funding(exchange, "BTC", Decimal("0.0001")))
    (paid,) = await desk.connector.funding_payments(desk.account, since=since)
    assert paid.amount < 0
    assert (paid.rate, paid.position_quantity) == (Decimal("0.0001"), Decimal("0.01"))
    (rate,) = await desk.connector.funding_rates("BTC-PERP", since=since)
    assert rate.rate == Decimal("0.0001")


async def test_pages_are_read_to_their_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("venues.pacifica.queries._PAGE", 2)
    since = datetime.now(UTC) - timedelta(days=100)
    for _ in range(5):
        await desk.send(MARKET)
    fills = await desk.connector.fills(desk.account, since=since)
    assert sum(fill.quantity for fill in fills) == Decimal("0.05")
    assert [fill.event_time for fill in fills] == sorted(fill.event_time for fill in fills)


async def test_what_is_not_sendable_is_not_sent(desk: Desk) -> None:
    row = await desk.reserve(RESTING)
    late = replace(row, send_by=datetime.now(UTC))
    other = replace(desk.account, account_id="other")
    wrong = [
        (late, desk.access),
        (replace(row, venue="hyperliquid"), desk.access),
        (row, replace(desk.access, account=other)),
        (row, replace(desk.access, credential=SecretText(AGENT_KEY))),
        (row, replace(desk.access, credential=SecretText("no key"))),
        (replace(row, message='{"type":"withdraw"}'), desk.access),
        (replace(row, key=replace(row.key, command=CommandKind.CANCEL)), desk.access),
    ]
    for bad, access in wrong:
        outcome = (await desk.connector.send(bad, access)).outcome
        assert isinstance(outcome, NotSent), outcome
    assert desk.at_venue(row) == []
    assert isinstance((await desk.connector.resend(row, desk.access)).outcome, Unknown)
    assert desk.at_venue(row) == []


async def test_not_even_a_cancel_is_sent_again(desk: Desk) -> None:
    placed, _ = await desk.send(RESTING)
    cancel = CancelOrder(symbol="BTC-PERP", client_order_id=placed.client_order_id)
    row = await desk.reserve(cancel)
    assert isinstance((await desk.connector.resend(row, desk.access)).outcome, Unknown)
    (order,) = desk.at_venue(placed)
    assert order.status.is_live


async def test_what_the_venue_does_not_have_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="nonces"):
        await desk.connector.compose(BurnNonce(nonce=1))
    with pytest.raises(InvalidInput, match="scheduled cancel"):
        await desk.connector.schedule_cancel(desk.access, None, 1)
    with pytest.raises(InvalidInput, match="max_slippage_bps"):
        await desk.connector.price_bound("BTC-PERP", OrderSide.BUY, 10_000)
