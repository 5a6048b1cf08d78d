"""HTTP plumbing for order entry: one warmed session to one origin, and proof of what left us.

A command that failed is either provably unsent or its bytes may be out. That is decided here, and
only by our own write ticket: the body asks it immediately before its first byte, and a ticket that
was never used cannot be used later. No exception's name or text is ever read for it. aiohttp
silently resends idempotent methods on a dropped keep-alive: a question by GET may be, a command
never is. Knows no venue.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload

#: Longest raw answer that is kept as evidence.
RAW_SIZE_MAX_BYTES: Final = 16 * 1024

_CHUNK_BYTES: Final = 64 * 1024
_SECRET_LIKE = re.compile(r"(?<![0-9a-fA-F])(?:0[xX])?[0-9a-fA-F]{64,}(?![0-9a-fA-F])")

Clock = Callable[[], datetime]
#: Asked immediately before the first byte: None to go on, or the reason why nothing may be sent.
WriteGate = Callable[[], str | None]


def utc_now() -> datetime:
    """Return the present time of this machine, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A complete HTTP answer; the names of `headers` are in lower case."""

    status: int
    body: bytes
    received_at: datetime
    retry_after_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingSent:
    """No byte of the request left us, nor can one any more."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """Bytes may have left us and no complete answer came; `partial` is what came of one."""

    reason: str
    status: int | None = None
    partial: bytes = b""


PostResult = Reply | NothingSent | NoAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportLimits:
    """How much one session may use. Times in seconds.

    `keep_alive_s` stays below the idle limit of venues' load balancers, so that an order is not
    written to a connection that the other side is just closing.
    """

    connect_timeout_s: float = 1.5
    keep_alive_s: float = 30.0
    connections: int = 32
    dns_cache_s: int = 60


class _WriteTicket:
    """Whether the body may be written, and whether it was."""

    __slots__ = ("_gate", "refusal", "revoked", "used")

    def __init__(self, gate: WriteGate | None) -> None:
        self._gate = gate
        self.used = False
        self.revoked = False
        self.refusal: str | None = None

    def use(self) -> None:
        """Allow the write from here on, or raise `_WriteRefusedError`."""
        if self.revoked:
            raise _WriteRefusedError("the request has been given up")
        if self._gate is not None:
            self.refusal = self._gate()
            if self.refusal is not None:
                raise _WriteRefusedError(self.refusal)
        self.used = True


class _WriteRefusedError(Exception):
    """Raised inside aiohttp's writer before its first byte; aiohttp then drops the connection."""


class _TicketedBody(BytesPayload):
    """A request body that asks its ticket before anything is written.

    aiohttp keeps the headers back until the body's first write, so nothing at all has left when
    the ticket is asked. Nothing is awaited between the ticket and the socket.
    """

    def __init__(self, body: bytes, ticket: _WriteTicket) -> None:
        super().__init__(body, content_type="application/json")
        self._ticket = ticket

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        transport = getattr(writer, "transport", None)
        if transport is None or transport.is_closing():
            raise _WriteRefusedError("the connection was closed before the first byte")
        self._ticket.use()
        await super().write_with_length(writer, content_length)


