"""The venue's words in ours: orders, fills, money, markets; and what makes no sense is said."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import LeverageSetting, MarginMode, PositionSide
from domain.errors import InvalidInput
from domain.fills import LiquiditySide
from domain.instruments import OrderSide
from domain.orders import Verdict
from tests.venues.pacifica.building import NOW, NOW_MS, ORDER_ID, OWNER, account
from venues.pacifica import translate, wire
from venues.pacifica.statuses import DROPPED, is_trigger, reason_of, verdict_of

MARKET = {
    "symbol": "BTC",
    "tick_size": "1",
    "lot_size": "0.00001",
    "max_leverage": 50,
    "min_order_size": "10",
    "max_order_size": "5000000",
    "instrument_type": "perpetual",
}
UPDATE: dict[str, Any] = {
    "I": ORDER_ID,
    "a": "0.0004",
    "ct": NOW_MS,
    "d": "bid",
    "f": "0.0001",
    "i": 336542009,
    "ip": "63473",
    "li": 336542009,
    "oe": "fulfill_limit",
    "os": "partially_filled",
    "ot": "limit",
    "p": "63441",
    "r": False,
    "s": "BTC",
    "sp": None,
    "u": OWNER,
    "ut": NOW_MS + 5,
}
FILL: dict[str, Any] = {
    "history_id": 68790424,
    "order_id": 336542009,
    "client_order_id": ORDER_ID,
    "symbol": "BTC",
    "amount": "0.0002",
    "price": "63441",
    "fee": "0.005075",
    "pnl": "-0.005075",
    "event_type": "fulfill_taker",
    "side": "open_long",
    "created_at": NOW_MS,
    "cause": "normal",
}
PRICE = {
    "symbol": "BTC",
    "timestamp": NOW_MS,
    "funding": "0.0000125",
    "mark": "63500",
    "mid": "63510",
    "oracle": "63490",
    "open_interest": "1.5",
    "volume_24h": "1000",
}


def read(kind: Any, payload: Any) -> Any:
    return wire.decode(json.dumps(payload).encode(), kind)


@pytest.mark.parametrize(
    ("status", "word", "filled", "verdict", "reason"),
    [
        ("open", "make", 0, Verdict.ACCEPTED, None),
        ("open", "adjust", 2, Verdict.PARTIALLY_FILLED, None),
        ("open", "stop_created", 0, Verdict.ACCEPTED, None),
        ("partially_filled", "fulfill_limit", 2, Verdict.PARTIALLY_FILLED, None),
        ("filled", "fulfill_market", 4, Verdict.FILLED, None),
        ("filled", None, 2, Verdict.CANCELED, DROPPED),
        ("cancelled", "cancel", 2, Verdict.CANCELED, None),
        ("cancelled", "self_trade_prevented", 0, Verdict.CANCELED, "self_trade_prevented"),
        ("cancelled", "stop_parent_order_filled", 0, Verdict.CANCELED, "stop_parent_order_filled"),
        ("cancelled", "expired", 1, Verdict.EXPIRED, "expired"),
        ("cancelled", "post_only_rejected", 0, Verdict.REJECTED, "post_only_rejected"),
        ("rejected", None, 0, Verdict.REJECTED, None),
        ("cancelled", "stop_triggered", 0, Verdict.TRIGGERED, "stop_triggered"),
        ("paused", None, 0, Verdict.ACCEPTED, "paused"),
    ],
)
def test_statuses(
    status: str, word: str | None, filled: int, verdict: Verdict, reason: str | None
) -> None:
    found = verdict_of(status, word, filled=Decimal(filled), quantity=Decimal(4))
    assert (found, reason_of(status, word, found)) == (verdict, reason)


def test_a_type_that_is_new_waits_for_no_trigger() -> None:
    assert [is_trigger(kind) for kind in ("stop_market", "limit", "scale")] == [True, False, False]


def test_markets_without_spot() -> None:
    spot = {**MARKET, "symbol": "SOL-USDC", "instrument_type": "spot"}
    (found,) = translate.instruments(read(list[wire.MarketRow], [spot, MARKET]))
    assert (found.symbol, found.venue_symbol, found.asset_index) == ("BTC-PERP", "BTC", 1)
    assert found.price_rule.tick_size == Decimal(1)
    assert (found.min_notional, found.max_leverage) == (Decimal(10), 50)


@pytest.mark.parametrize("symbol", ["BTC", "-PERP", "SOL-USDC-PERP", "A/B-PERP"])
def test_what_is_no_perpetual_is_refused(symbol: str) -> None:
    with pytest.raises(InvalidInput, match="symbol"):
        translate.name_of(symbol)


def test_an_order_of_the_feed() -> None:
    found = translate.order_update(read(wire.OrderUpdate, UPDATE))
    assert found is not None
    assert (found.client_order_id, found.venue_order_id) == (ORDER_ID, "336542009")
    assert (found.verdict, found.filled_quantity) == (Verdict.PARTIALLY_FILLED, Decimal("0.0001"))
    assert (found.price, found.average_price) == (Decimal(63473), Decimal(63441))
    assert found.event_time == translate.at_ms(NOW_MS + 5)
    stop = {**UPDATE, "ot": "stop_market", "sp": "60000", "f": "0", "p": "0", "os": "open"}
    waiting = translate.order_update(read(wire.OrderUpdate, {**stop, "oe": "stop_created"}))
    assert waiting is not None
    assert (waiting.trigger_price, waiting.average_price) == (Decimal(60000), None)
    assert translate.order_update(read(wire.OrderUpdate, {**UPDATE, "s": "SOL-USDC"})) is None


def test_an_order_of_each_listing() -> None:
    shared = {
        "order_id": 7,
        "client_order_id": ORDER_ID,
        "symbol": "BTC",
        "side": "ask",
        "filled_amount": "0.5",
        "order_type": "limit",
        "created_at": NOW_MS,
    }
    listed = {**shared, "price": "10", "initial_amount": "2", "updated_at": NOW_MS + 1}
    found = translate.order_row(read(wire.OrderRow, listed))
    assert found is not None
    assert (found.side, found.quantity, found.price) == (OrderSide.SELL, Decimal(2), Decimal(10))
    assert (found.verdict, found.event_time) == (
        Verdict.PARTIALLY_FILLED,
        translate.at_ms(NOW_MS + 1),
    )
    ended = {
        **shared,
        "initial_price": "10",
        "average_filled_price": "9.5",
        "amount": "2",
        "order_status": "cancelled",
        "reason": "force_cancel",
    }
    found = translate.order_row(read(wire.OrderRow, ended))
    assert found is not None
    assert (found.verdict, found.average_price, found.reason) == (
        Verdict.CANCELED,
        Decimal("9.5"),
        "force_cancel",
    )
    with pytest.raises(wire.WireError, match="expected an amount of order 7"):
        translate.order_row(read(wire.OrderRow, shared))
    assert translate.order_row(read(wire.OrderRow, {**shared, "symbol": "SOL-USDC"})) is None


def test_an_order_is_as_its_newest_event_says() -> None:
    made = {
        "history_id": 1,
        "order_id": 7,
        "symbol": "BTC",
        "side": "bid",
        "price": "10",
        "initial_amount": "2",
        "filled_amount": "0",
        "order_type": "limit",
        "order_status": "open",
        "event_type": "make",
        "created_at": NOW_MS,
    }
    gone = {**made, "history_id": 2, "order_status": "cancelled", "event_type": "cancel"}
    for rows in ([gone, made], [made, gone]):
        found = translate.order_events(read(list[wire.OrderRow], rows))
        assert found is not None
        assert found.verdict is Verdict.CANCELED
    assert translate.order_events([]) is None


def test_a_fill_and_its_frame_are_one() -> None:
    listed = translate.fill("acc", read(wire.FillRow, FILL))
    frame = {
        "h": FILL["history_id"],
        "i": FILL["order_id"],
        "I": ORDER_ID,
        "u": OWNER,
        "s": "BTC",
        "p": "63441",
        "a": "0.0002",
        "te": "fulfill_taker",
        "ts": "open_long",
        "f": "0.005075",
        "n": "-0.005075",
        "t": NOW_MS,
        "tc": "normal",
    }
    assert translate.fill_frame("acc", read(wire.FillFrame, frame)) == listed
    assert listed is not None
    assert (listed.side, listed.liquidity_side) == (OrderSide.BUY, LiquiditySide.TAKER)
    assert (listed.fee, listed.realized_pnl) == (Decimal("0.005075"), Decimal(0))
    liquidated = {**FILL, "cause": "market_liquidation", "side": "close_long"}
    found = translate.fill("acc", read(wire.FillRow, liquidated))
    assert found is not None
    assert found.is_liquidation and found.side is OrderSide.SELL
    assert translate.fill("acc", read(wire.FillRow, {**FILL, "symbol": "SOL-USDC"})) is None


@pytest.mark.parametrize(
    ("field", "value"), [("side", "sideways"), ("event_type", "fulfill_nobody")]
)
def test_words_that_are_new_in_a_fill_are_no_guesses(field: str, value: str) -> None:
    with pytest.raises(wire.WireError, match="expected"):
        translate.fill("acc", read(wire.FillRow, {**FILL, field: value}))


def test_money_and_positions() -> None:
    row = read(
        wire.AccountRow,
        {
            "account_equity": "100",
            "available_to_spend": "90",
            "total_margin_used": "10",
            "cross_mmr": "1",
            "updated_at": NOW_MS - 5000,
        },
    )
    held = read(
        list[wire.PositionRow],
        [
            {
                "symbol": "BTC",
                "side": "ask",
                "amount": "0.2",
                "entry_price": "63000",
                "margin": "0",
                "isolated": False,
                "liquidation_price": "-5",
                "updated_at": NOW_MS,
            }
        ],
    )
    prices = {"BTC": read(wire.PriceRow, PRICE)}
    settings = {"BTC-PERP": LeverageSetting(symbol="BTC-PERP", leverage=10, mode=MarginMode.CROSS)}
    summary = translate.account_summary(account(), row, held, prices, settings)
    assert (summary.equity, summary.available) == (Decimal(100), Decimal(90))
    assert summary.event_time == translate.at_ms(NOW_MS)
    (position,) = summary.positions
    assert (position.side, position.notional) == (PositionSide.SHORT, Decimal("12700.0"))
    assert position.unrealized_pnl == Decimal("-100.0")
    assert (position.initial_margin, position.liquidation_price) == (Decimal("1270.00"), None)
    with pytest.raises(wire.WireError, match="price and leverage of BTC"):
        translate.account_summary(account(), row, held, {}, settings)


def test_market_data() -> None:
    book = read(wire.Book, {"s": "BTC", "t": NOW_MS, "l": [[{"p": "1", "a": "2", "n": 3}], []]})
    found = translate.order_book(book, depth=5, received_time=NOW)
    assert (found.bids[0].quantity, found.bids[0].order_count, found.asks) == (Decimal(2), 3, ())
    top = read(wire.TopOfBook, {"s": "BTC", "b": "1", "B": "2", "a": "0", "A": "0", "t": NOW_MS})
    assert translate.top_of_book(top, received_time=NOW).asks == ()
    ticker = translate.ticker(read(wire.PriceRow, {**PRICE, "mid": "0"}), received_time=NOW)
    assert (ticker.mark_price, ticker.mid_price) == (Decimal(63500), None)
    assert ticker.index_price == Decimal(63490)
    row = {"price": "10.0", "amount": "2", "side": "close_long", "created_at": NOW_MS}
    trade = translate.trade_row("BTC-PERP", read(wire.PublicTradeRow, row), received_time=NOW)
    assert trade.trade_id == f"{NOW_MS}-close_long-2-10"
    named = read(wire.PublicTradeRow, {**row, "history_id": 9})
    assert translate.trade_row("BTC-PERP", named, received_time=NOW).trade_id == "9"


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (wire.PriceRow, {**PRICE, "mark": "NaN"}),
        (wire.PriceRow, {**PRICE, "mark": "1e99"}),
        (wire.FillRow, {**FILL, "history_id": "7"}),
        (wire.Envelope, []),
    ],
)
def test_what_is_not_as_documented_is_said(kind: Any, payload: Any) -> None:
    with pytest.raises(wire.WireError, match="expected"):
        read(kind, payload)
