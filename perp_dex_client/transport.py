"""Requests to the API with the retries that are safe, and answers read or turned into errors.

A request is repeated only if it is a query or carries an idempotency key, so that a repetition is
the same request. Knows no route.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import httpx2
import msgspec

from perp_dex_client.errors import (
    OutcomeUnknown,
    ServiceBusy,
    Unreachable,
    UnreadableAnswer,
    problem_of,
)

_BACKOFF_FIRST_S: Final = 0.1
_BACKOFF_MAX_S: Final = 2.0
_CONNECT_TIMEOUT_S: Final = 3.0
_ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A successful answer."""

    status: int
    headers: Mapping[str, str]
    document: Any


class Transport:
    """One warmed connection pool to one API."""

    def __init__(self, base_url: str, token: str, *, retry_within_s: float) -> None:
        self._retry_within_s = retry_within_s
        self._http = httpx2.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=httpx2.Timeout(10.0, connect=_CONNECT_TIMEOUT_S),
            limits=httpx2.Limits(
                max_connections=64, max_keepalive_connections=16, keepalive_expiry=20.0
            ),
            follow_redirects=False,
            # A proxy from the environment has no business between us and our own API.
            trust_env=False,
            # Reading the trusted roots takes 50 ms, which plain HTTP has no use for.
            verify=base_url.startswith("https:"),
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool,
        answer_within_s: float = 10.0,
    ) -> Answer:
        """Make a request; a `repeatable` one again and again while that can help.

        Raises:
            ApiProblem: the API refuses.
            Unreachable: no answer; `outcome` tells whether something may have arrived.
            UnreadableAnswer: what answers is not the API.
        """
        deadline = time.monotonic() + self._retry_within_s
        may_have_arrived = False
        attempt = 0
        while True:
            attempt += 1
            try:
                response = await self._send(method, path, query, body, headers, answer_within_s)
                return _read(response)
            except (ServiceBusy, OutcomeUnknown) as error:
                if not (repeatable and error.retryable) or time.monotonic() >= deadline:
                    raise
                pause_s = _pause(attempt)
            except (httpx2.TransportError, httpx2.StreamError) as error:
                # Only a connection that was never made proves that nothing left us.
                may_have_arrived |= not isinstance(
                    error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
                )
                if not repeatable or time.monotonic() >= deadline:
                    raise Unreachable(
                        f"the API at {self._http.base_url} does not answer "
                        f"({type(error).__name__}); is it running? see `perp-dex status`",
                        outcome=_outcome(method, may_have_arrived),
                    ) from error
                pause_s = _pause(attempt)
            await asyncio.sleep(min(pause_s, max(deadline - time.monotonic(), 0)))

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Any,
        headers: Mapping[str, str] | None,
        answer_within_s: float,
    ) -> httpx2.Response:
        content = None if body is None else msgspec.json.encode(body)
        kinds = {"Content-Type": "application/json"} if content is not None else {}
        request = self._http.build_request(
            method,
            path,
            params=query or None,
            content=content,
            headers={**kinds, **(headers or {})},
            timeout=httpx2.Timeout(answer_within_s, connect=_CONNECT_TIMEOUT_S),
        )
        response = await self._http.send(request, stream=True)
        try:
            data = bytearray()
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > _ANSWER_BYTES_MAX:
                    raise UnreadableAnswer(
                        f"expected at most {_ANSWER_BYTES_MAX} bytes, found more"
                    )
        finally:
            await response.aclose()
        return httpx2.Response(
            response.status_code, headers=_plain_headers(response), content=bytes(data)
        )


def _plain_headers(response: httpx2.Response) -> dict[str, str]:
    # The body is decoded already.
    dropped = ("content-encoding", "transfer-encoding", "content-length")
    return {name: value for name, value in response.headers.items() if name not in dropped}


def _read(response: httpx2.Response) -> Answer:
    status = response.status_code
    try:
        document = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        document = None
    if status < 400 and document is not None:
        return Answer(status=status, headers=response.headers, document=document)
    if isinstance(document, dict) and "code" in document:
        raise problem_of(document, status)
    if status == 503:
        # The server's own refusal of a connection: it was not read.
        raise ServiceBusy({"detail": "too many connections", "retryable": True}, status)
    raise UnreadableAnswer(
        f"expected an answer of the perp-dex API, found HTTP {status} of something else"
    )


def _pause(attempt: int) -> float:
    bound = min(_BACKOFF_FIRST_S * 2 ** min(attempt - 1, 16), _BACKOFF_MAX_S)
    return random.uniform(bound / 2, bound)


def _outcome(method: str, may_have_arrived: bool) -> str | None:
    if method == "GET":
        return None
    return "unknown" if may_have_arrived else "not_sent"
