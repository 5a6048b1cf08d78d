"""Recorded and documented answers, where this machine has them, through wire and translate."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from domain.instruments import MarketState
from tests.venues.lighter.building import NOW, account, sample
from venues.lighter import translate, wire
from venues.lighter.answers import Asked, answered
from venues.lighter.translate import MarketNames, at
from venues.transport import Reply

REST: dict[str, type[Any]] = {
    "nautilus_http_order_book_details": wire.Markets,
    "ccxt_orderBookDetails_eth": wire.Markets,
    "recorded_mainnet_orderbook_details_btc": wire.Markets,
    "nautilus_http_order_book_orders": wire.BookOrders,
    "ccxt_orderBookOrders": wire.BookOrders,
    "nautilus_http_recent_trades": wire.Trades,
    "nautilus_http_orders": wire.Orders,
    "recorded_mainnet_account_active_orders_market1": wire.Orders,
    "nautilus_http_account": wire.Accounts,
    "recorded_mainnet_account_index_659514": wire.Accounts,
    "ccxt_account_with_position": wire.Accounts,
    "nautilus_http_candles": wire.Candles,
    "nautilus_http_next_nonce": wire.NextNonce,
    "recorded_mainnet_next_nonce": wire.NextNonce,
    "recorded_mainnet_sendtx_create_btc": wire.Sent,
    "recorded_mainnet_sendtx_cancel_btc": wire.Sent,
    "ccxt_root_status": wire.Root,
}


def body(name: str) -> bytes | None:
    found = sample(f"rest/{name}.json")
    if found is None:
        return None
    content = (
        found["response"]["body"] if isinstance(found, dict) and "response" in found else found
    )
    return json.dumps(content).encode()


@pytest.mark.parametrize("name", REST)
def test_an_answer_is_read(name: str) -> None:
    payload = body(name)
    if payload is None:
        return
    read: Any = wire.decode(payload, REST[name])
    match read:
        case wire.Markets():
            markets = translate.instruments(read.order_book_details)
            assert markets and markets[0].state is MarketState.OPEN
            assert markets[0].max_leverage in (50, 100)
            assert markets[0].min_notional == 10
        case wire.Orders():
            names = MarketNames(translate.instruments(_rows()))
            orders = [translate.order(row, names) for row in read.orders]
            assert all(order is not None and order.created_at is not None for order in orders)
            assert all(order.created_at.year in (2025, 2026) for order in orders if order)  # type: ignore[union-attr]
        case wire.Accounts():
            names = MarketNames(translate.instruments(_rows()))
            for row in read.accounts:
                summary = translate.account_summary(account(), row, names, event_time=NOW)
                assert summary.equity == row.total_asset_value
        case wire.Trades():
            trades = [translate.trade("X-PERP", row, received_time=NOW) for row in read.trades]
            assert all(trade.quantity > 0 for trade in trades)
        case wire.Candles():
            assert all(translate.candle("X-PERP", "1m", row) for row in read.c)
        case _:
            assert getattr(read, "code", 200) == 200


def _rows() -> list[wire.MarketRow]:
    return [
        wire.MarketRow(
            symbol=f"M{number}", market_id=number, status="active", size_decimals=4,
            price_decimals=2, min_base_amount=Decimal(1), min_quote_amount=Decimal(10),
            min_initial_margin_fraction=200,
        )
        for number in range(200)
    ]  # fmt: skip


def test_a_recorded_acknowledgement_proves_nothing_more() -> None:
    payload = body("recorded_mainnet_sendtx_create_btc")
    if payload is None:
        return
    tx_hash = json.loads(payload)["tx_hash"]
    reply = Reply(status=200, body=payload, received_at=NOW)
    assert answered(reply, Asked(kind=None, tx_hash=tx_hash), first=True).outcome.kind == (
        "acknowledged"
    )
    # The recording's request was signed again afterwards: of another hash it says nothing.
    other = answered(reply, Asked(kind=None, tx_hash="00" * 40), first=True)
    assert other.outcome.kind == "unknown" and not other.leaves_nonce


def test_a_missing_list_is_an_error_and_no_default() -> None:
    payload = body("nautilus_http_recent_trades_missing")
    if payload is not None:
        with pytest.raises(wire.WireError):
            wire.decode(payload, wire.Trades)


def test_present_rates_are_told_for_eight_hours_and_for_other_exchanges_too() -> None:
    given = body("ccxt_funding_rates") or (
        b'{"code":200,"funding_rates":[{"market_id":0,"exchange":"lighter","symbol":"ETH",'
        b'"rate":9.599999999999999e-05}]}'
    )
    read = wire.decode(given, wire.PresentRates)
    assert translate.present_rates(read.funding_rates) == {0: Decimal("0.000012")}
    others = [wire.PresentRateRow(market_id=0, exchange="binance", rate=Decimal("0.1"))]
    assert translate.present_rates(others) == {}


def test_all_markets_of_a_recording_have_names_of_ours() -> None:
    payload = body("recorded_mainnet_orderbooks")
    if payload is None:
        return
    rows = json.loads(payload)["order_books"]
    read = [msg for msg in rows if translate._NAME.fullmatch(msg["symbol"])]
    assert len(read) > len(rows) * 0.9


@pytest.mark.parametrize(
    ("number", "year"),
    [(1_765_388_100, 2025), (1_777_941_383_576, 2026), (1_777_941_383_576_735, 2026)],
)
def test_times_are_told_apart_by_their_size(number: int, year: int) -> None:
    assert at(number).year == year


@pytest.mark.parametrize("number", [10**30, -(10**30), 10**18, 2**63])
def test_what_is_no_such_time_is_an_error_of_the_wire(number: int) -> None:
    with pytest.raises(wire.WireError, match="expected a time"):
        at(number)
