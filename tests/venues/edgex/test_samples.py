"""Recorded payloads of the venue go through wire, translate and the folds, where they are at hand.

Ids of those before production are older (1000xxxx): contracts are found by name all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import wraps
from typing import Any

import pytest

from domain.commands import CommandKind
from domain.instruments import OrderSide
from domain.orders import Verdict
from domain.outcomes import Accepted, Acknowledged, Rejected
from tests.venues.edgex.building import (
    CLIENT_ID,
    NOW,
    account,
    contract_row,
    metadata,
    reply,
    sample,
    samples,
)
from tests.venues.talking import MarketTalk
from venues.connector import (
    BookSeen,
    FeedState,
    FillsSeen,
    FundingSeen,
    MarketChannel,
    MarketChannelKind,
    OrdersSeen,
    TickerSeen,
    TradesSeen,
)
from venues.edgex import translate, translate_markets, wire
from venues.edgex.account_stream import AccountStream
from venues.edgex.answers import Asked, outcome
from venues.edgex.catalog import Catalog
from venues.edgex.market_stream import MarketStream
from venues.stream_session import LiveStream

NAMES = {
    "30000001": "BTCUSDC",
    "30000002": "ETHUSDC",
    "30000020": "NVDAUSDC",
    "30000158": "ZROUSDC",
    "10000001": "XBTUSDC",
    "10000002": "XETHUSDC",
    "10000004": "BNBUSDC",
}


def recorded(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test over the recorded payloads of this machine, where it has them."""

    @wraps(test)
    def run(*arguments: Any, **named_arguments: Any) -> None:
        if samples() is not None:
            test(*arguments, **named_arguments)

    return run


def catalog() -> Catalog:
    rows = (contract_row(contractId=number, contractName=name) for number, name in NAMES.items())
    return Catalog(metadata(*rows))


def data_of(example: dict[str, Any], kind: Any) -> Any:
    read = wire.decode(json.dumps(example["response"]).encode(), wire.Envelope)
    assert read.code == wire.SUCCESS
    return wire.decode(bytes(read.data), kind)


def rows_of(example: dict[str, Any], kind: Any) -> list[Any]:
    page = data_of(example, wire.Page)
    assert page.next_page_offset_data == ""
    return [wire.decode(bytes(row), kind) for row in page.data_list]


def named(file: str, path: str) -> dict[str, Any]:
    examples = sample(file)["examples"]
    (found,) = [one for name, one in examples.items() if name.endswith(path)]
    return dict(found)


def framed(frames: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(frame).encode() for frame in frames]


# Answers


@recorded
def test_recorded_commands_answers() -> None:
    for pair in sample("v2_recorded_testnet.json")["pairs"]:
        answer = reply(pair["response"])
        if pair["path"].endswith("createOrder"):
            asked = Asked(kind=CommandKind.PLACE, client_order_id=CLIENT_ID)
            found = outcome(answer, asked, first=True)
            assert isinstance(found, Accepted) and found.report is not None
            assert found.report.venue_order_id == "726881470857084943"
        if pair["path"].endswith("cancelOrderById"):
            asked = Asked(kind=CommandKind.CANCEL, venue_order_id="726881470857084943")
            assert isinstance(outcome(answer, asked, first=True), Acknowledged)


@recorded
def test_recorded_errors() -> None:
    for error in sample("errors.json")["rest"]:
        body = {key: value for key, value in error.items() if key != "http"}
        asked = Asked(kind=CommandKind.PLACE, client_order_id=CLIENT_ID)
        found = outcome(reply(body, error.get("http", 200)), asked, first=True)
        if error["code"] == "INVALID_GET_PAGE_SIZE":
            continue
        assert isinstance(found, Rejected), error
        assert found.code in ("unknown_api_key", "bad_request")


@recorded
def test_recorded_account_of_v2() -> None:
    pairs = sample("v2_recorded_testnet.json")["pairs"]
    (pair,) = [one for one in pairs if "getAccountAsset" in one["path"]]
    asset = data_of(pair, wire.AccountAsset)
    assert translate.held_contracts(asset) == []
    summary = translate.account_summary(account(), asset, catalog(), {}, at=NOW)
    assert summary.equity == summary.available == Decimal("18.958424")
    contract = catalog().find("XBT-PERP")
    assert translate.leverage(asset.account, contract).leverage == 10


@recorded
def test_recorded_ticker_of_v2() -> None:
    pairs = sample("v2_recorded_testnet.json")["pairs"]
    (pair,) = [one for one in pairs if "getTicker" in one["path"]]
    (row,) = data_of(pair, list[wire.TickerRow])
    ticker = translate_markets.ticker("XBT-PERP", row, funding_interval_s=1, received_time=NOW)
    assert (ticker.mark_price, ticker.index_price) == (
        Decimal("69810.2"),
        Decimal("69840.778565787"),
    )


