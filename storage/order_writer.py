"""Writing orders inside a transaction: the row, its ids, early fills, and the account's changes.

Shared by all who have news of an order, so that each of them keeps the same promises: a change and
its event commit together, sequences have no gaps, and a fill that came before its order finds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    insert,
    select,
    union,
    update,
)
from sqlalchemy.exc import IntegrityError

from domain.errors import Conflict, NotFound
from domain.exposure import open_price, open_quantity
from domain.fills import Fill
from domain.net_positions import signed
from domain.numbers import plain
from domain.order_fold import apply
from domain.orders import Concern, Order, OrderReport, Revision
from domain.settlement import booked_report, needs_hearing, standing
from domain.timeline import EventKind, TimelineEvent
from storage import codec
from storage.clock import Clock
from storage.engine import Database
from storage.fill_rows import FILL_COLUMNS, read_fill
from storage.net_positions import NetPositionWriter
from storage.tables import (
    account_sequences,
    client_order_ids,
    fills,
    order_events,
    orders,
    report_deliveries,
    venue_order_ids,
)


@dataclass(frozen=True, slots=True)
class RevisionName:
    """Names one revision of one order."""

    order_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Saved:
    """An order as written, and the fills that had come before it and are matched now."""

    order: Order
    early_fills: tuple[Fill, ...] = ()


class OrderWriter:
    """The statements that write orders; all methods run inside the caller's transaction."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._is_sqlite = database.is_sqlite
        self._now = now
        self.positions = NetPositionWriter(database, now)
        self._insert_client_id = (
            database.insert(client_order_ids)
            .on_conflict_do_nothing(index_elements=["account_id", "client_order_id"])
            .returning(client_order_ids.c.client_order_id)
        )
        self._insert_venue_id = database.insert(venue_order_ids).on_conflict_do_nothing(
            index_elements=["account_id", "venue_order_id"]
        )

    def lock_account(self, connection: Connection, account_id: str) -> None:
        """Make this transaction the only one that writes orders of the account, until it ends."""
        if not self._is_sqlite:
            connection.execute(_LOCK_ACCOUNT, {"an_account_id": account_id})

    def read_locked(self, connection: Connection, order_id: str) -> Order | None:
        """Return the order, with its account locked, or None."""
        if not self._is_sqlite:
            connection.execute(_LOCK_ACCOUNT_OF_ORDER, {"an_order_id": order_id})
        return self.read(connection, order_id)

    def read(self, connection: Connection, order_id: str) -> Order | None:
        """Return the order as this transaction sees it, or None."""
        body = connection.execute(_READ_ORDER, {"an_order_id": order_id}).scalar()
        return None if body is None else codec.orders.decode(body)

    def create(self, connection: Connection, order: Order, *, ids_kept: bool = False) -> Saved:
        """Insert an order that is not there, with its ids unless they are kept.

        Fills that came before it are folded in, unless its ids are kept: then nothing can have
        come of it yet.

        Raises:
            NotFound: there is no such account.
            Conflict: a revision has a client order id of another order.
        """
        written = replace(order, updated_at=self._now())
        try:
            connection.execute(_INSERT_ORDER, _order_values(written))
        except IntegrityError:
            # Nobody else writes orders of a locked account: what is missing is the account.
            raise NotFound(f"no account {order.account_id!r}") from None
        self.positions.order_changed(connection, None, written)
        if ids_kept or not written.revisions:
            return Saved(written)
        folded, early = self._learn_ids(connection, {}, written)
        if early:
            self._update(connection, written, folded, early)
        return Saved(folded, early)

    def take_client_id(
        self, connection: Connection, account_id: str, client_order_id: str, revision: RevisionName
    ) -> bool:
        """Keep a client order id for a revision; False if the account has used it before."""
        values = {"account_id": account_id, "client_order_id": client_order_id}
        owner = {"order_id": revision.order_id, "revision": revision.number}
        return connection.execute(self._insert_client_id, values | owner).first() is not None

    def save(self, connection: Connection, before: Order, after: Order) -> Saved:
        """Write a changed order, keep its new ids, and fold in fills that came before them."""
        known = {revision.number: revision for revision in before.revisions}
        after, early = self._learn_ids(connection, known, after)
        written = replace(after, updated_at=self._now())
        self._update(connection, before, written, early)
        return Saved(written, early)

    def relearn(self, connection: Connection, order: Order) -> Saved:
        """Keep the ids of a stored order once more, and fold in fills that came without them."""
        after, early = self._learn_ids(connection, {}, order)
        if after == order and not early:
            return Saved(order)
        written = replace(after, updated_at=self._now())
        self._update(connection, order, written, early)
        return Saved(written, early)

    def _update(
        self, connection: Connection, before: Order, after: Order, matched: Sequence[Fill]
    ) -> None:
        connection.execute(_UPDATE_ORDER, _order_values(after) | {"an_order_id": after.order_id})
        self.positions.order_changed(connection, before, after, matched)

    def _learn_ids(
        self, connection: Connection, known: Mapping[int, Revision], order: Order
    ) -> tuple[Order, tuple[Fill, ...]]:
        """Keep the ids that `known` revisions lack; return the order with fills of these ids."""
        early: list[Fill] = []
        for revision in order.revisions:
            if self._keep_ids(connection, order, known.get(revision.number), revision):
                matched = self._match_early_fills(connection, order, revision)
                if matched:
                    early += matched
                    owner = RevisionName(order.order_id, revision.number)
                    order = apply(order, self.booked(connection, owner, matched[-1]))
        return order, tuple(early)

    def booked(self, connection: Connection, revision: RevisionName, newest: Fill) -> OrderReport:
        """Return what the booked fills of a revision add up to; `newest` gives id and time."""
        key = {"an_order_id": revision.order_id, "a_revision": revision.number}
        executions = connection.execute(_READ_EXECUTIONS, key)
        return booked_report(
            revision.order_id,
            revision.number,
            [(Decimal(quantity), Decimal(price)) for quantity, price in executions],
            venue_order_id=newest.venue_order_id,
            event_time=newest.event_time,
        )

    def append(self, connection: Connection, order: Order, events: Sequence[TimelineEvent]) -> None:
        """Append events with the order as it is after them, each with the account's next number."""
        bump = {"an_account_id": order.account_id, "count": len(events)}
        last = connection.execute(_NEXT_SEQUENCES, bump).scalar_one()
        snapshot = codec.orders.encode(order)
        rows = [
            _event_values(event, order.account_id)
            | {"sequence": last - len(events) + number, "snapshot": snapshot}
            for number, event in enumerate(events, start=1)
        ]
        connection.execute(_INSERT_EVENT, rows)

    def note(self, connection: Connection, account_id: str, event: TimelineEvent) -> None:
        """Append an event that changed nothing of its order: no number, no snapshot."""
        values = _event_values(event, account_id) | {"sequence": None, "snapshot": None}
        connection.execute(_INSERT_EVENT, values)

    def deliver(
        self, connection: Connection, before: Order, after: Order, report: OrderReport
    ) -> int | None:
        """Remember a report for the order's workflow if it has to hear of it; return its id.

        An order that is not ours has a workflow only while it is canceled on somebody's word.
        """
        has_workflow = after.origin.is_ours or after.concern is not Concern.NONE
        if not has_workflow or not needs_hearing(before, after):
            return None
        values = {
            "order_id": after.order_id,
            "report": codec.reports.encode(standing(after, report)),
            "created_at": self._now(),
            "attempts": 0,
        }
        delivery_id: int = connection.execute(_INSERT_DELIVERY, values).scalar_one()
        return delivery_id

    def keep_venue_id(
        self, connection: Connection, order: Order, revision: int, venue_order_id: str
    ) -> None:
        """Keep a venue order id of a revision; the first one to name it keeps it."""
        values = {"account_id": order.account_id, "venue_order_id": venue_order_id}
        owner = {"order_id": order.order_id, "revision": revision}
        connection.execute(self._insert_venue_id, values | owner)

    def _keep_ids(
        self, connection: Connection, order: Order, old: Revision | None, new: Revision
    ) -> bool:
        """Keep the ids that `new` has and `old` had not; tell whether there were any."""
        if old is None:
            owner = RevisionName(order.order_id, new.number)
            self._claim_client_id(connection, order, new, owner)
        is_named = new.venue_order_id is not None and (
            old is None or old.venue_order_id != new.venue_order_id
        )
        if is_named and new.venue_order_id is not None:
            self.keep_venue_id(connection, order, new.number, new.venue_order_id)
        return is_named or old is None

    def _claim_client_id(
        self, connection: Connection, order: Order, revision: Revision, owner: RevisionName
    ) -> None:
        """Keep the client order id of a new revision, unless it is this revision's already."""
        client_order_id = revision.client_order_id
        if self.take_client_id(connection, order.account_id, client_order_id, owner):
            return
        key = {"an_account_id": order.account_id, "a_client_order_id": client_order_id}
        holder = connection.execute(_READ_CLIENT_ID, key).one()
        if (holder.order_id, holder.revision) != (owner.order_id, owner.number):
            raise Conflict(
                f"client order id {client_order_id!r} is that of order {holder.order_id} "
                f"revision {holder.revision} already; pick another",
                code="client_order_id_taken",
            )

    def _match_early_fills(
        self, connection: Connection, order: Order, revision: Revision
    ) -> list[Fill]:
        matched = self._match_by(connection, order, revision, revision.venue_order_id)
        for venue_order_id in sorted({fill.venue_order_id for fill in matched}):
            self.keep_venue_id(connection, order, revision.number, venue_order_id)
            if venue_order_id != revision.venue_order_id:
                # Known by the client id of one of its fills; others may bear the venue's alone.
                matched += self._match_by(connection, order, revision, venue_order_id)
        return sorted(matched, key=lambda fill: (fill.event_time, fill.trade_id))

    def _match_by(
        self,
        connection: Connection,
        order: Order,
        revision: Revision,
        venue_order_id: str | None,
    ) -> list[Fill]:
        key = {
            "an_account_id": order.account_id,
            "a_client_order_id": revision.client_order_id,
            "a_venue_order_id": venue_order_id,
            "its_order_id": order.order_id,
            "its_revision": revision.number,
        }
        return [read_fill(row) for row in connection.execute(_MATCH_EARLY_FILLS, key)]


