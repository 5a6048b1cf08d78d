"""Extended's rig for the conformance suite."""

from __future__ import annotations

import json

from domain.commands import CommandKind
from tests.conformance.rig import Opened, VenueRig, WireReply
from venues.error_table import ErrorRow, ErrorScope
from venues.extended.refusals import error_table
from venues.extended.rest import PREFIX
from venues.simulation.server import RunningSimulator


def spell_error(row: ErrorRow) -> WireReply:
    """Write a refusal; of a status the body says nothing."""
    if row.scope is ErrorScope.HTTP:
        return WireReply(status=int(row.spelled), body=b"null")
    error = {"code": int(row.spelled.removeprefix("code ")), "message": "Refused"}
    body = json.dumps({"status": "ERROR", "error": error}).encode()
    return WireReply(status=400, body=body)


async def expire(running: RunningSimulator, opened: Opened) -> None:
    """Revoke the API key: at this venue keys have no time of their own."""
    exchange = running.exchange
    with exchange.action("revoke api key") as receipt:
        agent = exchange.tables.agents[opened["api_key"]]
        agent.revoked = True
        exchange.tables.record(agent)
    await exchange.durable(receipt)


RIG = VenueRig(
    venue="extended",
    paper_variable="EXTENDED_PAPER_URL",
    address=lambda opened: opened["address"],
    signer=lambda opened: opened["public_key"],
    credential=lambda opened: opened["private_key"],
    actions={CommandKind.PLACE: "order", CommandKind.CANCEL: "cancel"},
    command_paths=frozenset({f"{PREFIX}/user/order"}),
    error_table=error_table(),
    spell_error=spell_error,
    expire=expire,
    reading_needs_key=True,
)
