"""What is shown of markets, orders and accounts while they are followed. No terminal."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from rich.console import Console

from cli.following import Link
from cli.live_screen import drawn
from cli.live_table import Cell, Notes, age_text, money
from cli.market_views import MarketsView, OneMarketView
from cli.monitor_orders import ENDED_SHOWN_MAX, OrdersView
from perp_dex_client import MarketEvent, Order, OrderEvent, PriceLevel, PublicTrade, TickerNow

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Time:
    """A clock that is moved by hand."""

    s: float = 100.0

    def clock(self) -> float:
        return self.s

    def now(self) -> datetime:
        return T0 + timedelta(seconds=self.s - 100)


def heard(channel: str = "top", kind: str = "update", **changes: Any) -> MarketEvent:
    values: dict[str, Any] = {
        "kind": kind,
        "channel": channel,
        "symbol": "BTC-PERP",
        "network": "paper",
        "venue": "hyperliquid",
        "source": "stream",
        "received_time": T0,
        **changes,
    }
    return MarketEvent(**values)


def level(price: str, quantity: str = "1") -> tuple[PriceLevel, ...]:
    return (PriceLevel(Decimal(price), Decimal(quantity)),)


def texts(row: tuple[Cell, ...]) -> list[str]:
    return [cell.text for cell in row]


def test_a_market_in_a_row_and_how_old_it_is() -> None:
    time = Time()
    view = MarketsView(time.clock, time.now)
    first = view.take(heard(bids=level("100"), asks=level("101", "2")))
    assert first == ["2026-01-01 12:00:00 BTC-PERP hyperliquid bid 100 ask 101 mark –"]
    ticker = TickerNow(
        funding_interval_s=3600, mark_price=Decimal("100.5"), funding_rate=Decimal("-0.0001")
    )
    assert view.take(heard("ticker", ticker=ticker)) != []
    assert view.take(heard("ticker", ticker=ticker)) == [], "nothing that is shown changed"
    assert view.take(heard(kind="status", stale=False)) == [
        "BTC-PERP hyperliquid top: live (stream)"
    ]
    time.s += 3
    [table] = view.tables()
    assert texts(table.rows[0]) == [
        *("BTC-PERP", "hyperliquid", "1", "100", "101", "2", "100.5", "–"),
        *("-0.0100", "–", "3 s", "live"),
    ]
    stale = heard(kind="status", stale=True, age_s=3.0, reason="it is silent")
    assert view.take(stale) == ["BTC-PERP hyperliquid top: stale 3 s: it is silent"]
    assert view.take(stale) == []
    time.s += 2
    assert view.tables()[0].rows[0][-1] == Cell("stale 5 s", "alarm")
    assert len(view.notes()) == 2


def test_another_way_than_the_stream_is_named() -> None:
    time = Time()
    view = MarketsView(time.clock, time.now)
    view.take(heard(bids=level("1"), source="poll"))
    assert view.tables()[0].rows[0][-1].text == "–", "nobody has said how fresh it is"
    view.take(heard(kind="status", stale=False, source="poll"))
    assert view.tables()[0].rows[0][-1].text == "live (poll)"
    never = heard(kind="status", stale=True, source=None, symbol="X-PERP", venue=None)
    assert view.take(never) == [], "so it begins"
    assert view.take(never) == ["X-PERP all top: stale, never heard: "]
    assert view.take(never) == []


def test_one_market_with_its_book_and_trades() -> None:
    time = Time()
    view = OneMarketView("BTC-PERP", 1, time.clock, time.now)
    bids = (*level("100"), *level("99"))
    assert view.take(heard("book", kind="snapshot", bids=bids)) == [
        "2026-01-01 12:00:00 bid 100 ask – mark –"
    ]
    assert view.take(heard("book", bids=bids)) == []
    trade = PublicTrade(
        trade_id="t",
        price=Decimal(100),
        quantity=Decimal(2),
        aggressor_side="SELL",
        event_time=T0,
        received_time=T0,
    )
    assert (
        view.take(heard("trades", kind="snapshot", trades=(trade,) * 9))
        == ["2026-01-01 12:00:00 SELL 2 at 100"] * 9
    )
    prices, book, trades = view.tables()
    assert [texts(row) for row in book.rows] == [["1", "100", "", ""]]
    assert len(trades.rows) == 8
    assert trades.rows[0][1].tone == "bad"
    assert texts(prices.rows[0])[-2:] == ["0 s", "–"]
    view.take(heard("book", kind="status", stale=False))
    view.take(heard("trades", kind="status", stale=True))
    assert view.tables()[0].rows[0][-1] == Cell("live"), "that nobody trades makes no price old"


def test_documents_carry_what_the_channel_has() -> None:
    time = Time()
    view = OneMarketView("x", 5, time.clock, time.now)
    shared = PriceLevel(Decimal(1), Decimal(3), (("a", Decimal(1)), ("b", Decimal(2))))
    top = view.document(heard(seq=4, venue=None, bids=(shared,)))
    assert (top["bid"], top["ask"]) == (["1", "3", [["a", "1"], ["b", "2"]]], None)
    assert (top["seq"], top["received_time"]) == (4, "2026-01-01T12:00:00Z")
    book = view.document(heard("book", bids=level("1"), asks=()))
    assert (book["bids"], book["asks"]) == ([["1", "1"]], [])
    status = view.document(heard(kind="status", stale=True, age_s=1.5))
    assert (status["stale"], status["age_s"], "seq" in status) == (True, 1.5, False)
    assert view.document(heard("trades", backlog=True))["backlog"] is True
    assert view.document(heard("ticker"))["ticker"] is None


def an_order(number: int, status: str = "ACCEPTED", **changes: Any) -> Order:
    values: dict[str, Any] = {
        "order_id": f"order-{number}",
        "account_id": "a",
        "venue": "hyperliquid",
        "symbol": "BTC-PERP\x1b[31m",
        "side": "BUY",
        "order_type": "LIMIT",
        "time_in_force": "GTC",
        "quantity": Decimal(1),
        "filled_quantity": Decimal(0),
        "remaining_quantity": Decimal(1),
        "status": status,
        "outcome": "accepted",
        "created_at": T0,
        "updated_at": T0 + timedelta(seconds=number),
        **changes,
    }
    return Order(**values)


def test_open_orders_come_first_and_only_the_latest_of_the_ended_stay() -> None:
    time = Time()
    view = OrdersView({"a": "main"}, time.clock, time.now)
    parts = [tuple(an_order(n, "FILLED") for n in range(20)), (an_order(20), an_order(21))]
    first = OrderEvent(kind="snapshot", account_id="a", seq=1, orders=parts[0], more=True)
    assert view.take(first) == []
    lines = view.take(OrderEvent(kind="snapshot", account_id="a", seq=1, orders=parts[1]))
    assert len(lines) == 2
    assert "BTC-PERP\\x1b[31m" in lines[0]
    [table] = view.tables()
    assert [row[-1].text for row in table.rows[:3]] == ["order-21", "order-20", "order-19"]
    assert len(table.rows) == 2 + ENDED_SHOWN_MAX
    view.take(OrderEvent(kind="snapshot", account_id="a", seq=9, orders=()))
    assert view.tables()[0].rows == (), "a new snapshot is all there is"


def test_what_is_old_has_no_colour() -> None:
    time = Time()
    view = OrdersView({}, time.clock, time.now)
    view.take(OrderEvent(kind="snapshot", account_id="a", seq=1, orders=(an_order(1),)))

    def shown(*, is_old: bool) -> str:
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, color_system="standard", width=200)
        console.print(drawn(view, [Cell("live", "good")], is_old=is_old))
        return out.getvalue()

    assert "\x1b[32mBUY" in shown(is_old=False)
    assert "\x1b[32mBUY" not in shown(is_old=True)
    assert "\x1b[31m" not in shown(is_old=False), "text from outside steers nothing"


def test_the_connection_is_told_once_each_way() -> None:
    time = Time()
    link = Link(time.clock)
    assert [cell.text for cell in link.headline()] == ["connecting"]
    assert link.take(False, "refused") == "not connected: refused; trying again"
    assert link.take(False, "refused") is None
    assert link.take(True, "") == "connected again after 0 s"
    assert (link.is_up, link.was_up) == (True, True)
    assert link.take(True, "") is None
    assert link.take(False, "cut\x07") == "disconnected: cut\\x07; trying again"
    time.s += 3
    assert [cell.text for cell in link.headline()] == ["disconnected, age 3 s", "cut\\x07"]
    assert link.take(True, "") == "connected again after 3 s"
    assert link.headline() == (Cell("live", "good"),)


def test_small_things() -> None:
    assert [age_text(s) for s in (-1, 3, 119, 150, 7300)] == ["0 s", "3 s", "119 s", "2 min", "2 h"]
    assert money(None) == Cell(None)
    assert money(Decimal(0)) == Cell(Decimal(0))
    assert money(Decimal("-1.5")) == Cell("-1.5", "bad")
    assert money(Decimal(2)) == Cell("+2", "good")
    notes = Notes(2)
    notes.add(["a", "b", "c"])
    assert notes.all() == ["b", "c"]
