"""Taking a journaled command into the ledger: its row, its nonce, and the order's concern.

Runs inside the caller's transaction. The command was sent without the ledger, so its key may have
been given away meanwhile; what it is known by is what was signed.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, insert

from domain.errors import NotFound
from domain.ledger import CommandRow
from domain.orders import Concern, Order
from domain.timeline import EventKind, TimelineEvent
from storage.command_rows import READ_COMMANDS_OF_ORDER, read_command
from storage.nonces import Nonces
from storage.order_writer import OrderWriter
from storage.tables import commands

RESERVED_BY = "journal"


class Absorbing:
    """Inserts the rows of journaled commands."""

    def __init__(self, writer: OrderWriter, nonces: Nonces) -> None:
        self._writer = writer
        self._nonces = nonces

    def run(self, connection: Connection, row: CommandRow) -> tuple[CommandRow, Order]:
        """Return the command's row in the ledger, inserted if it was not there, and its order.

        Raises:
            NotFound: there is no such order.
        """
        self._writer.lock_account(connection, row.account_id)
        order = self._writer.read(connection, row.key.order_id)
        if order is None:
            raise NotFound(
                f"expected the order of journaled command {row.key}, found none; "
                "compare with the venue"
            )
        found = connection.execute(READ_COMMANDS_OF_ORDER, {"an_order_id": row.key.order_id})
        rows = [read_command(each) for each in found]
        for known in rows:
            if _is_same(known, row):
                return known, order
        taken = {known.key.revision for known in rows if known.key.command is row.key.command}
        if row.key.revision in taken:
            row = replace(row, key=replace(row.key, revision=max(taken) + 1))
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
        return row, self._write_order(connection, order, row)

    def _write_order(self, connection: Connection, order: Order, row: CommandRow) -> Order:
        """Note the command, and that the order is being canceled until its outcome is known."""
        after = order
        if order.concern is Concern.NONE and not order.is_terminal:
            after = replace(order, concern=Concern.PENDING_CANCEL)
            after = self._writer.save(connection, order, after).order
        event = TimelineEvent(
            order_id=order.order_id,
            kind=EventKind.COMMAND,
            text=f"{row.key.command} {row.key.revision} was sent without the database",
            at=row.inserted_at,
            detail={"client_order_id": row.client_order_id, "signer": row.signer},
        )
        self._writer.append(connection, after, [event])
        return after


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