# Documented listings


@pytest.mark.parametrize("path", ["getActiveOrderPage", "getHistoryOrderPage"])
@recorded
def test_documented_orders(path: str) -> None:
    (row,) = rows_of(named("docs_order_api.json", path), wire.OrderRow)
    order = translate.order(row, catalog().symbol_of)
    assert order is not None
    is_open = path == "getActiveOrderPage"
    assert order.verdict is (Verdict.ACCEPTED if is_open else Verdict.FILLED)
    assert (order.symbol, order.side, order.price) == (
        "XBT-PERP",
        OrderSide.BUY,
        Decimal("97444.5"),
    )
    assert order.trigger_price is None


@recorded
def test_documented_order_by_id() -> None:
    rows = data_of(named("docs_order_api.json", "getOrderById"), list[wire.OrderRow])
    assert [translate.order(row, catalog().symbol_of) is not None for row in rows] == [True]


@recorded
def test_documented_fills() -> None:
    path = "getHistoryOrderFillTransactionPage"
    (row,) = rows_of(named("docs_order_api.json", path), wire.FillRow)
    fill = translate.fill("acc", row, catalog().symbol_of)
    assert fill is not None
    assert (fill.price, fill.fee, fill.realized_pnl) == (
        Decimal("97444.5"),
        Decimal("0.017540"),
        Decimal(0),
    )


@recorded
def test_documented_account_whose_equity_can_be_recomputed() -> None:
    asset = data_of(named("docs_account_api.json", "getAccountAsset"), wire.AccountAsset)
    told = translate.account_summary(account(), asset, catalog(), {}, at=NOW)
    (money,), (risk,) = asset.collateral_asset_model_list, asset.position_asset_list
    assert told.equity == Decimal(money.total_equity)
    assert told.available == Decimal(money.available_amount)
    assert abs(told.maintenance_margin - Decimal(risk.stark_ex_risk_value)) < Decimal("1e-20")
    (position,) = told.positions
    assert (position.entry_price, position.leverage) == (Decimal("97444.5"), Decimal(50))
    assert abs(position.initial_margin - told.initial_margin) < Decimal("1e-20")
    # The same from money, size and the oracle's price alone.
    bare = wire.AccountAsset(
        account=asset.account,
        collateral_list=asset.collateral_list,
        position_list=asset.position_list,
    )
    oracle = position.notional / position.quantity
    prices = {"10000001": oracle}
    reckoned = translate.account_summary(account(), bare, catalog(), prices, at=NOW)
    assert abs(reckoned.equity - told.equity) < Decimal("0.0000001")
    assert reckoned.positions[0].unrealized_pnl == position.unrealized_pnl


@recorded
def test_documented_public_listings() -> None:
    time = data_of(named("docs_public_api.json", "getServerTime"), wire.ServerTime)
    assert time.time_millis == "1734596189305"
    (kline,) = rows_of(named("docs_public_api.json", "getKline"), wire.Kline)
    candle = translate_markets.candle("XETH-PERP", kline)
    assert (candle.interval, candle.volume) == ("1h", Decimal("111.96"))
    (depth,) = data_of(named("docs_public_api.json", "getDepth"), list[wire.Depth])
    assert translate_markets.levels(depth.asks)[Decimal("101695.9")] == Decimal("0.579")
    (rate,) = data_of(
        named("docs_public_api.json", "getLatestFundingRate"), list[wire.FundingRateRow]
    )
    ticker = translate_markets.rates_ticker(
        "XBT-PERP", rate, funding_interval_s=1, received_time=NOW
    )
    assert (ticker.funding_rate, ticker.funding_interval_s) == (Decimal("-0.00005537"), 14_400)
    assert ticker.mark_price == Decimal("101559.9220921285450458526611328125")


@recorded
def test_documented_metadata_of_the_era_before_has_no_market_of_ours() -> None:
    """Its resolutions have other names, so nothing could be signed: nothing is offered."""
    read = wire.decode(
        json.dumps(sample("docs_metadata_v1.json")["response"]["data"]).encode(), wire.Metadata
    )
    found = Catalog(read)
    assert found.contracts == {}


# Frames


def market(*kinds: tuple[MarketChannelKind, str]) -> MarketTalk:
    talk = MarketTalk(MarketStream(catalog().instruments))
    talk.want((MarketChannel(kind=kind, symbol=symbol) for kind, symbol in kinds), 0.0)
    talk.connected(0.0, NOW)
    return talk


