"""From commands to Lighter's transactions: the checks of form, and the message that is signed.

Numbers are whole: a quantity counts the market's lots, a price its ticks. The message is the same
for the same slot, so that a row of the ledger always says the same. Pure; knows no transport and
no key.

Source: github.com/elliottech/lighter-go types/txtypes/create_order.go; docs trading.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from domain.accounts import MarginMode
from domain.commands import BurnNonce, CancelOrder, PlaceOrder
from domain.errors import CorruptState, InvalidInput
from domain.instruments import Instrument, OrderSide
from domain.ledger import CommandSlot
from domain.orders import OrderType, TimeInForce, TriggerType
from venues.connector import MessageComposer
from venues.lighter.signing import (
    ABORT,
    CANCEL_ALL,
    CANCEL_ORDER,
    CREATE_ORDER,
    SCHEDULED,
    UPDATE_LEVERAGE,
    message,
)
from venues.lighter.translate import VENUE, to_ms

#: How long what rests is good: the venue takes 5 minutes to 30 days.
GOOD_FOR: Final = timedelta(days=28)
#: Ids of the venue's own begin here; below are client order indexes.
FIRST_ORDER_INDEX: Final = 1 << 48
#: No order of ours has this one.
NOBODYS_INDEX: Final = FIRST_ORDER_INDEX - 1
_IOC, _GTT, _POST_ONLY = 0, 1, 2
#: The signer takes prices as 32 bits with a sign.
_PRICE_MAX: Final = (1 << 31) - 1
_SIZE_MAX: Final = (1 << 48) - 1
#: The scheduled cancel has to lie so far ahead, 15 days at most.
SCHEDULE_MIN: Final = timedelta(minutes=5)
SCHEDULE_MAX: Final = timedelta(days=15)
_TYPES: Final = {
    OrderType.LIMIT: 0,
    OrderType.MARKET: 1,
    OrderType.STOP_MARKET: 2,
    OrderType.STOP_LIMIT: 3,
    OrderType.TAKE_PROFIT_MARKET: 4,
    OrderType.TAKE_PROFIT_LIMIT: 5,
}
_WHOLE_MARGIN: Final = 10_000


def check_place(instrument: Instrument, order: PlaceOrder) -> None:
    """Check what the venue would refuse for its form.

    Its minimum is checked of what may rest: what takes, and what closes, may be smaller.

    Raises:
        InvalidInput: naming the field.
    """
    instrument.check_open(reduce_only=order.reduce_only)
    _check_kind(order)
    instrument.check_quantity("quantity", order.quantity)
    instrument.check_price("price", order.price)
    _whole("price", order.price, instrument.price_rule.step_at(order.price), _PRICE_MAX)
    _whole("quantity", order.quantity, instrument.lot_size, _SIZE_MAX)
    if order.trigger_price is not None:
        instrument.check_price("trigger_price", order.trigger_price)
        step = instrument.price_rule.step_at(order.trigger_price)
        _whole("trigger_price", order.trigger_price, step, _PRICE_MAX)
    if not order.reduce_only and not _is_immediate(order) and not order.order_type.is_trigger:
        instrument.check_notional(order.quantity, order.price)


def _check_kind(order: PlaceOrder) -> None:
    kind = order.order_type
    if order.time_in_force not in (TimeInForce.GTC, TimeInForce.IOC):
        raise InvalidInput(
            "time_in_force", f"expected GTC or IOC on {VENUE}, found {order.time_in_force}"
        )
    if order.post_only and (kind is not OrderType.LIMIT or order.time_in_force is TimeInForce.IOC):
        raise InvalidInput("post_only", "expected a limit order that may rest (LIMIT, GTC)")
    if kind.is_trigger != (order.trigger_price is not None):
        expected = "a trigger price" if kind.is_trigger else "no trigger price"
        raise InvalidInput("trigger_price", f"expected {expected} for {kind}")
    if order.position_bound and not (order.reduce_only and kind.is_trigger):
        raise InvalidInput("position_bound", "expected a reduce-only trigger order")
    if kind.is_trigger and order.trigger_type is not TriggerType.MARK:
        raise InvalidInput("trigger_type", f"expected MARK on {VENUE}, found {order.trigger_type}")


def _is_immediate(order: PlaceOrder) -> bool:
    return order.order_type.is_market or order.time_in_force is TimeInForce.IOC


def _whole(field: str, number: Decimal, step: Decimal, most: int) -> int:
    """Return how many steps a number is. Raises InvalidInput for more than can be signed."""
    steps = int(number / step)
    if steps > most:
        raise InvalidInput(
            field, f"expected at most {most * step} on {VENUE}, found {format(number, 'f')}"
        )
    return steps


def place_composer(instrument: Instrument, order: PlaceOrder) -> MessageComposer:
    """Return what writes a placement once its client order id is known.

    Raises:
        InvalidInput: as `check_place`.
    """
    check_place(instrument, order)
    rule, trigger = instrument.price_rule, order.trigger_price
    time_in_force = _POST_ONLY if order.post_only else _IOC if _is_immediate(order) else _GTT
    # An order that waits for its trigger expires like one that rests, whatever it does then.
    expires = time_in_force != _IOC or order.order_type.is_trigger
    size = 0 if order.position_bound else int(order.quantity / instrument.lot_size)
    fields = {
        "MarketIndex": instrument.asset_index,
        "BaseAmount": size,
        "Price": int(order.price / rule.step_at(order.price)),
        "IsAsk": int(order.side is OrderSide.SELL),
        "Type": _TYPES[order.order_type],
        "TimeInForce": time_in_force,
        "ReduceOnly": int(order.reduce_only),
        "TriggerPrice": 0 if trigger is None else int(trigger / rule.step_at(trigger)),
    }

    def numbers(slot: CommandSlot) -> str:
        expiry = to_ms(_end_of(slot) + GOOD_FOR) if expires else 0
        own = {"ClientOrderIndex": client_index_of(slot.client_order_id), "OrderExpiry": expiry}
        return message(CREATE_ORDER, {**fields, **own})

    return _Composer(numbers)


def cancel_composer(instrument: Instrument, command: CancelOrder) -> MessageComposer:
    """Return what writes a cancel, by the venue's id where it is known, else by ours.

    Raises:
        InvalidInput: an id is none of the venue's.
    """
    named = command.venue_order_id
    index = client_index_of(command.client_order_id) if named is None else order_index_of(named)
    fields = {"MarketIndex": instrument.asset_index, "Index": index}
    return _Composer(lambda slot: message(CANCEL_ORDER, fields))


def burn_composer(command: BurnNonce) -> MessageComposer:
    """Return what uses up a nonce: the cancel of an order that there never is."""

    def numbers(slot: CommandSlot) -> str:
        if slot.nonce != command.nonce:
            raise CorruptState(f"expected to burn nonce {command.nonce}, found {slot.nonce}")
        return message(CANCEL_ORDER, {"MarketIndex": 0, "Index": NOBODYS_INDEX})

    return _Composer(numbers)


def leverage_message(instrument: Instrument, leverage: int, mode: MarginMode) -> str:
    """Return the message that sets leverage and margin mode of one market.

    Raises:
        InvalidInput: the leverage is not between 1 and the market's greatest.
    """
    if not 1 <= leverage <= instrument.max_leverage:
        raise InvalidInput(
            "leverage",
            f"expected 1 to {instrument.max_leverage} for {instrument.symbol}, found {leverage}",
        )
    fields = {
        "MarketIndex": instrument.asset_index,
        # Rounded up: never more leverage than was asked for.
        "InitialMarginFraction": -(-_WHOLE_MARGIN // leverage),
        "MarginMode": int(mode is MarginMode.ISOLATED),
    }
    return message(UPDATE_LEVERAGE, fields)


def schedule_message(at: datetime | None, now: datetime) -> str:
    """Return the message that arms, or with None disarms, the cancel of everything.

    Raises:
        InvalidInput: the time is nearer or further than the venue takes.
    """
    if at is None:
        return message(CANCEL_ALL, {"TimeInForce": ABORT, "Time": 0})
    if not SCHEDULE_MIN <= at - now <= SCHEDULE_MAX:
        raise InvalidInput(
            "after_s",
            f"expected {SCHEDULE_MIN.total_seconds():g} s to {SCHEDULE_MAX.days} days ahead on "
            f"{VENUE}, found {(at - now).total_seconds():g} s",
        )
    return message(CANCEL_ALL, {"TimeInForce": SCHEDULED, "Time": to_ms(at)})


def client_index_of(client_order_id: str) -> int:
    """Return the number that a client order id spells. Raises InvalidInput if it is none."""
    return _number("client_order_id", client_order_id, 1, FIRST_ORDER_INDEX - 1)


def order_index_of(venue_order_id: str) -> int:
    """Return the number that the venue's id spells. Raises InvalidInput if it is none."""
    return _number("venue_order_id", venue_order_id, FIRST_ORDER_INDEX, (1 << 60) - 1)


def _number(field: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise InvalidInput(
            field, f"expected a number from {least} to {most} on {VENUE}, found {text[:64]!r}"
        )
    return int(text)


def _end_of(slot: CommandSlot) -> datetime:
    if slot.admitted_until is None:
        raise CorruptState(f"expected an end of admission for {VENUE}, found none")
    return slot.admitted_until


class _Composer:
    """A `MessageComposer` over a function of the slot."""

    def __init__(self, write: Callable[[CommandSlot], str]) -> None:
        self._write = write

    def __call__(self, slot: CommandSlot) -> str:
        """Return the message of a slot."""
        return self._write(slot)
