"""Frames of the venue through the folds, number for number: recorded ones where this machine has
them, and always some of the same shapes.

What a frame says is read here once more, by hand, from its JSON: every row of a channel of ours
comes out as an event, with exactly the digits that were sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.venues.pacifica.building import NOW, ORDER_ID, OWNER, account, sample
from tests.venues.pacifica.test_streams import BTC, POSITION, TRADE
from tests.venues.pacifica.test_translate import PRICE, UPDATE
from venues.connector import (
    BookSeen,
    CandleSeen,
    FeedState,
    FillsSeen,
    MarketChannel,
    MarketChannelKind,
    OrdersSeen,
    TickerSeen,
    TradesSeen,
)
from venues.pacifica.account_stream import AccountStream
from venues.pacifica.market_stream import MarketStream
from venues.pacifica.translate import to_ms
from venues.stream_core import Step
from venues.stream_session import LiveStream

Json = dict[str, Any]
Row = tuple[str | None, ...]

T0 = 1790000000000
PRIVATE = {"account_order_updates", "account_trades"}
#: What needs several frames to say something: `test_streams` has them.
TOGETHER = {"account_info", "account_leverage", "account_positions"}
HOUSEKEEPING = {"subscribe", "unsubscribe", "pong", None}
RECORDED = (
    "captured_bbo.json",
    "captured_market_open.json",
    "captured_public_trades.json",
    "captured_ws_limit_place_cancel.json",
)
#: More digits than a float holds, and trailing zeros.
LONG = "4161029539.6949653625000012345678"
OWN: list[tuple[str, Any]] = [
    ("book", {"s": "BTC", "t": T0, "li": 7, "l": [
        [{"a": "37.860", "n": 4, "p": "63000.10"}], [{"a": LONG, "n": 2, "p": "63001"}],
    ]}),
    ("bbo", {"s": "BTC", "t": T0, "li": 7, "i": 3, "b": "63509.0", "B": "0.07873", "a": "63529",
             "A": LONG}),
    ("trades", [
        {"s": "BTC", "h": 9 - n, "a": f"0.0000{n}", "p": "63508.50", "d": side, "t": T0 - n,
         "tc": "normal", "it": 0}
        for n, side in enumerate(("open_long", "close_long"), 1)
    ]),
    ("candle", {"t": T0, "T": T0 + 60_000, "s": "BTC", "i": "1m", "o": "157.30", "c": "157.32",
                "h": "157.320", "l": "0.00000001", "v": LONG, "n": 8}),
    ("prices", [{**PRICE, "mark": "63500.10", "volume_24h": LONG}]),
    ("account_order_updates", [{**UPDATE, "I": ORDER_ID, "a": "0.00040", "f": "0.00010"}]),
    ("account_trades", [{**TRADE, "n": "-0.0000000001", "f": "0.00501618", "I": ORDER_ID}]),
    ("account_positions", [POSITION]),
]  # fmt: skip


def named_ours(text: str) -> str:
    """Put our account in the place of those that recordings leave out or cut short."""
    for placeholder in ("<ACCOUNT>", "42trU9A5...", "BrZp5..."):
        text = text.replace(placeholder, OWNER)
    return text


def recorded() -> Iterator[tuple[str, Json]]:
    """Yield file name and message of every recorded frame that came in."""
    for name in RECORDED:
        whole = json.loads(named_ours(json.dumps(sample(f"ws/{name}"))))
        for message in (
            [] if whole is None else [*whole.get("confirmations", []), *whole["messages"]]
        ):
            yield name, message
    examples = json.loads(named_ours(json.dumps(sample("ws/docs_examples.json"))))
    for page in examples["pages"] if examples is not None else []:
        for one in page["examples"]:
            if "data" in one["json"]:
                yield page["page"], one["json"]


FRAMES = [
    *((f"own {channel}", {"channel": channel, "data": data}) for channel, data in OWN),
    *recorded(),
]
SINGLE = [
    pytest.param(m, id=f"{n}-{name}")
    for n, (name, m) in enumerate(FRAMES)
    if m.get("channel") not in HOUSEKEEPING | TOGETHER
]


# What a frame says, read by hand.


def rows_said(channel: str, data: Any) -> list[Row]:
    match channel:
        case "book":
            return [(level["p"], level["a"]) for side in data["l"] for level in side]
        case "bbo":
            return [(data["b"], data["B"]), (data["a"], data["A"])]
        case "trades":
            ordered = sorted(data, key=lambda row: row["t"])
            return [(str(r["h"]), r["p"], r["a"], taker(r["d"]), str(r["t"])) for r in ordered]
        case "candle":
            return [tuple(str(data[name]) for name in ("t", "o", "h", "l", "c", "v"))]
        case "prices":
            names = ("mark", "oracle", "mid", "funding", "open_interest", "volume_24h")
            return [tuple(row[name] for name in names) for row in data]
        case "account_order_updates":
            return [
                (
                    str(r["i"]),
                    {"bid": "BUY", "ask": "SELL"}[r["d"]],
                    r["ip"],
                    r["a"],
                    r["f"],
                    r["I"],
                )
                for r in data
            ]
        case "account_trades":
            return [
                (str(r["h"]), str(r["i"]), r["p"], r["a"], taker(r["ts"]), r["f"], r["I"],
                 {"fulfill_taker": "TAKER", "fulfill_maker": "MAKER"}[r["te"]])
                for r in data
            ]  # fmt: skip
    raise AssertionError(f"a channel that is neither ours nor known: {channel}")


def taker(side: str) -> str:
    return "BUY" if side in ("open_long", "close_short") else "SELL"


# What came out.


def text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def rows_heard(event: Any) -> list[Row]:
    match event:
        case BookSeen():
            levels = (*event.book.bids, *event.book.asks)
            return [(text(each.price), text(each.quantity)) for each in levels]
        case TradesSeen():
            return [
                (t.trade_id, text(t.price), text(t.quantity),
                 t.aggressor_side and t.aggressor_side.value, str(to_ms(t.event_time)))
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
                (o.venue_order_id, o.side.value, text(o.price), text(o.quantity),
                 text(o.filled_quantity), o.client_order_id)
                for o in event.orders
            ]  # fmt: skip
        case FillsSeen():
            return [
                (f.trade_id, f.venue_order_id, text(f.price), text(f.quantity), f.side.value,
                 text(f.fee), f.client_order_id, f.liquidity_side.value)
                for f in event.fills
            ]  # fmt: skip
    raise AssertionError(f"no such event: {event}")


def core_of(channel: str) -> LiveStream[Any]:
    if channel in PRIVATE | TOGETHER:
        core: LiveStream[Any] = LiveStream(AccountStream(account()))
    else:
        coins = ("BTC", "SOL", "TRUMP")
        markets = [replace(BTC, symbol=f"{one}-PERP", venue_symbol=one) for one in coins]
        stream = MarketStream(markets)
        tickers = MarketChannelKind.TICKER
        stream.want([MarketChannel(kind=tickers, symbol=one.symbol) for one in markets], 0.0)
        core = LiveStream(stream)
    core.connected(0.0, NOW)
    return core


def heard(core: LiveStream[Any], message: Json) -> Step[Any]:
    return core.received(json.dumps(message).encode(), 1.0, NOW)


def rows_of(step: Step[Any]) -> list[Row]:
    return [row for e in step.events if not isinstance(e, FeedState) for row in rows_heard(e)]


@pytest.mark.parametrize("message", SINGLE)
def test_every_row_of_a_frame_comes_out_with_its_very_digits(message: Json) -> None:
    if "channel" not in message:
        return
    step = heard(core_of(message["channel"]), message)
    assert step.close is None
    assert rows_of(step) == rows_said(message["channel"], message["data"])


@pytest.mark.parametrize("name_and_message", FRAMES, ids=str)
def test_nobody_breaks_on_what_is_not_for_him(name_and_message: tuple[str, Json]) -> None:
    _, message = name_and_message
    for whose in ("account_trades", "book"):
        step = heard(core_of(whose), message)
        assert step.close is None, message
        if message.get("channel") in HOUSEKEEPING:
            assert rows_of(step) == []


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("message", SINGLE)
def test_a_frame_cut_short_ends_the_connection_and_says_nothing(message: Json, cut: float) -> None:
    payload = json.dumps(message).encode()
    core = core_of(str(message.get("channel")))
    step = core.received(payload[: int(len(payload) * cut)], 1.0, NOW)
    assert step.events == ()
    assert step.close is not None
    assert "unreadable" in step.close


def test_recorded_best_prices_are_shown_as_the_venue_numbers_them() -> None:
    """Those of a lower number that come later are old, and left out; nothing else is."""
    core, shown, newest = core_of("bbo"), [], -1
    for name, message in FRAMES:
        if name != "captured_bbo.json":
            continue
        number = message["data"]["li"]
        found = rows_of(heard(core, message))
        assert found == (rows_said("bbo", message["data"]) if number >= newest else [])
        newest = max(newest, number)
        shown += found
    assert bool(shown) is (sample("ws/captured_bbo.json") is not None)
