"""Making what a private feed needs, where the venue's feed needs a secret of its own."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from activities.access import ConnectorSource
from domain.accounts import TradingAccess
from domain.errors import CorruptState, InvalidInput, NotFound, VenueRefused, VenueUnavailable
from domain.feed_credentials import FeedCredentials
from domain.ports import AccountStore, TradingAccessSource
from venues.connector import Connector, FeedCredentialMinter

_log = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRenewal:
    """Makes feed credentials anew that are good for a time only: a chore of the worker."""

    accounts: AccountStore
    access: TradingAccessSource
    connectors: ConnectorSource
    venues: frozenset[str]
    feeds: FeedCredentials

    async def run(self) -> int:
        """Make anew what this worker's accounts need; return of how many accounts.

        An account whose venue or credential cannot be had now is left for the next time: what was
        made before is good for long.

        Raises:
            Unavailable: the database does not answer; run again later.
        """
        renewed = 0
        for account in await self.accounts.all_active():
            if account.venue not in self.venues:
                continue
            try:
                connector = await self.connectors.connector(account.venue, account.network)
                if connector.capabilities.feed_credential_lifetime_s is None:
                    continue
                access = await self.access.open(account.account_id)
                await keep_feed_credential(connector, access, self.feeds)
            except (VenueUnavailable, VenueRefused, InvalidInput, NotFound) as error:
                _log.warning("the feed of account %s: %s", account.account_id, error)
                continue
            renewed += 1
        return renewed
