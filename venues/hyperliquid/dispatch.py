"""From a ledger row to signed bytes, to the wire, to an outcome.

Whatever stops a command before its first byte is NotSent on a first send, and Unknown on a resend:
of the earlier copy it says nothing. Never raises for what the venue or the network does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from domain.accounts import Account, Network, TradingAccess
from domain.commands import CommandKind
from domain.errors import InvalidInput, NotAllowed, VenueRefused, VenueUnavailable
from domain.ledger import CommandRow
from domain.outcomes import NotSent, Outcome, SendResult, Unknown
from venues.batches import BatchMember, BatchResult
from venues.hyperliquid import wire
from venues.hyperliquid.answers import Asked, asked_of_order, outcomes
from venues.hyperliquid.rate_budget import Purpose
from venues.hyperliquid.rest import Rest
from venues.hyperliquid.roles import Roles
from venues.hyperliquid.signing import Signer
from venues.hyperliquid.translate import VENUE, to_ms
from venues.sending import NotSendableError, check_row, send_gate, unsent
from venues.transport import Clock, NoAnswer, NothingSent, PostResult, WriteGate, raw_evidence

#: An account's first command waits this long for its role, later ones not at all.
_ROLE_TIMEOUT_S: Final = 1.0


class _NotSendableError(Exception):
    """Nothing can be sent; the message says why."""

    def __init__(self, reason: str, *, retryable: bool) -> None:
        super().__init__(reason)
        self.retryable = retryable


@dataclass(frozen=True, slots=True, kw_only=True)
class Signable:
    """Everything a signature covers, with who makes it."""

    action: dict[str, Any]
    signer: str
    nonce: int | None
    admitted_until: datetime | None
    kind: CommandKind | None
    items: int = 1


class Dispatch:
    """Signs and sends; knows the network it signs for."""

    def __init__(
        self, network: Network, rest: Rest, roles: Roles, signer: Signer, clock: Clock
    ) -> None:
        self._network = network
        self._rest = rest
        self._roles = roles
        self._signer = signer
        self._clock = clock

    async def send_row(self, row: CommandRow, access: TradingAccess, *, first: bool) -> SendResult:
        """Send a row's message for one order."""
        member = BatchMember(
            order_id=row.key.order_id,
            revision=row.target_revision,
            client_order_id=row.client_order_id,
        )
        result = await self.send_members(row, access, [member], first=first)
        return SendResult(
            outcome=result.outcomes[0], raw=result.raw, received_at=result.received_at
        )

    async def send_members(
        self,
        row: CommandRow,
        access: TradingAccess,
        members: Sequence[BatchMember],
        *,
        first: bool,
    ) -> BatchResult:
        """Send a row's message for the orders it names, in their order."""
        kind = row.key.command
        try:
            check_row(row, VENUE, self._network, access.account)
        except NotSendableError as error:
            return _all(members, unsent(str(error), first=first, retryable=False))
        try:
            action = _read_action(row.message)
            asked = _asked(action, kind, members)
        except _NotSendableError as error:
            return _all(members, unsent(str(error), first=first, retryable=error.retryable))
        signable = Signable(
            action=action,
            signer=row.signer,
            nonce=row.nonce,
            admitted_until=row.admitted_until,
            kind=kind,
            items=len(members),
        )
        gate = send_gate(row, self._clock, first=first)
        return await self.send(signable, access, asked, first=first, gate=gate)

    async def send(
        self,
        signable: Signable,
        access: TradingAccess,
        asked: Sequence[Asked],
        *,
        first: bool = True,
        gate: WriteGate | None = None,
    ) -> BatchResult:
        """Sign one action and send it once."""
        account = access.account
        purpose = _purpose(signable)
        try:
            self._check_account(account, signable)
            body = await self._body(signable, access)
        except _NotSendableError as error:
            return _all(asked, unsent(str(error), first=first, retryable=error.retryable))
        result = await self._rest.exchange(body, items=signable.items, purpose=purpose, gate=gate)
        return self._decide(result, signable.kind, asked, account, first=first)

    def _decide(
        self,
        result: PostResult,
        kind: CommandKind | None,
        asked: Sequence[Asked],
        account: Account,
        *,
        first: bool,
    ) -> BatchResult:
        if isinstance(result, NothingSent):
            return _all(asked, unsent(result.reason, first=first, retryable=True))
        if isinstance(result, NoAnswer):
            raw = raw_evidence(result.partial) if result.partial else None
            return _all(asked, Unknown(reason=result.reason), raw=raw)
        decided = outcomes(result, kind, asked, first=first)
        if any(isinstance(o, NotSent) and o.reason == "address_rate_limited" for o in decided):
            self._rest.account_refused(account.address.lower())
        return BatchResult(
            outcomes=decided, raw=raw_evidence(result.body), received_at=result.received_at
        )

    def _check_account(self, account: Account, signable: Signable) -> None:
        is_placing = signable.kind in (CommandKind.PLACE, CommandKind.MODIFY)
        if is_placing and self._rest.account_is_paused(account.address.lower()):
            raise _NotSendableError(
                "the account is over the venue's action limit; only cancels are sent now",
                retryable=True,
            )

    async def _body(self, signable: Signable, access: TradingAccess) -> bytes:
        try:
            signer = self._signer.address(access.credential)
        except InvalidInput as error:
            raise _NotSendableError(str(error), retryable=False) from None
        if signer != signable.signer.lower():
            raise _NotSendableError(
                f"expected the key of {signable.signer}, found {signer}'s", retryable=False
            )
        if signable.nonce is None:
            raise _NotSendableError("expected a nonce, found none", retryable=False)
        expires = signable.admitted_until
        expires_ms = to_ms(expires) if expires is not None else None
        try:
            async with asyncio.timeout(_ROLE_TIMEOUT_S):
                vault = await self._roles.vault_of(access.account)
            signature = self._signer.sign(
                access.credential,
                signable.action,
                nonce=signable.nonce,
                vault_address=vault,
                expires_after_ms=expires_ms,
                is_mainnet=self._network is Network.MAINNET,
            )
        except (VenueUnavailable, VenueRefused, TimeoutError) as error:
            reason = str(error) or f"no answer within {_ROLE_TIMEOUT_S:g} s"
            raise _NotSendableError(
                f"the account's role is not known: {reason}", retryable=True
            ) from None
        except NotAllowed as error:
            raise _NotSendableError(str(error), retryable=False) from None
        return msgspec.json.encode(
            {
                "action": signable.action,
                "nonce": signable.nonce,
                "signature": signature,
                "vaultAddress": vault,
                "expiresAfter": expires_ms,
            }
        )


