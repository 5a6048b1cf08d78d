"""Commands with the database away: journaled to a local file, sent, and absorbed into the ledger.

Only what can raise no exposure goes this way: cancels, and reduce-only placements. Knows the
journal by its port; no SQL and no venue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from activities.access import Checkpoints
from activities.commands import Refine, describe
from activities.contracts import CommandResult
from activities.lanes import SpareLane
from domain.accounts import Account, AccountState, Network, TradingAccess
from domain.commands import CommandKind, PlaceOrder
from domain.credential_rotation import CandidateAccess
from domain.errors import NotFound, PerpDexError, Unavailable
from domain.ledger import (
    CommandDraft,
    CommandKey,
    CommandRow,
    CommandSlot,
    JournaledCommand,
    NonceRule,
    names_order,
)
from domain.order_fold import with_revision
from domain.orders import Concern, Order, Revision
from domain.outcomes import SendResult, is_definite
from domain.ports import IntentLedger, TradingAccessSource
from domain.settlement import settle
from venues.connector import Connector, MessageComposer

IN_FLIGHT = timedelta(seconds=10)
"""Younger entries without a result are being sent, perhaps by another process."""

FRESH_S = 10.0
"""How long an opened credential is taken without opening it again."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CommandJournal(Protocol):
    """An append-only local file of the commands that the ledger does not know yet."""

    async def begin(self, row: CommandRow, order: Order | None = None) -> str:
        """Append a command, on disk when this returns; return the entry's id.

        `order` is written to the store when the entry is absorbed, if the store has none of it.

        Raises:
            Unavailable: it could not be written; nothing may be sent.
        """
        ...

    async def note(self, entry_id: str, result: SendResult) -> None:
        """Append what became of an entry's command; the newest result counts.

        Raises:
            Unavailable: it could not be written; the entry stays without it.
        """
        ...

    async def pending(self) -> tuple[JournaledCommand, ...]:
        """Return the entries that the ledger lacks, or whose result it lacks, oldest first.

        Raises:
            CorruptState: a line in the middle of the journal cannot be read.
        """
        ...

    async def mark_absorbed(self, entry: JournaledCommand) -> None:
        """Append that the ledger has the entry as it is given here.

        Raises:
            Unavailable: it could not be written; absorbing the entry again does no harm.
        """
        ...


class CredentialSource(TradingAccessSource, CandidateAccess, Protocol):
    """Opens current credentials, those rotated out, and candidates."""


class CachedAccess:
    """Opens credentials as its source does, and remembers the last one opened of each account.

    One opened less than `fresh_s` ago is taken as it is: whether the account may trade is asked in
    the ledger's transaction in any case, and a rotated-out key stays good that long.
    """

    def __init__(self, source: CredentialSource, *, fresh_s: float = FRESH_S) -> None:
        self._source = source
        self._fresh_s = fresh_s
        self._last: dict[str, TradingAccess] = {}
        self._opened_at: dict[str, float] = {}

    async def open(self, account_id: str) -> TradingAccess:
        """Open an account's credential. See `TradingAccessSource`."""
        fresh_until = self._opened_at.get(account_id, -self._fresh_s) + self._fresh_s
        kept = self._last.get(account_id)
        # An account that is not active yet is about to change: its signer is not known.
        if kept and kept.account.state is AccountState.ACTIVE and time.monotonic() < fresh_until:
            return kept
        try:
            access = await self._source.open(account_id)
        except NotFound:
            self._last.pop(account_id, None)
            raise
        self._last[account_id] = access
        self._opened_at[account_id] = time.monotonic()
        return access

    def forget(self, account_id: str) -> None:
        """Open the account's credential anew next time: it has been changed."""
        self._opened_at.pop(account_id, None)

    async def open_candidate(self, account_id: str) -> TradingAccess | None:
        """Open the account's candidate; not remembered. See `CandidateAccess`."""
        return await self._source.open_candidate(account_id)

    async def open_signer(self, account_id: str, signer: str) -> TradingAccess:
        """Open the credential of a given signer; not remembered. See `TradingAccessSource`."""
        return await self._source.open_signer(account_id, signer)

    def last(self, account_id: str) -> TradingAccess:
        """Return what was opened last, for when storage does not answer.

        Raises:
            Unavailable: this process has not opened the account's credential yet.
        """
        access = self._last.get(account_id)
        if access is None:
            raise Unavailable(
                f"the database does not answer and the credential of account {account_id} has not "
                "been opened by this process; the cancel waits for the database"
            )
        return access

    def keep_only(self, accounts: Iterable[Account]) -> None:
        """Forget every account but these."""
        kept = {account.account_id for account in accounts}
        for account_id in self._last.keys() - kept:
            del self._last[account_id]


