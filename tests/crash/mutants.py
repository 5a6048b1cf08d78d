"""Mutants: the product with one promise taken out, to prove that the matrix would notice.

`always-inserted`: the ledger forgets, each look at a command makes a new one and lets it be sent.
`fence-ignored`: silence of the look-ups counts as proof of absence, no nonce is burned.
`added-reports`: fills are added up as they come instead of being folded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from activities import resolution as searching
from activities.resolution import ResolutionActivities
from domain import order_fold, resolution
from domain.accounts import TradingAccess
from domain.ledger import (
    CommandDraft,
    CommandKey,
    CommandRow,
    CommandSlot,
    Inserted,
    JointDraft,
    JointReservation,
    NonceRule,
    Reservation,
    names_order,
)
from domain.orders import Concern, Order, OrderReport, Revision
from domain.outcomes import Accepted, Outcome, SendResult
from domain.ports import IntentLedger
from storage.ledger import SqlIntentLedger
from venues.connector import Connector, ProofTable
from workflows import policies

MUTANTS = ("always-inserted", "fence-ignored", "added-reports")

ASKS_FOR_HELP_AFTER = timedelta(seconds=5)
"""Where nothing can be proven, so that nobody has to wait for the product's half a minute."""


class AlwaysInserted:
    """A ledger that lets everybody send first, as a system does that keeps none.

    Each time the command is another one at the venue: under a client order id of its own, with the
    nonce that comes next on the lane of whoever asks, signed anew. Members of a joint placement
    keep their client order ids.
    """

    def __init__(self, ledger: IntentLedger) -> None:
        if not isinstance(ledger, SqlIntentLedger):
            raise TypeError(f"expected the ledger in SQL, found {ledger!r}")
        self._ledger = ledger
        self._forgotten = 0

    async def reserve(
        self,
        draft: CommandDraft,
        *,
        spell_client_order_id: Callable[[int], str],
        compose: Callable[[CommandSlot], str],
    ) -> Reservation:
        reservation = await self._ledger.reserve(
            draft, spell_client_order_id=spell_client_order_id, compose=compose
        )
        if isinstance(reservation, Inserted):
            return reservation
        row = reservation.row
        now = datetime.now(UTC)
        nonce = await self._next_nonce(draft, row.nonce)
        self._forgotten += 1
        named_by_nonce = names_order(draft)
        slot = CommandSlot(
            client_order_id=(
                str(nonce) if named_by_nonce else spell_client_order_id(self._forgotten)
            ),
            nonce=nonce,
            admitted_until=_admitted_until(now, draft.admission_window_s),
        )
        message = compose(slot)
        forged = replace(
            row,
            lane=draft.lane,
            client_order_id=slot.client_order_id,
            nonce=slot.nonce,
            admitted_until=slot.admitted_until,
            message=message,
            signed=None if draft.sign is None else draft.sign(slot, message),
            send_by=now + timedelta(seconds=5),
            outcome=None,
            decided_at=None,
        )
        return Inserted(row=forged)

    async def _next_nonce(self, draft: CommandDraft, used: int | None) -> int | None:
        """Return a nonce that the venue takes although it has taken the row's own."""
        if draft.nonce_rule is NonceRule.NONE or used is None:
            return used
        if draft.nonce_rule is not NonceRule.SEQUENCE:
            return time.time_ns() // 1_000_000
        last = await self._learn_nonce(draft, -1)
        return await self._learn_nonce(draft, last + 1)

    async def _learn_nonce(self, draft: CommandDraft, nonce: int) -> int:
        return await self._ledger.learn_nonce(
            venue=draft.venue,
            network=draft.network,
            signer=draft.signer,
            lane=draft.lane,
            last_nonce=nonce,
        )

    async def reserve_joint(
        self,
        draft: JointDraft,
        *,
        spell_client_order_id: Callable[[CommandKey, int], str],
        compose: Callable[[Sequence[CommandSlot]], str],
    ) -> JointReservation:
        reservation = await self._ledger.reserve_joint(
            draft, spell_client_order_id=spell_client_order_id, compose=compose
        )
        if reservation.inserted:
            return reservation
        now = datetime.now(UTC)
        # One transaction bears them all, with one nonce.
        nonce = await self._next_nonce(draft.entry, reservation.rows[0].nonce)
        slots = [
            CommandSlot(
                client_order_id=row.client_order_id,
                nonce=nonce,
                admitted_until=_admitted_until(now, draft.entry.admission_window_s),
            )
            for row in reservation.rows
        ]
        forged = replace(
            reservation.rows[0],
            nonce=slots[0].nonce,
            admitted_until=slots[0].admitted_until,
            message=compose(slots),
            send_by=now + timedelta(seconds=5),
        )
        return JointReservation(rows=(forged, *reservation.rows[1:]), inserted=True)

    async def decide(
        self, key: CommandKey, result: SendResult, *, concern: Concern | None = None
    ) -> Order:
        return await self._ledger.decide(key, result, concern=concern)

    async def absorb(
        self, row: CommandRow, result: SendResult | None, order: Order | None = None
    ) -> Order:
        return await self._ledger.absorb(row, result, order)

    async def read(self, key: CommandKey) -> CommandRow | None:
        return await self._ledger.read(key)

    async def of_order(self, order_id: str) -> tuple[CommandRow, ...]:
        return await self._ledger.of_order(order_id)

    async def undecided(self, *, before: datetime) -> tuple[CommandRow, ...]:
        return await self._ledger.undecided(before=before)


def _admitted_until(now: datetime, window_s: float | None) -> datetime | None:
    return None if window_s is None else now + timedelta(seconds=window_s)


class FenceIgnored(ResolutionActivities):
    """Resolution that takes silence for absence: it pretends that the nonce was burned."""

    async def burn(
        self, connector: Connector, access: TradingAccess, row: CommandRow
    ) -> Outcome | None:
        return Accepted()


def forget_fences() -> None:
    """Let no venue have a fence, whatever its proof table says: what is lost stays unknown."""
    never: Any = lambda *_, **__: False  # noqa: E731 - stands for functions of any form
    resolution.fence_closed = never
    searching.fence_closed = never  # type: ignore[attr-defined] # the name it has imported
    ProofTable.proves_absence = property(never)  # type: ignore[method-assign,assignment]
    policies.ATTENTION_AFTER = ASKS_FOR_HELP_AFTER


class WithoutFence(ResolutionActivities):
    """Resolution at a venue whose nonces close nothing."""

    async def burn(
        self, connector: Connector, access: TradingAccess, row: CommandRow
    ) -> Outcome | None:
        return None


def add_reports() -> None:
    """Replace the fold by an addition, as systems do that count each report as it comes."""
    folded: Any = order_fold._fold

    def added(revision: Revision, report: OrderReport) -> Revision:
        after: Revision = folded(revision, report)
        if not report.filled_quantity:
            return after
        total = revision.filled_quantity + report.filled_quantity
        return replace(after, filled_quantity=total)

    order_fold._fold = added
