from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.accounts import Network
from domain.latest_prices import FRESH, PART_LASTS, LatestPrice, PriceParts, with_newer_marks
from domain.market_data import BookLevel, OrderBook, Ticker
from domain.positions import MarkPrice
from tests.domain.test_positions import BTC, books

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ticker(after_s: float = 0, mark: str = "100") -> Ticker:
    return Ticker(
        venue="v",
        symbol="BTC-PERP",
        mark_price=Decimal(mark),
        index_price=Decimal("99.9"),
        mid_price=Decimal("100.5"),
        funding_rate=None,
        funding_interval_s=3600,
        open_interest=None,
        volume_24h=None,
        received_time=T0 + timedelta(seconds=after_s),
    )


def a_book(after_s: float = 0, bid: str | None = "99", ask: str | None = "101") -> OrderBook:
    def side(price: str | None) -> tuple[BookLevel, ...]:
        return () if price is None else (BookLevel(price=Decimal(price), quantity=Decimal(1)),)

    at = T0 + timedelta(seconds=after_s)
    return OrderBook(
        venue="v",
        symbol="BTC-PERP",
        bids=side(bid),
        asks=side(ask),
        event_time=at - timedelta(milliseconds=50),
        received_time=at,
    )


def price_of(parts: PriceParts) -> LatestPrice:
    found = parts.price("v", Network.PAPER, "BTC-PERP")
    assert found is not None
    return found


def test_nothing_known_is_no_price() -> None:
    assert PriceParts().price("v", Network.PAPER, "BTC-PERP") is None


def test_parts_make_one_price() -> None:
    found = price_of(PriceParts().with_ticker(ticker(0), "stream").with_book(a_book(1), "poll"))
    assert (found.mark_price, found.index_price) == (Decimal(100), Decimal("99.9"))
    best = (found.best_bid, found.best_ask, found.mid_price)
    assert best == (Decimal(99), Decimal(101), Decimal(100))
    assert found.received_time == T0 + timedelta(seconds=1)
    assert found.event_time == T0 + timedelta(seconds=0.95)
    assert found.source == "poll"


def test_the_middle_is_the_tickers_while_the_book_has_none() -> None:
    parts = PriceParts().with_ticker(ticker(), "stream")
    assert price_of(parts).mid_price == Decimal("100.5")
    assert price_of(parts.with_book(a_book(ask=None), "stream")).mid_price == Decimal("100.5")
    one_side = price_of(PriceParts().with_book(a_book(bid=None), "stream"))
    assert (one_side.best_bid, one_side.best_ask, one_side.mid_price) == (None, Decimal(101), None)


def test_what_is_older_than_known_changes_nothing() -> None:
    parts = PriceParts().with_ticker(ticker(5), "stream").with_book(a_book(5), "stream")
    assert parts.with_ticker(ticker(4, mark="1"), "poll") == parts
    assert parts.with_book(a_book(4, bid="1"), "poll") == parts


def test_a_part_that_grew_old_is_left_out() -> None:
    last_s = PART_LASTS.total_seconds()
    parts = PriceParts().with_ticker(ticker(), "stream").with_book(a_book(last_s), "stream")
    assert price_of(parts).mark_price == 100
    later = price_of(parts.with_book(a_book(last_s + 0.1), "stream"))
    assert (later.mark_price, later.index_price, later.best_bid) == (None, None, Decimal(99))
    other = PriceParts().with_book(a_book(), "stream").with_ticker(ticker(last_s + 1), "stream")
    assert price_of(other).best_bid is None
    assert price_of(other).mid_price == Decimal("100.5")
    assert price_of(other).event_time is None


def test_a_price_says_how_old_it_is() -> None:
    found = price_of(PriceParts().with_ticker(ticker(), "stream"))
    assert found.age_s(T0 + timedelta(seconds=2)) == 2
    assert found.age_s(T0 - timedelta(seconds=2)) == 0
    assert found.is_fresh(T0 + FRESH)
    assert not found.is_fresh(T0 + FRESH + timedelta(milliseconds=1))


def marked(after_s: float, mark: str = "120", **changes: Any) -> LatestPrice:
    parts = PriceParts().with_ticker(replace(ticker(after_s, mark), symbol=BTC), "stream")
    found = parts.price("hyperliquid", Network.PAPER, BTC)
    assert found is not None
    return replace(found, **changes)


def test_a_newer_mark_of_the_same_place_takes_over() -> None:
    known = books(marks={BTC: MarkPrice(price=Decimal(110), seen_at=T0)})
    newer = T0 + timedelta(seconds=1)
    assert with_newer_marks(known, [marked(1)]).marks == {
        BTC: MarkPrice(price=Decimal(120), seen_at=newer)
    }
    assert with_newer_marks(books(), [marked(1)]).marks[BTC].seen_at == newer
    for other in (
        marked(0),
        marked(-1),
        marked(1, venue="elsewhere"),
        marked(1, network=Network.MAINNET),
        marked(1, mark_price=None),
        marked(1, mark_received_time=None),
    ):
        assert with_newer_marks(known, [other]) == known
