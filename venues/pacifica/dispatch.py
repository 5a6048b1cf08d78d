"""From a ledger row to signed bytes, to the wire, to an outcome.

Whatever stops a command before its first byte is NotSent on a first send, and Unknown on a resend:
of the earlier copy it says nothing. Never raises for what the venue or the network does.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from domain.accounts import Account, Network, TradingAccess
from domain.commands import CommandKind
from domain.errors import InvalidInput, NotAllowed
from domain.ledger import CommandRow
from domain.outcomes import NotSent, Outcome, SendResult, Unknown
from venues.pacifica.actions import PATHS, WITHOUT_ORDER_ID
from venues.pacifica.answers import Asked, outcome
from venues.pacifica.credits import Purpose
from venues.pacifica.rest import Rest
from venues.pacifica.signing import Signer, check_allowed
from venues.pacifica.translate import VENUE
from venues.transport import Clock, NoAnswer, NothingSent, PostResult, WriteGate, raw_evidence

SEND_BY_PASSED: Final = "send_by passed"
_NOTHING_LEFT: Final = "no byte was written"
_KINDS: Final = {
    "create_order": CommandKind.PLACE,
    "create_stop_order": CommandKind.PLACE,
    "set_position_tpsl": CommandKind.PLACE,
    "edit_order": CommandKind.MODIFY,
    "cancel_order": CommandKind.CANCEL,
    "cancel_stop_order": CommandKind.CANCEL,
}


class _NotSendableError(Exception):
    """Nothing can be sent, and trying again would not help; the message says why."""


class Dispatch:
    """Signs and sends; knows the network it sends to."""

    def __init__(self, network: Network, rest: Rest, signer: Signer, clock: Clock) -> None:
        self._network = network
        self._rest = rest
        self._signer = signer
        self._clock = clock

    async def send_row(self, row: CommandRow, access: TradingAccess, *, first: bool) -> SendResult:
        """Send a row's message."""
        try:
            self._check_row(row, access.account)
            message = _read(row.message)
            asked = _asked(message, row)
            body = self._body(message, row.message, access, row.signer)
        except _NotSendableError as error:
            return SendResult(outcome=_unsent(str(error), first=first, retryable=False))
        gate: WriteGate | None = None
        if first:
            gate = lambda: SEND_BY_PASSED if self._clock() >= row.send_by else None  # noqa: E731
        result = await self._rest.post(
            PATHS[message["type"]], body, purpose=_purpose(message), gate=gate
        )
        return _decided(result, asked, first=first)

    async def send_message(self, text: str, access: TradingAccess) -> SendResult:
        """Send a message that has no row: a setting, or the question whose key a key is."""
        try:
            message = _read(text)
            body = self._body(message, text, access, self._signer.address(access.credential))
        except (_NotSendableError, InvalidInput) as error:
            return SendResult(outcome=_unsent(str(error), first=True, retryable=False))
        result = await self._rest.post(PATHS[message["type"]], body, purpose=_purpose(message))
        return _decided(result, Asked(kind=None), first=True)

    def _check_row(self, row: CommandRow, account: Account) -> None:
        if row.venue != VENUE or row.network is not self._network:
            raise _NotSendableError(
                f"expected a row for {VENUE} {self._network}, found {row.venue} {row.network}"
            )
        if row.account_id != account.account_id:
            raise _NotSendableError(
                f"expected access to account {row.account_id!r}, found {account.account_id!r}"
            )

    def _body(
        self, message: dict[str, Any], text: str, access: TradingAccess, signer: str
    ) -> bytes:
        try:
            found = self._signer.address(access.credential)
            if found != signer:
                raise _NotSendableError(f"expected the key of {signer}, found {found}'s")
            signature = self._signer.sign(access.credential, text)
        except (InvalidInput, NotAllowed) as error:
            raise _NotSendableError(str(error)) from None
        account = access.account.address
        envelope = {
            "account": account,
            "signature": signature,
            "timestamp": message["timestamp"],
            "expiry_window": message["expiry_window"],
        }
        if signer != account:
            envelope["agent_wallet"] = signer
        return msgspec.json.encode({**envelope, **message["data"]})


def _read(text: str) -> dict[str, Any]:
    try:
        return check_allowed(text)
    except NotAllowed as error:
        raise _NotSendableError(f"the row's message is none of ours: {error}") from None


def _asked(message: dict[str, Any], row: CommandRow) -> Asked:
    kind = _KINDS.get(message["type"])
    if kind is not row.key.command:
        raise _NotSendableError(
            f"expected the message of a {row.key.command}, found {message['type']!r}"
        )
    named = message["data"].get("order_id") if kind is CommandKind.CANCEL else None
    return Asked(
        kind=kind,
        order_id=row.key.order_id,
        revision=row.target_revision,
        venue_order_id=str(named) if named is not None else None,
        gets_order_id=message["type"] not in WITHOUT_ORDER_ID,
    )


def _purpose(message: dict[str, Any]) -> Purpose:
    """Whatever cuts risk may use the whole budget: cancels, exits and reduce-only orders."""
    kind, data = message["type"], message["data"]
    if kind in ("cancel_order", "cancel_stop_order", "set_position_tpsl"):
        return Purpose.CANCEL
    return Purpose.CANCEL if data.get("reduce_only") else Purpose.COMMAND


def _decided(result: PostResult, asked: Asked, *, first: bool) -> SendResult:
    if isinstance(result, NothingSent):
        return SendResult(outcome=_unsent(result.reason, first=first, retryable=True))
    if isinstance(result, NoAnswer):
        raw = raw_evidence(result.partial) if result.partial else None
        return SendResult(outcome=Unknown(reason=result.reason), raw=raw)
    return SendResult(
        outcome=outcome(result, asked, first=first),
        raw=raw_evidence(result.body),
        received_at=result.received_at,
    )


def _unsent(reason: str, *, first: bool, retryable: bool) -> Outcome:
    if not first:
        return Unknown(reason=f"not sent again: {reason}")
    return NotSent(reason=reason, proof=_NOTHING_LEFT, retryable=retryable)
