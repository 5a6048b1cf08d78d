"""Puts what a venue said into storage: matches it to an order of ours, folds, books.

Used by feeds and look-ups alike. What matches no order is labelled nothing: it is tried again for
a few seconds, since a report may overtake our own commit, and then left to reconciliation.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from domain.errors import CorruptState, NotFound, Unavailable
from domain.fills import Fill
from domain.order_fold import says_nothing_new
from domain.orders import OrderReport
from domain.ports import Folded, OrderStore
from venues.connector import VenueOrder

HOLD_S: Final = 5.0
HELD_MAX: Final = 1_000
RETRY_S: Final = 0.25

_log = logging.getLogger(__name__)

OnFolded = Callable[[Folded], None]


@dataclass(slots=True, kw_only=True)
class _Held:
    """A report without order; it is tried again ever more rarely, until its time is over."""

    until: float
    next_try: float
    pause_s: float
    account_id: str
    order: VenueOrder
    source: str


class Intake:
    """The way into storage. `on_folded` hears of every fold that changed an order."""

    def __init__(
        self,
        store: OrderStore,
        on_folded: OnFolded,
        *,
        hold_s: float = HOLD_S,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._on_folded = on_folded
        self._hold_s = hold_s
        self._clock = clock
        self._now = now
        self._held: deque[_Held] = deque()
        #: Orders that matched nothing within the time; another's, or orders made elsewhere.
        self.unmatched = 0
        #: Reports and fills that changed an order.
        self.booked = 0

    @property
    def held(self) -> int:
        """How many reports wait for their order."""
        return len(self._held)

    async def take_orders(
        self, account_id: str, orders: Sequence[VenueOrder], *, source: str, hold: bool
    ) -> None:
        """Fold what the venue says of its orders; with `hold`, keep what matches none for a while.

        Raises:
            Unavailable: storage does not answer; what remains was not folded.
        """
        for order in orders:
            if await self._fold(account_id, order, source):
                continue
            if hold and len(self._held) < HELD_MAX:
                now = self._clock()
                held = _Held(
                    until=now + self._hold_s,
                    next_try=now + RETRY_S,
                    pause_s=RETRY_S,
                    account_id=account_id,
                    order=order,
                    source=source,
                )
                self._held.append(held)
            else:
                self.unmatched += 1

    async def take_fills(self, fills: Sequence[Fill]) -> None:
        """Book fills, each once whoever brings it how often.

        Raises:
            Unavailable: storage does not answer; nothing was booked.
        """
        if not fills:
            return
        for folded in await self._store.book(fills):
            self._tell(folded)

    async def retry_held(self) -> None:
        """Try what waits once more; what has waited too long is counted and dropped."""
        for _ in range(len(self._held)):
            held = self._held.popleft()
            if self._clock() < held.next_try:
                self._held.append(held)
                continue
            try:
                found = await self._fold(held.account_id, held.order, held.source)
            except Unavailable:
                self._held.appendleft(held)
                return
            if found:
                continue
            if self._clock() < held.until:
                held.pause_s *= 2
                held.next_try = min(self._clock() + held.pause_s, held.until)
                self._held.append(held)
            else:
                self.unmatched += 1

    async def run(self) -> None:
        """Retry what waits until cancelled."""
        while True:
            await asyncio.sleep(RETRY_S)
            await self.retry_held()

    async def _fold(self, account_id: str, order: VenueOrder, source: str) -> bool:
        matched = await self._store.find(
            account_id,
            client_order_id=order.client_order_id,
            venue_order_id=order.venue_order_id,
        )
        if matched is None:
            return False
        kept, revision = matched
        order_id = kept.order_id
        report = OrderReport(
            order_id=order_id,
            revision=revision,
            verdict=order.verdict,
            filled_quantity=order.filled_quantity,
            average_price=order.average_price,
            venue_order_id=order.venue_order_id,
            reason=order.reason,
            event_time=order.event_time,
            received_time=self._now(),
            source=source,
        )
        if says_nothing_new(kept, report):
            # As most do: our own answer was quicker, or everything is read again. What folding has
            # taken in it never loses, so that no transaction need look once more.
            return True
        try:
            self._tell(await self._store.fold(report))
        except NotFound:
            return False
        except CorruptState:
            # One order an operator has to look at must not stop the others.
            _log.exception("a report could not be folded", extra={"order_id": order_id})
        return True

    def _tell(self, folded: Folded) -> None:
        if folded.reopened:
            _log.error(
                "a venue report contradicts how the order was closed",
                extra={"order_id": folded.order.order_id, "status": folded.order.status.value},
            )
        if folded.changed:
            self.booked += 1
            self._on_folded(folded)
