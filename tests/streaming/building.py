"""Small builders of orders, accounts and reports for the tests of this room."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.accounts import Account, AccountState, Network
from domain.instruments import OrderSide
from domain.orders import Order, OrderType, Revision, TimeInForce

T0 = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
ORDER_ID = "00000000-0000-5000-8000-000000000001"


def account(account_id: str = "acc-1", **changes: Any) -> Account:
    values: dict[str, Any] = {
        "account_id": account_id,
        "owner": "local",
        "venue": "hyperliquid",
        "label": account_id,
        "network": Network.PAPER,
        "address": "0x" + "11" * 20,
        "signer": "0x" + "22" * 20,
        "state": AccountState.ACTIVE,
        "created_at": T0,
    }
    return Account(**(values | changes))


def revision(number: int = 0, **changes: Any) -> Revision:
    values: dict[str, Any] = {
        "number": number,
        "client_order_id": f"0x{number:032x}",
        "quantity": Decimal(1),
        "price": Decimal(100),
    }
    return Revision(**(values | changes))


def order(order_id: str = ORDER_ID, **changes: Any) -> Order:
    values: dict[str, Any] = {
        "order_id": order_id,
        "owner": "local",
        "account_id": "acc-1",
        "venue": "hyperliquid",
        "symbol": "BTC-PERP",
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "quantity": Decimal(1),
        "price": Decimal(100),
        "time_in_force": TimeInForce.GTC,
        "created_at": T0,
        "place_by": T0 + timedelta(seconds=15),
        "idempotency_key": order_id,
        "fingerprint": "f",
        "revisions": (revision(),),
    }
    return Order(**(values | changes))
