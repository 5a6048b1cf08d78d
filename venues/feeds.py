"""The shells of the two feeds over `venues.stream`: a socket an account, and one for markets.

They start and end followers and hand events to the one consumer; what is said on a socket is the
core's matter. Knows no venue.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import Protocol

from domain.accounts import Account
from venues.connections import ConnectionBudget
from venues.connector import AccountEvent, MarketChannel, MarketEvent
from venues.stream import Backoff, EventQueue, Follower
from venues.stream_core import Step
from venues.stream_session import Conversation, LiveStream


class AccountSockets:
    """Implements `venues.connector.AccountFeed`: one task for each account.

    `follow` is what keeps one account followed until it is cancelled; its events go to `queue`.
    """

    def __init__(
        self,
        venue: str,
        queue: EventQueue[AccountEvent],
        follow: Callable[[Account], Coroutine[None, None, None]],
    ) -> None:
        self._venue = venue
        self._queue = queue
        self._run = follow
        self._followed: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._closed = False

    async def events(self) -> AsyncIterator[AccountEvent]:
        """Yield events until `close`, reconnecting by itself.

        What was heard of an account before it was let go, and not yet told, is told no more.
        """
        async for event in self._queue:
            if event.account_id in self._followed or event.account_id is None or self._closed:
                yield event

    async def watch(self, accounts: Sequence[Account]) -> None:
        """Set the accounts to follow: new ones are connected, missing ones let go."""
        wanted = {account.account_id: account for account in accounts}
        for account_id, (address, _) in list(self._followed.items()):
            same = wanted.get(account_id)
            if same is None or same.address != address:
                await self._let_go(account_id)
        for account_id, account in wanted.items():
            if account_id not in self._followed:
                self._follow(account)

    async def close(self) -> None:
        """Close all sockets and end the iteration, after what is already there."""
        self._closed = True
        for account_id in list(self._followed):
            await self._let_go(account_id)
        self._queue.close()

    def _follow(self, account: Account) -> None:
        name = f"{self._venue} feed {account.account_id}"
        task = asyncio.create_task(self._run(account), name=name)
        task.add_done_callback(self._queue.fail_with)
        self._followed[account.account_id] = (account.address, task)

    async def _let_go(self, account_id: str) -> None:
        _, task = self._followed.pop(account_id)
        task.cancel()
        await asyncio.wait([task])


class MarketConversation(Conversation[MarketEvent], Protocol):
    """A conversation about channels that may be changed while it goes on."""

    def want(self, channels: Iterable[MarketChannel], now: float) -> Step[MarketEvent]:
        """Set the channels to carry. Raises InvalidInput and changes nothing."""
        ...


class MarketSocket:
    """Implements `venues.connector.MarketFeed` over one socket."""

    def __init__(
        self,
        venue: str,
        url: str,
        conversation: MarketConversation,
        connections: ConnectionBudget,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self._venue = venue
        self._conversation = conversation
        self._queue: EventQueue[MarketEvent] = EventQueue()
        core: LiveStream[MarketEvent] = LiveStream(conversation)
        self._follower = Follower(url, core, self._queue, connections, backoff=backoff)
        self._task: asyncio.Task[None] | None = None

    async def events(self) -> AsyncIterator[MarketEvent]:
        """Yield events until `close`, reconnecting by itself."""
        async for event in self._queue:
            yield event

    async def subscribe(self, channels: Iterable[MarketChannel]) -> None:
        """Set the channels to carry; the first call connects. Raises InvalidInput as `want`."""
        now = asyncio.get_running_loop().time()
        self._follower.apply(self._conversation.want(channels, now))
        if self._task is None:
            self._task = asyncio.create_task(
                self._follower.run(), name=f"{self._venue} market feed"
            )
            self._task.add_done_callback(self._queue.fail_with)

    async def close(self) -> None:
        """Close the socket and end the iteration."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._queue.close()
