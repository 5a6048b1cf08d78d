"""The intent ledger in SQL: the only thing that knows whether bytes of a command may be out.

`reserve` and `decide` are one transaction each, and the whole database part of a placement.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from domain.accounts import Network
from domain.commands import CommandKind
from domain.errors import CorruptState, NotFound
from domain.ledger import (
    CommandDraft,
    CommandKey,
    CommandRow,
    CommandSlot,
    JointDraft,
    JointReservation,
    Reservation,
)
from domain.order_fold import apply
from domain.orders import Concern, Order, OrderReport
from domain.outcomes import Accepted, Rejected, SendResult, is_definite
from domain.settlement import settle
from domain.timeline import EventKind, TimelineEvent
from storage import codec
from storage.absorbing import Absorbing
from storage.clock import Clock, utc_now
from storage.command_rows import (
    HAS_KEY,
    READ_COMMAND,
    READ_COMMANDS_OF_ORDER,
    READ_POSITION,
    READ_UNDECIDED,
    key_parameters,
    read_command,
)
from storage.engine import Database
from storage.failures import CommitLost
from storage.joint_reserving import JointReserving, read_joint
from storage.lane_rows import give_back
from storage.nonces import Nonces
from storage.order_writer import OrderWriter, fill_event
from storage.reserving import Reserving, answer_from
from storage.tables import account_sequences, commands, orders

RAW_ANSWER_BYTES_MAX = 16_384


class SqlIntentLedger:
    """Implements `domain.ports.IntentLedger`."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        self._writer = OrderWriter(database, now)
        self._nonces = Nonces(database, now)
        self._reserving = Reserving(database, self._writer, self._nonces, now)
        self._joint = JointReserving(self._reserving, self._writer, self._nonces, now)
        self._absorbing = Absorbing(self._writer, self._nonces)

    async def reserve(
        self,
        draft: CommandDraft,
        *,
        spell_client_order_id: Callable[[int], str],
        compose: Callable[[CommandSlot], str],
    ) -> Reservation:
        """Insert the command's row, or return the one that is there; see the port.

        Raises:
            RiskRefused, Conflict: nothing was written.
            NotFound: there is no such account, or no such order or revision to act on.
            Unavailable: the database does not answer; whether a row is there is unknown.
        """
        token = secrets.token_hex(16)

        def work(connection: Connection) -> Reservation:
            return self._reserving.run(connection, draft, token, spell_client_order_id, compose)

        try:
            return await self._database.write(work, repeat=False)
        except CommitLost:
            # Committed or not, the row tells: it bears this execution's token, or another's.
            found = await self._database.fetch_one(READ_COMMAND, key_parameters(draft.key))
            if found is None:
                raise
            return answer_from(found, token)

    async def reserve_joint(
        self,
        draft: JointDraft,
        *,
        spell_client_order_id: Callable[[CommandKey, int], str],
        compose: Callable[[Sequence[CommandSlot]], str],
    ) -> JointReservation:
        """Insert the rows of a joint placement, all or none, or return them; see the port.

        Raises:
            RiskRefused, Conflict, NotFound, Unavailable: as `reserve`.
            CorruptState: the entry's row is there, and the others are not.
        """
        token = secrets.token_hex(16)

        def work(connection: Connection) -> JointReservation:
            return self._joint.run(connection, draft, token, spell_client_order_id, compose)

        try:
            return await self._database.write(work, repeat=False)
        except CommitLost:
            # Committed or not, the entry's row tells, as for a single command.
            key = key_parameters(draft.entry.key)
            found = await self._database.fetch_one(READ_COMMAND, key)
            if found is None:
                raise
            rows = await self._database.read(lambda connection: read_joint(connection, draft))
            inserted = answer_from(found, token).kind == "inserted"
            return JointReservation(rows=rows, inserted=inserted)

    async def decide(
        self, key: CommandKey, result: SendResult, *, concern: Concern | None = None
    ) -> Order:
        """Write the outcome and fold it into the order, in one transaction; return the order.

        A command that is decided keeps its outcome, and its order its concern; only a report in
        `result` is folded in still, as any report of the venue; it is noted as a finding, and
        delivered if the workflow has to hear of it.

        Raises:
            NotFound: there is no such command.
            CorruptState: the command's order is missing, or lacks the revision concerned.
            Unavailable: the database does not answer; deciding again is safe.
        """
        return await self._database.write(
            lambda connection: self._decide(connection, key, result, concern)
        )

    def _decide(
        self, connection: Connection, key: CommandKey, result: SendResult, concern: Concern | None
    ) -> Order:
        row, before = self._read_with_order(connection, key)
        try:
            if row.is_decided:
                return self._note_late(connection, row, before, result)
            after = settle(before, row, result.outcome)
        except KeyError as error:
            raise CorruptState(f"command {key}: {error.args[0]}") from None
        if concern is not None and after.concern is not concern:
            after = replace(after, concern=concern)
        if row.outcome == result.outcome and after == before:
            return before
        self._write_outcome(connection, key, result)
        return self._write_order(connection, before, after, _outcome_event(row, result))

    def _note_late(
        self, connection: Connection, row: CommandRow, before: Order, result: SendResult
    ) -> Order:
        report = _report_in(result)
        if report is None:
            return before
        after = apply(before, report)
        if after == before:
            return before
        event = replace(_outcome_event(row, result), kind=EventKind.FINDING)
        event = replace(event, text=f"after the decision: {event.text}")
        after = self._write_order(connection, before, after, event)
        # Whoever comes this late may be an execution that nobody listens to any more.
        self._writer.deliver(connection, before, after, report)
        return after

    def _read_with_order(self, connection: Connection, key: CommandKey) -> tuple[CommandRow, Order]:
        if not self._database.is_sqlite:
            connection.execute(_LOCK_ACCOUNT_OF_COMMAND, key_parameters(key))
        found = connection.execute(_READ_COMMAND_AND_ORDER, key_parameters(key)).first()
        if found is None:
            raise NotFound(f"no command {key} in the ledger")
        if found.body is None:
            raise CorruptState(f"expected the order of command {key}, found none")
        return read_command(found), codec.orders.decode(found.body)

    def _write_outcome(self, connection: Connection, key: CommandKey, result: SendResult) -> None:
        outcome = result.outcome
        values = {
            "outcome_kind": outcome.kind,
            "outcome": codec.encode_outcome(outcome),
            "raw_answer": None if result.raw is None else _bounded(result.raw),
            "decided_at": self._now() if is_definite(outcome) else None,
        }
        connection.execute(_WRITE_OUTCOME, key_parameters(key) | values)
        if result.leaves_nonce:
            give_back(connection, key)

    def _write_order(
        self, connection: Connection, before: Order, after: Order, event: TimelineEvent
    ) -> Order:
        events = [replace(event, at=self._now())]
        if after != before:
            saved = self._writer.save(connection, before, after)
            after = saved.order
            events += [fill_event(fill, after.order_id) for fill in saved.early_fills]
        self._writer.append(connection, after, events)
        return after

    async def absorb(
        self, row: CommandRow, result: SendResult | None, order: Order | None = None
    ) -> Order:
        """Take in a command that was sent while the database did not answer; see the port.

        Raises:
            NotFound: there is no such order, and none was given.
            Unavailable: the database does not answer; absorbing again is safe.
        """
        return await self._database.write(
            lambda connection: self._absorb(connection, row, result, order)
        )

    def _absorb(
        self,
        connection: Connection,
        row: CommandRow,
        result: SendResult | None,
        order: Order | None,
    ) -> Order:
        row, before = self._absorbing.run(connection, row, order)
        if result is None:
            return before
        concern: Concern | None = None
        if row.key.command is CommandKind.PLACE:
            concern = Concern.NONE if is_definite(result.outcome) else Concern.UNKNOWN
        elif before.concern is Concern.PENDING_CANCEL and is_definite(result.outcome):
            concern = Concern.NONE
        after = self._decide(connection, row.key, result, concern)
        report = _report_in(result)
        if report is not None and not row.is_decided:
            # The workflow that had it sent may have died before it heard of it.
            self._writer.deliver(connection, before, after, report)
        return after

    async def read(self, key: CommandKey) -> CommandRow | None:
        """Return the row, or None."""
        found = await self._database.fetch_one(READ_COMMAND, key_parameters(key))
        return None if found is None else read_command(found)

    async def of_order(self, order_id: str) -> tuple[CommandRow, ...]:
        """Return all rows of an order, oldest first."""
        rows = await self._database.fetch_all(READ_COMMANDS_OF_ORDER, {"an_order_id": order_id})
        return tuple(read_command(row) for row in rows)

    async def undecided(self, *, before: datetime) -> tuple[CommandRow, ...]:
        """Return all rows without a definite outcome that were inserted before a time."""
        rows = await self._database.fetch_all(READ_UNDECIDED, {"before": before})
        return tuple(read_command(row) for row in rows)

    async def ledger_position(self) -> int:
        """Return the number of the newest row, 0 for an empty ledger; it only ever grows.

        A ledger that is shorter than it was has lost rows (a restore, a failover).
        """
        found = await self._database.fetch_one(READ_POSITION)
        return 0 if found is None else int(found[0])

    async def learn_nonce(
        self, *, venue: str, network: Network, signer: str, lane: str, last_nonce: int
    ) -> int:
        """Remember the last nonce that a venue has seen of a signer; return what holds now.

        Never goes back. A venue that counts nonces needs it before the first command.
        """
        return await self._database.write(
            lambda connection: self._nonces.learn(
                connection,
                venue=venue,
                network=network,
                signer=signer,
                lane=lane,
                last_nonce=last_nonce,
            )
        )


