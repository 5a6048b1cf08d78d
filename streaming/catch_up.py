"""Re-reads accounts from their venue: after every (re)connect, and regularly as a safety net.

Once per account, shared by all its orders, inside a read budget: open orders, the fills and funding
since, money and positions, and one look-up for each order of ours that lives in storage but is not
open at the venue.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from domain.accounts import Account
from domain.errors import PerpDexError
from domain.orders import Order, Revision
from domain.ports import OrderStore
from domain.position_store import PositionStore
from streaming.budget import LISTING_COST, LOOKUP_COST, ReadBudget
from streaming.connectors import Connectors
from streaming.intake import Intake
from streaming.positions import PositionBoard
from venues.connector import Connector, VenueOrder

#: How far before the newest known fill reading begins; fills may become visible out of order.
OVERLAP: Final = timedelta(seconds=60)
EVERY_LIVE_S: Final = 180.0
EVERY_STALE_S: Final = 30.0
RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 30.0
TOGETHER_MAX: Final = 4
LOOKUPS_MAX: Final = 200
_READ_TIMEOUT_S: Final = 120.0
_FAR_S: Final = 3600.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Followed:
    """One account. `complete_until`: every fill of the venue up to it is booked."""

    account: Account
    due: float
    live: bool = False
    failures: int = 0
    reading: bool = False
    again: bool = False
    complete_until: datetime | None = None
    done: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often an account is read, in seconds."""

    live_s: float = EVERY_LIVE_S
    stale_s: float = EVERY_STALE_S
    retry_first_s: float = RETRY_FIRST_S
    retry_max_s: float = RETRY_MAX_S


@dataclass(slots=True)
class _Wanted:
    """Revisions of ours that may still live at the venue, by what the venue calls them."""

    lookups: list[tuple[Order, Revision]] = field(default_factory=list)

    def without(self, seen: tuple[VenueOrder, ...]) -> list[tuple[Order, Revision]]:
        client_ids = {order.client_order_id for order in seen if order.client_order_id}
        venue_ids = {order.venue_order_id for order in seen}
        return [
            (order, revision)
            for order, revision in self.lookups
            if revision.client_order_id not in client_ids
            and revision.venue_order_id not in venue_ids
        ]


