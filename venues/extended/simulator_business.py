"""What each command does at the simulated venue, once it is known whose it is.

Turns bodies into operations of the exchange, and their results into the venue's answers and
refusals. What is checked before the order is queued is refused by number; what the engine finds
afterwards is told of the order alone. Runs inside one action of the exchange.

Source: api.docs.extended.exchange, create or edit order, cancel order, error responses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from venues.extended.simulator_accounts import stark_key_of
from venues.extended.simulator_bodies import Leg, Leverage, MassCancel, NewOrder, Settlement, number
from venues.extended.simulator_facts import OrderFacts
from venues.extended.simulator_hashing import Claim, is_signed, message_hash
from venues.extended.simulator_views import (
    MAX_ORDER_VALUE,
    MAX_ORDERS,
    MAX_POSITION_VALUE,
    PRICE_BAND,
    asset_id,
    asset_resolution,
    min_quantity,
)
from venues.simulation import trading
from venues.simulation.exchange import Exchange
from venues.simulation.instruments import Instrument
from venues.simulation.ownership import set_leverage
from venues.simulation.records import (
    ZERO,
    Account,
    Order,
    OrderStatus,
    Reason,
    Side,
    TimeInForce,
)
from venues.simulation.settlement import MAKER_FEE, TAKER_FEE
from venues.simulation.tables import Tables

Json = dict[str, Any]
CHAIN_ID: Final = "SN_SEPOLIA"
_LONGEST_MS: Final = 28 * 86_400_000
_POSITION_TIMES: Final = 50
#: What the engine refuses after the order was queued.
_AFTERWARDS: Final = frozenset({Reason.POST_ONLY_CROSS, Reason.NO_MATCH, Reason.NO_LIQUIDITY})
_ENGINE: Final = {
    Reason.MARGIN: (1140, "New order cost exceeds available balance"),
    Reason.REDUCE_ONLY: (1137, "Position is missing for reduce only order"),
    Reason.BAD_TRIGGER: (1133, "Invalid trigger price"),
    Reason.TICK: (1124, "Invalid price increment"),
    Reason.INVALID_PRICE: (1125, "Invalid price precision"),
    Reason.INVALID_QUANTITY: (1121, "Invalid quantity increment"),
    Reason.ZERO_QUANTITY: (1120, "Order quantity less than min trade size"),
    Reason.MIN_NOTIONAL: (1120, "Order quantity less than min trade size"),
    Reason.TOO_MANY_ORDERS: (1126, "Max open orders number exceeded"),
    Reason.DUPLICATE_CLIENT_ID: (1134, "Order id is not unique"),
}


class Refused(Exception):
    """The venue refuses with a number, or with a word and a status of its own."""

    def __init__(self, code: int | str, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What is signed of an order or of one of its exits."""

    is_buy: bool
    quantity: str
    price: str


