"""`POST /exchange` of the simulated venue: checks in the venue's order, then the action itself.

JSON, schema, nonce, signer, account, then business rules. A nonce is used up by every admitted
action, also one that a business rule refuses; not by an unknown signer.
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/exchange-endpoint
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from venues.hyperliquid.simulator_actions import (
    BatchModifyAction,
    Envelope,
    ModifyAction,
    NotJson,
    OrderAction,
    WrongShape,
    action_name,
    read_envelope,
)
from venues.hyperliquid.simulator_business import Business, Refused
from venues.hyperliquid.simulator_limits import Limits
from venues.hyperliquid.simulator_signature import CannotRecover, is_user_signed, recover_signer
from venues.simulation.commands import CommandFaults
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan
from venues.simulation.nonces import NonceProblem, NonceRefusal
from venues.simulation.ownership import is_valid
from venues.simulation.records import Account, NonceUsed

_ENCODER: Final = msgspec.json.Encoder()
_UPGRADE_TEXT: Final = "Only post-only orders allowed immediately after network upgrade"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"


NULL: Final = b"null"
BAD_JSON: Final = Reply(
    status=400,
    body=b"Failed to parse the request body as JSON",
    content_type="text/plain",
)
BAD_CONTENT_TYPE: Final = Reply(
    status=415,
    body=b"Expected request with `Content-Type: application/json`",
    content_type="text/plain",
)
BAD_SHAPE: Final = Reply(
    status=422,
    body=b"Failed to deserialize the JSON body into the target type",
    content_type="text/plain",
)


class ExchangeEndpoint:
    """Takes bodies of `/exchange`, over HTTP or a socket's post, and answers them."""

    def __init__(
        self, exchange: Exchange, faults: FaultPlan, limits: Limits, *, is_mainnet: bool
    ) -> None:
        self._exchange = exchange
        self._faults = faults
        self._command_faults = CommandFaults(exchange, faults)
        self._limits = limits
        self._is_mainnet = is_mainnet
        self._business = Business(exchange, limits, is_mainnet=is_mainnet)

    async def submit(self, body: bytes, remote: str) -> Reply:
        """Answer one body. Raises `ConnectionDropped` where a fault cuts the connection."""
        try:
            envelope = read_envelope(body)
        except NotJson:
            return BAD_JSON
        except WrongShape:
            return BAD_SHAPE
        name = action_name(envelope.action)
        if not self._limits.take_ip_weight(remote, self._limits.action_weight(envelope.action)):
            return Reply(status=429, body=NULL)
        early = await self._before(name)
        if early is not None:
            return early
        with self._exchange.action(name) as receipt:
            answer = self._answer(envelope)
        await self._exchange.durable(receipt)
        return await self._after(name, answer)

    async def _before(self, name: str) -> Reply | None:
        fault = await self._command_faults.before((name,))
        if fault is None:
            return None
        if fault is FaultKind.RATE_LIMIT:
            return Reply(status=429, body=NULL)
        return Reply(status=500, body=NULL)

    async def _after(self, name: str, answer: dict[str, Any]) -> Reply:
        fault = await self._command_faults.after((name,))
        if fault is FaultKind.ERROR_AFTER_APPLY:
            return Reply(status=500, body=NULL)
        body = _ENCODER.encode(answer)
        if fault is FaultKind.GARBLE:
            return Reply(status=200, body=body[: len(body) // 2])
        return Reply(status=200, body=body)

    def _answer(self, envelope: Envelope) -> dict[str, Any]:
        try:
            return {"status": "ok", "response": self._apply(envelope)}
        except CannotRecover:
            return {"status": "err", "response": "Unable to recover signer."}
        except Refused as refused:
            return {"status": "err", "response": refused.text}

    def _apply(self, envelope: Envelope) -> dict[str, Any]:
        tables = self._exchange.tables
        user_signed = is_user_signed(envelope.action)
        signer = recover_signer(envelope, is_mainnet=self._is_mainnet)
        refusal = tables.nonces.refusal(signer, envelope.nonce, tables.now_ms)
        if refusal is not None:
            raise Refused(_nonce_text(refusal))
        owner = self._master(signer) if user_signed else self._owner(signer)
        account = owner if user_signed else self._account(owner, envelope.vaultAddress)
        tables.record(NonceUsed(signer=signer, nonce=envelope.nonce))
        expires_after = envelope.expiresAfter
        if expires_after is not None and tables.now_ms > expires_after:
            self._limits.count_requests(account, 5)
            raise Refused("Action already expired")
        limited = self._limits.address_refusal(account, envelope.action)
        if limited is not None:
            raise Refused(limited)
        name = action_name(envelope.action)
        if _takes_or_rests(envelope) and self._faults.take(FaultKind.UPGRADE_GATE, (name,)):
            raise Refused(_UPGRADE_TEXT)
        return self._business.apply(envelope, signer=signer, owner=owner, account=account)

    def _owner(self, signer: str) -> Account:
        tables = self._exchange.tables
        agent = tables.agents.get(signer)
        if agent is not None and is_valid(tables, agent):
            return tables.accounts[agent.account]
        account = tables.accounts.get(signer)
        if account is None or account.master is not None:
            raise Refused(f"User or API Wallet {signer} does not exist.")
        return account

    def _master(self, signer: str) -> Account:
        account = self._exchange.tables.accounts.get(signer)
        if account is None or account.master is not None:
            raise Refused(f"Must deposit before performing actions. User: {signer}")
        return account

    def _account(self, owner: Account, vault_address: str | None) -> Account:
        if vault_address is None or vault_address == owner.address:
            return owner
        account = self._exchange.tables.accounts.get(vault_address)
        if account is None or account.master != owner.address:
            raise Refused(f"Vault not registered: {vault_address}")
        return account


def _nonce_text(refusal: NonceRefusal) -> str:
    if refusal.problem is NonceProblem.DUPLICATE:
        return f"Invalid nonce: duplicate nonce {refusal.nonce}"
    sign = "<" if refusal.problem is NonceProblem.TOO_LOW else ">"
    return f"Invalid nonce: nonce {refusal.problem.value} {refusal.nonce} {sign} {refusal.bound}"


def _takes_or_rests(envelope: Envelope) -> bool:
    """Tell whether the action places anything but post-only orders."""
    match envelope.action:
        case OrderAction() as action:
            orders = action.orders
        case ModifyAction() as action:
            orders = [action.order]
        case BatchModifyAction() as action:
            orders = [one.order for one in action.modifies]
        case _:
            return False
    return any(one.t.limit is None or one.t.limit.tif != "Alo" for one in orders)
