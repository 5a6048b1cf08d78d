"""Signed requests of the simulated venue: checks in the venue's order, then the request itself.

Group, API key, shape, window, signer, then business rules. Nothing remembers a request: the same
bytes sent twice inside their window are executed twice, because nobody has verified that they are
not. The answer to a placement names the order and says nothing of what becomes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from venues.simulation.commands import CommandFaults
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan
from venues.vest import simulator_bodies as bodies
from venues.vest import simulator_signature as signatures
from venues.vest.simulator_accounts import Accounts
from venues.vest.simulator_business import Business, Quirks, Refused
from venues.vest.simulator_views import order_id

_ENCODER: Final = msgspec.json.Encoder()
#: How far a time may lie ahead. Nobody has verified how far the venue lets it.
_AHEAD_MAX_MS: Final = 1_000
_WINDOW_MAX_MS: Final = 60_000
_NETWORK_TYPE: Final = 0
UNAUTHORIZED: Final = 401
RATE_LIMITED: Final = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes


def success(data: Any) -> Reply:
    """Write a successful answer."""
    return Reply(status=200, body=_ENCODER.encode(data))


class SignedRequests:
    """Takes bodies of requests that change something, and answers them."""

    def __init__(
        self, exchange: Exchange, faults: FaultPlan, accounts: Accounts, quirks: Quirks
    ) -> None:
        self._exchange = exchange
        self._command_faults = CommandFaults(exchange, faults)
        self._accounts = accounts
        self._quirks = quirks
        self._business = Business(exchange, quirks)

    def error(self, code: int, text: str, *, status: int = 400) -> Reply:
        """Write an error in the envelope and with the status that the switches ask for."""
        said: dict[str, Any] = {"code": code, "msg": text}
        if self._quirks.detail_envelope:
            said = {"detail": said}
        return Reply(
            status=200 if self._quirks.errors_with_200 else status, body=_ENCODER.encode(said)
        )

    def misshapen(self, text: str) -> Reply:
        """Write what the venue's framework says by itself of a body that does not fit."""
        detail = [{"loc": ["body"], "msg": text, "type": "value_error"}]
        return Reply(status=422, body=_ENCODER.encode({"detail": detail}))

    async def place(self, body: bytes, account: str) -> Reply:
        """Answer a placement. Raises `ConnectionDropped` where a fault cuts the connection."""
        return await self._submit("order", body, account)

    async def cancel(self, body: bytes, account: str) -> Reply:
        """Answer a cancel. Raises as `place`."""
        return await self._submit("cancel", body, account)

    async def leverage(self, body: bytes, account: str) -> Reply:
        """Answer a setting, which nobody signs. Raises as `place`."""
        return await self._submit("leverage", body, account)

    async def register(self, body: bytes) -> Reply:
        """Answer a registration, which the account's own key signs."""
        try:
            asked = bodies.read(body, bodies.Registration)
        except bodies.WrongShape as wrong:
            return self.misshapen(str(wrong))
        if asked.network_type != _NETWORK_TYPE:
            return self.error(1024, "INVALID_NETWORK_TYPE")
        try:
            signer = signatures.registration_signer(asked)
        except signatures.CannotRecover:
            signer = ""
        if signer != asked.primary_addr or asked.expiry_time <= self._exchange.now_ms():
            return self.error(1022, "INVALID_SIGNATURE")
        with self._exchange.action("register") as receipt:
            key = self._accounts.register(asked.primary_addr, asked.signing_addr, asked.expiry_time)
        await self._exchange.durable(receipt)
        group = self._accounts.group_of(asked.primary_addr)
        return success({"apiKey": key, "accGroup": group})

    async def _submit(self, kind: str, body: bytes, account: str) -> Reply:
        early = await self._before(kind)
        if early is not None:
            return early
        with self._exchange.action(kind) as receipt:
            reply = self._answer(kind, body, account)
        await self._exchange.durable(receipt)
        return await self._after(kind, reply)

    def _answer(self, kind: str, body: bytes, account: str) -> Reply:
        try:
            if kind == "order":
                return self._placed(bodies.read(body, bodies.Placement), account)
            if kind == "cancel":
                return self._canceled(bodies.read(body, bodies.Cancellation), account)
            asked = bodies.read(body, bodies.Leverage)
            self._business.set_leverage(account, asked)
            return success({"symbol": asked.symbol, "value": asked.value})
        except bodies.WrongShape as wrong:
            return self.misshapen(str(wrong))
        except Refused as refused:
            return self.error(refused.code, refused.text)

    def _placed(self, asked: bodies.Placement, account: str) -> Reply:
        self._check_window(asked.order.time, asked.recv_window)
        try:
            signer = signatures.order_signer(asked.order, asked.signature)
        except signatures.CannotRecover:
            signer = ""
        self._check_signer(account, signer)
        order = self._business.place(account, asked.order)
        return success({"id": order_id(order.venue_order_id)})

    def _canceled(self, asked: bodies.Cancellation, account: str) -> Reply:
        self._check_window(asked.order.time, asked.recv_window)
        try:
            signer = signatures.cancel_signer(asked.order, asked.signature)
        except signatures.CannotRecover:
            signer = ""
        self._check_signer(account, signer)
        self._business.cancel(account, asked.order)
        return success({"id": asked.order.id})

    def _check_window(self, time_ms: int, window_ms: int) -> None:
        now_ms = self._exchange.tables.now_ms
        if not 0 < window_ms <= _WINDOW_MAX_MS or time_ms > now_ms + _AHEAD_MAX_MS:
            raise Refused(1131, "BAD_RECV_WINDOW")
        if now_ms > time_ms + window_ms:
            raise Refused(1132, "ORDER_EXPIRED")

    def _check_signer(self, account: str, signer: str) -> None:
        if not self._accounts.may_sign(account, signer):
            raise Refused(1022, "INVALID_SIGNATURE")

    async def _before(self, kind: str) -> Reply | None:
        fault = await self._command_faults.before((kind,))
        if fault is None:
            return None
        if fault is FaultKind.RATE_LIMIT:
            return self.error(429, "Rate limited", status=429)
        return Reply(status=500, body=b"Internal Server Error")

    async def _after(self, kind: str, reply: Reply) -> Reply:
        fault = await self._command_faults.after((kind,))
        if fault is FaultKind.ERROR_AFTER_APPLY:
            return Reply(status=504, body=b"Gateway Timeout")
        if fault is FaultKind.GARBLE:
            return Reply(status=reply.status, body=reply.body[: len(reply.body) // 2])
        return reply
