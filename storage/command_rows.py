"""Ledger rows as domain objects, and the queries that read them. Knows no transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, and_, bindparam, func, select

from domain.accounts import Network
from domain.commands import CommandKind
from domain.errors import CorruptState
from domain.ledger import CommandKey, CommandRow
from storage import codec
from storage.tables import commands

HAS_KEY = and_(
    commands.c.order_id == bindparam("an_order_id"),
    commands.c.command == bindparam("a_command"),
    commands.c.revision == bindparam("a_revision"),
)
"""The condition that a row is that of a key; bind `key_parameters`."""

READ_COMMAND = select(commands).where(HAS_KEY)
READ_COMMANDS_OF_ORDER = (
    select(commands)
    .where(commands.c.order_id == bindparam("an_order_id"))
    .order_by(commands.c.position)
)
READ_UNDECIDED = (
    select(commands)
    .where(commands.c.decided_at.is_(None), commands.c.inserted_at < bindparam("before"))
    .order_by(commands.c.position)
)
READ_POSITION = select(func.coalesce(func.max(commands.c.position), 0))


def key_parameters(key: CommandKey) -> dict[str, Any]:
    """Return a key as the parameters of `HAS_KEY`."""
    return {
        "an_order_id": key.order_id,
        "a_command": key.command.value,
        "a_revision": key.revision,
    }


def read_command(row: Row[Any]) -> CommandRow:
    """Return the command that a row holds.

    Raises:
        CorruptState: the row lacks what every committed row has.
    """
    key = CommandKey(order_id=row.order_id, command=CommandKind(row.command), revision=row.revision)
    if row.client_order_id is None or row.message is None:
        raise CorruptState(f"expected the message of command {key} in the ledger, found none")
    return CommandRow(
        key=key,
        account_id=row.account_id,
        venue=row.venue,
        network=Network(row.network),
        symbol=row.symbol,
        signer=row.signer,
        lane=row.lane,
        target_revision=row.target_revision,
        client_order_id=row.client_order_id,
        nonce=row.nonce,
        admitted_until=row.admitted_until,
        message=row.message,
        inserted_at=row.inserted_at,
        send_by=row.send_by,
        outcome=(
            None
            if row.outcome_kind is None
            else codec.decode_outcome(row.outcome_kind, row.outcome)
        ),
        raw_answer=row.raw_answer,
        decided_at=row.decided_at,
        carried_by=row.carried_by,
        signed=row.signed,
    )
