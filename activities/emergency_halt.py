"""Cancel all and close all without Temporal, and without the database if need be.

What an operator runs when nothing else answers, and what the kill switch falls back to while the
database is away. Safe beside a running worker: every cancel and every close is one command of the
ledger, or of the journal that it absorbs, and closes are reduce-only. Knows no venue and no SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from activities.access import CommandParts
from activities.contracts import CancelTask, CommandResult, PlaceTask
from activities.orders import OrderActivities
from activities.venue_orders import known_order
from domain.accounts import Account, TradingAccess
from domain.closing import DEFAULT_SLIPPAGE_BPS, closing_side
from domain.commands import CommandKind
from domain.errors import PerpDexError, Unavailable
from domain.external_orders import external_order
from domain.halts import AccountSight, OpenOrder, OpenPosition, open_positions, order_words
from domain.orders import Concern, Order, OrderType, Origin, TimeInForce
from domain.watchdog import to_cancel
from venues.connector import Connector, VenueOrder

AT_ONCE = 10
PLACE_WITHIN = timedelta(seconds=15)
STORE_WITHIN_S = 2.0
"""How long the database may take to say which order of ours one at the venue is."""


class EmergencyHalt:
    """Stops one account after the other, by what the venue lists."""

    def __init__(self, parts: CommandParts, commands: OrderActivities) -> None:
        """Take the parts; `commands` sends without the database what may go without it."""
        self._ledger = parts.ledger
        self._orders = parts.orders
        self._connectors = parts.connectors
        self._now = parts.now
        self._commands = commands
        self._numbers: dict[str, int] = {}

    async def look(self, access: TradingAccess, *, symbol: str | None = None) -> AccountSight:
        """Read what the venue shows open, in one market if told; nothing of ours is needed.

        Raises:
            VenueUnavailable, VenueRefused: the venue does not say.
        """
        account = access.account
        connector = await self._connectors.connector(account.venue, account.network)
        return self._sight(connector, *await _read(connector, account, symbol))

    async def stop_once(
        self,
        access: TradingAccess,
        *,
        flatten: bool,
        symbol: str | None = None,
        beat: Callable[[], object] = lambda: None,
    ) -> AccountSight:
        """Cancel what the venue lists, close what it shows if asked, and return what it showed.

        With a `symbol` only that market is looked at and touched.
        `beat` is called after each step.

        Raises:
            VenueUnavailable, VenueRefused: the venue does not say what is open.
        """
        account = access.account
        connector = await self._connectors.connector(account.venue, account.network)
        listed, positions = await _read(connector, account, symbol)
        notes = await self._cancel(account, listed, beat)
        if flatten and not listed:
            for position in positions:
                beat()
                notes.append(await self._close(account, connector, position))
        sight = self._sight(connector, listed, positions)
        return replace(sight, note="; ".join(dict.fromkeys(note for note in notes if note)))

    async def clear_once(self, access: TradingAccess) -> AccountSight:
        """Cancel what the venue lists but for what protects a position; return what was to go.

        Raises:
            VenueUnavailable, VenueRefused: the venue does not say what is open.
        """
        account = access.account
        connector = await self._connectors.connector(account.venue, account.network)
        listed = await connector.open_orders(account)
        positions: tuple[OpenPosition, ...] | None = None
        if any(seen.trigger_price is not None for seen in listed):
            with contextlib.suppress(PerpDexError):
                positions = open_positions((await connector.account_summary(account)).positions)
        going = to_cancel(listed, positions)
        notes = await self._cancel(account, going, lambda: None)
        sight = self._sight(connector, going, positions or ())
        return replace(sight, note="; ".join(dict.fromkeys(note for note in notes if note)))

    async def stop(
        self,
        access: TradingAccess,
        *,
        flatten: bool,
        within_s: float,
        symbol: str | None = None,
        pause_s: float = 1.0,
    ) -> AccountSight:
        """Go on until the venue shows nothing that has to go, twice, or the time is over.

        Returns what was seen last; a failing venue is asked again.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        clean = 0
        while True:
            delay_s = pause_s
            try:
                sight = await self.stop_once(access, flatten=flatten, symbol=symbol)
                is_clean = not sight.still_open(positions_too=flatten)
                clean = clean + 1 if is_clean else 0
                if is_clean:
                    delay_s = max(pause_s, sight.visibility_delay_s)
            except PerpDexError as error:
                clean = 0
                sight = AccountSight(at=self._now(), note=f"not known what is open: {error}")
            if clean > 1 or loop.time() >= deadline:
                return sight
            await asyncio.sleep(delay_s)

    def _sight(
        self,
        connector: Connector,
        listed: tuple[VenueOrder, ...],
        positions: tuple[OpenPosition, ...],
    ) -> AccountSight:
        orders = tuple(
            OpenOrder(
                order_id=seen.client_order_id or seen.venue_order_id,
                text=order_words(
                    seen.symbol, seen.side, seen.quantity, seen.price, seen.venue_order_id
                ),
                at_venue=True,
            )
            for seen in listed
        )
        return AccountSight(
            at=self._now(),
            orders=orders,
            positions=positions,
            visibility_delay_s=connector.proofs.visibility_delay_s,
        )

    # Cancels

    async def _cancel(
        self, account: Account, listed: tuple[VenueOrder, ...], beat: Callable[[], object]
    ) -> list[str]:
        limit = asyncio.Semaphore(AT_ONCE)

        async def cancel(seen: VenueOrder) -> str:
            async with limit:
                beat()
                try:
                    result = await self._commands.cancel(await self._cancel_task(account, seen))
                except PerpDexError as error:
                    return f"order {seen.venue_order_id} not canceled: {error}"
                return f"order {seen.venue_order_id}: {result.answer}"

        return list(await asyncio.gather(*(cancel(seen) for seen in listed)))

    async def _cancel_task(self, account: Account, seen: VenueOrder) -> CancelTask:
        order, number = await self._order_of(account, seen)
        number = max(number, self._numbers.get(order.order_id, 0))
        self._numbers[order.order_id] = number + 1
        newest = order.current
        return CancelTask(
            order_id=order.order_id,
            number=number,
            revision=0 if newest is None else newest.number,
            concern=Concern.PENDING_CANCEL,
            order=order,
        )

    async def _order_of(self, account: Account, seen: VenueOrder) -> tuple[Order, int]:
        """Return our record of an order, and the number of its next cancel.

        With the database away it is told as one that somebody else placed; whose it was turns out
        when the journal is absorbed.
        """
        try:
            async with asyncio.timeout(STORE_WITHIN_S):
                order = await known_order(self._orders, account, seen, self._now())
                rows = await self._ledger.of_order(order.order_id)
        except (Unavailable, TimeoutError):
            return external_order(account, seen, self._now()), 0
        cancels = [row.key.revision for row in rows if row.key.command is CommandKind.CANCEL]
        return order, max(cancels, default=-1) + 1

    # Closes

    async def _close(self, account: Account, connector: Connector, position: OpenPosition) -> str:
        try:
            instrument = await connector.instrument(position.symbol)
            quantity = instrument.floor_quantity(position.quantity)
            order = self._closing_order(account, position, quantity)
            result: CommandResult = await self._commands.place(
                PlaceTask(
                    order=order,
                    revision=0,
                    quantity=quantity,
                    price=None,
                    not_after=order.place_by,
                )
            )
        except PerpDexError as error:
            return f"position {position} not closed: {error}"
        return f"position {position}: {result.answer}"

    def _closing_order(self, account: Account, position: OpenPosition, quantity: Decimal) -> Order:
        order_id = str(uuid.uuid4())
        return Order(
            order_id=order_id,
            owner=account.owner,
            account_id=account.account_id,
            venue=account.venue,
            symbol=position.symbol,
            side=closing_side(position.side),
            order_type=OrderType.MARKET,
            quantity=quantity,
            time_in_force=TimeInForce.IOC,
            created_at=self._now(),
            place_by=self._now() + PLACE_WITHIN,
            reduce_only=True,
            max_slippage_bps=DEFAULT_SLIPPAGE_BPS,
            fingerprint="emergency",
            idempotency_key=f"emergency/{order_id}",
            origin=Origin.KILL_SWITCH,
        )


async def _read(
    connector: Connector, account: Account, symbol: str | None
) -> tuple[tuple[VenueOrder, ...], tuple[OpenPosition, ...]]:
    listed = await connector.open_orders(account)
    positions = open_positions((await connector.account_summary(account)).positions)
    if symbol is None:
        return listed, positions
    return (
        tuple(seen for seen in listed if seen.symbol == symbol),
        tuple(position for position in positions if position.symbol == symbol),
    )
