"""Vest's rig for the conformance suite."""

from __future__ import annotations

import json

from domain.commands import CommandKind
from tests.conformance.rig import Opened, VenueRig, WireReply
from venues.error_table import ErrorRow, ErrorScope
from venues.simulation.server import RunningSimulator
from venues.vest.dispatch import PATHS
from venues.vest.refusals import error_table
from venues.vest.simulator_views import order_id
from venues.vest.wire import PREFIX


def spell_error(row: ErrorRow) -> WireReply:
    """Write a refusal in the page's envelope."""
    if row.scope is ErrorScope.HTTP:
        return WireReply(status=int(row.spelled), body=b"null")
    code, name = row.spelled.split(" ")
    body = {"code": int(code), "msg": name}
    return WireReply(status=400, body=json.dumps(body).encode())


async def expire(running: RunningSimulator, opened: Opened) -> None:
    """End the registration, as its time would."""
    exchange = running.exchange
    with exchange.action("expire signing key") as receipt:
        agent = exchange.tables.agents[opened["signing_address"]]
        agent.valid_until_ms = exchange.now_ms()
        exchange.tables.record(agent)
    await exchange.durable(receipt)


def primary(opened: Opened) -> str:
    """Return a credential whose key is the account's own."""
    fields = json.loads(opened["private_key"])
    return json.dumps({**fields, "signingKey": opened["primary_private_key"]})


RIG = VenueRig(
    venue="vest",
    paper_variable="VEST_PAPER_URL",
    address=lambda opened: opened["address"],
    signer=lambda opened: opened["signing_address"],
    credential=lambda opened: opened["private_key"],
    refused_credentials={"the primary key": primary},
    actions={CommandKind.PLACE: "order", CommandKind.CANCEL: "cancel"},
    command_paths=frozenset(PREFIX + path for path in PATHS.values()),
    error_table=error_table(),
    spell_error=spell_error,
    expire=expire,
    venue_order_id=order_id,
)
