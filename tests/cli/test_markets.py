"""`perp-dex market list|info|trades|funding|candles`: one venue, and all beside each other."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cli.exit_codes import ExitCode
from domain.accounts import FeeRates, Network
from domain.errors import VenueUnavailable
from domain.market_past import MarketPast, PastQuestion
from tests.api.serving import BTC, NOON, Api
from tests.cli.conftest import Terminal


@pytest.fixture
async def two_venues(api: Api) -> Api:
    second = replace(
        BTC,
        venue="pacifica",
        venue_symbol="XBT",
        min_quantity=Decimal("0.0001"),
        fees=FeeRates(maker=Decimal("0.00015"), taker=Decimal("0.0004")),
    )
    await api.storage.markets.save(Network.PAPER, [second], seen_at=datetime.now(UTC))
    object.__setattr__(api.parts, "venues", ("hyperliquid", "pacifica"))
    return api


async def test_markets_of_all_venues_stand_under_one_spelling(
    desk: Terminal, two_venues: Api
) -> None:
    shown = (await desk("market", "list", "--symbol", "BTC-PERP")).out
    assert "hyperliquid (paper)" in shown
    assert "XBT" in shown and "0.015" in shown and "0.04" in shown and "5 figures" in shown
    assert "OLD-PERP" not in shown
    listed = json.loads((await desk("market", "list", "--json")).out)["markets"]
    assert [(m["symbol"], m["venue"]) for m in listed] == [
        ("BTC-PERP", "hyperliquid"),
        ("BTC-PERP", "pacifica"),
        ("OLD-PERP", "hyperliquid"),
    ]
    of_one = json.loads((await desk("market", "list", "--venue", "pacifica", "--json")).out)
    assert [m["venue_symbol"] for m in of_one["markets"]] == ["XBT"]
    beside = json.loads((await desk("market", "info", "BTC-PERP", "--venue", "all", "--json")).out)
    assert [m["venue"] for m in beside["venues"]] == ["hyperliquid", "pacifica"]
    assert "XBT" in (await desk("market", "info", "BTC-PERP", "--venue", "all")).out
    nowhere = await desk("market", "info", "XYZ-PERP", "--venue", "all")
    assert (nowhere.code, nowhere.out) == (ExitCode.NOT_FOUND, "")
    assert "no venue has a market XYZ-PERP" in nowhere.err


async def test_trades_say_how_old_they_are(desk: Terminal, api: Api) -> None:
    shown = await desk("market", "trades", "BTC-PERP", "--limit", "5")
    assert "2026-01-01 12:00:00" in shown.out and "45000.5" in shown.out
    assert "ms ago, by query\n" in shown.out
    assert api.past.asked[-1].limit == 5
    found = json.loads((await desk("market", "trades", "BTC-PERP", "--json")).out)
    assert found["trades"][0]["event_time"] == "2026-01-01T12:00:00Z"
    assert found["trades"][0]["received_time"] == "2026-01-01T12:00:00.120000Z"
    assert found["stale"] is False
    api.past.as_of = datetime.now(UTC) - timedelta(seconds=50)
    assert "an older answer" in (await desk("market", "trades", "BTC-PERP")).out
    assert (await desk("market", "trades", "BTC-PERP", "--limit", "0")).code == ExitCode.USAGE
    assert (await desk("market", "trades", "XYZ-PERP")).code == ExitCode.NOT_FOUND


async def test_funding_of_one_venue(desk: Terminal, api: Api) -> None:
    shown = (await desk("market", "funding", "BTC-PERP", "--days", "90")).out
    assert "0.00125 % every 1 h, 10.95 % a year" in shown
    since = api.past.asked[-1].since
    assert since is not None
    assert timedelta(days=89, hours=23) < datetime.now(UTC) - since <= timedelta(days=90)
    found = json.loads((await desk("market", "funding", "BTC-PERP", "--json")).out)
    assert found["present"]["annual_rate"] == "0.1095"
    assert found["rates"][0]["interval_s"] == 3600
    assert (await desk("market", "funding", "BTC-PERP", "--days", "91")).code == ExitCode.USAGE


async def test_one_venue_that_is_away_does_not_hide_the_others_funding(
    desk: Terminal, two_venues: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = two_venues.past.request_past

    async def one_is_away(question: PastQuestion) -> MarketPast:
        if question.venue == "pacifica":
            raise VenueUnavailable("pacifica is away")
        return await answers(question)

    monkeypatch.setattr(two_venues.past, "request_past", one_is_away)
    shown = (await desk("market", "funding", "BTC-PERP", "--venue", "all")).out
    assert "10.95" in shown and "pacifica is away" in shown
    found = json.loads(
        (await desk("market", "funding", "BTC-PERP", "--venue", "all", "--json")).out
    )
    first, second = found["venues"]
    assert (first["venue"], first["problem"]) == ("hyperliquid", None)
    assert first["funding"]["present"]["rate"] == "0.0000125"
    assert (second["venue"], second["funding"]) == ("pacifica", None)
    assert "pacifica is away" in second["problem"]
    nowhere = await desk("market", "funding", "XYZ-PERP", "--venue", "all")
    assert nowhere.code == ExitCode.NOT_FOUND


async def test_candles_tell_which_of_them_goes_on(desk: Terminal, api: Api) -> None:
    shown = (await desk("market", "candles", "BTC-PERP", "--until", "2026-01-01T12:00")).out
    assert shown.count("goes on") == 1 and "2026-01-01 12:00:00" in shown
    assert api.past.asked[-1].until == NOON
    found = json.loads(
        (await desk("market", "candles", "BTC-PERP", "--interval", "4h", "--json")).out
    )
    assert found["interval"] == "4h"
    assert [candle["closed"] for candle in found["candles"]] == [True, False]
    wrong = await desk("market", "candles", "BTC-PERP", "--until", "noon")
    assert (wrong.code, "--until" in wrong.err) == (ExitCode.USAGE, True)
    odd = await desk("market", "candles", "BTC-PERP", "--interval", "7x")
    assert odd.code == ExitCode.USAGE, odd.err
