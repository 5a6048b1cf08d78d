"""The activities of `GuardWorkflow`: confirm by the venue's word, and keep the row.

They place nothing. A mark closes only when `domain.mark_checks` believes it; where it is far from
the index or the book it is read twice. Knows no venue and no SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal

from temporalio import activity

from activities.access import CommandParts
from activities.closing import find_position
from activities.guard_contracts import GuardKeepTask, GuardLookTask
from domain.accounts import Account, Position
from domain.condition_store import ConditionStore
from domain.conditions import HeldPosition, evaluate, is_due
from domain.errors import VenueRefused, VenueUnavailable
from domain.guarding import GuardPlan, GuardSight, GuardState, GuardStatus
from domain.mark_checks import SECOND_AFTER, Judge, MarkReading, Trust
from venues.connector import Connector

CANDLES = "1m"
READINGS_MAX = 3
NEARBY = Decimal("0.005")
"""Farther from every condition than this fraction, the venue's valuation is price enough."""


class GuardActivities:
    """What a guard reads and writes."""

    def __init__(
        self,
        parts: CommandParts,
        conditions: ConditionStore,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._access = parts.access
        self._orders = parts.orders
        self._connectors = parts.connectors
        self._now = parts.now
        self._conditions = conditions
        self._sleep = sleep

    @activity.defn(name="look_at_guarded")
    async def look(self, task: GuardLookTask) -> GuardSight:
        """Read position, mark, index and book from the venue, and the stored watch.

        Raises:
            VenueUnavailable, VenueRefused: the venue does not say.
            NotFound: the account has no credential any more.
            Unavailable: the store does not answer.
        """
        state, plan = task.state, task.state.plan
        stored = await self._conditions.get(plan.condition_id)
        closed = await self._conditions.how_it_closed(state.close_id)
        account = (await self._access.open(plan.account_id)).account
        connector = await self._connectors.connector(plan.venue, account.network)
        position = find_position(await connector.account_summary(account), plan.symbol)
        held = _held(position)
        if held is None:
            return GuardSight(
                at=self._now(),
                position=None,
                closed=closed,
                filled_native=await self._has_filled(state),
            )
        mark, doubt = _valued_at(position), ""
        if mark is None or task.carefully or _may_close(task, held, mark, self._now()):
            mark, doubt = await self._believed(connector, plan)
        # Without a price nothing is judged: what was missed is asked for when there is one.
        since = None if mark is None else task.gap_since
        high, low = await self._traded(connector, plan, since)
        return GuardSight(
            at=self._now(),
            position=held,
            mark=mark,
            doubt=doubt,
            watch=None if stored is None else stored.watch,
            extreme=None if stored is None else stored.extreme,
            high=high,
            low=low,
            closed=closed,
            instrument=await connector.instrument(plan.symbol),
            live_native=await self._resting(connector, account, state),
        )

    async def _believed(self, connector: Connector, plan: GuardPlan) -> tuple[Decimal | None, str]:
        """Return a mark that may be believed, or None and why there is none."""
        judge, trust = Judge(), Trust.STALE
        for number in range(READINGS_MAX):
            if number:
                await self._sleep(SECOND_AFTER.total_seconds() * 1.1)
            reading = await self._reading(connector, plan.symbol)
            if reading is None:
                return None, "the venue says no mark price"
            judge, trust = judge.judged(reading, self._now())
            if trust is Trust.GOOD:
                return reading.price, ""
            if trust is not Trust.SUSPECT:
                break
        return None, f"the mark price is {trust}"

    async def _reading(self, connector: Connector, symbol: str) -> MarkReading | None:
        tickers = await connector.tickers()
        ticker = next((each for each in tickers if each.symbol == symbol), None)
        if ticker is None or ticker.mark_price is None:
            return None
        book = await connector.order_book(symbol, depth=1)
        return MarkReading(
            price=ticker.mark_price,
            at=ticker.received_time,
            index_price=ticker.index_price,
            bid=book.bids[0].price if book.bids else None,
            ask=book.asks[0].price if book.asks else None,
        )

    async def _traded(
        self, connector: Connector, plan: GuardPlan, since: datetime | None
    ) -> tuple[Decimal | None, Decimal | None]:
        """Return the highest and lowest price since nobody watched, where the venue tells.

        Of the time before the guard nothing counts: a candle that began then is left out.
        """
        if since is None:
            return None, None
        try:
            candles = await connector.candles(plan.symbol, CANDLES, start=since, end=self._now())
        except (VenueUnavailable, VenueRefused) as error:
            # The present decides all the same; only the report of what was missed is lost.
            activity.logger.warning("trading meanwhile is not known: %s", error)
            return None, None
        seen = [candle for candle in candles if candle.open_time >= plan.created_at]
        if not seen:
            return None, None
        return max(c.high for c in seen), min(c.low for c in seen)

    async def _resting(
        self, connector: Connector, account: Account, state: GuardState
    ) -> tuple[str, ...]:
        """Return which orders of a guard rest at the venue, or are on their way there."""
        known = [order.order_id for order in state.native_orders]
        if not known:
            return ()
        at_venue = {seen.client_order_id for seen in await connector.open_orders(account)}
        found: list[str] = []
        for order_id in await self._conditions.live_orders(known):
            order = await self._orders.get(order_id)
            if order is None or order.outcome == "pending" or order.client_order_id in at_venue:
                found.append(order_id)
        return tuple(found)

    async def _has_filled(self, state: GuardState) -> bool:
        """Tell whether an order of the guard at the venue has closed the position."""
        for known in state.native_orders:
            order = await self._orders.get(known.order_id)
            if order is not None and order.filled_quantity:
                return True
        return False

    @activity.defn(name="keep_guard")
    async def keep(self, task: GuardKeepTask) -> GuardState:
        """Write how far a guard is; return what is kept."""
        return await self._conditions.keep(task.state)


def _valued_at(position: Position | None) -> Decimal | None:
    """Return the mark that the venue values a position at; it costs no question of its own."""
    if position is None or not position.notional:
        return None
    return position.notional / position.quantity


def _may_close(task: GuardLookTask, held: HeldPosition, mark: Decimal, now: datetime) -> bool:
    """Tell whether a decision may hang on the mark: then it is read with index and book."""
    state = task.state
    conditions = state.plan.conditions
    is_quiet = (
        state.status is GuardStatus.WATCHING
        and state.reported is None
        and task.gap_since is None
        and conditions.trail is None
        and not is_due(conditions, now)
    )
    if not is_quiet:
        return True
    around = (mark * (1 - NEARBY), mark * (1 + NEARBY))
    return any(
        evaluate(conditions, held, price, extreme=None, at=now, source="") for price in around
    )


def _held(position: Position | None) -> HeldPosition | None:
    if position is None or position.entry_price is None:
        return None
    return HeldPosition(
        side=position.side,
        quantity=position.quantity,
        entry_price=position.entry_price,
        leverage=position.leverage,
    )
