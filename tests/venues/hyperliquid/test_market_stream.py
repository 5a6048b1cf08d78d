"""The public feed's core: only known markets are asked for, snapshots become ours."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import InvalidInput
from domain.instruments import OrderSide
from tests.venues.hyperliquid.building import META, NOW
from tests.venues.hyperliquid.test_account_stream import frame
from tests.venues.talking import MarketTalk
from venues.connector import (
    BookSeen,
    CandleSeen,
    FeedState,
    MarketChannel,
    MarketChannelKind,
    TickerSeen,
    TradesSeen,
)
from venues.hyperliquid import wire
from venues.hyperliquid.market_stream import MarketStream
from venues.hyperliquid.translate import instruments

MARKETS = instruments(wire.decode(json.dumps(META).encode(), wire.Meta))
T0 = 1790000000000
BOOK = MarketChannel(kind=MarketChannelKind.BOOK, symbol="BTC-PERP")
TRADES = MarketChannel(kind=MarketChannelKind.TRADES, symbol="1000PEPE-PERP")
CANDLES = MarketChannel(kind=MarketChannelKind.CANDLES, symbol="BTC-PERP", interval="1m")


def stream(*channels: MarketChannel, fast_books: bool = True) -> MarketTalk:
    core = MarketTalk(MarketStream(MARKETS, fast_books=fast_books))
    core.want(channels, 0.0)
    core.connected(0.0, NOW)
    return core


def acknowledge(core: MarketTalk, **subscription: Any) -> tuple[Any, ...]:
    data = {"method": "subscribe", "subscription": subscription}
    return core.received(frame("subscriptionResponse", data), 1.0, NOW).events


def test_channels_are_checked_before_anything_is_asked() -> None:
    core = stream(BOOK)
    for channel, field in [
        (MarketChannel(kind=MarketChannelKind.BOOK, symbol="btc-PERP"), "symbol"),
        (MarketChannel(kind=MarketChannelKind.BOOK, symbol="NOPE-PERP"), "symbol"),
        (MarketChannel(kind=MarketChannelKind.CANDLES, symbol="BTC-PERP"), "interval"),
        (
            MarketChannel(kind=MarketChannelKind.CANDLES, symbol="BTC-PERP", interval="7m"),
            "interval",
        ),
        (MarketChannel(kind=MarketChannelKind.BOOK, symbol="BTC-PERP", interval="1m"), "interval"),
    ]:
        with pytest.raises(InvalidInput) as caught:
            core.want([BOOK, channel], 1.0)
        assert caught.value.field == field
    # Nothing was changed by what was refused.
    assert core.want([BOOK], 1.0).send == ()


def test_subscriptions_are_spelled_in_the_venues_names() -> None:
    core = MarketTalk(MarketStream(MARKETS))
    assert core.want([BOOK, TRADES, CANDLES], 0.0).send == ()
    sent = [json.loads(payload) for payload in core.connected(0.0, NOW).send]
    assert {message["method"] for message in sent} == {"subscribe"}
    assert [message["subscription"] for message in sent] == [
        {"type": "candle", "coin": "BTC", "interval": "1m"},
        {"type": "l2Book", "coin": "BTC", "fast": True},
        {"type": "trades", "coin": "kPEPE"},
    ]
    slow = MarketTalk(MarketStream(MARKETS, fast_books=False))
    slow.want([BOOK], 0.0)
    (sent_slow,) = slow.connected(0.0, NOW).send
    assert json.loads(sent_slow)["subscription"] == {"type": "l2Book", "coin": "BTC"}


def test_changes_while_connected_are_sent_as_differences() -> None:
    core = stream(BOOK)
    step = core.want([TRADES], 1.0)
    assert [json.loads(payload) for payload in step.send] == [
        {
            "method": "unsubscribe",
            "subscription": {"type": "l2Book", "coin": "BTC", "fast": True},
        },
        {"method": "subscribe", "subscription": {"type": "trades", "coin": "kPEPE"}},
    ]


def test_live_after_all_acknowledgements() -> None:
    core = stream(BOOK, CANDLES)
    assert acknowledge(core, type="l2Book", coin="BTC", nSigFigs=None, fast=True) == ()
    live = FeedState(account_id=None, live=True, reason="subscribed", at=NOW)
    assert acknowledge(core, type="candle", coin="BTC", interval="1m") == (live,)
    assert core.disconnected("gone", NOW) == (
        FeedState(account_id=None, live=False, reason="gone", at=NOW),
    )
    assert core.disconnected("gone", NOW) == ()


def test_nothing_wanted_is_live_at_once() -> None:
    (state,) = MarketTalk(MarketStream(MARKETS)).connected(0.0, NOW).events
    assert isinstance(state, FeedState)
    assert state.live


def test_books_and_best_prices() -> None:
    core = stream()
    level = {"px": "84143.0", "sz": "10.2", "n": 36}
    data = {"coin": "BTC", "time": T0, "levels": [[level], [{**level, "px": "84144.0"}]]}
    (seen,) = core.received(frame("l2Book", data), 1.0, NOW).events
    assert isinstance(seen, BookSeen)
    assert not seen.is_top
    assert seen.book.mid_price == Decimal("84143.5")
    top = {"coin": "BTC", "time": T0, "bbo": [level, None]}
    (seen,) = core.received(frame("bbo", top), 1.0, NOW).events
    assert isinstance(seen, BookSeen)
    assert seen.is_top
    assert (len(seen.book.bids), seen.book.asks) == (1, ())


def trade(tid: int, coin: str = "BTC") -> dict[str, Any]:
    row = {"coin": coin, "side": "A", "px": "1.5", "sz": "2", "time": T0 + tid, "tid": tid}
    return row | {"hash": "0x", "users": ["0x", "0x"]}


def test_first_trades_are_a_backlog_again_after_each_subscription() -> None:
    channel = MarketChannel(kind=MarketChannelKind.TRADES, symbol="BTC-PERP")
    core = stream(channel)

    def backlog(*rows: dict[str, Any]) -> bool:
        (seen,) = core.received(frame("trades", list(rows)), 1.0, NOW).events
        assert isinstance(seen, TradesSeen)
        assert seen.trades[0].aggressor_side is OrderSide.SELL
        assert [t.trade_id for t in seen.trades] == sorted(t.trade_id for t in seen.trades)
        return seen.is_backlog

    assert [backlog(trade(2), trade(1)), backlog(trade(3))] == [True, False]
    assert backlog(trade(3, "ETH"))
    core.want([], 2.0)
    core.want([channel], 3.0)
    assert backlog(trade(4))
    core.connected(4.0, NOW)
    assert backlog(trade(5))
    assert core.received(frame("trades", []), 5.0, NOW).events == ()


def test_tickers_and_candles() -> None:
    core = stream()
    context = {"funding": "0.1", "openInterest": "2", "dayNtlVlm": "3", "premium": None}
    context |= {"oraclePx": "4", "markPx": "5", "midPx": "6", "prevDayPx": "7"}
    payload = frame("activeAssetCtx", {"coin": "BTC", "ctx": context})
    (seen,) = core.received(payload, 1.0, NOW).events
    assert isinstance(seen, TickerSeen)
    assert (seen.ticker.mark_price, seen.ticker.index_price) == (Decimal(5), Decimal(4))
    row = {"t": T0, "T": T0 + 59_999, "s": "BTC", "i": "1m", "o": "1", "c": "2", "h": "3"}
    (event,) = core.received(frame("candle", row | {"l": "1", "v": "9", "n": 1}), 1.0, NOW).events
    assert isinstance(event, CandleSeen)
    assert event.candle.close == Decimal(2)


def test_unreadable_and_refused_end_the_connection_and_pings_go_out() -> None:
    core = stream(BOOK)
    assert core.received(frame("l2Book", {"coin": "BTC"}), 1.0, NOW).close is not None
    assert core.received(frame("error", "Invalid subscription"), 1.0, NOW).close is not None
    assert core.received(frame("allMids", {"mids": {}}), 1.0, NOW).events == ()
    acknowledge(core, type="l2Book", coin="BTC")
    assert core.tick(26.0, NOW).send == (b'{"method":"ping"}',)
    assert core.tick(61.0, NOW).close == "nothing heard for 60 s"


def test_more_channels_than_the_venue_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("venues.hyperliquid.market_stream._SUBSCRIPTIONS_MAX", 2)
    core = stream(BOOK)
    with pytest.raises(InvalidInput, match="at most 2, found 3"):
        core.want([BOOK, TRADES, CANDLES], 1.0)
    assert len(core.want([BOOK, TRADES], 1.0).send) == 1
