"""What each transaction does once the simulated sequencer comes to it.

Turns transactions into operations of the exchange. Runs inside one action of the exchange. What
the API server refuses is raised as `Refused` and leaves nothing; what the sequencer refuses ends
the order with a status, or does nothing at all.

Source: github.com/elliottech/lighter-go types/txtypes/create_order.go; docs trading, errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from venues.lighter import simulator_transactions as tx
from venues.lighter.simulator_markets import FIRST_ORDER_INDEX, SYMBOLS, price_of, quantity_of
from venues.lighter.simulator_transactions import Transaction
from venues.simulation import ownership, trading
from venues.simulation.exchange import Exchange
from venues.simulation.instruments import Instrument
from venues.simulation.lifecycle import announce, is_in_book
from venues.simulation.matching import work
from venues.simulation.records import (
    ZERO,
    Account,
    Order,
    OrderStatus,
    Reason,
    Side,
    TimeInForce,
)
from venues.simulation.tables import Tables

_LIMIT, _MARKET, _STOP, _STOP_LIMIT, _TARGET, _TARGET_LIMIT, _TWAP = range(7)
_IOC, _GTT, _POST_ONLY = range(3)
_TIFS: Final = {_IOC: TimeInForce.IOC, _GTT: TimeInForce.GTC, _POST_ONLY: TimeInForce.ALO}
_TRIGGERED: Final = frozenset({_STOP, _STOP_LIMIT, _TARGET, _TARGET_LIMIT})
_BY_MARKET: Final = frozenset({_MARKET, _STOP, _TARGET})
_EXPIRY_MIN_MS: Final = 5 * 60_000
_EXPIRY_MAX_MS: Final = 30 * 86_400_000
_SCHEDULE_MAX_MS: Final = 15 * 86_400_000
_ANY_MARKET: Final = 255
_MARKET_ATTRIBUTE: Final = 5
_WHOLE_MARGIN: Final = 10_000
_PRICE_MAX: Final = (1 << 32) - 1
_SIZE_MAX: Final = (1 << 48) - 1
#: What an order that was let in may end with at once; anything else is refused at the door.
_BY_SEQUENCER: Final = frozenset({Reason.POST_ONLY_CROSS, Reason.NO_MATCH, Reason.NO_LIQUIDITY})


class Refused(Exception):
    """The API server refuses: code and text are the venue's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Business:
    """Applies transactions for their accounts."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._handlers: dict[int, Callable[[Transaction, Account], None]] = {
            tx.CREATE_ORDER: self._create,
            tx.CANCEL_ORDER: self._cancel,
            tx.CANCEL_ALL: self._cancel_all,
            tx.MODIFY_ORDER: self._modify,
            tx.UPDATE_LEVERAGE: self._update_leverage,
            tx.UPDATE_MARGIN: self._update_margin,
            tx.CREATE_GROUP: self._create_group,
        }

    def check(self, transaction: Transaction) -> None:
        """Check what needs no order book, as before anything is taken. Raises `Refused`."""
        fields = transaction.fields
        if transaction.tx_type not in self._handlers:
            raise Refused(21505, "unsupported tx type")
        if transaction.tx_type == tx.CREATE_ORDER:
            self._request(fields)
        elif transaction.tx_type == tx.CREATE_GROUP:
            self._group(fields)
        elif transaction.tx_type == tx.CANCEL_ALL:
            self._check_schedule(fields)
        elif "MarketIndex" in fields and transaction.tx_type != tx.CANCEL_ORDER:
            self._instrument(fields["MarketIndex"])

    def apply(self, transaction: Transaction) -> None:
        """Do what a verified transaction says. Raises `Refused`: then nothing was done."""
        account = self._tables.accounts[str(transaction.account_index)]
        self._handlers[transaction.tx_type](transaction, account)

    @property
    def _tables(self) -> Tables:
        return self._exchange.tables

    # Orders.

    def _create(self, transaction: Transaction, account: Account) -> None:
        request = self._request(transaction.fields)
        placement = trading.place(self._tables, self._exchange.switches, account.address, request)
        if placement.refusal is not None:
            self._refuse(placement.refusal.reason, request, placement.order)

    def _create_group(self, transaction: Transaction, account: Account) -> None:
        parent, *children = self._group(transaction.fields)
        sized = [replace(child, quantity=child.quantity or parent.quantity) for child in children]
        placements = trading.place_tree(
            self._tables, self._exchange.switches, account.address, [parent, *sized]
        )
        refusal = placements[0].refusal
        if refusal is not None:
            self._refuse(refusal.reason, parent, placements[0].order)

    def _group(self, fields: Mapping[str, Any]) -> list[trading.OrderRequest]:
        orders = fields["Orders"]
        if fields["GroupingType"] not in (1, 3) or not 2 <= len(orders) <= 3:
            raise Refused(21741, "invalid grouping type")
        requests = [
            self._request(order, is_child=number > 0) for number, order in enumerate(orders)
        ]
        if any(child.trigger is None or not child.reduce_only for child in requests[1:]):
            raise Refused(21742, "invalid grouped orders")
        return [requests[0], *(replace(one, is_position_tpsl=False) for one in requests[1:])]

    def _request(
        self, fields: Mapping[str, Any], *, is_child: bool = False
    ) -> trading.OrderRequest:
        """Check an order's form as the venue's signer and server do, and read it."""
        market = self._instrument(fields["MarketIndex"])
        kind, tif, size = fields["Type"], fields["TimeInForce"], fields["BaseAmount"]
        if kind not in range(_TWAP) or tif not in _TIFS:
            raise Refused(21700, "invalid order type or time in force")
        if (kind in _BY_MARKET and tif != _IOC) or not 0 < fields["Price"] <= _PRICE_MAX:
            raise Refused(21703, "invalid order price or time in force")
        if not 0 <= fields["ClientOrderIndex"] < FIRST_ORDER_INDEX:
            raise Refused(21727, "invalid client order index")
        whole_position = size == 0 and fields["ReduceOnly"] == 1
        if not whole_position and not 0 < size <= _SIZE_MAX:
            raise Refused(21702, "invalid base amount")
        is_triggered = kind in _TRIGGERED
        if is_triggered != (fields["TriggerPrice"] > 0):
            raise Refused(21710, "invalid trigger price")
        self._check_expiry(fields["OrderExpiry"], needed=is_triggered or tif != _IOC)
        index = fields["ClientOrderIndex"]
        trigger = None
        if is_triggered:
            trigger = trading.TriggerRequest(
                price=price_of(market, fields["TriggerPrice"]),
                is_market=kind in _BY_MARKET,
                is_take_profit=kind in (_TARGET, _TARGET_LIMIT),
            )
        return trading.OrderRequest(
            symbol=market.symbol,
            side=Side.SELL if fields["IsAsk"] else Side.BUY,
            price=price_of(market, fields["Price"]),
            quantity=quantity_of(market, size),
            time_in_force=_TIFS[tif] if trigger is None else TimeInForce.GTC,
            reduce_only=bool(fields["ReduceOnly"]) or is_child,
            client_order_id=str(index) if index else None,
            trigger=trigger,
            is_position_tpsl=whole_position,
            is_market=kind == _MARKET,
        )

    def _check_expiry(self, expiry_ms: int, *, needed: bool) -> None:
        ahead_ms = expiry_ms - self._exchange.now_ms()
        is_right = _EXPIRY_MIN_MS <= ahead_ms <= _EXPIRY_MAX_MS if needed else expiry_ms == 0
        if not is_right:
            raise Refused(21711, "invalid order expiry")

    def _refuse(self, reason: Reason, request: trading.OrderRequest, order: Order) -> None:
        """Raise what the API server says, as if nothing had come; not for what the sequencer ends.

        Whoever takes passes the server and fails for margin in the sequencer.
        """
        takes = request.trigger is None and request.time_in_force is TimeInForce.IOC
        if reason in _BY_SEQUENCER or (takes and reason in (Reason.MARGIN, Reason.REDUCE_ONLY)):
            return
        _forget(self._tables, order)
        match reason:
            case Reason.MARGIN:
                raise Refused(21739, "not enough margin to create the order")
            case Reason.REDUCE_ONLY:
                raise Refused(21732, "reduce only increases position")
            case Reason.MIN_NOTIONAL:
                raise Refused(21706, "invalid order base or quote amount")
            case Reason.BAD_TRIGGER:
                raise Refused(21735, "order trigger price is not accurate")
            case Reason.TOO_MANY_ORDERS:
                raise Refused(21717, "maximum active limit order count reached")
            case Reason.DUPLICATE_CLIENT_ID:
                raise Refused(21728, "client order index already exists")
            case Reason.UNKNOWN_MARKET:
                raise Refused(21605, "market is not active")
            case Reason.ZERO_QUANTITY | Reason.INVALID_QUANTITY:
                raise Refused(21702, "invalid base amount")
            case _:
                raise Refused(21703, "invalid order price")

    # Cancels and changes.

    def _cancel(self, transaction: Transaction, account: Account) -> None:
        """Cancel what is there; of what is not, nothing is said."""
        order = self._live(account, transaction.fields["Index"])
        if order is not None:
            trading.cancel(self._tables, order)

    def _cancel_all(self, transaction: Transaction, account: Account) -> None:
        self._check_schedule(transaction.fields)
        kind = transaction.fields["TimeInForce"]
        if kind == 0:
            wanted = transaction.attributes.get(_MARKET_ATTRIBUTE, _ANY_MARKET)
            symbol = SYMBOLS.get(wanted)
            for order in tuple(self._tables.live_orders.get(account.address, {}).values()):
                if wanted == _ANY_MARKET or order.symbol == symbol:
                    trading.cancel(self._tables, order)
            return
        account.cancel_all_at_ms = transaction.fields["Time"] if kind == 1 else None
        self._tables.touch(account)

    def _check_schedule(self, fields: Mapping[str, Any]) -> None:
        kind, ahead_ms = fields["TimeInForce"], fields["Time"] - self._exchange.now_ms()
        is_scheduled = kind == 1
        if kind not in (0, 1, 2) or (not is_scheduled and fields["Time"] != 0):
            raise Refused(21714, "invalid cancel all time")
        if is_scheduled and not _EXPIRY_MIN_MS <= ahead_ms <= _SCHEDULE_MAX_MS:
            raise Refused(21714, "invalid cancel all time")

    def _modify(self, transaction: Transaction, account: Account) -> None:
        """Give a resting order another price and size; it keeps its number, and may trade."""
        fields = transaction.fields
        order = self._live(account, fields["Index"])
        if order is None or not is_in_book(order):
            return
        market = self._instrument(fields["MarketIndex"])
        quantity = quantity_of(market, fields["BaseAmount"])
        price = price_of(market, fields["Price"])
        if quantity <= order.filled or not market.is_valid_price(price):
            raise Refused(21702, "invalid base amount")
        self._tables.books[order.symbol].side(order.side).remove(order)
        self._tables.moved(order.symbol)
        self._tables.hold_margin(order, ZERO)
        order.price, order.quantity = price, quantity
        order.remaining = quantity - order.filled
        order.updated_ms = self._tables.now_ms
        order.priority = 0
        announce(self._tables, order)
        work(self._tables, order)

    def _live(self, account: Account, index: int) -> Order | None:
        reference = index if index >= FIRST_ORDER_INDEX else str(index)
        return trading.live_order(self._tables, account.address, reference)

    # Settings.

    def _update_leverage(self, transaction: Transaction, account: Account) -> None:
        fields = transaction.fields
        market, fraction = self._instrument(fields["MarketIndex"]), fields["InitialMarginFraction"]
        leverage = round(_WHOLE_MARGIN / fraction) if fraction > 0 else 0
        if not 1 <= leverage <= market.max_leverage or fields["MarginMode"] not in (0, 1):
            raise Refused(21613, "invalid initial margin fraction")
        problem = ownership.set_leverage(
            self._tables,
            account.address,
            market.symbol,
            leverage,
            is_isolated=fields["MarginMode"] == 1,
        )
        if problem is Reason.USER:
            raise Refused(21132, "margin mode cannot be changed with an open position")
        if problem is not None:
            raise Refused(21508, "below initial margin requirement")

    def _update_margin(self, transaction: Transaction, account: Account) -> None:
        fields = transaction.fields
        market = self._instrument(fields["MarketIndex"])
        amount = Decimal(fields["USDCAmount"]).scaleb(-6)
        problem = ownership.move_isolated_margin(
            self._tables,
            account.address,
            market.symbol,
            amount if fields["Direction"] == 1 else -amount,
        )
        if problem is Reason.MARGIN:
            raise Refused(21615, "not enough collateral")
        if problem is not None:
            raise Refused(21614, "no position found")

    def _instrument(self, number: int) -> Instrument:
        symbol = SYMBOLS.get(number)
        market = None if symbol is None else self._tables.instruments.get(symbol)
        if market is None:
            raise Refused(21602, "invalid market index")
        if market.delisted:
            raise Refused(21605, "market is not active")
        return market


def _forget(tables: Tables, order: Order) -> None:
    """Take an order out of the exchange that was refused before it could be one."""
    assert order.status is OrderStatus.REJECTED  # noqa: S101 - it never was anywhere else
    del tables.orders[order.venue_order_id]
    tables.orders_of[order.account].remove(order)
    tables.touched.pop(id(order), None)
    if order.client_order_id is not None:
        tables.by_client_id[order.account, order.client_order_id].remove(order.venue_order_id)
