"""Frames of the venue through the folds, number for number: recorded ones where this machine has
them, and always some of the same shapes.

What a frame says is read here once more, by hand, from its JSON text: every row of a channel of
ours has to come out as an event, with exactly the digits that were sent.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.venues.hyperliquid.building import ADDRESS, CLOID, NOW, samples
from tests.venues.hyperliquid.test_account_stream import an_account, fill_row, state, update
from venues.connector import (
    AccountSeen,
    BookSeen,
    CandleSeen,
    FeedState,
    FillsSeen,
    FundingSeen,
    OrdersSeen,
    TickerSeen,
    TradesSeen,
)
from venues.hyperliquid.account_stream import AccountStream
from venues.hyperliquid.market_stream import MarketStream
from venues.hyperliquid.translate import to_ms
from venues.stream_core import Step
from venues.stream_session import LiveStream

Json = dict[str, Any]
Row = tuple[str | None, ...]

T0 = 1790000000000
#: Channels that nobody of ours subscribes to; their frames are passed over.
NOT_OURS = {"allMids", "allDexsAssetCtxs", "fastAssetCtxs", "post", "user"}
HOUSEKEEPING = {"subscriptionResponse", "pong"}


def level(price: str, quantity: str) -> Json:
    return {"px": price, "sz": quantity, "n": 3}


#: As long as the venue sends them: more digits than a float holds, small ones, trailing zeros.
LONG = "4161029539.6949653625000012345678"
OWN: list[tuple[str, Json | list[Json]]] = [
    ("l2Book", {"coin": "BTC", "time": T0, "levels": [
        [level("84143.0", "10.25923"), level("84142.10", "0.00001")],
        [level("84144.0", "50.66422"), level("84145.00", LONG)],
    ]}),
    ("l2Book", {"coin": "kPEPE", "time": T0 + 1, "levels": [[], [level("0.0000001895", "7")]]}),
    ("bbo", {"coin": "BTC", "time": T0, "bbo": [level("84143.0", "1.10"), None]}),
    ("trades", [
        {"coin": "BTC", "side": side, "px": f"35.27{tid}", "sz": LONG, "time": T0 - tid,
         "hash": "0x0", "tid": 71609572281413000 + tid, "users": ["0x1", "0x2"]}
        for tid, side in enumerate("ABAB")
    ]),
    ("activeAssetCtx", {"coin": "BTC", "ctx": {
        "funding": "-0.0000015186", "openInterest": "27353.17682", "prevDayPx": "76317.0",
        "dayNtlVlm": LONG, "premium": None, "oraclePx": "77605.0", "markPx": "77562.10",
        "midPx": None, "impactPxs": None, "dayBaseVlm": "19707.77457",
    }}),
    ("candle", {"t": T0, "T": T0 + 59_999, "s": "BTC", "i": "1m", "o": "34.668", "c": "34.868",
                "h": "36.2190", "l": "34.251", "v": "3495670.8399999999", "n": 102895}),
    ("orderUpdates", [
        update("open", cloid=CLOID, limitPx="30.10", sz="0.49000", origSz="0.5000"),
        update("canceled", oid=2),
        update("open", coin="@107"),
    ]),
    ("userFills", {"user": ADDRESS, "isSnapshot": True, "fills": [
        fill_row(246814713305894, time=T0, closedPnl="86.62649561", fee="-0.0000000001",
                 cloid=CLOID),
        fill_row(2, coin="PURR/USDC"),
    ]}),
    ("userFundings", {"user": ADDRESS, "isSnapshot": False, "fundings": [
        {"time": T0, "coin": "ETH", "usdc": "-0.500000", "szi": "-2.5", "nSamples": None,
         "fundingRate": "0.0000125"},
    ]}),
    ("clearinghouseState", state()),
]  # fmt: skip


def recorded() -> Iterator[tuple[str, Json]]:
    """Yield file name and message of every recorded frame that came in."""
    root = samples()
    for file in sorted((root / "ws").glob("*.json")) if root is not None else []:
        for frame in json.loads(file.read_text()).get("frames", []):
            if frame["dir"] == "in":
                yield file.name, frame["msg"]
                if frame["msg"]["channel"] == "user":
                    # The same rows as `userFills` carries them.
                    data = {"user": ADDRESS, "fills": frame["msg"]["data"]["fills"]}
                    yield file.name, {"channel": "userFills", "data": data}


FRAMES = [
    *((f"own {channel}", {"channel": channel, "data": data}) for channel, data in OWN),
    *recorded(),
]


# What a frame says, read by hand.


def is_ours(coin: str) -> bool:
    """Tell whether a coin is a perpetual; spot pairs have an @ or a slash."""
    return "@" not in coin and "/" not in coin


def rows_said(channel: str, data: Any) -> list[Row]:
    match channel:
        case "l2Book":
            return [(side["px"], side["sz"]) for levels in data["levels"] for side in levels]
        case "bbo":
            return [(side["px"], side["sz"]) for side in data["bbo"] if side is not None]
        case "trades":
            ordered = sorted(data, key=lambda row: row["time"])
            return [(str(r["tid"]), r["px"], r["sz"], r["side"], str(r["time"])) for r in ordered]
        case "activeAssetCtx":
            names = ("markPx", "oraclePx", "midPx", "funding", "openInterest", "dayNtlVlm")
            return [tuple(data["ctx"][name] for name in names)]
        case "candle":
            return [tuple(str(data[name]) for name in ("t", "o", "h", "l", "c", "v"))]
        case "orderUpdates":
            return [
                (str(o["oid"]), o["side"], o["limitPx"], o["origSz"], o.get("cloid"))
                for o in (row["order"] for row in data)
                if is_ours(o["coin"])
            ]
        case "userFills":
            ordered = sorted(data["fills"], key=lambda row: row["time"])
            told = ("px", "sz", "side", "fee", "closedPnl")
            return [
                (str(row["tid"]), str(row["oid"]), *(row[name] for name in told), row.get("cloid"))
                for row in ordered
                if is_ours(row["coin"])
            ]
        case "userFundings":
            return [
                (str(row["time"]), row["usdc"], row["szi"], row["fundingRate"])
                for row in data["fundings"]
            ]
        case "clearinghouseState":
            whole = data["clearinghouseState"]
            positions = [row["position"] for row in whole["assetPositions"]]
            return [
                (whole["marginSummary"]["accountValue"], whole["withdrawable"]),
                *((p["szi"].removeprefix("-"), p["entryPx"]) for p in positions),
            ]
    raise AssertionError(f"a channel that is neither ours nor known: {channel}")


# What came out.


def text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def letter(side: Any) -> str:
    return {"BUY": "B", "SELL": "A"}[side.value]


def rows_heard(event: Any) -> list[Row]:
    match event:
        case BookSeen():
            levels = (*event.book.bids, *event.book.asks)
            return [(text(each.price), text(each.quantity)) for each in levels]
        case TradesSeen():
            return [
                (t.trade_id, text(t.price), text(t.quantity), letter(t.aggressor_side),
                 str(to_ms(t.event_time)))
                for t in event.trades
            ]  # fmt: skip
        case TickerSeen():
            t = event.ticker
            prices = (t.mark_price, t.index_price, t.mid_price)
            return [tuple(map(text, (*prices, t.funding_rate, t.open_interest, t.volume_24h)))]
        case CandleSeen():
            c = event.candle
            numbers = (c.open, c.high, c.low, c.close, c.volume)
            return [(str(to_ms(c.open_time)), *map(text, numbers))]
        case OrdersSeen():
            return [
                (o.venue_order_id, letter(o.side), text(o.price), text(o.quantity),
                 o.client_order_id)
                for o in event.orders
            ]  # fmt: skip
        case FillsSeen():
            return [
                (f.trade_id, f.venue_order_id, text(f.price), text(f.quantity), letter(f.side),
                 text(f.fee), text(f.realized_pnl), f.client_order_id)
                for f in event.fills
            ]  # fmt: skip
        case FundingSeen():
            return [
                (str(to_ms(p.event_time)), text(p.amount), text(p.position_quantity), text(p.rate))
                for p in event.payments
            ]
        case AccountSeen():
            s = event.summary
            positions = [(text(p.quantity), text(p.entry_price)) for p in s.positions]
            return [(text(s.equity), text(s.available)), *positions]
    raise AssertionError(f"no such event: {event}")


PRIVATE = {"orderUpdates", "userFills", "userFundings", "clearinghouseState"}


def core_of(channel: str) -> LiveStream[Any]:
    core: LiveStream[Any] = LiveStream(
        AccountStream(an_account()) if channel in PRIVATE else MarketStream([])
    )
    core.connected(0.0, NOW)
    return core


def heard(core: LiveStream[Any], message: Json) -> Step[Any]:
    return core.received(json.dumps(message).encode(), 1.0, NOW)


def rows_of(step: Step[Any]) -> list[Row]:
    return [row for e in step.events if not isinstance(e, FeedState) for row in rows_heard(e)]


OURS = [
    pytest.param(m, id=f"{n}-{name}")
    for n, (name, m) in enumerate(FRAMES)
    if m["channel"] not in NOT_OURS | HOUSEKEEPING | {"error"}
]


@pytest.mark.parametrize("message", OURS)
def test_every_row_of_a_frame_comes_out_with_its_very_digits(message: Json) -> None:
    step = heard(core_of(message["channel"]), message)
    assert step.close is None
    assert rows_of(step) == rows_said(message["channel"], message["data"])


def test_each_of_our_channels_is_replayed() -> None:
    own = {channel for channel, _ in OWN}
    assert own == PRIVATE | {"l2Book", "bbo", "trades", "activeAssetCtx", "candle"}


@pytest.mark.parametrize("name_and_message", FRAMES, ids=str)
def test_nobody_breaks_on_what_is_not_for_him(name_and_message: tuple[str, Json]) -> None:
    _, message = name_and_message
    for whose in ("userFills", "l2Book"):
        step = heard(core_of(whose), message)
        if message["channel"] == "error" and not message["data"].startswith("Already"):
            assert step.close is not None
            continue
        assert step.close is None, message
        if message["channel"] in NOT_OURS | HOUSEKEEPING:
            assert rows_of(step) == []


@pytest.mark.parametrize("is_private", [True, False])
def test_in_any_order_and_again_they_say_the_same(is_private: bool) -> None:
    """A core remembers nothing of one frame that would change the next one's numbers."""
    chosen = [
        message
        for _, message in FRAMES
        if message["channel"] not in NOT_OURS | HOUSEKEEPING | {"error"}
        and (message["channel"] in PRIVATE) is is_private
    ]
    source = random.Random(7)
    core = core_of("userFills" if is_private else "l2Book")
    for message in source.choices(chosen, k=200):
        step = heard(core, message)
        assert step.close is None
        assert rows_of(step) == rows_said(message["channel"], message["data"])


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("message", OURS)
def test_a_frame_cut_short_ends_the_connection_and_says_nothing(message: Json, cut: float) -> None:
    payload = json.dumps(message).encode()
    core = core_of(message["channel"])
    step = core.received(payload[: int(len(payload) * cut)], 1.0, NOW)
    assert step.events == ()
    assert step.close is not None
    assert "unreadable" in step.close
