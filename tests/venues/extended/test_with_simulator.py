"""The connector against the simulated venue: what is this venue's own, beside the suite of all."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from domain.accounts import MarginMode, SecretText, TradingAccess
from domain.commands import BurnNonce, CancelOrder, ModifyOrder
from domain.errors import InvalidInput, VenueRefused
from domain.instruments import OrderSide
from domain.orders import OrderType, Verdict
from domain.outcomes import Accepted, Acknowledged, NotSent, Rejected, Unknown
from tests.venues.desk import report_of
from tests.venues.extended.desk import MARKET, RESTING, TAKING, Desk, Secrets, desk
from tests.venues.simulation.desk import status_of
from venues.extended.actions import check_allowed, signed_parts, spelled, with_settlements
from venues.extended.signing import Signer
from venues.simulation import operations
from venues.simulation.records import OrderStatus, Reason

__all__ = ["desk"]

STOP = replace(
    RESTING,
    side=OrderSide.SELL,
    order_type=OrderType.STOP_MARKET,
    price=Decimal(60000),
    trigger_price=Decimal(62000),
    reduce_only=True,
)


def body_of(desk: Desk, message: str) -> dict[str, Any]:
    """Write a row's whole body, as the connector would send it."""
    read, signer = check_allowed(message), Signer()
    settlements = {
        name: signer.sign(SecretText(desk.key), terms).wire()
        for name, terms in signed_parts(read).items()
    }
    return with_settlements(read, settlements)


async def post(desk: Desk, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    headers = {"X-Api-Key": json.loads(desk.key)["api_key"], "User-Agent": "test"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{desk.venue.url}/api/v1/user/order", json=body) as answer,
    ):
        return answer.status, await answer.json()


async def fill(desk: Desk, order: Any, quantity: Decimal | None = None) -> None:
    exchange = desk.venue.exchange
    await exchange.durable(operations.fill_order(exchange, order, quantity, None))
    await asyncio.sleep(0)  # listeners hear of it in the next turn


def settled(desk: Desk) -> None:
    """Do what the exchange's clock does a few times a second."""
    inside: Any = desk.venue.simulator
    inside.pass_time()


async def test_copies_of_one_message_are_taken_and_never_filled_beyond_it(desk: Desk) -> None:
    row, _ = await desk.accepted(RESTING)
    body = body_of(desk, row.message)
    assert (await post(desk, body))[0] == 200
    first, second = desk.at_venue(row)
    assert (first.status, second.status) == (OrderStatus.OPEN, OrderStatus.OPEN)
    await fill(desk, first, Decimal("0.004"))
    settled(desk)
    assert status_of(second) is OrderStatus.OPEN
    await fill(desk, first)
    settled(desk)
    assert status_of(second) is OrderStatus.CANCELED
    status, answer = await post(desk, body)
    assert (status, answer["error"]["code"]) == (500, 1006)
    assert len(desk.at_venue(row)) == 2


@pytest.mark.parametrize(
    ("switch", "changed"),
    [("refuse_duplicate_client_ids", {"nonce": "77"}), ("refuse_duplicate_messages", {})],
)
async def test_duplicates_are_refused_where_that_is_switched_on(
    desk: Desk, switch: str, changed: dict[str, str]
) -> None:
    row, _ = await desk.accepted(RESTING)
    setattr(desk.venue.exchange.switches, switch, True)
    read = check_allowed(row.message)
    again = spelled({**read, "order": {**read["order"], **changed}})
    status, answer = await post(desk, body_of(desk, again))
    assert (status, answer["error"]["code"]) == (400, 1134)
    copy = await desk.connector.send(replace(row, message=again), desk.access)
    assert isinstance(copy.outcome, Unknown), "an order with this id exists: look it up"
    assert len(desk.at_venue(row)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"qty": "0.011"},
        {"price": "60001"},
        {"side": "SELL"},
        {"fee": "0.0006"},
        {"nonce": "1"},
        {"market": "ETH-USD", "qty": "0.5", "price": "2400"},
        {"builderFee": "0.0001"},
    ],
)
async def test_whatever_is_signed_cannot_be_changed(desk: Desk, change: dict[str, Any]) -> None:
    row = await desk.reserve(RESTING)
    status, answer = await post(desk, {**body_of(desk, row.message), **change})
    assert (status, answer["error"]["code"]) == (400, 1101)
    later = body_of(desk, row.message)
    later["expiryEpochMillis"] += 60_000
    assert (await post(desk, later))[1]["error"]["code"] == 1101


