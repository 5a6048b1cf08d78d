"""Hyperliquid's entry in the registry. Loading it loads neither HTTP nor signing.

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
from venues.hyperliquid.proofs import CAPABILITIES, PROOFS

if TYPE_CHECKING:
    from venues.hyperliquid.settings import HyperliquidSettings


@dataclass(frozen=True, slots=True)
class HyperliquidSpec:
    """Implements `venues.connector.VenueSpec` from the environment's `HYPERLIQUID_…` settings."""

    venue: str = "hyperliquid"
    capabilities: Capabilities = CAPABILITIES
    proofs: ProofTable = PROOFS
    shapes: str = "venues.hyperliquid.shapes"

    def connect(self, network: Network) -> Connector:
        """Return a connector, not yet started. Raises InvalidInput for an unknown network."""
        from venues.hyperliquid.connector import HyperliquidConnector
        from venues.hyperliquid.rate_budget import RateBudget

        settings = _settings()
        budget = RateBudget(per_minute=settings.weight_per_minute)
        return HyperliquidConnector(network, settings.base_url(network), budget=budget)

    def account_feed(self, network: Network) -> AccountFeed:
        """Return the private feed, not yet connected. Raises InvalidInput as `connect` does."""
        from venues.hyperliquid.account_stream import account_feed

        return account_feed(_settings().base_url(network))

    def market_feed(self, network: Network, instruments: Iterable[Instrument]) -> MarketFeed:
        """Return the public feed over these markets, not yet connected."""
        from venues.hyperliquid.market_stream import market_feed

        return market_feed(_settings().base_url(network), instruments)

    def second_market_feed(
        self, network: Network, instruments: Iterable[Instrument]
    ) -> MarketFeed | None:
        """Return the public feed from the second address that the settings name, if they do."""
        from venues.hyperliquid.market_stream import market_feed

        url = _settings().second_url(network)
        return None if url is None else market_feed(url, instruments)


def _settings() -> HyperliquidSettings:
    from venues.hyperliquid.settings import HyperliquidSettings

    return HyperliquidSettings()


SPEC = HyperliquidSpec()
