"""Closing positions over the API: what to ask, and what comes back, typed."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

import msgspec

from domain.closing import CloseStatus
from domain.numbers import plain
from perp_dex_client.errors import ServiceBusy, Unreachable, UnreadableAnswer
from perp_dex_client.transport import Transport

_MARGIN_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.5
_TERMINAL: Final = frozenset(status.value for status in CloseStatus if status.is_terminal)
_REACHED: Final = frozenset(status.value for status in CloseStatus if status.reached_its_aim)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRequest:
    """A position, or `percent` of it, to close.

    With `limit_price` the first order rests there, with `reprice_every_s` alone at the best price
    of its own side; every so many seconds it moves to that price, `reprices` times, `then` comes
    `market`, `stop` or `stay`. With neither it is a market order within `max_slippage_bps`. `key`
    names the intent: repeating the request with the same key never acts twice.
    """

    position_id: str
    percent: Decimal = Decimal(100)
    limit_price: Decimal | None = None
    max_slippage_bps: int | None = None
    reprice_every_s: int | None = None
    reprices: int = 1
    then: str = "market"
    reason: str | None = None
    key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def body(self) -> dict[str, object]:
        """Return the request's body."""
        body: dict[str, object] = {"percent": plain(self.percent)}
        if self.limit_price is not None:
            body["limit_price"] = plain(self.limit_price)
        if self.max_slippage_bps is not None:
            body["max_slippage_bps"] = self.max_slippage_bps
        if self.reprice_every_s is not None:
            body["escalation"] = {
                "reprice_every_s": self.reprice_every_s,
                "reprices": self.reprices,
                "then": self.then,
            }
        if self.reason is not None:
            body["reason"] = self.reason
        return body


class ClosingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a close."""

    order_id: str
    status: str
    quantity: Decimal
    filled_quantity: Decimal
    price: Decimal | None = None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue showed of the position when it was last read."""

    side: str
    quantity: Decimal
    at: datetime
    mark_price: Decimal | None = None


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """A close as the API knows it; `target_quantity` is fixed when it begins."""

    close_id: str
    position_id: str
    account_id: str
    venue: str
    symbol: str
    percent: Decimal
    filled_quantity: Decimal
    status: str
    created_at: datetime
    account: str | None = None
    side: str | None = None
    start_quantity: Decimal | None = None
    target_quantity: Decimal | None = None
    remaining_quantity: Decimal | None = None
    left_quantity: Decimal = Decimal(0)
    limit_price: Decimal | None = None
    max_slippage_bps: int | None = None
    escalation: dict[str, int | str] | None = None
    step: int = 1
    step_kind: str = "market"
    step_ends_at: datetime | None = None
    reason: str | None = None
    shown: Shown | None = None
    orders: tuple[ClosingOrder, ...] = ()
    ended_at: datetime | None = None
    workflow_id: str | None = None
    temporal_url: str | None = None
    client_key: str | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the close has ended."""
        return self.status in _TERMINAL

    @property
    def reached_its_aim(self) -> bool:
        """Whether nothing of the target is left that could be closed."""
        return self.status in _REACHED


class _Closes(msgspec.Struct, frozen=True, kw_only=True):
    closes: tuple[Close, ...]


class ClosesApi:
    """The closes of the API; `PerpDexClient.closes`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def begin(self, wanted: CloseRequest, *, wait_s: float = 5.0) -> Close:
        """Close a position and wait at most `wait_s` for the end; one that is under way is
        returned too (`is_terminal` False).

        Raises:
            StateConflict: the position is gone, or another close of it runs.
            InvalidRequest: the input cannot be taken.
            OutcomeUnknown, Unreachable: repeat with the same `wanted.key`, never with another.
        """
        answer = await self._transport.call(
            "POST",
            f"/api/v1/positions/{quote(wanted.position_id, safe='')}/close",
            body=wanted.body(),
            headers={"Idempotency-Key": f'"{wanted.key}"', "Prefer": f"wait={wait_s:.0f}"},
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as_close(answer.document)

    async def get(self, close_id: str) -> Close:
        """Return a close. Raises UnknownObject."""
        answer = await self._transport.call("GET", _path(close_id), repeatable=True)
        return _as_close(answer.document)

    async def wait(
        self,
        close_id: str,
        *,
        timeout_s: float,
        changed: Callable[[Close], None] = lambda close: None,
    ) -> Close:
        """Return the close once it has ended, or as it is when the time is over.

        Goes on through restarts of the API; `changed` is told of every step and fill.

        Raises:
            Unreachable, ServiceBusy: the API did not answer at the end either.
            UnknownObject: there is no such close.
        """
        deadline = time.monotonic() + timeout_s
        told: tuple[object, ...] | None = None
        while True:
            try:
                close = await self.get(close_id)
            except (Unreachable, ServiceBusy, UnreadableAnswer):
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            news = (close.status, close.step, close.filled_quantity)
            if news != told:
                told = news
                changed(close)
            if close.is_terminal or time.monotonic() >= deadline:
                return close
            await asyncio.sleep(min(_LOOK_EVERY_S, max(deadline - time.monotonic(), 0.0)))

    async def page(
        self,
        *,
        status: str = "all",
        account: str | None = None,
        symbol: str | None = None,
        limit: int = 100,
    ) -> tuple[Close, ...]:
        """Return closes, newest first."""
        wanted = {"status": status, "account": account, "symbol": symbol, "limit": str(limit)}
        answer = await self._transport.call(
            "GET",
            "/api/v1/closes",
            query={name: value for name, value in wanted.items() if value is not None},
            repeatable=True,
        )
        try:
            return msgspec.convert(answer.document, _Closes).closes
        except msgspec.ValidationError as error:
            raise UnreadableAnswer(f"expected closes from the API: {error}") from error

    async def stop(self, close_id: str, *, key: str | None = None, wait_s: float = 5.0) -> Close:
        """Stop a close; while its end is not known it is returned as it is.

        Raises:
            StateConflict: it had ended already.
        """
        headers = {
            "Idempotency-Key": f'"{key or uuid.uuid4()}"',
            "Prefer": f"wait={wait_s:.0f}",
        }
        answer = await self._transport.call(
            "DELETE",
            _path(close_id),
            headers=headers,
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as_close(answer.document)


def _path(close_id: str) -> str:
    return f"/api/v1/closes/{quote(close_id, safe='')}"


def _as_close(document: Any) -> Close:
    try:
        return msgspec.convert(document, Close)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(f"expected a close from the API: {error}") from error
