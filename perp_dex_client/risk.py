"""Risk limits over the API: reading them with their use, and setting them, typed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from domain.numbers import plain
from perp_dex_client.errors import UnreadableAnswer
from perp_dex_client.transport import Transport

T = TypeVar("T")

_PATH = "/api/v1/risk"

Limits = Mapping[str, Decimal | int | None]
"""Limits by name; None, or a name left out, means no limit."""


class LimitUse(msgspec.Struct, frozen=True, kw_only=True):
    """One limit and how much of it is used; None where nothing is limited or can be told."""

    limit: str
    limit_value: Decimal | None = None
    value: Decimal | None = None
    symbol: str | None = None
    exceeded: bool = False


class RiskScope(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of everything (scope `*`), or of one account; `account` is its label.

    `warnings` say which limits are below what is used already: only reducing passes then.
    """

    scope: str
    version: int
    limits: dict[str, Decimal | int | None]
    use: tuple[LimitUse, ...] = ()
    warnings: tuple[str, ...] = ()
    account: str | None = None
    set_by: str | None = None
    set_at: datetime | None = None


class RiskHalt(msgspec.Struct, frozen=True, kw_only=True):
    """A halt in force: of everything, a venue, or an account."""

    level: str
    reason: str
    set_by: str
    set_at: datetime
    name: str | None = None


class Risk(msgspec.Struct, frozen=True, kw_only=True):
    """All limits that the caller may see, and the halts in force."""

    accounts: tuple[RiskScope, ...]
    halts: tuple[RiskHalt, ...]
    everything: RiskScope | None = None


class RiskApi:
    """The risk limits of the API; `PerpDexClient.risk`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def read(self, *, account: str | None = None) -> Risk:
        """Return the limits of everything and of all accounts, or of one (label or id).

        Raises:
            UnknownObject: there is no such account.
        """
        answer = await self._transport.call("GET", _PATH, query=_query(account), repeatable=True)
        return _as(answer.document, Risk)

    async def put(
        self, limits: Limits, *, account: str | None = None, version: int | None = None
    ) -> RiskScope:
        """Replace the limits of everything, or of one account; what is left out is not limited.

        Raises:
            StateConflict: they are not of `version` any more.
            InvalidRequest: a limit cannot be taken.
            UnknownObject: there is no such account.
        """
        body = {
            name: value if value is None or isinstance(value, int) else plain(value)
            for name, value in limits.items()
        }
        answer = await self._transport.call(
            "PUT",
            _PATH,
            query=_query(account),
            body=body,
            headers={} if version is None else {"If-Match": f'"{version}"'},
            # Said again it is the same; with a version the repetition would contradict itself.
            repeatable=version is None,
        )
        return _as(answer.document, RiskScope)


def _query(account: str | None) -> dict[str, str] | None:
    return None if account is None else {"account": account}


def _as(document: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(
            f"expected an answer of the API this client knows: {error}"
        ) from None
