"""From a ledger row to a signed request, to the wire, to an outcome.

Whatever stops a command before its first byte is NotSent on a first send, and Unknown on a copy:
of the earlier one it says nothing. Never raises for what the venue or the network does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from domain.accounts import Network, TradingAccess
from domain.commands import CommandKind
from domain.errors import InvalidInput, NotAllowed
from domain.ledger import CommandRow
from domain.outcomes import Outcome, SendResult, Unknown
from venues.edgex.actions import PATHS
from venues.edgex.answers import Asked, Verdictless, outcome
from venues.edgex.budget import Purpose
from venues.edgex.catalog import VENUE
from venues.edgex.credential import Credential
from venues.edgex.rest import Rest
from venues.edgex.signing import Signer, check_allowed
from venues.sending import NotSendableError, check_row, send_gate, unsent
from venues.transport import Clock, NoAnswer, NothingSent, PostResult, Reply, raw_evidence
from venues.transport import WriteGate as WriteGate

_KINDS: Final = {
    "create_order": CommandKind.PLACE,
    "cancel_by_id": CommandKind.CANCEL,
    "cancel_by_client_id": CommandKind.CANCEL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """A result, and what it takes to confirm it: what was asked, and the whole answer if any."""

    result: SendResult
    asked: Asked
    reply: Reply | None = None
    unconfirmed: Verdictless | None = None


class Dispatch:
    """Signs and sends; knows the network it sends to."""

    def __init__(self, network: Network, rest: Rest, signer: Signer, clock: Clock) -> None:
        self._network = network
        self._rest = rest
        self._signer = signer
        self._clock = clock

    async def send_row(self, row: CommandRow, access: TradingAccess, *, first: bool) -> Dispatched:
        """Send a row's message."""
        try:
            check_row(row, VENUE, self._network, access.account)
            message = _read(row.message)
            asked = _asked(message, row)
            body, credential = self._body(message, access, row.signer)
        except NotSendableError as error:
            found = unsent(str(error), first=first, retryable=False)
            return Dispatched(result=SendResult(outcome=found), asked=Asked(kind=None))
        gate = send_gate(row, self._clock, first=first)
        posted = await self._rest.post(
            PATHS[message["request"]],
            body,
            credential.api,
            purpose=_purpose(message),
            account_id=access.account.account_id,
            is_order=asked.kind is CommandKind.PLACE,
            gate=gate,
        )
        return _decided(posted, asked, first=first)

    async def send_message(self, text: str, access: TradingAccess) -> SendResult:
        """Send a message that has no row: a setting."""
        try:
            message = _read(text)
            body, credential = self._body(message, access, None)
        except NotSendableError as error:
            return SendResult(outcome=unsent(str(error), first=True, retryable=False))
        posted = await self._rest.post(
            PATHS[message["request"]],
            body,
            credential.api,
            purpose=Purpose.COMMAND,
            account_id=access.account.account_id,
        )
        return _decided(posted, Asked(kind=None), first=True).result

    def _body(
        self, message: dict[str, Any], access: TradingAccess, signer: str | None
    ) -> tuple[dict[str, Any], Credential]:
        """Return what is posted: the message's body with the account, and an order's signature."""
        account = access.account.address
        try:
            found = self._signer.address(access.credential)
            if signer is not None and found != signer:
                raise NotSendableError(f"expected the key of {signer}, found {found}'s")
            credential = self._signer.credential(access.credential)
            body = {**message["body"], "accountId": account}
            if message["request"] == "create_order":
                body["l2Signature"] = self._signer.sign_order(
                    access.credential, message["body"], message["terms"], account
                )
        except (InvalidInput, NotAllowed) as error:
            raise NotSendableError(str(error)) from None
        return body, credential


def _read(text: str) -> dict[str, Any]:
    try:
        return check_allowed(text)
    except NotAllowed as error:
        raise NotSendableError(f"the row's message is none of ours: {error}") from None


def _asked(message: dict[str, Any], row: CommandRow) -> Asked:
    kind = _KINDS.get(message["request"])
    if kind is not row.key.command:
        raise NotSendableError(
            f"expected the message of a {row.key.command}, found {message['request']!r}"
        )
    named = message["body"].get("orderIdList")
    ours = message["body"].get("clientOrderIdList")
    return Asked(
        kind=kind,
        order_id=row.key.order_id,
        revision=row.target_revision,
        client_order_id=ours[0] if ours else row.client_order_id,
        venue_order_id=named[0] if named else None,
    )


def _purpose(message: dict[str, Any]) -> Purpose:
    """Whatever cuts risk may use the whole budget: cancels and reduce-only orders."""
    is_cut = message["request"] != "create_order" or message["body"].get("reduceOnly")
    return Purpose.CANCEL if is_cut else Purpose.COMMAND


def _decided(posted: PostResult, asked: Asked, *, first: bool) -> Dispatched:
    if isinstance(posted, NothingSent):
        nothing = unsent(posted.reason, first=first, retryable=True)
        return Dispatched(result=SendResult(outcome=nothing), asked=asked)
    if isinstance(posted, NoAnswer):
        raw = raw_evidence(posted.partial) if posted.partial else None
        result = SendResult(outcome=Unknown(reason=posted.reason), raw=raw)
        return Dispatched(result=result, asked=asked)
    found = outcome(posted, asked, first=first)
    unconfirmed = found if isinstance(found, Verdictless) else None
    decided: Outcome = found.refused if isinstance(found, Verdictless) else found
    result = SendResult(
        outcome=decided, raw=raw_evidence(posted.body), received_at=posted.received_at
    )
    return Dispatched(result=result, asked=asked, reply=posted, unconfirmed=unconfirmed)
