"""From commands to Extended's requests: the checks of form, and the text that the ledger keeps.

The text holds everything that the signature covers but the account's vault and key, which come with
the credential, so a row of the ledger always gives the same bytes. Pure; knows no transport and no
key.

Source: api.docs.extended.exchange, create or edit order; x10/signing/order_object.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from domain.accounts import Network
from domain.commands import CancelOrder, PlaceOrder
from domain.errors import InvalidInput, NotAllowed
from domain.instruments import Instrument, OrderSide
from domain.ledger import CommandSlot
from domain.numbers import plain
from domain.orders import OrderType, TimeInForce, TriggerType
from venues.connector import MessageComposer
from venues.extended import wire
from venues.extended.signing import OrderTerms, amounts, assets_of
from venues.extended.translate import VENUE, to_ms
from venues.order_forms import check_amounts, check_kind

CHAIN_IDS: Final = {
    Network.MAINNET: "SN_MAIN",
    Network.TESTNET: "SN_SEPOLIA",
    # What is signed on paper is worth nothing where there is money.
    Network.PAPER: "SN_SEPOLIA",
}
#: How long an order that rests may live: the venue's longest is 90 days on mainnet, 28 on testnet.
_REST_DAYS: Final = {Network.MAINNET: 89, Network.TESTNET: 27, Network.PAPER: 27}
#: An immediate order's end is one to three hours ahead.
_IMMEDIATE_HOURS: Final = 2
_SALT_MAX: Final = 2**31 - 1
_TAKE_PROFITS: Final = (OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT)
#: A position's exit is signed for so many times the largest position that its market allows.
_POSITION_TIMES: Final = 50

_ORDER_KEYS: Final = frozenset(
    {
        "id", "market", "type", "side", "qty", "price", "reduceOnly", "postOnly", "timeInForce",
        "expiryEpochMillis", "fee", "nonce", "selfTradeProtectionLevel", "trigger", "tpSlType",
        "takeProfit", "stopLoss",
    }
)  # fmt: skip
_LEGS: Final = ("takeProfit", "stopLoss")
_L2_KEYS: Final = frozenset(
    {"collateralId", "collateralResolution", "syntheticId", "syntheticResolution"}
)
_CANCEL_KEYS: Final = ({"id"}, {"externalId"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the signer has to know of a market besides its instrument."""

    l2: wire.L2Config
    position_value_max: Decimal


def spelled(message: Mapping[str, Any]) -> str:
    """Return a message as the ledger keeps it: keys sorted at every depth, no spaces."""
    return json.dumps(message, sort_keys=True, separators=(",", ":"))


def check_place(instrument: Instrument, order: PlaceOrder) -> None:
    """Check what the venue would refuse for its form.

    Raises:
        InvalidInput: naming the field.
    """
    check_kind(VENUE, order, trigger_types=tuple(TriggerType))
    check_amounts(instrument, order)


def place_composer(
    network: Network,
    instrument: Instrument,
    listing: Listing,
    order: PlaceOrder,
    *,
    fee_rate: Decimal,
    now: datetime,
) -> MessageComposer:
    """Return what writes a placement once its client order id is known.

    Raises:
        InvalidInput: as `check_place`.
    """
    check_place(instrument, order)
    l2 = {name: getattr(listing.l2, name) for name in sorted(_L2_KEYS)}
    shared = {
        "market": instrument.venue_symbol,
        "side": order.side.value,
        "reduceOnly": order.reduce_only,
        "postOnly": order.post_only,
        "timeInForce": "IOC" if _is_immediate(order) else "GTT",
        "fee": plain(fee_rate),
        "selfTradeProtectionLevel": "ACCOUNT",
        **_priced(order),
    }
    size = _bound_size(instrument, listing, order)
    base = _end_base(network, order, now)
    probe = {"chain": "", "l2": l2, "size": size, "order": _probe(shared)}
    for terms in signed_parts(probe).values():
        amounts(terms)

    def compose(slot: CommandSlot) -> str:
        digest = hashlib.sha256(slot.client_order_id.encode()).digest()
        whole = {
            **shared,
            "id": slot.client_order_id,
            "nonce": str(int.from_bytes(digest[:8]) % _SALT_MAX + 1),
            "expiryEpochMillis": to_ms(base) + int.from_bytes(digest[8:16]) % _spread_ms(order),
        }
        message = {"chain": CHAIN_IDS[network], "l2": l2, "order": whole}
        return spelled(message if size is None else {**message, "size": size})

    return compose