class Transport:
    """One HTTP session to one origin. Use `start`, then `post` and `get`, then `close`."""

    def __init__(
        self,
        base_url: str,
        *,
        limits: TransportLimits | None = None,
        clock: Clock = utc_now,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Take the origin; `headers` go with every request, and may hold what nobody may read."""
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers or {})
        self._limits = limits or TransportLimits()
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    @property
    def base_url(self) -> str:
        """The origin, without a slash at its end."""
        return self._base_url

    async def start(self) -> None:
        """Open the session; connections are opened by the first requests."""
        if self._session is not None:
            return
        limits = self._limits
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limits.connections,
                limit_per_host=limits.connections,
                keepalive_timeout=limits.keep_alive_s,
                ttl_dns_cache=limits.dns_cache_s,
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_timeout_s),
            headers={**self._headers, "Accept-Encoding": "identity", "User-Agent": "perp-dex"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close the session and its connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        timeout_s: float,
        reply_size_max: int,
        gate: WriteGate | None = None,
        headers: Mapping[str, str] | None = None,
        method: Literal["POST", "PATCH"] = "POST",
    ) -> PostResult:
        """POST `body` once, following no redirect, and say what is known of it afterwards.

        `gate` is asked immediately before the first byte. `timeout_s` bounds everything, from
        waiting for a connection to the last byte of the answer. `headers` go with this request
        alone.

        Raises:
            RuntimeError: the transport was not started.
        """
        session = self._session
        if session is None:
            raise RuntimeError("expected a started transport, found a closed one: call start()")
        ticket = _WriteTicket(gate)
        progress = _Progress()
        try:
            async with asyncio.timeout(timeout_s):
                async with session.request(
                    method,
                    self._base_url + path,
                    data=_TicketedBody(body, ticket),
                    headers=headers,
                    allow_redirects=False,
                ) as response:
                    return await self._whole(response, progress, reply_size_max)
        except (aiohttp.ClientError, OSError) as error:
            reason = _describe(error, timeout_s)
        finally:
            ticket.revoked = True
        if ticket.used:
            return NoAnswer(reason=reason, status=progress.status, partial=bytes(progress.body))
        return NothingSent(reason=ticket.refusal or reason)

    async def bare(
        self,
        method: Literal["POST", "DELETE"],
        path: str,
        *,
        timeout_s: float,
        reply_size_max: int,
        gate: WriteGate | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> PostResult:
        """Send a command that has no body, once; otherwise as `post`.

        Without a body there is no moment just before the first byte: `gate` is asked before a
        connection is looked for, and from then on bytes may be out. So only what names its one
        object, and can be too late without harm, is sent this way: a cancel by id.

        Raises:
            RuntimeError: the transport was not started.
        """
        session = self._session
        if session is None:
            raise RuntimeError("expected a started transport, found a closed one: call start()")
        refusal = gate() if gate is not None else None
        if refusal is not None:
            return NothingSent(reason=refusal)
        progress = _Progress()
        try:
            async with asyncio.timeout(timeout_s):
                async with session.request(
                    method,
                    self._base_url + path,
                    headers=headers,
                    allow_redirects=False,
                    middlewares=(_once(),),
                ) as response:
                    return await self._whole(response, progress, reply_size_max)
        except (aiohttp.ClientError, OSError) as error:
            return NoAnswer(
                reason=_describe(error, timeout_s),
                status=progress.status,
                partial=bytes(progress.body),
            )

    async def get(
        self,
        path: str,
        *,
        timeout_s: float,
        reply_size_max: int,
        headers: Mapping[str, str] | None = None,
    ) -> PostResult:
        """Ask one question by GET, following no redirect; it changes nothing and may be resent.

        Raises:
            RuntimeError: the transport was not started.
        """
        session = self._session
        if session is None:
            raise RuntimeError("expected a started transport, found a closed one: call start()")
        progress = _Progress()
        try:
            async with asyncio.timeout(timeout_s):
                async with session.get(
                    self._base_url + path, headers=headers, allow_redirects=False
                ) as response:
                    return await self._whole(response, progress, reply_size_max)
        except (aiohttp.ClientError, OSError) as error:
            return NoAnswer(
                reason=_describe(error, timeout_s),
                status=progress.status,
                partial=bytes(progress.body),
            )

    async def _whole(
        self, response: aiohttp.ClientResponse, progress: _Progress, size_max: int
    ) -> Reply:
        progress.status = response.status
        await self._read(response, progress, size_max)
        return Reply(
            status=response.status,
            body=bytes(progress.body),
            received_at=self._clock(),
            retry_after_s=_seconds(response.headers.get("Retry-After")),
            headers={name.lower(): value for name, value in response.headers.items()},
        )

    async def _read(
        self, response: aiohttp.ClientResponse, progress: _Progress, size_max: int
    ) -> None:
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            progress.body += chunk
            if len(progress.body) > size_max:
                raise aiohttp.ClientPayloadError(f"expected an answer of at most {size_max} bytes")


def _once() -> aiohttp.ClientMiddlewareType:
    """Return what lets a request through once: aiohttp would send a DELETE again by itself."""
    sent = False

    async def pass_once(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        nonlocal sent
        if sent:
            raise aiohttp.ClientPayloadError("the connection was dropped, and it is sent once only")
        sent = True
        return await handler(request)

    return pass_once


class _Progress:
    """What came of an answer so far."""

    __slots__ = ("body", "status")

    def __init__(self) -> None:
        self.body = bytearray()
        self.status: int | None = None


def _describe(error: Exception, timeout_s: float) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"no complete answer within {timeout_s:g} s"
    return f"{type(error).__name__}: {error}"[:300]


def _seconds(header: str | None) -> float | None:
    if header is None or not header.strip().isdigit():
        return None
    return float(header.strip()[:6])


def raw_evidence(body: bytes) -> str:
    """Return an answer as text fit to be kept: redacted, and at most 16 KiB in UTF-8."""
    text = body[: RAW_SIZE_MAX_BYTES * 2].decode("utf-8", errors="replace")
    text = _SECRET_LIKE.sub("[redacted]", text).replace("\x00", "\ufffd")
    return text.encode()[:RAW_SIZE_MAX_BYTES].decode("utf-8", errors="ignore")
