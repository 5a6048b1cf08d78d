"""Where Hyperliquid lives on each network. Reads the environment only when asked to.

Source: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from domain.accounts import Network
from venues.addresses import Origin, SecureOrigin, origin_of, settings_of
from venues.hyperliquid.rate_budget import WEIGHT_PER_MINUTE


class HyperliquidSettings(BaseSettings):
    """Addresses of Hyperliquid's networks; no secret is among them."""

    model_config = settings_of("HYPERLIQUID_")

    mainnet_url: SecureOrigin = Field(
        default="https://api.hyperliquid.xyz", description="Hyperliquid's mainnet API."
    )
    testnet_url: SecureOrigin = Field(
        default="https://api.hyperliquid-testnet.xyz", description="Hyperliquid's testnet API."
    )
    paper_url: Origin | None = Field(
        default=None, description="The simulated Hyperliquid that paper accounts trade on."
    )
    mainnet_second_url: SecureOrigin | None = Field(
        default=None,
        description="Another address of mainnet's public data, such as a node of your own; market "
        "data comes from there while the first one's is lost.",
    )
    testnet_second_url: SecureOrigin | None = Field(
        default=None, description="As HYPERLIQUID_MAINNET_SECOND_URL, for testnet."
    )
    paper_second_url: Origin | None = Field(
        default=None, description="As HYPERLIQUID_MAINNET_SECOND_URL, for the simulated exchange."
    )
    weight_per_minute: float = Field(
        default=WEIGHT_PER_MINUTE,
        ge=60,
        description="Request weight this process may use each minute; the venue allows 1200 to "
        "an IP address, so share it out where several processes have one.",
    )

    def base_url(self, network: Network) -> str:
        """Return the origin of a network's API.

        Raises:
            InvalidInput: paper is asked for and HYPERLIQUID_PAPER_URL is not set.
        """
        return origin_of(
            network,
            mainnet=self.mainnet_url,
            testnet=self.testnet_url,
            paper=self.paper_url,
            paper_variable="HYPERLIQUID_PAPER_URL",
        )

    def second_url(self, network: Network) -> str | None:
        """Return the second origin of a network's public data, or None."""
        return {
            Network.MAINNET: self.mainnet_second_url,
            Network.TESTNET: self.testnet_second_url,
            Network.PAPER: self.paper_second_url,
        }[network]
