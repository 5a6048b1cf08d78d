"""Pacifica's HTTP API inside our budget of credits: questions by GET, signed requests by POST.

Queries raise; commands return what became of the bytes. Knows payloads only as JSON and types.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode

from domain.errors import VenueRefused, VenueUnavailable
from domain.session_states import BudgetLeft
from venues.pacifica import wire
from venues.pacifica.credits import (
    CANCEL_COST,
    ORDER_COST,
    CreditBudget,
    Purpose,
    query_cost,
    told_by,
)
from venues.pacifica.refusals import RATE_LIMITED_STATUS
from venues.transport import NothingSent, PostResult, Reply, Transport, WriteGate

PREFIX: Final = "/api/v1"
#: A command's answer is awaited this long; afterwards its outcome is unknown and is resolved.
COMMAND_TIMEOUT_S: Final = 2.0
QUERY_TIMEOUT_S: Final = 5.0
#: How long a query may wait for our own budget.
_BUDGET_WAIT_MAX_S: Final = 3.0
#: How long a further page may: whoever has begun to read shall not have to begin anew.
_PAGE_WAIT_MAX_S: Final = 70.0
_ANSWER_SIZE_MAX: Final = 32 * 1024 * 1024
_COMMAND_ANSWER_SIZE_MAX: Final = 1024 * 1024
_NOT_FOUND: Final = 404

T = TypeVar("T")


class NothingThere(VenueRefused):
    """The venue has nothing of the name that was asked for (HTTP 404)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """A read answer; `next_cursor` asks for what follows, None at the end."""

    data: T
    next_cursor: str | None = None


class Rest:
    """The API of one network."""

    def __init__(
        self,
        transport: Transport,
        budget: CreditBudget,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._budget = budget
        self._monotonic = monotonic

    def budget_left(self) -> BudgetLeft:
        """Return what is left of our own budget of credits."""
        return self._budget.left(self._monotonic())

    async def start(self) -> None:
        """Open the session."""
        await self._transport.start()

    async def close(self) -> None:
        """Close the session."""
        await self._transport.close()

    async def get(
        self, path: str, kind: type[T], *, further: bool = False, **parameters: str | int | None
    ) -> Page[T]:
        """Ask one question; a `further` page of an answer waits longer for our budget.

        Parameters that are None are left out.

        Raises:
            VenueUnavailable: no answer, one that cannot be read, or our own budget is used up.
            VenueRefused: the venue refuses the question; NothingThere: it has nothing of the name.
        """
        cost = query_cost(path)
        await self._admit(path, cost, _PAGE_WAIT_MAX_S if further else _BUDGET_WAIT_MAX_S)
        asked = _asked(path, parameters)
        try:
            result = await self._transport.get(
                asked, timeout_s=QUERY_TIMEOUT_S, reply_size_max=_ANSWER_SIZE_MAX
            )
        except BaseException:
            self._budget.ended(cost, self._monotonic())
            raise
        self._note(cost, result)
        if not isinstance(result, Reply):
            raise VenueUnavailable(f"pacifica did not answer {path}: {result.reason}")
        return _read(path, result, kind)

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        purpose: Purpose,
        gate: WriteGate | None = None,
    ) -> PostResult:
        """Send one signed request, once."""
        cost = CANCEL_COST if path.endswith("/cancel") else ORDER_COST
        if not self._budget.take(cost, purpose, self._monotonic()):
            return NothingSent(reason="our own budget of pacifica's credits is used up")
        try:
            result = await self._transport.post(
                PREFIX + path,
                body,
                timeout_s=COMMAND_TIMEOUT_S,
                reply_size_max=_COMMAND_ANSWER_SIZE_MAX,
                gate=gate,
            )
        except BaseException:
            self._budget.ended(cost, self._monotonic())
            raise
        self._note(cost, result)
        return result

    async def _admit(self, path: str, cost: float, wait_max_s: float) -> None:
        deadline = self._monotonic() + wait_max_s
        while not self._budget.take(cost, Purpose.QUERY, self._monotonic()):
            now = self._monotonic()
            wait = self._budget.wait_s(cost, Purpose.QUERY, now)
            if now + wait > deadline:
                raise VenueUnavailable(
                    f"our own budget of pacifica's credits is used up for {wait:.1f} s; "
                    f"{path} was not asked"
                )
            await asyncio.sleep(wait)

    def _note(self, cost: float, result: PostResult) -> None:
        now = self._monotonic()
        if not isinstance(result, Reply):
            self._budget.ended(cost, now)
            return
        told = told_by(result.headers)
        self._budget.ended(cost, now, told)
        if result.status == RATE_LIMITED_STATUS:
            self._budget.refused(now, told)


def _asked(path: str, parameters: Mapping[str, Any]) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"{PREFIX}{path}?{urlencode(given)}" if given else PREFIX + path


def _read(path: str, reply: Reply, kind: type[T]) -> Page[T]:
    text = reply.body[:200].decode("utf-8", errors="replace")
    said = f"pacifica answered {path} with HTTP {reply.status}: {text}"
    if reply.status == _NOT_FOUND:
        raise NothingThere(said)
    if reply.status == RATE_LIMITED_STATUS or reply.status >= 500 or reply.status < 200:
        raise VenueUnavailable(said)
    if reply.status != 200:
        raise VenueRefused(said)
    try:
        envelope = wire.decode(reply.body, wire.Envelope)
        if not envelope.succeeded:
            raise VenueRefused(said)
        data = wire.decode(bytes(envelope.data), kind)
    except wire.WireError as error:
        raise VenueUnavailable(f"pacifica's {path} cannot be read: {error}") from None
    return Page(data=data, next_cursor=envelope.next_cursor if envelope.has_more else None)
