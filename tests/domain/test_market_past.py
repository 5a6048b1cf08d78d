from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from domain.accounts import Network
from domain.errors import InvalidInput
from domain.market_data import FundingRate
from domain.market_past import ENTRIES_MAX, FUNDING_BACK_MAX, MarketPast, MarketQuery, PastQuestion

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TRADES = PastQuestion(
    venue="v", network=Network.PAPER, symbol="BTC-PERP", query=MarketQuery.TRADES, limit=10
)
FUNDING = replace(TRADES, query=MarketQuery.FUNDING)
CANDLES = replace(TRADES, query=MarketQuery.CANDLES, interval="4h")


@pytest.mark.parametrize(
    "question",
    [
        TRADES,
        replace(TRADES, limit=ENTRIES_MAX),
        replace(FUNDING, since=NOW - FUNDING_BACK_MAX),
        replace(FUNDING, since=NOW),
        replace(CANDLES, until=NOW),
    ],
)
def test_what_may_be_asked_is_asked(question: PastQuestion) -> None:
    question.check(NOW)


@pytest.mark.parametrize(
    ("question", "field"),
    [
        (replace(TRADES, symbol="btc"), "symbol"),
        (replace(TRADES, limit=0), "limit"),
        (replace(TRADES, limit=ENTRIES_MAX + 1), "limit"),
        (replace(TRADES, interval="1h"), "interval"),
        (replace(CANDLES, interval=None), "interval"),
        (replace(CANDLES, interval="4"), "interval"),
        (replace(CANDLES, until=NOW + timedelta(days=2)), "until"),
        (replace(FUNDING, since=NOW - FUNDING_BACK_MAX - timedelta(seconds=1)), "since"),
        (replace(FUNDING, since=NOW + timedelta(seconds=1)), "since"),
    ],
)
def test_what_may_not_be_asked_names_its_field(question: PastQuestion, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        question.check(NOW)
    assert refused.value.field == field


def test_windows_hold_what_is_wanted() -> None:
    assert CANDLES.candle_window(NOW) == (NOW - timedelta(hours=40), NOW)
    ends = NOW - timedelta(days=30)
    assert replace(CANDLES, until=ends).candle_window(NOW) == (ends - timedelta(hours=40), ends)
    assert FUNDING.funding_since(NOW) == NOW - timedelta(days=7)
    assert replace(FUNDING, since=ends).funding_since(NOW) == ends
    for far in (replace(CANDLES, interval="999M", limit=500), replace(CANDLES, interval="99M")):
        with pytest.raises(InvalidInput, match="2000"):
            replace(far, limit=500).candle_window(NOW)


def test_an_answer_grows_old() -> None:
    past = MarketPast(source="query", as_of=NOW)
    assert not past.is_stale(NOW + timedelta(seconds=15))
    assert past.is_stale(NOW + timedelta(seconds=16))
    assert past.age_s(NOW + timedelta(seconds=16)) == 16
    assert past.age_s(NOW - timedelta(seconds=1)) == 0


@pytest.mark.parametrize(("interval_s", "annual"), [(3600, "0.876"), (28_800, "0.1095")])
def test_rates_of_different_intervals_are_comparable(interval_s: int, annual: str) -> None:
    rate = FundingRate(
        venue="v", symbol="BTC-PERP", rate=Decimal("0.0001"), interval_s=interval_s, event_time=NOW
    )
    assert rate.annual_rate == Decimal(annual)
