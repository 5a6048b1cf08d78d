"""Where Hyperliquid lives on each network. Reads the environment only when asked to.

Source: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.accounts import Network
from domain.errors import InvalidInput
from venues.addresses import Origin, SecureOrigin
from venues.hyperliquid.rate_budget import WEIGHT_PER_MINUTE


class HyperliquidSettings(BaseSettings):
    """Addresses of Hyperliquid's networks; no secret is among them."""

    model_config = SettingsConfigDict(
        env_prefix="HYPERLIQUID_",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

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
        if network is Network.MAINNET:
            return self.mainnet_url
        if network is Network.TESTNET:
            return self.testnet_url
        if self.paper_url is None:
            raise InvalidInput(
                "network",
                "expected HYPERLIQUID_PAPER_URL for paper accounts, found nothing; "
                "start the simulator or set it",
            )
        return self.paper_url

    def second_url(self, network: Network) -> str | None:
        """Return the second origin of a network's public data, or None."""
        return {
            Network.MAINNET: self.mainnet_second_url,
            Network.TESTNET: self.testnet_second_url,
            Network.PAPER: self.paper_second_url,
        }[network]


def socket_url(base_url: str) -> str:
    """Return the WebSocket address that belongs to an API origin."""
    return "ws" + base_url.removeprefix("http") + "/ws"
