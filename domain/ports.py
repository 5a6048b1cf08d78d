"""Ports: what activities, streaming and the API need of storage, as Protocols.

Each method is one transaction, and what it returned is committed. Errors are those of
`domain.errors`; `Unavailable` always means that nothing was changed or that it can be re-read by
key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.accounts import Account, AccountState, Network, SignerFacts, TradingAccess
from domain.fills import Fill, FillTotal
from domain.instruments import Instrument
from domain.ledger import (
    CommandDraft,
    CommandKey,
    CommandRow,
    CommandSlot,
    JointDraft,
    JointReservation,
    Reservation,
)
from domain.market_listing import MarketFilter, MarketPage
from domain.orders import Concern, Order, OrderReport
from domain.outcomes import SendResult
from domain.timeline import OrderChange, TimelineEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A report that a workflow has to hear and has not confirmed yet."""

    delivery_id: int
    report: OrderReport
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What folding did. `changed` is False when the report said nothing new.

    `delivery_id` names the pending delivery where a workflow has to hear of it. `reopened` tells
    that a venue report contradicted our own or an operator's closure.
    """

    order: Order
    changed: bool
    delivery_id: int | None = None
    reopened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders a listing shows; None means any. `cursor` continues an earlier page.

    `account_id` and `account_ids` narrow it both.
    """

    owner: str
    account_id: str | None = None
    account_ids: tuple[str, ...] | None = None
    venue: str | None = None
    symbol: str | None = None
    statuses: tuple[str, ...] | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPage:
    """A page of orders, newest first, and the cursor of the next one if there is one."""

    orders: tuple[Order, ...]
    next_cursor: str | None


class IntentLedger(Protocol):
    """The one place that knows whether bytes of a command may be out."""

    async def reserve(
        self,
        draft: CommandDraft,
        *,
        spell_client_order_id: Callable[[int], str],
        compose: Callable[[CommandSlot], str],
    ) -> Reservation:
        """Insert the command's row, or return the one that is there.

        In one transaction: insert; only if the insert won, check halt, limits and undecided
        exposure, take the nonce under the signer's row and a client order id that is unique in the
        account (`spell_client_order_id(collision)` for collision 0, 1, …; only a placement takes a
        new one, other commands use the target revision's), compose the message, for a placement
        write the order with its new revision, and set the order's concern where the draft says.

        Raises:
            RiskRefused: a halt or limit forbids it; nothing was written.
            Conflict: it comes too late (code `too_late`: past `not_after`; for a placement also
                code `order_ended`: the stored order is terminal) and was not in the ledger
                before; nothing was written.
            Unavailable: the database does not answer; whether a row is there is unknown.
        """
        ...

    async def reserve_joint(
        self,
        draft: JointDraft,
        *,
        spell_client_order_id: Callable[[CommandKey, int], str],
        compose: Callable[[Sequence[CommandSlot]], str],
    ) -> JointReservation:
        """Insert the rows of a joint placement, all or none, or return those that are there.

        As `reserve`, in one transaction for all: one nonce, one message in the entry's row, a
        client order id and an order for each. What halts and limits say of the entry holds for all.

        Raises:
            RiskRefused, Conflict, NotFound, Unavailable: as `reserve`; nothing of any was written.
        """
        ...

    async def decide(
        self, key: CommandKey, result: SendResult, *, concern: Concern | None = None
    ) -> Order:
        """Write the outcome and fold it into the order, in one transaction; return the order.

        A definite outcome is never overwritten; an undecided one becomes any other. `concern`
        replaces the order's concern where given.
        """
        ...

    async def absorb(
        self, row: CommandRow, result: SendResult | None, order: Order | None = None
    ) -> Order:
        """Take in a command that was sent while the ledger did not answer; return its order.

        Inserts the row if it is not there, folds its outcome into the order and remembers its
        nonce, in one transaction. Another command may have taken the key meanwhile: the row then
        gets the next free one; but a placement's row of that key stands for it, since both name the
        same venue order. Where the store has no such order it is the one that bears its ids there,
        or else `order` itself, which is written. Doing it again changes nothing; without `result`
        the row is undecided.

        Raises:
            NotFound: there is no such order, and none was given.
            Unavailable: the database does not answer; absorb it again later.
        """
        ...

    async def read(self, key: CommandKey) -> CommandRow | None:
        """Return the row, or None."""
        ...

    async def of_order(self, order_id: str) -> tuple[CommandRow, ...]:
        """Return all rows of an order, oldest first."""
        ...

    async def undecided(self, *, before: datetime) -> tuple[CommandRow, ...]:
        """Return all rows without a definite outcome that were inserted before a time."""
        ...


