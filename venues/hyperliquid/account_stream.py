"""The private feed: orders, fills, funding and state of our accounts, one socket for each.

`orderUpdates` does not name the user, so two users never share a socket. The venue numbers no
message: a gap cannot be seen, and whoever hears `FeedState(live=True)` after a gap has to read open
orders and fills once. Needs no key; the venue's user channels are public by address.

Source: docs api/websocket/subscriptions; NOTES.md "WebSocket".
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Final

from domain.accounts import Account
from venues.addresses import socket_url
from venues.connections import ConnectionBudget
from venues.connector import (
    AccountEvent,
    AccountSeen,
    FillsSeen,
    FundingSeen,
    OrdersSeen,
)
from venues.feeds import AccountSockets
from venues.hyperliquid import translate, wire
from venues.hyperliquid.stream_session import Session
from venues.stream import Backoff, EventQueue, Follower
from venues.stream_session import LiveStream

#: Of the venue's ten connections per IP address one is left for market data, and of the thirty new
#: ones a minute six.
_CONNECTIONS_MAX: Final = 9
_OPENED_PER_MINUTE_MAX: Final = 24
_SNAPSHOT: Final = "snapshot"


class AccountStream:
    """The conversation about one account, without I/O; live once its fills were told."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._account_id = account.account_id
        self._address = account.address.lower()
        self._session = Session()
        self.watch = self._session.watch

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Subscribe to orders, single fills, funding and the account's state."""
        user = {"user": self._address}
        frames = (
            self._session.subscribe({"type": "orderUpdates", **user}, now),
            self._session.subscribe({"type": "userFills", **user, "aggregateByTime": False}, now),
            self._session.subscribe({"type": "userFundings", **user}, now),
            self._session.subscribe({"type": "clearinghouseState", **user}, now),
        )
        self.watch.expect(_SNAPSHOT, "no snapshot of fills", now)
        return frames

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[AccountEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        frame = self._session.read(payload)
        return self._events(frame) if frame is not None else ()

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
        if seen.isSnapshot:
            self.watch.answered(_SNAPSHOT)
        found = (translate.fill(self._account_id, row) for row in seen.fills)
        fills = tuple(sorted((f for f in found if f is not None), key=lambda f: f.event_time))
        if not fills:
            return ()
        return (FillsSeen(account_id=self._account_id, fills=fills, is_snapshot=seen.isSnapshot),)


def account_feed(
    base_url: str,
    *,
    connections: ConnectionBudget | None = None,
    backoff: Callable[[], Backoff] = Backoff,
) -> AccountSockets:
    """Return the private feed at an address, not yet connected."""
    url = socket_url(base_url)
    budget = connections or ConnectionBudget(
        connections_max=_CONNECTIONS_MAX, opened_per_minute_max=_OPENED_PER_MINUTE_MAX
    )
    queue: EventQueue[AccountEvent] = EventQueue()

    def follow(account: Account) -> Coroutine[None, None, None]:
        core = LiveStream(AccountStream(account), account.account_id)
        return Follower(url, core, queue, budget, backoff=backoff()).run()

    return AccountSockets("hyperliquid", queue, follow)
