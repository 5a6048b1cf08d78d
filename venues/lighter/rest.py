"""Lighter's HTTP API inside our budget: questions by GET, transactions by POST.

Queries raise; transactions return what became of the bytes. Knows payloads only as JSON and types.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from domain.errors import VenueRefused, VenueUnavailable
from domain.session_states import BudgetLeft
from venues.lighter import wire
from venues.lighter.limits import FIREWALL_PAUSE_S, Purpose, RequestBudget
from venues.lighter.refusals import FIREWALL_STATUS, RATE_LIMITED_STATUS
from venues.lighter.signing import SignedTransaction
from venues.lighter.translate import VENUE, at
from venues.transport import NothingSent, PostResult, Reply, Transport, WriteGate

PREFIX: Final = "/api/v1"
SEND: Final = "/sendTx"
#: A command's answer is awaited this long; afterwards its outcome is unknown and is resolved.
COMMAND_TIMEOUT_S: Final = 2.0
QUERY_TIMEOUT_S: Final = 5.0
#: How long a query may wait for our own budget.
_BUDGET_WAIT_MAX_S: Final = 3.0
#: How long a further page may: whoever has begun to read shall not have to begin anew.
_PAGE_WAIT_MAX_S: Final = 70.0
_ANSWER_SIZE_MAX: Final = 32 * 1024 * 1024
_COMMAND_ANSWER_SIZE_MAX: Final = 1024 * 1024
_OK: Final = 200
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
#: What the venue says of a token that it does not take.
_UNAUTHORIZED_STATUSES: Final = (401, 403)

T = TypeVar("T", bound=Any)


class NotAuthorized(VenueRefused):
    """The venue does not take the token that a question was asked with."""


class Rest:
    """The API of one network."""

    def __init__(
        self,
        transport: Transport,
        budget: RequestBudget,
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
        """Return what is left of what a minute allows."""
        return self._budget.left(self._monotonic())

    def learn_tier(self, name: str) -> None:
        """Take the venue's word for how much may be asked."""
        self._budget.learn_tier(name, self._monotonic())

    def spare(self, path: str, purpose: Purpose) -> int:
        """Return how many such questions the budget has to spare now."""
        return self._budget.spare(path, purpose, self._monotonic())

    def wait_s(self, path: str, purpose: Purpose) -> float:
        """Return in how many seconds the budget lets such a question through, 0 for now."""
        return self._budget.wait_s(path, purpose, self._monotonic())

    async def get(
        self,
        path: str,
        kind: type[T],
        *,
        token: str | None = None,
        further: bool = False,
        purpose: Purpose = Purpose.QUERY,
        **parameters: str | int | None,
    ) -> T:
        """Ask one question; a `further` page of an answer waits longer for our budget.

        Parameters that are None are left out.

        Raises:
            VenueUnavailable: no answer, one that cannot be read, or our own budget is used up.
            VenueRefused: the venue refuses the question; NotAuthorized: for its token.
        """
        await self._admit(path, purpose, _PAGE_WAIT_MAX_S if further else _BUDGET_WAIT_MAX_S)
        result = await self._transport.get(
            _asked(path, parameters),
            timeout_s=QUERY_TIMEOUT_S,
            reply_size_max=_ANSWER_SIZE_MAX,
            headers={"authorization": token} if token is not None else None,
        )
        self._note(result)
        if not isinstance(result, Reply):
            raise VenueUnavailable(f"{VENUE} did not answer {path}: {result.reason}")
        return _read(path, result, kind)

    async def venue_time(self) -> datetime:
        """Return the venue's clock, in whole seconds. Raises as `get`."""
        await self._admit("/", Purpose.QUERY, _BUDGET_WAIT_MAX_S)
        result = await self._transport.get(
            "/", timeout_s=QUERY_TIMEOUT_S, reply_size_max=_COMMAND_ANSWER_SIZE_MAX
        )
        self._note(result)
        if not isinstance(result, Reply):
            raise VenueUnavailable(f"{VENUE} did not answer /: {result.reason}")
        if result.status != _OK:
            raise VenueUnavailable(_said("/", result))
        try:
            return at(wire.decode(result.body, wire.Root).timestamp)
        except wire.WireError as error:
            raise VenueUnavailable(f"{VENUE}'s clock cannot be read: {error}") from None

    async def post(
        self, transaction: SignedTransaction, *, purpose: Purpose, gate: WriteGate | None = None
    ) -> PostResult:
        """Send one transaction, once."""
        if not self._budget.take(SEND, purpose, self._monotonic()):
            return NothingSent(reason=f"our own budget of {VENUE}'s requests is used up")
        form = {"tx_type": transaction.tx_type, "tx_info": transaction.tx_info}
        result = await self._transport.post(
            PREFIX + SEND,
            urlencode(form).encode(),
            timeout_s=COMMAND_TIMEOUT_S,
            reply_size_max=_COMMAND_ANSWER_SIZE_MAX,
            gate=gate,
            headers=_FORM,
        )
        self._note(result)
        return result

    async def _admit(self, path: str, purpose: Purpose, wait_max_s: float) -> None:
        deadline = self._monotonic() + wait_max_s
        while not self._budget.take(path, purpose, self._monotonic()):
            now = self._monotonic()
            wait = self._budget.wait_s(path, purpose, now)
            if now + wait > deadline:
                raise VenueUnavailable(
                    f"our own budget of {VENUE}'s requests is used up for {wait:.1f} s; "
                    f"{path} was not asked"
                )
            await asyncio.sleep(wait)

    def _note(self, result: PostResult) -> None:
        if not isinstance(result, Reply):
            return
        if result.status == RATE_LIMITED_STATUS:
            self._budget.refused(self._monotonic(), result.retry_after_s)
        elif result.status == FIREWALL_STATUS:
            self._budget.refused(self._monotonic(), FIREWALL_PAUSE_S)


def _asked(path: str, parameters: Mapping[str, Any]) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"{PREFIX}{path}?{urlencode(given)}" if given else PREFIX + path


def _said(path: str, reply: Reply) -> str:
    text = reply.body[:200].decode("utf-8", errors="replace")
    return f"{VENUE} answered {path} with HTTP {reply.status}: {text}"


def _read(path: str, reply: Reply, kind: type[T]) -> T:
    said = _said(path, reply)
    if reply.status in _UNAUTHORIZED_STATUSES:
        raise NotAuthorized(said)
    if reply.status == RATE_LIMITED_STATUS or reply.status >= 500 or reply.status < 200:
        raise VenueUnavailable(said)
    if reply.status != _OK:
        raise VenueRefused(said)
    try:
        found: T = wire.decode(reply.body, kind)
    except wire.WireError as error:
        raise VenueUnavailable(f"{VENUE}'s {path} cannot be read: {error}") from None
    if found.code != _OK:
        raise VenueRefused(said)
    return found
