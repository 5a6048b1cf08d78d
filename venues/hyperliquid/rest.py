"""The two endpoints of Hyperliquid's HTTP API, inside our rate budget.

Queries raise; commands return what became of the bytes. Knows payloads only as JSON and types.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from domain.errors import VenueRefused, VenueUnavailable
from domain.session_states import BudgetLeft
from venues.hyperliquid import wire
from venues.hyperliquid.rate_budget import (
    Purpose,
    RateBudget,
    exchange_weight,
    info_weight,
    rows_weight,
)
from venues.hyperliquid.refusals import RATE_LIMITED_STATUS
from venues.transport import NothingSent, PostResult, Reply, Transport, WriteGate

#: A command's answer is awaited this long; afterwards its outcome is unknown and is resolved.
COMMAND_TIMEOUT_S: Final = 2.0
QUERY_TIMEOUT_S: Final = 5.0
#: How long a query may wait for our own rate budget.
_BUDGET_WAIT_MAX_S: Final = 3.0
#: How long a further page may: whoever has begun to read shall not have to begin anew.
_PAGE_WAIT_MAX_S: Final = 70.0
_INFO_SIZE_MAX: Final = 32 * 1024 * 1024
_EXCHANGE_SIZE_MAX: Final = 1024 * 1024

T = TypeVar("T")


class Rest:
    """POST /info and POST /exchange of one network."""

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
        """Return what is left of our own budget of weight."""
        return self._budget.left(self._monotonic())

    async def start(self) -> None:
        """Open the session."""
        await self._transport.start()

    async def close(self) -> None:
        """Close the session."""
        await self._transport.close()

    async def info(self, body: dict[str, Any], kind: type[T], *, further: bool = False) -> T:
        """Ask one question; a `further` page of an answer waits longer for our rate budget.

        Raises:
            VenueUnavailable: no answer, one that cannot be read, or our own budget is used up.
            VenueRefused: the venue refuses the question.
        """
        question = str(body["type"])
        await self._admit(question, _PAGE_WAIT_MAX_S if further else _BUDGET_WAIT_MAX_S)
        result = await self._transport.post(
            "/info",
            msgspec.json.encode(body),
            timeout_s=QUERY_TIMEOUT_S,
            reply_size_max=_INFO_SIZE_MAX,
        )
        if not isinstance(result, Reply):
            raise VenueUnavailable(f"hyperliquid did not answer {question}: {result.reason}")
        self._check(question, result)
        try:
            answer = wire.decode(result.body, kind)
        except wire.WireError as error:
            raise VenueUnavailable(f"hyperliquid's {question} cannot be read: {error}") from None
        if isinstance(answer, list):
            self._budget.charge(rows_weight(question, len(answer)), self._monotonic())
        return answer

    async def exchange(
        self,
        body: bytes,
        *,
        items: int,
        purpose: Purpose,
        gate: WriteGate | None = None,
    ) -> PostResult:
        """Send one signed action over `items` orders, once."""
        if not self._budget.take(exchange_weight(items), purpose, self._monotonic()):
            return NothingSent(reason="our own rate budget for hyperliquid is used up")
        result = await self._transport.post(
            "/exchange",
            body,
            timeout_s=COMMAND_TIMEOUT_S,
            reply_size_max=_EXCHANGE_SIZE_MAX,
            gate=gate,
        )
        if isinstance(result, Reply):
            self._note_limit(result)
        return result

    def account_refused(self, address: str) -> None:
        """Remember that the venue's limit for an account is reached."""
        self._budget.account_refused(address, self._monotonic())

    def account_is_paused(self, address: str) -> bool:
        """Tell whether an account is over the venue's limit for it."""
        return self._budget.account_is_paused(address, self._monotonic())

    async def _admit(self, question: str, wait_max_s: float) -> None:
        weight = info_weight(question)
        deadline = self._monotonic() + wait_max_s
        while not self._budget.take(weight, Purpose.QUERY, self._monotonic()):
            now = self._monotonic()
            wait = self._budget.wait_s(weight, Purpose.QUERY, now)
            if now + wait > deadline:
                raise VenueUnavailable(
                    f"our own rate budget for hyperliquid is used up for {wait:.1f} s; "
                    f"{question} was not asked"
                )
            await asyncio.sleep(wait)

    def _check(self, question: str, reply: Reply) -> None:
        if reply.status == 200:
            return
        self._note_limit(reply)
        text = reply.body[:200].decode("utf-8", errors="replace")
        message = f"hyperliquid answered {question} with HTTP {reply.status}: {text}"
        if reply.status == RATE_LIMITED_STATUS or not 400 <= reply.status < 500:
            raise VenueUnavailable(message)
        raise VenueRefused(message)

    def _note_limit(self, reply: Reply) -> None:
        if reply.status == RATE_LIMITED_STATUS:
            self._budget.refused(self._monotonic(), reply.retry_after_s)
