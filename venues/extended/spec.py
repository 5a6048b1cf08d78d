"""Extended's entry in the registry. Loading it loads neither HTTP nor signing.

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
from venues.extended.proofs import CAPABILITIES, PROOFS

if TYPE_CHECKING:
    from venues.extended.settings import ExtendedSettings


@dataclass(frozen=True, slots=True)
class ExtendedSpec:
    """Implements `venues.connector.VenueSpec` from the environment's `EXTENDED_…` settings."""

    venue: str = "extended"
    shapes: str = "venues.extended.shapes"
    capabilities: Capabilities = CAPABILITIES
    proofs: ProofTable = PROOFS

    def connect(self, network: Network) -> Connector:
        """Return a connector, not yet started. Raises InvalidInput for an unknown network."""
        from venues.extended.connector import ExtendedConnector
        from venues.rate_budget import RateBudget

        settings = _settings()
        return ExtendedConnector(
            network,
            settings.base_url(network),
            budget=RateBudget(per_minute=settings.requests_per_minute),
            max_fee_rate=settings.max_fee_rate,
        )

    def account_feed(self, network: Network) -> AccountFeed:
        """Return the private feed, not yet connected. Raises InvalidInput as `connect` does."""
        from venues.extended.account_feed import ExtendedAccountFeed
        from venues.extended.feed_reading import FeedReading

        settings = _settings()
        return ExtendedAccountFeed(
            settings.socket_url(network), FeedReading(settings.base_url(network))
        )

    def market_feed(self, network: Network, instruments: Iterable[Instrument]) -> MarketFeed:
        """Return the public feed over these markets, not yet connected."""
        from venues.connections import ConnectionBudget
        from venues.extended.market_stream import MarketStream
        from venues.feeds import MarketSocket

        return MarketSocket(
            self.venue,
            _settings().socket_url(network) + "/v2/rpc",
            MarketStream(instruments),
            ConnectionBudget(connections_max=1, opened_per_minute_max=10),
        )


def _settings() -> ExtendedSettings:
    from venues.extended.settings import ExtendedSettings

    return ExtendedSettings()


SPEC = ExtendedSpec()
