"""Both conversations without a socket: what is said, what is heard, gaps, doubles and nonsense."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import InvalidInput
from domain.orders import Verdict
from tests.venues.extended.building import MARKET, NOW, account
from tests.venues.talking import MarketTalk
from venues.connector import (
    AccountSeen,
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
from venues.extended.account_stream import AccountStream
from venues.extended.market_stream import MarketStream
from venues.stream_session import LiveStream

ORDER = {
    "id": 2100000000000000007,
    "accountId": 3017,
    "externalId": "ext-1",
    "market": "BTC-USD",
    "type": "LIMIT",
    "side": "BUY",
    "status": "NEW",
    "price": "60000",
    "averagePrice": "0",
    "qty": "0.5",
    "filledQty": "0",
    "payedFee": "0",
    "reduceOnly": False,
    "postOnly": True,
    "createdTime": 1790586503000,
    "updatedTime": 1790586503000,
    "expireTime": 1790686503000,
    "timeInForce": "GTT",
}
TRADE = {
    "id": 1784963886257016832,
    "accountId": 3017,
    "market": "BTC-USD",
    "orderId": 2100000000000000007,
    "externalOrderId": "ext-1",
    "side": "BUY",
    "price": "58853.4000000000000000",
    "qty": "0.0900000000000000",
    "value": "5296.8060000000000000",
    "fee": "1.3242015000000000",
    "tradeType": "TRADE",
    "createdTime": 1701563440000,
    "isTaker": True,
}
BALANCE = {
    "collateralName": "USD",
    "balance": "100.000000",
    "equity": "120.000000",
    "availableForTrade": "3.000000",
    "availableForWithdrawal": "4.000000",
    "unrealisedPnl": "20.0",
    "initialMargin": "5.5",
    "marginRatio": "0.25",
    "updatedTime": 1699976104901,
}
POSITION = {
    "id": 1,
    "accountId": 3017,
    "market": "BTC-USD",
    "status": "OPENED",
    "side": "SHORT",
    "leverage": "10",
    "size": "0.1",
    "value": "4000",
    "openPrice": "39000",
    "markPrice": "40000",
    "liquidationPrice": "0",
    "margin": "400",
    "unrealisedPnl": "-100",
    "realisedPnl": "0",
    "updatedAt": 1701563440000,
}


class Heard:
    """An account's stream, driven by hand."""

    def __init__(self) -> None:
        self.money_moved = 0
        self.core = LiveStream(AccountStream(account(), self._moved), "acc")
        self.seq = 1
        assert self.core.connected(0.0, NOW).send == ()

    def _moved(self) -> None:
        self.money_moved += 1

    def frame(self, kind: str, data: Any, *, seq: int | None = None) -> Any:
        number = self.seq if seq is None else seq
        if seq is None:
            self.seq += 1
        body = {"type": kind, "data": data, "ts": 1, "seq": number}
        return self.core.received(json.dumps(body).encode(), 1.0, NOW)


def only(step: Any, kind: type[Any]) -> Any:
    (found,) = [event for event in step.events if isinstance(event, kind)]
    return found


def test_an_accounts_snapshot_makes_it_live() -> None:
    heard = Heard()
    step = heard.frame("BALANCE", {"balance": BALANCE})
    assert [event.live for event in step.events if isinstance(event, FeedState)] == [True]
    step = heard.frame("POSITION", {"positions": [POSITION]})
    summary = only(step, AccountSeen).summary
    (position,) = summary.positions
    assert (position.side.value, position.quantity) == ("SHORT", Decimal("0.1"))
    assert (position.notional, position.unrealized_pnl) == (Decimal("4000.0"), Decimal("-100.0"))
    assert position.liquidation_price is None
    assert (summary.equity, summary.maintenance_margin) == (Decimal(120), Decimal(30))


