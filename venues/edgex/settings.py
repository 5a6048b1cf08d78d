"""Where EdgeX lives on each network. Reads the environment only when asked to.

Source: edgex-python-sdk 2.0.1, edgex-golang-sdk (V2 hosts); NOTES.md "Networks".
"""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings

from domain.accounts import Network
from domain.errors import InvalidInput
from venues.addresses import Origin, SecureOrigin, origin_of, settings_of, socket_url

#: The venue's limits are not published; public connectors keep to about this.
REQUESTS_PER_SECOND: Final = 5.0
#: A simulator on this machine is not to be spared.
_PAPER_REQUESTS_PER_SECOND: Final = 500.0


class EdgexSettings(BaseSettings):
    """Addresses of EdgeX's networks; no secret is among them."""

    model_config = settings_of("EDGEX_")

    mainnet_url: SecureOrigin = Field(
        default="https://edgex-prod-v2.edgex.exchange", description="EdgeX's mainnet API (V2)."
    )
    mainnet_socket_url: SecureOrigin = Field(
        default="https://edgex-quote-prod-v2.edgex.exchange",
        description="Origin of EdgeX's mainnet WebSockets, spelled with https.",
    )
    paper_url: Origin | None = Field(
        default=None, description="The simulated EdgeX that paper accounts trade on."
    )
    requests_per_second: float = Field(
        default=REQUESTS_PER_SECOND,
        ge=0.5,
        description="Requests a second that this process allows itself at EdgeX, whose own limit "
        "is not published; a burst may use twenty seconds' worth.",
    )

    def base_url(self, network: Network) -> str:
        """Return the origin of a network's API.

        Raises:
            InvalidInput: there is no such network, or paper without EDGEX_PAPER_URL.
        """
        if network is Network.TESTNET:
            raise InvalidInput(
                "network",
                "expected mainnet or paper, found testnet: edgex has none for the public",
            )
        return origin_of(
            network,
            mainnet=self.mainnet_url,
            testnet="",
            paper=self.paper_url,
            paper_variable="EDGEX_PAPER_URL",
        )

    def socket_url(self, network: Network) -> str:
        """Return the origin of a network's WebSockets. Raises InvalidInput as `base_url`."""
        is_mainnet = network is Network.MAINNET
        origin = self.mainnet_socket_url if is_mainnet else self.base_url(network)
        return socket_url(origin, "")

    def rate(self, network: Network) -> float:
        """Return how many requests a second a process allows itself."""
        return _PAPER_REQUESTS_PER_SECOND if network is Network.PAPER else self.requests_per_second
