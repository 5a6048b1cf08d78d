"""Hyperliquid's entry in the registry. Loading it loads neither HTTP nor signing.

Connectors and feeds are imported when one is asked for: a process that only follows feeds never
loads the signer.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.accounts import Network
from venues.connector import AccountFeed, Capabilities, Connector, ProofTable
from venues.hyperliquid.proofs import CAPABILITIES, PROOFS


@dataclass(frozen=True, slots=True)
class HyperliquidSpec:
    """Implements `venues.connector.VenueSpec` from the environment's `HYPERLIQUID_…` settings."""

    venue: str = "hyperliquid"
    capabilities: Capabilities = CAPABILITIES
    proofs: ProofTable = PROOFS

    def connect(self, network: Network) -> Connector:
        """Return a connector, not yet started. Raises InvalidInput for an unknown network."""
        from venues.hyperliquid.connector import HyperliquidConnector

        return HyperliquidConnector(network, _base_url(network))

    def account_feed(self, network: Network) -> AccountFeed:
        """Return the private feed, not yet connected. Raises InvalidInput as `connect` does."""
        from venues.hyperliquid.account_stream import HyperliquidAccountFeed

        return HyperliquidAccountFeed(_base_url(network))


def _base_url(network: Network) -> str:
    from venues.hyperliquid.settings import HyperliquidSettings

    return HyperliquidSettings().base_url(network)


SPEC = HyperliquidSpec()
