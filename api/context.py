"""What a route works with: the parts given to the app, and who is calling.

Holds no logic but `authorize` and looking things up by it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final, TypeVar

import httpx2
import structlog
from fastapi import Depends, Request

from api.admission import Admission
from api.authentication import Authenticator, OperatorSessions
from api.bracket_ports import BracketDesk
from api.close_ports import CloseDesk
from api.condition_ports import ConditionDesk
from api.halt_ports import HaltDesk
from api.ports import (
    BookSource,
    LatestPriceSource,
    OrderDesk,
    PastSource,
    PayloadCodec,
    PriceSource,
    Probe,
    Sealer,
)
from api.position_ports import AccountReader
from api.problems import ProblemError, invalid_parameter
from api.reconciliation_ports import ReconcileDesk
from api.routing_ports import SplitDesk, TermsReader
from api.trading_setup_ports import LeverageDesk, RotationDesk
from domain.account_changes import AccountChanges
from domain.account_groups import AccountGroupStore
from domain.accounts import Account, AccountState
from domain.bracket_store import BracketStore
from domain.close_store import CloseStore
from domain.condition_store import ConditionStore
from domain.credential_rotation import CredentialRotation
from domain.dead_man import DeadManStore
from domain.errors import InvalidInput, NotFound, Unavailable
from domain.halt_store import HaltBoard, KillSwitchStore
from domain.identifiers import check_order_id
from domain.key_claims import KeyClaims
from domain.net_positions import NetPositions
from domain.orders import Order
from domain.ports import AccountStore, AuditLog, AuditRecord, MarketStore, OrderStore
from domain.position_store import PositionStore
from domain.principals import Action, Principal, authorize
from domain.reconciliation_store import ReconciliationGate, ReconciliationStore
from domain.risk_store import RiskStore
from domain.routing_store import RouteStore, SplitStore
from domain.session_states import SessionStates
from domain.signer_nonces import NonceLanes
from domain.venue_sheets import ServedVenues

IN_USE: Final = (AccountState.ACTIVE, AccountState.PENDING)
WAIT_S: Final = 5.0
WAIT_S_MAX: Final = 30.0
LABEL_KEPT_S: Final = 5.0

_log = structlog.get_logger("api")

T = TypeVar("T")


#: The WebSockets of the streaming process, as docs/asyncapi.json has them.
SOCKETS: Final = ("orders", "positions", "account", "markets", "stream")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the parts of this installation are reached, for clients; None where there is none."""

    api: str
    streaming: str | None
    temporal_ui: str | None
    temporal_namespace: str
    simulator: str | None = None

    @property
    def sockets(self) -> dict[str, str]:
        """The addresses of the WebSockets by what they carry; `stream` carries everything."""
        if self.streaming is None:
            return {}
        base = self.streaming.rstrip("/")
        return {name: f"{base}/ws/v1/{name}" for name in SOCKETS}

    def workflow_url(self, workflow_id: str) -> str | None:
        """Return the address of a workflow in the operator's interface."""
        if self.temporal_ui is None:
            return None
        return f"{self.temporal_ui}/namespaces/{self.temporal_namespace}/workflows/{workflow_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may be under way at once."""

    placements: int = 256
    placements_per_account: int = 64
    long_polls: int = 256
    poll_interval_s: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    """Everything the app is given; it makes none of it itself."""

    orders: OrderStore
    accounts: AccountStore
    account_changes: AccountChanges
    account_groups: AccountGroupStore
    markets: MarketStore
    audit: AuditLog
    desk: OrderDesk
    closes: CloseStore
    close_desk: CloseDesk
    conditions: ConditionStore
    condition_desk: ConditionDesk
    brackets: BracketStore
    bracket_desk: BracketDesk
    net_positions: NetPositions
    positions: PositionStore
    risk: RiskStore
    halts: HaltBoard
    kill_switches: KillSwitchStore
    halt_desk: HaltDesk
    dead_man: DeadManStore
    account_reader: AccountReader
    rotation: CredentialRotation
    rotation_desk: RotationDesk
    leverage_desk: LeverageDesk
    reconciliations: ReconciliationStore
    reconciliation_gate: ReconciliationGate
    reconcile_desk: ReconcileDesk
    key_claims: KeyClaims
    routes: RouteStore
    splits: SplitStore
    split_desk: SplitDesk
    terms: TermsReader
    books: BookSource
    prices: PriceSource
    past: PastSource
    latest_prices: LatestPriceSource
    served_venues: ServedVenues
    sessions_of: SessionStates
    nonce_lanes: NonceLanes
    codec: PayloadCodec
    sealer: Sealer
    authenticator: Authenticator
    sessions: OperatorSessions
    endpoints: Endpoints
    venues: tuple[str, ...]
    hosts: frozenset[str]
    origins: frozenset[str]
    now: Callable[[], datetime]
    probes: Mapping[str, Probe]
    page_origins: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    #: A client of Temporal's web UI, where this API serves it to operators.
    temporal_ui: httpx2.AsyncClient | None = None


