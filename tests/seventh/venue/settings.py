"""Where the seventh venue lives: at the address of its simulator, and nowhere else."""

from __future__ import annotations

from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings

from domain.accounts import Network
from domain.errors import InvalidInput
from venues.addresses import Origin, settings_of

_PAPER: Final = "SEVENTH_PAPER_URL"


class SeventhSettings(BaseSettings):
    """The address of the seventh venue."""

    model_config = settings_of("SEVENTH_")

    paper_url: Origin | None = Field(
        default=None, description="The simulated exchange that paper accounts trade on."
    )

    requests_per_minute: float = Field(
        default=3000.0,
        ge=10,
        description="Requests that this process may make each minute: the venue allows 3,000.",
    )

    def base_url(self, network: Network) -> str:
        """Return the origin. Raises InvalidInput for another network, or where it is not set."""
        if network is not Network.PAPER or self.paper_url is None:
            raise InvalidInput("network", f"expected paper, with {_PAPER} set, found {network}")
        return self.paper_url
