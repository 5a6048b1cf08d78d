"""The activities of `BracketWorkflow`: keep how far it is, and read how its orders stand.

They place nothing: entry and exits are workflows of their own. Knows no venue and no SQL.
"""

from __future__ import annotations

from decimal import Decimal

from temporalio import activity

from activities.access import CommandParts
from activities.bracket_contracts import BracketTask
from activities.closing import find_position
from domain.bracket_steps import after_look
from domain.bracket_store import BracketStore
from domain.brackets import BracketPlan, BracketSight, BracketState, news_of
from venues.connector import Connector


class BracketActivities:
    """What a bracket reads and writes."""

    def __init__(self, parts: CommandParts, brackets: BracketStore) -> None:
        self._access = parts.access
        self._connectors = parts.connectors
        self._brackets = brackets
        self._now = parts.now

    @activity.defn(name="keep_bracket")
    async def keep(self, task: BracketTask) -> BracketState:
        """Write how far a bracket is; return what is kept."""
        return await self._brackets.keep(task.state)

    @activity.defn(name="look_at_bracket")
    async def look(self, task: BracketTask) -> BracketSight:
        """Keep how far the bracket is, read how its orders stand, and keep what follows from that.

        The venue's position is read too where it is in doubt. There may be nothing to do for long
        after this look: whoever reads the store meanwhile shall see what it saw.

        Raises:
            VenueUnavailable, VenueRefused: the venue does not say.
            NotFound: the account has no credential any more.
        """
        state = await self._brackets.keep(task.state)
        plan = state.plan
        ids = (plan.bracket_id, *(leg.order_id for leg in state.legs))
        orders = await self._brackets.orders(ids)
        account = (await self._access.open(plan.entry.account_id)).account
        connector = await self._connectors.connector(plan.entry.venue, account.network)
        held = None
        if state.position_doubted:
            held = await self._held(connector, plan)
        sight = BracketSight(
            at=self._now(),
            instrument=await connector.instrument(plan.entry.symbol),
            orders=tuple(news_of(order) for order in orders),
            held=held,
        )
        if not state.status.is_terminal:
            await self._brackets.keep(after_look(state, sight))
        return sight

    async def _held(self, connector: Connector, plan: BracketPlan) -> Decimal:
        account = (await self._access.open(plan.entry.account_id)).account
        summary = await connector.account_summary(account)
        position = find_position(summary, plan.entry.symbol)
        if position is None or position.side is not plan.position_side:
            return Decimal(0)
        return position.quantity
