"""What has to be true after the storm, by the exchange's own ledger: pure comparisons.

Each function returns what is wrong, a line for each; nothing is an answer of "all is well".
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from domain.fills import Fill
from domain.orders import Order
from domain.timeline import EventKind, OrderChange, TimelineEvent
from streaming.channels import RECENTLY_ENDED_MAX
from streaming.schema import event_view, order_view
from tests.stream_chaos.follower import Heard

Json = dict[str, Any]

#: The venue rounds what an account is worth to so much.
MONEY_WITHIN: Final = Decimal("0.01")


def judge_fills(account_id: str, booked: Collection[Fill], ledger: Collection[Json]) -> list[str]:
    """The fills in storage are those of the exchange, each once, number for number."""
    ours = Counter(_booked(fill) for fill in booked)
    theirs = Counter(_happened(row) for row in ledger)
    return [
        *(
            f"{account_id}: {n} times booked that never was: {key}"
            for key, n in (ours - theirs).items()
        ),
        *(f"{account_id}: {n} times not booked: {key}" for key, n in (theirs - ours).items()),
    ]


def _booked(fill: Fill) -> tuple[str, ...]:
    return (
        fill.trade_id,
        fill.venue_order_id,
        fill.side.value.lower(),
        _number(fill.quantity),
        _number(fill.price),
        _number(fill.fee),
        str(fill.key[-1]),
    )


def _happened(row: Json) -> tuple[str, ...]:
    return (
        row["trade_id"],
        row["venue_order_id"],
        row["side"],
        _number(row["quantity"]),
        _number(row["price"]),
        _number(row["fee"]),
        str(row["time"]),
    )


def judge_orders(orders: Collection[Order], ledger: Collection[Json]) -> list[str]:
    """Every order of ours has the quantity filled, and the life, that it has at the exchange."""
    rows = {row["client_order_id"]: row for row in ledger if row["client_order_id"]}
    wrong: list[str] = []
    for order in orders:
        row = rows.get(order.client_order_id)
        if row is None:
            wrong.append(f"order {order.order_id} is not at the exchange")
        elif Decimal(row["filled_quantity"]) != order.filled_quantity:
            wrong.append(
                f"order {order.order_id}: filled {order.filled_quantity} by us, "
                f"{row['filled_quantity']} at the exchange"
            )
        elif row["is_live"] == order.is_terminal:
            wrong.append(
                f"order {order.order_id}: {order.status} by us, {row['status']} at the exchange"
            )
    return wrong


def judge_timeline(
    order: Order, fills: Collection[Fill], timeline: Collection[TimelineEvent]
) -> list[str]:
    """An order's story tells of each of its fills once."""
    told = sum(event.kind is EventKind.FILL for event in timeline)
    if told != len(fills):
        return [f"order {order.order_id}: {len(fills)} fills, told of {told} times"]
    return []


def judge_changes(account_id: str, changes: Sequence[OrderChange]) -> list[str]:
    """An account's changes are numbered from one without a gap."""
    numbers = [change.sequence for change in changes]
    if numbers != list(range(1, len(numbers) + 1)):
        return [f"{account_id}: its changes are numbered {numbers[:5]} … {numbers[-5:]}"]
    return []


def judge_orders_follower(
    name: str, heard: Sequence[Heard], changes: Sequence[OrderChange]
) -> list[str]:
    """A client got every change once and in order, or a snapshot that holds what it did not."""
    by_number = {change.sequence: change for change in changes}
    wrong: list[str] = []
    at: int | None = None
    for one in heard:
        if one.kind == "snapshot":
            wrong += _jumped(name, one, at or 0, by_number)
        elif at is None or one.seq != at + 1:
            wrong.append(f"{name}: change {one.seq} after {at}")
        elif one.seq not in by_number:
            wrong.append(f"{name}: change {one.seq} is not in storage")
        else:
            wrong += _differs(name, one, by_number[one.seq])
        at = one.seq
    newest = changes[-1].sequence if changes else 0
    if at != newest:
        wrong.append(f"{name}: its last change is {at}, that of storage {newest}")
    return wrong


def _differs(name: str, one: Heard, change: OrderChange) -> list[str]:
    told = (one.body["event"], one.body["order"])
    kept = (
        msgspec.to_builtins(event_view(change.event)),
        msgspec.to_builtins(order_view(change.order)),
    )
    return [] if told == kept else [f"{name}: change {one.seq} is {told}, in storage {kept}"]


def _jumped(name: str, snapshot: Heard, at: int, changes: Mapping[int, OrderChange]) -> list[str]:
    """Every order that changed on the way to a snapshot is in it, as far as it was by then."""
    shown = {order["order_id"]: order for order in snapshot.body["orders"]}
    newest: dict[str, Order] = {}
    for number in range(at + 1, snapshot.seq + 1):
        if number in changes:
            newest[changes[number].order.order_id] = changes[number].order
    wrong: list[str] = []
    ended = sum(order.is_terminal for order in newest.values())
    for order_id, order in newest.items():
        found = shown.get(order_id)
        if found is None and not (order.is_terminal and ended > RECENTLY_ENDED_MAX):
            wrong.append(f"{name}: the snapshot of {snapshot.seq} lacks order {order_id}")
        elif found is not None and Decimal(found["filled_quantity"]) < order.filled_quantity:
            wrong.append(
                f"{name}: the snapshot of {snapshot.seq} has {found['filled_quantity']} of order "
                f"{order_id} filled, by then it was {order.filled_quantity}"
            )
    return wrong


def judge_states_follower(name: str, heard: Sequence[Heard]) -> list[str]:
    """States come one after the other; only a snapshot may leave some out."""
    wrong: list[str] = []
    for before, one in itertools.pairwise(heard):
        if one.seq < before.seq or (one.kind == "update" and one.seq != before.seq + 1):
            wrong.append(f"{name}: state {one.seq} ({one.kind}) after {before.seq}")
    return wrong


def judge_positions(name: str, shown: Collection[Json], ledger: Collection[Json]) -> list[str]:
    """A client's last positions are those of the exchange."""
    seen = {
        row["symbol"]: Decimal(row["quantity"]) * (1 if row["side"] == "LONG" else -1)
        for row in shown
    }
    held = {f"{row['symbol']}-PERP": Decimal(row["quantity"]) for row in ledger}
    return [] if seen == held else [f"{name}: shows {seen}, the exchange holds {held}"]


def judge_money(name: str, balance: Json | None, row: Json) -> list[str]:
    """A client's last word on an account's money is the exchange's."""
    worth = Decimal(row["account_value"])
    if balance is None or abs(Decimal(balance["equity"]) - worth) > MONEY_WITHIN:
        return [f"{name}: shows {balance and balance['equity']}, the exchange {worth}"]
    return []


def _number(value: Decimal | str) -> str:
    return f"{Decimal(value).normalize():f}"
