"""EdgeX's entry in the registry. Loading it loads neither HTTP nor signing.

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
from venues.edgex.proofs import CAPABILITIES, PROOFS

if TYPE_CHECKING:
    from venues.edgex.settings import EdgexSettings


@dataclass(frozen=True, slots=True)
class EdgexSpec:
    """Implements `venues.connector.VenueSpec` from the environment's `EDGEX_…` settings."""

    venue: str = "edgex"
    capabilities: Capabilities = CAPABILITIES
    proofs: ProofTable = PROOFS
    shapes: str = "venues.edgex.shapes"

    def connect(self, network: Network) -> Connector:
        """Return a connector, not yet started. Raises InvalidInput for a network it lacks."""
        from venues.edgex.budget import RequestBudget
        from venues.edgex.connector import EdgexConnector

        settings = _settings()
        budget = RequestBudget(per_second=settings.rate(network))
        return EdgexConnector(network, settings.base_url(network), budget=budget)

    def account_feed(self, network: Network) -> AccountFeed:
        """Return the private feed, not yet connected. Raises InvalidInput as `connect` does."""
        from venues.edgex.account_feed import EdgexAccountFeed
        from venues.edgex.feed_reading import FeedReading

        settings = _settings()
        reading = FeedReading(settings.base_url(network), per_second=settings.rate(network))
        return EdgexAccountFeed(settings.socket_url(network), reading)

    def market_feed(self, network: Network, instruments: Iterable[Instrument]) -> MarketFeed:
        """Return the public feed over these markets, not yet connected."""
        from venues.edgex.market_stream import market_feed

        return market_feed(_settings().socket_url(network), instruments)


def _settings() -> EdgexSettings:
    from venues.edgex.settings import EdgexSettings

    return EdgexSettings()


SPEC = EdgexSpec()
