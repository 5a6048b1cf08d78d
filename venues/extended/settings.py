"""Where Extended lives on each network. Reads the environment only when asked to.

Source: PyPI x10-python-trading-starknet 2.6.0, x10/config.py; api.docs.extended.exchange.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings

from domain.accounts import Network
from venues.addresses import Origin, SecureOrigin, origin_of, settings_of, socket_url

#: What the official SDK signs: twice what a taker pays.
MAX_FEE_RATE: Final = Decimal("0.0005")
#: Source: api.docs.extended.exchange, rate limits: all endpoints of an IP address together.
REQUESTS_PER_MINUTE: Final = 1000.0
STREAM_PREFIX: Final = "/stream.extended.exchange"


class ExtendedSettings(BaseSettings):
    """Addresses of Extended's networks; no secret is among them."""

    model_config = settings_of("EXTENDED_")

    mainnet_url: SecureOrigin = Field(
        default="https://api.starknet.extended.exchange", description="Extended's mainnet API."
    )
    testnet_url: SecureOrigin = Field(
        default="https://api.starknet.sepolia.extended.exchange",
        description="Extended's testnet API.",
    )
    paper_url: Origin | None = Field(
        default=None, description="The simulated Extended that paper accounts trade on."
    )
    requests_per_minute: float = Field(
        default=REQUESTS_PER_MINUTE,
        ge=30,
        description="Requests that this process may make each minute: the venue's limit is per "
        "address and shared by all processes behind it.",
    )
    max_fee_rate: Decimal = Field(
        default=MAX_FEE_RATE,
        gt=0,
        le=Decimal("0.01"),
        description="The highest fee that an order allows, as a fraction of its value; below the "
        "account's own fee the venue refuses orders.",
    )

    def base_url(self, network: Network) -> str:
        """Return the origin of a network's API.

        Raises:
            InvalidInput: paper is asked for and EXTENDED_PAPER_URL is not set.
        """
        return origin_of(
            network,
            mainnet=self.mainnet_url,
            testnet=self.testnet_url,
            paper=self.paper_url,
            paper_variable="EXTENDED_PAPER_URL",
        )

    def socket_url(self, network: Network) -> str:
        """Return where a network's streams begin. Raises InvalidInput as `base_url`."""
        return socket_url(self.base_url(network), STREAM_PREFIX)
