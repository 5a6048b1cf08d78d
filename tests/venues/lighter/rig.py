"""Lighter's rig for the conformance suite."""

from __future__ import annotations

import json

from domain.accounts import SecretText
from domain.commands import CommandKind
from tests.conformance.rig import Opened, VenueRig, WireReply
from venues.error_table import ErrorRow, ErrorScope
from venues.lighter.credential import read_credential
from venues.lighter.refusals import error_table
from venues.lighter.rest import PREFIX, SEND
from venues.lighter.simulator_signature import revoke
from venues.simulation.server import RunningSimulator


def spell_error(row: ErrorRow) -> WireReply:
    """Write a refusal; older answers repeat the status as code, and texts go on behind."""
    if row.scope is ErrorScope.HTTP:
        return WireReply(status=int(row.spelled), body=b"null")
    if row.scope is ErrorScope.ORDER:
        return _refusal(int(row.spelled.removeprefix("code ")), "refused")
    return _refusal(400, f"{row.spelled}: 7")


def _refusal(code: int, text: str) -> WireReply:
    return WireReply(status=400, body=json.dumps({"code": code, "message": text}).encode())


async def expire(running: RunningSimulator, opened: Opened) -> None:
    """Take the account's keys away: at this venue they have no time of their own."""
    exchange = running.exchange
    with exchange.action("revoke keys") as receipt:
        revoke(exchange.tables, int(opened["address"]))
    await exchange.durable(receipt)


RIG = VenueRig(
    venue="lighter",
    paper_variable="LIGHTER_PAPER_URL",
    closing=frozenset({"405", "429"}),
    address=lambda opened: opened["address"],
    signer=lambda opened: read_credential(SecretText(opened["private_key"])).signer,
    credential=lambda opened: opened["private_key"],
    actions={CommandKind.PLACE: "order", CommandKind.CANCEL: "cancel"},
    command_paths=frozenset({PREFIX + SEND}),
    error_table=error_table(),
    spell_error=spell_error,
    expire=expire,
    reading_needs_key=True,
)
