"""The seventh venue's rig for the conformance suite."""

from __future__ import annotations

import json

from domain.commands import CommandKind
from tests.conformance.rig import Opened, VenueRig, WireReply
from tests.seventh.venue.refusals import error_table
from tests.seventh.venue.rest import COMMAND_PATH
from venues.error_table import ErrorRow, ErrorScope
from venues.simulation.server import RunningSimulator


def spell_error(row: ErrorRow) -> WireReply:
    """Write a refusal."""
    if row.scope is ErrorScope.HTTP:
        return WireReply(status=int(row.spelled), body=b"Gateway", content_type="text/plain")
    error = {"code": row.spelled, "text": "it is so"}
    body = {"ok": False, "time": 1_800_000_000_000, "error": error}
    return WireReply(status=422, body=json.dumps(body).encode())


async def expire(running: RunningSimulator, opened: Opened) -> None:
    """Let the key be over."""
    exchange = running.exchange
    with exchange.action("expire") as receipt:
        agent = exchange.tables.agents[opened["key"]]
        agent.valid_until_ms = exchange.now_ms()
        exchange.tables.record(agent)
    await exchange.durable(receipt)


RIG = VenueRig(
    venue="seventh",
    paper_variable="SEVENTH_PAPER_URL",
    address=lambda opened: opened["address"],
    signer=lambda opened: opened["key"],
    credential=lambda opened: opened["private_key"],
    refused_credentials={"a key that may withdraw": lambda opened: opened["strong_key"]},
    actions={CommandKind.PLACE: "place", CommandKind.CANCEL: "cancel"},
    command_paths=frozenset({COMMAND_PATH}),
    error_table=error_table(),
    spell_error=spell_error,
    expire=expire,
    confirms_trades=True,
)