def _report_in(result: SendResult) -> OrderReport | None:
    outcome = result.outcome
    return outcome.report if isinstance(outcome, Accepted | Rejected) else None


def _outcome_event(row: CommandRow, result: SendResult) -> TimelineEvent:
    outcome = result.outcome
    detail = {"command": str(row.key.command), "revision": str(row.key.revision)}
    for name in ("reason", "proof", "code", "venue_order_id"):
        value = getattr(outcome, name, None)
        if value is not None:
            detail[name] = value
    if result.venue_time is not None:
        detail["venue_time"] = result.venue_time.isoformat()
    reason = f": {detail['reason']}" if "reason" in detail else ""
    return TimelineEvent(
        order_id=row.key.order_id,
        kind=EventKind.OUTCOME,
        text=f"{row.key.command} {row.key.revision} {outcome.kind.replace('_', ' ')}{reason}",
        at=row.inserted_at,
        detail=detail,
    )


def _bounded(raw: str) -> str:
    """Return an answer fit to be kept: at most 16 KiB, and what a database takes as text."""
    encoded = codec.storable_text(raw).encode()
    return encoded[:RAW_ANSWER_BYTES_MAX].decode("utf-8", "ignore")


_READ_COMMAND_AND_ORDER = (
    select(commands, orders.c.body)
    .outerjoin_from(commands, orders, orders.c.order_id == commands.c.order_id)
    .where(HAS_KEY)
)
_LOCK_ACCOUNT_OF_COMMAND = (
    select(account_sequences.c.last_sequence)
    .where(
        account_sequences.c.account_id
        == select(commands.c.account_id).where(HAS_KEY).scalar_subquery()
    )
    .with_for_update()
)
_WRITE_OUTCOME: Any = (
    update(commands)
    .where(HAS_KEY)
    .values(
        outcome_kind=bindparam("outcome_kind"),
        outcome=bindparam("outcome"),
        # What an earlier, undecided answer left as evidence is kept when this one brings none.
        raw_answer=func.coalesce(bindparam("raw_answer"), commands.c.raw_answer),
        decided_at=bindparam("decided_at"),
    )
)
