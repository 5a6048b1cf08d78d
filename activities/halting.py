"""The activities of the kill switch: see what is open, cancel what no workflow may, keep how far.

Orders are canceled by their workflows; what the venue lists and we never placed is written down as
EXTERNAL first, so that it can have one. Knows no venue and no SQL.
"""

from __future__ import annotations

from temporalio import activity

from activities.access import CommandParts
from activities.contracts import CancelTask, CommandResult
from activities.halt_contracts import (
    AccountLookTask,
    DirectCancelTask,
    KillSwitchKept,
    KillSwitchTask,
)
from activities.orders import OrderActivities
from domain.accounts import Account
from domain.close_store import CloseFilter, CloseStore
from domain.commands import CommandKind
from domain.errors import NotFound
from domain.external_orders import external_order
from domain.halt_store import KillSwitchStore
from domain.halts import AccountSight, OpenOrder, open_positions, order_words
from domain.orders import Concern, Order, OrderStatus
from domain.ports import OrderFilter
from domain.timeline import EventKind, TimelineEvent
from venues.connector import VenueOrder

LIVE_STATUSES = tuple(status.value for status in OrderStatus if not status.is_terminal)
LIVE_MAX = 1000
"""So many live orders of an account are looked at in one look; the next one sees the others."""


class AccountHaltActivities:
    """The activities of `AccountHaltWorkflow`, where the venue's keys are."""

    def __init__(self, parts: CommandParts, orders: OrderActivities, closes: CloseStore) -> None:
        self._ledger = parts.ledger
        self._orders = parts.orders
        self._access = parts.access
        self._connectors = parts.connectors
        self._now = parts.now
        self._commands = orders
        self._closes = closes

    @activity.defn(name="look_at_account")
    async def look(self, task: AccountLookTask) -> AccountSight:
        """Read the venue's open orders and positions, then what of ours may still come.

        In this order: what comes to the venue after the first reading is in the second.

        Raises:
            VenueUnavailable, VenueRefused: the venue does not say.
            NotFound: the account has no credential any more.
        """
        account = (await self._access.open(task.account_id)).account
        connector = await self._connectors.connector(task.venue, account.network)
        at_venue = await connector.open_orders(account)
        activity.heartbeat("open orders")
        summary = await connector.account_summary(account)
        activity.heartbeat("positions")
        found: dict[str, OpenOrder] = {}
        for seen in at_venue:
            order = await self._known(account, seen)
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

    async def _known(self, account: Account, seen: VenueOrder) -> Order:
        """Return our record of an order at the venue, made now if we have none."""
        match = await self._orders.match(
            account.account_id,
            client_order_id=seen.client_order_id,
            venue_order_id=seen.venue_order_id,
        )
        if match is not None:
            order = await self._orders.get(match[0])
            if order is not None:
                return order
        order = external_order(account, seen, self._now())
        event = TimelineEvent(
            order_id=order.order_id,
            kind=EventKind.FINDING,
            text=f"seen at {account.venue}, not placed by us",
            at=self._now(),
        )
        return await self._orders.add(order, event)

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
