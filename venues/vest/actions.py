"""From commands to Vest's requests: the checks of form, and the text that the ledger keeps.

The text is the same for the same slot, so that a row of the ledger always gives the same bytes.
Sizes and prices are written with exactly the market's decimals: they are signed as text. Pure;
knows no transport and no key.

Source: the official v2 API page, POST /orders and POST /orders/cancel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from domain.commands import CancelOrder, PlaceOrder
from domain.errors import CorruptState, InvalidInput
from domain.instruments import Instrument
from domain.ledger import CommandSlot
from domain.orders import OrderType, TimeInForce
from venues.connector import MessageComposer
from venues.vest.proofs import CAPABILITIES, RECV_WINDOW_MS
from venues.vest.signing import CANCEL, ORDER, canonical
from venues.vest.translate import VENUE, to_ms

_ID: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
#: Numbers that every reader of JSON keeps whole.
_NONCE_MAX: Final = 2**53 - 1


def check_place(instrument: Instrument, order: PlaceOrder) -> None:
    """Check what the venue would refuse for its form.

    Raises:
        InvalidInput: naming the field.
    """
    instrument.check_open(reduce_only=order.reduce_only)
    if order.order_type not in CAPABILITIES.order_types:
        raise InvalidInput(
            "order_type", f"expected LIMIT or MARKET on {VENUE}, found {order.order_type}"
        )
    if order.trigger_price is not None:
        raise InvalidInput(
            "trigger_price", f"expected no trigger price for {order.order_type} on {VENUE}"
        )
    if order.position_bound:
        raise InvalidInput("position_bound", f"expected false on {VENUE}")
    if order.post_only:
        raise InvalidInput("post_only", f"expected false: {VENUE} has no post-only orders")
    _check_lifetime(order)
    instrument.check_quantity("quantity", order.quantity)
    instrument.check_price("price", order.price)


def _check_lifetime(order: PlaceOrder) -> None:
    """A market order has no time in force there and never rests; a limit order is GTC or FOK."""
    lifetime = order.time_in_force
    if order.order_type is OrderType.MARKET:
        if lifetime not in (TimeInForce.IOC, TimeInForce.GTC):
            raise InvalidInput(
                "time_in_force", f"expected IOC for a market order on {VENUE}, found {lifetime}"
            )
    elif lifetime not in CAPABILITIES.times_in_force:
        raise InvalidInput(
            "time_in_force",
            f"expected GTC or FOK on {VENUE}, found {lifetime}; a market order takes what there is "
            "within its bound",
        )


def spelled(value: Decimal, step: Decimal) -> str:
    """Write a number with exactly the decimals of its step."""
    decimals = max(-int(step.as_tuple().exponent), 0)
    return f"{value:.{decimals}f}"


def place_composer(instrument: Instrument, order: PlaceOrder) -> MessageComposer:
    """Return what writes a placement once its nonce, which names it, is known.

    Raises:
        InvalidInput: as `check_place`.
    """
    check_place(instrument, order)
    shared: dict[str, Any] = {
        "symbol": instrument.venue_symbol,
        "isBuy": order.side.value == "BUY",
        "size": spelled(order.quantity, instrument.lot_size),
        "orderType": order.order_type.value,
        "limitPrice": spelled(order.price, instrument.price_rule.step_at(order.price)),
        "reduceOnly": order.reduce_only,
    }
    if order.order_type is OrderType.LIMIT:
        shared["timeInForce"] = order.time_in_force.value
    return _composer(
        ORDER, lambda slot: {**shared, "nonce": _nonce("client_order_id", slot.client_order_id)}
    )


def cancel_composer(command: CancelOrder) -> MessageComposer:
    """Return what writes a cancel, by the venue's id where it is known, else by the order's nonce.

    Raises:
        InvalidInput: the ids are none.
    """
    named: dict[str, Any]
    if command.venue_order_id is not None:
        named = {"id": checked_id(command.venue_order_id)}
    else:
        named = {"orderNonce": _nonce("client_order_id", command.client_order_id)}
    return _composer(CANCEL, lambda slot: {**named, "nonce": _own_nonce(slot)})


def checked_id(venue_order_id: str) -> str:
    """Return an id of the venue's. Raises InvalidInput."""
    if _ID.fullmatch(venue_order_id) is None:
        raise InvalidInput(
            "venue_order_id",
            f"expected one such as 0x1f… on {VENUE}, found {venue_order_id[:80]!r}",
        )
    return venue_order_id


def _nonce(field: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= _NONCE_MAX):
        raise InvalidInput(field, f"expected a nonce, a whole number, found {text[:64]!r}")
    return int(text)


def _own_nonce(slot: CommandSlot) -> int:
    if slot.nonce is None:
        raise CorruptState(f"expected a nonce for {VENUE}, found none")
    return slot.nonce


def _composer(kind: str, order: Callable[[CommandSlot], Mapping[str, Any]]) -> MessageComposer:
    def compose(slot: CommandSlot) -> str:
        if slot.admitted_until is None:
            raise CorruptState(f"expected an end of admission for {VENUE}, found none")
        time_ms = to_ms(slot.admitted_until) - RECV_WINDOW_MS
        return canonical(kind, {**order(slot), "time": time_ms}, RECV_WINDOW_MS)

    return compose


def leverage_body(instrument: Instrument, leverage: int, time_ms: int) -> dict[str, Any]:
    """Return the body that sets leverage, which nothing signs: the API key alone does.

    Raises:
        InvalidInput: the leverage is not between 1 and the market's greatest.
    """
    if not 1 <= leverage <= instrument.max_leverage:
        raise InvalidInput(
            "leverage",
            f"expected 1 to {instrument.max_leverage} for {instrument.symbol}, found {leverage}",
        )
    return {"time": time_ms, "symbol": instrument.venue_symbol, "value": leverage}