def test_an_order_and_its_execution_come_in_any_order_and_number() -> None:
    heard = Heard()
    fills = only(heard.frame("TRADE", {"trades": [TRADE]}), FillsSeen).fills
    assert (fills[0].client_order_id, fills[0].venue_order_id) == ("ext-1", str(ORDER["id"]))
    assert (fills[0].quantity, fills[0].price) == (Decimal("0.09"), Decimal("58853.4"))
    filled = {**ORDER, "status": "PARTIALLY_FILLED", "filledQty": "0.09", "averagePrice": "58853.4"}
    order = only(heard.frame("ORDER", {"orders": [filled]}), OrdersSeen).orders[0]
    assert (order.verdict, order.filled_quantity) == (Verdict.PARTIALLY_FILLED, Decimal("0.09"))
    # What was true before it is left out.
    assert heard.frame("ORDER", {"orders": [ORDER]}).events == ()
    both = heard.frame("ORDER", {"orders": [filled], "trades": [TRADE], "balance": BALANCE})
    assert {type(event) for event in both.events} == {OrdersSeen, FillsSeen, AccountSeen}


def test_a_closed_position_is_gone_however_it_is_told() -> None:
    heard = Heard()
    heard.frame("BALANCE", {"balance": BALANCE})
    for gone in ({**POSITION, "status": "CLOSED"}, {**POSITION, "size": "0"}):
        heard.frame("POSITION", {"positions": [POSITION]})
        summary = only(heard.frame("POSITION", {"positions": [gone]}), AccountSeen).summary
        assert summary.positions == ()


def test_money_that_moved_is_the_sign_to_ask_for_funding() -> None:
    heard = Heard()
    heard.frame("BALANCE", {"balance": BALANCE})
    heard.frame("BALANCE", {"balance": {**BALANCE, "equity": "121"}})
    assert heard.money_moved == 0
    heard.frame("BALANCE", {"balance": {**BALANCE, "balance": "99.9"}})
    assert heard.money_moved == 1


def test_a_frame_that_comes_twice_is_read_once_and_a_missing_one_ends_it() -> None:
    heard = Heard()
    assert heard.frame("ORDER", {"orders": [ORDER]}).events
    assert heard.frame("ORDER", {"orders": [ORDER]}, seq=1).events == ()
    lost = heard.frame("ORDER", {"orders": [ORDER]}, seq=3)
    assert "expected frame 2, found 3" in (lost.close or "")
    assert lost.events == ()
    (state,) = heard.core.disconnected(lost.close or "", NOW)
    assert isinstance(state, FeedState) and not state.live
    # A fresh connection counts from its beginning.
    heard.core.connected(5.0, NOW)
    heard.seq = 1
    assert heard.frame("ORDER", {"orders": [ORDER]}).events


def test_other_kinds_of_frames_are_no_news() -> None:
    heard = Heard()
    for kind, data in (("SPOT_BALANCE", {"spotBalances": []}), ("DEPOSIT", {}), ("X", None)):
        step = heard.frame(kind, data)
        assert step.close is None
        assert all(isinstance(event, FeedState) for event in step.events)


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b'{"type":"ORDER"}', b'{"seq":"x"}', b'{"seq":1,"data":{"orders":[{"id":1}]}}'],
)
def test_what_cannot_be_read_ends_the_connection(payload: bytes) -> None:
    assert "unreadable" in (Heard().core.received(payload, 1.0, NOW).close or "")


def test_without_a_snapshot_it_is_not_waited_for_ever() -> None:
    core = LiveStream(AccountStream(account()), "acc")
    core.connected(0.0, NOW)
    assert core.tick(14.0, NOW).close is None
    assert "no snapshot" in (core.tick(16.0, NOW).close or "")


# Markets

EVERYTHING = [
    MarketChannel(
        kind=kind,
        symbol="BTC-PERP",
        interval="1m" if kind is MarketChannelKind.CANDLES else None,
    )
    for kind in MarketChannelKind
]


class Talk:
    """The market socket, driven by hand."""

    def __init__(self, *channels: MarketChannel) -> None:
        self.core = MarketTalk(MarketStream([MARKET]))
        self.core.want(channels, 0.0)
        self.calls = [json.loads(frame) for frame in self.core.connected(0.0, NOW).send]
        self.seq = 0

    def answer(self, call: dict[str, Any]) -> Any:
        result = {"method": call["method"], "status": "OK", "subscription": "x"}
        body = {"id": call["id"], "result": result, "jsonrpc": "2.0"}
        return self.core.received(json.dumps(body).encode(), 0.5, NOW)

    def frame(self, subscription: str, data: Any, *, seq: int | None = None) -> Any:
        number = self.seq if seq is None else seq
        if seq is None:
            self.seq += 1
        body = {"type": "X", "data": data, "ts": 1790425441925, "seq": number}
        encoded = json.dumps({**body, "subscription": subscription}).encode()
        return self.core.received(encoded, 1.0, NOW)


