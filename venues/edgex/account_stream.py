"""The conversation about one account, without I/O: orders, fills, funding, and what to ask for.

The private socket tells everything unasked, first a snapshot without fills: whoever hears that the
feed is live after a gap has to read fills once. `version` rises with jumps that mean nothing, so it
tells what is stale, never what is missing. Rows may be abridged: an order's is laid over what was
told of it before, and one that is not whole even so is asked for. Money and positions are told
without prices, so their change is the sign to ask for the account.

Source: edgeX gitbook api-v2/websocket-api/private-websocket; recorded 2026-03; NOTES.md
"WebSocket".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from domain.accounts import Account
from domain.fills import Fill
from venues.connector import AccountEvent, FillsSeen, FundingSeen, OrdersSeen, VenueOrder
from venues.edgex import translate, wire
from venues.edgex.stream_session import Session

#: So many orders are remembered with the version and fields of their newest row.
_ORDERS_REMEMBERED: Final = 20_000
_FILLS_REMEMBERED: Final = 20_000
_SNAPSHOT: Final = "snapshot"
_WHOLE_ORDER: Final = ("id", "contractId", "side", "type", "status", "size", "updatedTime")


class AccountStream:
    """One account's conversation.

    `on_money` is called when money or positions changed, `on_abridged` with the ids of orders that
    were told of in parts only.
    """

    def __init__(
        self,
        account: Account,
        symbol_of: translate.SymbolOf,
        *,
        on_money: Callable[[], None] = lambda: None,
        on_abridged: Callable[[list[str]], None] = lambda ids: None,
    ) -> None:
        self._account_id = account.account_id
        self._address = account.address
        self._symbol_of = symbol_of
        self._on_money = on_money
        self._on_abridged = on_abridged
        self._session = Session()
        self.watch = self._session.watch
        self._orders: OrderedDict[str, tuple[int, dict[str, Any]]] = OrderedDict()
        self._fills: OrderedDict[str, None] = OrderedDict()

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Wait for the snapshot; there is nothing to subscribe to."""
        # Versions of one connection say nothing of another's.
        self._orders.clear()
        self._fills.clear()
        self.watch.expect(_SNAPSHOT, "no snapshot of the account", now)
        return ()

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[AccountEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        frame = self._session.read(payload)
        if frame is None or frame.type != "trade-event":
            return ()
        content = wire.decode(bytes(frame.content), wire.TradeContent)
        data = content.data
        events = (
            *self._orders_seen(data.order or [], content.version),
            *self._fills_seen(data.order_fill_transaction or []),
            *self._funding_seen(data.collateral_transaction or []),
        )
        if content.event.lower() == _SNAPSHOT:
            self.watch.answered(_SNAPSHOT)
        if data.account or data.position or data.collateral:
            self._on_money()
        return events

    def _orders_seen(self, rows: list[dict[str, Any]], version: int) -> tuple[AccountEvent, ...]:
        """Keep what is not older than what was said of the same order before."""
        orders: list[VenueOrder] = []
        abridged = []
        for row in rows:
            order_id = _id_of(row, "an order")
            self._check_account(row, "orders")
            seen, before = self._orders.get(order_id, (-1, {}))
            if version <= seen:
                continue
            whole = {**before, **row}
            self._orders[order_id] = (version, whole)
            self._orders.move_to_end(order_id)
            if all(name in whole for name in _WHOLE_ORDER):
                found = translate.order(wire.convert(whole, wire.OrderRow), self._symbol_of)
                orders += [found] if found is not None else []
            else:
                abridged.append(order_id)
        while len(self._orders) > _ORDERS_REMEMBERED:
            self._orders.popitem(last=False)
        if abridged:
            self._on_abridged(abridged)
        return (OrdersSeen(account_id=self._account_id, orders=tuple(orders)),) if orders else ()

    def _fills_seen(self, rows: list[dict[str, Any]]) -> tuple[AccountEvent, ...]:
        """Tell each fill once; what an abridged one leaves out is its order's."""
        fills: list[Fill] = []
        for row in rows:
            fill_id = _id_of(row, "a fill")
            self._check_account(row, "fills")
            _, order = self._orders.get(str(row.get("orderId", "")), (-1, {}))
            named = {"contractId": order.get("contractId"), "orderSide": order.get("side")}
            whole = {**{name: value for name, value in named.items() if value}, **row}
            found = translate.fill(
                self._account_id,
                wire.convert(whole, wire.FillRow),
                self._symbol_of,
                order.get("clientOrderId") or None,
            )
            if found is None or fill_id in self._fills:
                continue
            self._fills[fill_id] = None
            fills.append(found)
        while len(self._fills) > _FILLS_REMEMBERED:
            self._fills.popitem(last=False)
        fills.sort(key=lambda fill: fill.event_time)
        return (FillsSeen(account_id=self._account_id, fills=tuple(fills)),) if fills else ()

    def _funding_seen(self, rows: list[wire.CollateralTransaction]) -> tuple[AccountEvent, ...]:
        found = (translate.funding_payment(self._account_id, row, self._symbol_of) for row in rows)
        payments = tuple(payment for payment in found if payment is not None)
        return (FundingSeen(account_id=self._account_id, payments=payments),) if payments else ()

    def _check_account(self, row: dict[str, Any], what: str) -> None:
        account = row.get("accountId") or self._address
        if account != self._address:
            raise wire.WireError(f"expected {what} of {self._address}, found another account's")


def _id_of(row: dict[str, Any], what: str) -> str:
    found = row.get("id")
    if not isinstance(found, str) or not 0 < len(found) <= 64:
        raise wire.WireError(f"expected an id of {what}, found none")
    return found
