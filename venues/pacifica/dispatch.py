"""From a ledger row to signed bytes, to the wire, to an outcome.

Whatever stops a command before its first byte is NotSent on a first send, and Unknown on a resend:
of the earlier copy it says nothing. Never raises for what the venue or the network does.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from domain.accounts import Network, TradingAccess
from domain.commands import CommandKind
from domain.errors import InvalidInput, NotAllowed
from domain.ledger import CommandRow
from domain.outcomes import SendResult
from venues.pacifica.actions import PATHS, WITHOUT_ORDER_ID
from venues.pacifica.answers import Asked, outcome
from venues.pacifica.credits import Purpose
from venues.pacifica.rest import Rest
from venues.pacifica.signing import Signer, check_allowed
from venues.pacifica.translate import VENUE
from venues.sending import NotSendableError, check_row, decided, send_gate, unsent
from venues.transport import Clock

_KINDS: Final = {
    "create_order": CommandKind.PLACE,
    "create_stop_order": CommandKind.PLACE,
    "set_position_tpsl": CommandKind.PLACE,
    "edit_order": CommandKind.MODIFY,
    "cancel_order": CommandKind.CANCEL,
    "cancel_stop_order": CommandKind.CANCEL,
}


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
            check_row(row, VENUE, self._network, access.account)
            message = _read(row.message)
            asked = _asked(message, row)
            body = self._body(message, row.message, access, row.signer)
        except NotSendableError as error:
            return SendResult(outcome=unsent(str(error), first=first, retryable=False))
        gate = send_gate(row, self._clock, first=first)
        result = await self._rest.post(
            PATHS[message["type"]], body, purpose=_purpose(message), gate=gate
        )
        return decided(result, lambda reply: outcome(reply, asked, first=first), first=first)

    async def send_message(self, text: str, access: TradingAccess) -> SendResult:
        """Send a message that has no row: a setting, or the question whose key a key is."""
        try:
            message = _read(text)
            body = self._body(message, text, access, self._signer.address(access.credential))
        except (NotSendableError, InvalidInput) as error:
            return SendResult(outcome=unsent(str(error), first=True, retryable=False))
        result = await self._rest.post(PATHS[message["type"]], body, purpose=_purpose(message))
        no_order = Asked(kind=None)
        return decided(result, lambda reply: outcome(reply, no_order, first=True), first=True)

    def _body(
        self, message: dict[str, Any], text: str, access: TradingAccess, signer: str
    ) -> bytes:
        try:
            found = self._signer.address(access.credential)
            if found != signer:
                raise NotSendableError(f"expected the key of {signer}, found {found}'s")
            signature = self._signer.sign(access.credential, text)
        except (InvalidInput, NotAllowed) as error:
            raise NotSendableError(str(error)) from None
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
        raise NotSendableError(f"the row's message is none of ours: {error}") from None


def _asked(message: dict[str, Any], row: CommandRow) -> Asked:
    kind = _KINDS.get(message["type"])
    if kind is not row.key.command:
        raise NotSendableError(
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
