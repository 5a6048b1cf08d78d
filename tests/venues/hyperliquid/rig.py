"""Hyperliquid's rig for the conformance suite."""

from __future__ import annotations

import json

from domain.commands import CommandKind
from tests.conformance.rig import Opened, VenueRig, WireReply
from venues.error_table import ErrorRow, ErrorScope
from venues.hyperliquid.refusals import error_table
from venues.simulation.server import RunningSimulator


def spell_error(row: ErrorRow) -> WireReply:
    """Write a refusal with the ids and amounts that live texts carry behind their beginning."""
    if row.scope is ErrorScope.HTTP:
        return WireReply(status=int(row.spelled), body=b"null")
    text = f"{row.spelled} 0x1 asset=0"
    if row.scope is ErrorScope.REQUEST:
        return WireReply(status=200, body=json.dumps({"status": "err", "response": text}).encode())
    statuses = {"type": "order", "data": {"statuses": [{"error": text}]}}
    return WireReply(status=200, body=json.dumps({"status": "ok", "response": statuses}).encode())


async def expire(running: RunningSimulator, opened: Opened) -> None:
    """Let the agent's time be over."""
    exchange = running.exchange
    with exchange.action("expire agent") as receipt:
        agent = exchange.tables.agents[opened["agent_address"]]
        agent.valid_until_ms = exchange.tables.now_ms - 1
        exchange.tables.record(agent)
    await exchange.durable(receipt)


RIG = VenueRig(
    venue="hyperliquid",
    paper_variable="HYPERLIQUID_PAPER_URL",
    address=lambda opened: opened["address"],
    signer=lambda opened: opened["agent_address"],
    credential=lambda opened: opened["private_key"],
    refused_credentials={"the master key": lambda opened: opened["master_private_key"]},
    actions={CommandKind.PLACE: "order", CommandKind.CANCEL: "cancel", CommandKind.NOOP: "noop"},
    command_paths=frozenset({"/exchange"}),
    error_table=error_table(),
    spell_error=spell_error,
    expire=expire,
    confirms_trades=True,
)
