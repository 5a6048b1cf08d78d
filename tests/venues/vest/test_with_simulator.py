"""The connector against the simulator where nobody knows how the venue is: both ways must hold."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from domain.commands import CancelOrder, ModifyOrder, PlaceOrder
from domain.errors import CorruptState, InvalidInput, VenueRefused, VenueUnavailable
from domain.instruments import OrderSide
from domain.orders import OrderType, TimeInForce, Verdict
from domain.outcomes import Accepted, Acknowledged, NotSent, Rejected, Unknown
from tests.venues.vest.building import account, credential
from tests.venues.vest.desk import MARKET, RESTING, TAKING, Desk, Kept, desk
from venues.connector import AccountSeen, FeedState, FillsSeen, OrdersSeen
from venues.simulation import operations
from venues.simulation.faults import FaultKind
from venues.vest.account_feed import VestAccountFeed
from venues.vest.feed_reading import FeedReading
from venues.vest.queries import Readers

__all__ = ["desk"]


def cancel_of(row_id: str, nonce: str = "1") -> CancelOrder:
    return CancelOrder(symbol="BTC-PERP", client_order_id=nonce, venue_order_id=row_id)


@pytest.mark.parametrize("envelope", ["plain", "detail", "with 200", "detail with 200"])
async def test_errors_are_understood_however_they_are_carried(desk: Desk, envelope: str) -> None:
    desk.quirks.detail_envelope = "detail" in envelope
    desk.quirks.errors_with_200 = "200" in envelope
    _row, _ = await desk.send(RESTING)
    await desk.send(cancel_of("0x1"))
    _, outcome = await desk.send(cancel_of("0x" + "1" * 64))
    assert isinstance(outcome, Rejected) and outcome.code == "no_such_order", outcome
    with pytest.raises(VenueRefused, match="1121"):
        await desk.connector._queries.order_book("NOPE-PERP", 1)
    stranger = desk.credential(apiKey="nobody")
    sent = await desk.connector.send(await desk.reserve(RESTING), desk.with_key(stranger))
    assert isinstance(sent.outcome, Rejected), sent
    assert sent.outcome.code == "unknown_signer"


@pytest.mark.parametrize("cancels", [True, False])
async def test_a_fok_order_that_cannot_fill_has_ended_either_way(desk: Desk, cancels: bool) -> None:
    desk.quirks.fok_cancels = cancels
    _row, outcome = await desk.send(replace(TAKING, price=Decimal(60000)))
    if cancels:
        assert isinstance(outcome, Accepted) and outcome.report is not None
        assert outcome.report.verdict is Verdict.CANCELED
        assert outcome.report.filled_quantity == 0
    else:
        assert isinstance(outcome, Rejected) and outcome.code == "no_liquidity", outcome
        assert "3001" in outcome.proof


async def test_a_cancel_that_any_order_is_answered_the_same_is_decided_by_looking(
    desk: Desk,
) -> None:
    desk.quirks.takes_any_cancel = True
    _row, taken = await desk.send(TAKING)
    assert isinstance(taken, Accepted) and taken.report is not None
    _, outcome = await desk.send(cancel_of(taken.report.venue_order_id or ""))
    assert isinstance(outcome, Rejected) and outcome.code == "no_such_order", outcome
    _, nothing = await desk.send(cancel_of("0x" + "1" * 64))
    assert isinstance(nothing, Acknowledged), nothing


async def test_a_market_order_that_finds_part_keeps_what_it_found(desk: Desk) -> None:
    book = await desk.connector.order_book("BTC-PERP", depth=1)
    best = book.asks[0]
    row, outcome = await desk.send(replace(MARKET, quantity=best.quantity + 1, price=best.price))
    assert isinstance(outcome, Accepted) and outcome.report is not None
    assert outcome.report.verdict is Verdict.CANCELED
    assert outcome.report.filled_quantity == best.quantity
    (fill,) = await desk.connector.fills(
        desk.account, since=datetime.now(UTC) - timedelta(minutes=1)
    )
    assert (fill.quantity, fill.is_total) == (best.quantity, True)
    assert fill.client_order_id == row.client_order_id


async def test_numbers_are_sent_with_exactly_the_markets_decimals(desk: Desk) -> None:
    row, _ = await desk.send(replace(RESTING, quantity=Decimal("0.01"), price=Decimal("60000")))
    assert '"size":"0.0100"' in row.message
    assert '"limitPrice":"60000.00"' in row.message
    whole = PlaceOrder(
        symbol="NDX-USD-PERP",
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(1),
        price=Decimal("2.4E+4"),
    )
    row, outcome = await desk.send(whole)
    assert '"limitPrice":"24000"' in row.message
    assert isinstance(outcome, Accepted)


@pytest.mark.parametrize(
    ("order", "field"),
    [
        (replace(RESTING, time_in_force=TimeInForce.IOC), "time_in_force"),
        (replace(RESTING, time_in_force=TimeInForce.GTD), "time_in_force"),
        (replace(MARKET, time_in_force=TimeInForce.FOK), "time_in_force"),
        (replace(RESTING, post_only=True), "post_only"),
        (replace(RESTING, order_type=OrderType.STOP_MARKET), "order_type"),
        (replace(RESTING, trigger_price=Decimal(1)), "trigger_price"),
        (replace(RESTING, reduce_only=True, position_bound=True), "position_bound"),
        (replace(RESTING, quantity=Decimal("0.00001")), "quantity"),
        (replace(RESTING, price=Decimal("60000.001")), "price"),
    ],
)
async def test_what_the_venue_lacks_is_refused_unsent(
    desk: Desk, order: PlaceOrder, field: str
) -> None:
    with pytest.raises(InvalidInput) as seen:
        await desk.connector.compose(order)
    assert seen.value.field == field


async def test_what_there_is_not_is_said(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="no modify"):
        await desk.connector.compose(ModifyOrder(venue_order_id="0x1", order=RESTING))
    with pytest.raises(InvalidInput, match="such as 0x1f"):
        await desk.connector.compose(cancel_of("41545810000"))
    with pytest.raises(InvalidInput, match="a nonce"):
        await desk.connector.compose(CancelOrder(symbol="BTC-PERP", client_order_id="0xabc"))
    with pytest.raises(CorruptState, match="by its nonce"):
        desk.connector.client_order_id("o", 0, 0)


async def test_a_cancel_by_nonce_whose_look_up_fails_sends_nothing(desk: Desk) -> None:
    row, _ = await desk.send(RESTING)
    command = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    desk.venue.faults.add(FaultKind.ERROR_BEFORE_APPLY, action="/orders")
    _, outcome = await desk.send(command)
    assert isinstance(outcome, NotSent) and outcome.retryable, outcome
    _, outcome = await desk.send(command)
    assert isinstance(outcome, Accepted), outcome


async def test_what_is_taken_and_not_decided_stays_acknowledged(desk: Desk) -> None:
    """The look-ups fail: the answer alone is no verdict, and its id is kept."""
    desk.venue.faults.add(FaultKind.ERROR_BEFORE_APPLY, action="/orders", count=None)
    _, outcome = await desk.send(RESTING)
    assert isinstance(outcome, Acknowledged)
    assert outcome.venue_order_id is not None


async def test_an_order_that_is_late_to_be_seen_is_waited_for(desk: Desk) -> None:
    desk.venue.exchange.switches.lookup_lag_ms = 300
    _, outcome = await desk.send(RESTING)
    assert isinstance(outcome, Accepted), outcome
    desk.venue.exchange.switches.lookup_lag_ms = 60_000
    began = asyncio.get_running_loop().time()
    _, outcome = await desk.send(RESTING)
    assert isinstance(outcome, Acknowledged)
    assert asyncio.get_running_loop().time() - began < 4


async def test_a_venue_that_says_another_id_is_not_believed(desk: Desk) -> None:
    row, taken = await desk.send(RESTING)
    assert isinstance(taken, Accepted) and taken.report is not None
    again = await desk.connector.resend(row, desk.access)
    assert isinstance(again.outcome, Unknown)


async def test_the_clock_is_the_venues_and_held_to_the_answers_date(desk: Desk) -> None:
    desk.venue.exchange.shift_clock(3_600_000)
    ahead = await desk.connector.venue_time(desk.account) - datetime.now(UTC)
    assert timedelta(minutes=59) < ahead < timedelta(minutes=61)


async def test_without_a_credential_nobody_says_that_an_account_is_empty(desk: Desk) -> None:
    desk.connector.use_credentials(Kept(None))
    with pytest.raises(VenueRefused, match="add the account again"):
        await desk.connector.open_orders(desk.account)


async def test_who_asks_is_opened_anew_each_minute() -> None:
    at, kept = [0.0], Kept(credential(apiKey="first").reveal())
    readers = Readers(lambda: at[0])
    readers.use(kept)
    assert (await readers.of(account())).api_key.reveal() == "first"
    kept.text = credential(apiKey="second").reveal()
    assert (await readers.of(account())).api_key.reveal() == "first"
    at[0] = 61.0
    assert (await readers.of(account())).api_key.reveal() == "second"
    kept.text = None
    readers.forget(account())
    with pytest.raises(VenueRefused):
        await readers.of(account())


async def test_the_feeds_part_asks_and_cannot_sign(desk: Desk) -> None:
    part = await desk.connector.mint_feed_credential(desk.access)
    assert "signingKey" not in part.reveal()
    desk.connector.use_credentials(Kept(part.reveal()))
    await desk.send(RESTING)
    assert len(await desk.connector.open_orders(desk.account)) == 1
    row = await desk.reserve(RESTING)
    outcome = (await desk.connector.send(row, desk.with_key(part.reveal()))).outcome
    assert isinstance(outcome, NotSent) and not outcome.retryable, outcome


async def test_a_credential_is_checked_in_words(desk: Desk) -> None:
    check = await desk.connector.check_signer(desk.access)
    assert check.refusal is None
    assert check.expires_at is not None
    assert "withdrawals" in check.power
    stranger = await desk.venue.simulator.open_account(Decimal(1), "stranger")
    for text, says in (
        (desk.credential(signingKey=desk.opened["primary_private_key"]), r"own \(primary\) key"),
        (desk.credential(signingKey="0x" + "11" * 32), "does not sign for"),
        (desk.credential(apiKey="nobody"), "does not take its apiKey"),
        (desk.credential(expiryTime=1), "it expired at 1970"),
        (stranger["private_key"], "its apiKey is that of"),
    ):
        found = await desk.connector.check_signer(desk.with_key(text))
        assert found.refusal is not None
        assert re.search(says, found.refusal), found.refusal
    desk.venue.faults.add(FaultKind.ERROR_BEFORE_APPLY, action="cancel")
    with pytest.raises(VenueUnavailable, match="did not say whose key"):
        await desk.connector.check_signer(desk.access)


async def test_more_orders_than_a_page_are_all_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("venues.vest.queries._PAGE", 2)
    rows = [(await desk.send(RESTING))[0] for _ in range(5)]
    listed = await desk.connector.open_orders(desk.account)
    assert {one.client_order_id for one in listed} == {row.client_order_id for row in rows}
    await desk.send(TAKING)
    since = datetime.now(UTC) - timedelta(minutes=5)
    assert len(await desk.connector.fills(desk.account, since=since)) == 1


async def test_the_feed_tells_of_orders_that_it_never_saw_whole(desk: Desk) -> None:
    """Rejected and canceled orders are told by name alone; they are looked up."""
    reading = FeedReading(desk.venue.url, 6_000)
    socket = f"ws{desk.venue.url.removeprefix('http')}/ws-api"
    feed = VestAccountFeed(socket, reading, renew_every_s=0.05)
    part = await desk.connector.mint_feed_credential(desk.access)
    feed.use_credentials(Kept(part.reveal()))
    desk.quirks.binary_frames = True
    _resting, taken = await desk.send(RESTING)
    assert isinstance(taken, Accepted) and taken.report is not None
    await feed.watch([desk.account])
    seen: list[object] = []
    try:
        async with asyncio.timeout(10):
            async for event in feed.events():
                seen.append(event)
                if isinstance(event, FeedState) and event.live:
                    await desk.send(replace(RESTING, quantity=Decimal(900)))
                    await desk.send(cancel_of(taken.report.venue_order_id or ""))
                    await desk.send(TAKING)
                told = {
                    (order.verdict)
                    for one in seen
                    if isinstance(one, OrdersSeen)
                    for order in one.orders
                }
                has_money = any(isinstance(o, AccountSeen) and o.summary.positions for o in seen)
                wanted = {Verdict.REJECTED, Verdict.CANCELED, Verdict.FILLED}
                if wanted <= told and has_money:
                    break
    finally:
        await feed.close()
    assert any(isinstance(one, FillsSeen) for one in seen)


async def test_the_feed_tells_when_its_listen_key_ends_and_extends_it(desk: Desk) -> None:
    times = iter(datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(24))
    feed = VestAccountFeed(
        f"ws{desk.venue.url.removeprefix('http')}/ws-api",
        FeedReading(desk.venue.url, 6_000),
        renew_every_s=0.05,
        clock=lambda: next(times),
    )
    feed.use_credentials(Kept((await desk.connector.mint_feed_credential(desk.access)).reveal()))
    account_id = desk.account.account_id
    assert feed.token_expiries(account_id) == {}
    await feed.watch([desk.account])
    try:
        async with asyncio.timeout(10):
            async for event in feed.events():
                if isinstance(event, FeedState) and event.live:
                    break
            first = feed.token_expiries(account_id)["listen key"]
            assert first >= datetime(2026, 1, 1, 1, tzinfo=UTC)
            while feed.token_expiries(account_id)["listen key"] == first:
                await asyncio.sleep(0.01)
        await feed.watch([])
        assert feed.token_expiries(account_id) == {}
    finally:
        await feed.close()


async def test_an_expired_registration_is_a_dead_feed_with_its_reason(desk: Desk) -> None:
    feed = VestAccountFeed(
        f"ws{desk.venue.url.removeprefix('http')}/ws-api", FeedReading(desk.venue.url, 6_000)
    )
    feed.use_credentials(Kept(desk.credential(apiKey="nobody")))
    await feed.watch([desk.account])
    try:
        async with asyncio.timeout(5):
            async for event in feed.events():
                assert isinstance(event, FeedState) and not event.live
                assert "1002" in event.reason
                assert "nobody" not in event.reason
                break
    finally:
        await feed.close()


async def test_a_stall_and_a_price_move_do_not_confuse_what_is_held(desk: Desk) -> None:
    await desk.send(TAKING)
    exchange = desk.venue.exchange
    await exchange.durable(operations.set_price(exchange, "BTC-PERP", Decimal(66000)))
    (position,) = (await desk.connector.account_summary(desk.account)).positions
    assert position.unrealized_pnl == (66000 - (position.entry_price or 0)) * Decimal("0.01")
    assert position.leverage == 50
