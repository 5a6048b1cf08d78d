"""What each signed request does, once it is known whose it is.

Turns requests into operations of the exchange and their results into the venue's answers and
refusals. Runs inside one action of the exchange. Codes that nobody has measured are names of this
simulator's: a client may rely on their not being SUCCESS, and on nothing else.

Source: edgeX gitbook api/private-api/order-api, account-api.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from venues.edgex import simulator_auth as auth
from venues.edgex.simulator_markets import (
    PRICE_RATIO,
    QUOTE_COIN,
    QUOTE_RESOLUTION,
    SYMBOLS,
    resolution_of,
)
from venues.edgex.simulator_views import TAKEN, is_known, number, order_type, status_word
from venues.simulation import margin, ownership, trading
from venues.simulation.exchange import Exchange
from venues.simulation.instruments import Instrument
from venues.simulation.records import Order, Reason, Side, TimeInForce
from venues.simulation.settlement import TAKER_FEE
from venues.simulation.tables import Tables

Json = dict[str, Any]

_DECIMAL: Final = re.compile(r"\d{1,20}(\.\d{1,18})?\Z")
_DIGITS: Final = re.compile(r"\d{1,20}\Z")
_CLIENT_ID: Final = re.compile(r"\S{1,64}\Z")
_MARKETS: Final = ("MARKET", "STOP_MARKET", "TAKE_PROFIT_MARKET")
_TYPES: Final = (*_MARKETS, "LIMIT", "STOP_LIMIT", "TAKE_PROFIT_LIMIT")
_TIMES: Final = {
    "GOOD_TIL_CANCEL": TimeInForce.GTC,
    "IMMEDIATE_OR_CANCEL": TimeInForce.IOC,
    "POST_ONLY": TimeInForce.ALO,
}
_L2_MARGIN_MS: Final = 691_200_000
_REFUSALS: Final = {
    Reason.MARGIN: "INSUFFICIENT_BALANCE",
    Reason.BAD_TRIGGER: "INVALID_TRIGGER_PRICE",
    Reason.TICK: "INVALID_ORDER_PRICE",
    Reason.INVALID_PRICE: "INVALID_ORDER_PRICE",
    Reason.INVALID_QUANTITY: "INVALID_ORDER_SIZE",
    Reason.ZERO_QUANTITY: "INVALID_ORDER_SIZE",
    Reason.MIN_NOTIONAL: "INVALID_ORDER_SIZE",
    Reason.TOO_MANY_ORDERS: "TOO_MANY_OPEN_ORDERS",
    Reason.DUPLICATE_CLIENT_ID: "DUPLICATE_CLIENT_ORDER_ID",
    Reason.UNKNOWN_MARKET: "GATEWAY_INVALID_CONTRACT_ID",
}


class Refused(Exception):
    """The venue refuses; `status` is HTTP's."""

    def __init__(self, code: str, message: str = "", *, status: int = 200) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.status = status


class CreateOrder(msgspec.Struct, kw_only=True, rename="camel"):
    """The body of a placement; what else it has is ignored."""

    account_id: str
    contract_id: str
    price: str
    size: str
    type: str
    side: str
    time_in_force: str
    client_order_id: str
    expire_time: str
    l2_nonce: str = msgspec.field(name="l2Nonce")
    l2_signature: str = msgspec.field(name="l2Signature")
    l2_expire_time: str = msgspec.field(name="l2ExpireTime")
    l2_value: str = msgspec.field(name="l2Value")
    l2_size: str = msgspec.field(name="l2Size")
    l2_limit_fee: str = msgspec.field(name="l2LimitFee")
    reduce_only: bool = False
    trigger_price: str = ""
    trigger_price_type: str = ""
    is_position_tpsl: bool = False


