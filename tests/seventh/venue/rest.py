"""The seventh venue over HTTP: questions by GET, signed texts by POST. Queries raise."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar
from urllib.parse import urlencode

from domain.errors import VenueRefused, VenueUnavailable
from domain.session_states import BudgetLeft
from tests.seventh.venue import wire
from venues.rate_budget import Purpose, RateBudget, admit
from venues.times import at_ms
from venues.transport import NothingSent, PostResult, Reply, Transport, WriteGate

COMMAND_PATH: Final = "/v1/do"
WHOAMI_PATH: Final = "/v1/whoami"
KEY_HEADER: Final = "X-Seventh-Key"
SIGNATURE_HEADER: Final = "X-Seventh-Signature"
COMMAND_TIMEOUT_S: Final = 2.0
_QUERY_TIMEOUT_S: Final = 5.0
_BUDGET_WAIT_MAX_S: Final = 3.0
_ANSWER_SIZE_MAX: Final = 8 * 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """What was answered, and the venue's clock."""

    data: T
    venue_time: datetime


class Rest:
    """The API at one origin."""

    def __init__(self, transport: Transport, budget: RateBudget) -> None:
        self._transport = transport
        self._budget = budget

    def budget_left(self) -> BudgetLeft:
        """Return what is left of the requests that a minute allows."""
        return self._budget.left(time.monotonic())

    async def start(self) -> None:
        """Open the session."""
        await self._transport.start()

    async def close(self) -> None:
        """Close the session."""
        await self._transport.close()

    async def get(self, path: str, kind: type[T], **asked: str | int | None) -> Told[T]:
        """Ask one question; what is None is left out.

        Raises:
            VenueUnavailable: no answer, one that cannot be read, or our own budget is used up.
            VenueRefused: the venue refuses the question.
        """
        if await admit(self._budget, time.monotonic, wait_max_s=_BUDGET_WAIT_MAX_S):
            raise VenueUnavailable(f"our own budget of requests is used up; {path} was not asked")
        given = urlencode({name: value for name, value in asked.items() if value is not None})
        result = await self._transport.get(
            f"/v1/{path}?{given}", timeout_s=_QUERY_TIMEOUT_S, reply_size_max=_ANSWER_SIZE_MAX
        )
        self._note(result)
        if not isinstance(result, Reply):
            raise VenueUnavailable(f"seventh did not answer {path}: {result.reason}")
        return read(path, result, kind)

    async def post(
        self,
        text: str,
        key: str,
        signature: str,
        *,
        purpose: Purpose,
        path: str = COMMAND_PATH,
        gate: WriteGate | None = None,
    ) -> PostResult:
        """Send one signed text, once."""
        if not self._budget.take(purpose, time.monotonic()):
            return NothingSent(reason="our own budget of requests is used up")
        result = await self._transport.post(
            path,
            text.encode(),
            timeout_s=COMMAND_TIMEOUT_S,
            reply_size_max=_ANSWER_SIZE_MAX,
            gate=gate,
            headers={KEY_HEADER: key, SIGNATURE_HEADER: signature},
        )
        self._note(result)
        return result

    def _note(self, result: PostResult) -> None:
        if isinstance(result, Reply) and result.status == 429:
            self._budget.refused(time.monotonic(), result.retry_after_s)


def read(path: str, reply: Reply, kind: type[T]) -> Told[T]:
    """Read a whole answer. Raises as `Rest.get`."""
    said = f"seventh answered {path} with HTTP {reply.status}: {reply.body[:200]!r}"
    if reply.status == 422:
        raise VenueRefused(said)
    if reply.status != 200:
        raise VenueUnavailable(said)
    try:
        answer = wire.decode(reply.body, wire.Answer)
        if not answer.ok:
            raise VenueUnavailable(said)
        return Told(wire.decode(bytes(answer.data), kind), at_ms(answer.time))
    except wire.WireError as error:
        raise VenueUnavailable(f"seventh's {path} cannot be read: {error}") from None
