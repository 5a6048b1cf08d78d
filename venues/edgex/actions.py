"""From commands to EdgeX's requests: the checks of form, and the message that the ledger keeps.

The message is the request's body without account and signature, and for an order the terms that
its signature needs besides; the same slot gives the same message on the same day. Pure; knows no
transport and no key.

Source: edgeX gitbook api/private-api/order-api; edgex-python-sdk 2.0.1 `order/client.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING
from typing import Any, Final

from domain.commands import CancelOrder, PlaceOrder
from domain.errors import InvalidInput
from domain.ledger import CommandSlot
from domain.numbers import plain
from domain.orders import OrderType, TimeInForce
from venues.connector import MessageComposer
from venues.edgex.catalog import VENUE, Contract
from venues.edgex.signing import canonical, l2_nonce
from venues.edgex.times import to_ms
from venues.order_forms import check_amounts, check_kind

#: Where each request is posted, below the prefix.
PATHS: Final[Mapping[str, str]] = {
    "create_order": "/private/order/createOrder",
    "cancel_by_id": "/private/order/cancelOrderById",
    "cancel_by_client_id": "/private/order/cancelOrderByClientOrderId",
    "update_leverage": "/private/account/updateLeverageSetting",
}
#: The venue's own default: 30 days, less the eight that its second layer wants beyond an order's
#: own end. Counted from the day's begin, so that a message is the same whenever it is written.
_LIFETIME: Final = timedelta(days=22)
_L2_MARGIN: Final = timedelta(days=8)
#: Watches the oracle, which is the price that liquidates; the venue has no mark of its own.
_MARK: Final = "ORACLE_PRICE"


def place_body(
    contract: Contract, order: PlaceOrder, client_order_id: str, *, now: datetime
) -> dict[str, Any]:
    """Return the body of a placement without account and signature.

    A market order is an immediate limit order with its bound: the venue's own kind is signed for
    ten times the oracle's price. Of the two trigger kinds that become market orders the price is
    "0", and what is signed is our bound.
    """
    waits = order.trigger_price is not None
    is_market = waits and order.order_type.is_market
    value = order.price * order.quantity
    fee = (value * contract.fee_rate).to_integral_value(rounding=ROUND_CEILING)
    expires = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + _LIFETIME
    body: dict[str, Any] = {
        "contractId": contract.contract_id,
        "price": "0" if is_market else plain(order.price),
        "size": plain(order.quantity),
        "type": order.order_type.value if waits else OrderType.LIMIT.value,
        "side": order.side.value,
        "timeInForce": _time_in_force(order),
        "clientOrderId": client_order_id,
        "expireTime": str(to_ms(expires)),
        "l2Nonce": str(l2_nonce(client_order_id)),
        "l2ExpireTime": str(to_ms(expires + _L2_MARGIN)),
        "l2Value": plain(value),
        "l2Size": plain(order.quantity),
        "l2LimitFee": plain(fee),
        "reduceOnly": order.reduce_only,
        "isPositionTpsl": order.position_bound,
    }
    if order.trigger_price is not None:
        body |= {"triggerPrice": plain(order.trigger_price), "triggerPriceType": _MARK}
    return body


def _time_in_force(order: PlaceOrder) -> str:
    if order.post_only:
        return "POST_ONLY"
    is_immediate = order.order_type.is_market or order.time_in_force is TimeInForce.IOC
    return "IMMEDIATE_OR_CANCEL" if is_immediate else "GOOD_TIL_CANCEL"


def place_composer(
    contract: Contract, terms: Mapping[str, str], order: PlaceOrder, *, now: datetime
) -> MessageComposer:
    """Return what writes a placement once its client order id is known.

    Raises:
        InvalidInput: naming the field that the venue would refuse for its form.
    """
    check_kind(VENUE, order)
    check_amounts(contract.instrument, order)

    def compose(slot: CommandSlot) -> str:
        body = place_body(contract, order, slot.client_order_id, now=now)
        return canonical({"request": "create_order", "body": body, "terms": dict(terms)})

    return compose


def cancel_composer(command: CancelOrder) -> MessageComposer:
    """Return what writes a cancel, by the venue's id where it is known, else by ours.

    Raises:
        InvalidInput: the venue order id is not a number.
    """
    if command.venue_order_id is not None:
        found = command.venue_order_id
        if not (found.isascii() and found.isdigit() and len(found) <= 20):
            raise InvalidInput(
                "venue_order_id", f"expected a number on {VENUE}, found {found[:64]!r}"
            )
        message = canonical({"request": "cancel_by_id", "body": {"orderIdList": [found]}})
    else:
        ids = [command.client_order_id]
        message = canonical({"request": "cancel_by_client_id", "body": {"clientOrderIdList": ids}})
    return lambda slot: message


def leverage_message(contract: Contract, leverage: int) -> str:
    """Return the message of `updateLeverageSetting`.

    Raises:
        InvalidInput: the leverage is not between 1 and the market's greatest.
    """
    market = contract.instrument
    if not 1 <= leverage <= market.max_leverage:
        raise InvalidInput(
            "leverage",
            f"expected 1 to {market.max_leverage} for {market.symbol}, found {leverage}",
        )
    body = {"contractId": contract.contract_id, "leverage": str(leverage)}
    return canonical({"request": "update_leverage", "body": body})
