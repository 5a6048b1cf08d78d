from __future__ import annotations

from datetime import timedelta, timezone
from decimal import Decimal

import msgspec

from domain.orders import Verdict
from domain.timeline import EventKind, TimelineEvent
from streaming.schema import event_view, order_view, rfc3339
from tests.streaming.building import ORDER_ID, T0, order, revision

FIELDS = [
    "order_id",
    "client_order_id",
    "venue_order_id",
    "account_id",
    "venue",
    "symbol",
    "side",
    "order_type",
    "time_in_force",
    "quantity",
    "filled_quantity",
    "remaining_quantity",
    "average_price",
    "price",
    "status",
    "outcome",
    "reason",
    "created_at",
    "updated_at",
    "revision",
]


def test_field_names_and_their_order_are_the_public_ones() -> None:
    assert list(msgspec.to_builtins(order_view(order()))) == FIELDS


def test_a_partly_filled_order_is_shown_exactly() -> None:
    shown = order_view(
        order(
            quantity=Decimal("2.500"),
            price=Decimal("1E+2"),
            revisions=(
                revision(quantity=Decimal("2.5"), verdict=Verdict.CANCELED),
                revision(
                    3,
                    quantity=Decimal("2.5"),
                    venue_order_id="77",
                    verdict=Verdict.ACCEPTED,
                    filled_quantity=Decimal("0.00000001"),
                    average_price=Decimal("99.10"),
                    reason="because",
                ),
            ),
            updated_at=T0 + timedelta(milliseconds=5),
        )
    )
    assert msgspec.to_builtins(shown) == {
        "order_id": ORDER_ID,
        "client_order_id": "0x00000000000000000000000000000003",
        "venue_order_id": "77",
        "account_id": "acc-1",
        "venue": "hyperliquid",
        "symbol": "BTC-PERP",
        "side": "BUY",
        "order_type": "LIMIT",
        "time_in_force": "GTC",
        "quantity": "2.5",
        "filled_quantity": "0.00000001",
        "remaining_quantity": "2.49999999",
        "average_price": "99.1",
        "price": "100",
        "status": "PARTIALLY_FILLED",
        "outcome": "accepted",
        "reason": "because",
        "created_at": "2026-01-01T12:00:00Z",
        "updated_at": "2026-01-01T12:00:00.005000Z",
        "revision": 3,
    }


def test_an_order_without_revision_says_null_where_nothing_is_known() -> None:
    shown = order_view(order(revisions=(), price=None))
    assert (shown.client_order_id, shown.venue_order_id, shown.average_price, shown.price) == (
        None,
        None,
        None,
        None,
    )
    assert (shown.status, shown.outcome, shown.revision) == ("PENDING", "pending", None)
    assert shown.updated_at == shown.created_at


def test_times_are_in_utc() -> None:
    elsewhere = T0.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert rfc3339(elsewhere) == "2026-01-01T12:00:00Z"


def test_an_event_is_shown_without_its_detail() -> None:
    event = TimelineEvent(
        order_id="x", kind=EventKind.FILL, text="filled 1", at=T0, detail={"raw": "long"}
    )
    assert msgspec.to_builtins(event_view(event)) == {
        "kind": "fill",
        "text": "filled 1",
        "at": "2026-01-01T12:00:00Z",
    }
