"""The ledger's first transaction: a row for a command, once, with all that its signature covers.

Runs inside the caller's transaction and decides nothing about sending; the three answers do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.selectable import Select

from domain.accounts import AccountState
from domain.commands import CommandKind, PlaceOrder
from domain.errors import Conflict, CorruptState, NotFound, RiskRefused, Unavailable
from domain.halts import ALL_KEY, VENUE_PREFIX
from domain.ledger import (
    CommandDraft,
    CommandRow,
    CommandSlot,
    Found,
    Inserted,
    Reservation,
    names_order,
)
from domain.order_fold import with_revision
from domain.orders import Order, Revision
from domain.settlement import find_revision
from domain.timeline import EventKind, TimelineEvent
from storage import codec
from storage.clock import Clock
from storage.command_rows import READ_COMMAND, key_parameters, read_command
from storage.engine import Database
from storage.lane_rows import check_lane
from storage.nonces import Nonces
from storage.order_writer import OrderWriter, RevisionName, fill_event
from storage.risk_check import LimitCheck
from storage.risk_tables import risk_limits
from storage.tables import accounts, blocked_symbols, commands, halts, orders

COLLISIONS_MAX = 16


@dataclass(frozen=True, slots=True)
class Checked:
    """A draft that may be sent, with its order, and whether that is not stored yet."""

    draft: CommandDraft
    order: Order
    is_new: bool


class Reserving:
    """Writes a command's row and, for a placement, its order."""

    def __init__(self, database: Database, writer: OrderWriter, nonces: Nonces, now: Clock) -> None:
        self._writer = writer
        self._nonces = nonces
        self._now = now
        self._insert = (
            database.insert(commands)
            .on_conflict_do_nothing(index_elements=["order_id", "command", "revision"])
            .returning(commands.c.position)
        )
        self._read_limits = _limits(locks=not database.is_sqlite)
        self._limits = LimitCheck(database, now)

    def run(
        self,
        connection: Connection,
        draft: CommandDraft,
        token: str,
        spell_client_order_id: Callable[[int], str],
        compose: Callable[[CommandSlot], str],
    ) -> Reservation:
        """Insert the row, or return the one that is there; see `domain.ports.IntentLedger`."""
        self._writer.lock_account(connection, draft.account_id)
        now = self._now()
        if not self.insert(connection, draft, token, now):
            found = connection.execute(READ_COMMAND, key_parameters(draft.key)).one()
            return Found(row=read_command(found))
        checked = self.check(connection, draft, now)
        if draft.lane_epoch is not None:
            check_lane(connection, draft, now)
        named_by_nonce = names_order(draft)
        if named_by_nonce:
            # A key of before may have used a nonce of this account: then the next one is taken.
            spell_client_order_id = lambda _: str(self._nonces.take(connection, draft))  # noqa: E731
        client_order_id = self.client_order_id(
            connection, draft, checked.order, spell_client_order_id
        )
        nonce = int(client_order_id) if named_by_nonce else self._nonces.take(connection, draft)
        slot = CommandSlot(
            client_order_id=client_order_id,
            nonce=nonce,
            admitted_until=admitted_until(draft, now),
        )
        message = compose(slot)
        signed = None if draft.sign is None else draft.sign(slot, message)
        return Inserted(row=self.write(connection, checked, slot, message, now, signed=signed))

    def insert(
        self, connection: Connection, draft: CommandDraft, token: str, now: datetime
    ) -> bool:
        """Insert the bare row of a draft; False if a row of that key is there."""
        return self._won(connection, _row_values(draft, token, now, _send_by(draft, now)))

    def write(
        self,
        connection: Connection,
        checked: Checked,
        slot: CommandSlot,
        message: str,
        now: datetime,
        *,
        carried_by: str | None = None,
        signed: str | None = None,
    ) -> CommandRow:
        """Complete an inserted row with its slot and message, and write its order."""
        draft = checked.draft
        slot_values = {
            "client_order_id": slot.client_order_id,
            "nonce": slot.nonce,
            "admitted_until": slot.admitted_until,
            "message": message,
            "carried_by": carried_by,
            "signed": signed,
        }
        connection.execute(_FILL_SLOT, key_parameters(draft.key) | slot_values)
        row = replace(
            _command_row(draft, slot, message, now, _send_by(draft, now)),
            carried_by=carried_by,
            signed=signed,
        )
        self._write_order(connection, draft, checked.order, row, is_new=checked.is_new)
        return row

    def _won(self, connection: Connection, values: dict[str, Any]) -> bool:
        try:
            return connection.execute(self._insert, values).first() is not None
        except IntegrityError:
            # The only thing a fresh row refers to is its account.
            raise NotFound(f"no account {values['account_id']!r}") from None

    def check(self, connection: Connection, draft: CommandDraft, now: datetime) -> Checked:
        """Refuse what may not be sent; return the draft with its order as it stands."""
        places = draft.key.command is CommandKind.PLACE
        if draft.not_after is not None and now > draft.not_after:
            raise Conflict(
                f"expected command {draft.key} before {draft.not_after.isoformat()}, it is "
                f"{now.isoformat()}; nothing was sent",
                code="too_late",
            )
        limits = self._check_halts(connection, draft, now) if draft.raises_exposure else None
        stored = self._stored(connection, draft, limits)
        if stored is None:
            if draft.order is None or not places:
                raise NotFound(f"no order {draft.key.order_id}")
        elif places and stored.is_terminal:
            raise Conflict(
                f"order {stored.order_id} has ended {stored.status.value}; nothing was sent",
                code="order_ended",
            )
        if limits is not None:
            self._limits.run(
                connection,
                draft,
                stored,
                own_body=limits.own_limits,
                general_body=limits.general_limits,
            )
        if stored is None:
            assert draft.order is not None  # noqa: S101 - checked above
            return Checked(draft, draft.order, is_new=True)
        return Checked(draft, stored, is_new=False)

    def _stored(
        self, connection: Connection, draft: CommandDraft, limits: Row[Any] | None
    ) -> Order | None:
        """Return the command's order, which came with the limits where these were read."""
        if limits is None:
            return self._writer.read(connection, draft.key.order_id)
        body: str | None = limits.order_body
        return None if body is None else codec.orders.decode(body)

    def _check_halts(self, connection: Connection, draft: CommandDraft, now: datetime) -> Row[Any]:
        """Refuse what a halt or block forbids; return the row with the limits in force."""
        key = {
            "an_account_id": draft.account_id,
            "a_symbol": draft.symbol,
            "an_order_id": draft.key.order_id,
        }
        limits = connection.execute(self._read_limits, key).one()
        if limits.all_halted:
            raise RiskRefused(f"trading is halted: {limits.all_reason}")
        if limits.venue_halted:
            raise RiskRefused(f"trading at {draft.venue} is halted: {limits.venue_reason}")
        if limits.account_halted:
            raise RiskRefused(f"the account is halted: {limits.account_reason}")
        if limits.state != AccountState.ACTIVE.value:
            raise RiskRefused(f"expected an ACTIVE account, this one is {limits.state}")
        expires_at = limits.credential_expires_at
        if expires_at is not None and expires_at <= now:
            raise RiskRefused(
                f"the account's credential expired at {expires_at.isoformat()}; replace it by "
                "`perp-dex account rotate`"
            )
        if limits.blocked is not None:
            raise RiskRefused(f"{draft.symbol} is blocked on this account: {limits.blocked}")
        if limits.reconcile_due is not None:
            # Not refused: a reconciliation takes seconds, and the order can wait until its time.
            raise Unavailable(
                "the account is being compared with its venue, since nobody had watched it from "
                f"before {limits.reconcile_due.isoformat()}; nothing was sent"
            )
        return limits

    def client_order_id(
        self,
        connection: Connection,
        draft: CommandDraft,
        order: Order,
        spell: Callable[[int], str],
    ) -> str:
        """Return the client order id that a command is to bear: a placement takes a free one."""
        if draft.key.command is not CommandKind.PLACE:
            try:
                return find_revision(order, draft.target_revision).client_order_id
            except KeyError as error:
                raise NotFound(error.args[0]) from None
        owner = RevisionName(draft.key.order_id, draft.key.revision)
        for collision in range(COLLISIONS_MAX):
            spelled = spell(collision)
            if self._writer.take_client_id(connection, draft.account_id, spelled, owner):
                return spelled
        raise CorruptState(
            f"expected a free client order id for {draft.key} within {COLLISIONS_MAX} spellings, "
            "found each of them used"
        )

    def _write_order(
        self,
        connection: Connection,
        draft: CommandDraft,
        stored: Order,
        row: CommandRow,
        *,
        is_new: bool,
    ) -> None:
        events = [_command_event(row)]
        order = _as_drafted(draft, stored, row)
        if is_new:
            order = self._writer.create(connection, order, ids_kept=True).order
            events.insert(0, _created_event(order, row.inserted_at))
        elif order != stored:
            saved = self._writer.save(connection, stored, order)
            order = saved.order
            events += [fill_event(fill, order.order_id) for fill in saved.early_fills]
        self._writer.append(connection, order, events)


