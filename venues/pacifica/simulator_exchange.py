"""Signed requests of the simulated venue: checks in the venue's order, then the request itself.

Shape, window, signature, agent, then business rules. Nothing remembers a request: the same bytes
sent twice inside their window are executed twice, because nobody has verified that they are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from venues.pacifica.simulator_bodies import (
    BATCH_KINDS,
    OPERATIONS,
    Request,
    WrongShape,
    read_batch,
    read_request,
)
from venues.pacifica.simulator_business import Business, Refused, Taken
from venues.pacifica.simulator_credits import Credits, cost_of
from venues.pacifica.simulator_signature import NotVerified, verify
from venues.simulation.commands import CommandFaults
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan

_ENCODER: Final = msgspec.json.Encoder()
#: What faults may be filtered by beside the type itself.
_GROUPS: Final = {
    "create_order": "order",
    "create_market_order": "order",
    "create_stop_order": "order",
    "set_position_tpsl": "order",
    "cancel_order": "cancel",
    "cancel_stop_order": "cancel",
    "cancel_all_orders": "cancel",
    "edit_order": "modify",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer; `taken` is what happened, for the socket's own form of answers."""

    status: int
    body: bytes
    content_type: str = "application/json"
    taken: Taken | None = None


def envelope(data: Any, **more: Any) -> bytes:
    """Write a successful answer."""
    return _ENCODER.encode({"success": True, "data": data, "error": None, "code": None, **more})


def error(status: int, text: str, code: int | None = None, error_id: str | None = None) -> Reply:
    """Write a refusal; off 422 the code repeats the status."""
    body: dict[str, Any] = {
        "success": False,
        "data": None,
        "error": text,
        "code": status if code is None else code,
    }
    if error_id is not None:
        body["error_id"] = error_id
    return Reply(status=status, body=_ENCODER.encode(body))


def bare(status: int, text: str) -> Reply:
    """Write a refusal as bare text, as some are."""
    return Reply(status=status, body=text.encode(), content_type="text/plain")


class SignedRequests:
    """Takes bodies of signed requests, over HTTP or a socket, and answers them."""

    def __init__(self, exchange: Exchange, faults: FaultPlan, credits: Credits) -> None:
        self._exchange = exchange
        self._command_faults = CommandFaults(exchange, faults)
        self._credits = credits
        self._business = Business(exchange)

    async def submit(self, path: str, body: bytes, remote: str) -> Reply:
        """Answer one body. Raises `ConnectionDropped` where a fault cuts the connection."""
        if path == "/orders/batch":
            return await self._submit_batch(body, remote)
        kind = OPERATIONS[path][0]
        if not self._credits.take(remote, cost_of(path)):
            return error(429, "Rate limit exceeded")
        try:
            request = read_request(kind, body)
        except WrongShape as wrong:
            return bare(400, str(wrong))
        early = await self._before(kind, may_take=_may_take([request]))
        if early is not None:
            return early
        with self._exchange.action(kind) as receipt:
            reply = self._answer(request)
        await self._exchange.durable(receipt)
        return await self._after(kind, reply)

    async def _submit_batch(self, body: bytes, remote: str) -> Reply:
        try:
            actions = read_batch(body).actions
            requests = [read_request(BATCH_KINDS[one.type], bytes(one.data)) for one in actions]
        except WrongShape as wrong:
            return bare(400, str(wrong))
        if not self._credits.take(remote, float(len(requests))):
            return error(429, "Rate limit exceeded")
        early = await self._before("batch", may_take=_may_take(requests))
        if early is not None:
            return early
        with self._exchange.action("batch") as receipt:
            reply = self._answer_batch(requests)
        await self._exchange.durable(receipt)
        return await self._after("batch", reply)

    def _answer(self, request: Request) -> Reply:
        tables = self._exchange.tables
        try:
            verify(request, tables.now_ms, tables.agents)
            taken = self._business.apply(request)
        except NotVerified as refused:
            return error(400, refused.text, error_id=refused.error_id)
        except Refused as refused:
            return error(refused.status, refused.text, refused.code, refused.error_id)
        return Reply(status=200, body=envelope(taken.data), taken=taken)

    def _answer_batch(self, requests: list[Request]) -> Reply:
        """Verify all, then apply in order: one that is refused does not keep the others back."""
        tables = self._exchange.tables
        try:
            for request in requests:
                verify(request, tables.now_ms, tables.agents)
        except NotVerified as refused:
            return error(400, refused.text, error_id=refused.error_id)
        results: list[dict[str, Any]] = []
        for request in requests:
            try:
                taken = self._business.apply(request)
            except Refused as refused:
                results.append({"success": False, "order_id": None, "error": refused.text})
                continue
            made = taken.data["order_id"] if isinstance(taken.data, dict) else None
            results.append({"success": True, "order_id": made, "error": None})
        return Reply(status=200, body=envelope({"results": results}))

    async def _before(self, kind: str, *, may_take: bool) -> Reply | None:
        longer_ms = self._exchange.switches.speed_bump_ms if may_take else 0
        fault = await self._command_faults.before(_names(kind), longer_ms=longer_ms)
        if fault is None:
            return None
        if fault is FaultKind.RATE_LIMIT:
            return error(429, "Rate limit exceeded")
        return error(500, "Internal server error")

    async def _after(self, kind: str, reply: Reply) -> Reply:
        fault = await self._command_faults.after(_names(kind))
        if fault is FaultKind.ERROR_AFTER_APPLY:
            return bare(504, "Request timed out")
        if fault is FaultKind.GARBLE:
            return Reply(status=reply.status, body=reply.body[: len(reply.body) // 2])
        return reply


def _names(kind: str) -> tuple[str, ...]:
    return (kind, _GROUPS[kind]) if kind in _GROUPS else (kind,)


def _may_take(requests: list[Request]) -> bool:
    """Tell whether an order among them may take liquidity, and so waits at the speed bump."""
    return any(
        request.kind == "create_market_order"
        or (request.kind == "create_order" and getattr(request.data, "tif", "") in ("GTC", "IOC"))
        for request in requests
    )