def fill_event(fill: Fill, order_id: str) -> TimelineEvent:
    """Return the timeline's entry of a booked fill."""
    detail = {
        "trade_id": fill.trade_id,
        "venue_order_id": fill.venue_order_id,
        "quantity": str(fill.quantity),
        "price": str(fill.price),
        "fee": str(fill.fee),
        "fee_currency": fill.fee_currency,
        "liquidity_side": fill.liquidity_side.value,
    }
    return TimelineEvent(
        order_id=order_id,
        kind=EventKind.FILL,
        text=f"filled {fill.quantity} at {fill.price} ({fill.liquidity_side.lower()})",
        at=fill.event_time,
        detail=detail,
    )


def _order_values(order: Order) -> dict[str, Any]:
    left, price = signed(order.side, open_quantity(order)), open_price(order)
    return {
        "order_id": order.order_id,
        "owner": order.owner,
        "account_id": order.account_id,
        "venue": order.venue,
        "symbol": order.symbol,
        "status": order.status.value,
        "ended": order.is_terminal,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "body": codec.orders.encode(order),
        "open_quantity": plain(left) if left else None,
        "open_price": plain(price) if left and price is not None else None,
    }


def _event_values(event: TimelineEvent, account_id: str) -> dict[str, Any]:
    return {
        "order_id": event.order_id,
        "account_id": account_id,
        "kind": event.kind.value,
        "text": codec.storable_text(event.text),
        "at": event.at,
        "detail": None if event.detail is None else codec.details.encode(event.detail),
    }


