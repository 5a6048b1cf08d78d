"""Where Lighter lives on each network. Reads the environment only when asked to.

Source: lighter-sdk 1.1.8 `endpoint_profiles.py`; docs get-started, websocket-reference.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.accounts import Network
from domain.errors import InvalidInput
from venues.addresses import Origin, SecureOrigin
from venues.lighter.limits import STANDARD_PER_MINUTE, Tier

#: What each network's transactions are signed for. The simulated exchange is a mainnet of its own.
CHAIN_IDS: Final = {Network.MAINNET: 304, Network.TESTNET: 300, Network.PAPER: 304}


class LighterSettings(BaseSettings):
    """Addresses of Lighter's networks; no secret is among them."""

    model_config = SettingsConfigDict(
        env_prefix="LIGHTER_",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

    mainnet_url: SecureOrigin = Field(
        default="https://mainnet.zklighter.elliot.ai",
        description="Lighter's mainnet API and WebSocket.",
    )
    testnet_url: SecureOrigin = Field(
        default="https://testnet.zklighter.elliot.ai",
        description="Lighter's testnet API and WebSocket.",
    )
    paper_url: Origin | None = Field(
        default=None, description="The simulated Lighter that paper accounts trade on."
    )
    requests_per_minute: float = Field(
        default=STANDARD_PER_MINUTE,
        ge=10,
        description="Requests this process may make each minute of a standard account's 60, until "
        "the venue says that the account is of a higher tier.",
    )

    def base_url(self, network: Network) -> str:
        """Return the origin of a network's API.

        Raises:
            InvalidInput: paper is asked for and LIGHTER_PAPER_URL is not set.
        """
        if network is Network.MAINNET:
            return self.mainnet_url
        if network is Network.TESTNET:
            return self.testnet_url
        if self.paper_url is None:
            raise InvalidInput(
                "network",
                "expected LIGHTER_PAPER_URL for paper accounts, found nothing; "
                "start the simulator or set it",
            )
        return self.paper_url

    def socket_url(self, network: Network) -> str:
        """Return the WebSocket address of a network. Raises InvalidInput as `base_url`."""
        return "ws" + self.base_url(network).removeprefix("http") + "/stream"

    def tier(self, network: Network) -> Tier:
        """Return what may be asked at first; paper accounts are of the highest tier."""
        return Tier.BUILDER if network is Network.PAPER else Tier.STANDARD
