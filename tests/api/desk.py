"""A hand-written stand-in for the workflows' façade, over real storage.

Behaves by script: what `outcomes` says of a symbol is what the venue would have done. It keeps the
promises of the real one: a place is started once per order id, a fingerprint is compared, a closed
workflow says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from domain.accounts import Account, AccountState
from domain.errors import Conflict, NotFound, Unavailable
from domain.identifiers import client_order_bytes
from domain.order_fold import apply, with_closure, with_revision
from domain.orders import Closure, Concern, Order, OrderReport, Revision, Verdict
from domain.timeline import EventKind, TimelineEvent
from storage.opening import Storage

Script = Literal[
    "fill",
    "rest",
    "reject",
    "deny",
    "hang",
    "refuse_start",
    "crash",
    "silent",
    "not_sent",
    "ioc_miss",
    "lost_then_rest",
    "unknown",
]


@dataclass(frozen=True)
class Placement:
    order: Order | None
    decided: bool


@dataclass(frozen=True)
class RequestAnswer:
    order: Order | None
    decided: bool
    refusal: str | None = None


@dataclass
class ScriptedDesk:
    storage: Storage
    script: Script = "rest"
    refusal: str | None = None
    request_script: Literal["done", "hang", "away", "missing", "modify_refused"] = "done"
    account_verdict: AccountState | None = AccountState.ACTIVE
    starts: list[str] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    started: dict[str, Order] = field(default_factory=dict)
    answers: dict[str, RequestAnswer] = field(default_factory=dict)
    adopted: list[str] = field(default_factory=list)
    answering: bool = True
    hold_s: float = 0.0

    async def place(
        self, order: Order, *, wait_s: float, account_label: str | None = None
    ) -> Placement:
        if self.script == "refuse_start":
            raise Unavailable("Temporal does not answer")
        if self.script == "crash":
            raise RuntimeError("something nobody foresaw")
        if self.script == "silent":
            return Placement(None, False)
        first = self.started.setdefault(order.order_id, order)
        if first.fingerprint != order.fingerprint:
            raise Conflict("another request has this key", code="idempotency_mismatch")
        if first is order:
            self.starts.append(order.order_id)
            await asyncio.sleep(self.hold_s)
            if self.script == "hang":
                return Placement(None, False)
            placed = await self._act(order)
            if self.script == "lost_then_rest":
                return Placement(None, False)
            return Placement(placed, placed.outcome not in ("pending", "unknown"))
        kept = await self.storage.orders.get(order.order_id)
        if kept is not None and kept.is_terminal:
            raise Conflict("the order's workflow has closed", code="workflow_closed")
        return Placement(kept, kept is not None)

    async def _act(self, order: Order) -> Order:
        if self.script == "deny":
            return await self._add(replace(order, denied="the account is halted"))
        await self._add(order)
        revision = Revision(
            number=0,
            client_order_id="0x" + client_order_bytes(order.order_id, 0).hex(),
            quantity=order.quantity,
            price=order.price,
        )
        if self.script == "not_sent":
            end = Closure(verdict=Verdict.EXPIRED, reason="not_sent: too late to send")
            return await self._change(order.order_id, lambda o: with_closure(o, end))
        await self._change(order.order_id, lambda o: with_revision(o, revision))
        if self.script == "unknown":
            return await self._change(order.order_id, lambda o: replace(o, concern=Concern.UNKNOWN))
        verdict = {
            "fill": Verdict.FILLED,
            "reject": Verdict.REJECTED,
            "ioc_miss": Verdict.CANCELED,
        }.get(self.script, Verdict.ACCEPTED)
        reason = {"reject": "insufficient margin \x1b]0;pwn\x07 [bold]", "ioc_miss": "no match"}
        report = OrderReport(
            order_id=order.order_id,
            revision=0,
            verdict=verdict,
            filled_quantity=order.quantity if self.script == "fill" else Decimal(0),
            average_price=(order.price or Decimal(45_000)) if self.script == "fill" else None,
            venue_order_id="77738308",
            reason=reason.get(self.script),
        )
        return await self.report(report)

    async def report(self, report: OrderReport) -> Order:
        """Have the venue say something."""
        return await self._change(report.order_id, lambda o: apply(o, report))

    async def fill(self, order_id: str, *, quantity: Decimal | None = None) -> Order:
        """Have the venue fill an order, wholly unless `quantity` says how far."""
        order = await self.storage.orders.get(order_id)
        assert order is not None
        part = quantity is not None and quantity < order.quantity
        return await self.report(
            OrderReport(
                order_id=order_id,
                revision=0,
                verdict=Verdict.PARTIALLY_FILLED if part else Verdict.FILLED,
                filled_quantity=quantity or order.quantity,
                average_price=order.price or Decimal(45_000),
                venue_order_id="77738308",
            )
        )

    async def _add(self, order: Order) -> Order:
        return await self.storage.orders.add(order, self._event(order.order_id, "created"))

    async def _change(self, order_id: str, change: Callable[[Order], Order]) -> Order:
        return await self.storage.orders.amend(order_id, change, self._event(order_id, "news"))

    def _event(self, order_id: str, text: str) -> TimelineEvent:
        return TimelineEvent(
            order_id=order_id, kind=EventKind.REPORT, text=text, at=datetime.now(UTC)
        )

    async def cancel(self, order_id: str, request_id: str, *, wait_s: float) -> RequestAnswer:
        async def end(order: Order) -> Order:
            return await self.report(
                OrderReport(order_id=order_id, revision=0, verdict=Verdict.CANCELED)
            )

        return await self._request("cancel", order_id, request_id, end)

    async def modify(
        self,
        order_id: str,
        request_id: str,
        *,
        price: Decimal | None,
        quantity: Decimal | None,
        wait_s: float,
    ) -> RequestAnswer:
        async def change(order: Order) -> Order:
            return await self._change(
                order_id,
                lambda o: replace(o, price=price or o.price, quantity=quantity or o.quantity),
            )

        return await self._request("modify", order_id, request_id, change)

    async def resolve(
        self,
        order_id: str,
        request_id: str,
        *,
        verdict: Literal["absent", "accepted"],
        reason: str,
        by: str,
    ) -> RequestAnswer:
        async def end(order: Order) -> Order:
            closure = Closure(verdict=Verdict.CANCELED, reason=f"{by}: {reason}", by_operator=True)
            return await self._change(order_id, lambda o: with_closure(o, closure))

        return await self._request(f"resolve {verdict}", order_id, request_id, end)

    async def _request(
        self, name: str, order_id: str, request_id: str, do: Callable[[Order], Awaitable[Order]]
    ) -> RequestAnswer:
        self.requests.append((name, order_id, request_id))
        if request_id in self.answers:
            return self.answers[request_id]
        if self.request_script == "away":
            raise Unavailable("Temporal does not answer")
        if self.request_script == "missing":
            raise NotFound("no workflow manages this order")
        if self.request_script == "modify_refused":
            raise Conflict("the price is the same", code="modify_refused")
        order = await self.storage.orders.get(order_id)
        assert order is not None
        if order.is_terminal:
            raise Conflict("the order has ended", code="order_ended")
        if self.request_script == "hang":
            return RequestAnswer(None, False)
        if self.refusal is not None:
            return RequestAnswer(order, True, self.refusal)
        done = await do(order)
        answer = RequestAnswer(done, True)
        self.answers[request_id] = answer
        return answer

    async def state(self, order_id: str) -> Order:
        if not self.answering:
            raise Unavailable("no worker answers")
        order = await self.storage.orders.get(order_id)
        if order is None:
            raise NotFound("no workflow manages this order")
        return order

    async def pending(self, order_id: str) -> Order | None:
        if not self.answering:
            raise Unavailable("Temporal does not answer")
        return self.started.get(order_id)

    async def adopt(self, order: Order, *, completed_too: bool = False) -> bool:
        self.adopted.append(order.order_id)
        return True

    async def verify_account(self, account_id: str, venue: str, *, wait_s: float) -> Account | None:
        if not self.answering:
            raise Unavailable("Temporal does not answer")
        if self.account_verdict is None:
            return None
        refused = self.account_verdict is AccountState.REFUSED
        return await self.storage.accounts.set_state(
            account_id,
            self.account_verdict,
            reason="this is a master key; register an agent key" if refused else None,
            signer="0xagent",
        )