class Context:
    """The parts, with what this process itself keeps count of."""

    def __init__(self, parts: ApiParts) -> None:
        self.parts = parts
        limits = parts.limits
        self.placements = Admission(
            at_most=limits.placements,
            at_most_per_key=limits.placements_per_account,
            what="placements",
        )
        self.long_polls = Admission(
            at_most=limits.long_polls, at_most_per_key=limits.long_polls, what="long polls"
        )
        #: Set when the process is asked to stop: long polls answer with what they have.
        self.draining = asyncio.Event()
        self._labels: dict[str, tuple[str, float]] = {}

    async def ask(self, answer: Awaitable[T]) -> T:
        """Await an answer of the workflows.

        Raises:
            Unavailable: they cannot be reached; the Temporal client says so by a bare RuntimeError
                as long as it never was connected.
        """
        try:
            return await answer
        except RuntimeError as error:
            raise Unavailable("Temporal does not answer") from error

    async def label_of(self, account_id: str) -> str:
        """Return an account's label; its id while the database is away.

        Another process may have changed it up to `LABEL_KEPT_S` ago.
        """
        now = time.monotonic()
        label, kept_until = self._labels.get(account_id, ("", 0.0))
        if now < kept_until:
            return label
        try:
            account = await self.parts.accounts.get(account_id)
        except Unavailable:
            return label or account_id
        if account is None:
            return account_id
        self._labels[account_id] = (account.label, now + LABEL_KEPT_S)
        return account.label

    def forget_label(self, account_id: str) -> None:
        """Read an account's label anew when it is asked for next."""
        self._labels.pop(account_id, None)

    async def order(self, principal: Principal, action: Action, text: str) -> tuple[Order, bool]:
        """Return an order of the caller, and whether SQL has it (else only its workflow).

        What may end an order needs no database: its workflow knows whose it is.

        Raises:
            NotFound: there is none, or it is another's.
            Unavailable: the database is needed and does not answer.
        """
        try:
            order_id = check_order_id(text)
        except InvalidInput:
            raise NotFound("no such order") from None
        order, away = None, None
        try:
            order = await self.parts.orders.get(order_id)
        except Unavailable as error:
            if action is not Action.CLOSE:
                raise
            away = error
        kept = order is not None
        if order is None:
            order = await self.ask(self.parts.desk.pending(order_id))
        if order is None:
            raise away or NotFound("no such order")
        await self.authorize(principal, action, order.owner, f"order:{order_id}")
        return order, kept

    async def newest(self, order: Order) -> Order:
        """Return the order as SQL has it now; the given one where SQL has none or is away."""
        try:
            return await self.parts.orders.get(order.order_id) or order
        except Unavailable:
            return order

    async def account(self, principal: Principal, action: Action, name: str) -> Account:
        """Return an account of the caller by id or label.

        A label of an account in use wins over the same label of one refused or removed before.

        Raises:
            NotFound: there is none, or it is another's.
        """
        mine = await self.parts.accounts.of_owner(principal.principal_id)
        named = [each for each in mine if name in (each.account_id, each.label)]
        if not named:
            raise NotFound("no such account")
        account = next((each for each in reversed(named) if each.state in IN_USE), named[-1])
        await self.authorize(principal, action, account.owner, f"account:{account.account_id}")
        return account

    async def default_account(self, principal: Principal, venue: str | None) -> Account | None:
        """Return the caller's default account (of a venue), or the only one; None if unclear."""
        mine = [
            account
            for account in await self.parts.accounts.of_owner(principal.principal_id)
            if account.state is AccountState.ACTIVE and venue in (None, account.venue)
        ]
        if len(mine) == 1:
            return mine[0]
        return next((account for account in mine if account.is_default), None)

    async def authorize(
        self, principal: Principal, action: Action, owner: str | None, subject: str
    ) -> None:
        """Put the one question; a refusal leaves an audit row."""
        try:
            authorize(principal, action, owner)
        except Exception as error:
            await self.audit(principal, str(action), subject, f"refused: {type(error).__name__}")
            raise

    async def audit(
        self,
        principal: Principal,
        action: str,
        subject: str,
        outcome: str,
        *,
        detail: dict[str, str] | None = None,
    ) -> None:
        """Append an audit row; one that cannot be written is logged, the answer still given."""
        record = AuditRecord(
            principal_id=principal.principal_id,
            action=action,
            subject=subject,
            outcome=outcome,
            at=self.parts.now(),
            request_id=structlog.contextvars.get_contextvars().get("request_id"),
            detail=detail,
        )
        try:
            await self.parts.audit.append(record)
        except Exception:  # noqa: BLE001 - the answer must still be given
            # What was asked is done already; taking it back is not possible, hiding it wrong.
            _log.exception("audit_row_lost", action=action, subject=subject, outcome=outcome)


def context_of(request: Request) -> Context:
    """Return the app's context."""
    context = request.app.state.context
    assert isinstance(context, Context)  # noqa: S101 - set by create_app
    return context


def principal_of(request: Request) -> Principal:
    """Return who the edge found to be calling; a route without one is a defect, not open."""
    principal = getattr(request.state, "principal", None)
    if not isinstance(principal, Principal):
        raise TypeError("a route that needs a principal was reached without one")
    return principal


def wait_of(request: Request) -> float:
    """Return how long to wait for an answer: `Prefer: wait=N` (RFC 7240), bounded; else 5 s."""
    for preference in request.headers.get("prefer", "").split(","):
        name, _, value = preference.partition(";")[0].strip().partition("=")
        if name.strip().lower() == "respond-async":
            return 0.0
        text = value.strip().strip('"')
        if name.strip().lower() == "wait" and text.isascii() and text.isdigit():
            return min(float(text[:6]), WAIT_S_MAX)
    return WAIT_S


def bounded(name: str, text: str | None, *, default: int, least: int, greatest: int) -> int:
    """Return a query parameter that is a whole number in a range.

    Raises:
        ProblemError: 422, it is not.
    """
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= greatest:
        return int(text)
    raise ProblemError(
        invalid_parameter(
            name, f"expected a whole number from {least} to {greatest}, found {text[:32]!a}"
        )
    )


Ctx = Annotated[Context, Depends(context_of)]
Caller = Annotated[Principal, Depends(principal_of)]
Wait = Annotated[float, Depends(wait_of)]
