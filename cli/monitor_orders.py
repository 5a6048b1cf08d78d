"""Orders as they are followed: the open ones, those that ended lately, what happened. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cli.account_states import AccountStates
from cli.live_table import Cell, LiveTable, Notes, Tone, age_text
from cli.order_output import order_json
from cli.output import json_ready, safe

if TYPE_CHECKING:
    from perp_dex_client import Order, OrderEvent

ENDED_SHOWN_MAX: Final = 10
_COLUMNS: Final = (
    *("account", "symbol", "side", "quantity", "filled", "price", "average"),
    *("status", "age", "feed", "order id"),
)
_TONES: Final[dict[str, Tone]] = {"UNKNOWN": "alarm", "REJECTED": "bad", "FILLED": "good"}


class OrdersView:
    """Implements `cli.live_table.View` for orders."""

    def __init__(
        self,
        labels: Mapping[str, str],
        clock: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.title = "orders"
        self._states = AccountStates(labels, clock)
        self._now = now
        self._orders: dict[str, Order] = {}
        self._notes = Notes()
        #: Accounts whose snapshot is not whole yet.
        self._unfinished: set[str] = set()

    def take(self, event: OrderEvent) -> list[str]:
        """Keep an event; return what it tells."""
        if event.kind == "status":
            return self._notes.add(self._states.take(event))
        if event.kind == "snapshot":
            return self._notes.add(self._snapshot(event))
        lines = []
        for order in event.orders:
            self._orders[order.order_id] = order
            what = "" if event.event is None else f" · {safe(event.event.text)}"
            lines.append(f"{safe(order.updated_at)} {self._line(order)}{what}")
        self._forget_old()
        return self._notes.add(lines)

    def document(self, event: OrderEvent) -> dict[str, Any]:
        """Return an event in the shape that `--json` prints."""
        document = self._states.document("orders", event)
        if event.kind == "status":
            return document
        orders = [{**order_json(order), "account": document["account"]} for order in event.orders]
        if event.kind == "snapshot":
            return {**document, "more": event.more, "orders": orders}
        return {**document, "event": json_ready(event.event), "order": orders[0]}

    def tables(self) -> tuple[LiveTable, ...]:
        """Return the orders, open ones first, the newest first."""
        orders = sorted(self._orders.values(), key=lambda o: o.updated_at, reverse=True)
        orders.sort(key=lambda order: order.is_terminal)
        right = frozenset(("quantity", "filled", "price", "average", "age"))
        rows = tuple(self._row(order) for order in orders)
        return (LiveTable(columns=_COLUMNS, rows=rows, right=right, nothing="no open orders"),)

    def notes(self) -> list[str]:
        """Return the latest lines."""
        return self._notes.all()

    def _snapshot(self, event: OrderEvent) -> list[str]:
        account_id = event.account_id
        if account_id not in self._unfinished:
            self._orders = {
                key: order for key, order in self._orders.items() if order.account_id != account_id
            }
        (self._unfinished.add if event.more else self._unfinished.discard)(account_id)
        self._orders.update({order.order_id: order for order in event.orders})
        self._forget_old()
        lines = [
            f"{safe(order.updated_at)} {self._line(order)}"
            for order in event.orders
            if not order.is_terminal
        ]
        if not lines and not event.more:
            lines = [f"{self._states.label(account_id)}: no open orders"]
        return lines

    def _forget_old(self) -> None:
        ended = sorted(
            (order for order in self._orders.values() if order.is_terminal),
            key=lambda order: order.updated_at,
            reverse=True,
        )
        for order in ended[ENDED_SHOWN_MAX:]:
            del self._orders[order.order_id]

    def _line(self, order: Order) -> str:
        price = "market" if order.price is None else safe(order.price)
        return (
            f"{self._states.label(order.account_id)} {order.side} {safe(order.quantity)} "
            f"{safe(order.symbol)} @ {price} {order.status} filled {safe(order.filled_quantity)} "
            f"{order.order_id}"
        )

    def _row(self, order: Order) -> tuple[Cell, ...]:
        tone: Tone = "old" if order.is_terminal else ""
        age = age_text((self._now() - order.updated_at).total_seconds())
        return (
            Cell(self._states.label(order.account_id), tone),
            Cell(order.symbol, tone),
            Cell(order.side, "good" if order.side == "BUY" else "bad"),
            Cell(order.quantity, tone),
            Cell(order.filled_quantity, tone),
            Cell("market" if order.price is None else order.price, tone),
            Cell(order.average_price, tone),
            Cell(order.status, _TONES.get(order.status, tone)),
            Cell(age, tone),
            self._states.cell(order.account_id),
            Cell(order.order_id, tone),
        )
