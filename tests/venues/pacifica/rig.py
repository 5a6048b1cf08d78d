"""Pacifica's rig for the conformance suite."""

from __future__ import annotations

import json

from domain.commands import CommandKind
from tests.conformance.rig import Opened, VenueRig, WireReply
from venues.error_table import ErrorRow, ErrorScope
from venues.pacifica.actions import PATHS
from venues.pacifica.refusals import error_table
from venues.pacifica.rest import PREFIX
from venues.simulation.server import RunningSimulator

#: Refusals that come before the engine, as JSON here and as bare text at times.
_BEFORE_ENGINE = {"bad_signature", "unknown_signer", "admission_expired", "not_whitelisted"}


def spell_error(row: ErrorRow) -> WireReply:
    """Write a refusal; texts have ids and amounts behind their beginning."""
    if row.scope is ErrorScope.HTTP:
        return WireReply(status=int(row.spelled), body=b"null")
    status = 400 if row.code in _BEFORE_ENGINE else 422
    if row.scope is ErrorScope.ORDER:
        return _refusal(status, "Refused", int(row.spelled.removeprefix("code ")))
    return _refusal(status, f"{row.spelled} for A1: 7", 400 if status == 400 else 0)


def _refusal(status: int, text: str, code: int) -> WireReply:
    body = {"success": False, "data": None, "error": text, "code": code}
    return WireReply(status=status, body=json.dumps(body).encode())


async def expire(running: RunningSimulator, opened: Opened) -> None:
    """Revoke the agent: at this venue agents have no time of their own."""
    exchange = running.exchange
    with exchange.action("revoke agent") as receipt:
        agent = exchange.tables.agents[opened["agent_address"]]
        agent.revoked = True
        exchange.tables.record(agent)
    await exchange.durable(receipt)


RIG = VenueRig(
    venue="pacifica",
    paper_variable="PACIFICA_PAPER_URL",
    address=lambda opened: opened["address"],
    signer=lambda opened: opened["agent_address"],
    credential=lambda opened: opened["private_key"],
    refused_credentials={"the main key": lambda opened: opened["master_private_key"]},
    actions={CommandKind.PLACE: "order", CommandKind.CANCEL: "cancel"},
    command_paths=frozenset(PREFIX + path for path in PATHS.values()),
    error_table=error_table(),
    spell_error=spell_error,
    expire=expire,
    confirms_trades=True,
)