async def test_another_chains_signature_is_none(desk: Desk) -> None:
    row = await desk.reserve(RESTING)
    read = check_allowed(row.message)
    body = body_of(
        desk, json.dumps({**read, "chain": "SN_MAIN"}, sort_keys=True, separators=(",", ":"))
    )
    assert (await post(desk, body))[1]["error"]["code"] == 1101
    wrong = replace(row, message=row.message.replace("SN_SEPOLIA", "SN_MAIN"))
    outcome = (await desk.connector.send(wrong, desk.access)).outcome
    assert isinstance(outcome, NotSent) and "SN_SEPOLIA" in outcome.reason


async def test_what_is_not_shown_in_time_is_acknowledged(desk: Desk) -> None:
    desk.venue.exchange.switches.lookup_lag_ms = 60_000
    row, outcome = await desk.send(RESTING)
    (record,) = desk.at_venue(row)
    assert outcome == Acknowledged(venue_order_id=str(record.venue_order_id))
    cancel = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    assert isinstance((await desk.send(cancel))[1], Acknowledged)
    assert record.status is OrderStatus.CANCELED
    desk.venue.exchange.switches.lookup_lag_ms = 0
    assert (await desk.find(row)).verdict is Verdict.CANCELED


async def test_an_immediate_orders_end_is_in_its_outcome(desk: Desk) -> None:
    _, filled = await desk.send(MARKET)
    assert report_of(filled).verdict is Verdict.FILLED
    assert report_of(filled).average_price is not None
    _, unmet = await desk.send(replace(TAKING, price=Decimal(60000)))
    assert (report_of(unmet).verdict, report_of(unmet).reason) == (
        Verdict.CANCELED,
        "NO_LIQUIDITY",
    )


async def test_a_post_only_order_that_would_cross_is_rejected_by_the_engine(desk: Desk) -> None:
    row, outcome = await desk.send(replace(RESTING, price=Decimal(66000), post_only=True))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.reason) == ("would_cross", "POST_ONLY_FAILED")
    assert outcome.report is not None and outcome.report.venue_order_id
    (record,) = desk.at_venue(row)
    assert record.reason is Reason.POST_ONLY_CROSS


async def test_an_exit_tied_to_its_position_closes_all_of_it(desk: Desk) -> None:
    await desk.accepted(replace(TAKING, quantity=Decimal("0.03")))
    row, seen = await desk.accepted(replace(STOP, position_bound=True))
    assert (seen.trigger_price, seen.price, seen.reduce_only) == (
        Decimal(62000),
        Decimal(60000),
        True,
    )
    exchange = desk.venue.exchange
    await exchange.durable(operations.set_price(exchange, "BTC-USD", Decimal(61900)))
    assert (await desk.find(row)).verdict is Verdict.FILLED
    assert (await desk.connector.account_summary(desk.account)).positions == ()


async def test_an_order_ends_with_its_time(desk: Desk) -> None:
    row, _ = await desk.accepted(RESTING)
    desk.venue.exchange.shift_clock(28 * 86_400_000)
    settled(desk)
    ended = await desk.find(row)
    assert (ended.verdict, ended.filled_quantity) == (Verdict.EXPIRED, Decimal(0))


async def test_what_the_venue_has_no_words_for_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="cancel and a placement"):
        await desk.connector.compose(ModifyOrder(venue_order_id="7", order=RESTING))
    with pytest.raises(InvalidInput, match="no nonces"):
        await desk.connector.compose(BurnNonce(nonce=1))
    with pytest.raises(InvalidInput, match="expected CROSS"):
        await desk.connector.set_leverage(desk.access, "BTC-PERP", 3, MarginMode.ISOLATED, 0)