def admitted_until(draft: CommandDraft, now: datetime) -> datetime | None:
    """Return until when the venue may admit a command inserted now; None: without limit."""
    window_s = draft.admission_window_s
    return None if window_s is None else now + timedelta(seconds=window_s)


def _send_by(draft: CommandDraft, now: datetime) -> datetime:
    send_by = now + timedelta(seconds=draft.send_within_s)
    if draft.not_after is not None and draft.key.command is CommandKind.PLACE:
        return min(send_by, draft.not_after)
    return send_by


def answer_from(found: Row[Any], token: str) -> Reservation:
    """Return the reservation that a row read after a lost COMMIT stands for."""
    row = read_command(found)
    is_ours = found.reserved_by == token and found.outcome_kind is None
    return Inserted(row=row) if is_ours else Found(row=row)


def _as_drafted(draft: CommandDraft, order: Order, row: CommandRow) -> Order:
    """Return the order as it is once the draft's command is in the ledger."""
    if draft.concern is not None:
        order = replace(order, concern=draft.concern)
    if not isinstance(draft.command, PlaceOrder):
        return order
    if draft.order is not None:
        order = replace(order, quantity=draft.order.quantity, price=draft.order.price)
    revision = Revision(
        number=draft.key.revision,
        client_order_id=row.client_order_id,
        quantity=draft.command.quantity,
        price=draft.command.price,
    )
    return with_revision(order, revision)


