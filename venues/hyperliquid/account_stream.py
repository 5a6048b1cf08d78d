"""The private feed: orders, fills, funding and state of our accounts, one socket for each.

`orderUpdates` does not name the user, so two users never share a socket. The venue numbers no
message: a gap cannot be seen, and whoever hears `FeedState(live=True)` after a gap has to read open
orders and fills once. Needs no key; the venue's user channels are public by address.

Source: docs api/websocket/subscriptions; NOTES.md "WebSocket".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain.accounts import Account
from venues.connections import ConnectionBudget
from venues.connector import (
    AccountEvent,
    AccountSeen,
    FeedState,
    FillsSeen,
    FundingSeen,
    OrdersSeen,
)
from venues.hyperliquid import translate, wire
from venues.hyperliquid.settings import socket_url
from venues.hyperliquid.stream_session import ACKNOWLEDGE_WITHIN_S, Session
from venues.stream import Backoff, EventQueue, Follower
from venues.stream_core import Step

#: Of the venue's ten connections per IP address one is left for market data, and of the thirty new
#: ones a minute six.
_CONNECTIONS_MAX: Final = 9
_OPENED_PER_MINUTE_MAX: Final = 24


class AccountStream:
    """Core of one account's feed, without I/O."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._account_id = account.account_id
        self._address = account.address.lower()
        self._session = Session()
        self._connected_at = 0.0
        self._has_snapshot = False
        self._is_live = False
        self._last_reason: str | None = None

    def connected(self, now: float, at: datetime) -> Step[AccountEvent]:
        """Subscribe to orders, single fills, funding and the account's state."""
        self._session.begin(now)
        self._connected_at = now
        self._has_snapshot = self._is_live = False
        user = {"user": self._address}
        return Step(
            send=(
                self._session.subscribe({"type": "orderUpdates", **user}, now),
                self._session.subscribe(
                    {"type": "userFills", **user, "aggregateByTime": False}, now
                ),
                self._session.subscribe({"type": "userFundings", **user}, now),
                self._session.subscribe({"type": "clearinghouseState", **user}, now),
            )
        )

    def received(self, payload: bytes, now: float, at: datetime) -> Step[AccountEvent]:
        """Read one message."""
        try:
            frame = self._session.read(payload, now)
            if isinstance(frame, str):
                return Step(close=frame)
            events = self._events(frame) if frame is not None else ()
        except wire.WireError as error:
            return Step(close=f"unreadable message: {error}"[:300])
        return Step(events=events + self._went_live(at))

    def tick(self, now: float, at: datetime) -> Step[AccountEvent]:
        """Ping, and notice a dead connection or a snapshot that never came."""
        ping, dead = self._session.tick(now)
        if dead is None and not self._is_live:
            waited = now - self._connected_at
            if waited >= ACKNOWLEDGE_WITHIN_S:
                dead = f"no snapshot of fills within {ACKNOWLEDGE_WITHIN_S:g} s"
        return Step(send=(ping,) if ping else (), close=dead)

    def disconnected(self, reason: str, at: datetime) -> tuple[AccountEvent, ...]:
        """Say that the feed is not live, once per loss and per new reason."""
        if not self._is_live and reason == self._last_reason:
            return ()
        self._is_live = False
        self._last_reason = reason
        return (FeedState(account_id=self._account_id, live=False, reason=reason, at=at),)

    def _went_live(self, at: datetime) -> tuple[AccountEvent, ...]:
        if self._is_live or not self._has_snapshot or not self._session.is_acknowledged:
            return ()
        self._is_live = True
        self._last_reason = None
        return (FeedState(account_id=self._account_id, live=True, reason="subscribed", at=at),)

    def _events(self, frame: wire.Frame) -> tuple[AccountEvent, ...]:
        if frame.channel == "orderUpdates":
            entries = wire.decode(bytes(frame.data), list[wire.OrderEntry])
            found = (translate.order_entry(entry) for entry in entries)
            orders = tuple(order for order in found if order is not None)
            return (OrdersSeen(account_id=self._account_id, orders=orders),) if orders else ()
        if frame.channel == "userFills":
            return self._fills(wire.decode(bytes(frame.data), wire.UserFills))
        if frame.channel == "userFundings":
            return self._funding(wire.decode(bytes(frame.data), wire.UserFundings))
        if frame.channel == "clearinghouseState":
            return self._state(wire.decode(bytes(frame.data), wire.AccountFrame))
        return ()

    def _funding(self, seen: wire.UserFundings) -> tuple[AccountEvent, ...]:
        self._check_user(seen.user, "funding")
        payments = tuple(
            translate.funding_frame(self._account_id, row)
            for row in seen.fundings
            if translate.is_perpetual(row.coin)
        )
        if not payments:
            return ()
        return (
            FundingSeen(
                account_id=self._account_id, payments=payments, is_snapshot=seen.isSnapshot
            ),
        )

    def _state(self, seen: wire.AccountFrame) -> tuple[AccountEvent, ...]:
        self._check_user(seen.user, "state")
        if seen.dex:
            return ()
        summary = translate.account_summary(self._account, seen.clearinghouseState)
        return (AccountSeen(account_id=self._account_id, summary=summary),)

    def _check_user(self, user: str, what: str) -> None:
        if user.lower() != self._address:
            raise wire.WireError(f"expected {what} of {self._address}, found {user}'s")

    def _fills(self, seen: wire.UserFills) -> tuple[AccountEvent, ...]:
        self._check_user(seen.user, "fills")
        self._has_snapshot = self._has_snapshot or seen.isSnapshot
        found = (translate.fill(self._account_id, row) for row in seen.fills)
        fills = tuple(sorted((f for f in found if f is not None), key=lambda f: f.event_time))
        if not fills:
            return ()
        return (FillsSeen(account_id=self._account_id, fills=fills, is_snapshot=seen.isSnapshot),)


