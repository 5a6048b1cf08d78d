"""A venue in memory that knows the whole truth of one account, and tells of it in its own way.

Its books are kept apart from the product's: average cost in plain arithmetic, fills in the order in
which they traded. It has no `send`: whoever only keeps books never sends anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Context, Decimal
from enum import StrEnum
from typing import Any

from domain.accounts import (
    Account,
    AccountSummary,
    FundingPayment,
    MarginMode,
    Position,
    PositionSide,
)
from domain.fills import Fill, LiquiditySide
from domain.instruments import OrderSide
from domain.orders import Verdict
from venues.capabilities import ProofTable
from venues.connector import OrderLookup, VenueOrder

VISIBILITY = timedelta(seconds=5)
_ZERO = Decimal(0)
_STEP = Decimal("0.00000001")
_WIDE = Context(prec=60)


class Way(StrEnum):
    """How a venue tells fills."""

    PROFIT = "each fill, with what it realised"
    SILENT = "each fill, without profit"
    TOTALS = "for each order one fill that stands for all of it"
    LEAST = "as TOTALS, but listings know only the newest execution of an order in parts"

    @property
    def lists_fills(self) -> bool:
        return self in (Way.PROFIT, Way.SILENT)


class Naming(StrEnum):
    """Which fills bear the client order id of their order."""

    ALWAYS = "always"
    FEED = "in the feed only"
    NEVER = "never"


@dataclass
class Execution:
    """One trade of the account, as it was."""

    order: BookedOrder
    number: int
    price: Decimal
    quantity: Decimal
    fee: Decimal
    at: datetime
    visible_at: datetime
    profit: Decimal


@dataclass
class BookedOrder:
    """One order at the venue, ours or somebody else's."""

    venue_order_id: str
    client_order_id: str | None
    symbol: str
    side: OrderSide
    quantity: Decimal
    created_at: datetime
    visible_at: datetime
    changed_at: datetime
    is_liquidation: bool = False
    ended: Verdict | None = None
    forgotten: bool = False
    executions: list[Execution] = field(default_factory=list)

    @property
    def filled(self) -> Decimal:
        return sum((one.quantity for one in self.executions), _ZERO)

    @property
    def value(self) -> Decimal:
        return sum((one.quantity * one.price for one in self.executions), _ZERO)

    @property
    def fees(self) -> Decimal:
        return sum((one.fee for one in self.executions), _ZERO)

    @property
    def lives(self) -> bool:
        return self.ended is None

    @property
    def verdict(self) -> Verdict:
        if self.ended is not None:
            return self.ended
        return Verdict.PARTIALLY_FILLED if self.executions else Verdict.ACCEPTED


@dataclass
class Book:
    """One market by average cost: what is held, and what was paid for it."""

    held: Decimal = _ZERO
    paid: Decimal = _ZERO
    profit: Decimal = _ZERO
    fees: Decimal = _ZERO
    volume: Decimal = _ZERO
    count: int = 0

    def trade(self, side: OrderSide, price: Decimal, quantity: Decimal, fee: Decimal) -> Decimal:
        """Take a trade; return what it realised, rounded as an exchange rounds money."""
        left, realized = quantity, _ZERO
        sign = 1 if side is OrderSide.BUY else -1
        if self.held * sign < 0:
            closed = min(quantity, abs(self.held))
            cost = self.paid
            if closed < abs(self.held):
                gained = -sign * closed * price
                exact = gained - _WIDE.divide(self.paid * closed, abs(self.held))
                cost = gained - exact.quantize(_STEP)
            realized = -sign * closed * price - cost
            self.held += sign * closed
            self.paid -= cost
            left -= closed
        self.held += sign * left
        self.paid += sign * left * price
        self.profit += realized
        self.fees += fee
        self.volume += quantity * price
        self.count += 1
        return realized


