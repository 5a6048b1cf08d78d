"""Serves Temporal's web UI under this API's own origin, to operators only.

Under one origin the browser sends the operator's cookie along to the codec, so that the page shows
payloads opened; the UI's own port has no cookie to send and shows ciphertext. The UI must have been
started with this path as its public path; two things that it then leaves out are made good here:
the policy of what its pages may load, and where it renders Markdown. Knows not what it shows.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Final

import httpx2
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from starlette.requests import cookie_parser

from api.context import Caller, Ctx
from api.edge import UI_PATH
from api.problems import UNKNOWN, Problem, ProblemError, unavailable
from domain.principals import Action

#: Temporal holds a long poll for at most a minute.
_TIMEOUTS: Final = httpx2.Timeout(70.0, connect=2.0, write=10.0, pool=5.0)
_CONNECTIONS_MAX: Final = 64
_PAGE_BYTES_MAX: Final = 1024 * 1024
_INLINE_SCRIPT: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)
#: Shows Markdown in a frame of the pages.
_RENDER_PATH: Final = f"{UI_PATH}/render"
_FOR_EVER: Final = "private, max-age=31536000, immutable"
_CSRF_COOKIE: Final = "_csrf"
#: What the UI's server gets to see: no cookie but its own, no token, no Origin (checked already).
_REQUEST_HEADERS: Final = (
    "accept",
    "accept-encoding",
    "accept-language",
    "caller-type",
    "content-type",
    "if-modified-since",
    "if-none-match",
    "user-agent",
    "x-csrf-token",
)
_NOT_PASSED_ON: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        # Not hop by hop, but this server's own to say.
        "access-control-allow-credentials",
        "access-control-allow-origin",
        "alt-svc",
        "cache-control",
        "date",
        "server",
        "set-cookie",
    }
)

router = APIRouter(include_in_schema=False)


def ui_client(url: str) -> httpx2.AsyncClient:
    """Return a client of the UI at `url` (an origin); whoever makes it closes it."""
    return httpx2.AsyncClient(
        base_url=url,
        timeout=_TIMEOUTS,
        limits=httpx2.Limits(max_connections=_CONNECTIONS_MAX),
        follow_redirects=False,
        trust_env=False,
    )


@router.get(UI_PATH)
async def open_ui(context: Ctx, caller: Caller) -> RedirectResponse:
    """Send the browser to the UI's first page."""
    await context.authorize(caller, Action.ADMIN, None, "temporal_ui")
    return RedirectResponse(f"{UI_PATH}/", status_code=308)


@router.api_route(UI_PATH + "/{rest:path}", methods=["GET", "POST"])
async def serve_ui(request: Request, context: Ctx, caller: Caller) -> Response:
    """Pass a request on to the UI, and its answer back as it comes."""
    await context.authorize(caller, Action.ADMIN, None, "temporal_ui")
    client = context.parts.temporal_ui
    if client is None:
        raise ProblemError(
            Problem(status=404, code="no_such_path", detail="this API serves no operator interface")
        )
    acts = request.method == "POST"
    path = request.url.path
    try:
        answer = await _answer(client, request, await request.body() if acts else b"")
    except httpx2.TransportError as error:
        if acts:
            await context.audit(caller, "temporal_ui.post", path[:200], "no answer")
        raise ProblemError(_no_answer(error, acts=acts)) from None
    if acts:
        await context.audit(caller, "temporal_ui.post", path[:200], str(answer.status_code))
    if _is_page(answer):
        return await _page(answer, path)
    response = StreamingResponse(_body(answer), status_code=answer.status_code)
    # Set whole: the framework would add a type and length of its own.
    response.raw_headers = _answer_headers(answer, path)
    return response


def _no_answer(error: httpx2.TransportError, *, acts: bool) -> Problem:
    began = acts and not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
    return Problem(
        status=503,
        code="temporal_ui_unavailable",
        detail=f"Temporal's web UI does not answer ({type(error).__name__})"
        + ("; what was asked may have been done all the same" if began else ""),
        outcome=UNKNOWN if began else None,
        retryable=not began,
        headers={"Retry-After": "1"},
    )


async def _answer(client: httpx2.AsyncClient, request: Request, body: bytes) -> httpx2.Response:
    if request.url.path == _RENDER_PATH:
        # With a public path, UI 2.54 expects this route's prefix twice (temporalio/ui, pull request
        # 3076); one that expects it once answers with a page of its own.
        answer = await client.send(_passed_on(client, request, body, UI_PATH), stream=True)
        if not _is_page(answer):
            return answer
        await answer.aclose()
    return await client.send(_passed_on(client, request, body), stream=True)


def _passed_on(
    client: httpx2.AsyncClient, request: Request, body: bytes, prefix: str = ""
) -> httpx2.Request:
    given = request.headers
    headers = {name: given[name] for name in _REQUEST_HEADERS if name in given}
    csrf = cookie_parser(given.get("cookie", "")).get(_CSRF_COOKIE)
    if csrf is not None:
        headers["cookie"] = f"{_CSRF_COOKIE}={csrf}"
    target: bytes = prefix.encode() + request.scope["raw_path"]
    if request.scope["query_string"]:
        target += b"?" + request.scope["query_string"]
    # As it was spelled: percent-encoded slashes in a workflow's id stay what they are.
    url = client.base_url.copy_with(raw_path=target)
    return client.build_request(request.method, url, headers=headers, content=body or None)


def _is_page(answer: httpx2.Response) -> bool:
    """Tell whether an answer is the UI's page, and not Markdown, which has a policy of its own."""
    is_html = answer.headers.get("content-type", "").startswith("text/html")
    return is_html and "default-src" not in answer.headers.get("content-security-policy", "")


async def _page(answer: httpx2.Response, path: str) -> Response:
    """Return the page with the policy it has without a public path, and tied to this origin."""
    page = bytearray()
    try:
        async for chunk in answer.aiter_bytes():
            page += chunk
            if len(page) > _PAGE_BYTES_MAX:
                raise ProblemError(unavailable("the page of Temporal's web UI is far too large"))
    finally:
        await answer.aclose()
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _INLINE_SCRIPT.findall(page.decode("utf-8", "replace"))
    )
    policy = (
        f"script-src 'strict-dynamic' {hashes}; connect-src 'self'; frame-src 'self'; "
        "frame-ancestors 'self'; object-src 'none'; base-uri 'self'; form-action 'self'"
    )
    response = Response(bytes(page), status_code=answer.status_code)
    changed = (b"content-length", b"content-encoding", b"content-security-policy")
    response.raw_headers = [
        *(header for header in _answer_headers(answer, path) if header[0] not in changed),
        (b"content-length", str(len(page)).encode()),
        (b"content-security-policy", policy.encode()),
    ]
    return response


def _answer_headers(answer: httpx2.Response, path: str) -> list[tuple[bytes, bytes]]:
    listed = {name.strip().lower() for name in answer.headers.get("connection", "").split(",")}
    dropped = _NOT_PASSED_ON | listed
    headers = [(name.lower(), value) for name, value in answer.headers.multi_items()]
    kept = [(name, value) for name, value in headers if name not in dropped]
    kept += [
        (name, value)
        for name, value in headers
        if name == "set-cookie" and value.startswith(f"{_CSRF_COOKIE}=")
    ]
    # Assets are named by a hash of what is in them, and the same for everyone.
    is_asset = path.startswith(f"{UI_PATH}/_app/immutable/") and answer.status_code == 200
    kept.append(("cache-control", _FOR_EVER if is_asset else "no-store"))
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept]


async def _body(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()
