"""EdgeX's HTTP API inside our budget: questions by GET, requests by POST, each signed by its HMAC.

Queries raise; commands return what became of the bytes. Knows payloads only as JSON and types, and
no curve.

Source: edgex-python-sdk 2.0.1 `internal/async_client.py`; edgeX gitbook api/**.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from domain.errors import VenueRefused, VenueUnavailable
from domain.session_states import BudgetLeft
from venues.edgex import auth, wire
from venues.edgex.budget import Purpose, RequestBudget
from venues.edgex.credential import ApiKey
from venues.edgex.refusals import RATE_LIMITED_STATUS
from venues.edgex.times import at_ms
from venues.transport import Clock, NothingSent, PostResult, Reply, Transport, WriteGate

PREFIX: Final = "/api/v2"
#: A command's answer is awaited this long; afterwards its outcome is unknown and is resolved.
COMMAND_TIMEOUT_S: Final = 2.0
QUERY_TIMEOUT_S: Final = 5.0
#: What a refusal for the time speaks of; the code itself is known from third parties alone.
_TIMESTAMP: Final = "TIMESTAMP"
_OFFSET_MIN: Final = timedelta(seconds=10)
_OFFSET_MAX: Final = timedelta(hours=2)
#: How long a query may wait for our own budget.
_BUDGET_WAIT_MAX_S: Final = 3.0
#: How long a further page may: whoever has begun to read shall not have to begin anew.
_PAGE_WAIT_MAX_S: Final = 60.0
_ANSWER_SIZE_MAX: Final = 32 * 1024 * 1024
_COMMAND_ANSWER_SIZE_MAX: Final = 1024 * 1024
_PAGES_MAX: Final = 200

T = TypeVar("T")


class QuestionRefused(VenueRefused):
    """The venue answered a question with a code other than SUCCESS."""

    def __init__(self, message: str, venue_code: str) -> None:
        super().__init__(message)
        self.venue_code = venue_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """What was answered, and when by the venue's clock, where the answer says."""

    data: T
    at: datetime | None


class VenueClock:
    """Our clock, put right by what the venue says with its answers.

    Requests are refused a minute beside the venue's time. A small difference is the way's; one
    beyond all reason is left alone: whoever signs for another day signs for somebody else.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = timedelta(0)

    def now(self) -> datetime:
        """Return the time to sign with."""
        return self._clock() + self._offset

    def told(self, at: datetime) -> bool:
        """Take a time of the venue's; return whether it changed what is signed with."""
        offset = at - self._clock()
        before, self._offset = self._offset, timedelta(0)
        if _OFFSET_MIN < abs(offset) < _OFFSET_MAX:
            self._offset = offset
        return abs(self._offset - before) > _OFFSET_MIN