def test_every_channel_is_asked_for_in_the_venues_words() -> None:
    talk = Talk(*EVERYTHING)
    asked = {json.dumps(call["params"], sort_keys=True) for call in talk.calls}
    assert len(asked) == len(talk.calls) == 7
    assert {call["params"]["scope"] for call in talk.calls} == {
        "orderbooks",
        "trades",
        "prices",
        "funding-rates",
        "candles",
    }
    assert len({call["id"] for call in talk.calls}) == 7
    live = [talk.answer(call).events for call in talk.calls]
    assert [bool(events) for events in live] == [False] * 6 + [True]


def test_channels_change_while_it_goes_on() -> None:
    talk = Talk(EVERYTHING[0])
    step = talk.core.want([EVERYTHING[2]], 1.0)
    methods = [(json.loads(one)["method"], json.loads(one)["params"]["scope"]) for one in step.send]
    assert methods == [("unsubscribe", "orderbooks"), ("subscribe", "trades")]
    with pytest.raises(InvalidInput):
        talk.core.want([MarketChannel(kind=MarketChannelKind.BOOK, symbol="NO-PERP")], 1.0)


def level(price: str, size: str, now: str | None = None) -> dict[str, str]:
    return {"p": price, "q": size} if now is None else {"p": price, "q": size, "c": now}


def book(kind: str, bids: list[Any], asks: list[Any]) -> dict[str, Any]:
    return {"t": kind, "m": "BTC-USD", "b": bids, "a": asks, "d": "f"}


def levels(side: Any) -> list[tuple[str, str]]:
    return [(str(one.price), str(one.quantity)) for one in side]


def test_a_book_is_its_snapshot_and_then_what_each_level_has_now() -> None:
    talk = Talk(EVERYTHING[0])
    early = talk.frame("orderbooks.BTC-USD", book("DELTA", [level("1", "1", "1")], []))
    assert not [event for event in early.events if isinstance(event, BookSeen)]
    whole = book("SNAPSHOT", [level("99", "1"), level("98", "2")], [level("101", "3")])
    seen = only(talk.frame("orderbooks.BTC-USD", whole), BookSeen)
    assert levels(seen.book.bids) == [("99", "1"), ("98", "2")]
    change = book(
        "DELTA",
        [level("99", "-1", "0"), level("97", "5", "5.0")],
        [level("101", "-0.5", "2.5"), level("100", "1", "1"), level("555", "-1", "0")],
    )
    seen = only(talk.frame("orderbooks.BTC-USD", change), BookSeen)
    assert levels(seen.book.bids) == [("98", "2"), ("97", "5.0")]
    assert levels(seen.book.asks) == [("100", "1"), ("101", "2.5")]
    assert seen.book.event_time == NOW.replace(
        year=2026, month=9, day=26, hour=12, minute=24, second=1, microsecond=925000
    )
    again = only(talk.frame("orderbooks.BTC-USD", whole), BookSeen)
    assert levels(again.book.asks) == [("101", "3")], "a whole book replaces"


def test_a_change_that_does_not_say_what_is_there_now_ends_it() -> None:
    talk = Talk(EVERYTHING[0])
    talk.frame("orderbooks.BTC-USD", book("SNAPSHOT", [level("99", "1")], []))
    step = talk.frame("orderbooks.BTC-USD", book("DELTA", [level("99", "1")], []))
    assert "new size" in (step.close or "")
    other = Talk(EVERYTHING[0]).frame("orderbooks.BTC-USD", book("OTHER", [], []))
    assert "SNAPSHOT or DELTA" in (other.close or "")


def test_only_so_many_levels_of_a_deep_book_are_told() -> None:
    talk = Talk(EVERYTHING[0])
    bids = [level(str(1000 - n), "1") for n in range(300)]
    asks = [level(str(2000 + n), "1") for n in range(300)]
    seen = only(talk.frame("orderbooks.BTC-USD", book("SNAPSHOT", bids, asks)), BookSeen)
    assert (len(seen.book.bids), len(seen.book.asks)) == (50, 50)
    assert (seen.book.bids[0].price, seen.book.asks[0].price) == (1000, 2000)


