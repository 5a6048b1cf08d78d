"""The private feed's core: bytes and time in, events out."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from domain.accounts import Account, AccountState, MarginMode, Network, PositionSide
from domain.orders import Verdict
from tests.venues.hyperliquid.building import ADDRESS, CLOID, NOW
from venues.connector import (
    AccountEvent,
    AccountSeen,
    FeedState,
    FillsSeen,
    FundingSeen,
    OrdersSeen,
)
from venues.hyperliquid.account_stream import AccountStream
from venues.stream_session import LiveStream

T0 = 1790000000000


def an_account(address: str = ADDRESS) -> Account:
    return Account(
        account_id="acc",
        owner="local",
        venue="hyperliquid",
        label="main",
        network=Network.PAPER,
        address=address,
        signer="0x2",
        state=AccountState.ACTIVE,
        created_at=NOW,
    )


def frame(channel: str, data: Any = None) -> bytes:
    return json.dumps({"channel": channel, "data": data}).encode()


def acknowledgement(kind: str, **more: Any) -> bytes:
    subscription = {"type": kind, "user": ADDRESS, **more}
    return frame("subscriptionResponse", {"method": "subscribe", "subscription": subscription})


def fills(*rows: Any, snapshot: bool = False, user: str = ADDRESS) -> bytes:
    data: dict[str, Any] = {"user": user, "fills": list(rows)}
    if snapshot:
        data["isSnapshot"] = True
    return frame("userFills", data)


def fill_row(tid: int, **changes: Any) -> dict[str, Any]:
    row = {"coin": "BTC", "px": "83843.0", "sz": "0.31975", "side": "A", "time": T0 + tid}
    row |= {"startPosition": "1.5", "dir": "Sell", "closedPnl": "86.6", "hash": "0x", "oid": 7}
    return row | {"crossed": True, "fee": "18.0", "tid": tid, "feeToken": "USDC"} | changes


def update(status: str, **changes: Any) -> dict[str, Any]:
    order = {"coin": "BTC", "side": "B", "limitPx": "30.0", "sz": "0.49", "oid": 1}
    order |= {"timestamp": T0, "origSz": "0.49"} | changes
    return {"order": order, "status": status, "statusTimestamp": T0 + 1}


def stream(address: str = ADDRESS) -> LiveStream[AccountEvent]:
    return LiveStream(AccountStream(an_account(address)), "acc")


def live_stream() -> LiveStream[AccountEvent]:
    core = stream(ADDRESS.upper().replace("0X", "0x"))
    core.connected(0.0, NOW)
    for payload in (
        b"Websocket connection established.",
        acknowledgement("orderUpdates"),
        acknowledgement("userFills", aggregateByTime=False),
        acknowledgement("userFundings"),
        acknowledgement("clearinghouseState", dex=""),
        fills(snapshot=True),
    ):
        step = core.received(payload, 0.1, NOW)
        assert step.close is None
    return core


def test_it_subscribes_to_all_that_concerns_an_account() -> None:
    step = stream().connected(0.0, NOW)
    assert [json.loads(sent) for sent in step.send] == [
        {"method": "subscribe", "subscription": {"type": "orderUpdates", "user": ADDRESS}},
        {
            "method": "subscribe",
            "subscription": {"type": "userFills", "user": ADDRESS, "aggregateByTime": False},
        },
        {"method": "subscribe", "subscription": {"type": "userFundings", "user": ADDRESS}},
        {"method": "subscribe", "subscription": {"type": "clearinghouseState", "user": ADDRESS}},
    ]


def test_live_only_after_every_acknowledgement_and_the_snapshot() -> None:
    parts = [
        acknowledgement("orderUpdates"),
        acknowledgement("userFills"),
        fills(fill_row(2), fill_row(1), snapshot=True),
    ]
    always = [acknowledgement("userFundings"), acknowledgement("clearinghouseState", dex="")]
    live = FeedState(account_id="acc", live=True, reason="subscribed", at=NOW)
    for last in range(3):
        core = stream()
        core.connected(0.0, NOW)
        for payload in always:
            core.received(payload, 0.1, NOW)
        order = [part for part in parts if part is not parts[last]] + [parts[last]]
        steps = [core.received(payload, 0.1, NOW) for payload in order]
        states = [[e for e in step.events if isinstance(e, FeedState)] for step in steps]
        assert states == [[], [], [live]]
        (seen,) = [e for step in steps for e in step.events if isinstance(e, FillsSeen)]
        assert seen.is_snapshot
        assert [fill.trade_id for fill in seen.fills] == ["1", "2"]


def test_orders_and_fills_become_ours() -> None:
    core = live_stream()
    updates = [
        update("open", cloid=CLOID),
        update("filled", oid=2, sz="0.0"),
        update("filled", oid=3, sz="0.0", reduceOnly=True),
        update("brandNew", oid=4),
        update("open", coin="@107"),
    ]
    (seen,) = core.received(frame("orderUpdates", updates), 1.0, NOW).events
    assert isinstance(seen, OrdersSeen)
    assert [(o.venue_order_id, o.verdict, o.filled_quantity) for o in seen.orders] == [
        ("1", Verdict.ACCEPTED, Decimal(0)),
        ("2", Verdict.FILLED, Decimal("0.49")),
        ("3", Verdict.PARTIALLY_FILLED, None),
        ("4", Verdict.ACCEPTED, Decimal(0)),
    ]
    assert (seen.orders[0].client_order_id, seen.orders[3].reason) == (CLOID, "brandNew")
    (event,) = core.received(fills(fill_row(5), fill_row(6, coin="@1")), 1.0, NOW).events
    assert isinstance(event, FillsSeen)
    assert not event.is_snapshot
    assert [fill.trade_id for fill in event.fills] == ["5"]
    assert core.received(frame("orderUpdates", [update("open", coin="@1")]), 1.0, NOW).events == ()


def test_housekeeping_says_nothing() -> None:
    core = live_stream()
    for payload in (
        b'{"channel":"pong"}',
        frame("error", "Already subscribed: {}"),
        frame("notification", {"notification": "hello"}),
        frame("subscriptionResponse", {"method": "unsubscribe", "subscription": {"type": "x"}}),
        fills(),
    ):
        step = core.received(payload, 1.0, NOW)
        assert (step.events, step.close) == ((), None)


def test_what_cannot_be_read_ends_the_connection() -> None:
    for payload, reason in [
        (b"{", "unreadable"),
        (frame("orderUpdates", {"not": "a list"}), "unreadable"),
        (frame("orderUpdates", [update("open", sz="NaN")]), "unreadable"),
        (fills(fill_row(1), user="0x" + "9" * 40), f"expected fills of {ADDRESS}"),
        (frame("error", "Cannot track more than 15 total users."), "Cannot track more"),
    ]:
        step = live_stream().received(payload, 1.0, NOW)
        assert step.events == ()
        assert step.close is not None
        assert reason in step.close


def test_ping_and_silence() -> None:
    core = live_stream()
    assert core.tick(24.0, NOW).send == ()
    assert core.tick(25.1, NOW).send == (b'{"method":"ping"}',)
    assert core.tick(26.0, NOW).send == ()
    core.received(b'{"channel":"pong"}', 26.0, NOW)
    assert core.tick(50.2, NOW).send == (b'{"method":"ping"}',)
    assert core.tick(85.9, NOW).close is None
    assert core.tick(86.0, NOW).close == "nothing heard for 60 s"


def test_missing_acknowledgement_or_snapshot_ends_the_connection() -> None:
    core = stream()
    core.connected(0.0, NOW)
    assert core.tick(14.9, NOW).close is None
    core.received(acknowledgement("userFills"), 1.0, NOW)
    assert core.tick(15.0, NOW).close == (f"orderUpdates {ADDRESS} not acknowledged within 15 s")
    for kind in ("orderUpdates", "userFundings", "clearinghouseState"):
        core.received(acknowledgement(kind), 15.0, NOW)
    assert core.tick(15.0, NOW).close == "no snapshot of fills within 15 s"


def test_loss_is_told_once_per_reason_and_live_again_after_a_new_snapshot() -> None:
    core = live_stream()
    lost = core.disconnected("gone", NOW)
    assert lost == (FeedState(account_id="acc", live=False, reason="gone", at=NOW),)
    assert core.disconnected("gone", NOW) == ()
    assert len(core.disconnected("no connection", NOW)) == 1
    core.connected(10.0, NOW)
    assert core.received(acknowledgement("orderUpdates"), 10.0, NOW).events == ()
    for kind in ("userFills", "userFundings", "clearinghouseState"):
        assert core.received(acknowledgement(kind), 10.0, NOW).events == ()
    (state,) = core.received(fills(snapshot=True), 10.0, NOW).events
    assert isinstance(state, FeedState)
    assert state.live
    assert len(core.disconnected("gone", NOW)) == 1


def test_first_connection_that_fails_is_told() -> None:
    core = stream()
    (state,) = core.disconnected("no connection: refused", NOW)
    assert isinstance(state, FeedState)
    assert not state.live


def test_funding_becomes_ours() -> None:
    core = live_stream()
    row = {"time": T0, "coin": "ETH", "usdc": "-0.5", "szi": "2.5", "fundingRate": "0.0001"}
    spot = row | {"coin": "@107"}
    data = {"isSnapshot": True, "user": ADDRESS, "fundings": [row | {"nSamples": None}, spot]}
    (seen,) = core.received(frame("userFundings", data), 1.0, NOW).events
    assert isinstance(seen, FundingSeen)
    assert seen.is_snapshot
    (payment,) = seen.payments
    assert (payment.symbol, payment.amount) == ("ETH-PERP", Decimal("-0.5"))
    assert (payment.rate, payment.position_quantity) == (Decimal("0.0001"), Decimal("2.5"))
    empty = {"isSnapshot": True, "user": ADDRESS, "fundings": []}
    assert core.received(frame("userFundings", empty), 1.0, NOW).events == ()


def state(**changes: Any) -> dict[str, Any]:
    summary = {"accountValue": "1000.5", "totalNtlPos": "1", "totalRawUsd": "1"}
    summary |= {"totalMarginUsed": "20.5"}
    position: dict[str, Any] = {"coin": "BTC", "szi": "-0.5", "entryPx": "40000.0"}
    position |= {"positionValue": "21000.0"}
    position |= {"leverage": {"type": "isolated", "value": 5, "rawUsd": "1"}, "marginUsed": "9"}
    position |= {"unrealizedPnl": "-1000.0", "liquidationPx": "47000.0", "maxLeverage": 40}
    position |= {"returnOnEquity": "0.1", "cumFunding": {}}
    whole = {"marginSummary": summary, "crossMarginSummary": summary, "time": T0}
    whole |= {"crossMaintenanceMarginUsed": "7.5", "withdrawable": "900.25"}
    whole |= {"assetPositions": [{"type": "oneWay", "position": position}]}
    return {"dex": "", "user": ADDRESS, "clearinghouseState": whole} | changes


def test_the_accounts_state_becomes_ours() -> None:
    core = live_stream()
    (seen,) = core.received(frame("clearinghouseState", state()), 1.0, NOW).events
    assert isinstance(seen, AccountSeen)
    assert seen.summary.account_id == "acc"
    assert seen.summary.equity == Decimal("1000.5")
    (position,) = seen.summary.positions
    assert position.side is PositionSide.SHORT
    assert position.margin_mode is MarginMode.ISOLATED
    assert position.liquidation_price == 47_000
    # Another exchange's markets on the same account are none of ours.
    assert core.received(frame("clearinghouseState", state(dex="xyz")), 1.0, NOW).events == ()


def test_state_and_funding_of_another_account_cut_the_line() -> None:
    for other in (
        frame("clearinghouseState", state(user="0x" + "9" * 40)),
        frame("userFundings", {"user": "0x" + "9" * 40, "fundings": []}),
    ):
        step = live_stream().received(other, 1.0, NOW)
        assert step.close is not None
        assert "expected" in step.close