def _row_values(
    draft: CommandDraft, token: str, now: datetime, send_by: datetime
) -> dict[str, Any]:
    return {
        "order_id": draft.key.order_id,
        "command": draft.key.command.value,
        "revision": draft.key.revision,
        "account_id": draft.account_id,
        "venue": draft.venue,
        "network": draft.network.value,
        "symbol": draft.symbol,
        "signer": draft.signer,
        "lane": draft.lane,
        "target_revision": draft.target_revision,
        "inserted_at": now,
        "send_by": send_by,
        "reserved_by": token,
    }


def _command_row(
    draft: CommandDraft, slot: CommandSlot, message: str, now: datetime, send_by: datetime
) -> CommandRow:
    return CommandRow(
        key=draft.key,
        account_id=draft.account_id,
        venue=draft.venue,
        network=draft.network,
        symbol=draft.symbol,
        signer=draft.signer,
        lane=draft.lane,
        target_revision=draft.target_revision,
        client_order_id=slot.client_order_id,
        nonce=slot.nonce,
        admitted_until=slot.admitted_until,
        message=message,
        inserted_at=now,
        send_by=send_by,
    )


def _created_event(order: Order, at: datetime) -> TimelineEvent:
    text = f"{order.side} {order.quantity} {order.symbol} {order.order_type}"
    return TimelineEvent(order_id=order.order_id, kind=EventKind.CREATED, text=text, at=at)


def _command_event(row: CommandRow) -> TimelineEvent:
    detail = {
        "command": str(row.key.command),
        "revision": str(row.key.revision),
        "client_order_id": row.client_order_id,
        "signer": row.signer,
    }
    if row.carried_by is not None:
        detail["carried_by"] = row.carried_by
    if row.nonce is not None:
        detail["nonce"] = str(row.nonce)
    if row.admitted_until is not None:
        detail["admitted_until"] = row.admitted_until.isoformat()
    return TimelineEvent(
        order_id=row.key.order_id,
        kind=EventKind.COMMAND,
        text=f"{row.key.command} {row.key.revision} reserved",
        at=row.inserted_at,
        detail=detail,
    )


def _limits(*, locks: bool) -> Select[Any]:
    """Return the query for all that may forbid a command.

    It holds the rows of the general halt and limits, so that these, once set, have no reservation
    behind them; an account's or a venue's wait for the locks of the accounts. The command's order
    comes along: its account is locked, so that nobody else can change it meanwhile.
    """
    all_halts, venue_halt, own_halt = halts.alias(), halts.alias(), halts.alias()
    general, own = risk_limits.alias(), risk_limits.alias()
    blocked = (
        select(blocked_symbols.c.reason)
        .where(
            blocked_symbols.c.account_id == accounts.c.account_id,
            blocked_symbols.c.symbol == bindparam("a_symbol"),
            blocked_symbols.c.order_id != bindparam("an_order_id"),
        )
        .limit(1)
        .scalar_subquery()
    )
    body = select(orders.c.body).where(orders.c.order_id == bindparam("an_order_id"))
    query = (
        select(
            accounts.c.state,
            accounts.c.reconcile_due,
            accounts.c.credential_expires_at,
            all_halts.c.halted.label("all_halted"),
            all_halts.c.reason.label("all_reason"),
            venue_halt.c.halted.label("venue_halted"),
            venue_halt.c.reason.label("venue_reason"),
            own_halt.c.halted.label("account_halted"),
            own_halt.c.reason.label("account_reason"),
            blocked.label("blocked"),
            general.c.body.label("general_limits"),
            own.c.body.label("own_limits"),
            body.scalar_subquery().label("order_body"),
        )
        .join_from(accounts, all_halts, all_halts.c.scope == ALL_KEY)
        .outerjoin(venue_halt, venue_halt.c.scope == VENUE_PREFIX + accounts.c.venue)
        .join(general, general.c.scope == ALL_KEY)
        .outerjoin(own_halt, own_halt.c.scope == accounts.c.account_id)
        .outerjoin(own, own.c.scope == accounts.c.account_id)
        .where(accounts.c.account_id == bindparam("an_account_id"))
    )
    return query.with_for_update(read=True, of=[all_halts, general]) if locks else query


_FILL_SLOT: Any = (
    update(commands)
    .where(
        commands.c.order_id == bindparam("an_order_id"),
        commands.c.command == bindparam("a_command"),
        commands.c.revision == bindparam("a_revision"),
    )
    .values(
        client_order_id=bindparam("client_order_id"),
        nonce=bindparam("nonce"),
        admitted_until=bindparam("admitted_until"),
        message=bindparam("message"),
        carried_by=bindparam("carried_by"),
        signed=bindparam("signed"),
    )
)
