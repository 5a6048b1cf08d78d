"""The judge judged: it is silent about what is well, and names each thing that is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from domain.orders import Order, Verdict
from domain.timeline import EventKind, OrderChange, TimelineEvent
from streaming.schema import event_view, order_view
from tests.stream_chaos.follower import Heard
from tests.stream_chaos.judge import (
    judge_changes,
    judge_fills,
    judge_money,
    judge_orders,
    judge_orders_follower,
    judge_positions,
    judge_states_follower,
    judge_timeline,
)
from tests.stream_chaos.soak import Sample, judge_growth
from tests.streaming.building import T0, order, revision
from tests.streaming.stage import fill, order_id


def a_row(**changes: Any) -> dict[str, Any]:
    """Return the exchange's row of `fill()`."""
    booked = fill()
    row = {
        "trade_id": booked.trade_id,
        "venue_order_id": booked.venue_order_id,
        "side": "buy",
        "quantity": "0.10",
        "price": "100.0",
        "fee": "0.01",
        "time": booked.key[-1],
    }
    return row | changes


@pytest.mark.parametrize(
    ("booked", "ledger", "wrong"),
    [
        ([fill()], [a_row()], 0),
        ([fill()], [], 1),
        ([], [a_row()], 1),
        ([fill(), fill()], [a_row()], 1),
        ([fill()], [a_row(price="101")], 2),
        ([fill()], [a_row(side="sell")], 2),
        ([fill()], [a_row(time=1)], 2),
    ],
)
def test_fills(booked: Sequence[Any], ledger: Sequence[Any], wrong: int) -> None:
    assert len(judge_fills("acc-1", booked, ledger)) == wrong


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        ({"filled_quantity": "0.0", "is_live": True}, 0),
        ({"filled_quantity": "0.5", "is_live": True}, 1),
        ({"filled_quantity": "0", "is_live": False}, 1),
        ({"client_order_id": "0xother"}, 1),
    ],
)
def test_orders(row: dict[str, Any], wrong: int) -> None:
    one = order(revisions=(revision(verdict=Verdict.ACCEPTED),))
    base = {"client_order_id": one.client_order_id, "status": "open", "is_live": True}
    assert len(judge_orders([one], [{**base, "filled_quantity": "0", **row}])) == wrong


def a_change(number: int, filled: str = "0") -> OrderChange:
    kept = order(order_id(1), revisions=(revision(filled_quantity=Decimal(filled)),))
    event = TimelineEvent(
        order_id=kept.order_id,
        kind=EventKind.FILL,
        text=f"change {number}",
        at=T0 + timedelta(seconds=number),
    )
    return OrderChange(account_id="acc-1", sequence=number, order=kept, event=event)


CHANGES = [a_change(number, str(Decimal(number) / 10)) for number in range(1, 6)]


def update(number: int, **changes: Any) -> Heard:
    change = CHANGES[number - 1]
    body = {
        "event": msgspec.to_builtins(event_view(change.event)),
        "order": msgspec.to_builtins(order_view(change.order)) | changes,
    }
    return Heard("update", number, body, 1, 0.0)


def snapshot(number: int, *orders: Order, **changes: Any) -> Heard:
    shown = [msgspec.to_builtins(order_view(one)) | changes for one in orders]
    return Heard("snapshot", number, {"orders": shown}, 1, 0.0)


@pytest.mark.parametrize(
    ("heard", "wrong"),
    [
        ([snapshot(0), *map(update, range(1, 6))], 0),
        ([snapshot(0), update(1), snapshot(4, CHANGES[3].order), update(5)], 0),
        # A change lost, come again, of another order of things, of another content.
        ([snapshot(0), *map(update, (1, 2, 4, 5))], 1),
        ([snapshot(0), *map(update, (1, 2, 2, 3, 4, 5))], 1),
        ([snapshot(0), *map(update, (1, 3, 2, 4, 5))], 3),
        ([snapshot(0), update(1, filled_quantity="7"), *map(update, range(2, 6))], 1),
        # Not all of it; nothing at all; a snapshot without what was left out before it.
        ([snapshot(0), *map(update, range(1, 5))], 1),
        ([], 1),
        ([snapshot(0), update(1), snapshot(4), update(5)], 1),
        ([snapshot(0), snapshot(4, CHANGES[0].order), update(5)], 1),
    ],
)
def test_a_client_of_orders(heard: list[Heard], wrong: int) -> None:
    assert len(judge_orders_follower("client", heard, CHANGES)) == wrong


def test_numbers_and_stories() -> None:
    assert judge_changes("acc-1", CHANGES) == []
    assert len(judge_changes("acc-1", [*CHANGES[:2], *CHANGES[3:]])) == 1
    assert len(judge_changes("acc-1", CHANGES[1:])) == 1
    events = [change.event for change in CHANGES]
    fills = [fill(trade=number) for number in range(5)]
    assert judge_timeline(CHANGES[-1].order, fills, events) == []
    assert len(judge_timeline(CHANGES[-1].order, fills, [*events, events[0]])) == 1
    assert len(judge_timeline(CHANGES[-1].order, fills[1:], events)) == 1


def test_states_positions_and_money() -> None:
    states = [Heard(kind, seq, {}, 1, 0.0) for kind, seq in (("snapshot", 5), ("update", 6))]
    assert judge_states_follower("client", [*states, Heard("snapshot", 9, {}, 2, 0.0)]) == []
    assert len(judge_states_follower("client", [*states, Heard("update", 8, {}, 1, 0.0)])) == 1
    assert len(judge_states_follower("client", [*states, Heard("snapshot", 4, {}, 2, 0.0)])) == 1
    held = [{"symbol": "BTC", "quantity": "-0.50"}]
    shown = {"symbol": "BTC-PERP", "side": "SHORT", "quantity": "0.5"}
    assert judge_positions("client", [shown], held) == []
    assert len(judge_positions("client", [shown | {"side": "LONG"}], held)) == 1
    assert len(judge_positions("client", [], held)) == 1
    assert len(judge_positions("client", [shown], [])) == 1
    worth = {"account_value": "100.004"}
    assert judge_money("client", {"equity": "100"}, worth) == []
    assert len(judge_money("client", {"equity": "100.1"}, worth)) == 1
    assert len(judge_money("client", None, worth)) == 1


def samples(**last: int) -> list[Sample]:
    base = {"descriptors": 30, "tasks": 60, "memory": 100 << 20, "clients": 20}
    return [Sample(at=float(n), **(base if n < 20 else base | last)) for n in range(30)]


def test_growth() -> None:
    assert judge_growth(samples()) == []
    assert judge_growth(samples(descriptors=29, tasks=62, memory=108 << 20)) == []
    assert len(judge_growth(samples(descriptors=31))) == 1
    assert len(judge_growth(samples(tasks=63))) == 1
    assert len(judge_growth(samples(memory=111 << 20))) == 1
    assert judge_growth(samples(memory=111 << 20), only_descriptors=True) == []
    assert judge_growth(samples(descriptors=34), only_descriptors=True) == []
    assert len(judge_growth(samples(descriptors=35), only_descriptors=True)) == 1