def _read_action(message: str) -> dict[str, Any]:
    try:
        action = msgspec.json.decode(message)
    except msgspec.DecodeError as error:
        raise _NotSendableError(f"the row's message is no JSON: {error}", retryable=False) from None
    if not isinstance(action, dict):
        raise _NotSendableError("the row's message is no action", retryable=False)
    return action


def _asked(
    action: dict[str, Any], kind: CommandKind, members: Sequence[BatchMember]
) -> list[Asked]:
    """Pair the members with what the message asks for them."""
    try:
        orders = _orders(action, kind)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise _NotSendableError(
            f"the row's message is no {kind} of ours: {error}", retryable=False
        ) from None
    if orders is None:
        named = _named_oids(action, len(members))
        return [
            Asked(
                order_id=member.order_id,
                revision=member.revision,
                client_order_id=member.client_order_id,
                venue_order_id=member.venue_order_id or oid,
            )
            for member, oid in zip(members, named, strict=True)
        ]
    if len(orders) != len(members):
        raise _NotSendableError(
            f"expected {len(members)} orders in the message, found {len(orders)}", retryable=False
        )
    return [
        asked_of_order(
            order,
            order_id=member.order_id,
            revision=member.revision,
            client_order_id=member.client_order_id,
        )
        for order, member in zip(orders, members, strict=True)
    ]


def _orders(action: dict[str, Any], kind: CommandKind) -> list[wire.SignedOrder] | None:
    if kind is CommandKind.PLACE:
        return msgspec.convert(action["orders"], list[wire.SignedOrder])
    if kind is CommandKind.MODIFY:
        orders = [modify["order"] for modify in action["modifies"]]
        return msgspec.convert(orders, list[wire.SignedOrder])
    return None


def _named_oids(action: dict[str, Any], members: int) -> list[str | None]:
    """Return the venue's order ids that a cancel names, so that its report can bear them."""
    cancels = action.get("cancels")
    if not isinstance(cancels, list):
        return [None] * members
    if len(cancels) != members:
        raise _NotSendableError(
            f"expected {members} cancels in the message, found {len(cancels)}", retryable=False
        )
    return [str(cancel["o"]) if "o" in cancel else None for cancel in cancels]


def _purpose(signable: Signable) -> Purpose:
    """Whatever cuts risk may use the whole budget: cancels, noops and reduce-only orders."""
    if signable.kind in (CommandKind.CANCEL, CommandKind.NOOP):
        return Purpose.CANCEL
    if signable.action.get("type") == "scheduleCancel":
        return Purpose.CANCEL
    orders = signable.action.get("orders")
    if orders and all(order["r"] for order in orders):
        return Purpose.CANCEL
    return Purpose.COMMAND


def _all(members: Sequence[object], outcome: Outcome, *, raw: str | None = None) -> BatchResult:
    return BatchResult(outcomes=tuple(outcome for _ in members), raw=raw)