class Business:
    """Applies commands for an account."""

    def __init__(self, exchange: Exchange, facts: OrderFacts) -> None:
        self._exchange = exchange
        self._facts = facts

    @property
    def _tables(self) -> Tables:
        return self._exchange.tables

    # Orders.

    def place(self, body: NewOrder, account: Account) -> Json:
        """Check and queue an order; let it trade, rest or wait. Raises `Refused`."""
        instrument = self._instrument(body.market)
        digest = self._check_signatures(body, account, instrument)
        self._check_kind(body)
        self._check_expiry(body.expiry_epoch_millis)
        self._check_numbers(body, instrument)
        self._check_reduce_only(body, account)
        self._check_fee(body)
        self._check_duplicate(body, account, digest)
        self._check_count(account, instrument)
        old = self._replaced(body, account)
        requests = self._requests(body, instrument)
        if old is not None:
            trading.cancel(self._tables, old, Reason.REPLACED)
        order = self._queued(account, requests)
        self._facts.keep(order, expiry_ms=body.expiry_epoch_millis, digest=digest)
        self._mirror_chain(order)
        return {"id": order.venue_order_id, "externalId": body.id}

    def _queued(self, account: Account, requests: list[trading.OrderRequest]) -> Order:
        exchange, address = self._exchange, account.address
        if len(requests) > 1:
            placement = trading.place_tree(exchange.tables, exchange.switches, address, requests)[0]
        else:
            placement = trading.place(exchange.tables, exchange.switches, address, requests[0])
        refusal = placement.refusal
        if refusal is not None and refusal.reason not in _AFTERWARDS:
            code, text = _ENGINE.get(refusal.reason, (1001, "Market not found"))
            raise Refused(code, text)
        return placement.order

    def _mirror_chain(self, order: Order) -> None:
        """Let no more be filled of one signed message than it is for, whatever copies there are."""
        copies = self._facts.copies_of(order)
        filled = sum((one.filled for one in copies), order.filled)
        if copies and filled >= order.quantity:
            for one in (order, *copies):
                trading.cancel(self._tables, one)

    def settle_copies(self, order: Order) -> None:
        """Do the same after an execution; inside an action."""
        self._mirror_chain(order)

    def _requests(self, body: NewOrder, instrument: Instrument) -> list[trading.OrderRequest]:
        side = Side.BUY if body.is_buy else Side.SELL
        if body.type == "TPSL":
            return [
                replace(
                    self._exit(body, leg, side, is_profit=is_profit),
                    quantity=ZERO if body.tp_sl_type == "POSITION" else number(body.qty),
                    is_position_tpsl=body.tp_sl_type == "POSITION",
                )
                for leg, is_profit in body.legs[:1]
            ]
        request = trading.OrderRequest(
            symbol=body.market,
            side=side,
            price=number(body.price),
            quantity=number(body.qty),
            time_in_force=self._time_in_force(body),
            reduce_only=body.reduce_only,
            client_order_id=body.id,
            is_market=body.type == "MARKET",
        )
        if body.trigger is not None:
            is_up = body.trigger.direction == "UP"
            trigger = trading.TriggerRequest(
                price=number(body.trigger.trigger_price),
                is_market=body.trigger.execution_price_type == "MARKET",
                is_take_profit=is_up == (side is Side.SELL),
            )
            return [replace(request, trigger=trigger)]
        exits = [
            replace(
                self._exit(body, leg, side.opposite, is_profit=is_profit),
                quantity=number(body.qty),
            )
            for leg, is_profit in body.legs
        ]
        return [request, *exits]

    def _exit(
        self, body: NewOrder, leg: Leg, side: Side, *, is_profit: bool
    ) -> trading.OrderRequest:
        return trading.OrderRequest(
            symbol=body.market,
            side=side,
            price=number(leg.price),
            quantity=ZERO,
            reduce_only=True,
            client_order_id=body.id,
            trigger=trading.TriggerRequest(
                price=number(leg.trigger_price),
                is_market=leg.price_type == "MARKET",
                is_take_profit=is_profit,
            ),
        )

    def _time_in_force(self, body: NewOrder) -> TimeInForce:
        if body.post_only:
            return TimeInForce.ALO
        return TimeInForce.IOC if body.time_in_force == "IOC" else TimeInForce.GTC

    def _replaced(self, body: NewOrder, account: Account) -> Order | None:
        if body.cancel_id is None:
            return None
        old = trading.live_order(self._tables, account.address, body.cancel_id)
        if old is None:
            raise Refused(1142, "Edit order not found")
        return old

    # Checks, in the venue's order.

    def _check_signatures(
        self, body: NewOrder, account: Account, instrument: Instrument
    ) -> int | None:
        """Verify every settlement; return the hash of the order's own, if it has one."""
        parts: list[tuple[Settlement, _Terms]] = []
        if body.type != "TPSL":
            if body.settlement is None:
                raise Refused(1101, "Invalid StarkEx signature")
            parts.append(
                (body.settlement, _Terms(is_buy=body.is_buy, quantity=body.qty, price=body.price))
            )
        for leg, _ in body.legs:
            is_buy = body.is_buy if body.type == "TPSL" else not body.is_buy
            quantity = body.qty
            if body.tp_sl_type == "POSITION":
                lot = Decimal(1).scaleb(-instrument.size_decimals)
                most = MAX_POSITION_VALUE * _POSITION_TIMES / number(leg.price)
                quantity = format(most.quantize(lot, rounding=ROUND_DOWN), "f")
            parts.append(
                (leg.settlement, _Terms(is_buy=is_buy, quantity=quantity, price=leg.price))
            )
        digests = [
            self._verified(body, account, instrument, settlement, terms)
            for settlement, terms in parts
        ]
        return digests[0] if digests else None

    def _verified(
        self,
        body: NewOrder,
        account: Account,
        instrument: Instrument,
        settlement: Settlement,
        terms: _Terms,
    ) -> int:
        registered = stark_key_of(self._tables, account.address)
        if int(settlement.stark_key, 16) != int(registered, 16):
            raise Refused(1100, "Invalid StarkEx public key")
        if settlement.collateral_position != account.address:
            raise Refused(1102, "Invalid StarkEx vault")
        claim = Claim(
            is_buy=terms.is_buy,
            quantity=terms.quantity,
            price=terms.price,
            fees=(body.fee, body.builder_fee or "0"),
            expiry_ms=body.expiry_epoch_millis,
            nonce=int(body.nonce),
            vault=int(account.address),
            public_key=int(registered, 16),
            synthetic_id=asset_id(instrument),
            synthetic_resolution=asset_resolution(instrument),
        )
        r, s = int(settlement.signature.r, 16), int(settlement.signature.s, 16)
        if not is_signed(claim, CHAIN_ID, r, s):
            raise Refused(1101, "Invalid StarkEx signature")
        return message_hash(claim, CHAIN_ID)

    def _check_kind(self, body: NewOrder) -> None:
        if body.time_in_force == "FOK" or body.type == "TWAP":
            raise Refused(1132, "Order type not allowed")
        if body.type == "MARKET" and (body.time_in_force != "IOC" or body.post_only):
            raise Refused(1139, "Market order must be IOC")
        if body.post_only and body.time_in_force == "IOC":
            raise Refused(1133, "Invalid order parameters")
        if (body.type == "CONDITIONAL") != (body.trigger is not None):
            raise Refused(1143, "Conditional order trigger is missing")
        is_market = body.trigger is not None and body.trigger.execution_price_type == "MARKET"
        if is_market and body.post_only:
            raise Refused(1144, "Conditional market order cannot be post only")
        if body.type == "TPSL" and not (body.reduce_only and body.legs and not body.post_only):
            raise Refused(1133, "Invalid order parameters")

    def _check_expiry(self, expiry_ms: int) -> None:
        if not 0 < expiry_ms - self._tables.now_ms <= _LONGEST_MS:
            raise Refused(1135, "Invalid order expiration time")

    def _check_numbers(self, body: NewOrder, instrument: Instrument) -> None:
        if body.tp_sl_type == "POSITION" and body.type == "TPSL":
            if number(body.qty):
                raise Refused(1129, "Position TPSL order quantity must be 0")
        elif number(body.qty) < min_quantity(instrument):
            raise Refused(1120, "Order quantity less than min trade size")
        elif not instrument.is_valid_quantity(number(body.qty)):
            raise Refused(1121, "Invalid quantity increment")
        if body.type == "TPSL":
            prices = [number(leg.price) for leg, _ in body.legs]
        else:
            prices = [number(body.price)]
        triggers = [body.trigger.trigger_price] if body.trigger else []
        triggers += [leg.trigger_price for leg, _ in body.legs]
        for price in (*prices, *map(number, triggers)):
            if not price:
                raise Refused(1130, "Order price is missing")
            if not instrument.is_valid_price(price):
                raise Refused(1124, "Invalid price increment")
        if number(body.qty) * prices[0] > MAX_ORDER_VALUE:
            raise Refused(1122, "Order value exceeds max order value")
        if body.type != "TPSL":
            self._check_band(body, prices[0])

    def _check_band(self, body: NewOrder, price: Decimal) -> None:
        """Check how far a price is on its bad side; a conditional order's from its trigger."""
        reference = self._tables.markets[body.market].mark_price
        if body.trigger is not None:
            reference = number(body.trigger.trigger_price)
        if body.is_buy and price > reference * (1 + PRICE_BAND):
            raise Refused(1141, "Order price is above the cap")
        if not body.is_buy and price < reference * (1 - PRICE_BAND):
            raise Refused(1141, "Order price is below the floor")

    def _check_reduce_only(self, body: NewOrder, account: Account) -> None:
        if not body.reduce_only:
            return
        held = self._tables.quantity_held(account.address, body.market)
        if not held:
            raise Refused(1137, "Position is missing for reduce only order")
        if (held > 0) == body.is_buy:
            raise Refused(1138, "Position is same side as reduce only order")
        if body.trigger is None and body.type != "TPSL" and number(body.qty) > abs(held):
            raise Refused(1136, "Reduce only order quantity exceeds open position")

    def _check_fee(self, body: NewOrder) -> None:
        if number(body.fee) < (MAKER_FEE if body.post_only else TAKER_FEE):
            raise Refused(1128, "Invalid fee")

    def _check_duplicate(self, body: NewOrder, account: Account, digest: int | None) -> None:
        """Refuse what was taken before; off by default, for nobody has verified what counts."""
        switches = self._exchange.switches
        is_known = (account.address, body.id) in self._tables.by_client_id
        is_copy = digest is not None and bool(self._facts.copies(digest))
        if (switches.refuse_duplicate_client_ids and is_known) or (
            switches.refuse_duplicate_messages and is_copy
        ):
            raise Refused(1134, "Order id is not unique")
        copies = self._facts.copies(digest) if digest is not None else []
        if copies and sum((one.filled for one in copies), ZERO) >= number(body.qty):
            # The contract would not settle it; how the venue says so nobody has seen.
            raise Refused(1006, "Unhandled error", status=500)

    def _check_count(self, account: Account, instrument: Instrument) -> None:
        if not self._exchange.switches.open_order_limit:
            return
        live = self._tables.live_orders.get(account.address, {}).values()
        if sum(order.symbol == instrument.symbol for order in live) >= MAX_ORDERS:
            raise Refused(1126, "Max open orders number exceeded")

    def _instrument(self, symbol: str) -> Instrument:
        instrument = self._tables.instruments.get(symbol)
        if instrument is None:
            raise Refused(1001, "Market not found")
        if instrument.delisted:
            raise Refused(1002, "Market is disabled")
        return instrument

    # Cancels and settings.

    def cancel(self, account: Account, reference: int | str) -> None:
        """Cancel one order by either id. Raises `Refused` where there is none that lives."""
        order = trading.live_order(self._tables, account.address, reference)
        if order is None:
            raise Refused("NOT_FOUND", "Order not found", status=404)
        trading.cancel(self._tables, order)

    def mass_cancel(self, body: MassCancel, account: Account) -> None:
        """Cancel whatever fits; nothing is said of single orders."""
        ids = {int(one) for one in body.order_ids or ()}
        names, markets = set(body.external_order_ids or ()), set(body.markets or ())
        for order in tuple(self._tables.live_orders.get(account.address, {}).values()):
            fits = (
                body.cancel_all
                or order.venue_order_id in ids
                or order.client_order_id in names
                or order.symbol in markets
            )
            if fits:
                trading.cancel(self._tables, order)

    def cancel_all_after(self, countdown: str | None, account: Account) -> None:
        """Arm the countdown that cancels everything; 0 disarms it. Raises `Refused`."""
        if countdown is None or not (countdown.isascii() and countdown.isdigit()):
            raise Refused(1133, "Invalid countdownTime")
        seconds = int(countdown)
        account.cancel_all_at_ms = self._tables.now_ms + 1_000 * seconds if seconds else None
        self._tables.touch(account)

    def set_leverage(self, body: Leverage, account: Account) -> Json:
        """Set a market's leverage. Raises `Refused`."""
        instrument = self._instrument(body.market)
        text = str(body.leverage)
        wanted = Decimal(text) if text.replace(".", "", 1).isdigit() else ZERO
        if wanted < 1:
            raise Refused(1049, "Leverage is below the minimum")
        if wanted > instrument.max_leverage:
            raise Refused(1050, "Max leverage exceeded")
        if wanted % 1:
            raise Refused(1053, "Invalid leverage precision")
        problem = set_leverage(
            self._tables, account.address, body.market, int(wanted), is_isolated=False
        )
        if problem is not None:
            raise Refused(1052, "Initial margin exceeds available balance")
        return {}

    def expired(self, now_ms: int) -> list[Order]:
        """Return live orders whose end has come."""
        return [
            order
            for orders in self._tables.live_orders.values()
            for order in orders.values()
            if order.status is not OrderStatus.WAITING
            and 0 < self._facts.expiry_ms(order) <= now_ms
        ]
