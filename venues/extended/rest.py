"""Extended's HTTP API inside our budget of requests: questions by GET, commands by any method.

Questions raise; commands return what became of the bytes. Knows payloads only as JSON and types.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import urlencode

from domain.errors import VenueRefused, VenueUnavailable
from domain.session_states import BudgetLeft
from venues.extended import wire
from venues.extended.refusals import NOT_FOUND_STATUS, RATE_LIMITED_STATUS
from venues.rate_budget import Purpose, RateBudget, admit
from venues.transport import NothingSent, PostResult, Reply, Transport, WriteGate

PREFIX: Final = "/api/v1"
#: A command's answer, and its verdict, are awaited this long; afterwards it is resolved.
COMMAND_TIMEOUT_S: Final = 2.0
QUERY_TIMEOUT_S: Final = 5.0
#: How long a query may wait for our own budget.
_BUDGET_WAIT_MAX_S: Final = 3.0
#: How long a further page may: whoever has begun to read shall not have to begin anew.
_PAGE_WAIT_MAX_S: Final = 70.0
_ANSWER_SIZE_MAX: Final = 32 * 1024 * 1024
_COMMAND_ANSWER_SIZE_MAX: Final = 1024 * 1024
_UNAUTHORIZED: Final = 401

T = TypeVar("T")
Method = Literal["POST", "PATCH", "DELETE"]
Parameter = str | int | Sequence[str] | None


class NothingThere(VenueRefused):
    """The venue has nothing of the name that was asked for (HTTP 404)."""


class KeyRefused(VenueRefused):
    """The venue does not know the API key (HTTP 401)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """A read answer; `cursor` asks for what follows, None at the end.

    `told_at` is the time in the answer's header, in whole seconds.
    """

    data: T
    cursor: str | None = None
    told_at: datetime | None = None


class Rest:
    """The API of one network."""

    def __init__(
        self,
        transport: Transport,
        budget: RateBudget,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._budget = budget
        self._monotonic = monotonic

    async def start(self) -> None:
        """Open the session."""
        await self._transport.start()

    async def close(self) -> None:
        """Close the session."""
        await self._transport.close()

    def budget_left(self) -> BudgetLeft:
        """Return what is left of the requests that a minute allows."""
        return self._budget.left(self._monotonic())

    async def get(
        self,
        path: str,
        kind: type[T],
        *,
        api_key: str | None = None,
        further: bool = False,
        **parameters: Parameter,
    ) -> Page[T]:
        """Ask one question; a `further` page of an answer waits longer for our budget.

        Parameters that are None are left out, lists repeat their name.

        Raises:
            VenueUnavailable: no answer, one that cannot be read, or our own budget is used up.
            VenueRefused: the venue refuses the question; NothingThere: it has nothing of the name;
                KeyRefused: it does not know the key.
        """
        await self._admit(path, _PAGE_WAIT_MAX_S if further else _BUDGET_WAIT_MAX_S)
        given = {name: value for name, value in parameters.items() if value is not None}
        asked = f"{PREFIX}{path}?{urlencode(given, doseq=True)}" if given else PREFIX + path
        result = await self._transport.get(
            asked,
            timeout_s=QUERY_TIMEOUT_S,
            reply_size_max=_ANSWER_SIZE_MAX,
            headers=_headers(api_key),
        )
        self._note(result)
        if not isinstance(result, Reply):
            raise VenueUnavailable(f"extended did not answer {path}: {result.reason}")
        return _read(path, result, kind)

    async def command(
        self,
        method: Method,
        path: str,
        body: bytes | None,
        *,
        api_key: str,
        purpose: Purpose,
        gate: WriteGate | None = None,
    ) -> PostResult:
        """Send one command, once."""
        if not self._budget.take(purpose, self._monotonic()):
            return NothingSent(reason="our own budget of extended's requests is used up")
        shared: dict[str, Any] = {
            "timeout_s": COMMAND_TIMEOUT_S,
            "reply_size_max": _COMMAND_ANSWER_SIZE_MAX,
            "gate": gate,
            "headers": _headers(api_key),
        }
        result: PostResult
        if body is None and method != "PATCH":
            result = await self._transport.bare(method, PREFIX + path, **shared)
        elif body is not None and method != "DELETE":
            result = await self._transport.post(PREFIX + path, body, method=method, **shared)
        else:
            raise ValueError(f"expected a body for PATCH and none for DELETE, found {method}")
        self._note(result)
        return result

    async def _admit(self, path: str, wait_max_s: float) -> None:
        wait = await admit(self._budget, self._monotonic, wait_max_s=wait_max_s)
        if wait:
            raise VenueUnavailable(
                f"our own budget of extended's requests is used up for {wait:.1f} s; "
                f"{path} was not asked"
            )

    def _note(self, result: PostResult) -> None:
        if isinstance(result, Reply) and result.status == RATE_LIMITED_STATUS:
            self._budget.refused(self._monotonic(), result.retry_after_s)


def told_at(headers: Mapping[str, str]) -> datetime | None:
    """Return the time in an answer's header; None where there is none that can be read."""
    try:
        found = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else None


def _headers(api_key: str | None) -> dict[str, str]:
    accept = {"Accept": "application/json"}
    return accept if api_key is None else {**accept, "X-Api-Key": api_key}


def _read(path: str, reply: Reply, kind: type[T]) -> Page[T]:
    text = reply.body[:200].decode("utf-8", errors="replace")
    said = f"extended answered {path} with HTTP {reply.status}: {text}"
    if reply.status == NOT_FOUND_STATUS:
        raise NothingThere(said)
    if reply.status == _UNAUTHORIZED:
        raise KeyRefused(said)
    if reply.status == RATE_LIMITED_STATUS or reply.status >= 500 or reply.status < 200:
        raise VenueUnavailable(said)
    if reply.status != 200:
        raise VenueRefused(said)
    try:
        envelope = wire.decode(reply.body, wire.Envelope)
        if envelope.error is not None or envelope.status != "OK":
            raise VenueRefused(said)
        data = wire.decode(bytes(envelope.data), kind)
    except wire.WireError as error:
        raise VenueUnavailable(f"extended's {path} cannot be read: {error}") from None
    cursor = envelope.pagination.cursor if envelope.pagination is not None else None
    return Page(
        data=data,
        cursor=str(cursor) if cursor is not None else None,
        told_at=told_at(reply.headers),
    )
