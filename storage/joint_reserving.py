"""The ledger's transaction for several placements in one signed request: all rows, or none.

The entry's row bears the message and is sent; the others name it and hold what becomes of theirs.
Runs inside the caller's transaction and decides nothing about sending.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from domain.errors import Conflict, CorruptState
from domain.ledger import CommandKey, CommandRow, CommandSlot, JointDraft, JointReservation
from storage.clock import Clock
from storage.command_rows import READ_COMMAND, key_parameters, read_command
from storage.nonces import Nonces
from storage.order_writer import OrderWriter
from storage.reserving import Checked, Reserving, admitted_until


class JointReserving:
    """Writes the rows and orders of a joint placement."""

    def __init__(
        self, reserving: Reserving, writer: OrderWriter, nonces: Nonces, now: Clock
    ) -> None:
        self._reserving = reserving
        self._writer = writer
        self._nonces = nonces
        self._now = now

    def run(
        self,
        connection: Connection,
        draft: JointDraft,
        token: str,
        spell_client_order_id: Callable[[CommandKey, int], str],
        compose: Callable[[Sequence[CommandSlot]], str],
    ) -> JointReservation:
        """Insert the rows, or return those that are there; see `domain.ports.IntentLedger`."""
        entry = draft.entry
        self._writer.lock_account(connection, entry.account_id)
        now = self._now()
        if not self._reserving.insert(connection, entry, token, now):
            return JointReservation(rows=read_joint(connection, draft), inserted=False)
        for member in draft.exits:
            if not self._reserving.insert(connection, member, token, now):
                raise Conflict(
                    f"expected {member.key} to be placed with {entry.key}, it was placed before",
                    code="order_ended",
                )
        checked = [self._reserving.check(connection, member, now) for member in draft.members]
        nonce = self._nonces.take(connection, entry)
        slots = [
            CommandSlot(
                client_order_id=self._client_order_id(connection, each, spell_client_order_id),
                nonce=nonce,
                admitted_until=admitted_until(entry, now),
            )
            for each in checked
        ]
        message = compose(slots)
        rows = [self._reserving.write(connection, checked[0], slots[0], message, now)]
        rows += [
            self._reserving.write(connection, each, slot, "", now, carried_by=entry.key.order_id)
            for each, slot in zip(checked[1:], slots[1:], strict=True)
        ]
        return JointReservation(rows=tuple(rows), inserted=True)

    def _client_order_id(
        self, connection: Connection, checked: Checked, spell: Callable[[CommandKey, int], str]
    ) -> str:
        draft = checked.draft
        return self._reserving.client_order_id(
            connection, draft, checked.order, lambda collision: spell(draft.key, collision)
        )


def read_joint(connection: Connection, draft: JointDraft) -> tuple[CommandRow, ...]:
    """Return the rows of a joint placement that is in the ledger.

    Raises:
        CorruptState: the entry's row is there, and another is not, or is of another request.
    """
    rows: list[CommandRow] = []
    for member in draft.members:
        found = connection.execute(READ_COMMAND, key_parameters(member.key)).first()
        row = None if found is None else read_command(found)
        expected = None if member is draft.entry else draft.entry.key.order_id
        if row is None or row.carried_by != expected:
            raise CorruptState(
                f"expected {member.key} in the ledger, carried by {expected}; found "
                f"{'nothing' if row is None else f'it carried by {row.carried_by}'}"
            )
        rows.append(row)
    return tuple(rows)
