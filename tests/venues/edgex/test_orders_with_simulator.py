"""Orders through the connector at the simulated venue: what an answer leaves open is found out."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from domain.accounts import MarginMode, SecretText
from domain.commands import CancelOrder, ModifyOrder
from domain.errors import InvalidInput, VenueRefused
from domain.instruments import OrderSide
from domain.orders import OrderType, Verdict
from domain.outcomes import Accepted, Acknowledged, NotSent, Rejected, Unknown
from tests.venues.desk import report_of
from tests.venues.edgex.building import envelope
from tests.venues.edgex.desk import MARKET, RESTING, TAKING, Desk, Held, connect, open_desk
from tests.venues.edgex.desk import desk as desk
from venues.connector import FeedCredentialMinter
from venues.edgex.credential import read_api_key
from venues.simulation import operations, trading
from venues.simulation.faults import FaultKind


async def test_a_market_order_is_filled_within_its_bound_and_known_at_once(desk: Desk) -> None:
    bound = await desk.connector.price_bound("BTC-PERP", OrderSide.BUY, 100)
    row, outcome = await desk.send(replace(MARKET, price=bound))
    report = report_of(outcome)
    assert (report.verdict, report.filled_quantity) == (Verdict.FILLED, Decimal("0.01"))
    assert report.average_price is not None and report.average_price <= bound
    (order,) = desk.at_venue(row)
    assert not order.is_market, "the venue's own kind is signed for ten times the oracle's price"


async def test_an_order_that_crosses_while_post_only_is_rejected_by_its_answer(desk: Desk) -> None:
    row, outcome = await desk.send(replace(RESTING, post_only=True, price=Decimal(66000)))
    assert isinstance(outcome, Rejected), outcome
    assert outcome.report is not None and outcome.report.venue_order_id
    assert outcome.proof == "the venue's record of the order"
    assert (await desk.find(row)).verdict is Verdict.REJECTED


async def test_a_cancel_says_what_had_filled(desk: Desk) -> None:
    row, _ = await desk.accepted(RESTING)
    command = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    _, outcome = await desk.send(command)
    report = report_of(outcome)
    assert (report.verdict, report.filled_quantity) == (Verdict.CANCELED, Decimal(0))


async def test_a_cancel_whose_end_is_not_seen_in_time_is_acknowledged(desk: Desk) -> None:
    row, _ = await desk.accepted(RESTING)
    # Look-ups lag: the order is canceled, and neither list shows it.
    desk.venue.exchange.switches.lookup_lag_ms = 60_000
    command = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    began = asyncio.get_running_loop().time()
    _, outcome = await desk.send(command)
    assert isinstance(outcome, Acknowledged), outcome
    assert asyncio.get_running_loop().time() - began < 3


async def test_a_cancel_is_repeated_and_a_placement_is_not(desk: Desk) -> None:
    row, _ = await desk.accepted(RESTING)
    again = await desk.connector.resend(row, desk.access)
    assert isinstance(again.outcome, Unknown)
    assert len(desk.at_venue(row)) == 1
    command = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    cancel = await desk.reserve(command)
    desk.venue.faults.add(FaultKind.DROP_BEFORE_APPLY, action="cancel")
    assert isinstance((await desk.connector.send(cancel, desk.access)).outcome, Unknown)
    repeated = await desk.connector.resend(cancel, desk.access)
    assert isinstance(repeated.outcome, Accepted)
    (order,) = desk.at_venue(row)
    assert not order.status.is_live


async def test_a_duplicate_that_the_venue_refuses_is_unknown_and_found(desk: Desk) -> None:
    desk.venue.exchange.switches.refuse_duplicate_client_ids = True
    row, _ = await desk.accepted(RESTING)
    copy = (await desk.connector.send(row, desk.access)).outcome
    assert isinstance(copy, Unknown)
    assert "DUPLICATE" in copy.reason
    assert (await desk.find(row)).verdict is Verdict.ACCEPTED


async def test_two_orders_of_one_client_id_are_both_taken_where_nothing_is_switched_on(
    desk: Desk,
) -> None:
    row, _ = await desk.accepted(RESTING)
    assert isinstance((await desk.connector.send(row, desk.access)).outcome, Accepted)
    assert len(desk.at_venue(row)) == 2


async def test_an_unlisted_refusal_is_believed_once_no_order_is_found(desk: Desk) -> None:
    row, outcome = await desk.send(replace(RESTING, price=Decimal(90_000)))
    assert isinstance(outcome, Rejected), outcome
    assert (outcome.code, desk.at_venue(row)) == ("refused_by_venue", [])
    assert "ORDER_PRICE_TOO_FAR" in outcome.reason


async def test_an_unlisted_refusal_that_cannot_be_looked_up_is_unknown(desk: Desk) -> None:
    for name in ("getOrderByClientOrderId", "getHistoryOrderPage"):
        desk.venue.faults.add(FaultKind.ERROR_BEFORE_APPLY, action=name, count=None)
    _, outcome = await desk.send(replace(RESTING, price=Decimal(90_000)))
    assert isinstance(outcome, Unknown), outcome
    assert "on no list" in outcome.reason


async def test_reads_go_on_while_the_look_up_after_an_order_fails(desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.ERROR_BEFORE_APPLY, action="getOrderById", count=None)
    _, outcome = await desk.send(TAKING)
    assert report_of(outcome).verdict is Verdict.ACCEPTED, "what the answer proves alone"


async def test_leverage_is_refused_while_orders_are_open(desk: Desk) -> None:
    connector = desk.connector

    async def ask(leverage: int, mode: MarginMode = MarginMode.CROSS) -> Any:
        return (await connector.set_leverage(desk.access, "BTC-PERP", leverage, mode, 0)).outcome

    assert isinstance(await ask(7), Accepted)
    assert (await connector.leverage_of(desk.account, "BTC-PERP")).leverage == 7
    await desk.accepted(RESTING)
    refused = await ask(8)
    assert isinstance(refused, Rejected) and refused.code == "leverage_with_orders"
    with pytest.raises(InvalidInput, match="expected CROSS"):
        await ask(7, MarginMode.ISOLATED)


async def test_a_change_in_place_and_a_dead_mans_switch_are_refused_in_words(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="expected no change in place"):
        await desk.connector.compose(ModifyOrder(venue_order_id="1", order=RESTING))
    with pytest.raises(InvalidInput, match="no scheduled cancel"):
        await desk.connector.schedule_cancel(desk.access, datetime.now(UTC), 0)


async def test_a_short_position_is_told_as_such(desk: Desk) -> None:
    await desk.send(replace(TAKING, side=OrderSide.SELL, price=Decimal(64_000)))
    summary = await desk.connector.account_summary(desk.account)
    (position,) = summary.positions
    assert (position.side.value, position.quantity) == ("SHORT", Decimal("0.01"))
    assert position.entry_price is not None and 64_000 < position.entry_price < 66_000


async def test_pages_are_read_to_their_end(desk: Desk) -> None:
    rows = [await desk.reserve(RESTING) for _ in range(210)]
    sends = [desk.connector.send(row, desk.access) for row in rows]
    outcomes = [result.outcome for result in await asyncio.gather(*sends)]
    assert {outcome.kind for outcome in outcomes} == {"accepted"}
    assert len(await desk.connector.open_orders(desk.account)) == 210
    for order in list(desk.venue.exchange.tables.live_orders[desk.account.address].values()):
        with desk.venue.exchange.action("cancel"):
            trading.cancel(desk.venue.exchange.tables, order)
    history = await desk.connector.order_history(desk.account)
    assert len(history) == 210
    oldest = await desk.find(rows[30])
    assert oldest.verdict is Verdict.CANCELED


# Credentials


async def test_without_its_credential_an_account_is_refused_and_not_empty(desk: Desk) -> None:
    connector = desk.connector
    for held in ("", json.dumps({"api_key": "x"}), "no JSON"):
        connector.use_credentials(Held(held))
        with pytest.raises(VenueRefused, match="tells of 'main'"):
            await connector.open_orders(desk.account)
    bare = connect(desk.venue.url, "")
    await bare.start()
    assert await bare.instruments()
    with pytest.raises(VenueRefused):
        await bare.fills(desk.account, since=datetime.now(UTC))
    await bare.close()


async def test_a_wallets_key_a_foreign_account_and_a_revoked_key_are_refused(desk: Desk) -> None:
    check = await desk.connector.check_signer(desk.access)
    assert check.refusal is None and "withdraw" in check.power
    wallet = replace(desk.access, credential=SecretText(desk.master_key))
    refused = await desk.connector.check_signer(wallet)
    assert refused.refusal is not None and "wallet's own key" in refused.refusal
    claims = {**json.loads(desk.key), "account_id": "1"}
    foreign = replace(desk.access, credential=SecretText(json.dumps(claims)))
    refused = await desk.connector.check_signer(foreign)
    assert refused.refusal is not None and "account 1's" in refused.refusal


async def test_a_refusal_that_repeats_the_api_key_is_kept_without_it(desk: Desk) -> None:
    wrong = {**json.loads(desk.key), "api_key": "an-api-key-of-nobody"}
    access = replace(desk.access, credential=SecretText(json.dumps(wrong)))
    result = await desk.connector.send(await desk.reserve(RESTING), access)
    assert isinstance(result.outcome, Rejected) and result.outcome.code == "unknown_api_key"
    assert "[api key]" in result.outcome.reason
    assert "of-nobody" not in repr(result)
    desk.connector.use_credentials(Held(json.dumps(wrong)))
    with pytest.raises(VenueRefused) as refused:
        await desk.connector.open_orders(desk.account)
    assert "of-nobody" not in str(refused.value)


async def test_the_feed_gets_the_api_key_alone(desk: Desk) -> None:
    assert isinstance(desk.connector, FeedCredentialMinter)
    minted = await desk.connector.mint_feed_credential(desk.access)
    api = read_api_key(minted)
    assert api.api_key == json.loads(desk.key)["api_key"]
    assert json.loads(desk.key)["trading_private_key"] not in minted.reveal()
    # A process that has no more than that reads everything, and can place nothing.
    row, _ = await desk.accepted(RESTING)
    reading = connect(desk.venue.url, minted.reveal())
    await reading.start()
    (listed,) = await reading.open_orders(desk.account)
    assert listed.client_order_id == row.client_order_id
    access = replace(desk.access, credential=minted)
    refused = await reading.send(await desk.reserve(RESTING), access)
    assert isinstance(refused.outcome, NotSent) and not refused.outcome.retryable
    await reading.close()


async def test_a_signer_that_is_not_registered_places_nothing(desk: Desk) -> None:
    stranger = await desk.venue.simulator.open_account(Decimal(1), "stranger")
    mixed = {
        **json.loads(desk.key),
        "trading_private_key": json.loads(stranger["private_key"])["trading_private_key"],
    }
    access = replace(desk.access, credential=SecretText(json.dumps(mixed)))
    row = replace(await desk.reserve(RESTING), signer=stranger["agent_address"])
    outcome = (await desk.connector.send(row, access)).outcome
    assert isinstance(outcome, Rejected) and outcome.code == "unknown_signer"
    assert desk.at_venue(row) == []


async def test_a_clock_that_is_off_is_put_right_by_the_venues_answers() -> None:
    behind = timedelta(minutes=7)
    async with open_desk(clock=lambda: datetime.now(UTC) - behind) as desk:
        row, _ = await desk.accepted(RESTING)
        assert len(desk.at_venue(row)) == 1
        # The venue's clock jumps: the question after it is asked twice, and answered.
        clock = desk.venue.exchange.clock
        desk.venue.exchange.shift_clock(clock.offset_ms + 300_000)
        (order,) = await desk.connector.open_orders(desk.account)
        assert order.client_order_id == row.client_order_id


async def test_a_command_that_was_refused_for_its_time_was_not_done(desk: Desk) -> None:
    row = await desk.reserve(RESTING)
    desk.venue.exchange.shift_clock(300_000)
    refused = (await desk.connector.send(row, desk.access)).outcome
    assert isinstance(refused, NotSent), refused
    assert (refused.reason, refused.retryable) == ("clock_skew", True)
    assert desk.at_venue(row) == []
    _, outcome = await desk.send(RESTING)
    assert isinstance(outcome, Accepted), "the refusal told the venue's time"


async def test_a_clock_that_is_off_beyond_reason_is_said() -> None:
    behind = timedelta(days=3)
    async with open_desk(clock=lambda: datetime.now(UTC) - behind) as desk:
        with pytest.raises(VenueRefused, match="INVALID_TIMESTAMP"):
            await desk.connector.open_orders(desk.account)


async def test_a_limit_of_orders_a_minute_that_the_venue_tells_is_kept(desk: Desk) -> None:
    """The simulated account has none of its own, so it is told so by a venue that has."""

    async def asset(request: web.Request) -> web.Response:
        row = {"id": desk.account.address, "createOrderPerMinuteLimit": 1, "status": "NORMAL"}
        return web.json_response(envelope({"account": row}))

    application = web.Application()
    application.router.add_get("/api/v2/private/account/getAccountAsset", asset)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        transport = desk.connector._rest._transport
        own, transport._base_url = transport._base_url, url
        assert (await desk.connector.check_signer(desk.access)).refusal is None
        transport._base_url = own
    finally:
        await runner.cleanup()
    _, first = await desk.send(RESTING)
    assert isinstance(first, Accepted)
    row, second = await desk.send(RESTING)
    assert isinstance(second, NotSent) and second.retryable
    assert desk.at_venue(row) == []


async def test_a_429_leaves_only_cancels(desk: Desk) -> None:
    row, _ = await desk.accepted(RESTING)
    desk.venue.faults.add(FaultKind.RATE_LIMIT, action="order")
    _, outcome = await desk.send(RESTING)
    assert isinstance(outcome, Unknown)
    _, refused = await desk.send(RESTING)
    assert isinstance(refused, NotSent)
    command = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    _, canceled = await desk.send(command)
    assert isinstance(canceled, Accepted | Acknowledged), canceled
    (order,) = desk.at_venue(row)
    assert not order.status.is_live


async def test_stops_are_bound_by_what_was_signed(desk: Desk) -> None:
    await desk.accepted(TAKING)
    stop = replace(
        TAKING,
        side=OrderSide.SELL,
        order_type=OrderType.STOP_MARKET,
        price=Decimal(61_000),
        trigger_price=Decimal(62_000),
        reduce_only=True,
    )
    row, _ = await desk.accepted(stop)
    (order,) = desk.at_venue(row)
    assert (order.price, order.trigger is not None) == (Decimal(61_000), True)
    exchange = desk.venue.exchange
    # The price jumps past the bound: nothing is sold below what was signed.
    await exchange.durable(operations.set_price(exchange, "BTC", Decimal(60_000)))
    assert exchange.tables.quantity_held(desk.account.address, "BTC") == Decimal("0.01")
    assert (await desk.find(row)).verdict is Verdict.CANCELED