class CatchUp:
    """Keeps every followed account complete."""

    def __init__(
        self,
        store: OrderStore,
        intake: Intake,
        positions: PositionBoard,
        position_store: PositionStore,
        connectors: Connectors,
        budget: ReadBudget,
        *,
        cadence: Cadence | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._intake = intake
        self._positions = positions
        self._position_store = position_store
        self._connectors = connectors
        self._budget = budget
        self._cadence = cadence or Cadence()
        self._clock = clock
        self._followed: dict[str, _Followed] = {}
        self._changed = asyncio.Event()
        #: Accounts read completely, and attempts that failed.
        self.reads = 0
        self.failures = 0

    async def follow(self, account: Account) -> None:
        """Take an account on, before its feed begins: its newest fill marks where to read from.

        Raises:
            Unavailable: storage does not answer.
        """
        if account.account_id not in self._followed:
            newest = await self._store.newest_fill_time(account.account_id)
            oldest = min(
                (o.created_at for o in await self._live_orders(account)),
                default=account.created_at if newest is None else newest,
            )
            # A fill may be missing behind the newest one booked if the last process died in
            # between; none of a live order is older than the order.
            complete_until = oldest if newest is None else min(newest, oldest)
            self._followed[account.account_id] = _Followed(
                account=account, due=self._clock(), complete_until=complete_until
            )
            self._changed.set()

    def unfollow(self, account_id: str) -> None:
        """Read an account no more."""
        self._followed.pop(account_id, None)

    def feed_is(self, account_id: str, *, live: bool) -> None:
        """Take note of an account's feed: a feed that went live has a gap behind it."""
        followed = self._followed.get(account_id)
        if followed is None:
            return
        followed.live = live
        if live:
            self.request(account_id)
        else:
            followed.due = min(followed.due, self._clock() + self._cadence.stale_s)
            self._changed.set()

    def request(self, account_id: str) -> None:
        """Read an account as soon as possible, once more if it is being read at this moment."""
        followed = self._followed.get(account_id)
        if followed is None:
            return
        followed.again = followed.reading
        followed.due = self._clock()
        self._changed.set()

    def passes(self) -> Mapping[str, int]:
        """Return how often each account has been read completely."""
        return {account_id: followed.done for account_id, followed in self._followed.items()}

    async def run(self) -> None:
        """Read what is due until cancelled."""
        places = asyncio.Semaphore(TOGETHER_MAX)
        for followed in self._followed.values():
            # After a failure this runs again, and what was being read then is not any more.
            followed.reading = False
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                for followed in list(self._followed.values()):
                    if not followed.reading and followed.due <= self._clock():
                        followed.reading = True
                        tasks.create_task(self._read_one(followed, places))
                waiting = [f.due for f in self._followed.values() if not f.reading]
                pause_s = min(waiting, default=self._clock() + _FAR_S) - self._clock()
                try:
                    async with asyncio.timeout(max(pause_s, 0.0)):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def _read_one(self, followed: _Followed, places: asyncio.Semaphore) -> None:
        account_id = followed.account.account_id
        try:
            async with places, asyncio.timeout(_READ_TIMEOUT_S):
                await self._read(followed)
        except (PerpDexError, TimeoutError) as error:
            if followed.failures == 0:
                _log.warning(
                    "an account could not be read from its venue: %s",
                    str(error) or "it took too long",
                    extra={"account_id": account_id},
                )
            self._failed(followed)
        except Exception:  # noqa: BLE001 - one account that cannot be read must not stop the others
            _log.exception("an account could not be read", extra={"account_id": account_id})
            self._failed(followed)
        else:
            if followed.failures:
                _log.info("an account was read again", extra={"account_id": account_id})
            followed.failures = 0
            every_s = self._cadence.live_s if followed.live else self._cadence.stale_s
            followed.due = self._clock() + every_s * random.uniform(0.8, 1.0)
        finally:
            if followed.again:
                followed.again = False
                followed.due = self._clock()
            followed.reading = False
            self._changed.set()

    def _failed(self, followed: _Followed) -> None:
        pause_s = self._cadence.retry_first_s * 2 ** min(followed.failures, 10)
        followed.failures += 1
        self.failures += 1
        followed.due = self._clock() + min(pause_s, self._cadence.retry_max_s)

    async def read(self, account_id: str) -> None:
        """Read one followed account completely, now.

        Raises:
            Unavailable, VenueRefused: the venue or storage does not answer; read it again.
            InvalidInput: there is no such venue or network.
        """
        await self._read(self._followed[account_id])

    async def _read(self, followed: _Followed) -> None:
        account, account_id = followed.account, followed.account.account_id
        connector = await self._connectors.of(account.venue, account.network)
        mark = await self._store.newest_fill_time(account_id)
        wanted = _wanted(await self._live_orders(account))

        await self._budget.spend(account.venue, account.network, LISTING_COST)
        open_orders = await connector.open_orders(account)
        await self._intake.take_orders(account_id, open_orders, source="open orders", hold=False)

        since = (followed.complete_until or account.created_at) - OVERLAP
        await self._budget.spend(account.venue, account.network, LISTING_COST)
        await self._intake.take_fills(await connector.fills(account, since=since))

        await self._read_money(connector, account)

        missing = wanted.without(open_orders)
        for order, revision in missing[:LOOKUPS_MAX]:
            await self._look_up(connector, account, order, revision)
        # Only now: what was booked before this pass and all before it is complete.
        if mark is not None:
            followed.complete_until = max(mark, followed.complete_until or mark)
        followed.done += 1
        self.reads += 1

    async def _read_money(self, connector: Connector, account: Account) -> None:
        """Read funding since the newest known, and the account's money and positions."""
        newest = await self._position_store.newest_funding_time(account.account_id)
        since = (newest or account.created_at) - OVERLAP
        await self._budget.spend(account.venue, account.network, LISTING_COST)
        payments = await connector.funding_payments(account, since=since)
        await self._positions.take_funding(account.account_id, payments)
        await self._budget.spend(account.venue, account.network, LOOKUP_COST)
        await self._positions.take_summary(await connector.account_summary(account))

    async def _look_up(
        self, connector: Connector, account: Account, order: Order, revision: Revision
    ) -> None:
        await self._budget.spend(account.venue, account.network, LOOKUP_COST)
        found = await connector.find_order(
            account,
            symbol=order.symbol,
            client_order_id=revision.client_order_id,
            venue_order_id=revision.venue_order_id,
        )
        if found.order is not None:
            await self._intake.take_orders(
                account.account_id, [found.order], source="look-up", hold=False
            )

    async def _live_orders(self, account: Account) -> list[Order]:
        return [o for o in await self._store.live() if o.account_id == account.account_id]


def _wanted(orders: list[Order]) -> _Wanted:
    return _Wanted([(order, r) for order in orders for r in order.revisions if not r.is_settled])
