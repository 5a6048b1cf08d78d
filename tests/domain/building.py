"""Small builders and Hypothesis strategies for orders, revisions, reports and ledger rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from domain.accounts import Network
from domain.commands import CommandKind
from domain.fills import Fill, LiquiditySide
from domain.instruments import Instrument, OrderSide, PriceRule
from domain.ledger import CommandKey, CommandRow
from domain.orders import Order, OrderReport, OrderType, Revision, TimeInForce, Verdict

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ORDER_ID = "0b9c7a52-6f4e-5b1d-9b7f-2f1c0a3d4e5f"


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def an_order(**changes: Any) -> Order:
    values: dict[str, Any] = {
        "order_id": ORDER_ID,
        "owner": "local",
        "account_id": "acc",
        "venue": "hyperliquid",
        "symbol": "BTC-PERP",
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "quantity": Decimal(10),
        "price": Decimal(100),
        "time_in_force": TimeInForce.GTC,
        "created_at": NOW,
        "place_by": later(15),
    }
    return Order(**{**values, **changes})


def a_revision(number: int = 0, quantity: int | Decimal = 10, **changes: Any) -> Revision:
    values: dict[str, Any] = {
        "number": number,
        "client_order_id": f"c{number}",
        "quantity": Decimal(quantity),
        "price": Decimal(100),
    }
    return Revision(**{**values, **changes})


def a_placed_order(quantity: int = 10, **changes: Any) -> Order:
    return an_order(
        quantity=Decimal(quantity), revisions=(a_revision(quantity=quantity),), **changes
    )


def a_report(verdict: Verdict, filled: int | None = None, **changes: Any) -> OrderReport:
    values: dict[str, Any] = {
        "order_id": ORDER_ID,
        "revision": 0,
        "verdict": verdict,
        "filled_quantity": None if filled is None else Decimal(filled),
    }
    return OrderReport(**{**values, **changes})


def a_row(kind: CommandKind = CommandKind.PLACE, number: int = 0, **changes: Any) -> CommandRow:
    values: dict[str, Any] = {
        "key": CommandKey(order_id=ORDER_ID, command=kind, revision=number),
        "account_id": "acc",
        "venue": "hyperliquid",
        "network": Network.PAPER,
        "symbol": "BTC-PERP",
        "signer": "0xsigner",
        "lane": "",
        "target_revision": 0,
        "client_order_id": "c0",
        "nonce": 7,
        "admitted_until": later(10),
        "message": "{}",
        "inserted_at": NOW,
        "send_by": later(1),
    }
    return CommandRow(**{**values, **changes})


def a_fill(trade_id: str = "t1", quantity: int = 1, price: int = 100, **changes: Any) -> Fill:
    values: dict[str, Any] = {
        "account_id": "acc",
        "venue": "hyperliquid",
        "symbol": "BTC-PERP",
        "trade_id": trade_id,
        "venue_order_id": "v1",
        "client_order_id": "c0",
        "side": OrderSide.BUY,
        "price": Decimal(price),
        "quantity": Decimal(quantity),
        "fee": Decimal("0.1"),
        "fee_currency": "USDC",
        "liquidity_side": LiquiditySide.TAKER,
        "event_time": NOW,
    }
    return Fill(**{**values, **changes})


def a_hyperliquid_market(size_decimals: int) -> Instrument:
    """A market by Hyperliquid's rule: 5 figures, 6 − szDecimals decimals, integers always."""
    return Instrument(
        venue="hyperliquid",
        symbol="BTC-PERP",
        venue_symbol="BTC",
        asset_index=0,
        lot_size=Decimal(1).scaleb(-size_decimals),
        price_rule=PriceRule(significant_figures=5, max_decimals=6 - size_decimals),
        min_notional=Decimal(10),
        max_leverage=40,
    )


def reports(max_revision: int = 0) -> st.SearchStrategy[OrderReport]:
    """Any statement a venue can make; whether it makes sense is not the fold's concern."""
    return st.builds(
        OrderReport,
        order_id=st.just(ORDER_ID),
        revision=st.integers(0, max_revision),
        verdict=st.sampled_from(Verdict),
        filled_quantity=st.none() | st.integers(0, 10).map(Decimal),
        average_price=st.none() | st.integers(1, 5).map(Decimal),
        venue_order_id=st.none() | st.sampled_from(["v1", "v2"]),
        reason=st.none() | st.sampled_from(["a", "b"]),
    )
