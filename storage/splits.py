"""Split orders in SQL: what was asked and how far it is."""

from __future__ import annotations

from typing import Any

from domain.routing_store import SplitFilter
from domain.splits import SplitState
from storage.codec import Codec
from storage.parent_orders import ParentTable
from storage.routing_tables import splits


def _fixed(state: SplitState) -> dict[str, Any]:
    plan = state.plan
    return {
        "split_id": plan.split_id,
        "owner": plan.owner,
        "symbol": plan.symbol,
        "created_at": plan.created_at,
    }


SPLITS: ParentTable[SplitState, SplitFilter] = ParentTable(
    table=splits, states=Codec(SplitState), fixed=_fixed
)