def test_best_prices_come_as_snapshots_of_one_level() -> None:
    talk = Talk(EVERYTHING[1])
    top = {**book("SNAPSHOT", [level("99", "1")], []), "d": "1"}
    seen = only(talk.frame("orderbooks.1.BTC-USD", top), BookSeen)
    assert (seen.is_top, levels(seen.book.bids), seen.book.asks) == (True, [("99", "1")], ())
    change = talk.frame("orderbooks.1.BTC-USD", {**top, "t": "DELTA"})
    assert "as a snapshot" in (change.close or "")


def test_trades_repeat_first_and_then_go_on() -> None:
    talk = Talk(EVERYTHING[2])
    rows = [
        {"i": 2, "m": "BTC-USD", "S": "SELL", "tT": "TRADE", "T": 20, "p": "2", "q": "1"},
        {"i": 1, "m": "BTC-USD", "S": "BUY", "tT": "LIQUIDATION", "T": 10, "p": "1", "q": "1"},
    ]
    first = only(talk.frame("trades.BTC-USD", rows), TradesSeen)
    assert [trade.trade_id for trade in first.trades] == ["1", "2"]
    assert first.is_backlog
    assert not only(talk.frame("trades.BTC-USD", rows[:1]), TradesSeen).is_backlog


def test_a_ticker_is_put_together() -> None:
    talk = Talk(EVERYTHING[3])
    assert not [
        event
        for event in talk.frame("prices.index.BTC-USD", {"m": "BTC-USD", "p": "9", "ts": 0}).events
        if isinstance(event, TickerSeen)
    ]
    seen = only(
        talk.frame("prices.mark.BTC-USD", {"m": "BTC-USD", "p": "84058.473541750005", "ts": 0}),
        TickerSeen,
    ).ticker
    assert (seen.mark_price, seen.index_price) == (Decimal("84058.473541750005"), 9)
    assert (seen.funding_rate, seen.open_interest) == (None, None)
    rate = {"m": "BTC-USD", "T": 1701563440000, "f": "0.001"}
    assert only(talk.frame("funding-rates.BTC-USD", rate), TickerSeen).ticker.funding_rate == (
        Decimal("0.001")
    )


def test_candles_say_their_interval() -> None:
    talk = Talk(EVERYTHING[4])
    row = {"T": 1695738600000, "o": "1", "l": "1", "h": "3", "c": "2", "v": "9"}
    (seen,) = [
        event
        for event in talk.frame("candles.last.BTC-USD.PT1M", [row]).events
        if isinstance(event, CandleSeen)
    ]
    candle = seen.candle
    assert (candle.interval, candle.close_time - candle.open_time) == ("1m", timedelta(minutes=1))
    assert not [
        event
        for event in talk.frame("candles.last.BTC-USD.P7D", [row]).events
        if isinstance(event, CandleSeen)
    ]


def test_numbers_run_through_all_channels() -> None:
    talk = Talk(*EVERYTHING)
    price = {"m": "BTC-USD", "p": "9", "ts": 0}
    assert talk.frame("prices.mark.BTC-USD", price).events
    assert talk.frame("prices.mark.BTC-USD", price, seq=0).events == ()
    assert "expected frame 1, found 2" in (
        talk.frame("prices.index.BTC-USD", price, seq=2).close or ""
    )


def test_refusals_silence_and_nonsense_end_it() -> None:
    talk = Talk(EVERYTHING[0])
    error = {"id": "1", "error": {"code": -32602, "message": "no"}, "jsonrpc": "2.0"}
    assert "-32602" in (talk.core.received(json.dumps(error).encode(), 1.0, NOW).close or "")
    assert "unreadable" in (Talk().core.received(b"nonsense", 1.0, NOW).close or "")
    unanswered = Talk(EVERYTHING[0])
    assert "orderbooks not acknowledged" in (unanswered.core.tick(11.0, NOW).close or "")
    quiet = Talk()
    pings = [json.loads(frame)["method"] for frame in quiet.core.tick(16.0, NOW).send]
    assert pings == ["ping"]
    assert "nothing heard" in (quiet.core.tick(46.0, NOW).close or "")


def test_a_topic_that_nobody_knows_is_no_news() -> None:
    talk = Talk()
    for topic in ("rfq.BTC-USD", "orderbooks.BTC-USD.rfq", "account.3017"):
        step = talk.frame(topic, {"m": "BTC-USD"})
        assert step.close is None
        assert all(isinstance(event, FeedState) for event in step.events)
