"""Vest's entry in the registry. Loading it loads neither HTTP nor signing.

Connectors and feeds are imported when one is asked for: a process that only follows feeds never
loads the signer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.accounts import Network
from domain.instruments import Instrument
from venues.connector import AccountFeed, Capabilities, Connector, MarketFeed, ProofTable
from venues.vest.proofs import CAPABILITIES, PROOFS

if TYPE_CHECKING:
    from venues.vest.settings import VestSettings


@dataclass(frozen=True, slots=True)
class VestSpec:
    """Implements `venues.connector.VenueSpec` from the environment's `VEST_…` settings."""

    venue: str = "vest"
    capabilities: Capabilities = CAPABILITIES
    proofs: ProofTable = PROOFS
    shapes: str = "venues.vest.shapes"

    def connect(self, network: Network) -> Connector:
        """Return a connector, not yet started. Raises InvalidInput for an unknown network."""
        from venues.vest.connector import VestConnector
        from venues.vest.rate_budget import RateBudget

        settings = _settings()
        budget = RateBudget(per_minute=settings.requests_per_minute)
        return VestConnector(network, settings.base_url(network), budget=budget)

    def account_feed(self, network: Network) -> AccountFeed:
        """Return the private feed, not yet connected. Raises InvalidInput as `connect` does."""
        from venues.vest.account_feed import VestAccountFeed
        from venues.vest.feed_reading import FeedReading

        settings = _settings()
        reading = FeedReading(settings.base_url(network), settings.requests_per_minute)
        return VestAccountFeed(settings.socket_url(network), reading)

    def market_feed(self, network: Network, instruments: Iterable[Instrument]) -> MarketFeed:
        """Return the public feed over these markets, not yet connected."""
        from venues.vest.market_stream import market_feed

        return market_feed(_settings().socket_url(network), instruments)


def _settings() -> VestSettings:
    from venues.vest.settings import VestSettings

    return VestSettings()


SPEC = VestSpec()
