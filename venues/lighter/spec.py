"""Lighter's entry in the registry. Loading it loads neither HTTP nor signing.

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
from venues.lighter.proofs import CAPABILITIES, PROOFS

if TYPE_CHECKING:
    from venues.lighter.settings import LighterSettings


@dataclass(frozen=True, slots=True)
class LighterSpec:
    """Implements `venues.connector.VenueSpec` from the environment's `LIGHTER_…` settings."""

    venue: str = "lighter"
    capabilities: Capabilities = CAPABILITIES
    proofs: ProofTable = PROOFS
    shapes: str = "venues.lighter.shapes"

    def connect(self, network: Network) -> Connector:
        """Return a connector, not yet started. Raises InvalidInput for an unknown network."""
        from venues.lighter.connector import LighterConnector
        from venues.lighter.limits import RequestBudget
        from venues.lighter.settings import CHAIN_IDS

        settings = _settings()
        budget = RequestBudget(tier=settings.tier(network), per_minute=settings.requests_per_minute)
        return LighterConnector(
            network, settings.base_url(network), CHAIN_IDS[network], budget=budget
        )

    def account_feed(self, network: Network) -> AccountFeed:
        """Return the private feed, not yet connected. Raises InvalidInput as `connect` does."""
        from venues.lighter.account_stream import LighterAccountFeed
        from venues.lighter.feed_reading import FeedReading

        settings = _settings()
        reading = FeedReading(
            settings.base_url(network),
            tier=settings.tier(network),
            per_minute=settings.requests_per_minute,
        )
        return LighterAccountFeed(settings.socket_url(network), reading)

    def market_feed(self, network: Network, instruments: Iterable[Instrument]) -> MarketFeed:
        """Return the public feed over these markets, not yet connected."""
        from venues.lighter.market_stream import market_feed

        return market_feed(_settings().socket_url(network), instruments)


def _settings() -> LighterSettings:
    from venues.lighter.settings import LighterSettings

    return LighterSettings()


SPEC = LighterSpec()
