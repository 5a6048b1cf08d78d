"""EdgeX's rig for the conformance suite."""

from __future__ import annotations

import json

from domain.commands import CommandKind
from tests.conformance.rig import Opened, VenueRig, WireReply
from venues.edgex.actions import PATHS
from venues.edgex.refusals import error_table
from venues.edgex.rest import PREFIX
from venues.error_table import ErrorRow, ErrorScope
from venues.simulation.server import RunningSimulator

#: Refusals that were seen, or are supposed, with a status of HTTP other than 200.
_STATUSES = {
    "INVALID_API_KEY": 401,
    "GATEWAY_PARAM_INVALID": 400,
    "GATEWAY_HEADER_REQUIRED": 400,
    "INVALID_TIMESTAMP": 401,
    "INVALID_SIGNATURE": 401,
}


def spell_error(row: ErrorRow) -> WireReply:
    """Write a refusal; those of the business come with HTTP 200."""
    if row.scope is ErrorScope.HTTP:
        return WireReply(status=int(row.spelled), body=b"<html></html>", content_type="text/html")
    code = row.spelled
    if row.scope is ErrorScope.ORDER:
        # Words that may stand anywhere in a code.
        code = f"ORDER_{code}_CLIENT_ID"
    body = {"code": code, "data": None, "msg": "refused", "errorParam": None, "traceId": "0"}
    return WireReply(status=_STATUSES.get(code, 200), body=json.dumps(body).encode())


async def expire(running: RunningSimulator, opened: Opened) -> None:
    """Revoke API key and signer key: at this venue neither has a time of its own."""
    exchange = running.exchange
    with exchange.action("revoke keys") as receipt:
        for agent in exchange.tables.agents.values():
            if agent.account == opened["address"]:
                agent.revoked = True
                exchange.tables.record(agent)
    await exchange.durable(receipt)


RIG = VenueRig(
    venue="edgex",
    paper_variable="EDGEX_PAPER_URL",
    address=lambda opened: opened["address"],
    signer=lambda opened: opened["agent_address"],
    credential=lambda opened: opened["private_key"],
    refused_credentials={"the wallet's key": lambda opened: opened["master_private_key"]},
    actions={CommandKind.PLACE: "order", CommandKind.CANCEL: "cancel"},
    command_paths=frozenset(PREFIX + path for path in PATHS.values()),
    error_table=error_table(),
    spell_error=spell_error,
    expire=expire,
    # A lot of BTC is worth too much for orders of a few lots.
    symbol="ETH-PERP",
    confirms_trades=True,
)
