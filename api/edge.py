"""The edge: what every request passes before any route sees it, and what is recorded of it.

Request id, Host and Origin, who is calling, size and type of the body, time limits, concurrency.
Deny by default: a path that is not listed as open needs a principal. Knows no route's meaning.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.authentication import COOKIE_NAME, Authenticator, OperatorSessions
from api.metrics import RequestMeter
from api.problems import UNKNOWN, Problem
from domain.principals import Principal

BODY_BYTES_MAX: Final = 64 * 1024
#: The operator's interface sends the payloads of a whole history at once.
CODEC_BODY_BYTES_MAX: Final = 4 * 1024 * 1024
BODY_TIMEOUT_S: Final = 10.0
CODEC_PREFIX: Final = "/api/v1/codec/"
#: Where the operator's interface is served; Temporal's UI is started with the same public path.
UI_PATH: Final = "/temporal"
HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz"})
OPEN_PATHS: Final = HEALTH_PATHS | {
    "/api/v1/operator/session",
    "/openapi.json",
    "/docs",
}
MUTATING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

_DRAIN_BYTES_MAX = 1024 * 1024
_DRAIN_S = 1.0
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_PAGE_HEADERS = "authorization, content-type, idempotency-key, if-match, prefer, x-request-id"
_EXPOSED_HEADERS = "etag, location, preference-applied, retry-after, x-request-id"
_CODEC_HEADERS = "content-type, x-namespace, authorization, authorization-extras"

_log = structlog.get_logger("api.access")


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeRules:
    """What the edge lets in.

    `hosts` are Host header values without port; `origins` may call the codec from a browser, pages
    of `page_origins` everything else, by bearer token: they bring no cookie.
    `concurrency_max` bounds requests under way; cancels (`DELETE`) and health have room beyond it.
    """

    authenticator: Authenticator
    sessions: OperatorSessions
    hosts: frozenset[str]
    origins: frozenset[str]
    page_origins: frozenset[str] = frozenset()
    concurrency_max: int = 512
    body_bytes_max: int = BODY_BYTES_MAX
    body_timeout_s: float = BODY_TIMEOUT_S
    clock: Callable[[], float] = field(default=time.perf_counter)
    meter: RequestMeter = field(default_factory=RequestMeter)


class Edge:
    """The outermost ASGI application."""

    def __init__(self, app: ASGIApp, rules: EdgeRules) -> None:
        self._app = app
        self._rules = rules
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; websockets are refused, they are the streaming process's."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "no websockets here"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        reply = _Reply(send, request_id, self._cors(scope, headers))
        began = self._rules.clock()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        self._under_way += 1
        self._rules.meter.began()
        try:
            await self._pass(scope, headers, receive, reply)
        except Exception as error:  # noqa: BLE001 - the outermost frame
            # The last catch: whatever a route did not foresee may have happened half.
            _log.exception("request_failed", error=type(error).__name__)
            if not reply.started:
                await self._answer(_unforeseen(scope), scope, receive, reply)
        finally:
            self._under_way -= 1
            took_s = self._rules.clock() - began
            route = getattr(scope.get("route"), "path", None)
            self._rules.meter.ended(scope["method"], route, reply.status, took_s)
            _record(scope, reply, took_s * 1000)

    async def _pass(self, scope: Scope, headers: Headers, receive: Receive, reply: _Reply) -> None:
        if _is_preflight(scope, headers):
            await self._preflight(scope, headers, receive, reply)
            return
        problem = self._refusal(scope, headers)
        if problem is None:
            if scope["method"] in MUTATING:
                body = await self._body(scope, headers, receive)
                if isinstance(body, Problem):
                    problem = body
                else:
                    receive = _replay(body, receive)
            if problem is None:
                await self._app(scope, receive, reply)
                return
        await self._answer(problem, scope, receive, reply)

    def _refusal(self, scope: Scope, headers: Headers) -> Problem | None:
        path: str = scope["path"]
        if path not in HEALTH_PATHS:
            if not self._is_our_host(headers):
                return Problem(
                    status=421,
                    code="unknown_host",
                    detail="expected a Host header that names this server; see ALLOWED_HOSTS",
                )
            if not self._is_allowed_origin(path, headers) or _is_embedded(scope, headers):
                return Problem(
                    status=403,
                    code="foreign_origin",
                    detail="expected no page of another origin than ALLOWED_ORIGINS names; the "
                    "operator's interface may be asked by its own pages only",
                )
        if path not in OPEN_PATHS:
            principal = self._principal(scope, headers)
            if principal is None:
                return _unauthenticated(path)
            scope["state"]["principal"] = principal
        crowded = self._under_way > self._rules.concurrency_max
        if crowded and scope["method"] != "DELETE" and path not in HEALTH_PATHS:
            return Problem(
                status=503,
                code="too_busy",
                detail=f"{self._rules.concurrency_max} requests are under way; nothing was started",
                retryable=True,
                headers={"Retry-After": "1"},
            )
        return None

    def _principal(self, scope: Scope, headers: Headers) -> Principal | None:
        principal = self._rules.authenticator.principal_of(headers.get("authorization"))
        if principal is None and self._believes_cookies(scope, headers):
            cookies = cookie_parser(headers.get("cookie", ""))
            return self._rules.sessions.principal_of(cookies.get(COOKIE_NAME))
        return principal

    def _believes_cookies(self, scope: Scope, headers: Headers) -> bool:
        """Tell whether a cookie counts here: with the origin it was made for, or to only look."""
        path: str = scope["path"]
        if path.startswith(CODEC_PREFIX):
            return _is_own_origin(headers) or headers.get("origin") in self._rules.origins
        looks = scope["method"] == "GET" and "origin" not in headers
        return is_ui(path) and (looks or _is_own_origin(headers))

    def _is_our_host(self, headers: Headers) -> bool:
        values = headers.getlist("host")
        if len(values) != 1:
            return False
        host = values[0].rsplit(":", 1)[0] if not values[0].endswith("]") else values[0]
        return host.lower() in self._rules.hosts

    def _is_allowed_origin(self, path: str, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None:
            return True
        if is_ui(path):
            return _is_own_origin(headers)
        if not path.startswith(CODEC_PREFIX):
            return origin in self._rules.page_origins
        return _is_own_origin(headers) or origin in self._rules.origins

    def _cors(self, scope: Scope, headers: Headers) -> dict[str, str]:
        path: str = scope["path"]
        origin = headers.get("origin")
        if is_ui(path):
            # Its own pages only, and what it says of caching is its own matter.
            return {}
        if not path.startswith(CODEC_PREFIX):
            if origin not in self._rules.page_origins:
                return {"vary": "Origin"} if self._rules.page_origins else {}
            return {
                "access-control-allow-origin": str(origin),
                "access-control-expose-headers": _EXPOSED_HEADERS,
                "vary": "Origin",
            }
        if origin not in self._rules.origins:
            return {"vary": "Origin"}
        return {
            "access-control-allow-origin": str(origin),
            "access-control-allow-credentials": "true",
            "vary": "Origin",
        }

    async def _preflight(
        self, scope: Scope, headers: Headers, receive: Receive, reply: _Reply
    ) -> None:
        known = self._is_our_host(headers) and self._is_allowed_origin(scope["path"], headers)
        response = Response(status_code=204 if known else 403)
        if known:
            is_codec = scope["path"].startswith(CODEC_PREFIX)
            methods = "POST" if is_codec else "GET, POST, PUT, PATCH, DELETE"
            response.headers["access-control-allow-methods"] = methods
            asked = _CODEC_HEADERS if is_codec else _PAGE_HEADERS
            response.headers["access-control-allow-headers"] = asked
            response.headers["access-control-max-age"] = "600"
        await response(scope, receive, reply)

    async def _body(self, scope: Scope, headers: Headers, receive: Receive) -> bytes | Problem:
        """Read the whole body within its bounds; what is not JSON is refused by its type."""
        is_codec = scope["path"].startswith(CODEC_PREFIX)
        bytes_max = CODEC_BODY_BYTES_MAX if is_codec else self._rules.body_bytes_max
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared[:20]) > bytes_max:
            await _drain(receive)
            return _too_large(bytes_max)
        body = bytearray()
        try:
            async with asyncio.timeout(self._rules.body_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return Problem(status=400, code="disconnected", detail="the client left")
                    body += message.get("body", b"")
                    if len(body) > bytes_max:
                        await _drain(receive)
                        return _too_large(bytes_max)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            return Problem(
                status=408,
                code="body_timeout",
                detail=f"expected the body within {self._rules.body_timeout_s:g} s",
                retryable=True,
                headers={"Connection": "close"},
            )
        if not body:
            return b""
        if is_ui(scope["path"]):
            # Its pages send JSON as text/plain; their Origin is checked, and Temporal's CSRF token.
            return bytes(body)
        return _type_problem(headers) or bytes(body)

    async def _answer(
        self, problem: Problem, scope: Scope, receive: Receive, reply: _Reply
    ) -> None:
        response = problem.response(
            instance=scope["path"],
            request_id=scope["state"]["request_id"],
            mutating=scope["method"] in MUTATING,
        )
        await response(scope, receive, reply)


class _Reply:
    """Adds to every response what every response has, and remembers its status."""

    def __init__(self, send: Send, request_id: str, cors: dict[str, str]) -> None:
        self._send = send
        self._request_id = request_id
        self._cors = cors
        self.status: int | None = None

    @property
    def started(self) -> bool:
        return self.status is not None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            headers["X-Content-Type-Options"] = "nosniff"
            headers.setdefault("Cache-Control", "no-store")
            for name, value in self._cors.items():
                headers[name] = value
        await self._send(message)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def is_ui(path: str) -> bool:
    """Tell whether a path is the operator's interface."""
    return path == UI_PATH or path.startswith(f"{UI_PATH}/")


