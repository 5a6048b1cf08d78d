"""Judges an order that nobody can decide: a venue without a fence, and no trace of the order there.

It has to stay UNKNOWN for as long as it takes, ask for an operator, keep others from its market,
and end by the operator's word.
"""

from __future__ import annotations

from temporalio.client import Client

from tests.crash.ground import Party, count
from tests.crash.rig import Rig, eventually
from workflows.ids import NEEDS_ATTENTION, order_workflow_id

FLAGGED_WITHIN_S = 90.0


async def judge_undecidable(rig: Rig, party: Party, order_id: str, price: str) -> None:
    """Check all that is promised of such an order, and end it by an operator's word."""

    async def is_flagged() -> bool:
        client = await Client.connect(rig.temporal_address)
        described = await client.get_workflow_handle(order_workflow_id(order_id)).describe()
        return bool(described.typed_search_attributes.get(NEEDS_ATTENTION, False))

    trader, ground = party.trader, party.ground
    await eventually(is_flagged, within_s=FLAGGED_WITHIN_S, what=f"{order_id} to be flagged")
    order = await trader.get(order_id)
    assert order["status"] == "UNKNOWN", f"expected UNKNOWN without a proof, found {order}"
    await count(rig, party, price, live=0, ever=0)
    barred = await trader.place(f"beside-{order_id}", **ground.resting(price))
    assert barred["status"] == "DENIED", f"expected its market to be blocked, found {barred}"
    assert "blocked" in barred["reason"], f"expected the reason of the block, found {barred}"
    ended = await trader.resolve(order_id, "absent", "the exchange's own ledger has no such order")
    # Of a modify the order itself was there once; only what was to take its place never came.
    was_there = ended["revision"] > 0
    assert ended["outcome"] == ("accepted" if was_there else "not_sent"), f"found {ended}"
    assert ended["is_terminal"], f"expected the operator's word to end it, found {ended}"
    assert "operator" in ended["reason"], f"expected the operator's word, found {ended}"
    placed = await trader.place(f"after-{order_id}", **ground.resting(price))
    assert placed["status"] == "ACCEPTED", f"expected the market to be open again, found {placed}"
    await trader.cancel(placed["order_id"], f"after-{order_id}-end")
    await count(rig, party, price, live=0, ever=1)
