"""Where Extended lives on each network. Reads the environment only when asked to.

Source: PyPI x10-python-trading-starknet 2.6.0, x10/config.py; api.docs.extended.exchange.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.accounts import Network
from domain.errors import InvalidInput
from venues.addresses import Origin, SecureOrigin

#: What the official SDK signs: twice what a taker pays.
MAX_FEE_RATE: Final = Decimal("0.0005")
STREAM_PREFIX: Final = "/stream.extended.exchange"


class ExtendedSettings(BaseSettings):
    """Addresses of Extended's networks; no secret is among them."""

    model_config = SettingsConfigDict(
        env_prefix="EXTENDED_",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

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
        default=1000.0,
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
        if network is Network.MAINNET:
            return self.mainnet_url
        if network is Network.TESTNET:
            return self.testnet_url
        if self.paper_url is None:
            raise InvalidInput(
                "network",
                "expected EXTENDED_PAPER_URL for paper accounts, found nothing; "
                "start the simulator or set it",
            )
        return self.paper_url

    def socket_url(self, network: Network) -> str:
        """Return where a network's streams begin. Raises InvalidInput as `base_url`."""
        return socket_url(self.base_url(network))


def socket_url(origin: str) -> str:
    """Return where the streams begin at an origin spelled with http or https."""
    return "ws" + origin.removeprefix("http") + STREAM_PREFIX
