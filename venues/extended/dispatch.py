"""From a ledger row to signed bytes, to the wire, to a verdict.

Whatever stops a command before its first byte is NotSent on a first send, and Unknown on a resend:
of the earlier copy it says nothing. The venue's success means queued, so the verdict is looked up
within the command's own time. Never raises for what the venue or the network does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

import msgspec

from domain.accounts import Account, Network, TradingAccess
from domain.commands import CommandKind
from domain.errors import InvalidInput, NotAllowed, VenueRefused, VenueUnavailable
from domain.ledger import CommandRow
from domain.outcomes import Acknowledged, Outcome, SendResult
from venues import sending
from venues.connector import VenueOrder
from venues.extended.actions import CHAIN_IDS, check_allowed, signed_parts, with_settlements
from venues.extended.answers import Asked, canceled_outcome, outcome, placed_outcome
from venues.extended.queries import Queries
from venues.extended.rest import COMMAND_TIMEOUT_S, Rest
from venues.extended.signing import Signer
from venues.extended.translate import VENUE
from venues.rate_budget import Purpose
from venues.sending import NotSendableError, check_row, send_gate, unsent
from venues.transport import Clock, PostResult, Reply

_ORDER_PATH: Final = "/user/order"
#: Waits between look-ups of a verdict; the last one again and again.
_LOOK_AGAIN_S: Final = (0.03, 0.07, 0.15, 0.3)


class Dispatch:
    """Signs, sends and finds out; knows the network it sends to."""

    def __init__(
        self, network: Network, rest: Rest, queries: Queries, signer: Signer, clock: Clock
    ) -> None:
        self._network = network
        self._rest = rest
        self._queries = queries
        self._signer = signer
        self._clock = clock

    async def send_row(self, row: CommandRow, access: TradingAccess, *, first: bool) -> SendResult:
        """Send a row's message; only a first send is held to the row's `send_by`."""
        deadline = asyncio.get_running_loop().time() + COMMAND_TIMEOUT_S
        try:
            api_key = self._check(row, access)
            message = check_allowed(row.message)
            asked = _asked(message, row)
            body = self._body(message, access)
        except (NotSendableError, NotAllowed, InvalidInput) as error:
            return SendResult(outcome=unsent(str(error), first=first, retryable=False))

        gate = send_gate(row, self._clock, first=first)
        if body is None:
            result = await self._rest.command(
                "DELETE",
                _cancel_path(message["cancel"]),
                None,
                api_key=api_key,
                purpose=Purpose.CANCEL,
                gate=gate,
            )
        else:
            result = await self._rest.command(
                "POST", _ORDER_PATH, body, api_key=api_key, purpose=_purpose(message), gate=gate
            )
        sent = decided(result, asked, first=first)
        if not isinstance(sent.outcome, Acknowledged) or not isinstance(result, Reply):
            return sent
        return await self._with_verdict(sent, asked, result, message, api_key, deadline)

    def _check(self, row: CommandRow, access: TradingAccess) -> str:
        """Check whose row and credential these are; return the API key."""
        account = access.account
        check_row(row, VENUE, self._network, account)
        found = self._signer.public_key(access.credential)
        if found != row.signer:
            raise NotSendableError(f"expected the key of {row.signer}, found {found}'s")
        check_vault(self._signer, access, account)
        return self._signer.api_key(access.credential)

    def _body(self, message: Mapping[str, Any], access: TradingAccess) -> bytes | None:
        if "cancel" in message:
            return None
        if message["chain"] != CHAIN_IDS[self._network]:
            raise NotSendableError(
                f"expected an order for {CHAIN_IDS[self._network]}, found {message['chain']!r}"
            )
        settlements = {
            name: self._signer.sign(access.credential, terms).wire()
            for name, terms in signed_parts(message).items()
        }
        return msgspec.json.encode(with_settlements(message, settlements))

    async def _with_verdict(
        self,
        sent: SendResult,
        asked: Asked,
        reply: Reply,
        message: Mapping[str, Any],
        api_key: str,
        deadline: float,
    ) -> SendResult:
        """Look the order up until the venue has decided, or the command's time is over."""
        may_rest = message.get("order", {}).get("timeInForce") != "IOC"
        verdict: Outcome | None = None
        try:
            async with asyncio.timeout_at(deadline):
                for wait_s in _waits():
                    found = await self._look(asked, sent, api_key)
                    if found is not None:
                        verdict = _verdict(found, asked, reply)
                        if verdict is not None and (may_rest or found.verdict.is_terminal):
                            break
                    await asyncio.sleep(wait_s)
        except (TimeoutError, VenueUnavailable, VenueRefused):
            # What was found before holds; of what was not, the search for unknowns makes the rest.
            pass
        return sent if verdict is None else replace(sent, outcome=verdict)

    async def _look(self, asked: Asked, sent: SendResult, api_key: str) -> VenueOrder | None:
        known = sent.outcome.venue_order_id if isinstance(sent.outcome, Acknowledged) else None
        if known is not None:
            return (await self._queries.by_id_with(api_key, int(known))).order
        found = await self._queries.by_external_id_with(api_key, asked.client_order_id)
        return found.order


def check_vault(signer: Signer, access: TradingAccess, account: Account) -> None:
    """Check that a credential is for the vault that the account is.

    Raises:
        InvalidInput: it is for another one.
    """
    vault = signer.vault(access.credential)
    if vault != account.address:
        raise InvalidInput(
            "credential", f"expected the credential of vault {account.address}, found {vault}'s"
        )


def decided(result: PostResult, asked: Asked, *, first: bool) -> SendResult:
    """Return what became of a command, with its evidence."""
    return sending.decided(result, lambda reply: outcome(reply, asked, first=first), first=first)


def _waits() -> Any:
    yield from _LOOK_AGAIN_S
    while True:
        yield _LOOK_AGAIN_S[-1]


def _verdict(found: VenueOrder, asked: Asked, reply: Reply) -> Outcome | None:
    if asked.kind is CommandKind.CANCEL:
        return canceled_outcome(found, asked, reply)
    return placed_outcome(found, asked, reply)


def _asked(message: Mapping[str, Any], row: CommandRow) -> Asked:
    kind = CommandKind.CANCEL if "cancel" in message else CommandKind.PLACE
    if kind is not row.key.command:
        raise NotSendableError(f"expected the message of a {row.key.command}, found a {kind}'s")
    if kind is CommandKind.PLACE and message["order"]["id"] != row.client_order_id:
        raise NotSendableError(
            f"expected an order {row.client_order_id}, found {message['order']['id']!r}"
        )
    named = message["cancel"].get("id") if kind is CommandKind.CANCEL else None
    return Asked(
        kind=kind,
        order_id=row.key.order_id,
        revision=row.target_revision,
        client_order_id=row.client_order_id,
        venue_order_id=str(named) if named is not None else None,
    )


def _cancel_path(named: Mapping[str, Any]) -> str:
    if "id" in named:
        return f"{_ORDER_PATH}/{named['id']}"
    return f"{_ORDER_PATH}?externalId={quote(named['externalId'], safe='')}"


def _purpose(message: Mapping[str, Any]) -> Purpose:
    """Whatever cuts risk may use the whole budget: cancels, exits and reduce-only orders."""
    return Purpose.CANCEL if message["order"]["reduceOnly"] else Purpose.COMMAND