@recorded
def test_a_recorded_book_keeps_its_chain() -> None:
    talk = market((MarketChannelKind.BOOK, "BTC-PERP"))
    frames = sample("ws_depth15_btc.json")["frames"]
    steps = [talk.received(payload, 1.0, NOW) for payload in framed(frames)]
    assert [step.close for step in steps] == [None] * len(steps)
    assert all(step.send == () for step in steps), "no gap, so nothing is asked for anew"
    books = [e.book for step in steps for e in step.events if isinstance(e, BookSeen)]
    assert len(books) == sum(frame["type"] == "quote-event" for frame in frames)
    best = frames[2]["content"]["data"][0]
    assert books[0].asks[0].price == Decimal(best["asks"][0]["price"])
    for book in books:
        assert all(level.quantity > 0 for level in (*book.bids, *book.asks))
        assert [level.price for level in book.bids] == sorted(
            (level.price for level in book.bids), reverse=True
        )


@recorded
def test_recorded_trades_come_oldest_first_and_a_ping_is_answered() -> None:
    talk = market((MarketChannelKind.TRADES, "BTC-PERP"))
    frames = sample("ws_trades_btc.json")["frames"]
    steps = [talk.received(payload, 1.0, NOW) for payload in framed(frames)]
    seen = [e for step in steps for e in step.events if isinstance(e, TradesSeen)]
    assert [event.is_backlog for event in seen] == [True] + [False] * (len(seen) - 1)
    for event in seen:
        times = [trade.event_time for trade in event.trades]
        assert times == sorted(times)
    ids = [trade.trade_id for event in seen for trade in event.trades]
    assert len(ids) == len(set(ids))
    (pong,) = steps[-1].send
    assert json.loads(pong) == {"type": "pong", "time": "1790586200000"}


@recorded
def test_recorded_tickers_of_a_closed_market() -> None:
    talk = market((MarketChannelKind.TICKER, "NVDA-PERP"))
    for file in ("ws_ticker_nvda.json", "ws_ticker_docs.json"):
        for payload in framed(sample(file)["frames"]):
            step = talk.received(payload, 1.0, NOW)
            assert step.close is None
            for event in step.events:
                if isinstance(event, TickerSeen) and event.ticker.symbol == "NVDA-PERP":
                    assert event.ticker.mark_price == Decimal("223.978929977074249467")


@recorded
def test_recorded_best_prices_and_an_empty_book() -> None:
    talk = market((MarketChannelKind.TOP, "ETH-PERP"))
    (payload,) = framed(sample("ws_bookticker_all.json")["frames"])
    step = talk.received(payload, 1.0, NOW)
    tops = {e.book.symbol: e.book for e in step.events if isinstance(e, BookSeen) and e.is_top}
    assert tops["ETH-PERP"].asks[0].price == Decimal("2650.01")
    assert (tops["ZRO-PERP"].bids, tops["ZRO-PERP"].asks) == ((), ())


@recorded
def test_a_recorded_error_ends_the_connection_in_words() -> None:
    talk = market((MarketChannelKind.BOOK, "BTC-PERP"))
    (payload,) = framed(sample("ws_error_unknown_contract.json")["frames"])
    step = talk.received(payload, 1.0, NOW)
    assert step.close == (
        "the venue says: GATEWAY_INVALID_CONTRACT_ID invalid contractId : 99999999"
    )


@recorded
def test_recorded_private_frames() -> None:
    asked: list[str] = []
    money: list[bool] = []
    stream = AccountStream(
        account(),
        catalog().symbol_of,
        on_money=lambda: money.append(True),
        on_abridged=asked.extend,
    )
    core = LiveStream(stream, "acc")
    core.connected(0.0, NOW)
    events: list[Any] = []
    for payload in framed(sample("ws_private_v2.json")["frames"]):
        step = core.received(payload, 1.0, NOW)
        assert step.close is None
        events += step.events
    # Orders were recorded abridged: what became of them is asked for.
    assert asked == ["729107150223180559", "729107150223180559"]
    assert not [event for event in events if isinstance(event, OrdersSeen)]
    assert [event.live for event in events if isinstance(event, FeedState)] == [True]
    (fills,) = [event for event in events if isinstance(event, FillsSeen)]
    (fill,) = fills.fills
    assert (fill.symbol, fill.side, fill.price) == (
        "XETH-PERP",
        OrderSide.SELL,
        Decimal("2309.76"),
    )
    assert fill.realized_pnl is None
    assert len(money) == 2


@recorded
def test_documented_funding_frame() -> None:
    stream = AccountStream(
        account(),
        catalog().symbol_of,
    )
    core = LiveStream(stream, "acc")
    core.connected(0.0, NOW)
    (payload,) = framed(sample("ws_private_docs.json")["frames"])
    (funding,) = core.received(payload, 1.0, NOW).events
    assert isinstance(funding, FundingSeen)
    (payment,) = funding.payments
    assert (payment.symbol, payment.position_quantity) == ("BNB-PERP", Decimal("0.10"))
