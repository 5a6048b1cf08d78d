"""Reconciliations over the API: ask for one, read what was found, typed."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from perp_dex_client.errors import UnreadableAnswer
from perp_dex_client.transport import Transport

T = TypeVar("T")

_MARGIN_S: Final = 10.0
_ACCEPTED: Final = 202


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between the venue and our ledger, and what became of it."""

    kind: str
    state: str
    subject: str
    text: str
    symbol: str | None = None
    order_id: str | None = None
    venue_order_id: str | None = None
    evidence: dict[str, str] = {}
    found_at: datetime | None = None


class ReconciliationCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconciliation read and did."""

    orders_seen: int = 0
    fills_seen: int = 0
    fills_booked: int = 0
    orders_folded: int = 0
    looks: int = 0


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison of an account with its venue; `findings` is None in a listing."""

    reconciliation_id: str
    account_id: str
    status: str
    reason: str
    started_at: datetime
    account: str | None = None
    requested_by: str | None = None
    is_full: bool = False
    ended_at: datetime | None = None
    complete_until: datetime | None = None
    counts: ReconciliationCounts = ReconciliationCounts()
    found: dict[str, int] = {}
    open: int = 0
    alerts: int = 0
    error: str | None = None
    findings: tuple[Finding, ...] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.status != "RUNNING"

    @property
    def has_passed(self) -> bool:
        """Whether all was read and nothing stands against new exposure."""
        return self.status == "PASSED"


class Reconciliations(msgspec.Struct, frozen=True, kw_only=True):
    """An account's reconciliations, newest first.

    `due_since`: since when the account takes no new exposure before it is reconciled.
    """

    account: str
    account_id: str
    reconciliations: tuple[Reconciliation, ...]
    due_since: datetime | None = None
    workflow_id: str | None = None
    temporal_url: str | None = None


class ReconciliationsApi:
    """The reconciliations of the API; `PerpDexClient.reconciliations`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def reconcile(
        self, account: str, *, full: bool = False, key: str | None = None, wait_s: float = 5.0
    ) -> Reconciliation | None:
        """Have an account reconciled now; None while it is under way after `wait_s`.

        Asking again with the same `key` gives the same reconciliation.

        Raises:
            StateConflict: the account is not active.
            Unreachable, ServiceBusy: ask again with the same key.
        """
        answer = await self._transport.call(
            "POST",
            _path(account),
            query={"full": "true"} if full else None,
            headers={
                "Idempotency-Key": f'"{key or uuid.uuid4()}"',
                "Prefer": f"wait={wait_s:.0f}",
            },
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        if answer.status == _ACCEPTED:
            return None
        return _as(answer.document, Reconciliation)

    async def of_account(
        self, account: str, *, limit: int = 20, before: datetime | None = None
    ) -> Reconciliations:
        """Return an account's reconciliations, newest first."""
        query = {"limit": str(limit)}
        if before is not None:
            query["before"] = before.isoformat()
        answer = await self._transport.call("GET", _path(account), query=query, repeatable=True)
        return _as(answer.document, Reconciliations)

    async def get(self, account: str, reconciliation_id: str) -> Reconciliation:
        """Return one with its findings.

        Raises:
            UnknownObject: there is none of that id.
        """
        path = f"{_path(account)}/{quote(reconciliation_id, safe='')}"
        answer = await self._transport.call("GET", path, repeatable=True)
        return _as(answer.document, Reconciliation)


def _path(account: str) -> str:
    return f"/api/v1/accounts/{quote(account, safe='')}/reconciliations"


def _as(document: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(document, kind, strict=False)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(f"the API's answer cannot be read: {error}") from None
