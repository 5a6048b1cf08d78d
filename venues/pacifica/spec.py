"""Pacifica's entry in the registry. Loading it loads neither HTTP nor signing.

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
from venues.pacifica.proofs import CAPABILITIES, PROOFS

if TYPE_CHECKING:
    from venues.pacifica.settings import PacificaSettings


@dataclass(frozen=True, slots=True)
class PacificaSpec:
    """Implements `venues.connector.VenueSpec` from the environment's `PACIFICA_…` settings."""

    venue: str = "pacifica"
    capabilities: Capabilities = CAPABILITIES
    proofs: ProofTable = PROOFS
    shapes: str = "venues.pacifica.shapes"

    def connect(self, network: Network) -> Connector:
        """Return a connector, not yet started. Raises InvalidInput for an unknown network."""
        from venues.pacifica.connector import PacificaConnector
        from venues.pacifica.credits import CreditBudget

        settings = _settings()
        budget = CreditBudget(per_minute=settings.credits_per_minute)
        return PacificaConnector(
            network,
            settings.base_url(network),
            budget=budget,
            headers=settings.headers(network),
        )

    def account_feed(self, network: Network) -> AccountFeed:
        """Return the private feed, not yet connected. Raises InvalidInput as `connect` does."""
        from venues.pacifica.account_stream import account_feed
        from venues.pacifica.feed_reading import FeedReading

        settings = _settings()
        reading = FeedReading(settings.base_url(network), headers=settings.headers(network))
        return account_feed(settings.socket_url(network), reading)

    def market_feed(self, network: Network, instruments: Iterable[Instrument]) -> MarketFeed:
        """Return the public feed over these markets, not yet connected."""
        from venues.pacifica.market_stream import market_feed

        return market_feed(_settings().socket_url(network), instruments)


def _settings() -> PacificaSettings:
    from venues.pacifica.settings import PacificaSettings

    return PacificaSettings()


SPEC = PacificaSpec()
