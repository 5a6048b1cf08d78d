"""What the owner of a new credential is told of it: its power, and how far its venue is proven."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from activities.accounts import power_in_words
from venues import registry
from venues.connector import SignerCheck

CHECK = SignerCheck(signer="s", owner_address="o", power="trades", expires_at=None, refusal=None)


def connector(venue: str, **changes: Any) -> Any:
    spec = registry.load(venue)
    return SimpleNamespace(
        venue=venue, capabilities=spec.capabilities, proofs=replace(spec.proofs, **changes)
    )


def test_of_a_supported_venue_nothing_is_added() -> None:
    assert power_in_words(connector("hyperliquid"), CHECK) == "trades"


@pytest.mark.parametrize(("live", "says"), [(False, "not verified live"), (True, "verified live")])
def test_of_an_experimental_venue_it_is_said_with_the_reason(live: bool, says: str) -> None:
    told = power_in_words(connector("vest", live_verified=live), CHECK)
    assert told.startswith(f"trades; vest is experimental here, and {says}: ")
    assert "derived from its orders" in told