async def test_the_countdown_is_never_armed_for_the_past(desk: Desk) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    outcome = (await desk.connector.schedule_cancel(desk.access, past, 0)).outcome
    assert isinstance(outcome, NotSent) and not outcome.retryable
    ahead = datetime.now(UTC) + timedelta(seconds=30)
    assert isinstance(
        (await desk.connector.schedule_cancel(desk.access, ahead, 0)).outcome, Accepted
    )
    (row,) = desk.venue.exchange.tables.accounts.values()
    assert row.cancel_all_at_ms is not None
    assert abs(row.cancel_all_at_ms / 1000 - ahead.timestamp()) < 3


async def test_a_bound_needs_somebody_to_trade_with(desk: Desk) -> None:
    book = desk.venue.exchange.tables.books["BTC-USD"]
    for level in list(book.asks.levels()):
        for order in list(level.house.values()):
            book.asks.remove(order)
    with pytest.raises(VenueRefused, match="no liquidity"):
        await desk.connector.price_bound("BTC-PERP", OrderSide.BUY, 50)
    assert await desk.connector.price_bound("BTC-PERP", OrderSide.SELL, 50) > 0
    with pytest.raises(InvalidInput, match="basis points"):
        await desk.connector.price_bound("BTC-PERP", OrderSide.SELL, 10_000)


# Keys


async def test_a_key_is_opened_once_and_again_after_the_venue_refused_it(desk: Desk) -> None:
    secrets = Secrets(desk.key)
    desk.connector.use_credentials(secrets)
    await desk.connector.open_orders(desk.account)
    await desk.connector.open_orders(desk.account)
    assert secrets.opened == 1
    secrets.text = "another-key-that-nobody-has"
    desk.connector.use_credentials(secrets)
    for _ in range(2):
        with pytest.raises(VenueRefused, match="401"):
            await desk.connector.open_orders(desk.account)
    secrets.text = json.loads(desk.key)["api_key"]
    await desk.connector.open_orders(desk.account)
    assert secrets.opened == 4, "the feed part alone answers every question"


async def test_without_a_credential_nothing_is_asked(desk: Desk) -> None:
    desk.connector.use_credentials(Secrets(""))
    with pytest.raises(VenueRefused, match="expected a credential"):
        await desk.connector.open_orders(desk.account)


def credential(desk: Desk, **changes: str) -> TradingAccess:
    text = json.dumps({**json.loads(desk.key), **changes})
    return TradingAccess(account=desk.account, credential=SecretText(text))


async def test_all_four_parts_have_to_belong_together(desk: Desk) -> None:
    other = json.loads((await desk.venue.simulator.open_account(Decimal(1), ""))["private_key"])
    own = await desk.connector.check_signer(desk.access)
    assert own.refusal is None
    assert "withdrawals" in own.power and own.expires_at is None
    for changes, why in (
        ({"vault": other["vault"]}, "expected the credential of vault"),
        ({"api_key": other["api_key"]}, "the API key is of vault"),
        ({"api_key": "nobody-has-this-one"}, "does not know this API key"),
        (
            {"private_key": other["private_key"], "public_key": other["public_key"]},
            "has another Stark key",
        ),
    ):
        check = await desk.connector.check_signer(credential(desk, **changes))
        assert why in (check.refusal or ""), changes
        assert check.power == "none"


async def test_the_feed_gets_the_api_key_alone(desk: Desk) -> None:
    secret = await desk.connector.mint_feed_credential(desk.access)
    assert secret.reveal() == json.loads(desk.key)["api_key"]


async def test_a_row_that_names_another_order_is_not_sent(desk: Desk) -> None:
    row = await desk.reserve(RESTING)
    outcome = (
        await desk.connector.send(replace(row, client_order_id="another"), desk.access)
    ).outcome
    assert isinstance(outcome, NotSent) and not outcome.retryable
    cancel = await desk.reserve(CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id))
    mixed = replace(row, message=cancel.message)
    assert isinstance((await desk.connector.send(mixed, desk.access)).outcome, NotSent)
    assert desk.at_venue(row) == []


async def test_an_account_without_money_has_none(desk: Desk) -> None:
    opened = await desk.venue.simulator.open_account(Decimal(0), "poor")
    poor = replace(desk.account, account_id="poor", address=opened["address"])
    desk.connector.use_credentials(Secrets(opened["api_key"]))
    summary = await desk.connector.account_summary(poor)
    assert summary.equity == 0
    assert summary.positions == ()
