"""Markets over all venues, page by page, and what a market's past holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from domain.accounts import FeeRates, Network
from domain.errors import InvalidInput, PerpDexError, Unavailable, VenueRefused, VenueUnavailable
from domain.market_past import MarketQuery
from tests.api.serving import BTC, NOON, Api

SEEN = datetime(2026, 1, 2, tzinfo=UTC)
PATHS = ("trades", "funding", "candles")


@pytest.fixture
async def two_venues(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """An API that offers a second venue, with two markets of its own."""
    second = replace(
        BTC,
        venue="pacifica",
        venue_symbol="XBT",
        min_quantity=Decimal("0.0001"),
        fees=FeeRates(maker=Decimal("0.00015"), taker=Decimal("0.0004")),
    )
    sol = replace(second, symbol="SOL-PERP", venue_symbol="SOL", asset_index=1, fees=None)
    await api.storage.markets.save(Network.PAPER, [second, sol], seen_at=SEEN)
    object.__setattr__(api.parts, "venues", ("hyperliquid", "pacifica"))
    return api


async def listed(api: Api, query: str = "") -> list[tuple[str, str]]:
    answer = await api.http.get(f"/api/v1/markets{query}")
    assert answer.status_code == 200, answer.text
    return [(market["symbol"], market["venue"]) for market in answer.json()["markets"]]


async def test_one_spelling_stands_together_over_all_venues(two_venues: Api) -> None:
    assert await listed(two_venues) == [
        ("BTC-PERP", "hyperliquid"),
        ("BTC-PERP", "pacifica"),
        ("OLD-PERP", "hyperliquid"),
        ("SOL-PERP", "pacifica"),
    ]
    assert await listed(two_venues, "?symbol=BTC-PERP") == [
        ("BTC-PERP", "hyperliquid"),
        ("BTC-PERP", "pacifica"),
    ]
    assert await listed(two_venues, "?venue=pacifica") == [
        ("BTC-PERP", "pacifica"),
        ("SOL-PERP", "pacifica"),
    ]
    assert await listed(two_venues, "?venue=pacifica&symbol=BTC-PERP") == [("BTC-PERP", "pacifica")]
    assert await listed(two_venues, "?symbol=NONE-PERP") == []
    answer = await two_venues.http.get("/api/v1/markets?symbol=BTC-PERP&venue=pacifica")
    (market,) = answer.json()["markets"]
    assert market["venue_symbol"] == "XBT"
    assert (market["maker_fee"], market["taker_fee"]) == ("0.00015", "0.0004")
    assert (market["min_quantity"], market["state"]) == ("0.0001", "OPEN")
    assert market["seen_at"] == "2026-01-02T00:00:00Z"
    alone = await two_venues.http.get("/api/v1/markets/BTC-PERP?venue=pacifica")
    assert alone.json() == market
    assert market["experimental"] is None, "no worker tells of it"


async def test_the_letter_for_a_thousand_is_taken_everywhere(api: Api) -> None:
    pepe = replace(BTC, symbol="1000PEPE-PERP", venue_symbol="kPEPE", asset_index=7)
    await api.storage.markets.save(Network.PAPER, [pepe], seen_at=SEEN)

    assert await listed(api, "?symbol=kPEPE-PERP") == [("1000PEPE-PERP", "hyperliquid")]
    market = await api.http.get("/api/v1/markets/kPEPE-PERP")
    assert (market.json()["symbol"], market.json()["venue_symbol"]) == ("1000PEPE-PERP", "kPEPE")
    first = await api.place(symbol="kPEPE-PERP", client_key="mine")
    again = await api.place(symbol="1000PEPE-PERP", client_key="mine")
    assert (first.status_code, first.json()["symbol"]) == (201, "1000PEPE-PERP")
    assert (again.status_code, again.json()) == (201, first.json())
    orders = (await api.http.get("/api/v1/orders?symbol=kPEPE-PERP")).json()["orders"]
    assert [order["order_id"] for order in orders] == [first.json()["order_id"]]
    for name in ("kPEPE-PERP", "paper:kPEPE-PERP"):
        closing = await api.post(f"/api/v1/positions/{name}/close", {}, **{"Idempotency-Key": name})
        assert (closing.status_code, closing.json()["symbol"]) == (201, "1000PEPE-PERP")
        position = await api.http.get(f"/api/v1/positions/{name}")
        assert position.status_code == 200, position.text


async def test_markets_of_an_experimental_venue_are_marked(two_venues: Api) -> None:
    served = two_venues.venues.said["hyperliquid"]
    for marked in (False, True):
        sheet = replace(served.sheet, experimental=marked)
        two_venues.venues.said["hyperliquid"] = replace(served, sheet=sheet)
        answer = (await two_venues.http.get("/api/v1/markets?symbol=BTC-PERP")).json()
        told = {market["venue"]: market["experimental"] for market in answer["markets"]}
        assert told == {"hyperliquid": marked, "pacifica": None}
    alone = await two_venues.http.get("/api/v1/markets/BTC-PERP?venue=hyperliquid")
    assert alone.json()["experimental"] is True
    two_venues.venues.error = Unavailable("Valkey does not answer")
    answer = await two_venues.http.get("/api/v1/markets?symbol=BTC-PERP")
    assert answer.status_code == 200
    assert {market["experimental"] for market in answer.json()["markets"]} == {None}


async def test_pages_follow_each_other_and_show_everything_once(two_venues: Api) -> None:
    shown: list[tuple[str, str]] = []
    cursor = ""
    for _ in range(3):
        answer = (await two_venues.http.get(f"/api/v1/markets?limit=2{cursor}")).json()
        shown += [(market["symbol"], market["venue"]) for market in answer["markets"]]
        assert answer["has_more"] is (answer["next_cursor"] is not None)
        if not answer["has_more"]:
            break
        cursor = f"&cursor={answer['next_cursor']}"
    assert shown == await listed(two_venues)
    assert len(shown) == 4


WRONG_LISTINGS = (
    ("limit=0", "limit"),
    ("limit=501", "limit"),
    ("limit=1e1", "limit"),
    ("cursor=what", "cursor"),
    ("cursor=WzEsMl0", "cursor"),
    ("cursor=WyJcdWQ4MDAiLCJhIl0", "cursor"),
    (f"cursor={'a' * 513}", "cursor"),
    ("symbol=btc", "symbol"),
    ("symbol=%00", "symbol"),
    ("venue=ftx", "venue"),
)


async def test_wrong_listings_are_422(api: Api) -> None:
    for query, parameter in WRONG_LISTINGS:
        answer = await api.http.get(f"/api/v1/markets?{query}")
        assert answer.status_code == 422, query
        assert answer.json()["errors"][0]["parameter"] == parameter, query


async def test_trades_are_told_with_both_clocks_and_their_age(api: Api) -> None:
    found = (await api.http.get("/api/v1/markets/BTC-PERP/trades?limit=5")).json()
    assert (found["venue"], found["symbol"], found["network"]) == (
        "hyperliquid", "BTC-PERP", "paper",
    )  # fmt: skip
    assert (found["source"], found["stale"]) == ("query", False)
    assert 0 <= found["age_ms"] < 5_000
    assert found["trades"] == [
        {
            "trade_id": "7",
            "price": "45000.5",
            "quantity": "0.02",
            "aggressor_side": "SELL",
            "event_time": "2026-01-01T12:00:00Z",
            "received_time": "2026-01-01T12:00:00.120000Z",
        }
    ]
    (asked,) = api.past.asked
    assert (asked.query, asked.limit, asked.interval) == (MarketQuery.TRADES, 5, None)


async def test_an_answer_from_before_is_said_to_be_old(api: Api) -> None:
    api.past.as_of = datetime.now(UTC) - timedelta(seconds=40)
    found = (await api.http.get("/api/v1/markets/BTC-PERP/trades")).json()
    assert found["stale"] is True
    assert found["age_ms"] >= 40_000


async def test_funding_is_told_for_now_and_for_before(api: Api) -> None:
    found = (await api.http.get("/api/v1/markets/BTC-PERP/funding")).json()
    rate = {
        "rate": "0.0000125",
        "interval_s": 3600,
        "annual_rate": "0.1095",
        "event_time": "2026-01-01T12:00:00Z",
    }
    assert (found["present"], found["rates"]) == (rate, [rate])
    since = (datetime.now(UTC) - timedelta(days=3)).replace(microsecond=0)
    answer = await api.http.get(
        "/api/v1/markets/BTC-PERP/funding", params={"since": since.isoformat(), "limit": "9"}
    )
    assert answer.status_code == 200
    assert (api.past.asked[-1].since, api.past.asked[-1].limit) == (since, 9)


async def test_candles_say_which_of_them_goes_on(api: Api) -> None:
    found = (await api.http.get("/api/v1/markets/BTC-PERP/candles?interval=1h&limit=2")).json()
    assert found["interval"] == "1h"
    assert [candle["closed"] for candle in found["candles"]] == [True, False]
    assert found["candles"][0] == {
        "open_time": "2026-01-01T12:00:00Z",
        "close_time": "2026-01-01T13:00:00Z",
        "open": "1",
        "high": "4",
        "low": "0.5",
        "close": "2",
        "volume": "3",
        "closed": True,
    }
    await api.http.get(
        "/api/v1/markets/BTC-PERP/candles", params={"until": NOON.isoformat(), "interval": "1d"}
    )
    assert (api.past.asked[-1].until, api.past.asked[-1].interval) == (NOON, "1d")


WRONG_QUESTIONS = (
    *((f"{path}?limit={limit}", "limit") for path in PATHS for limit in ("0", "501", "x")),
    *((f"{path}?venue=ftx", "venue") for path in PATHS),
    ("funding?since=2026-01-01T00:00:00", "since"),
    ("funding?since=2020-01-01T00:00:00Z", "since"),
    ("funding?since=2999-01-01T00:00:00Z", "since"),
    ("candles?interval=7", "interval"),
    ("candles?interval=", "interval"),
    ("candles?until=2999-01-01T00:00:00Z", "until"),
    ("candles?until=2026-01-01T00:00:00", "until"),
    ("candles?until=0001-01-01T00:00:00Z", "until"),
    ("candles?interval=999M&limit=500", "until"),
)


async def test_wrong_questions_are_422_and_go_nowhere(api: Api) -> None:
    for path, parameter in WRONG_QUESTIONS:
        answer = await api.http.get(f"/api/v1/markets/BTC-PERP/{path}")
        assert answer.status_code == 422, path
        assert answer.json()["errors"][0]["parameter"] == parameter, path
    assert api.past.asked == []


async def test_unknown_markets_have_no_past(api: Api) -> None:
    for path in PATHS:
        assert (await api.http.get(f"/api/v1/markets/NONE-PERP/{path}")).status_code == 404
    assert api.past.asked == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unavailable("no streaming"), 503),
        (VenueUnavailable("the venue is away"), 503),
        (VenueRefused("no"), 422),
        (InvalidInput("venue", "hyperliquid tells trades"), 422),
    ],
)
async def test_what_nobody_tells_is_an_error_and_never_nothing(
    api: Api, error: PerpDexError, status: int
) -> None:
    api.past.error = error
    for path in PATHS:
        answer = await api.http.get(f"/api/v1/markets/BTC-PERP/{path}")
        assert answer.status_code == status, answer.text
        assert answer.json()["code"] == error.code
