"""Where Vest lives on each network. Reads the environment only when asked to.

Source: the official v2 API page; the older hosts of `vest.exchange` are gone.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings

from domain.accounts import Network
from venues.addresses import Origin, SecureOrigin, origin_of, settings_of, socket_url

#: Requests a minute, of which nothing is documented: five a second to begin with.
REQUESTS_PER_MINUTE: Final = 300.0
_SOCKET_PATH: Final = "/ws-api"


class VestSettings(BaseSettings):
    """Addresses of Vest's networks; no secret is among them."""

    model_config = settings_of("VEST_")

    mainnet_url: SecureOrigin = Field(
        default="https://server-prod.hz.vestmarkets.com",
        description="Origin of Vest's v2 API; experimental, see `perp-dex venue info vest`.",
    )
    mainnet_socket_url: SecureOrigin = Field(
        default="https://ws-prod.hz.vestmarkets.com",
        description="Origin of Vest's v2 WebSocket, spelled with https.",
    )
    testnet_url: SecureOrigin = Field(
        default="https://server-dev.hz.vestmarkets.com",
        description="Origin of Vest's development API.",
    )
    testnet_socket_url: SecureOrigin = Field(
        default="https://ws-dev.hz.vestmarkets.com",
        description="Origin of Vest's development WebSocket, spelled with https.",
    )
    paper_url: Origin | None = Field(
        default=None, description="The simulated Vest that paper accounts trade on."
    )
    requests_per_minute: float = Field(
        default=REQUESTS_PER_MINUTE,
        ge=10,
        description="Requests this process assumes to have each minute, until the venue's answers "
        "say how many there are; nothing is documented.",
    )

    def base_url(self, network: Network) -> str:
        """Return the origin of a network's API.

        Raises:
            InvalidInput: paper is asked for and VEST_PAPER_URL is not set.
        """
        return origin_of(
            network,
            mainnet=self.mainnet_url,
            testnet=self.testnet_url,
            paper=self.paper_url,
            paper_variable="VEST_PAPER_URL",
        )

    def socket_url(self, network: Network) -> str:
        """Return the WebSocket address of a network, without its query. Raises as `base_url`."""
        if network is Network.MAINNET:
            return socket_url(self.mainnet_socket_url, _SOCKET_PATH)
        if network is Network.TESTNET:
            return socket_url(self.testnet_socket_url, _SOCKET_PATH)
        return socket_url(self.base_url(network), _SOCKET_PATH)
