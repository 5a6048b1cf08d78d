"""Commands to a venue: what is asked of it, before any venue's spelling.

A command is data; what became of it is in `domain.outcomes`, and the one row that every command
has in the intent ledger is in `domain.ledger`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from domain.instruments import OrderSide
from domain.orders import OrderType, TimeInForce, TriggerType


class CommandKind(StrEnum):
    """The kinds of signed command that concern an order."""

    PLACE = "place"
    CANCEL = "cancel"
    MODIFY = "modify"
    NOOP = "noop"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """Place one revision of an order.

    `price` is the limit price; for a market order it is the bound beyond which it must not trade,
    set before the command is written to the ledger. `position_bound` asks the venue to tie a
    reduce-only trigger order to the position it protects.
    """

    kind: Literal["place"] = "place"
    symbol: str
    side: OrderSide
    order_type: OrderType
    quantity: Decimal
    price: Decimal
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    trigger_price: Decimal | None = None
    trigger_type: TriggerType = TriggerType.MARK
    position_bound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """Cancel a venue order, by the venue's id where it is known, else by ours.

    `waits_for_trigger`: the order was last known to wait for its trigger price; some venues cancel
    such an order by a request of another kind.
    """

    kind: Literal["cancel"] = "cancel"
    symbol: str
    client_order_id: str
    venue_order_id: str | None = None
    waits_for_trigger: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyOrder:
    """Replace a resting venue order natively: `order` takes the place of `venue_order_id`."""

    kind: Literal["modify"] = "modify"
    venue_order_id: str
    order: PlaceOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnNonce:
    """Use up `nonce` with an action that does nothing, so that nothing else can use it."""

    kind: Literal["noop"] = "noop"
    nonce: int


Command = PlaceOrder | CancelOrder | ModifyOrder | BurnNonce
