"""Where the sockets are, and which channels each carries."""

from __future__ import annotations

from typing import Final

from streaming.account_channels import ACCOUNT, POSITIONS
from streaming.channels import ORDERS
from streaming.market_names import MARKET_CHANNELS

ACCOUNT_CHANNELS: Final = (ORDERS, POSITIONS, ACCOUNT)
#: The socket of all market channels.
MARKETS: Final = "markets"
#: The socket of all channels there are.
EVERYTHING: Final = "stream"

#: The paths by the names of their sockets: one channel each, all market channels, or all.
PATHS: Final = {f"/ws/v1/{name}": name for name in (*ACCOUNT_CHANNELS, MARKETS, EVERYTHING)}


def channels_of(socket: str) -> tuple[str, ...]:
    """Return the channels that a socket carries."""
    if socket == MARKETS:
        return MARKET_CHANNELS
    if socket == EVERYTHING:
        return (*ACCOUNT_CHANNELS, *MARKET_CHANNELS)
    return (socket,)
