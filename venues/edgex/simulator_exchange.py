"""Signed requests of the simulated venue: who asks, faults, the request itself, and the answer.

Nothing remembers a request: the same bytes sent twice are executed twice, because nobody has
verified that they are not. Refusals of the business come with HTTP 200.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from venues.edgex.simulator_auth import NotLetIn, authenticate, text_of_json
from venues.edgex.simulator_business import Business, Refused
from venues.simulation.commands import CommandFaults
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan

Json = dict[str, Any]

PREFIX: Final = "/api/v2"
_ENCODER: Final = msgspec.json.Encoder()
#: What faults may be filtered by beside the request's own name.
_GROUPS: Final = {
    "createOrder": "order",
    "cancelOrderById": "cancel",
    "cancelOrderByClientOrderId": "cancel",
    "cancelAllOrder": "cancel",
}
_MINUTE_MS: Final = 60_000
_REQUESTS_PER_MINUTE: Final = 1_200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"


def envelope(data: Any, now_ms: int, *, code: str = "SUCCESS", status: int = 200,
             msg: str | None = None, params: Mapping[str, str] | None = None) -> Reply:  # fmt: skip
    """Write an answer as the venue wraps all of them."""
    body = {
        "code": code,
        "data": data,
        "msg": msg,
        "errorParam": dict(params) if params else None,
        "requestTime": str(now_ms),
        "responseTime": str(now_ms),
        "traceId": secrets.token_hex(16),
    }
    return Reply(status=status, body=_ENCODER.encode(body))


def bare(status: int, text: str) -> Reply:
    """Write what a gateway in front of the venue answers."""
    return Reply(status=status, body=text.encode(), content_type="text/html")


class Limits:
    """Requests of each remote address in the last minute; held to where the switch says so."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._seen: dict[str, list[int]] = {}

    def lets(self, remote: str) -> bool:
        """Count a request; False where it is one too many."""
        if not self._exchange.switches.ip_limit:
            return True
        now_ms = self._exchange.now_ms()
        seen = [one for one in self._seen.get(remote, []) if one > now_ms - _MINUTE_MS]
        self._seen[remote] = seen
        if len(seen) >= _REQUESTS_PER_MINUTE:
            return False
        seen.append(now_ms)
        return True


class SignedRequests:
    """Takes signed requests by POST and answers them."""

    def __init__(self, exchange: Exchange, faults: FaultPlan) -> None:
        self._exchange = exchange
        self._command_faults = CommandFaults(exchange, faults)
        self._business = Business(exchange)

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths below the prefix."""
        return self._business.paths

    async def submit(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Answer one request. Raises `ConnectionDropped` where a fault cuts the connection."""
        name = path.rpartition("/")[2]
        names = (name, _GROUPS[name]) if name in _GROUPS else (name,)
        early = await self._before(names)
        if early is not None:
            return early
        with self._exchange.action(name) as receipt:
            reply = self._answer(path, body, headers)
        await self._exchange.durable(receipt)
        return await self._after(names, reply)

    def _answer(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        tables = self._exchange.tables
        now_ms = tables.now_ms
        try:
            read = json.loads(body) if body else {}
        except ValueError:
            read = None
        if not isinstance(read, dict):
            return envelope(None, now_ms, code="GATEWAY_PARAM_INVALID", status=400)
        try:
            text = text_of_json(read)
            account = authenticate(tables, headers, "POST", PREFIX + path, text)
            return envelope(self._business.apply(path, read, account), now_ms)
        except NotLetIn as refused:
            return envelope(None, now_ms, code=refused.code, status=refused.status,
                            msg=refused.message, params=refused.params)  # fmt: skip
        except Refused as refused:
            return envelope(None, now_ms, code=refused.code, status=refused.status,
                            msg=refused.message)  # fmt: skip

    async def _before(self, names: tuple[str, ...]) -> Reply | None:
        fault = await self._command_faults.before(names)
        if fault is None:
            return None
        if fault is FaultKind.RATE_LIMIT:
            return bare(429, "Too Many Requests")
        return bare(502, "<html>Bad Gateway</html>")

    async def _after(self, names: tuple[str, ...], reply: Reply) -> Reply:
        fault = await self._command_faults.after(names)
        if fault is FaultKind.ERROR_AFTER_APPLY:
            return bare(504, "<html>Gateway Timeout</html>")
        if fault is FaultKind.GARBLE:
            return Reply(status=reply.status, body=reply.body[: len(reply.body) // 2])
        return reply
