"""Rows to send: the same one again and again, or the next of a lane where nonces run in sequence.

Where a venue counts nonces, the connector takes nothing but the lane's next one, and only once the
one before has been answered. A worker owns one lane for orders, so such a venue has one order under
way here; its rows are written as the ledger writes them, whose signing is then part of an order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from benchmarks.venues.staging import for_long
from domain.accounts import TradingAccess
from domain.ledger import CommandRow, CommandSlot
from tests.conformance.stage import Stage
from venues.connector import MessageComposer
from venues.lanes import Laned, MessageSigner
from venues.transport import Reply

CONCURRENCY: Final = 50


class Rows(Protocol):
    """Gives the rows to send; `first` is there already, and goes to the simulated exchange."""

    first: CommandRow
    at_once: int

    def following(self) -> CommandRow:
        """Return the next row to send."""
        ...

    def as_answer(self, reply: Reply) -> Reply:
        """Return the answer to the first row as the venue would give it to the last one."""
        ...

    def close(self) -> None:
        """Have the connector forget what it was told of nonces that the exchange never saw."""
        ...


@dataclass(slots=True)
class SameRow:
    """One row, sent by so many at once."""

    first: CommandRow
    at_once: int = CONCURRENCY

    def following(self) -> CommandRow:
        """Return the row."""
        return self.first

    def as_answer(self, reply: Reply) -> Reply:
        """Return the answer, which is to the same row."""
        return reply

    def close(self) -> None:
        """Do nothing: nothing is counted."""


@dataclass(slots=True, kw_only=True)
class LaneRows:
    """The rows of one lane, each with the nonce after the one before, one under way at a time.

    All place the order of the first row, which the exchange has: so each finds its verdict.
    """

    first: CommandRow
    at_once: int = field(default=1, init=False)
    connector: Laned
    access: TradingAccess
    compose: MessageComposer
    sign: MessageSigner
    window: timedelta
    _last: CommandRow = field(init=False)

    def __post_init__(self) -> None:
        """Begin behind the first row."""
        self._last = self.first

    def following(self) -> CommandRow:
        """Return the row of the lane's next nonce, composed and signed now."""
        assert self._last.nonce is not None
        slot = CommandSlot(
            client_order_id=self.first.client_order_id,
            nonce=self._last.nonce + 1,
            admitted_until=datetime.now(UTC) + self.window,
        )
        message = self.compose(slot)
        self._last = replace(
            self._last,
            nonce=slot.nonce,
            admitted_until=slot.admitted_until,
            message=message,
            signed=self.sign(slot, message),
        )
        return self._last

    def as_answer(self, reply: Reply) -> Reply:
        """Return the answer with what it repeats of the first row's transaction replaced."""
        body = reply.body
        first, last = (json.loads(row.signed or "{}") for row in (self.first, self._last))
        for name, value in first.items():
            if isinstance(value, str):
                body = body.replace(value.encode(), last[name].encode())
        return replace(reply, body=body)

    def close(self) -> None:
        """Have the venue asked before the lane's next command."""
        self.connector.forget_lane(self.access, self.first.lane)


async def rows_of(stage: Stage, access: TradingAccess) -> Rows:
    """Write a placement that rests into the ledger, and return what gives rows to send."""
    connector, command = stage.connector, await stage.resting()
    first = for_long(await stage.reserve(command))
    if not isinstance(connector, Laned):
        return SameRow(first)
    window_s = connector.proofs.admission_window_s
    assert window_s is not None, "expected a bound of admission where nonces are counted"
    return LaneRows(
        first=first,
        connector=connector,
        access=access,
        compose=await connector.compose(command),
        sign=connector.message_signer(access, first.lane),
        window=timedelta(seconds=window_s),
    )
