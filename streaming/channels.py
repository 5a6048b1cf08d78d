"""What a channel is to the server: numbered messages per account, read from storage.

Another kind of data is another class with these methods and one more path. Knows storage by its
ports and no socket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from domain.accounts import Account
from domain.orders import Order, OrderStatus
from domain.ports import OrderFilter, OrderStore
from domain.timeline import OrderChange
from streaming.freshness import Freshness, FreshnessBoard
from streaming.hub import Topic
from streaming.protocol import OrdersSnapshot, OrderUpdate, Status, encode
from streaming.schema import event_view, order_view

ORDERS: Final = "orders"
CHANGES_PER_READ: Final = 500
#: Orders in one snapshot message; a longer snapshot comes in several.
SNAPSHOT_PART: Final = 500
SNAPSHOT_OPEN_MAX: Final = 10_000
RECENTLY_ENDED_MAX: Final = 50
RECENTLY_ENDED: Final = timedelta(minutes=10)
_STEADY_READS: Final = 3

_LIVE = tuple(status.value for status in OrderStatus if not status.is_terminal)
_ENDED = tuple(status.value for status in OrderStatus if status.is_terminal)


class Channel(Protocol):
    """A kind of numbered messages, one sequence per account."""

    @property
    def name(self) -> str:
        """The channel's name in messages."""
        ...

    async def snapshot(self, account: Account) -> tuple[int, list[bytes]]:
        """Return the present state as messages, and the sequence it is true for."""
        ...

    async def since(
        self, account: Account, sequence: int, *, at_most: int
    ) -> tuple[int, list[bytes]] | None:
        """Return the messages past a sequence and the last one's, or None: take a snapshot."""
        ...

    async def read(self, after: Mapping[str, int]) -> list[tuple[Topic, int, bytes]]:
        """Return what is new past these sequences, in order per account; at most a page."""
        ...

    def status(self, account_id: str) -> bytes:
        """Return how fresh an account's data is, as a message."""
        ...


def status_of(channel: str, account_id: str, fresh: Freshness) -> bytes:
    """Return how fresh an account's data on a channel is, as a message."""
    return encode(
        Status(
            channel=channel,
            account_id=account_id,
            stale=not fresh.live,
            age_ms=None if fresh.age_s is None else int(fresh.age_s * 1000),
            reason=fresh.reason,
        )
    )


class OrdersChannel:
    """Orders, numbered by storage in commit order."""

    name = ORDERS

    def __init__(
        self,
        store: OrderStore,
        board: FreshnessBoard,
        now: Callable[[], datetime],
        *,
        handed_on: Callable[[float], None] = lambda took_s: None,
    ) -> None:
        self._handed_on = handed_on
        self._store = store
        self._board = board
        self._now = now

    async def snapshot(self, account: Account) -> tuple[int, list[bytes]]:
        """Return open and lately ended orders; read again while changes come in between."""
        sequence = await self._store.last_sequence(account.account_id)
        for _ in range(_STEADY_READS):
            orders = await self._orders(account)
            newest = await self._store.last_sequence(account.account_id)
            if newest == sequence:
                break
            # What was read may be ahead of `sequence`: the changes that follow repeat it.
            sequence, kept = newest, sequence
        else:
            sequence = kept
        return sequence, self._parts(account.account_id, sequence, orders)

    async def since(
        self, account: Account, sequence: int, *, at_most: int
    ) -> tuple[int, list[bytes]] | None:
        """Return the changes past a sequence; None for one from the future or too long ago."""
        account_id = account.account_id
        newest = await self._store.last_sequence(account_id)
        if sequence > newest or newest - sequence > at_most:
            return None
        messages: list[bytes] = []
        while sequence < newest:
            changes = await self._store.changes(
                [account_id], {account_id: sequence}, limit=CHANGES_PER_READ
            )
            if not changes or changes[0].sequence != sequence + 1:
                return None
            messages.extend(_update(change) for change in changes)
            sequence = changes[-1].sequence
        return sequence, messages

    async def read(self, after: Mapping[str, int]) -> list[tuple[Topic, int, bytes]]:
        """Return the next changes of these accounts."""
        changes = await self._store.changes(list(after), dict(after), limit=CHANGES_PER_READ)
        now = self._now()
        for change in changes:
            written = change.order.updated_at
            if written is not None:
                self._handed_on((now - written).total_seconds())
        return [
            (Topic(ORDERS, change.account_id), change.sequence, _update(change))
            for change in changes
        ]

    def status(self, account_id: str) -> bytes:
        """Return how fresh an account's orders are."""
        return status_of(ORDERS, account_id, self._board.of(account_id))

    async def _orders(self, account: Account) -> list[Order]:
        orders = await self._pages(account, _LIVE, SNAPSHOT_OPEN_MAX)
        since = self._now() - RECENTLY_ENDED
        ended = await self._pages(account, _ENDED, RECENTLY_ENDED_MAX)
        return orders + [o for o in ended if (o.updated_at or o.created_at) >= since]

    async def _pages(
        self, account: Account, statuses: tuple[str, ...], at_most: int
    ) -> list[Order]:
        orders: list[Order] = []
        cursor: str | None = None
        while len(orders) < at_most:
            page = await self._store.page(
                OrderFilter(
                    owner=account.owner,
                    account_id=account.account_id,
                    statuses=statuses,
                    limit=min(SNAPSHOT_PART, at_most),
                    cursor=cursor,
                )
            )
            orders.extend(page.orders)
            cursor = page.next_cursor
            if cursor is None:
                break
        return orders[:at_most]

    def _parts(self, account_id: str, sequence: int, orders: list[Order]) -> list[bytes]:
        starts = range(0, max(len(orders), 1), SNAPSHOT_PART)
        return [
            encode(
                OrdersSnapshot(
                    channel=ORDERS,
                    account_id=account_id,
                    seq=sequence,
                    more=start + SNAPSHOT_PART < len(orders),
                    orders=[order_view(o) for o in orders[start : start + SNAPSHOT_PART]],
                )
            )
            for start in starts
        ]


def _update(change: OrderChange) -> bytes:
    return encode(
        OrderUpdate(
            channel=ORDERS,
            account_id=change.account_id,
            seq=change.sequence,
            prev_seq=change.sequence - 1,
            event=event_view(change.event),
            order=order_view(change.order),
        )
    )
