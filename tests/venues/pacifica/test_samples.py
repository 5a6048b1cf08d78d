"""Recorded payloads of the venue go through wire and translate, where this machine has them.

Those that ccxt recorded spell ids, times and counts as strings, which the venue does not; they are
read as the numbers that they are.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from domain.orders import Verdict
from tests.venues.pacifica.building import NOW, sample, samples
from venues.pacifica import translate, wire

NUMBERS = {
    "order_id",
    "last_order_id",
    "created_at",
    "updated_at",
    "cancelled_count",
    "positions_count",
    "orders_count",
    "stop_orders_count",
    "fee_level",
}
READERS: dict[str, Any] = {
    "ccxt_account.json": wire.AccountRow,
    "ccxt_create_market_order_response.json": wire.OrderNamed,
    "ccxt_info_perp_and_spot.json": list[wire.MarketRow],
    "ccxt_open_orders.json": list[wire.OrderRow],
    "ccxt_order_history_by_id.json": list[wire.OrderRow],
    "ccxt_positions.json": list[wire.PositionRow],
    "captured_positions_after_open.json": list[wire.PositionRow],
    "get-account-info.md": list[wire.AccountRow],
    "get-account-settings.md": list[wire.SettingRow],
    "get-trade-history.md": list[wire.FillRow],
    "get-historical-funding.md": list[wire.FundingRateRow],
    "get-kline-candle-data.md": list[wire.Kline],
    "get-orderbook.md": wire.Book,
    "get-prices.md": list[wire.PriceRow],
    "get-open-orders.md": list[wire.OrderRow],
    "get-order-history-by-id.md": list[wire.OrderRow],
}
CHANNELS: dict[str, Any] = {
    "account_order_updates": list[wire.OrderUpdate],
    "account_trades": list[wire.FillFrame],
    "bbo": wire.TopOfBook,
    "book": wire.Book,
    "candle": wire.Kline,
    "prices": list[wire.PriceRow],
    "trades": list[wire.PublicTrade],
    "subscribe": wire.Subscription,
}


def as_sent(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: as_sent(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_sent(inner, name) for inner in value]
    is_number = name in NUMBERS and isinstance(value, str) and value.isdigit()
    return int(value) if is_number else value


def encoded(value: Any) -> bytes:
    return json.dumps(as_sent(value)).encode()


def read(name: str, recorded: Any) -> Any:
    envelope = wire.decode(encoded(recorded), wire.Envelope)
    return wire.decode(bytes(envelope.data), READERS[name])


def answers() -> list[tuple[str, Any]]:
    root = samples()
    if root is None:
        return []
    found = [(path.name, json.loads(path.read_text())) for path in (root / "rest").glob("*.json")]
    for page in sample("rest/docs_examples.json")["pages"]:
        name = page["page"].rpartition("/")[2]
        found += [(name, one["json"]) for one in page["examples"]]
    return [(name, one) for name, one in found if name in READERS and one.get("success")]


def test_every_recorded_answer_can_be_read() -> None:
    seen = set()
    for name, recorded in answers():
        read(name, recorded)
        seen.add(name)
    assert samples() is None or len(seen) >= len(READERS) - 1


def test_recorded_orders_positions_and_fills_make_sense() -> None:
    for name, recorded in answers():
        rows = read(name, recorded)
        if READERS[name] == list[wire.OrderRow]:
            orders = [translate.order_row(row) for row in rows]
            assert all(order is not None and order.quantity > 0 for order in orders)
        elif READERS[name] == list[wire.FillRow]:
            fills = [translate.fill("acc", row) for row in rows]
            assert all(fill is not None and fill.quantity > 0 for fill in fills)
        elif name == "ccxt_info_perp_and_spot.json":
            (market,) = translate.instruments(rows)
            assert market.symbol == "BTC-PERP"


def frames(name: str) -> list[Any]:
    recorded = sample(f"ws/{name}")
    if recorded is None:
        return []
    return [*recorded.get("confirmations", []), *recorded["messages"]]


def seen_in(name: str, channel: str) -> list[Any]:
    found = []
    for frame in frames(name):
        read_frame = wire.decode(encoded(frame), wire.Frame)
        if read_frame.channel == channel and channel in CHANNELS:
            rows = wire.decode(bytes(read_frame.data), CHANNELS[channel])
            found += rows if isinstance(rows, list) else [rows]
    return found


def test_recorded_life_of_a_limit_order() -> None:
    name = "captured_ws_limit_place_cancel.json"
    orders = [translate.order_update(row) for row in seen_in(name, "account_order_updates")]
    expected = [Verdict.ACCEPTED, Verdict.CANCELED] if samples() else []
    assert [order.verdict for order in orders if order] == expected


def test_recorded_market_order() -> None:
    name = "captured_market_open.json"
    orders = [translate.order_update(row) for row in seen_in(name, "account_order_updates")]
    fills = [translate.fill_frame("acc", row) for row in seen_in(name, "account_trades")]
    if samples() is None:
        return
    assert [order.verdict for order in orders if order] == [Verdict.ACCEPTED, Verdict.FILLED]
    assert fills[0] is not None and orders[1] is not None
    assert fills[0].venue_order_id == orders[1].venue_order_id
    assert (fills[0].price, orders[1].average_price) == (Decimal(63441), Decimal(63441))


def test_recorded_public_frames() -> None:
    for row in seen_in("captured_bbo.json", "bbo"):
        book = translate.top_of_book(row, received_time=NOW)
        assert book.bids[0].price < book.asks[0].price
    for row in seen_in("captured_public_trades.json", "trades"):
        assert translate.trade(row, received_time=NOW).quantity > 0


def test_documented_frames_can_be_read() -> None:
    recorded = sample("ws/docs_examples.json")
    seen = set()
    for page in recorded["pages"] if recorded else []:
        for one in page["examples"]:
            frame = wire.decode(encoded(one["json"]), wire.Frame)
            if frame.channel in CHANNELS:
                wire.decode(bytes(frame.data), CHANNELS[frame.channel])
                seen.add(frame.channel)
    assert recorded is None or {"book", "candle", "prices", "account_trades"} <= seen
