"""A small desk over an exchange: places orders and reads the truth with few words."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from venues.simulation import operations, ownership, trading
from venues.simulation.clock import ManualClock
from venues.simulation.events import Event
from venues.simulation.exchange import Exchange, open_exchange
from venues.simulation.instruments import Instrument
from venues.simulation.ledger import ledger
from venues.simulation.records import Order, OrderStatus, Reason, Side, TimeInForce
from venues.simulation.switches import Switches
from venues.simulation.trading import OrderRequest, Placement, TriggerRequest

START_MS = 1_790_000_000_000
COIN = Instrument(
    symbol="COIN", size_decimals=2, price_decimals=4, max_leverage=20, start_price=Decimal(100)
)
OTHER = Instrument(
    symbol="OTHER", size_decimals=0, price_decimals=6, max_leverage=10, start_price=Decimal(2)
)


class Desk:
    """An exchange with two markets at 100 and 2 and a clock that stands still."""

    def __init__(
        self,
        home: Path | None = None,
        *,
        switches: Switches | None = None,
        seed: int = 1,
        instruments: Iterable[Instrument] = (COIN, OTHER),
        start_ms: int = START_MS,
    ) -> None:
        self.clock = ManualClock(start_ms)
        self.events: list[Event] = []
        self.exchange: Exchange = open_exchange(
            home,
            clock=self.clock,
            seed=seed,
            switches=switches or Switches(hourly_funding=False),
            instruments=instruments,
        )
        self.exchange.listeners.append(self.events.extend)
        self.tables = self.exchange.tables

    def fund(self, name: str, cash: int | str = 10_000) -> str:
        with self.exchange.action("open_account"):
            ownership.open_account(self.tables, name, Decimal(cash))
        return name

    def place(
        self,
        account: str,
        side: Side,
        quantity: str,
        price: str,
        *,
        symbol: str = "COIN",
        tif: TimeInForce = TimeInForce.GTC,
        **more: Any,
    ) -> Placement:
        request = OrderRequest(
            symbol=symbol,
            side=side,
            price=Decimal(price),
            quantity=Decimal(quantity),
            time_in_force=tif,
            **more,
        )
        with self.exchange.action("order"):
            return trading.place(self.tables, self.exchange.switches, account, request)

    def buy(self, account: str, quantity: str, price: str, **more: Any) -> Order:
        return self._accepted(self.place(account, Side.BUY, quantity, price, **more))

    def sell(self, account: str, quantity: str, price: str, **more: Any) -> Order:
        return self._accepted(self.place(account, Side.SELL, quantity, price, **more))

    def _accepted(self, placement: Placement) -> Order:
        assert placement.refusal is None, placement.refusal
        return placement.order

    def refusal(self, account: str, side: Side, quantity: str, price: str, **more: Any) -> Reason:
        placement = self.place(account, side, quantity, price, **more)
        assert placement.refusal is not None, placement.order
        return placement.refusal.reason

    def cancel(self, order: Order) -> bool:
        with self.exchange.action("cancel"):
            return trading.cancel(self.tables, order)

    def price(self, price: str, symbol: str = "COIN") -> None:
        operations.set_price(self.exchange, symbol, Decimal(price))

    def held(self, account: str, symbol: str = "COIN") -> Decimal:
        return self.tables.quantity_held(account, symbol)

    def cash(self, account: str) -> Decimal:
        return self.tables.accounts[account].cash

    def ledger(self) -> dict[str, Any]:
        return ledger(self.tables, lambda order: f"{order.status.value} {order.triggered}")

    def bids(self, symbol: str = "COIN") -> list[tuple[Decimal, Decimal, int]]:
        return [(x.price, x.quantity, x.count) for x in self.tables.books[symbol].bids.levels()]

    def asks(self, symbol: str = "COIN") -> list[tuple[Decimal, Decimal, int]]:
        return [(x.price, x.quantity, x.count) for x in self.tables.books[symbol].asks.levels()]


def status_of(order: Order) -> OrderStatus:
    """Return what an order's status is now.

    To a type checker, which sees no change of it, an attribute stays what it was asserted to be.
    """
    return order.status


def stop(price: str, *, market: bool = True) -> TriggerRequest:
    return TriggerRequest(price=Decimal(price), is_market=market, is_take_profit=False)


def take_profit(price: str, *, market: bool = True) -> TriggerRequest:
    return TriggerRequest(price=Decimal(price), is_market=market, is_take_profit=True)
