"""Several orders in one signed request: what a connector can besides, and what comes of each order.

Importing this costs nothing; it knows no venue, no Temporal and no SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from domain.accounts import TradingAccess
from domain.commands import PlaceOrder
from domain.ledger import CommandRow, CommandSlot
from domain.outcomes import Outcome

#: Writes a batch's message once each member has its slot; the slots come in the members' order.
BatchComposer = Callable[[Sequence[CommandSlot]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchMember:
    """One order of a batch, in the order of its message."""

    order_id: str
    revision: int
    client_order_id: str
    venue_order_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """The outcomes of a batch's members, in their order, with the evidence they share."""

    outcomes: tuple[Outcome, ...]
    raw: str | None = None
    received_at: datetime | None = None


@runtime_checkable
class JointPlacer(Protocol):
    """What a connector can besides, where an entry takes its exits along in one signed request."""

    async def compose_joint(self, entry: PlaceOrder, exits: Sequence[PlaceOrder]) -> BatchComposer:
        """Check the orders against the market and return what writes the one message.

        Raises:
            InvalidInput: for what the venue would refuse for its form.
        """
        ...

    async def send_batch(
        self, row: CommandRow, access: TradingAccess, members: Sequence[BatchMember]
    ) -> BatchResult:
        """Sign the row's message and send it once, as `Connector.send`; outcomes per member.

        Whatever concerns the whole (no answer, garbage, a refusal of it) is every member's outcome.
        """
        ...
