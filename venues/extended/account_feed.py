"""The private feed: one socket an account, opened with its API key.

Beside the socket it asks for payments of funding when money moved, at most every few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from domain.accounts import Account, FundingPayment
from domain.errors import VenueRefused, VenueUnavailable
from domain.feed_credentials import FeedCredentialSource
from venues.connections import ConnectionBudget
from venues.connector import AccountEvent, FeedState, FundingSeen
from venues.extended.account_stream import AccountStream
from venues.extended.credential import api_key_in
from venues.feeds import AccountSockets
from venues.stream import Backoff, EventQueue, Follower
from venues.stream_session import LiveStream
from venues.transport import Clock, utc_now

#: How many connections the venue allows is not documented.
_CONNECTIONS_MAX: Final = 50
_OPENED_PER_MINUTE_MAX: Final = 60
#: The venue pings every 15 s; longer without a frame of any kind, and it is asked.
_PING_IDLE_S: Final = 20.0
#: A payment is asked for from so long before the last question.
_FUNDING_OVERLAP: Final = timedelta(minutes=2)
_FUNDING_EVERY_S: Final = 4.0
_CREDENTIAL_RETRY_S: Final = 5.0


class Reading(Protocol):
    """What is asked for beside the socket."""

    async def funding(
        self, account: Account, api_key: str, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return payments of funding since a time. Raises VenueUnavailable, VenueRefused."""
        ...


class ExtendedAccountFeed:
    """Implements `venues.connector.AccountFeed` and `CredentialedFeed`."""

    def __init__(
        self,
        url: str,
        reading: Reading,
        *,
        clock: Clock = utc_now,
        connections: ConnectionBudget | None = None,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._url = f"{url}/v1/account"
        self._reading = reading
        self._clock = clock
        self._connections = connections or ConnectionBudget(
            connections_max=_CONNECTIONS_MAX, opened_per_minute_max=_OPENED_PER_MINUTE_MAX
        )
        self._backoff = backoff
        self._source: FeedCredentialSource | None = None
        self._queue: EventQueue[AccountEvent] = EventQueue()
        self._sockets = AccountSockets("extended", self._queue, self._follow)

    def use_credentials(self, source: FeedCredentialSource) -> None:
        """Take API keys from `source`, each time that an account is to be followed."""
        self._source = source

    def events(self) -> AsyncIterator[AccountEvent]:
        """Yield events until `close`, reconnecting by itself."""
        return self._sockets.events()

    async def watch(self, accounts: Sequence[Account]) -> None:
        """Set the accounts to follow: new ones are connected, missing ones let go."""
        await self._sockets.watch(accounts)

    async def close(self) -> None:
        """Close all sockets and end the iteration."""
        await self._sockets.close()

    async def _follow(self, account: Account) -> None:
        api_key = await self._api_key(account)
        moved = asyncio.Event()
        stream = AccountStream(account, moved.set)
        follower = Follower(
            self._url,
            LiveStream(stream, account.account_id),
            self._queue,
            self._connections,
            backoff=self._backoff(),
            headers={"X-Api-Key": api_key},
            ping_idle_s=_PING_IDLE_S,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follower.run())
            tasks.create_task(self._tell_funding(account, api_key, moved))

    async def _api_key(self, account: Account) -> str:
        """Open the account's API key; until there is one, say so once and ask again."""
        told = False
        while True:
            secret = await self._source.open(account) if self._source is not None else None
            if secret is not None:
                return api_key_in(secret.reveal())
            if not told:
                told = True
                self._queue.put(
                    FeedState(
                        account_id=account.account_id,
                        live=False,
                        reason="no API key of the account is kept for the feed yet",
                        at=self._clock(),
                    )
                )
            await asyncio.sleep(_CREDENTIAL_RETRY_S)

    async def _tell_funding(self, account: Account, api_key: str, moved: asyncio.Event) -> None:
        """Ask for payments when money moved, at most every few seconds."""
        since = self._clock() - _FUNDING_OVERLAP
        while True:
            await moved.wait()
            moved.clear()
            now = self._clock()
            try:
                payments = await self._reading.funding(account, api_key, since)
            except (VenueUnavailable, VenueRefused):
                moved.set()
            else:
                since = now - _FUNDING_OVERLAP
                if payments:
                    seen = FundingSeen(account_id=account.account_id, payments=payments)
                    self._queue.put(seen)
            await asyncio.sleep(_FUNDING_EVERY_S)
