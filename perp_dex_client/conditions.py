"""Conditional closes over the API: what to ask, and what comes back, typed."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import msgspec

from domain.guarding import GuardStatus
from domain.numbers import plain
from perp_dex_client.errors import ServiceBusy, Unreachable, UnreadableAnswer
from perp_dex_client.transport import Transport

_MARGIN_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.5
_TERMINAL: Final = frozenset(status.value for status in GuardStatus if status.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionRequest:
    """Conditions on a position; the first one met closes `percent` of it.

    `of_margin`: percentages are of the initial margin, not of the entry price. `key` names the
    intent: repeating the request with the same key never acts twice.
    """

    position_id: str
    profit_percent: Decimal | None = None
    loss_percent: Decimal | None = None
    price: Decimal | None = None
    direction: str | None = None
    trail_percent: Decimal | None = None
    trail_amount: Decimal | None = None
    at: datetime | None = None
    of_margin: bool = False
    percent: Decimal = Decimal(100)
    max_slippage_bps: int | None = None
    native: bool = False
    key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def body(self) -> dict[str, object]:
        """Return the request's body."""
        numbers = {
            "profit_percent": self.profit_percent,
            "loss_percent": self.loss_percent,
            "price": self.price,
            "trail_percent": self.trail_percent,
            "trail_amount": self.trail_amount,
        }
        body: dict[str, object] = {
            name: plain(value) for name, value in numbers.items() if value is not None
        }
        body["percent"] = plain(self.percent)
        if self.direction is not None:
            body["direction"] = self.direction
        if self.at is not None:
            body["at"] = self.at.astimezone(UTC).isoformat()
        if self.of_margin:
            body["of"] = "margin"
        if self.max_slippage_bps is not None:
            body["max_slippage_bps"] = self.max_slippage_bps
        if self.native:
            body["native"] = True
        return body


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """A mark that closes, and how far the last one seen was from it."""

    kind: str
    price: Decimal
    direction: str
    distance_percent: Decimal | None = None


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """Who evaluates the conditions on fresh marks."""

    by: str
    since: datetime
    at: datetime
    is_fresh: bool


class NativeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order at the venue that protects the position."""

    order_id: str
    kind: str
    trigger_price: Decimal
    quantity: Decimal
    is_live: bool


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional close as the API knows it.

    `change_pending`, in the answer to a change: whether it is taken is not known yet, and what is
    shown is what was watched before.
    """

    condition_id: str
    position_id: str
    account_id: str
    venue: str
    symbol: str
    status: str
    conditions: str
    percent: Decimal
    created_at: datetime
    account: str | None = None
    reason: str | None = None
    needs_attention: bool = False
    version: int = 1
    profit_percent: Decimal | None = None
    loss_percent: Decimal | None = None
    price: Decimal | None = None
    direction: str | None = None
    trail_percent: Decimal | None = None
    trail_amount: Decimal | None = None
    at: datetime | None = None
    of: str = "entry"
    max_slippage_bps: int | None = None
    escalation: dict[str, int | str] | None = None
    native: bool = False
    protected_by: str = "NONE"
    native_orders: tuple[NativeOrder, ...] = ()
    side: str | None = None
    quantity: Decimal | None = None
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    looked_at: datetime | None = None
    thresholds: tuple[Threshold, ...] = ()
    extreme: Decimal | None = None
    extreme_at: datetime | None = None
    watched: Watched | None = None
    excursions: int = 0
    last_excursion: str | None = None
    close_id: str | None = None
    change_pending: bool = False
    close_status: str | None = None
    ended_at: datetime | None = None
    workflow_id: str | None = None
    temporal_url: str | None = None
    client_key: str | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the conditional close has ended."""
        return self.status in _TERMINAL


class _Conditions(msgspec.Struct, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...]


class ConditionsApi:
    """The conditional closes of the API; `PerpDexClient.conditions`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def set(self, wanted: ConditionRequest, *, wait_s: float = 5.0) -> Condition:
        """Set conditions and wait at most `wait_s` until they are watched.

        Raises:
            StateConflict: there is no such position, or a condition is true already.
            InvalidRequest: the input cannot be taken.
            OutcomeUnknown, Unreachable: repeat with the same `wanted.key`, never with another.
        """
        answer = await self._transport.call(
            "POST",
            f"/api/v1/positions/{quote(wanted.position_id, safe='')}/conditions",
            body=wanted.body(),
            headers=_headers(wanted.key, wait_s),
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as_condition(answer.document)

    async def get(self, condition_id: str) -> Condition:
        """Return a conditional close. Raises UnknownObject."""
        answer = await self._transport.call("GET", _path(condition_id), repeatable=True)
        return _as_condition(answer.document)

    async def page(
        self,
        *,
        status: str = "all",
        account: str | None = None,
        symbol: str | None = None,
        limit: int = 100,
    ) -> tuple[Condition, ...]:
        """Return conditional closes, newest first."""
        wanted = {"status": status, "account": account, "symbol": symbol, "limit": str(limit)}
        return await self._list(
            "/api/v1/conditions",
            {name: value for name, value in wanted.items() if value is not None},
        )

    async def of_position(self, position_id: str) -> tuple[Condition, ...]:
        """Return the conditional closes of one position, newest first."""
        return await self._list(f"/api/v1/positions/{quote(position_id, safe='')}/conditions", {})

    async def _list(self, path: str, query: dict[str, str]) -> tuple[Condition, ...]:
        answer = await self._transport.call("GET", path, query=query, repeatable=True)
        try:
            return msgspec.convert(answer.document, _Conditions).conditions
        except msgspec.ValidationError as error:
            raise UnreadableAnswer(f"expected conditions from the API: {error}") from error

    async def change(
        self, condition_id: str, wanted: ConditionRequest, *, wait_s: float = 5.0
    ) -> Condition:
        """Watch these conditions instead, all of them; the position stays the same.

        Not known in time whether they are taken, `change_pending` says so; they are kept.

        Raises:
            StateConflict: they cannot be taken, or it has triggered or ended.
        """
        answer = await self._transport.call(
            "PATCH",
            _path(condition_id),
            body=wanted.body(),
            headers=_headers(wanted.key, wait_s),
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        is_pending = answer.status == HTTPStatus.ACCEPTED
        found = _as_condition(answer.document)
        return msgspec.structs.replace(found, change_pending=is_pending)

    async def cancel(
        self, condition_id: str, *, key: str | None = None, wait_s: float = 5.0
    ) -> Condition:
        """Watch no more; while its end is not known it is returned as it is.

        Raises:
            StateConflict: it has triggered, or had ended.
        """
        answer = await self._transport.call(
            "DELETE",
            _path(condition_id),
            headers=_headers(key or str(uuid.uuid4()), wait_s),
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as_condition(answer.document)

    async def follow(
        self,
        condition_id: str,
        *,
        timeout_s: float | None = None,
        seen: Callable[[Condition], None] = lambda condition: None,
    ) -> Condition:
        """Return a conditional close once it has ended, or as it is when the time is over.

        Goes on through restarts of the API; `seen` is told of every look.

        Raises:
            Unreachable, ServiceBusy: the API did not answer at the end either.
            UnknownObject: there is none.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            is_over = deadline is not None and time.monotonic() >= deadline
            try:
                found = await self.get(condition_id)
            except (Unreachable, ServiceBusy, UnreadableAnswer):
                if is_over:
                    raise
            else:
                seen(found)
                if found.is_terminal or is_over:
                    return found
            await asyncio.sleep(_LOOK_EVERY_S)


def _headers(key: str, wait_s: float) -> dict[str, str]:
    return {"Idempotency-Key": f'"{key}"', "Prefer": f"wait={wait_s:.0f}"}


def _path(condition_id: str) -> str:
    return f"/api/v1/conditions/{quote(condition_id, safe='')}"


def _as_condition(document: Any) -> Condition:
    try:
        return msgspec.convert(document, Condition)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(f"expected a condition from the API: {error}") from error
