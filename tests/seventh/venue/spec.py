"""The seventh venue's entry in the registry. Loading it loads neither HTTP nor signing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.accounts import Network
from domain.instruments import Instrument
from tests.seventh.venue.proofs import CAPABILITIES, PROOFS
from venues.connector import AccountFeed, Capabilities, Connector, MarketFeed, ProofTable

if TYPE_CHECKING:
    from tests.seventh.venue.settings import SeventhSettings


@dataclass(frozen=True, slots=True)
class SeventhSpec:
    """Implements `venues.connector.VenueSpec` from the environment's `SEVENTH_PAPER_URL`."""

    venue: str = "seventh"
    capabilities: Capabilities = CAPABILITIES
    proofs: ProofTable = PROOFS
    shapes: str = "tests.seventh.venue.shapes"

    def connect(self, network: Network) -> Connector:
        """Return a connector, not yet started. Raises InvalidInput for an unknown network."""
        from tests.seventh.venue.connector import SeventhConnector
        from venues.rate_budget import RateBudget

        settings = _settings()
        budget = RateBudget(per_minute=settings.requests_per_minute)
        return SeventhConnector(network, settings.base_url(network), budget)

    def account_feed(self, network: Network) -> AccountFeed:
        """Return the private feed, not yet connected. Raises InvalidInput as `connect`."""
        from tests.seventh.venue.streams import account_feed
        from venues.addresses import socket_url

        return account_feed(socket_url(_settings().base_url(network)))

    def market_feed(self, network: Network, instruments: Iterable[Instrument]) -> MarketFeed:
        """Return the public feed over these markets, not yet connected."""
        from tests.seventh.venue.streams import market_feed
        from venues.addresses import socket_url

        return market_feed(socket_url(_settings().base_url(network)), instruments)


def _settings() -> SeventhSettings:
    from tests.seventh.venue.settings import SeventhSettings

    return SeventhSettings()


SPEC = SeventhSpec()
