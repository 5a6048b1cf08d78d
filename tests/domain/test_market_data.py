"""Books: a middle needs both sides."""

from __future__ import annotations

from decimal import Decimal

import pytest

from domain.market_data import BookLevel, OrderBook
from tests.domain.building import NOW


def side(*prices: str) -> tuple[BookLevel, ...]:
    return tuple(BookLevel(price=Decimal(price), quantity=Decimal(1)) for price in prices)


@pytest.mark.parametrize(
    ("bids", "asks", "mid"),
    [(["99", "98"], ["101.5"], "100.25"), ([], ["101"], None), (["99"], [], None)],
)
def test_the_middle_of_a_book(bids: list[str], asks: list[str], mid: str | None) -> None:
    book = OrderBook(
        venue="hyperliquid",
        symbol="BTC-PERP",
        bids=side(*bids),
        asks=side(*asks),
        event_time=NOW,
        received_time=NOW,
    )
    assert book.mid_price == (None if mid is None else Decimal(mid))
