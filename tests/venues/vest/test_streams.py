"""Both feeds as folds without I/O: frames in the page's shapes, twice, late and out of order."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import InvalidInput
from domain.orders import Verdict
from tests.venues.talking import MarketTalk
from tests.venues.vest.building import NOW, account, btc
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
from venues.stream_session import LiveStream
from venues.vest.account_stream import AccountStream
from venues.vest.market_stream import MarketStream
from venues.vest.stream_session import address

POSTED = 1683849600000
WHOLE: dict[str, Any] = {
    "id": "0x1",
    "symbol": "BTC-PERP",
    "isBuy": True,
    "orderType": "LIMIT",
    "limitPrice": "30000.00",
    "size": "0.1000",
    "reduceOnly": False,
    "initMarginRatio": "0.1250",
    "postTime": POSTED,
    "nonce": 7,
}


def order(status: str, **more: Any) -> dict[str, Any]:
    return {**WHOLE, "status": status, **more}


def executed(status: str, quantity: str, at: int, price: str = "30000.00") -> dict[str, Any]:
    return order(
        status,
        lastFilledSize=quantity,
        lastFilledPrice=price,
        lastFilledTime=POSTED + at,
        avgFilledPrice=price,
        cumFunding="0.000000",
        fees="0.010000",
    )


def short(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "0x1", "status": status, "postTime": POSTED, "nonce": 7, **more}


def private(args: dict[str, Any], event: str = "ORDER") -> bytes:
    return json.dumps(
        {"channel": "account_private", "data": {"event": event, "args": args}}
    ).encode()


class Talk:
    """The private feed, driven by hand."""

    def __init__(self) -> None:
        self.money = 0
        self.unknown: list[str] = []
        self.core = AccountStream(account(), self._spent, self.unknown.append)
        self.stream: LiveStream[Any] = LiveStream(self.core, "a1")
        (asked,) = self.stream.connected(0.0, NOW).send
        self.number = json.loads(asked)["id"]
        assert json.loads(asked)["params"] == ["account_private"]

    def _spent(self) -> None:
        self.money += 1

    def hear(self, payload: bytes) -> tuple[Any, ...]:
        step = self.stream.received(payload, 1.0, NOW)
        assert step.close is None, step.close
        return step.events

    def acknowledged(self) -> tuple[Any, ...]:
        return self.hear(json.dumps({"result": None, "id": self.number}).encode())

    def told(self, *frames: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        """Return all orders and fills that these frames tell."""
        orders: list[Any] = []
        fills: list[Any] = []
        for frame in frames:
            for event in self.hear(private(frame)):
                orders += event.orders if isinstance(event, OrdersSeen) else ()
                fills += event.fills if isinstance(event, FillsSeen) else ()
        return orders, fills


def test_the_feed_is_live_once_its_subscription_is_acknowledged() -> None:
    talk = Talk()
    assert talk.money == 1, "money is read at the beginning"
    (state,) = talk.acknowledged()
    assert isinstance(state, FeedState) and state.live
    assert talk.hear(b'{"data":"PONG"}') == ()
    assert talk.stream.tick(25.0, NOW).send == (b'{"method":"PING","params":[],"id":0}',)
    assert talk.stream.tick(70.0, NOW).close == "nothing heard for 60 s"


def test_what_is_not_acknowledged_ends_the_connection() -> None:
    assert "account_private not acknowledged" in (Talk().stream.tick(16.0, NOW).close or "")


def test_an_orders_life_with_the_sum_of_its_executions() -> None:
    talk = Talk()
    orders, fills = talk.told(
        order("NEW"),
        executed("PARTIALLY_FILLED", "0.0300", 10),
        executed("PARTIALLY_FILLED", "0.0300", 20, "29999.00"),
        executed("FILLED", "0.0400", 30, "29998.00"),
    )
    assert [(one.verdict, one.filled_quantity) for one in orders] == [
        (Verdict.ACCEPTED, Decimal(0)),
        (Verdict.PARTIALLY_FILLED, Decimal("0.03")),
        (Verdict.PARTIALLY_FILLED, Decimal("0.06")),
        (Verdict.FILLED, Decimal("0.1")),
    ]
    assert {one.client_order_id for one in orders} == {"7"}
    assert [(fill.quantity, fill.is_total) for fill in fills] == [
        (Decimal("0.03"), True),
        (Decimal("0.06"), True),
        (Decimal("0.1"), True),
    ]
    assert talk.money == 4, "after each fill money is read"


def test_frames_twice_and_in_any_order_never_tell_too_much() -> None:
    frames = (
        order("NEW"),
        executed("PARTIALLY_FILLED", "0.0300", 10),
        executed("PARTIALLY_FILLED", "0.0300", 20),
        executed("FILLED", "0.0400", 30),
    )
    for turn in itertools.permutations(frames):
        orders, fills = Talk().told(*turn, *turn)
        assert max(one.filled_quantity for one in orders) == Decimal("0.1")
        assert max(fill.quantity for fill in fills) == Decimal("0.1")
        assert len({fill.key for fill in fills}) == len(fills)


def test_the_end_of_an_order_that_is_known_keeps_what_it_filled() -> None:
    talk = Talk()
    orders, _ = talk.told(
        order("NEW"), executed("PARTIALLY_FILLED", "0.0300", 10), short("CANCELLED")
    )
    assert (orders[-1].verdict, orders[-1].filled_quantity) == (Verdict.CANCELED, Decimal("0.03"))
    orders, _ = talk.told(short("REJECTED", code=3002))
    assert orders[-1].reason == "3002 MARGIN_CHECK_FAILED"
    orders, _ = talk.told(short("REJECTED", code=1132))
    assert orders[-1].verdict is Verdict.EXPIRED
    assert talk.unknown == []


def test_the_end_of_an_order_that_is_not_known_is_looked_up() -> None:
    talk = Talk()
    assert talk.told(short("CANCELLED")) == ([], [])
    assert talk.unknown == ["0x1"]


def test_what_was_heard_stays_true_over_a_loss() -> None:
    talk = Talk()
    talk.acknowledged()
    talk.told(executed("PARTIALLY_FILLED", "0.0300", 10))
    assert [state.live for state in talk.stream.disconnected("cut", NOW)] == [False]
    talk.stream.connected(5.0, NOW)
    orders, fills = talk.told(executed("PARTIALLY_FILLED", "0.0200", 90))
    assert orders[-1].filled_quantity == fills[-1].quantity == Decimal("0.05")


def test_deposits_change_money_and_nothing_else() -> None:
    talk = Talk()
    assert talk.hear(private({"id": "0x0", "size": "100", "status": "FILLED"}, "TRANSFER")) == ()
    assert talk.money == 2


@pytest.mark.parametrize(
    "payload",
    [
        b"what?",
        b"[]",
        private({"id": "0x1"}),
        private({**WHOLE, "status": "NEW", "size": "NaN"}),
        b'{"channel":"account_private","data":{}}',
        b'{"code":1002,"msg":"UNAUTHORIZED","id":1}',
        b'{"detail":{"code":1125,"msg":"INVALID_LISTEN_KEY"}}',
    ],
)
def test_what_cannot_be_read_ends_the_connection(payload: bytes) -> None:
    talk = Talk()
    assert talk.stream.received(payload, 1.0, NOW).close


# Markets


def channel(kind: MarketChannelKind, interval: str | None = None) -> MarketChannel:
    return MarketChannel(kind=kind, symbol="BTC-PERP", interval=interval)


def market(*channels: MarketChannel) -> MarketTalk:
    talk = MarketTalk(MarketStream([btc()]))
    talk.want(channels, 0.0)
    return talk


def frame(name: str, data: Any) -> bytes:
    return json.dumps({"channel": name, "data": data}).encode()


def test_every_channel_is_spelled_and_one_book_serves_two() -> None:
    kinds = [channel(kind) for kind in MarketChannelKind if kind is not MarketChannelKind.CANDLES]
    talk = market(*kinds, channel(MarketChannelKind.CANDLES, "1m"))
    (asked,) = talk.connected(0.0, NOW).send
    assert sorted(json.loads(asked)["params"]) == [
        "BTC-PERP@depth", "BTC-PERP@kline_1m", "BTC-PERP@trades", "tickers",
    ]  # fmt: skip
    step = talk.want([channel(MarketChannelKind.TOP)], 1.0)
    (said,) = [json.loads(one) for one in step.send]
    assert said["method"] == "UNSUBSCRIBE"
    assert "BTC-PERP@depth" not in said["params"]
    (more,) = talk.want([channel(MarketChannelKind.TICKER), *kinds[:1]], 1.0).send
    assert json.loads(more)["params"] == ["tickers"]


def test_what_each_channel_tells() -> None:
    talk = market(
        channel(MarketChannelKind.BOOK),
        channel(MarketChannelKind.TOP),
        channel(MarketChannelKind.TRADES),
        channel(MarketChannelKind.TICKER),
        channel(MarketChannelKind.CANDLES, "1m"),
    )
    talk.connected(0.0, NOW)

    def told(name: str, data: Any) -> tuple[Any, ...]:
        step = talk.received(frame(name, data), 1.0, NOW)
        assert step.close is None, step.close
        return tuple(event for event in step.events if not isinstance(event, FeedState))

    whole, top = told("BTC-PERP@depth", {"bids": [["2", "1"], ["1", "1"]], "asks": [["3", "1"]]})
    assert isinstance(whole, BookSeen) and isinstance(top, BookSeen)
    assert (len(whole.book.bids), len(top.book.bids), top.is_top) == (2, 1, True)
    (trades,) = told(
        "BTC-PERP@trades",
        {"id": "5", "price": "2.5", "qty": "1", "quoteQty": "2.5", "time": POSTED},
    )
    assert isinstance(trades, TradesSeen)
    assert (trades.trades[0].trade_id, trades.trades[0].aggressor_side) == ("5", None)
    row = {
        "symbol": "BTC-PERP", "oneHrFundingRate": "0.001250", "cumFunding": "1.2",
        "imbalance": "1", "indexPrice": "2.4", "markPrice": "2.5", "status": "TRADING",
    }  # fmt: skip
    (ticker,) = told("tickers", [row, {**row, "symbol": "ETH-PERP"}])
    assert isinstance(ticker, TickerSeen)
    assert (ticker.ticker.mark_price, ticker.ticker.funding_rate) == (
        Decimal("2.5"), Decimal("0.00125"),
    )  # fmt: skip
    (candle,) = told(
        "BTC-PERP@kline_1m", [POSTED, "1", "3", "1", "2", POSTED + 59_999, "9", "18.0", "34"]
    )
    assert isinstance(candle, CandleSeen)
    assert (candle.candle.interval, candle.candle.close) == ("1m", Decimal(2))
    assert told("BTC-PERP@something_new", {}) == ()


def test_channels_that_are_none_are_refused() -> None:
    talk = market()
    for wrong in (
        MarketChannel(kind=MarketChannelKind.BOOK, symbol="NOPE-PERP"),
        channel(MarketChannelKind.CANDLES, "7m"),
        channel(MarketChannelKind.BOOK, "1m"),
    ):
        with pytest.raises(InvalidInput):
            talk.want([wrong], 0.0)


def test_an_address_names_the_group_in_both_spellings() -> None:
    assert address("wss://ws.example/ws-api", 3, "k") == (
        "wss://ws.example/ws-api?version=1.0&xwebsocketserver=restserver3"
        "&websocketserver=restserver3&listenKey=k"
    )
