"""What is shown of positions and money while they are followed. No terminal."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from cli.live_table import Cell
from cli.monitor_positions import MoneyView, PositionsView
from perp_dex_client import AccountEvent, LiveBalance, LivePosition, PositionsEvent
from tests.cli.test_market_views import T0, Time, texts

LABELS = {"a": "main", "b": "hedge"}


def held(symbol: str = "BTC-PERP", quantity: str = "1", **changes: Any) -> LivePosition:
    values: dict[str, Any] = {
        "position_id": f"a:{symbol}",
        "account_id": "a",
        "venue": "hyperliquid",
        "symbol": symbol,
        "side": "LONG",
        "quantity": Decimal(quantity),
        "realized_pnl": Decimal(0),
        "fees": Decimal(0),
        "funding": Decimal(0),
        "protection": "NONE",
        "source": "feed",
        "entry_price": Decimal(100),
        "mark_price": Decimal(90),
        "mark_at": T0,
        "unrealized_pnl": Decimal(-10),
        **changes,
    }
    return LivePosition(**values)


def told(*positions: LivePosition, account_id: str = "a", kind: str = "update") -> PositionsEvent:
    values: dict[str, Any] = {"kind": kind, "account_id": account_id, "seq": 3}
    return PositionsEvent(**values, positions=positions)


def test_positions_open_grow_lose_and_close() -> None:
    time = Time()
    view = PositionsView(LABELS, time.clock, time.now)
    assert view.take(told(account_id="b", kind="snapshot")) == ["hedge: no open positions"]
    first = view.take(told(held(), kind="snapshot"))
    assert first == ["2026-01-01 12:00:00 main:BTC-PERP LONG 1 entry 100 mark 90 unrealized -10"]
    assert view.take(told(held())) == [], "the same again"
    moved = view.take(told(held(mark_price=Decimal(80), unrealized_pnl=Decimal(-20))))
    assert len(moved) == 1
    assert view.notes() == ["hedge: no open positions", *first], "a mark alone is no event"
    view.take(told(held(quantity="2"), held("ETH-PERP", protection="GUARD")))
    assert [line.split()[2] for line in view.notes()[-2:]] == ["main:BTC-PERP", "main:ETH-PERP"]
    time.s += 4
    [table] = view.tables()
    bitcoin, ether = table.rows
    assert texts(bitcoin) == [
        *("main", "BTC-PERP", "LONG", "2", "100", "90", "4 s", "–", "-10", "–", "–", "NONE", "–")
    ]
    assert (bitcoin[8].tone, bitcoin[11].tone, ether[11].tone) == ("bad", "alarm", "")
    closed = view.take(told(held("ETH-PERP", protection="GUARD")))
    assert closed == ["2026-01-01 12:00:04 main:BTC-PERP closed"]
    assert view.notes()[-1] == closed[0]


def test_an_account_that_is_stale_says_for_how_long() -> None:
    time = Time()
    view = PositionsView(LABELS, time.clock, time.now)
    view.take(told(held()))
    stale = PositionsEvent(kind="status", account_id="a", stale=True, age_s=2.0, reason="cut\x07")
    assert view.take(stale) == ["main: stale 2 s: cut\\x07"]
    assert view.take(stale) == []
    time.s += 60
    assert view.tables()[0].rows[0][-1] == Cell("stale 62 s", "alarm")
    assert view.document(stale) == {
        **{"type": "status", "channel": "positions", "account": "main", "account_id": "a"},
        **{"stale": True, "age_s": 2.0, "reason": "cut\x07"},
    }
    document = view.document(told(held()))
    assert (document["seq"], document["positions"][0]["quantity"]) == (3, "1")
    stranger = view.document(told(account_id="c"))
    assert stranger["account"] == "c", "an account that came later has no label yet"


def test_money_of_each_account() -> None:
    time = Time()
    view = MoneyView(LABELS, time.clock, time.now)
    unheard = AccountEvent(kind="snapshot", account_id="b", seq=1)
    assert view.take(unheard) == ["hedge: its exchange was not heard yet"]
    balance = LiveBalance(
        account_id="a",
        equity=Decimal(1000),
        available=Decimal(600),
        initial_margin=Decimal(400),
        maintenance_margin=Decimal(200),
        event_time=T0,
        as_of=T0 - timedelta(seconds=3),
        source="feed",
    )
    event = AccountEvent(kind="update", account_id="a", seq=2, balance=balance)
    assert view.take(event) == [
        "2026-01-01 11:59:57 main equity 1000 available 600 initial margin 400"
    ]
    assert view.take(AccountEvent(kind="status", account_id="a", stale=False)) == ["main: live"]
    [table] = view.tables()
    assert [texts(row) for row in table.rows] == [
        ["hedge", "–", "–", "–", "–", "–", "–"],
        ["main", "1000", "600", "400", "200", "3 s", "live"],
    ]
    assert view.document(unheard)["balance"] is None
    assert view.document(event)["balance"]["equity"] == "1000"
    assert view.document(AccountEvent(kind="status", account_id="a"))["type"] == "status"
    assert len(view.notes()) == 3
