"""The private feed: one signed socket for each account, and the few questions beside it.

Each connection is opened with a fresh signature of the account's API key, which is taken from the
credential source each time: a rotated one counts from the next connection on. Money and positions
are asked for when a frame says that they changed, at most about once a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from domain.accounts import Account
from domain.errors import InvalidInput, VenueRefused, VenueUnavailable
from domain.feed_credentials import FeedCredentialSource
from venues.connections import ConnectionBudget
from venues.connector import AccountEvent, AccountSeen, OrdersSeen
from venues.edgex.account_stream import AccountStream
from venues.edgex.auth import socket_handshake
from venues.edgex.catalog import Catalog
from venues.edgex.credential import ApiKey, read_api_key
from venues.edgex.feed_reading import FeedReading
from venues.feeds import AccountSockets
from venues.stream import Backoff, EventQueue, Follower, Handshake
from venues.stream_session import LiveStream
from venues.transport import Clock, utc_now

#: The venue lets ten connections a minute and address be opened (docs); some are market data's.
_OPENED_PER_MINUTE_MAX: Final = 8
_CONNECTIONS_MAX: Final = 100
#: Changes of money within this time are one question.
_MONEY_WAIT_S: Final = 0.5
#: What was not answered is asked again after so long.
_RETRY_S: Final = 5.0


class EdgexAccountFeed(AccountSockets):
    """Implements `venues.connector.AccountFeed` and `CredentialedFeed`."""

    def __init__(
        self,
        origin: str,
        reading: FeedReading,
        *,
        clock: Clock = utc_now,
        connections: ConnectionBudget | None = None,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._origin = origin
        self._reading = reading
        self._clock = clock
        self._backoff = backoff
        self._credentials: FeedCredentialSource | None = None
        self._events: EventQueue[AccountEvent] = EventQueue()
        self._connections = connections or ConnectionBudget(
            connections_max=_CONNECTIONS_MAX, opened_per_minute_max=_OPENED_PER_MINUTE_MAX
        )
        super().__init__("edgex", self._events, self._follow_account)

    def use_credentials(self, source: FeedCredentialSource) -> None:
        """Take API keys from `source`, each time that a socket is opened."""
        self._credentials = source

    async def _follow_account(self, account: Account) -> None:
        catalog = _Markets()
        asks = _Asks()
        stream = AccountStream(
            account, catalog.symbol_of, on_money=asks.money.set, on_abridged=asks.orders_of
        )

        async def handshake() -> Handshake:
            api = await self._api(account)
            catalog.known = await self._reading.catalog()
            path, headers = socket_handshake(api, account.address, self._clock())
            return Handshake(url=self._origin + path, headers=headers)

        follower = Follower(
            handshake,
            LiveStream(stream, account.account_id),
            self._events,
            self._connections,
            backoff=self._backoff(),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follower.run())
            tasks.create_task(self._tell_money(account, asks))
            tasks.create_task(self._tell_orders(account, asks))

    async def _tell_money(self, account: Account, asks: _Asks) -> None:
        """Ask for the account whenever a frame says that its money or positions changed."""
        while True:
            await asks.money.wait()
            await asyncio.sleep(_MONEY_WAIT_S)
            asks.money.clear()
            try:
                summary = await self._reading.summary(account, await self._api(account))
            except (VenueUnavailable, VenueRefused):
                await asyncio.sleep(_RETRY_S)
                asks.money.set()
                continue
            self._events.put(AccountSeen(account_id=account.account_id, summary=summary))

    async def _tell_orders(self, account: Account, asks: _Asks) -> None:
        """Ask for orders that frames told of in parts only."""
        while True:
            await asks.named.wait()
            asks.named.clear()
            wanted, asks.order_ids = asks.order_ids, []
            try:
                orders = await self._reading.orders(account, await self._api(account), wanted)
            except (VenueUnavailable, VenueRefused):
                await asyncio.sleep(_RETRY_S)
                asks.orders_of(wanted)
                continue
            if orders:
                self._events.put(OrdersSeen(account_id=account.account_id, orders=orders))

    async def _api(self, account: Account) -> ApiKey:
        secret = None if self._credentials is None else await self._credentials.open(account)
        if secret is None:
            raise VenueRefused(f"no API key is kept for the feed of {account.label!r}")
        try:
            return read_api_key(secret)
        except InvalidInput as error:
            raise VenueRefused(f"the feed of {account.label!r}: {error}") from None


class _Markets:
    """The markets as they were read before the present connection."""

    def __init__(self) -> None:
        self.known: Catalog | None = None

    def symbol_of(self, contract_id: str) -> str | None:
        return None if self.known is None else self.known.symbol_of(contract_id)


class _Asks:
    """What frames made it necessary to ask for."""

    def __init__(self) -> None:
        self.money = asyncio.Event()
        self.named = asyncio.Event()
        self.order_ids: list[str] = []

    def orders_of(self, ids: list[str]) -> None:
        self.order_ids += [order_id for order_id in ids if order_id not in self.order_ids]
        self.named.set()