class Rest:
    """The API of one network."""

    def __init__(
        self,
        transport: Transport,
        budget: RequestBudget,
        clock: Clock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._budget = budget
        self._time = VenueClock(clock)
        self._monotonic = monotonic

    def budget_left(self) -> BudgetLeft:
        """Return what is left of our own budget of requests."""
        return self._budget.left(self._monotonic())

    async def start(self) -> None:
        """Open the session."""
        await self._transport.start()

    async def close(self) -> None:
        """Close the session."""
        await self._transport.close()

    async def ask(
        self,
        path: str,
        kind: type[T],
        parameters: Mapping[str, str] | None = None,
        *,
        api: ApiKey | None = None,
    ) -> T:
        """Ask one question, signed where `api` is given. Raises as `answer`."""
        return (await self.answer(path, kind, parameters, api=api)).data

    async def answer(
        self,
        path: str,
        kind: type[T],
        parameters: Mapping[str, str] | None = None,
        *,
        api: ApiKey | None = None,
        further: bool = False,
    ) -> Answer[T]:
        """Ask one question, signed where `api` is given; a `further` page waits for our budget.

        Raises:
            VenueUnavailable: no answer, one that cannot be read, or our own budget is used up.
            QuestionRefused, VenueRefused: the venue refuses the question.
        """
        given = dict(parameters or {})
        wait_max_s = _PAGE_WAIT_MAX_S if further else _BUDGET_WAIT_MAX_S
        reply = await self._get(path, given, api, wait_max_s)
        if self._is_put_right(reply) and api is not None:
            # It was refused for our clock's sake; a question may be asked again.
            reply = await self._get(path, given, api, wait_max_s)
            self._is_put_right(reply)
        return _read(path, reply, kind)

    async def _get(
        self, path: str, given: dict[str, str], api: ApiKey | None, wait_max_s: float
    ) -> Reply:
        await self._admit(path, wait_max_s)
        asked = PREFIX + path
        signed: Mapping[str, str] = {}
        if api is not None:
            text = auth.query_text(given)
            signed = auth.headers(api, self._time.now(), "GET", asked, text)
        # The venue's own clients leave commas bare.
        query = urlencode(given, safe=",", quote_via=quote)
        result = await self._transport.get(
            f"{asked}?{query}" if query else asked,
            timeout_s=QUERY_TIMEOUT_S,
            reply_size_max=_ANSWER_SIZE_MAX,
            headers=signed,
        )
        self._note(result)
        if not isinstance(result, Reply):
            raise VenueUnavailable(f"edgex did not answer {path}: {result.reason}")
        return result if api is None else _without_key(result, api)

    async def pages(
        self,
        path: str,
        kind: type[T],
        parameters: Mapping[str, str],
        *,
        api: ApiKey | None = None,
        rows_max: int | None = None,
    ) -> list[T]:
        """Read a listing to its end, or to `rows_max` rows. Raises as `ask`."""
        rows: list[T] = []
        offset = ""
        for _ in range(_PAGES_MAX):
            asked = {**parameters, **({"offsetData": offset} if offset else {})}
            answer = await self.answer(path, wire.Page, asked, api=api, further=bool(offset))
            page = answer.data
            rows += (_decoded(path, bytes(row), kind) for row in page.data_list or ())
            offset = page.next_page_offset_data or ""
            if not offset or (rows_max is not None and len(rows) >= rows_max):
                return rows
        raise VenueUnavailable(f"expected {path} to end within {_PAGES_MAX} pages")

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        api: ApiKey,
        *,
        purpose: Purpose,
        account_id: str,
        is_order: bool = False,
        gate: WriteGate | None = None,
    ) -> PostResult:
        """Send one request, once."""
        now = self._monotonic()
        taken = (
            self._budget.take_order(account_id, purpose, now)
            if is_order
            else self._budget.take(purpose, now)
        )
        if not taken:
            return NothingSent(reason="our own budget of edgex's requests is used up")
        asked = PREFIX + path
        signed = auth.headers(api, self._time.now(), "POST", asked, auth.body_text(body))
        result = await self._transport.post(
            asked,
            msgspec.json.encode(body),
            timeout_s=COMMAND_TIMEOUT_S,
            reply_size_max=_COMMAND_ANSWER_SIZE_MAX,
            gate=gate,
            headers=signed,
        )
        self._note(result)
        if not isinstance(result, Reply):
            return result
        self._is_put_right(result)
        return _without_key(result, api)

    def _is_put_right(self, reply: Reply) -> bool:
        """Learn the venue's time from an answer; tell whether it was refused for ours."""
        try:
            envelope = wire.decode(reply.body, wire.Envelope)
        except wire.WireError:
            return False
        at = _time_of(envelope)
        changed = at is not None and self._time.told(at)
        return changed and _TIMESTAMP in envelope.code.upper()

    async def _admit(self, path: str, wait_max_s: float) -> None:
        deadline = self._monotonic() + wait_max_s
        while not self._budget.take(Purpose.QUERY, self._monotonic()):
            now = self._monotonic()
            wait = self._budget.wait_s(Purpose.QUERY, now)
            if now + wait > deadline:
                raise VenueUnavailable(
                    f"our own budget of edgex's requests is used up for {wait:.1f} s; "
                    f"{path} was not asked"
                )
            await asyncio.sleep(wait)

    def _note(self, result: PostResult) -> None:
        if isinstance(result, Reply) and result.status == RATE_LIMITED_STATUS:
            self._budget.refused(self._monotonic(), result.retry_after_s)


def _without_key(reply: Reply, api: ApiKey) -> Reply:
    """Return an answer that does not repeat the API key, as some refusals do."""
    key = api.api_key.encode()
    if key not in reply.body:
        return reply
    return replace(reply, body=reply.body.replace(key, b"[api key]"))


def _read(path: str, reply: Reply, kind: type[T]) -> Answer[T]:
    text = reply.body[:200].decode("utf-8", errors="replace")
    said = f"edgex answered {path} with HTTP {reply.status}: {text}"
    if reply.status == RATE_LIMITED_STATUS or reply.status >= 500 or reply.status < 200:
        raise VenueUnavailable(said)
    try:
        envelope = wire.decode(reply.body, wire.Envelope)
    except wire.WireError as error:
        if reply.status == 200:
            raise VenueUnavailable(f"edgex's {path} cannot be read: {error}") from None
        raise VenueRefused(said) from None
    if envelope.code != wire.SUCCESS:
        raise QuestionRefused(said, envelope.code)
    if reply.status != 200:
        raise VenueRefused(said)
    data = _decoded(path, bytes(envelope.data), kind)
    return Answer(data=data, at=_time_of(envelope))


def _time_of(envelope: wire.Envelope) -> datetime | None:
    try:
        return at_ms(envelope.response_time, "responseTime") if envelope.response_time else None
    except wire.WireError:
        return None


def _decoded(path: str, body: bytes, kind: type[T]) -> T:
    try:
        return wire.decode(body, kind)
    except wire.WireError as error:
        raise VenueUnavailable(f"edgex's {path} cannot be read: {error}") from None
