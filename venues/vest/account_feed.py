"""The shell of the private feed: one socket for each account, its listen key kept alive.

A listen key lives for an hour and is asked for anew before each connection. What the socket does
not tell, money and positions after a fill and orders told by name alone, is asked for beside it.

Source: the official v2 API page, `POST /account/listenKey` and `account_private`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from domain.accounts import Account, AccountSummary
from domain.errors import VenueRefused, VenueUnavailable
from domain.feed_credentials import FeedCredentialSource
from venues.connections import ConnectionBudget
from venues.connector import AccountEvent, AccountSeen
from venues.feeds import AccountSockets
from venues.stream import Backoff, EventQueue, Follower, Handshake
from venues.stream_session import LiveStream
from venues.transport import Clock, utc_now
from venues.vest import wire
from venues.vest.account_stream import AccountStream
from venues.vest.credential import Reader
from venues.vest.stream_session import address

#: Limits of connections are not documented; so many at most, and opened at such a pace.
_CONNECTIONS_MAX: Final = 50
_OPENED_PER_MINUTE_MAX: Final = 60
#: A listen key lives so long; asking for it again extends it.
_LISTEN_KEY_LASTS: Final = timedelta(minutes=60)
_RENEW_EVERY_S: Final = 25 * 60.0
#: Positions and money have no events: they are read after each fill, and at least so often.
_MONEY_EVERY_S: Final = 60.0
#: What was not answered is asked again after so long.
_RETRY_S: Final = 5.0
_UNKNOWN_MAX: Final = 1_000


class Reading(Protocol):
    """What is asked for beside the socket; all raise VenueUnavailable and VenueRefused."""

    def use(self, source: FeedCredentialSource) -> None:
        """Take API keys from `source`."""
        ...

    async def reader(self, account: Account) -> Reader:
        """Return who asks about an account."""
        ...

    async def listen_key(self, account: Account) -> str:
        """Return the key of the account's socket, valid for an hour from now."""
        ...

    async def summary(self, account: Account) -> AccountSummary:
        """Return money and positions."""
        ...

    async def order(self, account: Account, venue_order_id: str) -> wire.OrderRow | None:
        """Return one order."""
        ...

    async def close(self) -> None:
        """Close what was opened."""
        ...


class VestAccountFeed:
    """Implements `venues.connector.AccountFeed` and `CredentialedFeed`."""

    def __init__(
        self,
        socket_url: str,
        reading: Reading,
        *,
        connections: ConnectionBudget | None = None,
        backoff: Callable[[], Backoff] = Backoff,
        renew_every_s: float = _RENEW_EVERY_S,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Clock = utc_now,
    ) -> None:
        self._socket_url = socket_url
        self._reading = reading
        self._backoff = backoff
        self._renew_every_s = renew_every_s
        self._monotonic = monotonic
        self._clock = clock
        self._key_ends: dict[str, datetime] = {}
        self._connections = connections or ConnectionBudget(
            connections_max=_CONNECTIONS_MAX, opened_per_minute_max=_OPENED_PER_MINUTE_MAX
        )
        self._queue: EventQueue[AccountEvent] = EventQueue()
        self._sockets = AccountSockets("vest", self._queue, self._follow)

    def use_credentials(self, source: FeedCredentialSource) -> None:
        """Take API keys from `source`, each time that an account is connected."""
        self._reading.use(source)

    def token_expiries(self, account_id: str) -> Mapping[str, datetime]:
        """Return when the listen key of an account's socket ends, if it is not extended."""
        end = self._key_ends.get(account_id)
        return {} if end is None else {"listen key": end}

    async def events(self) -> AsyncIterator[AccountEvent]:
        """Yield events until `close`, reconnecting by itself."""
        async for event in self._sockets.events():
            yield event

    async def watch(self, accounts: Sequence[Account]) -> None:
        """Set the accounts to follow: new ones are connected, missing ones let go."""
        await self._sockets.watch(accounts)

    async def close(self) -> None:
        """Close all sockets and end the iteration."""
        await self._sockets.close()
        await self._reading.close()

    async def _follow(self, account: Account) -> None:
        money = asyncio.Event()
        unknown: asyncio.Queue[str] = asyncio.Queue(_UNKNOWN_MAX)
        core = AccountStream(account, money.set, lambda order_id: _put(unknown, order_id))
        stream: LiveStream[AccountEvent] = LiveStream(core, account.account_id)

        async def where() -> Handshake:
            reader = await self._reading.reader(account)
            key = await self._listen_key(account)
            return Handshake(url=address(self._socket_url, reader.acc_group, key))

        follower = Follower(where, stream, self._queue, self._connections, backoff=self._backoff())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(follower.run())
                tasks.create_task(self._renew(account))
                tasks.create_task(self._tell_money(account, money))
                tasks.create_task(self._tell_unknown(account, core, unknown))
        finally:
            self._key_ends.pop(account.account_id, None)

    async def _listen_key(self, account: Account) -> str:
        """Ask for the account's key, or extend it, and remember when it ends."""
        asked_at = self._clock()
        key = await self._reading.listen_key(account)
        self._key_ends[account.account_id] = asked_at + _LISTEN_KEY_LASTS
        return key

    async def _renew(self, account: Account) -> None:
        """Extend the listen key for as long as the account is followed."""
        wait_s = self._renew_every_s
        while True:
            await asyncio.sleep(wait_s)
            try:
                await self._listen_key(account)
                wait_s = self._renew_every_s
            except (VenueUnavailable, VenueRefused):
                # Should the key be gone, the venue closes the socket, and a new one is asked for.
                wait_s = min(_RETRY_S, self._renew_every_s)

    async def _tell_money(self, account: Account, money: asyncio.Event) -> None:
        """Read money and positions after each fill, and every now and then."""
        while True:
            try:
                async with asyncio.timeout(_MONEY_EVERY_S):
                    await money.wait()
            except TimeoutError:
                pass
            money.clear()
            try:
                summary = await self._reading.summary(account)
            except (VenueUnavailable, VenueRefused):
                await asyncio.sleep(_RETRY_S)
                money.set()
                continue
            self._queue.put(AccountSeen(account_id=account.account_id, summary=summary))

    async def _tell_unknown(
        self, account: Account, core: AccountStream, unknown: asyncio.Queue[str]
    ) -> None:
        """Look orders up that an event named and nothing else."""
        while True:
            order_id = await unknown.get()
            try:
                row = await self._reading.order(account, order_id)
            except (VenueUnavailable, VenueRefused):
                await asyncio.sleep(_RETRY_S)
                _put(unknown, order_id)
                continue
            for event in core.take(row) if row is not None else ():
                self._queue.put(event)


def _put(queue: asyncio.Queue[str], order_id: str) -> None:
    """Remember an order to look up; of too many the oldest is left to the next catch-up."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(order_id)