def _is_own_origin(headers: Headers) -> bool:
    """Tell whether a request comes from a page of this server, under the name it is asked by."""
    host = headers.get("host", "")
    return headers.get("origin") in (f"http://{host}", f"https://{host}")


def _is_embedded(scope: Scope, headers: Headers) -> bool:
    """Tell whether another page loads the operator's interface as a part of itself."""
    foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    opened = scope["method"] == "GET" and headers.get("sec-fetch-dest") == "document"
    return is_ui(scope["path"]) and foreign and not opened


def _unauthenticated(path: str) -> Problem:
    detail = (
        "expected the operator's cookie; open this page with `perp-dex ui`"
        if is_ui(path)
        else "expected 'Authorization: Bearer' with the token of the token file"
    )
    return Problem(
        status=401,
        code="unauthenticated",
        detail=detail,
        headers={"WWW-Authenticate": 'Bearer realm="perp-dex"'},
    )


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers


def _type_problem(headers: Headers) -> Problem | None:
    if headers.get("content-encoding", "identity") != "identity":
        return _unsupported("expected a body without Content-Encoding")
    kind, _, parameters = headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "application/json":
        return _unsupported("expected Content-Type application/json")
    charset = parameters.strip().lower().replace('"', "")
    if charset not in ("", "charset=utf-8", "charset=utf8"):
        return _unsupported("expected Content-Type application/json in UTF-8")
    return None