class SharedNonces(Protocol):
    """The last nonces taken without the database, shared by all processes of an installation."""

    def take(self, signer: str, at_least: int) -> int:
        """Return a nonce that nobody has taken from here, `at_least` or the next one.

        Raises:
            Unavailable: the last one can be neither read nor written.
        """
        ...


class LastAccess(Protocol):
    """Opened credentials, for when storage does not answer."""

    def last(self, account_id: str) -> TradingAccess:
        """Return what was opened last. Raises Unavailable."""
        ...


@dataclass(slots=True, kw_only=True)
class EmergencyCommands:
    """Sends what the ledger cannot take, each command once, after the journal has it."""

    journal: CommandJournal
    access: LastAccess
    nonces: SharedNonces
    checkpoints: Checkpoints
    now: Callable[[], datetime]
    _nonces: dict[tuple[str, Network, str], int] = field(default_factory=dict)
    _sent: dict[CommandKey, JournaledCommand] = field(default_factory=dict)

    def saw(self, row: CommandRow) -> None:
        """Remember the nonce of a command that the ledger gave to this process."""
        if row.nonce is not None and not row.lane:
            signer = (row.venue, row.network, row.signer)
            self._nonces[signer] = max(self._nonces.get(signer, 0), row.nonce)

    async def carry_out(
        self,
        draft: CommandDraft,
        order: Order,
        connector: Connector,
        access: TradingAccess,
        *,
        refine: Refine,
    ) -> CommandResult:
        """Journal a cancel, send it once, journal its outcome; return `order` with it folded in.

        A key that this process has journaled before is not sent again. An order that is not ours is
        journaled along, since nobody else may know of it.

        Raises:
            Unavailable: the journal cannot be written, or the venue's nonces are counted by the
                ledger; nothing was sent.
        """
        compose = await connector.compose(draft.command)
        if draft.key in self._sent:
            return _answer(order, self._sent[draft.key])
        revision = next(r for r in order.revisions if r.number == draft.target_revision)
        async with SpareLane().turn(connector, access, draft) as taken:
            row = self._row(taken, revision.client_order_id, compose)
            given = None if order.origin.is_ours else order
            entry = await self._send(row, given, connector, access, refine=refine)
        return _answer(order, entry)

    async def place(
        self, draft: CommandDraft, order: Order, connector: Connector, access: TradingAccess
    ) -> CommandResult:
        """Journal a reduce-only placement with its order, send it once, journal its outcome.

        Raises:
            Unavailable: as `carry_out`; nothing was sent.
            InvalidInput: the venue would refuse it for its form.
        """
        command = draft.command
        if not isinstance(command, PlaceOrder) or draft.raises_exposure:
            raise Unavailable(
                "the database does not answer, and only what reduces a position goes without it"
            )
        compose = await connector.compose(command)
        spelled = (
            None
            if names_order(draft)
            else connector.client_order_id(order.order_id, draft.key.revision, 0)
        )
        async with SpareLane().turn(connector, access, draft) as taken:
            row = self._row(taken, spelled, compose)
            placed = with_revision(
                order,
                Revision(
                    number=draft.key.revision,
                    client_order_id=row.client_order_id,
                    quantity=command.quantity,
                    price=command.price,
                ),
            )
            return _answer(placed, await self._send(row, placed, connector, access))

    async def journaled(self, key: CommandKey) -> CommandResult | None:
        """Return what is known of a placement that the journal has and the ledger lacks, or None.

        Whoever finds it there must not send it again.

        Raises:
            Unavailable, CorruptState: the journal cannot be read; nothing may be sent.
        """
        pending = {entry.row.key: entry for entry in await self.journal.pending()}
        entry = pending.get(key)
        sent = self._sent.get(key)
        if sent is not None and not sent.entry_id:
            entry = sent  # Its line is being written, by another execution in this process.
        return None if entry is None or entry.order is None else _answer(entry.order, entry)

    async def _send(
        self,
        row: CommandRow,
        given: Order | None,
        connector: Connector,
        access: TradingAccess,
        *,
        refine: Refine | None = None,
    ) -> JournaledCommand:
        kind = row.key.command
        entry = self._sent[row.key] = JournaledCommand(entry_id="", row=row, order=given)
        try:
            entry = replace(entry, entry_id=await self.journal.begin(row, given))
        except BaseException:
            # Not sent, and not to be: the next attempt has a line of its own.
            del self._sent[row.key]
            raise
        self._sent[row.key] = entry
        self.checkpoints.reached(f"{kind}.journaled")
        result = await connector.send(row, access)
        self.checkpoints.reached(f"{kind}.answer_read")
        entry = await self._note(entry, result)
        if refine is not None and is_definite(result.outcome):
            refined = await refine(row, result)
            if refined != result:
                entry = await self._note(entry, refined)
        self.checkpoints.reached(f"{kind}.outcome_journaled")
        return entry

    async def _note(self, entry: JournaledCommand, result: SendResult) -> JournaledCommand:
        entry = self._sent[entry.row.key] = replace(entry, result=result)
        await self.journal.note(entry.entry_id, result)
        return entry

    def _row(
        self, draft: CommandDraft, client_order_id: str | None, compose: MessageComposer
    ) -> CommandRow:
        """Make a command's row; without a client order id the order is named by its nonce."""
        now = self.now()
        nonce = self._nonce(draft, now)
        window_s = draft.admission_window_s
        slot = CommandSlot(
            client_order_id=str(nonce) if client_order_id is None else client_order_id,
            nonce=nonce,
            admitted_until=None if window_s is None else now + timedelta(seconds=window_s),
        )
        message = compose(slot)
        row = CommandRow(
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
            signed=None if draft.sign is None else draft.sign(slot, message),
            inserted_at=now,
            send_by=now + timedelta(seconds=draft.send_within_s),
        )
        self.saw(row)
        return row

    def _nonce(self, draft: CommandDraft, now: datetime) -> int | None:
        if draft.nonce is not None:
            return draft.nonce
        if draft.nonce_rule is NonceRule.NONE:
            return None
        if draft.nonce_rule is NonceRule.SEQUENCE:
            raise Unavailable(
                f"the nonces of {draft.venue} are counted in the ledger, which does not answer; "
                "the command waits for the database"
            )
        last = self._nonces.get((draft.venue, draft.network, draft.signer), 0)
        at_least = max((now - _EPOCH) // timedelta(milliseconds=1), last + 1)
        return self.nonces.take(f"{draft.venue}/{draft.network}/{draft.signer}", at_least)


async def absorb_journal(journal: CommandJournal, ledger: IntentLedger, now: datetime) -> int:
    """Take into the ledger what the journal holds, and mark it; return how many entries.

    An entry that cannot be taken stays, and those after it are taken all the same.

    Raises:
        Unavailable: the database or the journal does not answer; absorb again later.
        PerpDexError: of the first entry that could not be taken, once all were tried.
    """
    absorbed = 0
    refused: PerpDexError | None = None
    for entry in await journal.pending():
        if _is_in_flight(entry, now):
            continue
        try:
            await ledger.absorb(entry.row, entry.result, entry.order)
        except Unavailable:
            raise
        except PerpDexError as error:
            refused = refused or error
            continue
        await journal.mark_absorbed(entry)
        absorbed += 1
    if refused is not None:
        raise refused
    return absorbed


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalIntake:
    """The journal, taken in before an account is compared with its venue."""

    journal: CommandJournal
    ledger: IntentLedger
    now: Callable[[], datetime]

    async def taken_in(self, account_id: str) -> None:
        """Take into the ledger what the journal holds. An entry that it refuses stays, and is told
        by whoever absorbs again and again.

        Raises:
            Unavailable: a command of the account is on its way yet, or the database is away.
        """
        try:
            await absorb_journal(self.journal, self.ledger, self.now())
        except Unavailable:
            raise
        except PerpDexError:
            pass
        for entry in await self.journal.pending():
            if entry.row.account_id == account_id and _is_in_flight(entry, self.now()):
                raise Unavailable(f"journaled command {entry.row.key} is on its way; try again")


def _is_in_flight(entry: JournaledCommand, now: datetime) -> bool:
    """Tell whether its process may still be sending it."""
    return entry.result is None and now - entry.row.inserted_at < IN_FLIGHT


def _answer(order: Order, entry: JournaledCommand) -> CommandResult:
    outcome = None if entry.result is None else entry.result.outcome
    definite = is_definite(outcome)
    said = "it may have been sent before"
    if outcome is not None:
        order, said = settle(order, entry.row, outcome), describe(outcome)
    open_concern = Concern.PENDING_CANCEL
    if entry.row.key.command is CommandKind.PLACE:
        open_concern = Concern.UNKNOWN
    order = replace(order, concern=Concern.NONE if definite else open_concern)
    return CommandResult(
        order=order, definite=definite, answer=f"{said} (journaled: the database does not answer)"
    )
