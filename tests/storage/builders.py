"""Small builders of what storage keeps; every argument that matters to a test is given there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.accounts import Account, AccountState, Network
from domain.commands import BurnNonce, CancelOrder, CommandKind, PlaceOrder
from domain.fills import Fill, LiquiditySide
from domain.identifiers import order_id_for
from domain.instruments import OrderSide
from domain.ledger import CommandDraft, CommandKey, CommandSlot, Inserted, NonceRule
from domain.orders import Order, OrderReport, OrderType, TimeInForce, Verdict
from storage.ledger import SqlIntentLedger

CREATED_AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def an_account(account_id: str = "acc", **changes: Any) -> Account:
    account = Account(
        account_id=account_id,
        owner="local",
        venue="hyperliquid",
        label=f"label-{account_id}",
        network=Network.PAPER,
        address=f"0x{account_id}",
        signer=f"signer-{account_id}",
        state=AccountState.ACTIVE,
        created_at=CREATED_AT,
    )
    return replace(account, **changes)


def an_order(key: str = "order", **changes: Any) -> Order:
    order = Order(
        order_id=order_id_for("local", key),
        owner="local",
        account_id="acc",
        venue="hyperliquid",
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("1"),
        time_in_force=TimeInForce.GTC,
        created_at=CREATED_AT,
        place_by=CREATED_AT + timedelta(seconds=15),
        price=Decimal("45000"),
    )
    return replace(order, **changes)


def a_placement(order: Order, revision: int = 0, **changes: Any) -> CommandDraft:
    draft = CommandDraft(
        key=CommandKey(order_id=order.order_id, command=CommandKind.PLACE, revision=revision),
        account_id=order.account_id,
        venue=order.venue,
        network=Network.PAPER,
        symbol=order.symbol,
        signer="signer-acc",
        command=PlaceOrder(
            symbol=order.symbol,
            side=order.side,
            order_type=order.order_type,
            quantity=order.remaining_quantity,
            price=order.price or Decimal("45000"),
        ),
        target_revision=revision,
        raises_exposure=True,
        nonce_rule=NonceRule.TIME_MS,
        send_within_s=1.0,
        admission_window_s=15.0,
        order=order,
    )
    return replace(draft, **changes)


def a_cancel(order: Order, number: int = 0, revision: int = 0, **changes: Any) -> CommandDraft:
    draft = replace(
        a_placement(order),
        key=CommandKey(order_id=order.order_id, command=CommandKind.CANCEL, revision=number),
        command=CancelOrder(symbol=order.symbol, client_order_id="any"),
        target_revision=revision,
        raises_exposure=False,
        order=None,
    )
    return replace(draft, **changes)


def a_noop(order: Order, nonce: int, number: int = 0) -> CommandDraft:
    return replace(
        a_cancel(order),
        key=CommandKey(order_id=order.order_id, command=CommandKind.NOOP, revision=number),
        command=BurnNonce(nonce=nonce),
        nonce_rule=NonceRule.NONE,
        nonce=nonce,
    )


def spelling(draft: CommandDraft) -> Any:
    """Spell client order ids that are unique to the draft's order and revision."""
    return lambda collision: f"{draft.key.order_id}-{draft.key.revision}-{collision}"


def compose(slot: CommandSlot) -> str:
    return f'{{"cloid":"{slot.client_order_id}","nonce":{slot.nonce or 0}}}'


async def reserve(ledger: SqlIntentLedger, draft: CommandDraft) -> Inserted:
    """Reserve a draft that is not in the ledger yet."""
    reservation = await ledger.reserve(
        draft, spell_client_order_id=spelling(draft), compose=compose
    )
    assert isinstance(reservation, Inserted)
    return reservation


def a_report(order: Order, verdict: Verdict, filled: str | None = None, **changes: Any) -> Any:
    report = OrderReport(
        order_id=order.order_id,
        revision=0,
        verdict=verdict,
        filled_quantity=None if filled is None else Decimal(filled),
        average_price=None if filled is None else Decimal("45000"),
        source="test",
    )
    return replace(report, **changes)


def a_fill(trade_id: str, quantity: str, **changes: Any) -> Fill:
    fill = Fill(
        account_id="acc",
        venue="hyperliquid",
        symbol="BTC-PERP",
        trade_id=trade_id,
        venue_order_id="v1",
        client_order_id=None,
        side=OrderSide.BUY,
        price=Decimal("45000"),
        quantity=Decimal(quantity),
        fee=Decimal("0.1"),
        fee_currency="USDC",
        liquidity_side=LiquiditySide.TAKER,
        event_time=CREATED_AT + timedelta(seconds=2),
    )
    return replace(fill, **changes)
