"""Orders in SQL: read for update, folded and written in one transaction by whoever has news."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from domain.errors import NotFound
from domain.fills import Fill, FillTotal, total
from domain.order_fold import apply
from domain.orders import Order, OrderReport
from domain.ports import Delivery, Folded, OrderFilter, OrderPage
from domain.settlement import is_reopened
from domain.timeline import EventKind, OrderChange, TimelineEvent
from storage import changes, codec
from storage.booking import Booking, fills_of_order, match_revision, not_booked
from storage.clock import Clock, utc_now
from storage.deliveries import Deliveries
from storage.engine import Database
from storage.listing import read_page
from storage.order_writer import OrderWriter, fill_event
from storage.tables import fills, orders


class SqlOrderStore:
    """Implements `domain.ports.OrderStore`."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        self._writer = OrderWriter(database, now)
        self._booking = Booking(database, self._writer)
        self._deliveries = Deliveries(database)

    async def get(self, order_id: str) -> Order | None:
        """Return the order, or None."""
        found = await self._database.fetch_one(_READ_BODY, {"an_order_id": order_id})
        return None if found is None else codec.orders.decode(found.body)

    async def add(self, order: Order, event: TimelineEvent) -> Order:
        """Write an order that never came to a command, or return the one that is there.

        Raises:
            NotFound: there is no such account.
            Conflict: one of its revisions has a client order id of another order.
        """

        def work(connection: Connection) -> Order:
            self._writer.lock_account(connection, order.account_id)
            stored = self._writer.read(connection, order.order_id)
            if stored is not None:
                return stored
            created = self._writer.create(connection, order)
            early = [fill_event(fill, order.order_id) for fill in created.early_fills]
            self._writer.append(connection, created.order, [event, *early])
            return created.order

        return await self._database.write(work)

    async def page(self, wanted: OrderFilter) -> OrderPage:
        """Return a page of orders. Raises InvalidInput for a cursor or limit we cannot take."""
        return await read_page(self._database, wanted)

    async def live(self) -> tuple[Order, ...]:
        """Return all orders that have not ended, oldest first."""
        rows = await self._database.fetch_all(_READ_LIVE)
        return tuple(codec.orders.decode(row.body) for row in rows)

    async def amend(
        self, order_id: str, change: Callable[[Order], Order], event: TimelineEvent
    ) -> Order:
        """Read for update, apply the pure `change`, write with `event`; return the new order.

        Raises:
            NotFound: there is no such order.
            Conflict: a new revision has a client order id of another order.
        """

        def work(connection: Connection) -> Order:
            before = self._locked(connection, order_id)
            after = change(before)
            if after == before:
                return before
            saved = self._writer.save(connection, before, after)
            early = [fill_event(fill, order_id) for fill in saved.early_fills]
            self._writer.append(connection, saved.order, [event, *early])
            return saved.order

        return await self._database.write(work)

    async def fold(self, report: OrderReport) -> Folded:
        """Fold one report in; remember it for delivery if it changes a quantity or ends the order.

        Raises:
            NotFound: there is no such order, or it has no such revision.
        """

        def work(connection: Connection) -> Folded:
            before = self._locked(connection, report.order_id)
            try:
                after = apply(before, report)
            except KeyError as error:
                raise NotFound(error.args[0]) from None
            if after == before:
                return Folded(order=before, changed=False)
            saved = self._writer.save(connection, before, after)
            early = [fill_event(fill, report.order_id) for fill in saved.early_fills]
            self._writer.append(connection, saved.order, [self._report_event(report), *early])
            return Folded(
                order=saved.order,
                changed=True,
                delivery_id=self._writer.deliver(connection, before, saved.order, report),
                reopened=is_reopened(before, saved.order),
            )

        return await self._database.write(work)

    async def book(self, fills: Sequence[Fill]) -> tuple[Folded, ...]:
        """Book the fills not booked yet, each once, and fold the new totals into their orders.

        Returns what was done to each order concerned. One that matches no order yet is booked all
        the same, and comes to its order when the order learns its ids.
        """
        new = await self._database.read(lambda connection: not_booked(connection, fills))
        if not new:
            return ()
        return await self._database.write(lambda connection: self._booking.run(connection, new))

    async def fill_total(self, order_id: str) -> FillTotal:
        """Return what the booked fills of an order add up to."""
        return total(await self.fills(order_id))

    async def fills(self, order_id: str) -> tuple[Fill, ...]:
        """Return the booked fills of an order, oldest first."""
        return await self._database.read(lambda connection: fills_of_order(connection, order_id))

    async def newest_fill_time(self, account_id: str) -> datetime | None:
        """Return the event time of the newest booked fill of an account."""
        found = await self._database.fetch_one(_NEWEST_FILL, {"an_account_id": account_id})
        newest: datetime | None = None if found is None else found[0]
        return newest

    async def match(
        self, account_id: str, *, client_order_id: str | None, venue_order_id: str | None
    ) -> tuple[str, int] | None:
        """Return (order id, revision) of the venue order that bears these ids, or None."""
        owner = await self._database.read(
            lambda connection: match_revision(
                connection,
                account_id,
                client_order_id=client_order_id,
                venue_order_id=venue_order_id,
            )
        )
        return None if owner is None else (owner.order_id, owner.number)

    async def find(
        self, account_id: str, *, client_order_id: str | None, venue_order_id: str | None
    ) -> tuple[Order, int] | None:
        """Return the order, and the number of its revision, that bears these ids, or None."""

        def read(connection: Connection) -> tuple[Order, int] | None:
            owner = match_revision(
                connection,
                account_id,
                client_order_id=client_order_id,
                venue_order_id=venue_order_id,
            )
            order = None if owner is None else self._writer.read(connection, owner.order_id)
            return None if owner is None or order is None else (order, owner.number)

        return await self._database.read(read)

    async def record(self, event: TimelineEvent) -> None:
        """Append an event to an order's timeline without changing the order.

        Raises:
            NotFound: there is no such order.
        """

        def work(connection: Connection) -> None:
            account_id = connection.execute(_READ_ACCOUNT, {"an_order_id": event.order_id}).scalar()
            if account_id is None:
                raise NotFound(f"no order {event.order_id}")
            self._writer.note(connection, account_id, event)

        await self._database.write(work, repeat=False)

    async def timeline(self, order_id: str) -> tuple[TimelineEvent, ...]:
        """Return an order's timeline, oldest first."""
        return await changes.timeline(self._database, order_id)

    async def undelivered(self, *, limit: int = 500) -> tuple[Delivery, ...]:
        """Return reports that workflows have not heard, oldest first, and count the attempt."""
        return await self._deliveries.take(limit=limit)

    async def mark_delivered(self, delivery_ids: Sequence[int]) -> None:
        """Remember that the workflows have them (or need them no more)."""
        await self._deliveries.mark(delivery_ids, self._now())

    async def changes(
        self, account_ids: Sequence[str], after: dict[str, int], *, limit: int = 500
    ) -> tuple[OrderChange, ...]:
        """Return changes of accounts past the given sequences, in order per account."""
        return await changes.read_changes(self._database, account_ids, after, limit=limit)

    async def last_sequence(self, account_id: str) -> int:
        """Return the newest sequence of an account, 0 before the first."""
        return await changes.last_sequence(self._database, account_id)

    def _locked(self, connection: Connection, order_id: str) -> Order:
        order = self._writer.read_locked(connection, order_id)
        if order is None:
            raise NotFound(f"no order {order_id}")
        return order

    def _report_event(self, report: OrderReport) -> TimelineEvent:
        filled = "" if report.filled_quantity is None else f", filled {report.filled_quantity}"
        reason = "" if report.reason is None else f": {report.reason}"
        detail = {"revision": str(report.revision), "source": report.source}
        if report.venue_order_id is not None:
            detail["venue_order_id"] = report.venue_order_id
        if report.event_time is not None:
            detail["event_time"] = report.event_time.isoformat()
        return TimelineEvent(
            order_id=report.order_id,
            kind=EventKind.REPORT,
            text=f"{report.verdict.value}{filled}{reason}",
            at=self._now(),
            detail=detail,
        )


_READ_BODY = select(orders.c.body).where(orders.c.order_id == bindparam("an_order_id"))
_READ_ACCOUNT = select(orders.c.account_id).where(orders.c.order_id == bindparam("an_order_id"))
_READ_LIVE = (
    select(orders.c.body).where(~orders.c.ended).order_by(orders.c.created_at, orders.c.order_id)
)
_NEWEST_FILL = select(func.max(fills.c.event_time)).where(
    fills.c.account_id == bindparam("an_account_id")
)
