"""A real database with accounts and orders in it, as the other processes would have left them."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert

from domain.accounts import Account, Network
from domain.commands import CommandKind, PlaceOrder
from domain.fills import Fill, LiquiditySide
from domain.identifiers import client_order_bytes
from domain.instruments import OrderSide
from domain.ledger import CommandDraft, CommandKey, CommandSlot, NonceRule
from domain.orders import Order, OrderReport, Verdict
from domain.ports import AccountStore, Folded, IntentLedger, OrderStore
from domain.position_store import PositionStore
from storage.opening import Storage
from storage.tables import principals
from tests.streaming.building import T0, account, order


def client_id(order_id: str, number: int = 0, collision: int = 0) -> str:
    return "0x" + client_order_bytes(order_id, number, collision).hex()


def order_id(number: int) -> str:
    return f"00000000-0000-5000-8000-{number:012d}"


class Stage:
    """What tests do to storage."""

    def __init__(
        self,
        orders: OrderStore,
        accounts: AccountStore,
        ledger: IntentLedger,
        positions: PositionStore,
    ) -> None:
        self.positions = positions
        self.orders = orders
        self.accounts = accounts
        self.ledger = ledger

    async def add_principal(self, storage: Storage, principal_id: str) -> None:
        statement = insert(principals).values(principal_id=principal_id, created_at=T0)

        def work(connection: Connection) -> None:
            connection.execute(statement)

        await storage.database.write(work)

    async def add_account(self, account_id: str = "acc-1", **changes: Any) -> Account:
        values = {"address": "0x" + account_id.encode().hex().zfill(40)} | changes
        return await self.accounts.add(account(account_id, **values), trading=b"x", feed=None)

    async def place(self, number: int = 1, **changes: Any) -> Order:
        """Write an order as a worker does before the first byte leaves."""
        wanted = order(order_id(number), revisions=(), **changes)
        owner = await self.accounts.get(wanted.account_id)
        assert owner is not None
        assert wanted.price is not None
        draft = CommandDraft(
            key=CommandKey(order_id=wanted.order_id, command=CommandKind.PLACE, revision=0),
            account_id=wanted.account_id,
            venue=wanted.venue,
            network=Network.PAPER,
            symbol=wanted.symbol,
            signer=owner.signer,
            command=PlaceOrder(
                symbol=wanted.symbol,
                side=wanted.side,
                order_type=wanted.order_type,
                quantity=wanted.quantity,
                price=wanted.price,
            ),
            target_revision=0,
            raises_exposure=False,
            nonce_rule=NonceRule.TIME_MS,
            send_within_s=1.0,
            order=wanted,
        )

        def spell(collision: int) -> str:
            return client_id(wanted.order_id, 0, collision)

        def compose(_slot: CommandSlot) -> str:
            return "{}"

        await self.ledger.reserve(draft, spell_client_order_id=spell, compose=compose)
        return await self.order(number)

    async def order(self, number: int = 1) -> Order:
        found = await self.orders.get(order_id(number))
        assert found is not None
        return found

    async def report(
        self, number: int = 1, verdict: Verdict = Verdict.ACCEPTED, **changes: Any
    ) -> Folded:
        values: dict[str, Any] = {
            "order_id": order_id(number),
            "revision": 0,
            "verdict": verdict,
            "venue_order_id": str(1000 + number),
            "event_time": T0,
            "received_time": T0,
            "source": "test",
        }
        return await self.orders.fold(OrderReport(**(values | changes)))

    async def book(self, number: int = 1, trade: int = 1, **changes: Any) -> tuple[Folded, ...]:
        return await self.orders.book([fill(number, trade, **changes)])


def fill(number: int = 1, trade: int = 1, **changes: Any) -> Fill:
    at: datetime = T0 + timedelta(seconds=trade)
    values: dict[str, Any] = {
        "account_id": "acc-1",
        "venue": "hyperliquid",
        "symbol": "BTC-PERP",
        "trade_id": f"t{trade}",
        "venue_order_id": str(1000 + number),
        "client_order_id": client_id(order_id(number)),
        "side": OrderSide.BUY,
        "price": Decimal(100),
        "quantity": Decimal("0.1"),
        "fee": Decimal("0.01"),
        "fee_currency": "USDC",
        "liquidity_side": LiquiditySide.MAKER,
        "event_time": at,
    }
    return Fill(**(values | changes))
