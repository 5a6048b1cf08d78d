"""The connector over real sockets against a scripted venue: bytes out, outcomes in."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from domain.accounts import MarginMode, Network, SecretText
from domain.commands import BurnNonce, CancelOrder, CommandKind, ModifyOrder
from domain.errors import InvalidInput, VenueRefused, VenueUnavailable
from domain.instruments import OrderSide
from domain.ledger import CommandSlot
from domain.orders import OrderType, Verdict
from domain.outcomes import Accepted, NotSent, Rejected, Unknown
from tests.venues.hyperliquid.building import (
    ADDRESS,
    CLOID,
    KEY,
    META,
    NOW,
    ORDER_ID,
    SIGNER,
    Venue,
    access,
    account,
    err,
    ok,
    order_message,
    place,
    row,
    venue_and_connector,
)
from tests.venues.raw_server import RawServer, serving
from venues.batches import BatchMember, JointPlacer
from venues.connector import Connector
from venues.hyperliquid.connector import HyperliquidConnector
from venues.hyperliquid.rate_budget import RateBudget
from venues.hyperliquid.translate import at_ms

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
RESTING = ok({"resting": {"oid": 41, "cloid": CLOID}})
DEFAULT = b'{"status":"ok","response":{"type":"default"}}'
MASTER = "0x" + "aa" * 20


def test_it_is_a_connector() -> None:
    connector: Connector = HyperliquidConnector(Network.PAPER, "http://127.0.0.1:1")
    assert connector.venue == "hyperliquid"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
async def test_posted_bytes_equal_the_sdks(vector: dict[str, Any]) -> None:
    body = vector["body"]
    kind = {"order": CommandKind.PLACE, "batchModify": CommandKind.MODIFY}.get(
        body["action"]["type"], CommandKind.NOOP
    )
    network = Network.MAINNET if vector["is_mainnet"] else Network.PAPER
    expires = body["expiresAfter"]
    ledger_row = row(
        kind,
        network=network,
        nonce=body["nonce"],
        admitted_until=at_ms(expires) if expires else None,
        message=json.dumps(body["action"]),
    )
    async with venue_and_connector(network) as (venue, connector):
        if body["vaultAddress"]:
            role = {"role": "subAccount", "data": {"master": MASTER}}
            venue.info["userRole"] = role
        venue.exchange = [DEFAULT, DEFAULT]
        of = account(address=body["vaultAddress"] or ADDRESS, network=network)
        await connector.send(ledger_row, access(of=of))
        await connector.resend(ledger_row, access(of=of))
        assert venue.posted == [body, body]


async def test_compose_then_send_then_report() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.exchange = [RESTING]
        compose = await connector.compose(place())
        slot = CommandSlot(client_order_id=CLOID, nonce=7, admitted_until=None)
        result = await connector.send(row(message=compose(slot), target_revision=3), access())
        assert isinstance(result.outcome, Accepted)
        report = result.outcome.report
        assert report is not None
        assert (report.order_id, report.revision) == (ORDER_ID, 3)
        assert (report.verdict, report.venue_order_id) == (Verdict.ACCEPTED, "41")
        assert result.raw == RESTING.decode()
        assert result.received_at == NOW
        assert venue.posted[0]["expiresAfter"] == 1790000010000


async def test_compose_knows_every_command() -> None:
    async with venue_and_connector() as (_, connector):
        slot = CommandSlot(client_order_id=CLOID, nonce=7, admitted_until=None)
        cancel = CancelOrder(symbol="BTC-PERP", client_order_id=CLOID, venue_order_id="41")
        modify = ModifyOrder(venue_order_id="41", order=place())
        messages = [
            json.loads((await connector.compose(command))(slot))
            for command in (place(), cancel, modify, BurnNonce(nonce=7))
        ]
        assert [message["type"] for message in messages] == [
            "order",
            "cancel",
            "batchModify",
            "noop",
        ]
        with pytest.raises(InvalidInput, match="symbol"):
            await connector.compose(place(symbol="NOPE-PERP"))


def test_client_order_id_is_a_cloid_readable_back() -> None:
    connector = HyperliquidConnector(Network.PAPER, "http://127.0.0.1:1")
    assert connector.client_order_id(ORDER_ID, 0, 0) == CLOID
    ids = {connector.client_order_id(ORDER_ID, r, c) for r in range(3) for c in range(3)}
    assert len(ids) == 9
    assert all(len(found) == 34 and found == found.lower() for found in ids)


async def test_send_by_is_checked_immediately_before_the_write() -> None:
    times: list[datetime] = []

    def clock() -> datetime:
        times.append(NOW)
        return NOW + timedelta(seconds=1)

    async with venue_and_connector(clock=clock) as (venue, connector):
        venue.exchange = [RESTING]
        result = await connector.send(row(), access())
        assert result.outcome == NotSent(
            reason="send_by passed", proof="no byte was written", retryable=True
        )
        assert venue.posted == []
        # The row may be sent again by whoever resolves it: there the check does not apply.
        assert isinstance((await connector.resend(row(), access())).outcome, Accepted)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"venue": "lighter"}, "expected a row for hyperliquid paper"),
        ({"network": Network.MAINNET}, "expected a row for hyperliquid paper"),
        ({"account_id": "other"}, "expected access to account 'other'"),
        ({"signer": "0x" + "1" * 40}, "expected the key of 0x1111"),
        ({"nonce": None}, "expected a nonce"),
        ({"message": "{"}, "no JSON"),
        ({"message": "[]"}, "no action"),
        ({"message": '{"type":"order"}'}, "no place of ours"),
        ({"message": '{"type":"order","orders":[],"grouping":"na"}'}, "expected 1 orders"),
        (
            {"message": order_message().replace('"na"}', '"na","builder":{"b":"0x","f":1}}')},
            "found ['builder']",
        ),
    ],
)
async def test_rows_that_contradict_themselves_are_not_sent(
    changes: dict[str, Any], reason: str
) -> None:
    async with venue_and_connector() as (venue, connector):
        first = (await connector.send(row(**changes), access())).outcome
        assert isinstance(first, NotSent)
        assert reason in first.reason
        assert not first.retryable
        again = (await connector.resend(row(**changes), access())).outcome
        assert isinstance(again, Unknown)
        assert again.reason.startswith("not sent again: ")
        assert venue.posted == []


async def test_only_listed_actions_are_signed() -> None:
    async with venue_and_connector() as (venue, connector):
        transfer = row(CommandKind.NOOP, message='{"type":"usdSend","amount":"1"}')
        outcome = (await connector.send(transfer, access())).outcome
        assert isinstance(outcome, NotSent)
        assert "found 'usdSend'" in outcome.reason
        assert venue.posted == []


async def test_wrong_key_is_not_shown() -> None:
    async with venue_and_connector() as (_, connector):
        outcome = (await connector.send(row(), access(key="nonsense-secret"))).outcome
        assert isinstance(outcome, NotSent)
        assert "nonsense" not in repr(outcome)
        with pytest.raises(InvalidInput):
            connector.signer_of(SecretText("nonsense-secret"))
        assert connector.signer_of(SecretText(KEY)) == SIGNER


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (b"null", "429 Too Many Requests", "not_sent"),
        (b"Failed to parse", "400 Bad Request", "rejected"),
        (b"oops", "502 Bad Gateway", "unknown"),
        (b"<html>", "200 OK", "unknown"),
        (err("Invalid nonce: duplicate nonce 1"), "200 OK", "unknown"),
    ],
)
async def test_outcomes_come_with_their_evidence(answer: bytes, status: str, kind: str) -> None:
    async with venue_and_connector() as (venue, connector):
        venue.exchange, venue.status = [answer], status
        result = await connector.send(row(), access())
        assert result.outcome.kind == kind
        assert result.raw == answer.decode()


async def test_no_answer_is_unknown_and_nothing_listening_is_not_sent() -> None:
    async def swallow(seen: RawServer, reader: Any, writer: Any) -> None:
        await seen.read(reader)
        if len(seen.requests) < 2:
            body = json.dumps({"role": "user"}).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            writer.write(head + body)
            await writer.drain()
            await seen.read(reader)
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"status"')
            await writer.drain()

    async with serving(swallow) as server:
        connector = HyperliquidConnector(Network.PAPER, server.url, clock=lambda: NOW)
        await connector._rest.start()
        result = await connector.send(row(), access())
        assert isinstance(result.outcome, Unknown)
        assert result.raw == '{"status"'
    result = await connector.send(row(), access())
    assert isinstance(result.outcome, NotSent)
    assert result.outcome.retryable
    assert isinstance((await connector.resend(row(), access())).outcome, Unknown)
    await connector.close()


async def test_role_that_the_venue_does_not_tell_stops_a_first_send() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.info["userRole"] = {"nonsense": 1}
        outcome = (await connector.send(row(), access())).outcome
        assert isinstance(outcome, NotSent)
        assert outcome.retryable
        assert isinstance((await connector.resend(row(), access())).outcome, Unknown)
        assert venue.posted == []


async def test_role_that_never_comes_does_not_hold_a_command_up() -> None:
    async def silent(seen: RawServer, reader: Any, writer: Any) -> None:
        await seen.read(reader)
        await asyncio.Event().wait()

    async with serving(silent) as server:
        connector = HyperliquidConnector(Network.PAPER, server.url, clock=lambda: NOW)
        await connector._rest.start()
        async with asyncio.timeout(5):
            results = await asyncio.gather(*(connector.send(row(), access()) for _ in range(20)))
        assert {result.outcome for result in results} == {
            NotSent(
                reason="the account's role is not known: no answer within 1 s",
                proof="no byte was written",
                retryable=True,
            )
        }
        assert len(server.requests) <= 2
        await connector.close()


async def test_role_is_asked_once() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.exchange = [RESTING, RESTING]
        await connector.send(row(), access())
        await connector.send(row(nonce=2), access())
        assert [asked["type"] for asked in venue.asked].count("userRole") == 1
        assert [posted["vaultAddress"] for posted in venue.posted] == [None, None]


async def test_unknown_account_is_left_to_the_venue_and_asked_again() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.info["userRole"] = {"role": "missing"}
        venue.exchange = [err("User or API Wallet 0x1 does not exist.")] * 2
        for _ in range(2):
            outcome = (await connector.send(row(), access())).outcome
            assert isinstance(outcome, Rejected)
            assert outcome.code == "unknown_signer"
        assert [asked["type"] for asked in venue.asked].count("userRole") == 2


async def test_account_over_its_limit_sends_only_cancels_for_a_while() -> None:
    now = [100.0]
    async with venue_and_connector(monotonic=lambda: now[0]) as (venue, connector):
        text = "Too many cumulative requests sent (10001 > 10000) for cumulative volume traded $1."
        venue.exchange = [err(text), ok("success", kind="cancel"), RESTING]
        assert (await connector.send(row(), access())).outcome == NotSent(
            reason="address_rate_limited", proof=text, retryable=True
        )
        refused = (await connector.send(row(nonce=2), access())).outcome
        assert isinstance(refused, NotSent)
        assert "over the venue's action limit" in refused.reason
        cancel = row(CommandKind.CANCEL, message='{"type":"cancel","cancels":[{"a":0,"o":41}]}')
        canceled = (await connector.send(cancel, access())).outcome
        assert isinstance(canceled, Accepted)
        assert canceled.report is not None
        assert (canceled.report.verdict, canceled.report.venue_order_id) == (
            Verdict.CANCELED,
            "41",
        )
        now[0] += 12
        assert isinstance((await connector.send(row(nonce=3), access())).outcome, Accepted)


async def test_budget_keeps_room_for_cancels_and_closes() -> None:
    budget = RateBudget()
    async with venue_and_connector(budget=budget, monotonic=lambda: 0.0) as (venue, connector):
        venue.exchange = [RESTING, ok("success", kind="cancel"), RESTING]
        await connector.send(row(), access())
        budget.charge(1200 - 20 - 60 - 1 - 40, 0.0)
        refused = (await connector.send(row(nonce=2), access())).outcome
        assert isinstance(refused, NotSent)
        assert "rate budget" in refused.reason
        assert refused.retryable
        cancel = row(
            CommandKind.CANCEL,
            message=json.dumps(
                {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": CLOID}]}
            ),
        )
        assert isinstance((await connector.send(cancel, access())).outcome, Accepted)
        closing = row(nonce=3, message=order_message(reduce_only=True))
        assert isinstance((await connector.send(closing, access())).outcome, Accepted)
        with pytest.raises(VenueUnavailable, match="rate budget"):
            await connector.fee_rates(account())


async def test_rate_limited_venue_gets_only_cancels_for_a_while() -> None:
    now = [100.0]
    async with venue_and_connector(monotonic=lambda: now[0]) as (venue, connector):
        venue.exchange, venue.status = [b"null"], "429 Too Many Requests"
        assert (await connector.send(row(), access())).outcome.kind == "not_sent"
        refused = (await connector.send(row(nonce=2), access())).outcome
        assert isinstance(refused, NotSent)
        assert "rate budget" in refused.reason
        venue.exchange, venue.status = [DEFAULT, RESTING], "200 OK"
        noop = row(CommandKind.NOOP)
        assert (await connector.send(noop, access())).outcome == Accepted()
        now[0] += 6
        assert (await connector.send(row(nonce=3), access())).outcome.kind == "accepted"


async def test_noop_whose_nonce_was_used() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.exchange = [err("Invalid nonce: duplicate nonce 1790000000001")]
        outcome = (await connector.send(row(CommandKind.NOOP), access())).outcome
        assert isinstance(outcome, Rejected)
        assert (outcome.code, outcome.report) == ("nonce_used", None)


async def test_batches() -> None:
    other = "0x" + "f" * 32
    members = [
        BatchMember(order_id=ORDER_ID, revision=0, client_order_id=CLOID),
        BatchMember(order_id="second", revision=1, client_order_id=other),
    ]
    slots = [
        CommandSlot(client_order_id=member.client_order_id, nonce=1, admitted_until=None)
        for member in members
    ]
    async with venue_and_connector() as (venue, connector):
        compose = await connector.compose_place_batch([place(), place(price=Decimal(82000))])
        venue.exchange = [
            ok({"resting": {"oid": 1, "cloid": CLOID}}, {"error": "Insufficient margin"}),
            err("Invalid nonce: duplicate nonce 1"),
        ]
        batch_row = row(message=compose(slots))
        result = await connector.send_batch(batch_row, access(), members)
        assert [outcome.kind for outcome in result.outcomes] == ["accepted", "rejected"]
        assert result.raw is not None
        again = await connector.resend_batch(batch_row, access(), members)
        assert [outcome.kind for outcome in again.outcomes] == ["unknown", "unknown"]
        cancels = [
            CancelOrder(symbol="BTC-PERP", client_order_id=CLOID),
            CancelOrder(symbol="ETH-PERP", client_order_id=other),
        ]
        cancel_all = await connector.compose_cancel_batch(cancels)
        venue.exchange = [ok("success", {"error": "Order was never placed"}, kind="cancel")]
        cancel_row = row(CommandKind.CANCEL, message=cancel_all(slots))
        result = await connector.send_batch(cancel_row, access(), members)
        assert [outcome.kind for outcome in result.outcomes] == ["accepted", "rejected"]
        short = await connector.send_batch(cancel_row, access(), members[:1])
        assert isinstance(short.outcomes[0], NotSent)
        assert "expected 1 cancels" in short.outcomes[0].reason


EXIT = {
    "side": OrderSide.SELL,
    "reduce_only": True,
    "order_type": OrderType.STOP_MARKET,
    "trigger_price": Decimal(70000),
}
RESTS, FILLED = (
    {"resting": {"oid": 1}},
    {"filled": {"oid": 1, "totalSz": "0.00123", "avgPx": "83000"}},
)
REFUSED = {"error": "Invalid TP/SL price. asset=0"}
JOINT: dict[str, tuple[Any, list[str]]] = {
    "all rest": (ok(RESTS, "waitingForFill"), ["accepted", "accepted"]),
    "filled at once": (ok(FILLED, "waitingForTrigger"), ["accepted", "accepted"]),
    "an exit refused": (ok(RESTS, REFUSED), ["accepted", "rejected"]),
    "the whole refused by one error": (ok(REFUSED), ["rejected", "rejected"]),
    "an exit said to wait for something new": (
        ok(RESTS, "waitingForGodot"),
        ["accepted", "unknown"],
    ),
    "an entry in a word that only exits have": (
        ok("success", "waitingForFill"),
        ["unknown", "accepted"],
    ),
    "another number of statuses": (
        ok(RESTS, "waitingForFill", "waitingForFill"),
        ["unknown", "unknown"],
    ),
    "the answer to something else": (ok("success", "success", kind="default"), ["unknown"] * 2),
    "a refusal of the action": (err("Insufficient something new"), ["unknown", "unknown"]),
}


@pytest.mark.parametrize("case", JOINT)
async def test_an_entry_with_its_exits(case: str) -> None:
    answer, kinds = JOINT[case]
    other = "0x" + "f" * 32
    members = [
        BatchMember(order_id=ORDER_ID, revision=0, client_order_id=CLOID),
        BatchMember(order_id="exit", revision=0, client_order_id=other),
    ]
    slots = [
        CommandSlot(client_order_id=member.client_order_id, nonce=1, admitted_until=None)
        for member in members
    ]
    async with venue_and_connector() as (venue, connector):
        assert isinstance(connector, JointPlacer)
        assert connector.capabilities.joint_exits
        compose = await connector.compose_joint(place(), [place(**EXIT)])
        message = compose(slots)
        assert message.endswith('"grouping":"normalTpsl"}')
        venue.exchange = [answer]

        result = await connector.send_batch(row(message=message), access(), members)

        assert [outcome.kind for outcome in result.outcomes] == kinds
        with pytest.raises(InvalidInput, match="reduce-only trigger"):
            await connector.compose_joint(place(), [place()])
        # A row that another carries has no message: there is nothing of it to send.
        carried = await connector.send(row(message=""), access())
        assert isinstance(carried.outcome, NotSent)


async def test_leverage_and_scheduled_cancel() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.exchange = [
            DEFAULT,
            DEFAULT,
            err("Cannot set scheduled cancel time until enough volume traded."),
        ]
        result = await connector.set_leverage(access(), "BTC-PERP", 10, MarginMode.CROSS, 5)
        assert result.outcome == Accepted()
        at = NOW + timedelta(seconds=20)
        assert (await connector.schedule_cancel(access(), at, 6)).outcome == Accepted()
        outcome = (await connector.schedule_cancel(access(), None, 7)).outcome
        assert isinstance(outcome, Rejected)
        assert outcome.code == "volume_too_low"
        assert [posted["action"] for posted in venue.posted] == [
            {"type": "updateLeverage", "asset": 0, "isCross": True, "leverage": 10},
            {"type": "scheduleCancel", "time": 1790000020000},
            {"type": "scheduleCancel"},
        ]
        assert {posted["expiresAfter"] for posted in venue.posted} == {1790000010000}
        with pytest.raises(InvalidInput, match="leverage"):
            await connector.set_leverage(access(), "BTC-PERP", 41, MarginMode.CROSS, 8)


async def test_price_bound() -> None:
    def level(price: str) -> Any:
        return {"px": price, "sz": "1", "n": 1}

    async with venue_and_connector() as (venue, connector):
        book: dict[str, Any] = {"coin": "BTC", "time": 1, "levels": [[level("99")], [level("101")]]}
        venue.info["l2Book"] = book
        assert await connector.price_bound("BTC-PERP", OrderSide.BUY, 100) == Decimal(101)
        assert await connector.price_bound("BTC-PERP", OrderSide.SELL, 100) == Decimal(99)
        book["levels"] = [[], [level("200")]]
        assert await connector.price_bound("BTC-PERP", OrderSide.BUY, 100) == Decimal(202)
        with pytest.raises(VenueRefused, match="no liquidity to SELL"):
            await connector.price_bound("BTC-PERP", OrderSide.SELL, 100)


def times_asked(venue: Venue) -> int:
    """Return how often the markets were asked for; each time so are the public fees."""
    kinds = [asked["type"] for asked in venue.asked]
    assert kinds.count("userFees") == kinds.count("meta")
    return kinds.count("meta")


async def test_markets_are_loaded_once_and_again_for_an_unknown_symbol() -> None:
    now = [1000.0]
    async with venue_and_connector(monotonic=lambda: now[0]) as (venue, connector):
        assert len(await connector.instruments()) == 4
        for _ in range(2):
            with pytest.raises(InvalidInput, match="4 markets"):
                await connector.instrument("NEW-PERP")
        assert times_asked(venue) == 1
        listed = {"name": "NEW", "szDecimals": 2, "maxLeverage": 3}
        venue.info["meta"] = {"universe": [*META["universe"], listed]}
        now[0] += 31
        assert (await connector.instrument("NEW-PERP")).asset_index == 4
        now[0] += 901
        together = await asyncio.gather(*(connector.instruments() for _ in range(5)))
        assert {len(found) for found in together} == {5}
        assert times_asked(venue) == 3
        await connector.instruments(refresh=True)
        assert times_asked(venue) == 4


async def test_start_fails_where_nothing_listens() -> None:
    connector = HyperliquidConnector(Network.PAPER, "http://127.0.0.1:1")
    with pytest.raises(VenueUnavailable, match="did not answer meta"):
        await connector.start()
    await connector.close()


def test_replacing_access_shows_no_key() -> None:
    shown = repr(replace(access(), account=account(address=MASTER)))
    assert KEY not in shown
    assert KEY.removeprefix("0x") not in shown
