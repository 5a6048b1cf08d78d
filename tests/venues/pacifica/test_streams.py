"""The feeds' cores: bytes and time in, events out."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import LeverageSetting, MarginMode
from domain.errors import InvalidInput
from domain.orders import Verdict
from tests.venues.pacifica.building import AGENT, NOW, OWNER, account, sample
from tests.venues.pacifica.test_translate import MARKET, PRICE, UPDATE, read
from tests.venues.talking import MarketTalk
from venues.connector import (
    AccountEvent,
    AccountSeen,
    BookSeen,
    CandleSeen,
    FeedState,
    FillsSeen,
    MarketChannel,
    MarketChannelKind,
    MarketEvent,
    OrdersSeen,
    TickerSeen,
    TradesSeen,
)
from venues.pacifica import wire
from venues.pacifica.account_stream import AccountStream
from venues.pacifica.market_stream import PER_CHANNEL_MAX, MarketStream
from venues.pacifica.stream_session import _PING, Session
from venues.pacifica.translate import instruments
from venues.stream_core import Step
from venues.stream_session import LiveStream

SOURCES = (
    "account_order_updates",
    "account_trades",
    "account_positions",
    "account_info",
    "account_leverage",
)
INFO = {"ae": "100", "as": "90", "aw": "80", "b": "99", "mu": "10", "cm": "1", "t": 1780920000000}
POSITION = {
    "s": "BTC",
    "d": "bid",
    "a": "0.2",
    "p": "63000",
    "m": "0",
    "f": "0",
    "i": False,
    "l": None,
    "t": 1780920000000,
}
TRADE = {
    "h": 68790424,
    "i": 336542009,
    "u": OWNER,
    "s": "BTC",
    "p": "63441",
    "a": "0.0002",
    "te": "fulfill_taker",
    "ts": "open_long",
    "f": "0.005",
    "n": "-0.005",
    "t": 1780920000000,
    "tc": "normal",
    "li": 336542009,
}


def frame(channel: str, data: Any, **more: Any) -> bytes:
    return json.dumps({"channel": channel, "data": data, **more}).encode()


def given(core: LiveStream[AccountEvent], *payloads: bytes) -> list[AccountEvent]:
    events: list[AccountEvent] = []
    for payload in payloads:
        step = core.received(payload, 1.0, NOW)
        assert step.close is None, step.close
        events += step.events
    return events


def stream() -> LiveStream[AccountEvent]:
    return LiveStream(AccountStream(account()), "acc")


def live(core: LiveStream[AccountEvent] | None = None) -> LiveStream[AccountEvent]:
    core = core or stream()
    sent = core.connected(0.0, NOW).send
    assert [json.loads(one)["params"]["source"] for one in sent] == [*SOURCES, "prices"]
    acks = [frame("subscribe", {"source": one, "account": OWNER}) for one in SOURCES]
    events = given(core, *acks, frame("subscribe", {"source": "prices"}))
    assert events == []
    (state,) = given(core, frame("account_positions", [], li=1))
    assert isinstance(state, FeedState) and state.live
    return core


def test_live_after_all_acknowledgements_and_the_positions() -> None:
    live()


def test_orders_are_told_in_their_order_and_stale_ones_not_at_all() -> None:
    core = live()
    end = {**UPDATE, "oe": "cancel", "os": "cancelled", "li": UPDATE["li"] + 5}
    (seen,) = given(core, frame("account_order_updates", [end, UPDATE]))
    assert isinstance(seen, OrdersSeen)
    assert [order.verdict for order in seen.orders] == [
        Verdict.PARTIALLY_FILLED,
        Verdict.CANCELED,
    ]
    assert given(core, frame("account_order_updates", [UPDATE])) == []
    # The same number again is the same event, and an order of another id has its own.
    assert len(given(core, frame("account_order_updates", [end]))) == 1
    assert len(given(core, frame("account_order_updates", [{**UPDATE, "i": 7}]))) == 1
    unnumbered = {**UPDATE, "li": None}
    assert len(given(core, frame("account_order_updates", [unnumbered]))) == 1


def test_only_so_many_orders_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("venues.pacifica.account_stream._ORDERS_REMEMBERED", 2)
    core = live()
    given(core, frame("account_order_updates", [{**UPDATE, "i": n, "li": 9} for n in (1, 2, 3)]))
    older = [{**UPDATE, "i": n, "li": 8} for n in (1, 3)]
    (seen,) = given(core, frame("account_order_updates", older))
    assert isinstance(seen, OrdersSeen)
    assert [order.venue_order_id for order in seen.orders] == ["1"]


def test_fills() -> None:
    (seen,) = given(live(), frame("account_trades", [TRADE]))
    assert isinstance(seen, FillsSeen)
    assert (seen.fills[0].trade_id, seen.is_snapshot) == ("68790424", False)


def test_money_needs_prices_and_leverage() -> None:
    known = AccountStream(account())
    core = live(LiveStream(known, "acc"))
    assert given(core, frame("account_info", INFO)) == []
    (flat,) = given(core, frame("prices", [PRICE]), frame("account_info", INFO))
    assert isinstance(flat, AccountSeen)
    assert (flat.summary.equity, flat.summary.positions) == (Decimal(100), ())
    # The leverage of the position is not known: nothing is said rather than something wrong.
    assert given(core, frame("account_positions", [POSITION], li=5)) == []
    known.know({"BTC-PERP": LeverageSetting(symbol="BTC-PERP", leverage=10, mode=MarginMode.CROSS)})
    (held,) = given(core, frame("account_positions", [POSITION], li=6))
    assert isinstance(held, AccountSeen)
    assert held.summary.positions[0].leverage == 10
    assert given(core, frame("account_positions", [], li=5)) == []
    changed = {"u": OWNER, "s": "BTC", "l": "20", "t": 1}
    (again,) = given(core, frame("account_leverage", changed), frame("account_info", INFO))
    assert isinstance(again, AccountSeen)
    assert again.summary.positions[0].leverage == 20


@pytest.mark.parametrize(
    "payload",
    [
        frame("account_order_updates", [{**UPDATE, "u": AGENT}]),
        frame("account_trades", [{**TRADE, "u": AGENT}]),
        frame("account_leverage", {"u": AGENT, "s": "BTC", "l": "3"}),
        frame("account_leverage", {"u": OWNER, "s": "BTC", "l": "three"}),
        frame("account_trades", {}),
        b"hello",
        json.dumps({"code": 400, "err": "Invalid message"}).encode(),
    ],
)
def test_what_cannot_be_right_ends_the_connection(payload: bytes) -> None:
    assert live().received(payload, 1.0, NOW).close is not None


def test_other_channels_and_housekeeping_are_passed_over() -> None:
    assert given(live(), frame("account_twap", {}), b'{"channel":"pong"}', b'{"t":1}') == []


def test_a_connection_that_says_nothing_is_given_up() -> None:
    core = stream()
    core.connected(0.0, NOW)
    assert core.tick(1.0, NOW) == Step()
    assert "not acknowledged" in (core.tick(15.0, NOW).close or "")
    core = stream()
    core.connected(0.0, NOW)
    for one in SOURCES:
        core.received(frame("subscribe", {"source": one, "account": OWNER}), 1.0, NOW)
    core.received(frame("subscribe", {"source": "prices"}), 1.0, NOW)
    assert "no snapshot of positions" in (core.tick(15.0, NOW).close or "")
    core = live()
    assert core.tick(26.0, NOW).send == (b'{"method":"ping"}',)
    assert "nothing heard" in (core.tick(61.0, NOW).close or "")


def test_a_loss_is_told_once_for_each_reason() -> None:
    core = live()
    assert len(core.disconnected("gone", NOW)) == 1
    assert core.disconnected("gone", NOW) == ()
    assert len(core.disconnected("refused", NOW)) == 1
    live(core)


def test_a_recorded_account() -> None:
    recorded = sample("ws/captured_market_open.json")
    if recorded is None:
        return
    core = stream()
    core.connected(0.0, NOW)
    text = json.dumps([*recorded["confirmations"], *recorded["messages"]])
    events = given(
        core, *(json.dumps(one).encode() for one in json.loads(text.replace("<ACCOUNT>", OWNER)))
    )
    assert [type(event) for event in events] == [FillsSeen, OrdersSeen]


# --- Markets ------------------------------------------------------------------------------------

(BTC,) = instruments(read(list[wire.MarketRow], [MARKET]))
CHANNELS = [
    MarketChannel(kind=MarketChannelKind.BOOK, symbol="BTC-PERP"),
    MarketChannel(kind=MarketChannelKind.TOP, symbol="BTC-PERP"),
    MarketChannel(kind=MarketChannelKind.TRADES, symbol="BTC-PERP"),
    MarketChannel(kind=MarketChannelKind.TICKER, symbol="BTC-PERP"),
    MarketChannel(kind=MarketChannelKind.CANDLES, symbol="BTC-PERP", interval="1m"),
]


def market() -> MarketTalk:
    core = MarketTalk(MarketStream([BTC]))
    core.want(CHANNELS, 0.0)
    for one in core.connected(0.0, NOW).send:
        parameters = json.loads(one)["params"]
        parameters.pop("agg_level", None)
        core.received(frame("subscribe", parameters), 1.0, NOW)
    return core


def market_events(core: MarketTalk, payload: bytes) -> tuple[MarketEvent, ...]:
    step = core.received(payload, 1.0, NOW)
    assert step.close is None, step.close
    return step.events


def test_market_channels_are_asked_for_and_live() -> None:
    core = MarketTalk(MarketStream([BTC]))
    assert core.want(CHANNELS, 0.0) == Step()
    sent = [json.loads(one)["params"] for one in core.connected(0.0, NOW).send]
    assert {"source": "book", "symbol": "BTC", "agg_level": 1} in sent
    assert {"source": "candle", "symbol": "BTC", "interval": "1m"} in sent
    assert {"source": "prices"} in sent
    for parameters in sent:
        step = core.received(frame("subscribe", parameters), 1.0, NOW)
    *_, state = step.events
    assert isinstance(state, FeedState) and state.live
    fewer = core.want(CHANNELS[1:], 2.0)
    assert json.loads(fewer.send[0])["method"] == "unsubscribe"
    assert json.loads(core.want(CHANNELS, 2.0).send[0])["method"] == "subscribe"


def test_trades_are_told_to_be_followed_before_anybody_trades() -> None:
    trades = MarketChannel(kind=MarketChannelKind.TRADES, symbol="BTC-PERP")
    core = MarketTalk(MarketStream([BTC]))
    core.want([trades], 0.0)
    acknowledged = frame("subscribe", {"source": "trades", "symbol": "BTC"})
    for now in (0.0, 100.0):
        core.connected(now, NOW)
        quiet, state = core.received(acknowledged, now, NOW).events
        assert quiet == TradesSeen(trades=(), is_backlog=True, symbol="BTC-PERP")
        assert isinstance(state, FeedState) and state.live
        core.disconnected("gone", NOW)
    core.connected(200.0, NOW)
    core.want([], 200.0)
    late = core.received(acknowledged, 200.0, NOW).events
    assert not [event for event in late if isinstance(event, TradesSeen)], "nobody wants it now"


def test_market_frames() -> None:
    core = market()
    book = {"s": "BTC", "t": 1, "l": [[{"p": "1", "a": "2", "n": 3}], []], "li": 9}
    (seen,) = market_events(core, frame("book", book))
    assert isinstance(seen, BookSeen) and not seen.is_top
    assert market_events(core, frame("book", {**book, "li": 8})) == ()
    top = {"s": "BTC", "b": "1", "B": "2", "a": "3", "A": "4", "t": 1, "li": 9}
    (best,) = market_events(core, frame("bbo", top))
    assert isinstance(best, BookSeen) and best.is_top
    assert market_events(core, frame("bbo", {**top, "li": 8})) == ()
    trade = {"h": 5, "s": "BTC", "a": "1", "p": "2", "d": "close_short", "t": 7}
    (traded,) = market_events(core, frame("trades", [{**trade, "h": 6, "t": 8}, trade]))
    assert isinstance(traded, TradesSeen)
    assert [one.trade_id for one in traded.trades] == ["5", "6"]
    assert market_events(core, frame("trades", [])) == ()
    other = {**PRICE, "symbol": "ETH"}
    (ticker,) = market_events(core, frame("prices", [PRICE, other]))
    assert isinstance(ticker, TickerSeen)
    kline = {"t": 0, "T": 60000, "s": "BTC", "i": "1m", "v": "1"}
    kline |= {"o": "1", "c": "1", "h": "1", "l": "1"}
    (candle,) = market_events(core, frame("candle", kline))
    assert isinstance(candle, CandleSeen)
    assert market_events(core, frame("news", {})) == ()
    assert core.received(b"[]", 1.0, NOW).close is not None


def test_a_market_feed_that_is_lost_is_stale() -> None:
    core = market()
    assert core.tick(26.0, NOW).send
    assert len(core.disconnected("gone", NOW)) == 1
    assert core.disconnected("gone", NOW) == ()


@pytest.mark.parametrize(
    ("channel", "field"),
    [
        (MarketChannel(kind=MarketChannelKind.BOOK, symbol="ETH-PERP"), "symbol"),
        (MarketChannel(kind=MarketChannelKind.CANDLES, symbol="BTC-PERP"), "interval"),
        (
            MarketChannel(kind=MarketChannelKind.CANDLES, symbol="BTC-PERP", interval="3d"),
            "interval",
        ),
        (MarketChannel(kind=MarketChannelKind.BOOK, symbol="BTC-PERP", interval="1m"), "interval"),
    ],
)
def test_what_the_venue_would_be_silent_about_is_refused(
    channel: MarketChannel, field: str
) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: "):
        market().want([channel], 0.0)


def test_no_more_of_a_kind_than_the_venue_carries() -> None:
    names = [f"M{number}" for number in range(PER_CHANNEL_MAX + 1)]
    rows = [{**MARKET, "symbol": name} for name in names]
    core = MarketStream(instruments(read(list[wire.MarketRow], rows)))
    books = [MarketChannel(kind=MarketChannelKind.BOOK, symbol=f"{n}-PERP") for n in names]
    tickers = [MarketChannel(kind=MarketChannelKind.TICKER, symbol=f"{n}-PERP") for n in names]
    core.want([*books[1:], *tickers], 0.0)
    with pytest.raises(InvalidInput, match="at most 20 of book"):
        core.want(books, 0.0)


def test_documented_frames_of_control_are_spoken_and_understood() -> None:
    recorded = sample("ws/control_frames.json")
    for one in recorded["frames"] if recorded else ():
        said, session = one["json"], Session()
        if one["dir"] == "in":
            assert session.read(json.dumps(said).encode()) is None, said
            continue
        match said["method"]:
            case "subscribe":
                spoken = session.subscribe(said["params"], 0.0)
            case "unsubscribe":
                spoken = session.unsubscribe(said["params"])
            case _:
                spoken = _PING
        assert json.loads(spoken) == said
