"""What each signed request does, once it is known who signed it.

Turns requests into operations of the exchange. Whatever the matching side refuses is an order
with the status REJECTED; what is wrong with a request's form is an error. Runs inside one action.

Source: the official v2 API page, POST /orders, error codes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from venues.simulation import ownership, trading
from venues.simulation.exchange import Exchange
from venues.simulation.instruments import Instrument
from venues.simulation.lifecycle import announce
from venues.simulation.records import Order, OrderStatus, Position, Reason, Side, TimeInForce
from venues.simulation.tables import Tables
from venues.vest.simulator_bodies import Cancel, Leverage
from venues.vest.simulator_bodies import Order as Asked
from venues.vest.simulator_views import order_number

_DECIMAL: Final = re.compile(r"\d{1,18}(?:\.(\d{1,18}))?")
_TYPES: Final = ("LIMIT", "MARKET")
_LIFETIMES: Final = ("GTC", "FOK")


class Refused(Exception):
    """The request is refused with one of the page's codes."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(slots=True)
class Quirks:
    """How the simulated venue is where nobody knows how the real one is.

    `fok_cancels`: a FOK order that cannot fill is CANCELLED, not REJECTED. `takes_any_cancel`: a
    cancel of an order that is not there is taken. `detail_envelope` and `errors_with_200`: how
    errors are carried. `binary_frames`: the socket speaks in binary frames.
    """

    fok_cancels: bool = False
    takes_any_cancel: bool = False
    detail_envelope: bool = False
    errors_with_200: bool = False
    binary_frames: bool = False


class Business:
    """Applies requests for an account."""

    def __init__(self, exchange: Exchange, quirks: Quirks) -> None:
        self._exchange = exchange
        self._quirks = quirks

    @property
    def _tables(self) -> Tables:
        return self._exchange.tables

    def place(self, account: str, asked: Asked) -> Order:
        """Place an order. Raises `Refused` for its form alone."""
        instrument = self._instrument(asked.symbol, 1121)
        if asked.order_type not in _TYPES:
            raise Refused(1116, "INVALID_ORDER_TYPE")
        is_market = asked.order_type == "MARKET"
        if (asked.time_in_force is not None) is is_market or (
            asked.time_in_force not in (*_LIFETIMES, None)
        ):
            raise Refused(1133, "INVALID_TIME_IN_FORCE")
        if asked.tp_price is not None or asked.sl_price is not None:
            raise Refused(1130, "INVALID_PARAMETER")
        request = trading.OrderRequest(
            symbol=asked.symbol,
            side=Side.BUY if asked.is_buy else Side.SELL,
            price=_decimal(asked.limit_price, instrument.price_decimals),
            quantity=_decimal(asked.size, instrument.size_decimals),
            time_in_force=TimeInForce.IOC if is_market else TimeInForce.GTC,
            reduce_only=asked.reduce_only,
            client_order_id=str(asked.nonce),
            is_market=is_market,
        )
        if self._exchange.switches.refuse_duplicate_client_ids and (
            (account, str(asked.nonce)) in self._tables.by_client_id
        ):
            raise Refused(3015, "DUPLICATE")
        self._setting(account, asked.symbol)
        reason = self._refusal(account, request, is_fok=asked.time_in_force == "FOK")
        if reason is not None:
            return self._reject(account, request, reason)
        placed = trading.place(self._tables, self._exchange.switches, account, request)
        return placed.order

    def _refusal(
        self, account: str, request: trading.OrderRequest, *, is_fok: bool
    ) -> Reason | None:
        """Return why the matching side refuses what the shared exchange would take."""
        if request.reduce_only:
            closable = self._tables.closable(account, request.symbol, request.side)
            if not closable:
                return Reason.REDUCE_ONLY
            if request.quantity > closable:
                # Not cut to the position, as elsewhere.
                return Reason.INVALID_QUANTITY
        if is_fok and self._available(request) < request.quantity:
            return Reason.NO_MATCH
        return None

    def _available(self, request: trading.OrderRequest) -> Decimal:
        """Return how much there is to trade with at an order's price or better."""
        ladder = self._tables.books[request.symbol].side(request.side.opposite)
        found = Decimal(0)
        for level in ladder.levels():
            is_worse = (
                level.price > request.price
                if request.side is Side.BUY
                else level.price < request.price
            )
            if is_worse:
                break
            found += level.quantity
        return found

    def _reject(self, account: str, request: trading.OrderRequest, reason: Reason) -> Order:
        tables = self._tables
        order = Order(
            venue_order_id=tables.take_order_id(),
            account=account,
            symbol=request.symbol,
            side=request.side,
            price=request.price,
            quantity=request.quantity,
            remaining=request.quantity,
            created_ms=tables.now_ms,
            updated_ms=tables.now_ms,
            number=tables.order_count.get(account, 0),
            client_order_id=request.client_order_id,
            reduce_only=request.reduce_only,
            is_market=request.is_market,
            status=OrderStatus.REJECTED,
            reason=reason,
        )
        tables.add_order(order)
        announce(tables, order)
        return order

    def cancel(self, account: str, asked: Cancel) -> None:
        """Cancel an order. Raises `Refused` for one that is not there."""
        number = order_number(asked.id)
        order = trading.live_order(self._tables, account, number) if number else None
        if order is not None:
            trading.cancel(self._tables, order)
        elif not self._quirks.takes_any_cancel:
            raise Refused(3017, "ORDER_NOT_FOUND")

    def set_leverage(self, account: str, asked: Leverage) -> None:
        """Set an account's leverage in a market. Raises `Refused`."""
        instrument = self._instrument(asked.symbol, 1121)
        if not 1 <= asked.value <= instrument.max_leverage:
            raise Refused(1130, "INVALID_PARAMETER")
        row = self._setting(account, asked.symbol)
        if row.quantity and asked.value < row.leverage:
            raise Refused(3021, "DECREASE_LEVERAGE_WITH_POSITION")
        problem = ownership.set_leverage(
            self._tables, account, asked.symbol, asked.value, is_isolated=False
        )
        if problem is not None:
            raise Refused(3002, "MARGIN_CHECK_FAILED")

    def _instrument(self, symbol: str, code: int) -> Instrument:
        instrument = self._tables.instruments.get(symbol)
        if instrument is None or instrument.delisted:
            raise Refused(code, "BAD_SYMBOL")
        return instrument

    def _setting(self, account: str, symbol: str) -> Position:
        """Return the account's row of a market, which begins at the market's greatest leverage."""
        is_new = symbol not in self._tables.positions.get(account, {})
        row = self._tables.position(account, symbol)
        if is_new:
            row.leverage = self._tables.instruments[symbol].max_leverage
            self._tables.touch(row)
        return row


def _decimal(text: str, decimals: int) -> Decimal:
    match = _DECIMAL.fullmatch(text)
    if match is None or not Decimal(text):
        raise Refused(1130, "INVALID_PARAMETER")
    if len(match.group(1) or "") > decimals:
        raise Refused(1111, "BAD_DECIMALS")
    return Decimal(text)
