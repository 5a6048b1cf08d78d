"""The activities of the kill switch: see what is open, cancel what no workflow may, keep how far.

Orders are canceled by their workflows; what the venue lists and we never placed is written down as
EXTERNAL first, so that it can have one. Knows no venue and no SQL.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from temporalio import activity

from activities.access import CommandParts
from activities.contracts import CancelTask, CommandResult
from activities.emergency_halt import EmergencyHalt
from activities.emergency_journal import LastAccess
from activities.halt_contracts import (
    AccountLookTask,
    DirectCancelTask,
    KillSwitchKept,
    KillSwitchTask,
)
from activities.orders import OrderActivities
from activities.venue_orders import known_order
from domain.accounts import Account
from domain.close_store import CloseFilter, CloseStore
from domain.commands import CommandKind
from domain.errors import NotFound, Unavailable, VenueUnavailable
from domain.halt_store import KillSwitchStore
from domain.halts import AccountSight, OpenOrder, open_positions, order_words
from domain.orders import Concern, Order, OrderStatus
from domain.ports import OrderFilter
from venues.connector import VenueOrder

LIVE_STATUSES = tuple(status.value for status in OrderStatus if not status.is_terminal)
LOOK_WITHIN_S = 8.0
"""Longer than that the database is taken to be away."""
LIVE_MAX = 1000
"""So many live orders of an account are looked at in one look; the next one sees the others."""


class AccountHaltActivities:
    """The activities of `AccountHaltWorkflow`, where the venue's keys are."""

    def __init__(
        self,
        parts: CommandParts,
        orders: OrderActivities,
        closes: CloseStore,
        *,
        without_database: EmergencyHalt | None = None,
        last_access: LastAccess | None = None,
    ) -> None:
        """Take the parts; with the last two the database may be away."""
        self._ledger = parts.ledger
        self._orders = parts.orders
        self._access = parts.access
        self._connectors = parts.connectors
        self._now = parts.now
        self._commands = orders
        self._closes = closes
        self._without_database = without_database
        self._last_access = last_access

    @activity.defn(name="look_at_account")
    async def look(self, task: AccountLookTask) -> AccountSight:
        """Read the venue's open orders and positions, then what of ours may still come.

        With the database away nobody else can cancel or close: then this does both, journaled, by
        what the venue lists.

        Raises:
            VenueUnavailable, VenueRefused: the venue does not say.
            NotFound: the account has no credential any more.
        """
        try:
            async with asyncio.timeout(LOOK_WITHIN_S):
                return await self._look(task)
        except VenueUnavailable:
            raise
        except (Unavailable, TimeoutError):
            if self._without_database is None or self._last_access is None:
                raise
        access = self._last_access.last(task.account_id)
        sight = await self._without_database.stop_once(
            access, flatten=task.flatten, beat=activity.heartbeat
        )
        # Not a look to end by: what our own store knows is not in it.
        unseen = OpenOrder(order_id="", text="what only the database knows", at_venue=False)
        return replace(sight, orders=(*sight.orders, unseen), note=f"journaled: {sight.note}")

    async def _look(self, task: AccountLookTask) -> AccountSight:
        """Read the venue first: what comes to it after that is in the second reading."""
        account = (await self._access.open(task.account_id)).account
        connector = await self._connectors.connector(task.venue, account.network)
        at_venue = await connector.open_orders(account)
        activity.heartbeat("open orders")
        summary = await connector.account_summary(account)
        activity.heartbeat("positions")
        found: dict[str, OpenOrder] = {}
        for seen in at_venue:
            order = await known_order(self._orders, account, seen, self._now())
            found[order.order_id] = _as_seen(order, seen)
        for order in await self._live(account):
            if order.order_id not in found:
                found[order.order_id] = _as_kept(order)
        running = await self._closes.page(
            CloseFilter(owner=account.owner, account_id=account.account_id, running=True)
        )
        return AccountSight(
            at=self._now(),
            orders=tuple(found.values()),
            positions=open_positions(summary.positions),
            closes=tuple(dict.fromkeys(state.plan.symbol for state in running)),
            visibility_delay_s=connector.proofs.visibility_delay_s,
        )

    async def _live(self, account: Account) -> tuple[Order, ...]:
        wanted = OrderFilter(
            owner=account.owner,
            account_id=account.account_id,
            statuses=LIVE_STATUSES,
            limit=LIVE_MAX,
        )
        return (await self._orders.page(wanted)).orders

    @activity.defn(name="cancel_directly")
    async def cancel_directly(self, task: DirectCancelTask) -> CommandResult:
        """Cancel an order at the venue by a command of its own, journaled as any other.

        For what rests there although our record has ended, or although its workflow was asked.

        Raises:
            NotFound: there is no such order, or it never came to the venue.
        """
        order = await self._orders.get(task.order_id)
        newest = None if order is None else order.current
        if order is None or newest is None:
            raise NotFound(f"expected an order that may rest at the venue, found {task.order_id}")
        rows = await self._ledger.of_order(order.order_id)
        cancels = [row.key.revision for row in rows if row.key.command is CommandKind.CANCEL]
        return await self._commands.cancel(
            CancelTask(
                order_id=order.order_id,
                number=max(cancels, default=-1) + 1,
                revision=newest.number,
                concern=Concern.NONE if order.is_terminal else Concern.PENDING_CANCEL,
                order=order,
            )
        )


class KillSwitchActivities:
    """The activities of `KillSwitchWorkflow`, on the queue without keys."""

    def __init__(self, kill_switches: KillSwitchStore) -> None:
        self._kill_switches = kill_switches

    @activity.defn(name="keep_kill_switch")
    async def keep(self, task: KillSwitchTask) -> KillSwitchKept:
        """Write how far a kill switch is; return what is kept, and the accounts of its scope."""
        kept = await self._kill_switches.keep(task.state)
        return KillSwitchKept(
            state=kept, accounts=await self._kill_switches.accounts(task.state.scope)
        )


def _as_seen(order: Order, seen: VenueOrder) -> OpenOrder:
    name = order.order_id if order.origin.is_ours else f"{order.origin.value} {order.order_id}"
    return OpenOrder(
        order_id=order.order_id,
        text=order_words(seen.symbol, seen.side, seen.quantity, seen.price, name),
        at_venue=True,
        direct=order.is_terminal,
    )


def _as_kept(order: Order) -> OpenOrder:
    name = f"{order.status.value} {order.order_id}"
    return OpenOrder(
        order_id=order.order_id,
        text=order_words(order.symbol, order.side, order.quantity, order.price, name),
        at_venue=False,
    )
