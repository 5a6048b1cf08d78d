"""What each signed request does, once it is verified.

Turns requests into operations of the exchange and their results into the venue's answers and
refusals. Runs inside one action of the exchange.

Source: docs.pacifica.fi api/rest-api/orders, api/error-codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from venues.pacifica import simulator_bodies as bodies
from venues.pacifica.simulator_views import MAX_ORDER, MIN_ORDER, number
from venues.simulation import ownership, trading
from venues.simulation.exchange import Exchange
from venues.simulation.instruments import Instrument
from venues.simulation.records import (
    ZERO,
    Account,
    Agent,
    Order,
    OrderStatus,
    Reason,
    Side,
    TimeInForce,
)
from venues.simulation.tables import Tables

Json = dict[str, Any]

_SIDES: Final = {"bid": Side.BUY, "ask": Side.SELL}
_TIFS: Final = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "ALO": TimeInForce.ALO}
#: A triggered market order is bounded this far from its trigger; the venue bounds it by nothing.
_TRIGGER_BOUND: Final = Decimal("0.5")
_AGENTS_MAX: Final = 20
_FOR_EVER_MS: Final = 4_102_444_800_000
_WAITING: Final = (OrderStatus.WAITING, OrderStatus.UNTRIGGERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a request: `data` of the answer, and the order that it made, if any."""

    data: Any = None
    order: Order | None = None


class Refused(Exception):
    """The engine refuses (HTTP 422), or with `status` 400 a check before it."""

    def __init__(
        self, text: str, code: int, *, status: int = 422, error_id: str = "unspecified"
    ) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.status = status
        self.error_id = error_id


