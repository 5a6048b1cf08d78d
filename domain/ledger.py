"""The intent ledger's vocabulary: one row per signed command, and the three answers of `reserve`.

The ledger is the only thing that knows that bytes of a command may be out. Knows no SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from domain.accounts import Network
from domain.commands import Command, CommandKind
from domain.orders import Concern, Order
from domain.outcomes import Outcome, SendResult, is_definite


class NonceRule(StrEnum):
    """How a venue's nonces are made, under the signer's row in the ledger's transaction.

    `NAMES_ORDER`: as `TIME_MS`, at a venue that knows no client order id but tells the nonce: a
    placement's nonce is its client order id.
    """

    NONE = "NONE"
    TIME_MS = "TIME_MS"
    NAMES_ORDER = "NAMES_ORDER"
    SEQUENCE = "SEQUENCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandKey:
    """Names one command for ever.

    For a placement `revision` is the order's revision; for cancels, modifies and noops it counts
    the commands of that kind.
    """

    order_id: str
    command: CommandKind
    revision: int

    def __str__(self) -> str:
        return f"{self.order_id}/{self.command}/{self.revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandDraft:
    """What a process wants to send, before the ledger gives it a slot.

    `target_revision` is the order revision it concerns. `order` is written with the first
    placement, in the same transaction; a placement adds its revision to it. `nonce` is given for a
    noop only. `concern` is written to the order in the same transaction, where given. For a later
    placement the stored order takes its quantity and price from `order` and one more revision;
    everything else of the stored order stays. `raises_exposure` makes halts and limits apply.
    Past `not_after` nothing is inserted any more. `send_within_s` bounds the time between the
    insert and the first byte, `admission_window_s` the time within which the venue may still admit
    the command (None where it has no such expiry). `mark_price` is the market's, where the sender
    knows it: risk limits are measured by it.

    Where the venue counts nonces for each key, `lane` is the key and `lane_epoch` the sender's
    ownership of it: nothing is inserted if another has it by now. `sign` makes of slot and message
    what is sent, for venues whose transaction is known by its hash before it leaves.
    """

    key: CommandKey
    account_id: str
    venue: str
    network: Network
    symbol: str
    signer: str
    command: Command
    target_revision: int
    raises_exposure: bool
    nonce_rule: NonceRule
    send_within_s: float
    admission_window_s: float | None = None
    lane: str = ""
    lane_epoch: int | None = None
    sign: Callable[[CommandSlot, str], str] | None = field(default=None, compare=False)
    nonce: int | None = None
    order: Order | None = None
    concern: Concern | None = None
    not_after: datetime | None = None
    mark_price: Decimal | None = None


def names_order(draft: CommandDraft) -> bool:
    """Tell whether a command's nonce is the client order id of the order that it places."""
    return draft.nonce_rule is NonceRule.NAMES_ORDER and draft.key.command is CommandKind.PLACE


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSlot:
    """What the ledger's transaction gives a command and what its message is composed with."""

    client_order_id: str
    nonce: int | None
    admitted_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """A ledger row: everything that the signature covers, then the outcome with its evidence.

    `message` is the venue's message as JSON text; with `signer`, `nonce`, `admitted_until` and
    `network` it gives the same signed bytes again. `send_by` is the last moment for a first send.

    `signed` is what was made of the message and is sent as it is, where the venue's signature is
    not the same each time: with it the row gives the same bytes, and their hash is known.

    `carried_by` names the order whose command of the same kind and revision has this one's message
    in its own: this row then has none, is never sent, and only holds what became of its order.
    """

    key: CommandKey
    account_id: str
    venue: str
    network: Network
    symbol: str
    signer: str
    lane: str
    target_revision: int
    client_order_id: str
    nonce: int | None
    admitted_until: datetime | None
    message: str
    inserted_at: datetime
    send_by: datetime
    outcome: Outcome | None = None
    raw_answer: str | None = None
    decided_at: datetime | None = None
    carried_by: str | None = None
    signed: str | None = None

    @property
    def is_decided(self) -> bool:
        """Whether the outcome is definite."""
        return is_definite(self.outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserted:
    """This execution, and no other, may make the first send, once, before `row.send_by`."""

    kind: Literal["inserted"] = "inserted"
    row: CommandRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The command is in the ledger already: with a definite outcome, return it; else resolve."""

    kind: Literal["found"] = "found"
    row: CommandRow


Reservation = Inserted | Found


@dataclass(frozen=True, slots=True, kw_only=True)
class JointDraft:
    """Placements that leave in one signed request: an entry, and the exits that hang on it.

    All of one account, signer and revision. The entry's row bears the message and stands for all:
    it is inserted or found, and with it the others.
    """

    entry: CommandDraft
    exits: tuple[CommandDraft, ...]

    @property
    def members(self) -> tuple[CommandDraft, ...]:
        """The entry first, then the exits, as the message has them."""
        return (self.entry, *self.exits)


@dataclass(frozen=True, slots=True, kw_only=True)
class JointReservation:
    """The rows of a joint placement, in the order of its message; the first bears the message.

    `inserted`: this execution, and no other, may make the first send, once, before `send_by`.
    """

    rows: tuple[CommandRow, ...]
    inserted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JournaledCommand:
    """A command that went out while the ledger could not be written, as the journal holds it.

    `result` None: its bytes may be out, and nothing is known of them. `order` is what the store is
    to be told where it does not know the order: a placement's, or one that somebody else placed.
    """

    entry_id: str
    row: CommandRow
    result: SendResult | None = None
    order: Order | None = None