class OrderStore(Protocol):
    """Orders, fills, timelines, and the reports that workflows have to hear."""

    async def get(self, order_id: str) -> Order | None:
        """Return the order, or None."""
        ...

    async def add(self, order: Order, event: TimelineEvent) -> Order:
        """Write an order that never came to a command (denied, closed unsent), or return the one
        that is there."""
        ...

    async def page(self, wanted: OrderFilter) -> OrderPage:
        """Return a page of orders."""
        ...

    async def live(self) -> tuple[Order, ...]:
        """Return all orders that have not ended."""
        ...

    async def amend(
        self, order_id: str, change: Callable[[Order], Order], event: TimelineEvent
    ) -> Order:
        """Read for update, apply the pure `change`, write with `event`; return the new order.

        Nothing is written, and no event recorded, when `change` returns an equal order.

        Raises:
            NotFound: there is no such order.
        """
        ...

    async def fold(self, report: OrderReport) -> Folded:
        """Fold one report in; remember it for delivery if it changes a quantity or ends the order.

        Raises:
            NotFound: there is no such order.
        """
        ...

    async def book(self, fills: Sequence[Fill]) -> tuple[Folded, ...]:
        """Book the fills not booked yet, each once, and fold the new totals into their orders.

        A fill is matched by client order id, then by venue order id of any revision; one that
        matches no order is booked all the same, without order.
        """
        ...

    async def fill_total(self, order_id: str) -> FillTotal:
        """Return what the booked fills of an order add up to."""
        ...

    async def fills(self, order_id: str) -> tuple[Fill, ...]:
        """Return the booked fills of an order, oldest first."""
        ...

    async def newest_fill_time(self, account_id: str) -> datetime | None:
        """Return the event time of the newest booked fill of an account."""
        ...

    async def match(
        self, account_id: str, *, client_order_id: str | None, venue_order_id: str | None
    ) -> tuple[str, int] | None:
        """Return (order id, revision) of the venue order that bears these ids, or None."""
        ...

    async def find(
        self, account_id: str, *, client_order_id: str | None, venue_order_id: str | None
    ) -> tuple[Order, int] | None:
        """Return the order, and the number of its revision, that bears these ids, or None."""
        ...

    async def record(self, event: TimelineEvent) -> None:
        """Append an event to an order's timeline without changing the order."""
        ...

    async def timeline(self, order_id: str) -> tuple[TimelineEvent, ...]:
        """Return an order's timeline, oldest first."""
        ...

    async def undelivered(self, *, limit: int = 500) -> tuple[Delivery, ...]:
        """Return reports that workflows have not heard, oldest first."""
        ...

    async def mark_delivered(self, delivery_ids: Sequence[int]) -> None:
        """Remember that the workflows have them (or need them no more)."""
        ...

    async def changes(
        self, account_ids: Sequence[str], after: dict[str, int], *, limit: int = 500
    ) -> tuple[OrderChange, ...]:
        """Return changes of accounts past the given sequences, in order per account."""
        ...

    async def last_sequence(self, account_id: str) -> int:
        """Return the newest sequence of an account, 0 before the first."""
        ...


class AccountStore(Protocol):
    """Accounts and their sealed credentials."""

    async def add(self, account: Account, *, trading: bytes, feed: bytes | None) -> Account:
        """Keep an account with its sealed credential parts.

        Raises:
            Conflict: the owner has an account with that label, or with that venue, network and
                address.
        """
        ...

    async def get(self, account_id: str) -> Account | None:
        """Return the account, or None."""
        ...

    async def of_owner(self, owner: str) -> tuple[Account, ...]:
        """Return a principal's accounts, oldest first."""
        ...

    async def all_active(self) -> tuple[Account, ...]:
        """Return every account that may trade."""
        ...

    async def set_state(
        self,
        account_id: str,
        state: AccountState,
        *,
        reason: str | None,
        signer: str | None,
        facts: SignerFacts | None = None,
    ) -> Account:
        """Change an account's state after its check; REFUSED destroys the sealed credential.

        `facts` is what is known of the credential.
        """
        ...

    async def note_facts(self, account_id: str, facts: SignerFacts) -> Account:
        """Write down what is known of an account's current credential now.

        Raises:
            NotFound: there is no such account.
        """
        ...


class TradingAccessSource(Protocol):
    """Opens sealed credentials; only the worker has one."""

    async def open(self, account_id: str) -> TradingAccess:
        """Return the account with its opened trading credential.

        Raises:
            NotFound: no such account, or it has no credential any more.
        """
        ...

    async def open_signer(self, account_id: str, signer: str) -> TradingAccess:
        """Return access with the credential of a given signer, current or rotated out.

        Raises:
            NotFound: no credential of that signer is kept.
        """
        ...


class SymbolBlocks(Protocol):
    """Markets of accounts on which an order that nobody can decide forbids new exposure."""

    async def block(self, account_id: str, symbol: str, *, order_id: str, reason: str) -> None:
        """Forbid new exposure there by all orders but this one.

        Raises:
            NotFound: there is no such account.
        """
        ...

    async def unblock(self, account_id: str, symbol: str, *, order_id: str) -> None:
        """Take back this order's block; those of other orders stay."""
        ...


class MarketStore(Protocol):
    """The markets that workers have seen, for processes that never talk to a venue."""

    async def save(
        self, network: Network, instruments: Sequence[Instrument], *, seen_at: datetime
    ) -> None:
        """Replace a venue's and network's markets by these (all of one venue)."""
        ...

    async def instruments(self, venue: str, network: Network) -> tuple[Instrument, ...]:
        """Return the markets of a venue and network, by symbol."""
        ...

    async def instrument(self, venue: str, network: Network, symbol: str) -> Instrument | None:
        """Return one market, or None."""
        ...

    async def page(self, wanted: MarketFilter) -> MarketPage:
        """Return a page of markets over venues. Raises InvalidInput: a wrong limit or cursor."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Who did what to what, when, and what became of it; never a secret.

    `sequence` and `chain_hash` are given by the sealer; the hash covers the record and the hash
    before it.
    """

    principal_id: str
    action: str
    subject: str
    outcome: str
    at: datetime
    request_id: str | None = None
    detail: dict[str, str] | None = None
    sequence: int | None = None
    chain_hash: str | None = None


class AuditLog(Protocol):
    """The append-only record of what was asked and done."""

    async def append(self, record: AuditRecord) -> None:
        """Append a record, unnumbered."""
        ...

    async def seal(self) -> int:
        """Number and hash-chain the records appended since, in order; return how many."""
        ...

    async def verify(self) -> int | None:
        """Return the first sequence whose chain does not hold, or None when all holds."""
        ...
