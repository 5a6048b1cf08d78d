"""The routes of venues: what each can do, and what proves a command there."""

from __future__ import annotations

from domain.errors import Unavailable
from tests.api.serving import Api


async def test_a_venue_is_shown_with_what_it_can_do_and_what_proves(api: Api) -> None:
    (listed,) = (await api.http.get("/api/v1/venues")).json()["venues"]
    found = (await api.http.get("/api/v1/venues/hyperliquid")).json()
    assert found == listed
    assert (found["venue"], found["served"], found["connected"]) == ("hyperliquid", True, ["paper"])
    assert found["seen_at"] == "2026-01-01T12:00:00Z"
    capabilities, proofs = found["capabilities"], found["proofs"]
    assert capabilities["order_types"][0] == "LIMIT"
    assert capabilities["networks"] == ["mainnet", "testnet", "paper"]
    assert "stops and targets" in capabilities["dead_man_effect"]
    assert capabilities["native_modify"] is False
    assert capabilities["market_queries"] == ["trades", "funding", "candles"]
    assert capabilities["candle_intervals"][:3] == ["1m", "3m", "5m"]
    assert proofs["fences"] == ["nonce burn", "admission expiry"]
    assert proofs["admission_window_s"] == 10
    assert {"accepted", "rejected", "absent"} <= {row["proves"] for row in proofs["rows"]}
    assert all(row["source"] for row in proofs["rows"])
    assert proofs["unverified"]


async def test_a_venue_that_nobody_serves_is_offered_all_the_same(api: Api) -> None:
    api.venues.said.clear()
    found = (await api.http.get("/api/v1/venues/hyperliquid")).json()
    assert found == {
        "venue": "hyperliquid",
        "served": False,
        "connected": [],
        "opening_refused": [],
        "experimental": None,
        "live_verified": None,
        "caution": None,
        "seen_at": None,
        "capabilities": None,
        "proofs": None,
    }


async def test_a_venue_that_is_not_offered_is_404(api: Api) -> None:
    for name in ("ftx", "Hyperliquid", "x" * 300):
        answer = await api.http.get(f"/api/v1/venues/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), name


async def test_when_nobody_can_be_asked_it_is_503(api: Api) -> None:
    api.venues.error = Unavailable("Valkey does not answer")
    for path in ("/api/v1/venues", "/api/v1/venues/hyperliquid"):
        answer = await api.http.get(path)
        assert answer.status_code == 503
        assert answer.json()["retryable"] is True