_LOCK_ACCOUNT = (
    select(account_sequences.c.last_sequence)
    .where(account_sequences.c.account_id == bindparam("an_account_id"))
    .with_for_update()
)
_LOCK_ACCOUNT_OF_ORDER = (
    select(account_sequences.c.last_sequence)
    .where(
        account_sequences.c.account_id
        == select(orders.c.account_id)
        .where(orders.c.order_id == bindparam("an_order_id"))
        .scalar_subquery()
    )
    .with_for_update()
)
_INSERT_ORDER = insert(orders)
_READ_ORDER = select(orders.c.body).where(orders.c.order_id == bindparam("an_order_id"))
_UPDATE_ORDER = (
    update(orders)
    .where(orders.c.order_id == bindparam("an_order_id"))
    .values(
        status=bindparam("status"),
        ended=bindparam("ended"),
        updated_at=bindparam("updated_at"),
        body=bindparam("body"),
        open_quantity=bindparam("open_quantity"),
        open_price=bindparam("open_price"),
    )
)
_READ_EXECUTIONS = select(fills.c.quantity, fills.c.price).where(
    fills.c.order_id == bindparam("an_order_id"), fills.c.revision == bindparam("a_revision")
)
_READ_CLIENT_ID = select(client_order_ids.c.order_id, client_order_ids.c.revision).where(
    client_order_ids.c.account_id == bindparam("an_account_id"),
    client_order_ids.c.client_order_id == bindparam("a_client_order_id"),
)


def _unmatched(named: ColumnElement[bool]) -> Select[tuple[int]]:
    return select(fills.c.fill_id).where(
        fills.c.account_id == bindparam("an_account_id"), fills.c.order_id.is_(None), named
    )


# Two look-ups along an index each: fills of orders that are not ours stay unmatched for ever, and
# there may be many.
_MATCH_EARLY_FILLS = (
    update(fills)
    .where(
        fills.c.fill_id.in_(
            union(
                _unmatched(fills.c.client_order_id == bindparam("a_client_order_id")),
                _unmatched(fills.c.venue_order_id == bindparam("a_venue_order_id")),
            )
        )
    )
    .values(order_id=bindparam("its_order_id"), revision=bindparam("its_revision"))
    .returning(*FILL_COLUMNS)
)
_NEXT_SEQUENCES = (
    update(account_sequences)
    .where(account_sequences.c.account_id == bindparam("an_account_id"))
    .values(last_sequence=account_sequences.c.last_sequence + bindparam("count"))
    .returning(account_sequences.c.last_sequence)
)
_INSERT_EVENT = insert(order_events)
_INSERT_DELIVERY = insert(report_deliveries).returning(report_deliveries.c.delivery_id)
