"""Vest's HTTP API inside our budget of requests: questions by GET, signed requests by POST.

Queries raise; commands return what became of the bytes. Who asks goes into headers, never into an
address. Knows payloads only as JSON and types.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlencode

from domain.errors import VenueRefused, VenueUnavailable
from domain.session_states import BudgetLeft
from venues.transport import NothingSent, PostResult, Reply, Transport, WriteGate
from venues.vest import wire
from venues.vest.credential import Reader
from venues.vest.rate_budget import Purpose, RateBudget, told_by
from venues.vest.refusals import (
    GONE_STATUS,
    RATE_LIMITED,
    RATE_LIMITED_STATUS,
    refusal_of,
)

#: A command's answer is awaited this long; afterwards its outcome is unknown and is resolved.
COMMAND_TIMEOUT_S: Final = 2.0
QUERY_TIMEOUT_S: Final = 5.0
#: How long a query may wait for our own budget.
BUDGET_WAIT_MAX_S: Final = 3.0
#: How long a further page may: whoever has begun to read shall not have to begin anew.
_PAGE_WAIT_MAX_S: Final = 30.0
_ANSWER_SIZE_MAX: Final = 32 * 1024 * 1024
_COMMAND_ANSWER_SIZE_MAX: Final = 1024 * 1024
_OK: Final = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """A read answer, and the second in which the venue's side says it wrote it."""

    data: T
    date: datetime | None


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

    def budget_left(self) -> BudgetLeft:
        """Return what is left of our own budget of requests."""
        return self._budget.left(self._monotonic())

    async def start(self) -> None:
        """Open the session."""
        await self._transport.start()

    async def close(self) -> None:
        """Close the session."""
        await self._transport.close()

    async def get(
        self,
        path: str,
        kind: type[T],
        reader: Reader | None = None,
        *,
        further: bool = False,
        wait_max_s: float = BUDGET_WAIT_MAX_S,
        **parameters: str | int | None,
    ) -> Page[T]:
        """Ask one question, as who has an account's key where a `reader` is given.

        Parameters that are None are left out. A `further` page waits longer for our budget.

        Raises:
            VenueUnavailable: no answer, one that cannot be read, or our own budget is used up.
            VenueRefused: the venue refuses the question.
        """
        await self._admit(path, _PAGE_WAIT_MAX_S if further else wait_max_s)
        try:
            result = await self._transport.get(
                _asked(path, parameters),
                timeout_s=QUERY_TIMEOUT_S,
                reply_size_max=_ANSWER_SIZE_MAX,
                headers=_headers(reader),
            )
        except BaseException:
            self._budget.ended(self._monotonic())
            raise
        self._note(result, "")
        return _read(path, result, kind)

    async def listen_key(self, reader: Reader) -> str:
        """Return the key of an account's private socket; one that there is lives on for an hour.

        Raises:
            VenueUnavailable, VenueRefused: as `get`.
        """
        path = "/account/listenKey"
        await self._admit(path, BUDGET_WAIT_MAX_S)
        try:
            result = await self._transport.post(
                wire.PREFIX + path,
                b"{}",
                timeout_s=QUERY_TIMEOUT_S,
                reply_size_max=_COMMAND_ANSWER_SIZE_MAX,
                headers=_headers(reader),
            )
        except BaseException:
            self._budget.ended(self._monotonic())
            raise
        self._note(result, "")
        return _read(path, result, wire.ListenKey).data.listen_key

    async def post(
        self,
        path: str,
        body: bytes,
        reader: Reader,
        *,
        purpose: Purpose,
        account: str,
        gate: WriteGate | None = None,
    ) -> PostResult:
        """Send one request that changes something, once."""
        if not self._budget.take(purpose, self._monotonic(), account=account):
            return NothingSent(reason="our own budget of vest's requests is used up")
        try:
            result = await self._transport.post(
                wire.PREFIX + path,
                body,
                timeout_s=COMMAND_TIMEOUT_S,
                reply_size_max=_COMMAND_ANSWER_SIZE_MAX,
                gate=gate,
                headers=_headers(reader),
            )
        except BaseException:
            self._budget.ended(self._monotonic())
            raise
        self._note(result, account)
        return result

    async def _admit(self, path: str, wait_max_s: float) -> None:
        deadline = self._monotonic() + wait_max_s
        while not self._budget.take(Purpose.QUERY, self._monotonic()):
            now = self._monotonic()
            wait = self._budget.wait_s(Purpose.QUERY, now)
            if now + wait > deadline:
                raise VenueUnavailable(
                    f"our own budget of vest's requests is used up for {wait:.1f} s; "
                    f"{path} was not asked"
                )
            await asyncio.sleep(wait)

    def _note(self, result: PostResult, account: str) -> None:
        now = self._monotonic()
        if not isinstance(result, Reply):
            self._budget.ended(now)
            return
        self._budget.ended(now, told_by(result.headers))
        failed = wire.failure_in(result.body)
        code = failed.code if failed is not None else None
        if code is not None and refusal_of(code).code == RATE_LIMITED and account:
            self._budget.refused_account(account, now, result.retry_after_s)
        elif result.status == RATE_LIMITED_STATUS:
            self._budget.refused(now, result.retry_after_s)


def _headers(reader: Reader | None) -> dict[str, str]:
    """Return who asks; before registration the group is 0."""
    if reader is None:
        return {wire.ROUTING_HEADER: wire.routing(0)}
    return {
        wire.ROUTING_HEADER: wire.routing(reader.acc_group),
        wire.KEY_HEADER: reader.api_key.reveal(),
    }


def _asked(path: str, parameters: Mapping[str, Any]) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"{wire.PREFIX}{path}?{urlencode(given)}" if given else wire.PREFIX + path


def _read(path: str, result: PostResult, kind: type[T]) -> Page[T]:
    if not isinstance(result, Reply):
        raise VenueUnavailable(f"vest did not answer {path}: {result.reason}")
    text = result.body[:200].decode("utf-8", errors="replace")
    said = f"vest answered {path} with HTTP {result.status}: {text}"
    if result.status == GONE_STATUS:
        raise VenueRefused(
            f"nothing is behind vest's address any more (HTTP {GONE_STATUS}); its API may have "
            "moved: set VEST_MAINNET_URL to where it is"
        )
    failed = wire.failure_in(result.body)
    limited = failed is not None and failed.code in (RATE_LIMITED_STATUS, 1003)
    if limited or result.status == RATE_LIMITED_STATUS or result.status >= 500 or not result.status:
        raise VenueUnavailable(said)
    if failed is not None or result.status != _OK:
        raise VenueRefused(said)
    try:
        data = wire.decode(result.body, kind)
    except wire.WireError as error:
        raise VenueUnavailable(f"vest's {path} cannot be read: {error}") from None
    return Page(data=data, date=_date(result.headers.get("date")))


def _date(header: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(header) if header else None
    except ValueError:
        return None
    return found.astimezone(UTC) if found is not None and found.tzinfo is not None else None
