"""The judge of market data judged: silent about what is well, and it names what is not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.stream_chaos.follower import Heard
from tests.stream_chaos.market_judge import (
    judge_book,
    judge_ticker,
    judge_times,
    judge_top,
    judge_trades,
    trades_told,
)

EXCHANGE = {
    "bids": [["99.0", "1.50"], ["98", "2"]],
    "asks": [["101", "3"]],
    "mark_price": "100.0",
}


def book(kind: str, seq: int, bids: Any, asks: Any, *, full: bool = False, at: int = 0) -> Heard:
    body = {"bids": bids, "asks": asks, "full": full, "event_time": f"2026-01-01T00:00:{at:02}Z"}
    return Heard(kind, seq, body, 1, 0.0)


BEGIN = book("snapshot", 1, [["97", "1"], ["98", "2"]], [["101", "1"]])


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ([book("update", 2, [["97", "0"], ["99", "1.5"]], [["101", "3"]])], 0),
        ([book("update", 2, [["99", "1.5"], ["98", "2"]], [["101", "3"]], full=True)], 0),
        ([book("snapshot", 9, [["99", "1.5"], ["98", "2"]], [["101", "3"]])], 0),
        ([], 2),
        ([book("update", 2, [["97", "0"], ["99", "1.5"]], [["101", "2"]])], 1),
        ([book("update", 2, [["97", "0"], ["99", "1.4"]], [["101", "3"]])], 1),
        ([book("update", 2, [["97", "0"], ["99", "1.5"], ["96", "0"]], [["101", "3"]])], 1),
    ],
)
def test_books(changes: list[Heard], wrong: int) -> None:
    assert len(judge_book("client", [BEGIN, *changes], EXCHANGE)) == wrong


def test_only_levels_that_the_venue_sends_are_compared() -> None:
    deep = EXCHANGE | {"asks": [[str(101 + n), "3"] for n in range(9)]}
    shown = book("snapshot", 1, EXCHANGE["bids"], deep["asks"][:5])
    assert judge_book("client", [shown], deep) == []
    shown = book("snapshot", 1, EXCHANGE["bids"], deep["asks"][:4])
    assert len(judge_book("client", [shown], deep)) == 1


def test_times() -> None:
    whole, later = book("update", 1, [], [], at=1), book("update", 2, [], [], at=1)
    later.body["event_time"] = "2026-01-01T00:00:01.016000Z"
    assert judge_times("client", [whole, later]) == []
    assert len(judge_times("client", [later, whole])) == 1
    assert judge_times("client", [book("update", n, [], [], at=n) for n in (1, 2, 2, 5)]) == []
    assert len(judge_times("client", [book("update", n, [], [], at=n) for n in (1, 3, 2)])) == 1


def test_best_prices_and_tickers() -> None:
    assert judge_top("client", {"bid": ["99", "1.5"], "ask": ["101", "3"]}, EXCHANGE) == []
    assert len(judge_top("client", {"bid": ["99", "1.5"], "ask": None}, EXCHANGE)) == 1
    assert len(judge_top("client", {"bid": ["99", "1"], "ask": ["102", "3"]}, EXCHANGE)) == 2
    assert judge_ticker("client", {"ticker": {"mark_price": "100"}}, EXCHANGE) == []
    assert len(judge_ticker("client", {"ticker": {"mark_price": "101"}}, EXCHANGE)) == 1
    assert len(judge_ticker("client", {}, EXCHANGE)) == 1


def trades(kind: str, *told: tuple[str, str]) -> Heard:
    rows = [{"trade_id": key, "price": price, "quantity": "1"} for key, price in told]
    return Heard(kind, 1, {"trades": rows}, 1, 0.0)


MADE = {str(number): (Decimal(100), Decimal(1)) for number in range(5)}


@pytest.mark.parametrize(
    ("heard", "wrong"),
    [
        ([trades("snapshot", ("1", "100")), trades("update", ("2", "100.0"))], 0),
        ([trades("update", ("1", "100")), trades("snapshot", ("1", "100"))], 0),
        ([trades("update", ("1", "100")), trades("update", ("1", "100"))], 1),
        ([trades("update", ("1", "101"))], 1),
        ([trades("update", ("9", "100"))], 1),
    ],
)
def test_trades(heard: list[Heard], wrong: int) -> None:
    assert len(judge_trades("client", heard, MADE)) == wrong
    assert trades_told(heard) <= {"1", "2", "9"}
