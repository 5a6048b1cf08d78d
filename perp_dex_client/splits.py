"""Split orders over the API: place, read, wait, cancel; typed."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from domain.splits import SplitStatus
from perp_dex_client.errors import ServiceBusy, Unreachable, UnreadableAnswer
from perp_dex_client.models import Order
from perp_dex_client.orders import OrderRequest
from perp_dex_client.routing import Routing
from perp_dex_client.transport import Transport

T = TypeVar("T")

_MARGIN_S: Final = 15.0
_LOOK_EVERY_S: Final = 0.5
_TERMINAL: Final = frozenset(status.value for status in SplitStatus if status.is_terminal)


class SplitLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One child of a split order; `order` None: it is not in the database yet, or never begun."""

    order_id: str
    account: str
    account_id: str
    venue: str
    quantity: Decimal
    filled_quantity: Decimal
    status: str
    outcome: str
    reason: str | None = None
    why: str = ""
    order: Order | None = None


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """A split order as the API knows it.

    `lost_quantity` is what refused or unsent children were to take: it is sent nowhere else.
    """

    split_id: str
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    quantity: Decimal
    status: str
    filled_quantity: Decimal
    remaining_quantity: Decimal
    legs: tuple[SplitLeg, ...]
    created_at: datetime
    price: Decimal | None = None
    post_only: bool = False
    reduce_only: bool = False
    reason: str | None = None
    cancel_wanted: bool = False
    lost_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None
    ended_at: datetime | None = None
    client_key: str | None = None
    source: str = "database"
    workflow_id: str | None = None
    temporal_url: str | None = None
    routing: Routing | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether every child has ended."""
        return self.status in _TERMINAL

    @property
    def is_decided(self) -> bool:
        """Whether of every child it is known that it was placed, or never will be."""
        decided = ("accepted", "rejected", "not_sent")
        return self.is_terminal or all(leg.outcome in decided for leg in self.legs)


class _Splits(msgspec.Struct, frozen=True, kw_only=True):
    splits: tuple[Split, ...]


class SplitsApi:
    """The split orders of the API; `PerpDexClient.splits`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def place(self, wanted: OrderRequest, *, wait_s: float = 5.0) -> Split:
        """Split an order over accounts and wait at most `wait_s` for each child to be decided.

        Raises:
            OrderRefused: every child was refused, or no account can take it; nothing is open.
            InvalidRequest: the input cannot be taken.
            OutcomeUnknown, Unreachable: repeat with the same `wanted.key`, never with another.
        """
        answer = await self._transport.call(
            "POST",
            "/api/v1/orders",
            body={**wanted.body(), "split": True},
            headers={"Idempotency-Key": f'"{wanted.key}"', "Prefer": f"wait={wait_s:.0f}"},
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as(answer.document, Split)

    async def get(self, split_id: str, *, live: bool = False) -> Split:
        """Return a split order; `live` asks its running workflow. Raises UnknownObject."""
        query = {"live": "true"} if live else None
        answer = await self._transport.call("GET", _path(split_id), query=query, repeatable=True)
        return _as(answer.document, Split)

    async def page(
        self, *, status: str = "all", symbol: str | None = None, limit: int = 100
    ) -> tuple[Split, ...]:
        """Return split orders, newest first."""
        wanted = {"status": status, "symbol": symbol, "limit": str(limit)}
        query = {name: value for name, value in wanted.items() if value is not None}
        answer = await self._transport.call("GET", "/api/v1/splits", query=query, repeatable=True)
        return _as(answer.document, _Splits).splits

    async def cancel(self, split_id: str, *, key: str | None = None, wait_s: float = 5.0) -> Split:
        """Cancel every child; what has filled stays.

        Raises:
            StateConflict: it had ended already.
        """
        headers = {"Idempotency-Key": f'"{key or uuid.uuid4()}"', "Prefer": f"wait={wait_s:.0f}"}
        answer = await self._transport.call(
            "DELETE",
            _path(split_id),
            headers=headers,
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as(answer.document, Split)

    async def wait(self, split_id: str, *, timeout_s: float) -> Split:
        """Return a split order once it has ended, or as it is when the time is over.

        Goes on through restarts of the API until then.

        Raises:
            Unreachable, ServiceBusy: the API did not answer at the end either.
            UnknownObject: there is none of this id.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            is_over = time.monotonic() >= deadline
            try:
                found = await self.get(split_id)
            except (Unreachable, ServiceBusy, UnreadableAnswer):
                if is_over:
                    raise
            else:
                if found.is_terminal or is_over:
                    return found
            await asyncio.sleep(_LOOK_EVERY_S)


def _path(split_id: str) -> str:
    return f"/api/v1/splits/{quote(split_id, safe='')}"


def _as(document: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(f"expected split orders from the API: {error}") from None