async def _drain(receive: Receive) -> None:
    """Read away a little more, so that a client which is still sending gets to read the answer."""
    left = _DRAIN_BYTES_MAX
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _too_large(bytes_max: int) -> Problem:
    return Problem(
        status=413,
        code="body_too_large",
        detail=f"expected a body of at most {bytes_max} bytes",
        headers={"Connection": "close"},
    )


def _unsupported(detail: str) -> Problem:
    return Problem(status=415, code="unsupported_media_type", detail=detail)


def _unforeseen(scope: Scope) -> Problem:
    mutating = scope["method"] in MUTATING
    return Problem(
        status=500,
        code="internal_error",
        detail="something unforeseen happened; it is in the log under this request id. "
        + ("Repeat with the same Idempotency-Key to learn the outcome." if mutating else ""),
        outcome=UNKNOWN if mutating else None,
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _record(scope: Scope, reply: _Reply, took_ms: float) -> None:
    principal: Principal | None = scope["state"].get("principal")
    route = scope.get("route")
    _log.info(
        "request",
        method=scope["method"],
        # The template where a route was found: ids belong to fields, not to names.
        route=getattr(route, "path", None),
        path=scope["path"][:256],
        status=int(reply.status) if reply.status is not None else None,
        duration_ms=round(took_ms, 2),
        principal=principal.principal_id if principal else None,
    )
