"""The activities of `SplitWorkflow`: keep how far it is, and read how its children stand.

They place nothing: the children are workflows of their own. Knows no venue and no SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from temporalio import activity

from activities.access import Checkpoints
from activities.split_contracts import SplitTask
from domain.brackets import news_of
from domain.routing_store import SplitStore
from domain.split_steps import after_look
from domain.splits import SplitSight, SplitState


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitActivities:
    """What a split order reads and writes; `now` is our clock, aware UTC."""

    splits: SplitStore
    now: Callable[[], datetime]
    checkpoints: Checkpoints

    @activity.defn(name="keep_split")
    async def keep(self, task: SplitTask) -> SplitState:
        """Write how far a split order is; return what is kept."""
        kept = await self.splits.keep(task.state)
        self.checkpoints.reached(f"split.{task.state.status.lower()}_kept")
        return kept

    @activity.defn(name="look_at_split")
    async def look(self, task: SplitTask) -> SplitSight:
        """Read how the children stand, and keep what follows: others read the store meanwhile."""
        orders = await self.splits.orders([leg.order_id for leg in task.state.legs])
        sight = SplitSight(at=self.now(), orders=tuple(news_of(order) for order in orders))
        await self.splits.keep(after_look(task.state, sight))
        return sight
