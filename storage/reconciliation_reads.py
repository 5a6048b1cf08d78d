"""What a reconciliation reads of an account's ledger, and the orders that only it writes there.

The reading is several queries, each of what is committed then. Their order matters: fills first,
so that a count which moved meanwhile is known to have moved; undecided commands before names, so
that what is decided in between has its name by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, bindparam, func, select

from domain.commands import CommandKind
from domain.fills import Fill
from domain.order_fold import with_revision
from domain.orders import Order, Revision
from domain.reconciliation_store import Earned
from domain.reconciliation_views import LedgerView, ListedOrder, OrderName, order_id_in
from domain.timeline import TimelineEvent
from storage import codec
from storage.booking import match_revision, not_booked
from storage.clock import Clock, utc_now
from storage.engine import Database
from storage.fill_rows import FILL_COLUMNS, read_fill
from storage.market_pnl import reckoned
from storage.order_writer import OrderWriter, fill_event
from storage.risk_tables import net_positions
from storage.tables import client_order_ids, commands, fills, order_events, orders, venue_order_ids

_AT_ONCE = 500

T = TypeVar("T")
Told = Callable[[str], None]


class SqlReconciliationLedger:
    """Implements `domain.reconciliation_store.ReconciliationLedger`.

    `told` hears the account of each order that is written here.
    """

    def __init__(
        self, database: Database, *, now: Clock = utc_now, told: Told = lambda account_id: None
    ) -> None:
        self._database = database
        self._writer = OrderWriter(database, now)
        self._told = told

    async def view(
        self, account_id: str, listed: Sequence[ListedOrder], fills: Sequence[Fill]
    ) -> LedgerView:
        """Return our side of what the venue listed. See the port."""
        return await self._database.read(
            lambda connection: _view(connection, account_id, listed, fills)
        )

    async def known_orders(self, order_ids: Sequence[str]) -> frozenset[str]:
        """Return those ids that an order or a timeline here bears."""
        return await self._database.read(lambda c: frozenset(_known_orders(c, order_ids)))

    async def fill_count(self, account_id: str, *, until: datetime) -> int:
        """Return how many fills up to a time are booked."""
        found = await self._database.fetch_one(
            _COUNT_FILLS, {"an_account_id": account_id, "until": until}
        )
        return 0 if found is None else int(found[0])

    async def earned(self, account_id: str, *, after: datetime, until: datetime) -> Earned:
        """Return what the fills after one and up to another time come to."""
        span = {"an_account_id": account_id, "after": after, "until": until}

        def read(connection: Connection) -> Earned:
            rows = connection.execute(_EARNED, span).all()
            silent = {row.symbol for row in rows if row.realized_pnl is None}
            told = [Decimal(row.realized_pnl) for row in rows if row.symbol not in silent]
            own = [
                # The venue tells no profit per fill, and its balance moves with it all the same.
                reckoned(connection, account_id, symbol, lambda at: after < at <= until)
                for symbol in sorted(silent)
            ]
            return Earned(
                realized_pnl=sum([*told, *own], Decimal(0)),
                fees=sum((Decimal(row.fee) for row in rows), Decimal(0)),
                fills=len(rows),
            )

        return await self._database.read(read)

    async def adopt(self, order: Order, event: TimelineEvent) -> Order | None:
        """Write an order that is not ours, or return None. See the port.

        Raises:
            NotFound: there is no such account.
            Unavailable: the database does not answer; adopting again is safe.
        """

        def work(connection: Connection) -> Order | None:
            self._writer.lock_account(connection, order.account_id)
            if order.symbol in _undecided(connection, order.account_id).values():
                return None
            revision = order.revisions[0]
            known = match_revision(
                connection,
                order.account_id,
                client_order_id=revision.client_order_id,
                venue_order_id=revision.venue_order_id,
            )
            if known is not None:
                return None
            return self._write(connection, order, event)

        adopted = await self._database.write(work)
        if adopted is not None:
            self._told(order.account_id)
        return adopted

    async def restore(
        self, order_id: str, listed: ListedOrder, event: TimelineEvent, *, otherwise: Order
    ) -> Order:
        """Write an order of ours again. See the port.

        Raises:
            NotFound: there is no such account.
            Unavailable: the database does not answer; restoring again is safe.
        """

        def work(connection: Connection) -> Order:
            self._writer.lock_account(connection, otherwise.account_id)
            before = self._writer.read(connection, order_id)
            if before is None:
                snapshot = connection.execute(_SNAPSHOT, {"an_order_id": order_id}).scalar()
                order = otherwise if snapshot is None else codec.orders.decode(snapshot)
                return self._write(connection, _with_listed(order, listed), event)
            relearned = self._writer.relearn(connection, before)
            saved = self._writer.save(
                connection, relearned.order, _with_listed(relearned.order, listed)
            )
            found = (*relearned.early_fills, *saved.early_fills)
            early = [fill_event(fill, order_id) for fill in found]
            self._writer.append(connection, saved.order, [event, *early])
            return saved.order

        restored = await self._database.write(work)
        self._told(restored.account_id)
        return restored

    def _write(self, connection: Connection, order: Order, event: TimelineEvent) -> Order:
        created = self._writer.create(connection, order)
        early = [fill_event(fill, order.order_id) for fill in created.early_fills]
        self._writer.append(connection, created.order, [event, *early])
        return created.order


def _with_listed(order: Order, listed: ListedOrder) -> Order:
    """Return the order with a revision that bears the id under which the venue lists it."""
    for revision in order.revisions:
        is_it = revision.client_order_id == listed.client_order_id
        if is_it or revision.venue_order_id == listed.venue_order_id:
            return order
    number = order.revisions[-1].number + 1 if order.revisions else 0
    revision = Revision(
        number=number,
        client_order_id=listed.client_order_id or f"venue:{listed.venue_order_id}",
        quantity=listed.quantity,
        price=listed.price,
        venue_order_id=listed.venue_order_id,
    )
    return with_revision(order, revision)


def _view(
    connection: Connection, account_id: str, listed: Sequence[ListedOrder], offered: Sequence[Fill]
) -> LedgerView:
    unbooked = not_booked(connection, offered)
    key = {"an_account_id": account_id}
    unmatched = [read_fill(row) for row in connection.execute(_UNMATCHED, key)]
    undecided = _undecided(connection, account_id)
    client_ids = {one.client_order_id for one in listed} | {f.client_order_id for f in unbooked}
    client_ids |= {fill.client_order_id for fill in unmatched}
    venue_ids = {one.venue_order_id for one in listed} | {f.venue_order_id for f in unbooked}
    venue_ids |= {fill.venue_order_id for fill in unmatched}
    by_client = dict(_names(connection, _BY_CLIENT_ID, account_id, client_ids - {None}))
    by_venue = dict(_names(connection, _BY_VENUE_ID, account_id, venue_ids))
    live = _orders(connection.execute(_LIVE, key))
    wanted = {name.order_id for name in (*by_client.values(), *by_venue.values())} - live.keys()
    for part in _parts(wanted):
        live |= _orders(connection.execute(_ORDERS, {"ids": part}))
    nameless = [
        one
        for one in listed
        if one.client_order_id not in by_client and one.venue_order_id not in by_venue
    ]
    return LedgerView(
        orders=live,
        by_client_id=by_client,
        by_venue_id=by_venue,
        unbooked=tuple(unbooked),
        unmatched=tuple(unmatched),
        lost=_lost(connection, account_id, nameless),
        undecided=frozenset(undecided.values()),
        undecided_orders=frozenset(undecided),
        net_positions={
            row.symbol: Decimal(row.quantity) for row in connection.execute(_POSITIONS, key)
        },
    )


def _undecided(connection: Connection, account_id: str) -> dict[str, str]:
    """Return order id and symbol of each command whose bytes may be out and may make an order."""
    rows = connection.execute(_UNDECIDED, {"an_account_id": account_id})
    return {row.order_id: row.symbol for row in rows}


def _lost(
    connection: Connection, account_id: str, nameless: Sequence[ListedOrder]
) -> dict[str, str]:
    """Return, by venue order id, our orders whose names are gone, where anything else tells."""
    lost: dict[str, str] = {}
    by_client_id = {one.client_order_id: one for one in nameless if one.client_order_id}
    for part in _parts(by_client_id):
        rows = connection.execute(_COMMANDED, {"an_account_id": account_id, "ids": part})
        for row in rows:
            lost[by_client_id[row.client_order_id].venue_order_id] = row.order_id
    spelled = {
        order_id: one.venue_order_id
        for one in nameless
        if one.venue_order_id not in lost
        and (order_id := order_id_in(one.client_order_id)) is not None
    }
    for order_id in _known_orders(connection, list(spelled)):
        lost[spelled[order_id]] = order_id
    return lost


def _known_orders(connection: Connection, order_ids: Sequence[str]) -> set[str]:
    known: set[str] = set()
    for part in _parts(order_ids):
        for query in (_STORED, _REMEMBERED):
            known |= {row.order_id for row in connection.execute(query, {"ids": part})}
    return known


def _names(
    connection: Connection, query: Select[Any], account_id: str, ids: Iterable[str | None]
) -> Iterator[tuple[str, OrderName]]:
    for part in _parts(ids):
        for row in connection.execute(query, {"an_account_id": account_id, "ids": part}):
            yield row.its_id, OrderName(order_id=row.order_id, revision=row.revision)


def _orders(rows: Iterable[Any]) -> dict[str, Order]:
    found = (codec.orders.decode(row.body) for row in rows)
    return {order.order_id: order for order in found}


def _parts(ids: Iterable[T]) -> Iterator[list[T]]:
    every = list(ids)
    for start in range(0, len(every), _AT_ONCE):
        yield every[start : start + _AT_ONCE]


def _in_account(column: Any) -> Any:
    return column == bindparam("an_account_id")


_IDS: Any = bindparam("ids", expanding=True)
_UNMATCHED = (
    select(*FILL_COLUMNS)
    .where(_in_account(fills.c.account_id), fills.c.order_id.is_(None))
    .order_by(fills.c.event_time)
)
_UNDECIDED = select(commands.c.order_id, commands.c.symbol).where(
    _in_account(commands.c.account_id),
    commands.c.decided_at.is_(None),
    commands.c.command != CommandKind.NOOP.value,
)
_COMMANDED = select(commands.c.client_order_id, commands.c.order_id).where(
    _in_account(commands.c.account_id),
    commands.c.command == CommandKind.PLACE.value,
    commands.c.client_order_id.in_(_IDS),
)
_BY_CLIENT_ID = select(
    client_order_ids.c.client_order_id.label("its_id"),
    client_order_ids.c.order_id,
    client_order_ids.c.revision,
).where(_in_account(client_order_ids.c.account_id), client_order_ids.c.client_order_id.in_(_IDS))
_BY_VENUE_ID = select(
    venue_order_ids.c.venue_order_id.label("its_id"),
    venue_order_ids.c.order_id,
    venue_order_ids.c.revision,
).where(_in_account(venue_order_ids.c.account_id), venue_order_ids.c.venue_order_id.in_(_IDS))
_LIVE = select(orders.c.body).where(_in_account(orders.c.account_id), ~orders.c.ended)
_ORDERS = select(orders.c.body).where(orders.c.order_id.in_(_IDS))
_STORED = select(orders.c.order_id).where(orders.c.order_id.in_(_IDS))
_REMEMBERED = (
    select(order_events.c.order_id)
    .where(order_events.c.order_id.in_(_IDS), order_events.c.snapshot.is_not(None))
    .distinct()
)
_SNAPSHOT = (
    select(order_events.c.snapshot)
    .where(
        order_events.c.order_id == bindparam("an_order_id"), order_events.c.snapshot.is_not(None)
    )
    .order_by(order_events.c.event_id.desc())
    .limit(1)
)
_POSITIONS = select(net_positions.c.symbol, net_positions.c.quantity).where(
    _in_account(net_positions.c.account_id)
)
_COUNT_FILLS = select(func.count()).where(
    _in_account(fills.c.account_id), fills.c.event_time <= bindparam("until")
)
_EARNED = select(fills.c.symbol, fills.c.realized_pnl, fills.c.fee).where(
    _in_account(fills.c.account_id),
    fills.c.event_time > bindparam("after"),
    fills.c.event_time <= bindparam("until"),
)
