"""From commands to Pacifica's requests: the checks of form, and the text that is signed.

The text is the whole signed message and is the same for the same slot, so that a row of the
ledger always gives the same bytes. Pure; knows no transport and no key.

Source: docs.pacifica.fi api/rest-api/orders, api/signing/operation-types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from domain.accounts import MarginMode
from domain.commands import CancelOrder, ModifyOrder, PlaceOrder
from domain.errors import CorruptState, InvalidInput
from domain.instruments import Instrument
from domain.ledger import CommandSlot
from domain.numbers import plain
from domain.orders import OrderType, TimeInForce
from venues.connector import MessageComposer
from venues.order_forms import check_amounts, check_kind
from venues.pacifica.proofs import EXPIRY_WINDOW_MS
from venues.pacifica.signing import canonical
from venues.pacifica.translate import VENUE, side_word, to_ms

#: Where a request of each type is posted; the type itself is signed and not sent.
PATHS: Final[Mapping[str, str]] = {
    "create_order": "/orders/create",
    "create_stop_order": "/orders/stop/create",
    "set_position_tpsl": "/positions/tpsl",
    "edit_order": "/orders/edit",
    "cancel_order": "/orders/cancel",
    "cancel_stop_order": "/orders/stop/cancel",
    "update_leverage": "/account/leverage",
    "update_margin_mode": "/account/margin",
}
#: Types whose success names no order.
WITHOUT_ORDER_ID: Final = frozenset({"set_position_tpsl"})
_TAKE_PROFITS: Final = (OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT)
#: Without it the venue watches the middle of its book, which is 0 where a side is empty.
_MARK: Final = "mark_price"


def message(kind: str, data: Mapping[str, Any], admitted_until: datetime) -> str:
    """Return the text to sign of a request that the venue admits until a time at most."""
    return canonical(kind, to_ms(admitted_until) - EXPIRY_WINDOW_MS, EXPIRY_WINDOW_MS, data)


def check_place(instrument: Instrument, order: PlaceOrder) -> None:
    """Check what the venue would refuse for its form. Raises InvalidInput naming the field."""
    check_kind(VENUE, order)
    if order.order_type in _TAKE_PROFITS and not order.reduce_only:
        raise InvalidInput(
            "reduce_only",
            f"expected true for {order.order_type}: {VENUE} ties a take-profit to a position",
        )
    check_amounts(instrument, order)


def place_request(
    instrument: Instrument, order: PlaceOrder, client_order_id: str
) -> tuple[str, dict[str, Any]]:
    """Return type and data of a placement."""
    shared = {"symbol": instrument.venue_symbol, "side": side_word(order.side)}
    if order.trigger_price is None:
        return "create_order", {
            **shared,
            "price": plain(order.price),
            "amount": plain(order.quantity),
            "tif": _time_in_force(order),
            "reduce_only": order.reduce_only,
            "client_order_id": client_order_id,
        }
    leg = {
        "stop_price": plain(order.trigger_price),
        "client_order_id": client_order_id,
        "trigger_price_type": _MARK,
    }
    if not order.order_type.is_market:
        leg["limit_price"] = plain(order.price)
    if not order.position_bound:
        leg["amount"] = plain(order.quantity)
    if order.order_type in _TAKE_PROFITS:
        return "set_position_tpsl", {**shared, "take_profit": leg}
    if order.position_bound:
        return "set_position_tpsl", {**shared, "stop_loss": leg}
    return "create_stop_order", {**shared, "reduce_only": order.reduce_only, "stop_order": leg}


def _time_in_force(order: PlaceOrder) -> str:
    if order.post_only:
        return "ALO"
    is_immediate = order.order_type is OrderType.MARKET or order.time_in_force is TimeInForce.IOC
    return "IOC" if is_immediate else "GTC"


def place_composer(instrument: Instrument, order: PlaceOrder) -> MessageComposer:
    """Return what writes a placement once its client order id is known.

    Raises:
        InvalidInput: as `check_place`.
    """
    check_place(instrument, order)
    return _composer(lambda slot: place_request(instrument, order, slot.client_order_id))


def cancel_composer(instrument: Instrument, command: CancelOrder) -> MessageComposer:
    """Return what writes a cancel, by the venue's id where it is known, else by ours.

    Raises:
        InvalidInput: the venue order id is not a number.
    """
    data: dict[str, Any] = {"symbol": instrument.venue_symbol}
    if command.venue_order_id is not None:
        data["order_id"] = _order_number(command.venue_order_id)
    else:
        data["client_order_id"] = command.client_order_id
    kind = "cancel_stop_order" if command.waits_for_trigger else "cancel_order"
    return _composer(lambda slot: (kind, data))


def edit_composer(instrument: Instrument, command: ModifyOrder) -> MessageComposer:
    """Return what writes an edit: the order is replaced by a post-only one of the same client id.

    Raises:
        InvalidInput: as `check_place`; the order is not post-only, which the venue would make it.
    """
    order = command.order
    check_place(instrument, order)
    if not order.post_only:
        raise InvalidInput("post_only", f"expected true: {VENUE} makes every edited order so")
    data = {
        "symbol": instrument.venue_symbol,
        "price": plain(order.price),
        "amount": plain(order.quantity),
        "order_id": _order_number(command.venue_order_id),
    }
    return _composer(lambda slot: ("edit_order", data))


def leverage_data(instrument: Instrument, leverage: int) -> dict[str, Any]:
    """Return the data of `update_leverage`.

    Raises:
        InvalidInput: the leverage is not between 1 and the market's greatest.
    """
    if not 1 <= leverage <= instrument.max_leverage:
        raise InvalidInput(
            "leverage",
            f"expected 1 to {instrument.max_leverage} for {instrument.symbol}, found {leverage}",
        )
    return {"symbol": instrument.venue_symbol, "leverage": leverage}


def margin_mode_data(instrument: Instrument, mode: MarginMode) -> dict[str, Any]:
    """Return the data of `update_margin_mode`."""
    return {"symbol": instrument.venue_symbol, "is_isolated": mode is MarginMode.ISOLATED}


def _composer(
    request: Callable[[CommandSlot], tuple[str, Mapping[str, Any]]],
) -> MessageComposer:
    def compose(slot: CommandSlot) -> str:
        if slot.admitted_until is None:
            raise CorruptState(f"expected an end of admission for {VENUE}, found none")
        kind, data = request(slot)
        return message(kind, data, slot.admitted_until)

    return compose


def _order_number(venue_order_id: str) -> int:
    if not (venue_order_id.isascii() and venue_order_id.isdigit() and len(venue_order_id) < 20):
        raise InvalidInput(
            "venue_order_id", f"expected a number on {VENUE}, found {venue_order_id[:64]!r}"
        )
    return int(venue_order_id)