def _probe(shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return an order as good as any of its kind, to try whether it can be counted on chain."""
    return {**shared, "nonce": "1", "expiryEpochMillis": 0}


def _end_base(network: Network, order: PlaceOrder, now: datetime) -> datetime:
    """Return the earliest end of an order; the same all day, or all hour, so that bytes are too."""
    if _is_immediate(order):
        hour = now.replace(minute=0, second=0, microsecond=0)
        return hour + timedelta(hours=_IMMEDIATE_HOURS)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=_REST_DAYS[network])


def _spread_ms(order: PlaceOrder) -> int:
    """Return over what ends are spread: two orders of one salt and price differ by it.

    What is signed of an end are whole seconds.
    """
    return 3_600_000 if _is_immediate(order) else 86_400_000


def _is_immediate(order: PlaceOrder) -> bool:
    is_plain = not order.order_type.is_trigger
    return is_plain and (
        order.order_type is OrderType.MARKET or order.time_in_force is TimeInForce.IOC
    )


def _priced(order: PlaceOrder) -> dict[str, Any]:
    """Return type, quantity and price of an order, and what it waits for."""
    kind = order.order_type
    quantity, price = plain(order.quantity), plain(order.price)
    if order.trigger_price is None:
        return {"type": kind.value, "qty": quantity, "price": price}
    price_type = "MARKET" if kind.is_market else "LIMIT"
    trigger, watched = plain(order.trigger_price), order.trigger_type.value
    if order.position_bound:
        leg = {
            "triggerPrice": trigger,
            "triggerPriceType": watched,
            "price": price,
            "priceType": price_type,
        }
        name = "takeProfit" if kind in _TAKE_PROFITS else "stopLoss"
        return {"type": "TPSL", "tpSlType": "POSITION", "qty": "0", "price": "0", name: leg}
    fires_above = (kind in _TAKE_PROFITS) == (order.side is OrderSide.SELL)
    return {
        "type": "CONDITIONAL",
        "qty": quantity,
        "price": price,
        "trigger": {
            "triggerPrice": trigger,
            "triggerPriceType": watched,
            "direction": "UP" if fires_above else "DOWN",
            "executionPriceType": price_type,
        },
    }


def _bound_size(instrument: Instrument, listing: Listing, order: PlaceOrder) -> str | None:
    """Return what a position's exit is signed for: it has no quantity of its own."""
    if not order.position_bound:
        return None
    most = listing.position_value_max * _POSITION_TIMES / order.price
    return plain(most.quantize(instrument.lot_size, rounding=ROUND_DOWN))


def cancel_composer(command: CancelOrder) -> MessageComposer:
    """Return what writes a cancel, by the venue's id where it is known, else by ours.

    Raises:
        InvalidInput: the venue order id is not a number.
    """
    if command.venue_order_id is None:
        named: dict[str, Any] = {"externalId": command.client_order_id}
    else:
        named = {"id": order_number(command.venue_order_id)}
    text = spelled({"cancel": named})

    def compose(slot: CommandSlot) -> str:
        del slot
        return text

    return compose


def order_number(venue_order_id: str) -> int:
    """Return a venue order id as the number that it is.

    Raises:
        InvalidInput: it is none.
    """
    if not (venue_order_id.isascii() and venue_order_id.isdigit() and len(venue_order_id) < 20):
        raise InvalidInput(
            "venue_order_id", f"expected a number on {VENUE}, found {venue_order_id[:64]!r}"
        )
    return int(venue_order_id)


def check_allowed(message: str) -> dict[str, Any]:
    """Check that a message is one that this system writes, spelled as it does; return it read.

    Raises:
        NotAllowed: it is not.
    """
    try:
        read = json.loads(message)
    except ValueError as error:
        raise NotAllowed(f"expected a message to send, found no JSON: {error}") from None
    if not isinstance(read, dict) or spelled(read) != message:
        raise NotAllowed("expected a message in its one spelling, found another")
    if set(read) == {"cancel"}:
        if not isinstance(read["cancel"], dict) or set(read["cancel"]) not in _CANCEL_KEYS:
            raise NotAllowed("expected a cancel by one id, found another")
        return read
    l2, order = read.get("l2"), read.get("order")
    is_whole = set(read) - {"size"} == {"chain", "l2", "order"}
    if not (is_whole and isinstance(order, dict) and isinstance(l2, dict) and set(l2) == _L2_KEYS):
        raise NotAllowed(f"expected an order with its assets, found {sorted(read)}")
    extra = set(order) - _ORDER_KEYS
    if extra:
        raise NotAllowed(f"expected only known keys in an order, found {sorted(extra)}")
    return read


def signed_parts(message: Mapping[str, Any]) -> dict[str, OrderTerms]:
    """Return what has to be signed of a placement by where its settlement goes.

    The empty name is the order itself; a take-profit or stop-loss has a settlement of its own.
    """
    order, l2 = message["order"], message["l2"]

    def terms(quantity: str, price: str) -> OrderTerms:
        return OrderTerms(
            side=OrderSide(order["side"]),
            quantity=Decimal(quantity),
            price=Decimal(price),
            fee_rate=Decimal(order["fee"]),
            expiry_ms=order["expiryEpochMillis"],
            salt=int(order["nonce"]),
            assets=assets_of(l2),
            chain_id=message["chain"],
        )

    if order["type"] != "TPSL":
        return {"": terms(order["qty"], order["price"])}
    size = message.get("size") or order["qty"]
    return {name: terms(size, order[name]["price"]) for name in _LEGS if name in order}


def with_settlements(
    message: Mapping[str, Any], settlements: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the body of a placement: the order with its settlements in their places."""
    order = dict(message["order"])
    for name, settlement in settlements.items():
        if name:
            order[name] = {**order[name], "settlement": settlement}
        else:
            order["settlement"] = settlement
    return order


def leverage_body(instrument: Instrument, leverage: int) -> dict[str, Any]:
    """Return the body that sets a market's leverage.

    Raises:
        InvalidInput: the leverage is not between 1 and the market's greatest.
    """
    if not 1 <= leverage <= instrument.max_leverage:
        raise InvalidInput(
            "leverage",
            f"expected 1 to {instrument.max_leverage} for {instrument.symbol}, found {leverage}",
        )
    return {"market": instrument.venue_symbol, "leverage": str(leverage)}
