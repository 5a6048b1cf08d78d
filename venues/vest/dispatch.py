"""From a ledger row to signed bytes, to the wire, to an outcome.

Whatever stops a command before its first byte is NotSent on a first send, and Unknown on a resend:
of the earlier copy it says nothing. The venue cancels by its own id alone, so an order that is
known by its nonce is looked up first. Never raises for what the venue or the network does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import msgspec

from domain.accounts import Network, TradingAccess
from domain.commands import CommandKind
from domain.errors import InvalidInput, NotAllowed, VenueRefused, VenueUnavailable
from domain.ledger import CommandRow
from domain.outcomes import Outcome, SendResult
from venues.sending import NotSendableError, check_row, decided, send_gate, unsent
from venues.transport import Clock
from venues.vest import credential, translate
from venues.vest.answers import Asked, gone, outcome
from venues.vest.credential import Reader
from venues.vest.queries import Queries
from venues.vest.rate_budget import Purpose
from venues.vest.rest import Rest
from venues.vest.signing import CANCEL, ORDER, Signer, check_allowed
from venues.vest.translate import VENUE

PATHS: Final = {ORDER: "/orders", CANCEL: "/orders/cancel"}
LEVERAGE_PATH: Final = "/account/leverage"
_KINDS: Final = {ORDER: CommandKind.PLACE, CANCEL: CommandKind.CANCEL}


class _DecidedError(Exception):
    """The command has its outcome before anything of it is written."""

    def __init__(self, found: Outcome) -> None:
        super().__init__(str(found))
        self.found = found


class Dispatch:
    """Signs and sends; knows the network it sends to."""

    def __init__(
        self, network: Network, rest: Rest, queries: Queries, signer: Signer, clock: Clock
    ) -> None:
        self._network = network
        self._rest = rest
        self._queries = queries
        self._signer = signer
        self._clock = clock

    async def send_row(
        self, row: CommandRow, access: TradingAccess, *, first: bool
    ) -> tuple[SendResult, Asked]:
        """Send a row's message; return with the outcome what was asked for."""
        asked = Asked(kind=None)
        try:
            check_row(row, VENUE, self._network, access.account)
            message = _read(row.message, first=first)
            asked = _asked(message, row, first=first)
            reader = credential.reader(access.credential)
            order = message["order"]
            if "orderNonce" in order:
                order = await self._named(order, reader, first=first)
                asked = replace(asked, venue_order_id=order["id"])
            body = self._body({**message, "order": order}, access, row.signer, first=first)
        except _DecidedError as known:
            return SendResult(outcome=known.found), asked
        except (InvalidInput, NotSendableError) as error:
            return SendResult(outcome=unsent(str(error), first=first, retryable=False)), asked
        gate = send_gate(row, self._clock, first=first)
        result = await self._rest.post(
            PATHS[message["type"]],
            body,
            reader,
            purpose=_purpose(message),
            account=row.account_id,
            gate=gate,
        )
        return decided(result, lambda reply: outcome(reply, asked, first=first), first=first), asked

    async def send_message(self, text: str, access: TradingAccess) -> SendResult:
        """Send a signed message that has no row: the question whose key a key is."""
        try:
            message = _read(text, first=True)
            signer = self._signer.address(access.credential)
            body = self._body(message, access, signer, first=True)
        except _DecidedError as known:
            return SendResult(outcome=known.found)
        asked = Asked(kind=_KINDS[message["type"]])
        result = await self._rest.post(
            PATHS[message["type"]],
            body,
            credential.reader(access.credential),
            purpose=Purpose.CANCEL,
            account=access.account.account_id,
        )
        return decided(result, lambda reply: outcome(reply, asked, first=True), first=True)

    async def send_setting(self, body: dict[str, Any], access: TradingAccess) -> SendResult:
        """Send what the API key alone may change: leverage."""
        result = await self._rest.post(
            LEVERAGE_PATH,
            msgspec.json.encode(body),
            credential.reader(access.credential),
            purpose=Purpose.COMMAND,
            account=access.account.account_id,
        )
        no_order = Asked(kind=None)
        return decided(result, lambda reply: outcome(reply, no_order, first=True), first=True)

    async def _named(self, order: dict[str, Any], reader: Reader, *, first: bool) -> dict[str, Any]:
        """Look up the id of the order to cancel, which only then can be signed."""
        nonce = str(order["orderNonce"])
        try:
            row = await self._queries.order_row(reader, nonce=nonce)
        except (VenueUnavailable, VenueRefused) as error:
            reason = f"the order's id could not be looked up: {error}"
            raise _DecidedError(unsent(reason, first=first, retryable=True)) from None
        if row is None:
            raise _DecidedError(gone(f"GET /orders shows no order of nonce {nonce}"))
        found = translate.order_row(row)
        if found.verdict.is_terminal:
            raise _DecidedError(gone(f"the order has ended {found.verdict.value} (GET /orders)"))
        named = {name: value for name, value in order.items() if name != "orderNonce"}
        return {**named, "id": row.id}

    def _body(
        self, message: dict[str, Any], access: TradingAccess, signer: str, *, first: bool
    ) -> bytes:
        order = message["order"]
        try:
            found = self._signer.address(access.credential)
            if found != signer:
                raise _not_sendable(f"expected the key of {signer}, found {found}'s", first=first)
            signature = self._signer.sign(access.credential, message["type"], order)
        except (InvalidInput, NotAllowed) as error:
            raise _not_sendable(str(error), first=first) from None
        return msgspec.json.encode(
            {"order": order, "recvWindow": message["recvWindow"], "signature": signature}
        )


def _read(text: str, *, first: bool) -> dict[str, Any]:
    try:
        return check_allowed(text)
    except NotAllowed as error:
        reason = f"the row's message is none of ours: {error}"
        raise _not_sendable(reason, first=first) from None


def _asked(message: dict[str, Any], row: CommandRow, *, first: bool) -> Asked:
    kind = _KINDS[message["type"]]
    if kind is not row.key.command:
        reason = f"expected the message of a {row.key.command}, found {message['type']!r}"
        raise _not_sendable(reason, first=first)
    return Asked(
        kind=kind,
        order_id=row.key.order_id,
        revision=row.target_revision,
        venue_order_id=message["order"].get("id"),
    )


def _not_sendable(reason: str, *, first: bool) -> _DecidedError:
    """Nothing can be sent, and trying again would not help."""
    return _DecidedError(unsent(reason, first=first, retryable=False))


def _purpose(message: dict[str, Any]) -> Purpose:
    """Whatever cuts risk may use the whole budget: cancels and reduce-only orders."""
    cuts = message["type"] == CANCEL or message["order"]["reduceOnly"]
    return Purpose.CANCEL if cuts else Purpose.COMMAND
