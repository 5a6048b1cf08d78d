"""Every row of the exchange and the indexes over them; the same after a restart as before.

Tables hold, index and remember which rows an action touched. They decide nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import ROUND_UP, Decimal
from typing import Final

from venues.simulation.book import Book
from venues.simulation.candles import CandleStore
from venues.simulation.events import Event, MarketMoved
from venues.simulation.instruments import Instrument
from venues.simulation.nonces import NonceBook
from venues.simulation.records import (
    ZERO,
    Account,
    Agent,
    Fill,
    FundingPayment,
    FundingRate,
    Market,
    NonceUsed,
    Order,
    OrderStatus,
    Position,
    Row,
    Setting,
    Side,
    Trade,
    Transfer,
)
from venues.simulation.trigger_index import TriggerIndex

RECENT_TRADES_MAX: Final = 500
HISTORY_MAX: Final = 2_000
#: Reserved margin is kept to this step: sums are then exact, in whatever order they are made.
_MARGIN_STEP: Final = Decimal("0.00000001")
#: Venue order ids start where real ones are, so that nobody can take them for small integers.
FIRST_ORDER_ID: Final = 41_545_810_000


class Tables:
    """Rows by their keys, books and triggers, and what the present action has touched."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self.instruments: dict[str, Instrument] = {one.symbol: one for one in instruments}
        self.orders: dict[int, Order] = {}
        self.by_client_id: dict[tuple[str, str], list[int]] = {}
        self.live_orders: dict[str, dict[int, Order]] = {}
        self.order_count: dict[str, int] = {}
        self.orders_of: dict[str, deque[Order]] = {}
        self.reduce_only: dict[tuple[str, str], dict[int, Order]] = {}
        self.held_margin: dict[str, Decimal] = {}
        self.fills: list[Fill] = []
        self.fills_of: dict[str, list[Fill]] = {}
        self.trades: dict[str, deque[Trade]] = {}
        self.accounts: dict[str, Account] = {}
        self.positions: dict[str, dict[str, Position]] = {}
        self.holders: dict[str, dict[str, Position]] = {}
        self.agents: dict[str, Agent] = {}
        self.markets: dict[str, Market] = {}
        self.funding_payments: dict[str, list[FundingPayment]] = {}
        self.funding_rates: dict[str, list[FundingRate]] = {}
        self.transfers: dict[str, list[Transfer]] = {}
        self.settings: dict[str, int] = {}
        self.nonces = NonceBook()
        self.books: dict[str, Book] = {symbol: Book() for symbol in self.instruments}
        self.triggers: dict[str, TriggerIndex] = {
            symbol: TriggerIndex() for symbol in self.instruments
        }
        self.candles = CandleStore()
        # The generation of each market's price that the candles have seen.
        self._priced: dict[str, int] = {}
        self.next_order_id = FIRST_ORDER_ID
        self.next_trade_number = 1
        self.next_priority = 1
        self.touched: dict[int, Row] = {}
        self.events: list[Event] = []
        self.traded_with_house: set[str] = set()
        self.now_ms = 0
        self.action_hash = ""

    # What an action does to rows.

    def touch(self, row: Row) -> None:
        """Have the row's state at the end of the action written to the log."""
        self.touched[id(row)] = row

    def emit(self, event: Event) -> None:
        """Tell listeners once the action is on the disk."""
        self.events.append(event)

    def moved(self, symbol: str) -> None:
        """Tell listeners that a market's book or price changed."""
        self.events.append(MarketMoved(symbol=symbol))

    def position(self, account: str, symbol: str) -> Position:
        """Return the position row, made with the market's highest leverage (20 at most) if new."""
        of_account = self.positions.setdefault(account, {})
        row = of_account.get(symbol)
        if row is None:
            leverage = min(self.instruments[symbol].max_leverage, 20)
            row = of_account[symbol] = Position(account=account, symbol=symbol, leverage=leverage)
        return row

    def quantity_held(self, account: str, symbol: str) -> Decimal:
        """Return the signed position without making a row."""
        row = self.positions.get(account, {}).get(symbol)
        return row.quantity if row else ZERO

    def count_holder(self, position: Position) -> None:
        """Keep the list of those who hold a position in a market."""
        holders = self.holders.setdefault(position.symbol, {})
        if position.quantity:
            holders[position.account] = position
        else:
            holders.pop(position.account, None)

    def add_order(self, order: Order) -> None:
        """Enter a new order in the indexes."""
        self.orders[order.venue_order_id] = order
        self.next_order_id = max(self.next_order_id, order.venue_order_id + 1)
        self.next_priority = max(self.next_priority, order.priority + 1)
        self.order_count[order.account] = max(
            self.order_count.get(order.account, 0), order.number + 1
        )
        self.orders_of.setdefault(order.account, deque(maxlen=HISTORY_MAX)).append(order)
        if order.client_order_id is not None:
            key = (order.account, order.client_order_id)
            self.by_client_id.setdefault(key, []).append(order.venue_order_id)
        if order.status.is_live:
            self.live_orders.setdefault(order.account, {})[order.venue_order_id] = order
            if order.reduce_only:
                key = (order.account, order.symbol)
                self.reduce_only.setdefault(key, {})[order.venue_order_id] = order

    def end_order(self, order: Order) -> None:
        """Take an order that ended out of the indexes of live ones."""
        self.live_orders.get(order.account, {}).pop(order.venue_order_id, None)
        if order.reduce_only:
            self.reduce_only.get((order.account, order.symbol), {}).pop(order.venue_order_id, None)
        self.hold_margin(order, ZERO)

    def hold_margin(self, order: Order, amount: Decimal) -> None:
        """Reserve `amount` of the account's margin for a resting order."""
        amount = amount.quantize(_MARGIN_STEP, rounding=ROUND_UP)
        if amount != order.held_margin:
            held = self.held_margin.get(order.account, ZERO)
            self.held_margin[order.account] = held + amount - order.held_margin
            order.held_margin = amount

    # How rows come back from the log.

    def put(self, row: Row) -> None:
        """Enter a row that an action made or a log gave back, replacing an older one."""
        match row:
            case Order():
                self.add_order(row)
            case Fill():
                self.fills.append(row)
                self.fills_of.setdefault(row.account, []).append(row)
            case Trade():
                self._put_trade(row)
            case Account():
                self.accounts[row.address] = row
            case Position():
                self.positions.setdefault(row.account, {})[row.symbol] = row
                self.count_holder(row)
            case Agent():
                self.agents[row.address] = row
                if row.revoked:
                    # The venue may forget a dropped agent's nonces, so this one does.
                    self.nonces.forget(row.address)
            case Market():
                self._put_market(row)
            case NonceUsed():
                self.nonces.use(row.signer, row.nonce)
            case Setting():
                self.settings[row.key] = row.value
            case FundingPayment():
                self.funding_payments.setdefault(row.account, []).append(row)
            case FundingRate():
                self.funding_rates.setdefault(row.symbol, []).append(row)
            case Transfer():
                self.transfers.setdefault(row.account, []).append(row)

    def record(self, row: Row) -> None:
        """Enter a new row and have it written to the log."""
        self.put(row)
        self.touch(row)

    def _put_market(self, market: Market) -> None:
        self.markets[market.symbol] = market
        if self._priced.get(market.symbol) != market.generation:
            self._priced[market.symbol] = market.generation
            self.candles.point(market.symbol, market.mark_price, market.changed_ms)

    def _put_trade(self, trade: Trade) -> None:
        rows = self.trades.setdefault(trade.symbol, deque(maxlen=RECENT_TRADES_MAX))
        rows.append(trade)
        self.next_trade_number += 1
        self.candles.trade(trade)

    def load(self, rows: Iterable[Row]) -> None:
        """Rebuild everything from the log's rows; of an order only its last row counts."""
        orders: dict[int, Order] = {}
        for row in rows:
            if isinstance(row, Order):
                orders[row.venue_order_id] = row
            else:
                self.put(row)
        for order in orders.values():
            held, order.held_margin = order.held_margin, ZERO
            self.add_order(order)
            self.hold_margin(order, held)
        live = [order for group in self.live_orders.values() for order in group.values()]
        for order in sorted(live, key=lambda one: one.priority):
            if order.status is OrderStatus.OPEN:
                self.books[order.symbol].side(order.side).add(order)
            elif order.status is OrderStatus.UNTRIGGERED:
                self.triggers[order.symbol].add(order)

    # Small look-ups that several rules share.

    def take_order_id(self) -> int:
        """Return the next venue order id."""
        self.next_order_id += 1
        return self.next_order_id - 1

    def take_priority(self) -> int:
        """Return the next place in the queue."""
        self.next_priority += 1
        return self.next_priority - 1

    def closable(self, account: str, symbol: str, side: Side) -> Decimal:
        """Return how much an order of `side` could close."""
        held = self.quantity_held(account, symbol) * side.sign
        return -held if held < 0 else ZERO
