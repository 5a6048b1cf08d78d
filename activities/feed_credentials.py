"""Making what a private feed needs, where the venue's feed needs a secret of its own."""

from __future__ import annotations

from domain.accounts import TradingAccess
from domain.errors import CorruptState
from domain.feed_credentials import FeedCredentials
from venues.connector import Connector, FeedCredentialMinter


async def keep_feed_credential(
    connector: Connector, access: TradingAccess, feeds: FeedCredentials | None
) -> None:
    """Have the venue's connector make the feed's secret, and seal it for the streaming process.

    Does nothing at a venue whose feed needs none.

    Raises:
        VenueUnavailable, VenueRefused: the venue did not give one.
        Unavailable: it could not be kept; ask again.
        CorruptState: the venue says that its feed needs one, and cannot make any.
    """
    if not connector.capabilities.feed_credential:
        return
    if feeds is None or not isinstance(connector, FeedCredentialMinter):
        raise CorruptState(
            f"expected the connector of {connector.venue} to make what its feed needs, found none"
        )
    secret = await connector.mint_feed_credential(access)
    await feeds.keep(access.account, secret)