class Business:
    """Applies requests for an account."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._handlers: dict[str, Callable[[Json, str], Json | None]] = {
            "/private/order/createOrder": self._create,
            "/private/order/cancelOrderById": self._cancel_by_id,
            "/private/order/cancelOrderByClientOrderId": self._cancel_by_client_id,
            "/private/order/cancelAllOrder": self._cancel_all,
            "/private/order/getMaxCreateOrderSize": self._max_size,
            "/private/account/updateLeverageSetting": self._update_leverage,
            "/private/account/setMarginMode": self._set_margin_mode,
        }

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths below the prefix."""
        return tuple(self._handlers)

    def apply(self, path: str, body: Json, account: str) -> Json | None:
        """Do what an authentic request says, for the account of its API key. Raises `Refused`."""
        if str(body.get("accountId")) != account:
            raise Refused("ACCOUNT_NOT_FOUND", "account is not of this apiKey", status=403)
        return self._handlers[path](body, account)

    @property
    def _tables(self) -> Tables:
        return self._exchange.tables

    # Placing.

    def _create(self, body: Json, account: str) -> Json:
        try:
            order = msgspec.convert(body, CreateOrder)
        except msgspec.ValidationError as error:
            raise Refused("GATEWAY_PARAM_INVALID", str(error), status=400) from None
        _check_shape(order)
        instrument = self._instrument(order.contract_id)
        self._check_signature(order, body, account, instrument)
        self._check_limits(order)
        self._check_price(order, instrument)
        tables, switches = self._tables, self._exchange.switches
        placement = trading.place(tables, switches, account, _request(order, instrument))
        if placement.refusal is not None and placement.refusal.reason not in TAKEN:
            reason = placement.refusal.reason
            raise Refused(_REFUSALS.get(reason, "ORDER_REFUSED"), reason.value)
        return {"orderId": str(placement.order.venue_order_id)}

    def _check_signature(
        self, order: CreateOrder, body: Json, account: str, instrument: Instrument
    ) -> None:
        if int(order.l2_nonce) != auth.nonce_of(order.client_order_id):
            raise Refused("INVALID_L2_NONCE", "l2Nonce is not clientOrderId's")
        for signer in auth.signers_of(self._tables.agents, account):
            found = auth.signer_of_order(
                body,
                resolution=resolution_of(instrument.symbol),
                quote_resolution=QUOTE_RESOLUTION,
                quote_coin=QUOTE_COIN,
                signer=signer,
            )
            if found == signer:
                return
        raise Refused("INVALID_L2_SIGNATURE", "l2 signature is not a registered signer's")

    def _check_limits(self, order: CreateOrder) -> None:
        """Check what was signed against what is asked."""
        size, signed = Decimal(order.size), Decimal(order.l2_size)
        expires = int(order.expire_time)
        if signed != size or expires <= self._tables.now_ms:
            raise Refused("INVALID_L2_ORDER", "l2Size or expireTime")
        if int(order.l2_expire_time) < expires + _L2_MARGIN_MS:
            raise Refused("INVALID_L2_EXPIRE_TIME", "l2ExpireTime is too early")
        price, value = Decimal(order.price), Decimal(order.l2_value)
        if price and (value < price * size if order.side == "BUY" else value > price * size):
            raise Refused("INVALID_L2_VALUE", "l2Value is worse than price")
        if Decimal(order.l2_limit_fee) < price * size * TAKER_FEE:
            raise Refused("INVALID_L2_LIMIT_FEE", "l2LimitFee is too small")

    def _check_price(self, order: CreateOrder, instrument: Instrument) -> None:
        price = Decimal(order.price)
        if not price or order.trigger_price not in ("", "0"):
            return
        oracle = self._tables.markets[instrument.symbol].oracle_price
        is_buy = order.side == "BUY"
        if price > oracle * (1 + PRICE_RATIO) if is_buy else price < oracle * (1 - PRICE_RATIO):
            raise Refused("ORDER_PRICE_TOO_FAR", "price is too far from the oracle's")

    # Cancelling.

    def _cancel_by_id(self, body: Json, account: str) -> Json:
        found = {}
        for order_id in _list(body, "orderIdList"):
            order = self._tables.orders.get(int(order_id)) if _DIGITS.match(order_id) else None
            own = order if order is not None and order.account == account else None
            found[order_id] = self._canceled(own)
        return {"cancelResultMap": found}

    def _cancel_by_client_id(self, body: Json, account: str) -> Json:
        tables, found = self._tables, {}
        for name in _list(body, "clientOrderIdList"):
            order = trading.live_order(tables, account, name)
            if order is None:
                ids = tables.by_client_id.get((account, name), [])
                order = tables.orders[ids[-1]] if ids else None
            found[name] = self._canceled(order)
        return {"cancelResultMap": found}

    def _cancel_all(self, body: Json, account: str) -> Json:
        contracts = [SYMBOLS.get(one) for one in body.get("filterContractIdList") or ()]
        types = body.get("filterOrderTypeList") or ()
        found = {}
        for order in list(self._tables.live_orders.get(account, {}).values()):
            if (not contracts or order.symbol in contracts) and (
                not types or order_type(order) in types
            ):
                found[str(order.venue_order_id)] = self._canceled(order)
        return {"cancelResultMap": found}

    def _canceled(self, order: Order | None) -> str:
        if order is None or not is_known(order):
            return "FAILED_ORDER_NOT_FOUND"
        if trading.cancel(self._tables, order):
            return "SUCCESS"
        is_filled = status_word(order) == "FILLED"
        return "FAILED_ORDER_FILLED" if is_filled else "SUCCESS_ORDER_CANCELED"

    # Settings and small questions.

    def _max_size(self, body: Json, account: str) -> Json:
        instrument = self._instrument(str(body.get("contractId")))
        price = str(body.get("price", ""))
        if not _DECIMAL.match(price) or not Decimal(price):
            raise Refused("GATEWAY_PARAM_INVALID", "price", status=400)
        tables, symbol = self._tables, instrument.symbol
        free = max(margin.available_margin(tables, account), Decimal(0))
        leverage = tables.position(account, symbol).leverage
        opens = instrument.quantity_below(free * leverage / Decimal(price))
        held = tables.quantity_held(account, symbol)
        book = tables.books[symbol]
        ask, bid = book.asks.best_price(), book.bids.best_price()
        return {
            "maxBuySize": number(opens + max(-held, Decimal(0))),
            "maxSellSize": number(opens + max(held, Decimal(0))),
            "ask1Price": number(ask) if ask is not None else "0",
            "bid1Price": number(bid) if bid is not None else "0",
        }

    def _update_leverage(self, body: Json, account: str) -> None:
        instrument = self._instrument(str(body.get("contractId")))
        leverage = str(body.get("leverage", ""))
        if not _DIGITS.match(leverage) or not 1 <= int(leverage) <= instrument.max_leverage:
            raise Refused("GATEWAY_PARAM_INVALID", "leverage", status=400)
        live = self._tables.live_orders.get(account, {}).values()
        if any(order.symbol == instrument.symbol for order in live):
            raise Refused("ACCOUNT_UPDATE_LEVERAGE_FAILED_ORDER", "open orders")
        problem = ownership.set_leverage(
            self._tables, account, instrument.symbol, int(leverage), is_isolated=False
        )
        if problem is not None:
            raise Refused("INSUFFICIENT_BALANCE", "leverage")

    def _set_margin_mode(self, body: Json, account: str) -> None:
        """Check the signature and change nothing: what the modes' numbers mean is unknown."""
        self._instrument(str(body.get("contractId")))
        names = ("l2Nonce", "marginMode", "signer", "l2Signature")
        if not all(isinstance(body.get(name), str) for name in names):
            raise Refused("GATEWAY_PARAM_INVALID", "margin mode", status=400)
        found = auth.signer_of_margin_mode(body)
        if not auth.registered(self._tables.agents, found, account):
            raise Refused("INVALID_L2_SIGNATURE", "l2 signature is not a registered signer's")

    def _instrument(self, contract_id: str) -> Instrument:
        symbol = SYMBOLS.get(contract_id)
        instrument = self._tables.instruments.get(symbol or "")
        if instrument is None or instrument.delisted:
            message = f"invalid contractId : {contract_id}"
            raise Refused("GATEWAY_INVALID_CONTRACT_ID", message, status=400)
        return instrument


