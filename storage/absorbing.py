"""Taking a journaled command into the ledger: its row, its nonce, its order where that is new.

Runs inside the caller's transaction. The command was sent without the ledger, so its key may have
been given away meanwhile; what it is known by is what was signed.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, insert

from domain.commands import CommandKind
from domain.errors import NotFound
from domain.ledger import CommandRow
from domain.order_fold import with_revision
from domain.orders import Concern, Order
from domain.settlement import find_revision
from domain.timeline import EventKind, TimelineEvent
from storage.booking import match_revision
from storage.command_rows import READ_COMMANDS_OF_ORDER, read_command
from storage.nonces import Nonces
from storage.order_writer import OrderWriter, fill_event
from storage.tables import commands

RESERVED_BY = "journal"


class Absorbing:
    """Inserts the rows of journaled commands."""

    def __init__(self, writer: OrderWriter, nonces: Nonces) -> None:
        self._writer = writer
        self._nonces = nonces

    def run(
        self, connection: Connection, row: CommandRow, given: Order | None = None
    ) -> tuple[CommandRow, Order]:
        """Return the command's row in the ledger, inserted if it was not there, and its order.

        Raises:
            NotFound: there is no such order, and none was given.
        """
        self._writer.lock_account(connection, row.account_id)
        row, order = self._order_of(connection, row, given)
        found = connection.execute(READ_COMMANDS_OF_ORDER, {"an_order_id": row.key.order_id})
        rows = [read_command(each) for each in found]
        for known in rows:
            if _is_same(known, row):
                return known, order
        if row.key.command is CommandKind.PLACE:
            for known in rows:
                if known.key == row.key:
                    # Reserved, and then given up for the journal: both name one venue order.
                    return known, order
        else:
            row = _with_free_key(row, rows)
        connection.execute(insert(commands).values(_values(row)))
        if row.nonce is not None:
            self._nonces.learn(
                connection,
                venue=row.venue,
                network=row.network,
                signer=row.signer,
                lane=row.lane,
                last_nonce=row.nonce,
            )
        return row, self._write_order(connection, order, row, given)

    def _order_of(
        self, connection: Connection, row: CommandRow, given: Order | None
    ) -> tuple[CommandRow, Order]:
        """Return the stored order that the row concerns, written now if only the journal has it."""
        stored = self._writer.read(connection, row.key.order_id)
        if stored is not None:
            return row, stored
        if given is None:
            raise NotFound(
                f"expected the order of journaled command {row.key}, found none; "
                "compare with the venue"
            )
        if row.key.command is not CommandKind.PLACE:
            revision = find_revision(given, row.target_revision)
            owner = match_revision(
                connection,
                row.account_id,
                client_order_id=revision.client_order_id,
                venue_order_id=revision.venue_order_id,
            )
            known = None if owner is None else self._writer.read(connection, owner.order_id)
            if owner is not None and known is not None:
                # Without the database nobody could tell that it was one of ours.
                key = replace(row.key, order_id=owner.order_id)
                return replace(row, key=key, target_revision=owner.number), known
        created = self._writer.create(connection, given)
        event = TimelineEvent(
            order_id=given.order_id,
            kind=EventKind.CREATED,
            text=f"{given.side} {given.quantity} {given.symbol}, from the journal",
            at=row.inserted_at,
        )
        early = [fill_event(fill, given.order_id) for fill in created.early_fills]
        self._writer.append(connection, created.order, [event, *early])
        return row, created.order

    def _write_order(
        self, connection: Connection, order: Order, row: CommandRow, given: Order | None
    ) -> Order:
        """Note the command, and what it makes of the order until its outcome is known."""
        after = order
        if row.key.command is CommandKind.PLACE:
            if given is not None and all(r.number != row.key.revision for r in order.revisions):
                placed = find_revision(given, row.key.revision)
                after = with_revision(replace(order, quantity=given.quantity), placed)
        elif order.concern is Concern.NONE and not order.is_terminal:
            after = replace(order, concern=Concern.PENDING_CANCEL)
        early: list[TimelineEvent] = []
        if after != order:
            saved = self._writer.save(connection, order, after)
            after = saved.order
            early = [fill_event(fill, order.order_id) for fill in saved.early_fills]
        event = TimelineEvent(
            order_id=order.order_id,
            kind=EventKind.COMMAND,
            text=f"{row.key.command} {row.key.revision} was sent without the database",
            at=row.inserted_at,
            detail={"client_order_id": row.client_order_id, "signer": row.signer},
        )
        self._writer.append(connection, after, [event, *early])
        return after


def _with_free_key(row: CommandRow, rows: list[CommandRow]) -> CommandRow:
    taken = {known.key.revision for known in rows if known.key.command is row.key.command}
    if row.key.revision not in taken:
        return row
    return replace(row, key=replace(row.key, revision=max(taken) + 1))


def _is_same(known: CommandRow, row: CommandRow) -> bool:
    return (known.key.command, known.signer, known.nonce, known.message, known.inserted_at) == (
        row.key.command,
        row.signer,
        row.nonce,
        row.message,
        row.inserted_at,
    )


def _values(row: CommandRow) -> dict[str, object]:
    return {
        "order_id": row.key.order_id,
        "command": row.key.command.value,
        "revision": row.key.revision,
        "account_id": row.account_id,
        "venue": row.venue,
        "network": row.network.value,
        "symbol": row.symbol,
        "signer": row.signer,
        "lane": row.lane,
        "target_revision": row.target_revision,
        "client_order_id": row.client_order_id,
        "nonce": row.nonce,
        "admitted_until": row.admitted_until,
        "message": row.message,
        "inserted_at": row.inserted_at,
        "send_by": row.send_by,
        "reserved_by": RESERVED_BY,
    }