@dataclass
class BooksVenue:
    """The venue of one account; also the connector through which it is asked."""

    account: Account
    way: Way
    naming: Naming
    now: datetime
    orders: list[BookedOrder] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    books: dict[str, Book] = field(default_factory=dict)
    payments: list[FundingPayment] = field(default_factory=list)
    money: Decimal = Decimal(10_000)

    def __post_init__(self) -> None:
        self.proofs = ProofTable(
            fences=(),
            admission_window_s=15.0,
            visibility_delay_s=VISIBILITY.total_seconds(),
            verdict_delay_s=1.0,
            replay_protected=True,
            echoes_client_order_id=True,
            fill_key=("tid",),
            rows=(),
        )

    # What happens

    def accept(
        self,
        client_order_id: str | None,
        symbol: str,
        side: OrderSide,
        quantity: Decimal,
        shown_after: timedelta = timedelta(),
        **more: Any,
    ) -> BookedOrder:
        """Take an order into the book."""
        order = BookedOrder(
            venue_order_id=f"{len(self.orders) + 1}",
            client_order_id=client_order_id,
            symbol=symbol,
            side=side,
            quantity=quantity,
            created_at=self.now,
            visible_at=self.now + shown_after,
            changed_at=self.now,
            **more,
        )
        self.orders.append(order)
        return order

    def trade(
        self,
        order: BookedOrder,
        quantity: Decimal,
        price: Decimal,
        fee: Decimal,
        shown_after: timedelta = timedelta(),
    ) -> Execution:
        """Fill some of an order."""
        assert order.lives
        quantity = min(quantity, order.quantity - order.filled)
        book = self.books.setdefault(order.symbol, Book())
        profit = book.trade(order.side, price, quantity, fee)
        execution = Execution(
            order=order,
            number=len(self.executions) + 98,
            price=price,
            quantity=quantity,
            fee=fee,
            at=self.now,
            visible_at=self.now + shown_after,
            profit=profit,
        )
        self.executions.append(execution)
        order.executions.append(execution)
        order.changed_at = self.now
        if order.filled == order.quantity:
            order.ended = Verdict.FILLED
        self.money += profit - fee
        return execution

    def end(self, order: BookedOrder, verdict: Verdict) -> None:
        """End what is left of an order."""
        order.ended = verdict
        order.changed_at = self.now

    def pay_funding(self, symbol: str, amount: Decimal) -> None:
        """Pay funding; at most once in a millisecond."""
        self.now += timedelta(milliseconds=1)
        payment = FundingPayment(
            account_id=self.account.account_id,
            symbol=symbol,
            amount=amount,
            rate=Decimal("0.0001"),
            position_quantity=self.books[symbol].held,
            event_time=self.now,
        )
        self.payments.append(payment)
        self.money += amount
        self.now += timedelta(milliseconds=1)

    # What it tells

    def describe(self, order: BookedOrder, *, whole: bool = True) -> VenueOrder:
        """Describe an order as it is now; not `whole`: as a listing that knows the least."""
        filled = self._known(order, whole=whole)
        exact = order.value / order.filled if order.executions else None
        return VenueOrder(
            client_order_id=order.client_order_id,
            venue_order_id=order.venue_order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            price=Decimal(100),
            verdict=order.verdict,
            filled_quantity=filled,
            average_price=exact,
            created_at=order.created_at,
            event_time=order.changed_at,
        )

    def _known(self, order: BookedOrder, *, whole: bool) -> Decimal:
        if whole or self.way is not Way.LEAST or order.ended is Verdict.FILLED:
            return order.filled
        return order.executions[-1].quantity if order.executions else _ZERO

    def fill(self, execution: Execution, *, in_feed: bool) -> Fill:
        """Tell of one execution, or of all of its order so far."""
        order = execution.order
        named = self.naming is Naming.ALWAYS or (in_feed and self.naming is Naming.FEED)
        fill = Fill(
            account_id=self.account.account_id,
            venue=self.account.venue,
            symbol=order.symbol,
            trade_id=str(execution.number),
            venue_order_id=order.venue_order_id,
            client_order_id=order.client_order_id if named else None,
            side=order.side,
            price=execution.price,
            quantity=execution.quantity,
            fee=execution.fee,
            fee_currency="USDC",
            liquidity_side=LiquiditySide.TAKER if order.is_liquidation else LiquiditySide.MAKER,
            event_time=execution.at,
            realized_pnl=execution.profit if self.way is Way.PROFIT else None,
            is_liquidation=order.is_liquidation,
        )
        return fill if self.way.lists_fills else self._total(fill, order, whole=in_feed)

    def _total(self, fill: Fill, order: BookedOrder, *, whole: bool) -> Fill:
        until = [one for one in order.executions if one.number <= int(fill.trade_id)]
        filled = sum((one.quantity for one in until), _ZERO)
        value = sum((one.quantity * one.price for one in until), _ZERO)
        known = filled if whole else min(self._known(order, whole=False), filled)
        return replace(
            fill,
            trade_id=f"{known}-of-{order.quantity}",
            quantity=known,
            price=value / filled,
            fee=sum((one.fee for one in until), _ZERO),
            is_total=True,
        )

    # Asked as a connector

    async def account_summary(self, account: Account) -> AccountSummary:
        positions = [
            Position(
                account_id=account.account_id,
                venue=account.venue,
                symbol=symbol,
                side=PositionSide.LONG if book.held > 0 else PositionSide.SHORT,
                quantity=abs(book.held),
                entry_price=None,
                notional=_ZERO,
                unrealized_pnl=_ZERO,
                liquidation_price=None,
                leverage=Decimal(1),
                margin_mode=MarginMode.CROSS,
                initial_margin=_ZERO,
            )
            for symbol, book in self.books.items()
            if book.held
        ]
        return AccountSummary(
            account_id=account.account_id,
            equity=self.money,
            available=self.money,
            initial_margin=_ZERO,
            maintenance_margin=_ZERO,
            positions=tuple(positions),
            event_time=self.now,
        )

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        return tuple(self.describe(o, whole=False) for o in self._visible() if o.lives)

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        ended = [o for o in self._visible() if not o.lives and not o.forgotten]
        return tuple(self.describe(o, whole=False) for o in ended)

    def _visible(self) -> list[BookedOrder]:
        return [order for order in self.orders if order.visible_at <= self.now]

    async def fills(self, account: Account, *, since: datetime) -> tuple[Fill, ...]:
        seen = [e for e in self.executions if e.visible_at <= self.now and e.at >= since]
        if not self.way.lists_fills:
            seen = list({one.order.venue_order_id: one for one in seen}.values())
        return tuple(self.fill(one, in_feed=False) for one in seen)

    async def find_order(
        self,
        account: Account,
        *,
        symbol: str,
        client_order_id: str | None = None,
        venue_order_id: str | None = None,
    ) -> OrderLookup:
        for order in self._visible():
            is_it = order.venue_order_id == venue_order_id
            if is_it or (venue_order_id is None and order.client_order_id == client_order_id):
                return OrderLookup(order=self.describe(order, whole=False), venue_time=self.now)
        return OrderLookup(order=None, venue_time=self.now)

    async def funding_payments(
        self, account: Account, *, since: datetime
    ) -> tuple[FundingPayment, ...]:
        return tuple(one for one in self.payments if one.event_time >= since)
