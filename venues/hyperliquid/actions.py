"""From commands to Hyperliquid's signed actions: the checks of form, and the JSON text.

The text keeps the key order that is hashed and is the same for the same slot, so that a row of the
ledger always gives the same bytes. Pure; knows no transport and no key.

Source: docs api/exchange-endpoint, api/tick-and-lot-size; key order as the venue's SDK hashes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from domain.accounts import MarginMode
from domain.commands import BurnNonce, CancelOrder, ModifyOrder, PlaceOrder
from domain.errors import CorruptState, InvalidInput
from domain.instruments import Instrument, OrderSide
from domain.ledger import CommandSlot
from domain.orders import OrderType, TimeInForce
from venues.connector import MessageComposer
from venues.hyperliquid.translate import to_ms, wire_decimal
from venues.order_forms import check_amounts, check_kind

_TPSL: Final = {
    OrderType.STOP_MARKET: "sl",
    OrderType.STOP_LIMIT: "sl",
    OrderType.TAKE_PROFIT_MARKET: "tp",
    OrderType.TAKE_PROFIT_LIMIT: "tp",
}


class Grouping(StrEnum):
    """How the orders of one action belong together (docs: grouping)."""

    NONE = "na"
    #: The first order is the parent, the others its take-profit and stop-loss.
    PARENT_AND_EXITS = "normalTpsl"
    #: Take-profit and stop-loss of the position, whatever its size becomes.
    POSITION_EXITS = "positionTpsl"


def to_json(action: dict[str, Any]) -> str:
    """Write an action compactly, keys in their order."""
    return msgspec.json.encode(action).decode()


def check_place(instrument: Instrument, order: PlaceOrder) -> None:
    """Check what the venue would refuse for its form. Raises InvalidInput naming the field."""
    check_kind("hyperliquid", order)
    check_amounts(instrument, order)


def order_wire(instrument: Instrument, order: PlaceOrder, client_order_id: str) -> dict[str, Any]:
    """Return one element of `orders`, keys in the order `a, b, p, s, r, t, c`."""
    return {
        "a": instrument.asset_index,
        "b": order.side is OrderSide.BUY,
        "p": wire_decimal("price", order.price),
        "s": wire_decimal("quantity", order.quantity),
        "r": order.reduce_only,
        "t": _type_wire(order),
        "c": client_order_id,
    }


def _type_wire(order: PlaceOrder) -> dict[str, Any]:
    if order.trigger_price is not None:
        return {
            "trigger": {
                "isMarket": order.order_type.is_market,
                "triggerPx": wire_decimal("trigger_price", order.trigger_price),
                "tpsl": _TPSL[order.order_type],
            }
        }
    if order.post_only:
        return {"limit": {"tif": "Alo"}}
    is_immediate = order.order_type is OrderType.MARKET or order.time_in_force is TimeInForce.IOC
    return {"limit": {"tif": "Ioc" if is_immediate else "Gtc"}}


def place_composer(instrument: Instrument, order: PlaceOrder) -> MessageComposer:
    """Return what writes a placement once its client order id is known.

    Raises:
        InvalidInput: as `check_place`, and for a decimal that the venue cannot read.
    """
    check_place(instrument, order)
    template = order_wire(instrument, order, "")
    grouping = Grouping.POSITION_EXITS if order.position_bound else Grouping.NONE

    def compose(slot: CommandSlot) -> str:
        return to_json(order_action([{**template, "c": slot.client_order_id}], grouping))

    return compose


def order_action(orders: Sequence[dict[str, Any]], grouping: Grouping) -> dict[str, Any]:
    """Return an order action over elements of `order_wire`."""
    return {"type": "order", "orders": list(orders), "grouping": grouping.value}


def cancel_composer(instrument: Instrument, command: CancelOrder) -> MessageComposer:
    """Return what writes a cancel, by the venue's id where it is known, else by ours."""
    action = cancel_action([(instrument, command)])

    def compose(slot: CommandSlot) -> str:
        return to_json(action)

    return compose


def cancel_action(cancels: Sequence[tuple[Instrument, CancelOrder]]) -> dict[str, Any]:
    """Return one cancel action; by the venue's ids if all are known, else all by ours.

    The fast flag is never set: the venue refuses it as soon as one of them is a trigger order.

    Raises:
        InvalidInput: a venue order id is not a number.
    """
    if all(command.venue_order_id is not None for _, command in cancels):
        return {
            "type": "cancel",
            "cancels": [
                {"a": instrument.asset_index, "o": _oid(command.venue_order_id or "")}
                for instrument, command in cancels
            ],
        }
    return {
        "type": "cancelByCloid",
        "cancels": [
            {"asset": instrument.asset_index, "cloid": command.client_order_id}
            for instrument, command in cancels
        ],
    }


def modify_composer(instrument: Instrument, command: ModifyOrder) -> MessageComposer:
    """Return what writes a modify, as a batch of one so that the answer names the new order."""
    check_place(instrument, command.order)
    oid = _oid(command.venue_order_id)
    template = order_wire(instrument, command.order, "")

    def compose(slot: CommandSlot) -> str:
        order = {**template, "c": slot.client_order_id}
        return to_json({"type": "batchModify", "modifies": [{"oid": oid, "order": order}]})

    return compose


def noop_composer(command: BurnNonce) -> MessageComposer:
    """Return what writes a noop; the nonce it burns is the row's."""

    def compose(slot: CommandSlot) -> str:
        if slot.nonce != command.nonce:
            raise CorruptState(f"expected to burn nonce {command.nonce}, found {slot.nonce}")
        return to_json({"type": "noop"})

    return compose


def leverage_action(instrument: Instrument, leverage: int, mode: MarginMode) -> dict[str, Any]:
    """Return an action that sets leverage and margin mode of one market.

    Raises:
        InvalidInput: the leverage is not between 1 and the market's greatest.
    """
    if not 1 <= leverage <= instrument.max_leverage:
        raise InvalidInput(
            "leverage",
            f"expected 1 to {instrument.max_leverage} for {instrument.symbol}, found {leverage}",
        )
    return {
        "type": "updateLeverage",
        "asset": instrument.asset_index,
        "isCross": mode is MarginMode.CROSS,
        "leverage": leverage,
    }


def schedule_cancel_action(at: datetime | None) -> dict[str, Any]:
    """Return an action that arms, or with None disarms, the venue's cancel of everything."""
    if at is None:
        return {"type": "scheduleCancel"}
    return {"type": "scheduleCancel", "time": to_ms(at)}


def _oid(venue_order_id: str) -> int:
    if not (venue_order_id.isascii() and venue_order_id.isdigit() and len(venue_order_id) < 20):
        raise InvalidInput(
            "venue_order_id", f"expected a number on hyperliquid, found {venue_order_id[:64]!r}"
        )
    return int(venue_order_id)
