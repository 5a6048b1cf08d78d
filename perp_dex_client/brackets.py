"""Brackets over the API: where exits are asked for, and what comes back, typed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from domain.brackets import BracketStatus
from domain.numbers import plain
from perp_dex_client.errors import UnreadableAnswer
from perp_dex_client.models import Order
from perp_dex_client.transport import Transport

T = TypeVar("T")

_MARGIN_S: Final = 10.0
_TERMINAL: Final = frozenset(status.value for status in BracketStatus if status.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """Where an exit is: at a `price`, or `percent` from the entry's price; one of both."""

    price: Decimal | None = None
    percent: Decimal | None = None

    def body(self) -> dict[str, str]:
        """Return its JSON."""
        wanted = {"price": self.price, "percent": self.percent}
        return {name: plain(value) for name, value in wanted.items() if value is not None}


class BracketExit(msgspec.Struct, frozen=True, kw_only=True):
    """One exit order of a bracket; `native`: it left in the entry's own request."""

    order_id: str
    kind: str
    quantity: Decimal
    filled_quantity: Decimal
    status: str
    trigger_price: Decimal | None = None
    native: bool = False


class Bracket(msgspec.Struct, frozen=True, kw_only=True):
    """A bracket as the API knows it; it has its entry order's id.

    `protected_by` says who keeps its exits: "venue", those of the entry's own request; "workflow",
    those that its workflow places; None once it has ended.
    """

    bracket_id: str
    account_id: str
    venue: str
    symbol: str
    status: str
    entry: Order
    entered_quantity: Decimal
    exited_quantity: Decimal
    open_quantity: Decimal
    account: str | None = None
    reason: str | None = None
    needs_attention: bool = False
    take_profit: dict[str, str | None] | None = None
    stop_loss: dict[str, str | None] | None = None
    on_protection_failure: str = "close"
    native: bool = False
    protected_by: str | None = None
    exits: tuple[BracketExit, ...] = ()
    last_answer: str | None = None
    ended_at: datetime | None = None
    workflow_id: str | None = None
    temporal_url: str | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the bracket has ended."""
        return self.status in _TERMINAL


class _Brackets(msgspec.Struct, frozen=True, kw_only=True):
    brackets: tuple[Bracket, ...]


class BracketsApi:
    """The brackets of the API; `PerpDexClient.brackets`. They begin as orders with exits."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, bracket_id: str) -> Bracket:
        """Return a bracket. Raises UnknownObject."""
        answer = await self._transport.call("GET", _path(bracket_id), repeatable=True)
        return _as(answer.document, Bracket)

    async def page(
        self,
        *,
        status: str = "all",
        account: str | None = None,
        symbol: str | None = None,
        limit: int = 100,
    ) -> tuple[Bracket, ...]:
        """Return brackets, newest first."""
        wanted = {"status": status, "account": account, "symbol": symbol, "limit": str(limit)}
        query = {name: value for name, value in wanted.items() if value is not None}
        answer = await self._transport.call("GET", "/api/v1/brackets", query=query, repeatable=True)
        return _as(answer.document, _Brackets).brackets

    async def end(self, bracket_id: str, *, key: str | None = None, wait_s: float = 5.0) -> Bracket:
        """Cancel entry and exits; what was entered stays open.

        Raises:
            StateConflict: it had ended already.
        """
        headers = {"Idempotency-Key": f'"{key or uuid.uuid4()}"', "Prefer": f"wait={wait_s:.0f}"}
        answer = await self._transport.call(
            "DELETE",
            _path(bracket_id),
            headers=headers,
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as(answer.document, Bracket)


def _path(bracket_id: str) -> str:
    return f"/api/v1/brackets/{quote(bracket_id, safe='')}"


def _as(document: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(f"expected brackets from the API: {error}") from None
