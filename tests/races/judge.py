"""The judge: the exchange's ledger, read fill by fill, against what closes may do.

By our orders |position| never grows and the sign never turns; a close fills no more than its
target; in the end the exchange's position, its fills added up, and our own books are the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise
from typing import Any

from domain.orders import Origin
from domain.ports import OrderFilter
from storage.opening import Storage
from tests.races.lane import Lane

Json = dict[str, Any]


async def our_orders(storage: Storage) -> dict[str, Any]:
    """Return our closing orders by the venue's client order id of each revision."""
    found: dict[str, Any] = {}
    cursor: str | None = None
    while True:
        page = await storage.orders.page(OrderFilter(owner="local", limit=200, cursor=cursor))
        for order in page.orders:
            if order.origin is Origin.CLOSE:
                found.update((r.client_order_id, order) for r in order.revisions)
        cursor = page.next_cursor
        if cursor is None:
            return found


def judge_fills(lane: Lane, fills: Iterable[Json], ours: dict[str, Any]) -> list[str]:
    """Return where a closing order of ours let the lane's position grow, or turned it."""
    wrong: list[str] = []
    position = Decimal(0)
    for fill in fills:
        signed = Decimal(fill["quantity"]) * (1 if fill["side"] == "buy" else -1)
        after = position + signed
        if fill["client_order_id"] in ours and (
            abs(after) > abs(position) or after * position < 0 or position == 0
        ):
            wrong.append(f"{lane.name}: {position} became {after} by our {fill}")
        position = after
    return wrong


def judge_targets(lane: Lane, orders: Iterable[Json], ours: dict[str, Any]) -> list[str]:
    """Return closes that filled more than their target, or had two orders live at once."""
    wrong: list[str] = []
    filled: dict[str, Decimal] = defaultdict(Decimal)
    spans: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for row in orders:
        order = ours.get(row["client_order_id"])
        if order is None:
            continue
        if not row["reduce_only"]:
            wrong.append(f"{lane.name}: not reduce-only: {row}")
        filled[order.parent_id] += Decimal(row["filled_quantity"])
        # What was refused or filled on arrival has no span.
        spans[order.parent_id].append((row["created_ms"], row["updated_ms"], order.order_id))
        if row["is_live"]:
            wrong.append(f"{lane.name}: still live after its close: {row}")
    for story in lane.stories:
        close = story.close
        total = filled.get(close.get("close_id", ""), Decimal(0))
        target = close.get("target_quantity")
        if target is not None and total > Decimal(target):
            wrong.append(f"{story.name}: filled {total} of {target}: {story}")
        if target is not None and Decimal(close["filled_quantity"]) != total:
            wrong.append(f"{story.name}: we say {close['filled_quantity']}, the venue {total}")
        in_order = sorted(spans.get(close.get("close_id", ""), []))
        for (_, ended, first), (begun, _, second) in pairwise(in_order):
            if begun < ended and first != second:
                wrong.append(f"{story.name}: {second} was placed while {first} was live")
    return wrong


async def judge(lanes: list[Lane], ledger: Json, storage: Storage) -> list[str]:
    """Return everything that is wrong, over all lanes."""
    ours = await our_orders(storage)
    fills: dict[tuple[str, str], list[Json]] = defaultdict(list)
    orders: dict[tuple[str, str], list[Json]] = defaultdict(list)
    for row in ledger["fills"]:
        fills[row["account"], row["symbol"]].append(row)
    for row in ledger["orders"]:
        orders[row["account"], row["symbol"]].append(row)
    held = {
        (row["account"], row["symbol"]): Decimal(row["quantity"]) for row in ledger["positions"]
    }
    wrong: list[str] = []
    for lane in lanes:
        key = (lane.hand.address, lane.market.venue_symbol)
        wrong += judge_fills(lane, fills[key], ours)
        wrong += judge_targets(lane, orders[key], ours)
        added = sum(
            (Decimal(f["quantity"]) * (1 if f["side"] == "buy" else -1) for f in fills[key]),
            Decimal(0),
        )
        position = held.get(key, Decimal(0))
        if added != position:
            wrong.append(f"{lane.name}: the fills add up to {added}, the position is {position}")
    return wrong


async def books_differ(lanes: list[Lane], ledger: Json, storage: Storage) -> list[str]:
    """Return where our own books differ from the exchange's positions."""
    held = {
        (row["account"], row["symbol"]): Decimal(row["quantity"]) for row in ledger["positions"]
    }
    wrong = []
    for lane in lanes:
        booked = await storage.net_positions.quantity(lane.trader.account_id, lane.market.symbol)
        position = held.get((lane.hand.address, lane.market.venue_symbol), Decimal(0))
        if booked != position:
            wrong.append(f"{lane.name}: we booked {booked}, the exchange {position}")
    return wrong