@dataclass(frozen=True, slots=True)
class _Followed:
    address: str
    core: AccountStream
    task: asyncio.Task[None]


class HyperliquidAccountFeed:
    """Implements `venues.connector.AccountFeed`."""

    def __init__(
        self,
        base_url: str,
        *,
        connections: ConnectionBudget | None = None,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._url = socket_url(base_url)
        self._backoff = backoff
        self._connections = connections or ConnectionBudget(
            connections_max=_CONNECTIONS_MAX, opened_per_minute_max=_OPENED_PER_MINUTE_MAX
        )
        self._queue: EventQueue[AccountEvent] = EventQueue()
        self._followed: dict[str, _Followed] = {}

    async def events(self) -> AsyncIterator[AccountEvent]:
        """Yield events until `close`, reconnecting by itself."""
        async for event in self._queue:
            yield event

    async def watch(self, accounts: Sequence[Account]) -> None:
        """Set the accounts to follow: new ones are connected, missing ones let go."""
        wanted = {account.account_id: account for account in accounts}
        for account_id, followed in list(self._followed.items()):
            same = wanted.get(account_id)
            if same is None or same.address.lower() != followed.address:
                await self._let_go(account_id)
        for account_id, account in wanted.items():
            if account_id not in self._followed:
                self._follow(account)

    async def close(self) -> None:
        """Close all sockets and end the iteration."""
        for account_id in list(self._followed):
            await self._let_go(account_id)
        self._queue.close()

    def _follow(self, account: Account) -> None:
        account_id = account.account_id
        core = AccountStream(account)
        follower = Follower(
            self._url, core, self._queue, self._connections, backoff=self._backoff()
        )
        task = asyncio.create_task(follower.run(), name=f"hyperliquid feed {account_id}")
        task.add_done_callback(self._queue.fail_with)
        self._followed[account_id] = _Followed(account.address.lower(), core, task)

    async def _let_go(self, account_id: str) -> None:
        followed = self._followed.pop(account_id)
        followed.task.cancel()
        await asyncio.wait([followed.task])
