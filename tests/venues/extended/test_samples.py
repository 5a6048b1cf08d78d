"""Recorded payloads of the venue go through wire, translate and folds, where this machine has them.

Those that ccxt recorded spell ids as strings, which the venue does not; they are read as the
numbers that they are.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from domain.accounts import PositionSide
from domain.commands import CommandKind
from domain.orders import Verdict
from tests.venues.extended.building import NOW, account, place, reply, sample
from tests.venues.extended.test_actions import composed
from tests.venues.talking import MarketTalk
from venues.connector import (
    AccountSeen,
    BookSeen,
    MarketChannel,
    MarketChannelKind,
    OrdersSeen,
    TickerSeen,
    TradesSeen,
)
from venues.extended import simulator_bodies, translate, wire
from venues.extended.account_stream import AccountStream
from venues.extended.answers import Asked, outcome
from venues.extended.books import LiveBook
from venues.extended.market_stream import MarketStream
from venues.extended.sequence import Sequence
from venues.stream_session import LiveStream

IDS = {"id", "orderId", "accountId", "cursor"}


def as_sent(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: as_sent(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_sent(inner, name) for inner in value]
    return int(value) if name in IDS and isinstance(value, str) and value.isdigit() else value


def read(recorded: Any, kind: Any) -> Any:
    envelope = wire.decode(json.dumps(as_sent(recorded)).encode(), wire.Envelope)
    assert envelope.status == "OK"
    return wire.decode(bytes(envelope.data), kind)


def answers(name: str) -> dict[str, Any]:
    found: dict[str, Any] = sample(name) or {}
    return found


def test_markets() -> None:
    recorded = sample("rest_info_markets_btc.json")
    if recorded is None:
        return
    rows = read(recorded, list[wire.MarketRow])
    (market,) = translate.instruments(rows)
    assert (market.symbol, market.venue_symbol, market.max_leverage) == ("BTC-PERP", "BTC-USD", 50)
    assert (market.lot_size, market.min_quantity) == (Decimal("0.00001"), Decimal("0.0001"))
    ticker = translate.ticker(rows[0], received_time=NOW)
    assert (ticker.mark_price, ticker.mid_price) == (
        Decimal("84058.473541750005"),
        Decimal("84077.5"),
    )


def test_orders() -> None:
    verdicts = []
    for asked, recorded in answers("rest_orders.json").items():
        if not asked.startswith("GET"):
            continue
        is_one = isinstance(recorded["data"], dict)
        rows = read(recorded, wire.OrderRow if is_one else list[wire.OrderRow])
        for row in [rows] if is_one else rows:
            order = translate.order_row(row)
            assert order is not None
            assert order.venue_order_id == str(row.id)
            verdicts.append(order.verdict)
    assert verdicts in (
        [],
        [
            Verdict.PARTIALLY_FILLED,
            Verdict.ACCEPTED,
            Verdict.PARTIALLY_FILLED,
            Verdict.FILLED,
            Verdict.CANCELED,
        ],
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("POST /user/order", "acknowledged"), ("error_docs_example", "rejected")],
)
def test_answers_to_orders(asked: str, expected: str) -> None:
    recorded = answers("rest_orders.json").get(asked)
    if recorded is None:
        return
    name = recorded.get("data", {}).get("externalId", "")
    asking = Asked(kind=CommandKind.PLACE, client_order_id=name)
    found = outcome(reply(as_sent(recorded)), asking, first=True)
    assert found.kind == expected


def test_accounts() -> None:
    recorded = answers("rest_account.json")
    if not recorded:
        return
    info = read(recorded["GET /user/account/info"], wire.AccountInfo)
    assert str(info.l2Vault) == "500343"
    (held,) = read(recorded["GET /user/positions?market=BTC-USD"], list[wire.PositionRow])
    position = translate.position(account(), held)
    assert (position.side, position.leverage) == (PositionSide.LONG, Decimal(10))
    assert position.liquidation_price is None
    (fees,) = read(recorded["GET /user/fees?market=BTC-USD"], list[wire.FeeRow])
    assert (fees.makerFeeRate, fees.takerFeeRate) == (0, Decimal("0.00025"))
    (leverage,) = read(recorded["GET /user/leverage?market=SOL-USD"], list[wire.LeverageRow])
    assert leverage.leverage == 10
    (row,) = read(recorded["GET /user/trades?market=BTC-USD"], list[wire.FillRow])
    fill = translate.fill("acc", row)
    assert fill is not None and (fill.fee, fill.quantity) == (Decimal("1.3"), Decimal("0.2"))


def test_market_data() -> None:
    recorded = answers("rest_market_data.json")
    for asked, body in recorded.items():
        if "orderbook" in asked:
            book = read(body, wire.BookRow)
            told = translate.order_book(book, depth=5, event_time=NOW, received_time=NOW)
            assert told.bids[0].price < told.asks[0].price
        elif "candles" in asked:
            (row,) = read(body, list[wire.CandleRow])
            assert translate.candle("BTC-PERP", "1m", row).close == Decimal("75657.5")
        elif "/funding" in asked:
            (rate,) = read(body, list[wire.FundingRateRow])
            assert translate.funding_rate("BTC-PERP", rate).rate == Decimal("0.000008")


def test_frames_of_an_account() -> None:
    recorded = sample("ws_v1_account.json") or {"frames": []}
    core = LiveStream(AccountStream(account()), "acc")
    core.connected(0.0, NOW)
    kinds = []
    for number, frame in enumerate(recorded["frames"], 1):
        # The documents number every example 1.
        numbered = {**frame, "seq": number}
        step = core.received(json.dumps(numbered).encode(), 1.0, NOW)
        assert step.close is None, step.close
        kinds += [type(event) for event in step.events]
    assert not recorded["frames"] or {OrdersSeen, AccountSeen} <= set(kinds)


def test_recorded_books_fold_and_are_numbered_from_one() -> None:
    for name in ("ws_v1_orderbook_btc.json", "ws_v1_bbo_btc.json"):
        recorded = sample(name) or {"frames": []}
        book, sequence = LiveBook(), Sequence(1)
        for frame in recorded["frames"]:
            read_frame = wire.decode(json.dumps(frame).encode(), wire.Frame)
            data = wire.decode(bytes(read_frame.data), wire.BookData)
            if name.startswith("ws_v1_bbo"):
                book = LiveBook()
            assert sequence.is_new(read_frame.seq or 0) or not recorded["frames"]
            assert book.apply(data)
            bids, asks = book.bids(5), book.asks(5)
            assert list(bids) == sorted(bids, key=lambda level: -level.price)
            assert list(asks) == sorted(asks, key=lambda level: level.price)


def test_recorded_frames_of_the_market_socket() -> None:
    if sample("ws_v2_rpc_responses.json") is None:
        return
    core = MarketTalk(MarketStream(_btc()))
    core.want(
        [
            MarketChannel(kind=MarketChannelKind.BOOK, symbol="BTC-PERP"),
            MarketChannel(kind=MarketChannelKind.TRADES, symbol="BTC-PERP"),
            MarketChannel(kind=MarketChannelKind.TICKER, symbol="BTC-PERP"),
        ],
        0.0,
    )
    core.connected(0.0, NOW)
    for answer in sample("ws_v2_rpc_responses.json"):
        assert core.received(json.dumps(answer).encode(), 0.1, NOW).close is None
    delta = sample("ws_v2_orderbook_delta.json")
    whole = {
        **delta,
        "type": "ORDERBOOKS.SNAPSHOT",
        "data": {"t": "SNAPSHOT", "m": "BTC-USD", "b": [], "a": [], "d": "f"},
        "seq": 0,
    }
    frames = [whole, delta, sample("ws_v2_trades_replay.json"), sample("ws_v2_mark.json")]
    kinds: list[Any] = []
    for number, frame in enumerate(frames):
        # They were recorded apart; the numbers between them are not there.
        body = json.dumps({**frame, "seq": number}).encode()
        step = core.received(body, 1.0, NOW)
        assert step.close is None, step.close
        kinds += step.events
    books = [event for event in kinds if isinstance(event, BookSeen)]
    assert [str(one.price) for one in books[-1].book.bids] == [
        row["p"] for row in delta["data"]["b"]
    ]
    (trades,) = [event for event in kinds if isinstance(event, TradesSeen)]
    assert len(trades.trades) == 8 and trades.is_backlog
    (ticker,) = [event for event in kinds if isinstance(event, TickerSeen)]
    assert ticker.ticker.mark_price == Decimal("84058.473541750005")


def _btc() -> Any:
    return translate.instruments(read(sample("rest_info_markets_btc.json"), list[wire.MarketRow]))


def test_recorded_trades_and_prices_are_read() -> None:
    trades = sample("ws_v1_trades_btc.json") or {"frames": []}
    for frame in trades["frames"]:
        data = wire.decode(json.dumps(frame).encode(), wire.Frame).data
        for row in wire.decode(bytes(data), list[wire.PublicTrade]):
            assert translate.trade(row, received_time=NOW).symbol == "BTC-PERP"
    prices = sample("ws_v1_mark_btc.json") or {"frames": []}
    for frame in prices["frames"]:
        data = wire.decode(json.dumps(frame).encode(), wire.Frame).data
        assert wire.decode(bytes(data), wire.PriceData).p > 0
    assert msgspec.json.encode(None) == b"null"


def test_commands_of_another_client_are_read_by_the_simulator_and_spelled_like_ours() -> None:
    recorded = sample("requests_ccxt_static.json")
    readers: dict[str, Any] = {
        "/user/order": simulator_bodies.read_order,
        "/user/order/massCancel": lambda body: simulator_bodies.read(
            body, simulator_bodies.MassCancel
        ),
        "/user/leverage": lambda body: simulator_bodies.read(body, simulator_bodies.Leverage),
    }
    placed = []
    for one in recorded["requests"] if recorded else ():
        path = one["url"].partition("/api/v1")[2]
        if one.get("body") is not None:
            # Whoever recorded them blanked the signatures.
            body = json.dumps(one["body"]).replace('""', '"0x1"').encode()
            readers[path](body)
            if path == "/user/order":
                placed.append(set(one["body"]))
    if recorded:
        # Only they have a builder's fee; the settlement is added to ours when it is sent.
        ours = set(composed(place())["order"])
        assert placed[0] - ours == {"builderFee", "builderId", "settlement"}
        assert ours <= placed[0]