class Business:
    """Applies requests for an account."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._handlers: dict[str, Callable[[Any, Account], Taken]] = {
            "create_order": self._create,
            "create_market_order": self._create_market,
            "create_stop_order": self._create_stop,
            "set_position_tpsl": self._set_exits,
            "cancel_order": self._cancel,
            "cancel_stop_order": self._cancel_stop,
            "cancel_all_orders": self._cancel_all,
            "edit_order": self._edit,
            "update_leverage": self._update_leverage,
            "update_margin_mode": self._update_margin_mode,
            "add_isolated_margin": self._add_isolated_margin,
            "bind_agent_wallet": self._bind_agent,
            "revoke_agent_wallet": self._revoke_agent,
            "list_agent_wallets": self._list_agents,
        }

    def apply(self, request: bodies.Request) -> Taken:
        """Do what a verified request says. Raises `Refused`."""
        address = request.envelope.account
        account = self._tables.accounts.get(address)
        if account is None:
            raise Refused(f"Account not found: {address}", 1)
        return self._handlers[request.kind](request.data, account)

    @property
    def _tables(self) -> Tables:
        return self._exchange.tables

    # Orders.

    def _create(self, data: bodies.CreateOrder, account: Account) -> Taken:
        instrument = self._instrument(data.symbol)
        side, price, quantity = _SIDES[data.side], Decimal(data.price), Decimal(data.amount)
        if data.tif == "RFQ":
            raise Refused("Unsupported operation", 51)
        if data.builder_code is not None:
            raise Refused("Invalid builder code", 50)
        self._check_price(instrument, price)
        self._check_amount(account, instrument, quantity, price)
        self._check_reduce_only(account, data.symbol, side, quantity, data.reduce_only)
        request = trading.OrderRequest(
            symbol=data.symbol,
            side=side,
            price=self._behind(instrument, side, price) if data.tif == "TOB" else price,
            quantity=quantity,
            time_in_force=_TIFS.get(data.tif, TimeInForce.ALO),
            reduce_only=data.reduce_only,
            client_order_id=data.client_order_id,
        )
        return self._placed(account, request, data.take_profit, data.stop_loss)

    def _create_market(self, data: bodies.CreateMarketOrder, account: Account) -> Taken:
        instrument = self._instrument(data.symbol)
        side, quantity = _SIDES[data.side], Decimal(data.amount)
        mark = self._tables.markets[data.symbol].mark_price
        self._check_amount(account, instrument, quantity, mark)
        self._check_reduce_only(account, data.symbol, side, quantity, data.reduce_only)
        slippage = Decimal(data.slippage_percent) / 100
        if side is Side.BUY:
            price = instrument.price_below(mark * (1 + slippage))
        else:
            price = instrument.price_above(mark * (1 - slippage))
        request = trading.OrderRequest(
            symbol=data.symbol,
            side=side,
            price=price,
            quantity=quantity,
            time_in_force=TimeInForce.IOC,
            reduce_only=data.reduce_only,
            client_order_id=data.client_order_id,
            is_market=True,
        )
        return self._placed(account, request, data.take_profit, data.stop_loss)

    def _create_stop(self, data: bodies.CreateStopOrder, account: Account) -> Taken:
        if data.stop_order.amount is None:
            raise Refused("stop_order: missing field `amount`", 400, status=400)
        request = self._triggered(
            data.symbol, _SIDES[data.side], data.stop_order, is_take_profit=False
        )
        return self._placed(account, replace(request, reduce_only=data.reduce_only))

    def _set_exits(self, data: bodies.SetPositionTpsl, account: Account) -> Taken:
        """Place the take-profit, then the stop-loss: one that is refused leaves the other there."""
        self._instrument(data.symbol)
        side = _SIDES[data.side]
        held = self._tables.quantity_held(account.address, data.symbol)
        if not held:
            raise Refused(f"Position not found for {account.address}: {data.symbol}", 13)
        if (held > 0) != (side is Side.SELL):
            raise Refused("Invalid stop order side", 17)
        for leg, is_take_profit in ((data.take_profit, True), (data.stop_loss, False)):
            if leg is not None:
                request = self._triggered(data.symbol, side, leg, is_take_profit=is_take_profit)
                self._placed(account, request)
        return Taken()

    def _placed(
        self,
        account: Account,
        request: trading.OrderRequest,
        take_profit: bodies.Leg | None = None,
        stop_loss: bodies.Leg | None = None,
    ) -> Taken:
        exchange, address = self._exchange, account.address
        self._setting(address, request.symbol)
        exits = [
            replace(
                self._triggered(request.symbol, request.side.opposite, leg, is_take_profit=is_tp),
                quantity=Decimal(leg.amount) if leg.amount is not None else request.quantity,
                is_position_tpsl=False,
            )
            for leg, is_tp in ((take_profit, True), (stop_loss, False))
            if leg is not None
        ]
        if exits:
            placements = trading.place_tree(
                exchange.tables, exchange.switches, address, [request, *exits]
            )
            placement = placements[0]
        else:
            placement = trading.place(exchange.tables, exchange.switches, address, request)
        if placement.refusal is not None:
            self._refuse(placement.refusal.reason, account, request)
        return Taken(data={"order_id": placement.order.venue_order_id}, order=placement.order)

    def _refuse(self, reason: Reason, account: Account, request: trading.OrderRequest) -> None:
        """Raise what the venue says; not for orders that it takes and ends at once."""
        is_stop = request.trigger is not None
        match reason:
            case Reason.POST_ONLY_CROSS | Reason.NO_MATCH:
                return
            case Reason.NO_LIQUIDITY:
                raise Refused("No reasonable price found", 25)
            case Reason.MARGIN:
                required = dollars_of(request)
                raise Refused(f"Insufficient balance for {account.address}: {required}", 5)
            case Reason.REDUCE_ONLY:
                raise (
                    Refused("Invalid stop order reduce only", 19)
                    if is_stop
                    else Refused(f"Position not found for {account.address}: {request.symbol}", 23)
                )
            case Reason.BAD_TRIGGER:
                raise Refused("Invalid stop order side", 17)
            case Reason.TICK | Reason.INVALID_PRICE:
                raise Refused(f"Invalid tick level: {number(request.price)}", 16 if is_stop else 4)
            case Reason.INVALID_QUANTITY | Reason.ZERO_QUANTITY:
                raise (
                    Refused("Invalid stop order amount", 18)
                    if is_stop
                    else Refused("Invalid amount", 59)
                )
            case Reason.MIN_NOTIONAL:
                raise Refused(f"Order amount too low for {account.address}", 7)
            case Reason.TOO_MANY_ORDERS:
                raise Refused(f"Open order limit reached for {account.address}", 10)
            case Reason.DUPLICATE_CLIENT_ID:
                raise Refused(f"Duplicate client order id: {request.client_order_id}", 36)
            case _:
                raise Refused(f"Book not found: {request.symbol}", 3)

    def _triggered(
        self, symbol: str, side: Side, leg: bodies.Leg, *, is_take_profit: bool
    ) -> trading.OrderRequest:
        instrument, stop = self._instrument(symbol), Decimal(leg.stop_price)
        if leg.limit_price is not None:
            price = Decimal(leg.limit_price)
        elif side is Side.BUY:
            price = instrument.price_above(stop * (1 + _TRIGGER_BOUND))
        else:
            price = instrument.price_below(stop * (1 - _TRIGGER_BOUND))
        return trading.OrderRequest(
            symbol=symbol,
            side=side,
            price=price,
            quantity=Decimal(leg.amount) if leg.amount is not None else ZERO,
            reduce_only=True,
            client_order_id=leg.client_order_id,
            trigger=trading.TriggerRequest(
                price=stop, is_market=leg.limit_price is None, is_take_profit=is_take_profit
            ),
            is_position_tpsl=leg.amount is None,
        )

    # Cancels and edits.

    def _cancel(self, data: bodies.CancelOrder, account: Account) -> Taken:
        order = self._live(data.symbol, data.order_id, data.client_order_id, account)
        if order.status in _WAITING:
            raise Refused(f"Order not found for {account.address}: {order.venue_order_id}", 6)
        trading.cancel(self._tables, order)
        return Taken(order=order)

    def _cancel_stop(self, data: bodies.CancelOrder, account: Account) -> Taken:
        order = self._live(data.symbol, data.order_id, data.client_order_id, account)
        if order.status not in _WAITING:
            raise Refused("Stop order not found", 6)
        trading.cancel(self._tables, order)
        return Taken(order=order)

    def _cancel_all(self, data: bodies.CancelAllOrders, account: Account) -> Taken:
        if not data.all_symbols and data.symbol is None:
            raise Refused("Invalid parameters", 400, status=400)
        count = 0
        for order in tuple(self._tables.live_orders.get(account.address, {}).values()):
            is_wanted = data.all_symbols or order.symbol == data.symbol
            if is_wanted and not (data.exclude_reduce_only and order.reduce_only):
                count += trading.cancel(self._tables, order)
        return Taken(data={"cancelled_count": count})

    def _edit(self, data: bodies.EditOrder, account: Account) -> Taken:
        """Cancel and place: one that would cross is lost, the old order is gone all the same."""
        instrument, price = self._instrument(data.symbol), Decimal(data.price)
        old = self._live(data.symbol, data.order_id, data.client_order_id, account)
        if old.trigger is not None:
            raise Refused(f"Order not found for {account.address}: {old.venue_order_id}", 6)
        quantity = Decimal(data.amount) if data.amount is not None else old.remaining
        self._check_price(instrument, price)
        self._check_amount(account, instrument, quantity, price)
        request = trading.OrderRequest(
            symbol=old.symbol,
            side=old.side,
            price=price,
            quantity=quantity,
            reduce_only=old.reduce_only,
            client_order_id=old.client_order_id,
        )
        placement = trading.replace(
            self._tables,
            self._exchange.switches,
            old,
            request,
            account.address,
            always_place=False,
        )
        if placement is None:
            raise Refused(f"Order not found for {account.address}: {old.venue_order_id}", 6)
        if placement.refusal is not None:
            self._refuse(placement.refusal.reason, account, request)
        return Taken(data={"order_id": placement.order.venue_order_id}, order=placement.order)

    def _live(
        self, symbol: str, order_id: int | None, client_order_id: str | None, account: Account
    ) -> Order:
        reference = order_id if order_id is not None else client_order_id
        if reference is None:
            raise Refused("Invalid parameters", 400, status=400)
        order = trading.live_order(self._tables, account.address, reference)
        if order is None or order.symbol != symbol:
            if order_id is not None:
                raise Refused(f"Order not found for {account.address}: {order_id}", 6)
            raise Refused(f"Unused client order id: {client_order_id}", 37)
        return order

    # Settings and keys.

    def _update_leverage(self, data: bodies.UpdateLeverage, account: Account) -> Taken:
        instrument = self._instrument(data.symbol)
        if not 1 <= data.leverage <= instrument.max_leverage:
            raise Refused("Invalid leverage", 400, status=400)
        row = self._setting(account.address, data.symbol)
        if row.quantity and data.leverage < row.leverage:
            raise Refused("Cannot decrease leverage with open position", 11)
        self._set(account, data.symbol, data.leverage, is_isolated=row.is_isolated)
        return Taken()

    def _update_margin_mode(self, data: bodies.UpdateMarginMode, account: Account) -> Taken:
        self._instrument(data.symbol)
        row = self._setting(account.address, data.symbol)
        if row.quantity and row.is_isolated is not data.is_isolated:
            raise Refused("Cannot update margin mode with open position", 12)
        self._set(account, data.symbol, row.leverage, is_isolated=data.is_isolated)
        return Taken()

    def _set(self, account: Account, symbol: str, leverage: int, *, is_isolated: bool) -> None:
        problem = ownership.set_leverage(
            self._tables, account.address, symbol, leverage, is_isolated=is_isolated
        )
        if problem is not None:
            raise Refused(f"Insufficient balance for {account.address}", 5)

    def _add_isolated_margin(self, data: bodies.AddIsolatedMargin, account: Account) -> Taken:
        self._instrument(data.symbol)
        problem = ownership.move_isolated_margin(
            self._tables, account.address, data.symbol, Decimal(data.amount)
        )
        if problem is Reason.MARGIN:
            raise Refused(f"Insufficient balance for {account.address}", 5)
        if problem is not None:
            raise Refused(f"Position not found for {account.address}: {data.symbol}", 13)
        return Taken()

    def _bind_agent(self, data: bodies.NameAgent, account: Account) -> Taken:
        if len(ownership.agents_of(self._tables, account.address)) >= _AGENTS_MAX:
            raise Refused("Agent limit reached", 400, status=400)
        bind_agent(self._tables, account.address, data.agent_wallet)
        return Taken()

    def _revoke_agent(self, data: bodies.NameAgent, account: Account) -> Taken:
        agent = self._tables.agents.get(data.agent_wallet)
        if agent is None or agent.account != account.address:
            raise Refused("Agent not found", 400, status=400)
        agent.revoked = True
        self._tables.record(agent)
        return Taken()

    def _list_agents(self, data: bodies.Nothing, account: Account) -> Taken:
        found = ownership.agents_of(self._tables, account.address)
        return Taken(data=[{"agent_wallet": agent.address} for agent in found])

    # Checks of form, which come before the engine.

    def _instrument(self, symbol: str) -> Instrument:
        instrument = self._tables.instruments.get(symbol)
        if instrument is None or instrument.delisted:
            raise Refused(f"Book not found: {symbol}", 3)
        return instrument

    def _check_price(self, instrument: Instrument, price: Decimal) -> None:
        if not instrument.is_valid_price(price):
            tick = number(instrument.tick_size(instrument.start_price))
            text = f"Price {number(price)} is not a multiple of tick size {tick}"
            raise Refused(text, 400, status=400)

    def _check_amount(
        self, account: Account, instrument: Instrument, quantity: Decimal, price: Decimal
    ) -> None:
        if not quantity or not instrument.is_valid_quantity(quantity):
            lot = number(Decimal(1).scaleb(-instrument.size_decimals))
            text = f"Amount {number(quantity)} is not a multiple of lot size {lot}"
            raise Refused(text, 400, status=400)
        value = quantity * price
        if value < MIN_ORDER:
            raise Refused(
                f"Order amount too low for {account.address}: {value:.5f} < {number(MIN_ORDER)}",
                0,
                error_id="invalid_amount",
            )
        if value > MAX_ORDER:
            raise Refused(f"Order amount too high for {account.address}", 8)

    def _check_reduce_only(
        self, account: Account, symbol: str, side: Side, quantity: Decimal, reduce_only: bool
    ) -> None:
        held = self._tables.quantity_held(account.address, symbol)
        if not reduce_only:
            return
        if not held:
            raise Refused("No position to reduce", 23)
        if (held > 0) != (side is Side.SELL):
            raise Refused("Reduce only order has the wrong side", 21)
        if quantity > abs(held):
            raise Refused("Reduce only order exceeds position", 22)

    def _behind(self, instrument: Instrument, side: Side, price: Decimal) -> Decimal:
        """Return the price of a TOB order: one tick behind the best it would have met."""
        best = self._tables.books[instrument.symbol].side(side.opposite).best_price()
        if best is None:
            return price
        tick = instrument.tick_size(best)
        return min(price, best - tick) if side is Side.BUY else max(price, best + tick)

    def _setting(self, address: str, symbol: str) -> Any:
        """Return the account's row of a market, which begins at the market's greatest leverage."""
        is_new = symbol not in self._tables.positions.get(address, {})
        row = self._tables.position(address, symbol)
        if is_new:
            row.leverage = self._tables.instruments[symbol].max_leverage
            self._tables.touch(row)
        return row


def bind_agent(tables: Tables, account: str, address: str) -> None:
    """Let a key trade for an account; inside an action."""
    tables.record(
        Agent(address=address, account=account, valid_until_ms=_FOR_EVER_MS, name=address)
    )


def dollars_of(request: trading.OrderRequest) -> str:
    """Return an order's value."""
    return number(request.quantity * request.price)
