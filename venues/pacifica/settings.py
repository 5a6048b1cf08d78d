"""Where Pacifica lives on each network. Reads the environment only when asked to.

Source: docs.pacifica.fi api/rest-api, api/websocket.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

from domain.accounts import Network
from domain.errors import InvalidInput
from venues.addresses import Origin, SecureOrigin, origin_of, settings_of, socket_url
from venues.pacifica.credits import CREDITS_PER_MINUTE


class PacificaSettings(BaseSettings):
    """Addresses of Pacifica's networks; no secret is among them."""

    model_config = settings_of("PACIFICA_")

    mainnet_url: SecureOrigin = Field(
        default="https://api.pacifica.fi", description="Pacifica's mainnet API."
    )
    mainnet_socket_url: SecureOrigin = Field(
        default="https://ws.pacifica.fi",
        description="Origin of Pacifica's mainnet WebSocket, spelled with https.",
    )
    testnet_url: SecureOrigin = Field(
        default="https://test-api.pacifica.fi", description="Pacifica's testnet API."
    )
    testnet_socket_url: SecureOrigin = Field(
        default="https://test-ws.pacifica.fi",
        description="Origin of Pacifica's testnet WebSocket, spelled with https.",
    )
    paper_url: Origin | None = Field(
        default=None, description="The simulated Pacifica that paper accounts trade on."
    )
    api_config_key_file: Path | None = Field(
        default=None,
        description="File with an API config key (PF-API-KEY), which raises the limit of credits "
        "and can do nothing else.",
    )
    credits_per_minute: float = Field(
        default=CREDITS_PER_MINUTE,
        ge=10,
        description="Credits this process assumes to have each minute, until the venue's first "
        "answer says how many there are.",
    )

    def headers(self, network: Network) -> dict[str, str]:
        """Return what goes with every request; a simulator gets nothing of it.

        Raises:
            InvalidInput: the file of the API config key cannot be read, or holds none.
        """
        if self.api_config_key_file is None or network is Network.PAPER:
            return {}
        try:
            key = self.api_config_key_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(
                "network",
                f"expected PACIFICA_API_CONFIG_KEY_FILE to be a file that can be read, found "
                f"{type(error).__name__}",
            ) from None
        if not key or not key.isprintable() or " " in key:
            raise InvalidInput(
                "network",
                "expected PACIFICA_API_CONFIG_KEY_FILE to hold one key, found "
                f"{len(key)} characters that are none",
            )
        return {"PF-API-KEY": key}

    def base_url(self, network: Network) -> str:
        """Return the origin of a network's API.

        Raises:
            InvalidInput: paper is asked for and PACIFICA_PAPER_URL is not set.
        """
        return origin_of(
            network,
            mainnet=self.mainnet_url,
            testnet=self.testnet_url,
            paper=self.paper_url,
            paper_variable="PACIFICA_PAPER_URL",
        )

    def socket_url(self, network: Network) -> str:
        """Return the WebSocket address of a network. Raises InvalidInput as `base_url`."""
        if network is Network.MAINNET:
            return socket_url(self.mainnet_socket_url)
        if network is Network.TESTNET:
            return socket_url(self.testnet_socket_url)
        return socket_url(self.base_url(network))
