"""Recorded payloads of the venue go through wire and translate, where this machine has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from domain.commands import CommandKind
from domain.orders import Verdict
from domain.outcomes import Accepted, Rejected
from tests.venues.hyperliquid.building import NOW, account, reply, samples
from tests.venues.hyperliquid.test_account_stream import an_account
from venues.connector import FillsSeen
from venues.hyperliquid import translate, wire
from venues.hyperliquid.account_stream import AccountStream
from venues.hyperliquid.answers import Asked, outcomes
from venues.hyperliquid.market_stream import MarketStream
from venues.stream_session import LiveStream

#: Shapes of 2023 that the venue no longer sends: no trade ids, no venue time.
OUTDATED = {"clearinghouseState_2023.json", "userFills_2023.json"}

READERS: dict[str, Any] = {
    "meta": wire.Meta,
    "metaAndAssetCtxs": tuple[wire.Meta, list[wire.AssetContext]],
    "clearinghouseState": wire.ClearinghouseState,
    "orderStatus": wire.OrderStatusReply,
    "frontendOpenOrders": list[wire.OrderRow],
    "openOrders": list[wire.OrderRow],
    "historicalOrders": list[wire.OrderEntry],
    "userFills": list[wire.FillRow],
    "userFillsByTime": list[wire.FillRow],
    "userFees": wire.UserFees,
    "userFunding": list[wire.FundingRow],
    "fundingHistory": list[wire.FundingEntry],
    "l2Book": wire.Book,
    "recentTrades": list[wire.PublicTrade],
    "candleSnapshot": list[wire.Kline],
    "userRole": wire.UserRole,
    "extraAgents": list[wire.ExtraAgent],
    "userRateLimit": wire.UserRateLimit,
}


def exchanges(folder: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield file name, request body and answer of every recorded exchange."""
    root = samples()
    for file in sorted((root / folder).glob("*.json")) if root is not None else []:
        recorded = json.loads(file.read_text())
        for item in recorded.get("items", [recorded]):
            request = item.get("request", {}).get("body", {})
            answer = item["response"]["body"] if "response" in item else item["body"]
            yield file.name, request, answer


def read(kind: str, answer: Any) -> Any:
    return wire.decode(json.dumps(answer).encode(), READERS[kind])


def test_recorded_answers_of_info() -> None:
    seen = set()
    for name, request, answer in exchanges("rest_info"):
        kind = request.get("type") or name.partition("_")[0]
        if kind not in READERS or name in OUTDATED:
            continue
        seen.add(kind)
        payload = read(kind, answer)
        if kind in ("historicalOrders",):
            assert all(translate.order_entry(entry) for entry in payload), name
        if kind in ("frontendOpenOrders", "openOrders"):
            assert translate.open_orders(payload), name
        if kind in ("userFills", "userFillsByTime"):
            fills = [translate.fill("acc", row) for row in payload]
            keys = [fill.key for fill in fills if fill is not None]
            assert len(keys) == len(set(keys)), name
        if kind == "clearinghouseState":
            assert translate.account_summary(account(), payload).positions, name
    if samples() is not None:
        assert seen >= {"meta", "orderStatus", "userFillsByTime", "frontendOpenOrders"}


def test_recorded_facts_survive_translation() -> None:
    by_name = {name: answer for name, _, answer in exchanges("rest_info")}
    if not by_name:
        return
    meta = read("meta", by_name["meta_mainnet_2025-12.json"])
    markets = {market.symbol: market for market in translate.instruments(meta)}
    assert markets["BTC-PERP"].asset_index == 0
    assert markets["1000PEPE-PERP"].lot_size == 1
    shrunk = read(
        "frontendOpenOrders", by_name["frontendOpenOrders_shrunk_reduce_only_testnet.json"]
    )
    (order,) = translate.open_orders(shrunk)
    assert (order.verdict, order.filled_quantity) == (Verdict.ACCEPTED, None)
    status = read("orderStatus", by_name["orderStatus_filled_market_testnet.json"])
    filled = translate.order_entry(status.order)
    assert filled is not None
    assert (filled.verdict, filled.filled_quantity) == (Verdict.FILLED, Decimal("0.0025"))
    assert read("orderStatus", by_name["orderStatus_unknownOid.json"]).order is None
    state = read("clearinghouseState", by_name["clearinghouseState_cross_2026-09.json"])
    summary = translate.account_summary(account(), state)
    assert summary.available == Decimal("486.0")
    assert summary.positions[0].quantity == Decimal("4.5")
    taker = read("userFills", by_name["userFills_taker_individual_testnet_2026-09.json"])
    cloids = {(row.cloid, row.oid) for row in taker if row.cloid}
    assert len({cloid for cloid, _ in cloids}) < len(cloids), "one cloid ran under two oids"


def test_recorded_answers_of_exchange() -> None:
    for name, request, answer in exchanges("rest_exchange"):
        action = request.get("action", {})
        statuses = (
            answer["response"].get("data", {}).get("statuses", [])
            if isinstance(answer["response"], dict)
            else []
        )
        if "twap" in name:
            continue
        is_cancel = str(action.get("type", "")).startswith("cancel") or "success" in statuses
        kind = CommandKind.CANCEL if is_cancel else CommandKind.PLACE
        if not statuses and isinstance(answer["response"], dict):
            kind = CommandKind.NOOP
        cloids = [order.get("c", "") for order in action.get("orders", [])] or [""]
        cloids = cloids if len(cloids) == len(statuses) else [""] * max(len(statuses), 1)
        asked = [Asked(order_id="o", revision=0, client_order_id=cloid) for cloid in cloids]
        found = outcomes(reply(json.dumps(answer).encode()), kind, asked, first=True)
        assert all(isinstance(outcome, Accepted | Rejected) for outcome in found), name


def test_recorded_frames_of_the_socket() -> None:
    root = samples()
    kinds: set[str] = set()
    for file in sorted((root / "ws").glob("*.json")) if root is not None else []:
        recorded = json.loads(file.read_text())
        frames = [f["msg"] for f in recorded.get("frames", []) if f["dir"] == "in"]
        if file.name.startswith(("post", "errors")):
            continue
        for message in frames:
            core = LiveStream(MarketStream([]))
            core.connected(0.0, NOW)
            account_core = LiveStream(AccountStream(an_account("0x" + "0" * 39 + "1")))
            account_core.connected(0.0, NOW)
            for step in (
                core.received(msgspec.json.encode(message), 1.0, NOW),
                account_core.received(msgspec.json.encode(message), 1.0, NOW),
            ):
                assert step.close is None, file.name
                kinds |= {event.kind for event in step.events}
            if message["channel"] == "user":
                # The same fill as `userFills` carries it.
                data = {"user": "0x" + "0" * 39 + "1", "fills": message["data"]["fills"]}
                payload = msgspec.json.encode({"channel": "userFills", "data": data})
                events = account_core.received(payload, 1.0, NOW).events
                assert any(isinstance(event, FillsSeen) for event in events)
    if root is not None:
        assert kinds >= {"book", "trades", "ticker", "candle"}
