"""The folds, by hand: books and their gaps, tickers in parts, orders twice, late and abridged."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import InvalidInput
from domain.instruments import OrderSide
from domain.orders import Verdict
from tests.venues.edgex.building import (
    ADDRESS,
    BTC,
    CLIENT_ID,
    NOW,
    account,
    catalog,
    fill_row,
    order_row,
)
from tests.venues.talking import MarketTalk
from venues.connector import (
    BookSeen,
    CandleSeen,
    FeedState,
    FillsSeen,
    FundingSeen,
    MarketChannel,
    MarketChannelKind,
    OrdersSeen,
    TickerSeen,
    TradesSeen,
)
from venues.edgex.account_stream import AccountStream
from venues.edgex.market_stream import SUBSCRIPTIONS_MAX, MarketStream
from venues.stream_session import LiveStream

DEPTH = f"depth.{BTC}.15"


def channel(kind: MarketChannelKind, interval: str | None = None) -> MarketChannel:
    return MarketChannel(kind=kind, symbol="BTC-PERP", interval=interval)


def talk(*channels: MarketChannel) -> MarketTalk:
    made = MarketTalk(MarketStream(catalog().instruments))
    made.want(channels or [channel(MarketChannelKind.BOOK)], 0.0)
    return made


def said(step: Any) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in step.send]


def quote(name: str, kind: str, *rows: dict[str, Any]) -> bytes:
    content = {"channel": name, "dataType": kind, "data": list(rows)}
    return json.dumps({"type": "quote-event", "channel": name, "content": content}).encode()


def depth(start: int, end: int, bids: dict[str, str], asks: dict[str, str]) -> dict[str, Any]:
    return {
        "startVersion": str(start),
        "endVersion": str(end),
        "contractId": BTC,
        "bids": [{"price": price, "size": size} for price, size in bids.items()],
        "asks": [{"price": price, "size": size} for price, size in asks.items()],
    }


def books(step: Any) -> list[Any]:
    return [event.book for event in step.events if isinstance(event, BookSeen)]


# Subscribing


def test_channels_are_spelled_by_contract_and_answered_before_the_feed_is_live() -> None:
    core = talk(
        channel(MarketChannelKind.BOOK),
        channel(MarketChannelKind.TOP),
        channel(MarketChannelKind.TRADES),
        channel(MarketChannelKind.TICKER),
        channel(MarketChannelKind.CANDLES, "6h"),
    )
    step = core.connected(0.0, NOW)
    names = [frame["channel"] for frame in said(step)]
    assert sorted(names) == [
        f"bookTicker.{BTC}", DEPTH, f"kline.LAST_PRICE.{BTC}.HOUR_6", f"ticker.{BTC}",
        f"trades.{BTC}",
    ]  # fmt: skip
    assert {frame["type"] for frame in said(step)} == {"subscribe"}
    live: list[Any] = []
    for name in names:
        assert live == []
        answer = json.dumps({"type": "subscribed", "channel": name, "request": "…"}).encode()
        live += core.received(answer, 1.0, NOW).events
    assert [event.live for event in live if isinstance(event, FeedState)] == [True]


def test_what_is_not_answered_ends_the_connection() -> None:
    core = talk()
    core.connected(0.0, NOW)
    assert core.tick(14.0, NOW).close is None
    assert core.tick(15.0, NOW).close == f"{DEPTH} not subscribed within 15 s"


def test_pings_both_ways() -> None:
    core = talk()
    core.connected(0.0, NOW)
    core.received(json.dumps({"type": "subscribed", "channel": DEPTH}).encode(), 0.0, NOW)
    pong = said(core.received(b'{"type":"ping","time":"1790586200000"}', 1.0, NOW))
    assert pong == [{"type": "pong", "time": "1790586200000"}]
    assert said(core.tick(30.0, NOW)) == [{"type": "ping", "time": "0"}]
    assert core.received(b'{"type":"pong","time":"0"}', 31.0, NOW).send == ()
    assert core.tick(120.0, NOW).close == "nothing heard for 75 s"


def test_no_more_than_the_venue_carries() -> None:
    kinds = [channel(MarketChannelKind.CANDLES, one) for one in ("1m", "5m")]
    assert SUBSCRIPTIONS_MAX == 100
    core = talk()
    with pytest.raises(InvalidInput):
        core.want([*kinds, channel(MarketChannelKind.CANDLES, "7m")], 0.0)


# Books


def test_a_book_is_put_together_from_changes() -> None:
    core = talk()
    core.connected(0.0, NOW)
    first = depth(1, 10, {"99": "1", "98": "2"}, {"101": "3", "102": "0"})
    (book,) = books(core.received(quote(DEPTH, "Snapshot", first), 1.0, NOW))
    assert [(level.price, level.quantity) for level in book.asks] == [(Decimal(101), Decimal(3))]
    change = depth(10, 15, {"99": "0", "97": "5"}, {"101": "4", "100.5": "1"})
    (book,) = books(core.received(quote(DEPTH, "changed", change), 1.0, NOW))
    assert [(level.price, level.quantity) for level in book.bids] == [
        (Decimal(98), Decimal(2)),
        (Decimal(97), Decimal(5)),
    ]
    assert [level.price for level in book.asks] == [Decimal("100.5"), Decimal(101)]
    # An older example begins one after the last end; both are a chain.
    (book,) = books(
        core.received(quote(DEPTH, "Changed", depth(16, 20, {"98": "9"}, {})), 1.0, NOW)
    )
    assert book.bids[0].quantity == 9


def test_a_change_that_was_told_already_changes_nothing() -> None:
    core = talk()
    core.connected(0.0, NOW)
    core.received(quote(DEPTH, "Snapshot", depth(1, 10, {"99": "1"}, {})), 1.0, NOW)
    change = quote(DEPTH, "changed", depth(10, 15, {"99": "2"}, {}))
    assert len(books(core.received(change, 1.0, NOW))) == 1
    again = core.received(change, 1.0, NOW)
    assert (again.events, again.send) == ((), ())


def test_a_gap_is_told_to_nobody_as_a_book_and_a_fresh_snapshot_is_asked_for() -> None:
    core = talk()
    core.connected(0.0, NOW)
    core.received(quote(DEPTH, "Snapshot", depth(1, 10, {"99": "1"}, {})), 1.0, NOW)
    step = core.received(quote(DEPTH, "changed", depth(12, 15, {"99": "2"}, {})), 2.0, NOW)
    assert books(step) == []
    assert [(frame["type"], frame["channel"]) for frame in said(step)] == [
        ("unsubscribe", DEPTH),
        ("subscribe", DEPTH),
    ]
    more = core.received(quote(DEPTH, "changed", depth(15, 18, {"99": "3"}, {})), 2.0, NOW)
    assert (more.events, more.send) == ((), ())
    (book,) = books(
        core.received(quote(DEPTH, "Snapshot", depth(30, 31, {"90": "1"}, {})), 3.0, NOW)
    )
    assert [level.price for level in book.bids] == [Decimal(90)]


def test_a_connection_begins_with_no_book() -> None:
    core = talk()
    core.connected(0.0, NOW)
    core.received(quote(DEPTH, "Snapshot", depth(1, 10, {"99": "1"}, {})), 1.0, NOW)
    core.disconnected("lost", NOW)
    core.connected(2.0, NOW)
    step = core.received(quote(DEPTH, "changed", depth(10, 15, {"99": "2"}, {})), 3.0, NOW)
    assert books(step) == []


@pytest.mark.parametrize("seed", range(3))
def test_any_chain_of_changes_gives_the_book_it_came_from(seed: int) -> None:
    source = random.Random(seed)
    core = talk()
    core.connected(0.0, NOW)
    truth: dict[str, str] = {"100": "1"}
    version = 5
    core.received(quote(DEPTH, "Snapshot", depth(1, version, truth, {})), 0.0, NOW)
    for _ in range(200):
        price, size = str(source.randint(90, 99)), str(source.randint(0, 3))
        end = version + source.randint(1, 9)
        payload = quote(DEPTH, "changed", depth(version, end, {price: size}, {}))
        version = end
        truth[price] = size
        found = books(core.received(payload, 0.0, NOW))
        if source.random() < 0.2:
            assert books(core.received(payload, 0.0, NOW)) == []
        wanted = sorted((Decimal(p) for p, s in truth.items() if s != "0"), reverse=True)
        assert [level.price for level in found[0].bids] == wanted[:15]


# Other channels


def test_a_tickers_changes_are_laid_over_what_was_told() -> None:
    core = talk(channel(MarketChannelKind.TICKER))
    core.connected(0.0, NOW)
    name = f"ticker.{BTC}"
    whole = {"contractId": BTC, "oraclePrice": "64000", "indexPrice": "64001", "value": "5"}
    core.received(quote(name, "Snapshot", whole), 1.0, NOW)
    step = core.received(
        quote(name, "changed", {"contractId": BTC, "oraclePrice": "65000"}), 1.0, NOW
    )
    (event,) = step.events
    assert isinstance(event, TickerSeen)
    assert (event.ticker.mark_price, event.ticker.index_price, event.ticker.volume_24h) == (
        Decimal(65000),
        Decimal(64001),
        Decimal(5),
    )


def test_trades_are_told_once_and_oldest_first() -> None:
    core = talk(channel(MarketChannelKind.TRADES))
    core.connected(0.0, NOW)

    def trade(number: int, **changes: Any) -> dict[str, Any]:
        row = {
            "ticketId": f"t{number}",
            "time": str(1_795_000_000_000 + number),
            "price": "64000",
            "size": "0.1",
            "contractId": BTC,
            "isBuyerMaker": number % 2 == 0,
        }
        return {**row, **changes}

    name = f"trades.{BTC}"
    (backlog,) = core.received(quote(name, "Snapshot", trade(3), trade(2), trade(1)), 1, NOW).events
    assert isinstance(backlog, TradesSeen) and backlog.is_backlog
    assert [one.trade_id for one in backlog.trades] == ["t1", "t2", "t3"]
    buy, sell = OrderSide.BUY, OrderSide.SELL
    assert [one.aggressor_side for one in backlog.trades] == [buy, sell, buy]
    (news,) = core.received(quote(name, "changed", trade(3), trade(4)), 1.0, NOW).events
    assert isinstance(news, TradesSeen)
    assert ([one.trade_id for one in news.trades], news.is_backlog) == (["t4"], False)
    assert core.received(quote(name, "changed", trade(4)), 1.0, NOW).events == ()
    (again,) = core.received(quote(name, "Snapshot", trade(4), trade(3)), 2.0, NOW).events
    assert isinstance(again, TradesSeen)
    assert ([one.trade_id for one in again.trades], again.is_backlog) == (["t3", "t4"], True)
    (empty,) = core.received(quote(name, "Snapshot"), 3.0, NOW).events
    assert empty == TradesSeen(trades=(), is_backlog=True, symbol="BTC-PERP")


@pytest.mark.parametrize(
    ("kind", "opened", "closed"),
    [
        ("MINUTE_1", "1795000020000", "1795000080000"),
        ("HOUR_6", "1794981600000", "1795003200000"),
        ("WEEK_1", "1794787200000", "1795392000000"),
        ("MONTH_1", "1793491200000", "1796083200000"),
    ],
)
def test_candles_of_every_kind_of_length(kind: str, opened: str, closed: str) -> None:
    core = talk()
    core.connected(0.0, NOW)
    row = {
        "contractId": BTC,
        "klineType": kind,
        "klineTime": opened,
        "open": "1",
        "high": "4",
        "low": "1",
        "close": "2",
        "size": "7",
    }
    name = f"kline.LAST_PRICE.{BTC}.{kind}"
    (event,) = core.received(quote(name, "changed", row), 1.0, NOW).events
    assert isinstance(event, CandleSeen)
    assert int(event.candle.close_time.timestamp() * 1000) == int(closed)
    wrong = core.received(quote(name, "changed", {**row, "klineType": "YEAR_1"}), 1.0, NOW)
    assert wrong.close is not None and "expected a length" in wrong.close


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"type":"quote-event"}', b"\xff"])
def test_what_cannot_be_read_ends_the_connection(payload: bytes) -> None:
    core = talk()
    core.connected(0.0, NOW)
    assert core.received(payload, 1.0, NOW).close is not None


def test_other_contracts_and_channels_are_not_told() -> None:
    core = talk()
    core.connected(0.0, NOW)
    foreign = {**depth(1, 2, {"1": "1"}, {}), "contractId": "9"}
    assert core.received(quote(DEPTH, "Snapshot", foreign), 1.0, NOW).events == ()
    assert core.received(quote("metadata", "changed", {"a": 1}), 1.0, NOW).events == ()


# Accounts


class Asked:
    def __init__(self) -> None:
        self.money = 0
        self.orders: list[str] = []
        self.stream = AccountStream(
            account(),
            catalog().symbol_of,
            on_money=self.on_money,
            on_abridged=self.orders.extend,
        )
        self.core = LiveStream(self.stream, "acc")
        assert self.core.connected(0.0, NOW).send == ()

    def on_money(self) -> None:
        self.money += 1

    def hear(self, event: str, version: int, **data: Any) -> list[Any]:
        content = {
            "event": event,
            "version": version,
            "time": 1,
            "accountId": 0,
            "data": data,
        }
        payload = json.dumps({"type": "trade-event", "content": content}).encode()
        step = self.core.received(payload, 1.0, NOW)
        assert step.close is None, step.close
        return list(step.events)


def test_a_feed_is_live_with_its_snapshot() -> None:
    asked = Asked()
    assert asked.core.tick(15.0, NOW).close == "no snapshot of the account within 15 s"
    asked = Asked()
    events = asked.hear("Snapshot", 5, order=[order_row()], account=[{"id": ADDRESS}])
    assert [type(event) for event in events] == [OrdersSeen, FeedState]
    assert asked.money == 1


def test_an_older_version_of_an_order_is_left_out_and_a_jump_is_no_gap() -> None:
    asked = Asked()
    asked.hear("Snapshot", 5)
    filled = order_row(status="FILLED", cumMatchSize="0.003", cumMatchValue="192")
    (seen,) = asked.hear("ORDER_UPDATE", 90, order=[filled])
    assert seen.orders[0].verdict is Verdict.FILLED
    assert asked.hear("ORDER_UPDATE", 90, order=[filled]) == []
    assert asked.hear("ORDER_UPDATE", 40, order=[order_row()]) == []
    (other,) = asked.hear("ORDER_UPDATE", 41, order=[order_row(id="2")])
    assert other.orders[0].venue_order_id == "2"


def test_versions_of_another_connection_say_nothing() -> None:
    asked = Asked()
    asked.hear("Snapshot", 500, order=[order_row()])
    asked.core.disconnected("lost", NOW)
    asked.core.connected(1.0, NOW)
    assert isinstance(asked.hear("Snapshot", 5, order=[order_row()])[0], OrdersSeen)


def test_an_execution_told_twice_is_two_words_on_the_order_and_one_fill() -> None:
    asked = Asked()
    asked.hear("Snapshot", 1)
    filled = order_row(status="FILLED", cumMatchSize="0.003", cumMatchValue="192")
    asked.hear("ORDER_UPDATE", 2, order=[filled])
    again = asked.hear("ORDER_UPDATE", 3, order=[filled], orderFillTransaction=[fill_row()])
    assert [type(event) for event in again] == [OrdersSeen, FillsSeen]
    assert again[1].fills[0].client_order_id == CLIENT_ID
    assert asked.hear("ORDER_UPDATE", 4, orderFillTransaction=[fill_row()]) == []


def test_an_abridged_order_is_laid_over_what_is_known_else_asked_for() -> None:
    asked = Asked()
    asked.hear("Snapshot", 1, order=[order_row()])
    known = order_row()["id"]
    part = {"id": known, "status": "CANCELED", "cancelReason": "USER_CANCELED", "updatedTime": "2"}
    (seen,) = asked.hear("ORDER_UPDATE", 2, order=[part])
    assert (seen.orders[0].verdict, seen.orders[0].quantity) == (
        Verdict.CANCELED,
        Decimal("0.003"),
    )
    assert asked.hear("ORDER_UPDATE", 3, order=[{**part, "id": "77"}]) == []
    assert asked.orders == ["77"]


def test_funding_and_money() -> None:
    asked = Asked()
    asked.hear("Snapshot", 1)
    paid = {
        "id": "1",
        "type": "POSITION_FUNDING",
        "deltaAmount": "-1.5",
        "fundingTime": "1795000000000",
        "fundingRate": "0.001",
        "fundingPositionSize": "0.1",
        "positionContractId": BTC,
    }
    other = {"id": "2", "type": "DEPOSIT", "deltaAmount": "100"}
    (seen,) = asked.hear("FUNDING_SETTLEMENT", 2, collateralTransaction=[paid, other])
    assert isinstance(seen, FundingSeen)
    assert [payment.amount for payment in seen.payments] == [Decimal("-1.5")]
    assert asked.money == 0
    asked.hear("ACCOUNT_UPDATE", 3, position=[{"contractId": BTC}])
    assert asked.money == 1


@pytest.mark.parametrize("what", ["order", "orderFillTransaction"])
def test_another_accounts_row_ends_the_connection(what: str) -> None:
    asked = Asked()
    row = order_row if what == "order" else fill_row
    content = {
        "event": "ORDER_UPDATE",
        "version": 2,
        "time": 1,
        "data": {what: [row(accountId="9")]},
    }
    payload = json.dumps({"type": "trade-event", "content": content}).encode()
    step = asked.core.received(payload, 1.0, NOW)
    assert step.close is not None and "another account's" in step.close
    assert step.events == ()


def test_rows_without_ids_end_the_connection() -> None:
    asked = Asked()
    without: tuple[dict[str, Any], ...] = (
        {"order": [{}]},
        {"orderFillTransaction": [{"id": 7}]},
        {"order": [{"id": ""}]},
    )
    for data in without:
        content = {"event": "ORDER_UPDATE", "version": 2, "time": 1, "data": data}
        payload = json.dumps({"type": "trade-event", "content": content}).encode()
        assert asked.core.received(payload, 1.0, NOW).close is not None