def _list(body: Mapping[str, Any], name: str) -> list[str]:
    found = body.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(one, str) for one in found):
        raise Refused("GATEWAY_PARAM_INVALID", name, status=400)
    return found


def _check_shape(order: CreateOrder) -> None:
    decimals = (order.price, order.size, order.l2_value, order.l2_size, order.l2_limit_fee)
    digits = (order.expire_time, order.l2_expire_time, order.l2_nonce, order.account_id)
    waits = order.type not in ("LIMIT", "MARKET")
    is_whole = (
        all(map(_DECIMAL.match, decimals))
        and all(map(_DIGITS.match, digits))
        and _CLIENT_ID.match(order.client_order_id)
        and order.type in _TYPES
        and order.side in ("BUY", "SELL")
        and Decimal(order.l2_size) > 0
        and (not waits or _DECIMAL.match(order.trigger_price))
    )
    if not is_whole:
        raise Refused("GATEWAY_PARAM_INVALID", "order", status=400)
    if order.time_in_force not in _TIMES:
        raise Refused("UNSUPPORTED_TIME_IN_FORCE", order.time_in_force)


def _request(order: CreateOrder, instrument: Instrument) -> trading.OrderRequest:
    """Return what the exchange is asked for; what becomes a market order is bound as signed."""
    side = Side.BUY if order.side == "BUY" else Side.SELL
    price = Decimal(order.price)
    if order.type in _MARKETS:
        bound = Decimal(order.l2_value) / Decimal(order.l2_size)
        price = instrument.price_below(bound) if side is Side.BUY else instrument.price_above(bound)
    waits = order.type not in ("LIMIT", "MARKET")
    trigger = None
    if waits:
        trigger = trading.TriggerRequest(
            price=Decimal(order.trigger_price),
            is_market=order.type in _MARKETS,
            is_take_profit=order.type.startswith("TAKE_PROFIT"),
        )
    is_market = order.type == "MARKET"
    times = _TIMES[order.time_in_force]
    return trading.OrderRequest(
        symbol=instrument.symbol,
        side=side,
        price=price,
        quantity=Decimal(order.size),
        time_in_force=TimeInForce.IOC if is_market else TimeInForce.GTC if waits else times,
        reduce_only=order.reduce_only,
        client_order_id=order.client_order_id,
        trigger=trigger,
        is_position_tpsl=order.is_position_tpsl,
        is_market=is_market,
    )
