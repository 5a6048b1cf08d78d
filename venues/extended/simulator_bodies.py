"""The simulator's own reading of commands: typed, unknown keys ignored, numbers kept as their text.

Shares nothing with the connector.

Source: api.docs.extended.exchange, create or edit order, mass cancel, update leverage.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, Literal, TypeVar

import msgspec

_DECIMAL: Final = re.compile(r"\d{1,20}(\.\d{1,18})?\Z")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]{1,64}\Z")
_NONCE_MAX: Final = 2**32 - 1
T = TypeVar("T")


class WrongShape(ValueError):
    """The body is not what the path takes (HTTP 422)."""


class _Body(msgspec.Struct, rename="camel", frozen=True):
    """A part of a body, spelled in the venue's way."""


class Signature(_Body, frozen=True):
    """A Stark signature in hexadecimal."""

    r: str
    s: str


class Settlement(_Body, frozen=True):
    """Who signed, for which vault."""

    signature: Signature
    stark_key: str
    collateral_position: str


class Trigger(_Body, frozen=True):
    """What a conditional order waits for."""

    trigger_price: str
    direction: Literal["UP", "DOWN"]
    trigger_price_type: Literal["MARK", "INDEX", "LAST"] = "LAST"
    execution_price_type: Literal["MARKET", "LIMIT"] = "LIMIT"


class Leg(_Body, frozen=True):
    """A take-profit or a stop-loss, with a settlement of its own."""

    trigger_price: str
    price: str
    settlement: Settlement
    trigger_price_type: Literal["MARK", "INDEX", "LAST"] = "LAST"
    price_type: Literal["MARKET", "LIMIT"] = "LIMIT"


class NewOrder(_Body, frozen=True):
    """A placement; with `cancel_id` it replaces the order of that external id."""

    id: str
    market: str
    type: Literal["LIMIT", "MARKET", "CONDITIONAL", "TPSL", "TWAP"]
    side: Literal["BUY", "SELL"]
    qty: str
    price: str
    expiry_epoch_millis: int
    fee: str
    nonce: str | int
    time_in_force: Literal["GTT", "IOC", "FOK", "TOB"] = "GTT"
    reduce_only: bool = False
    post_only: bool = False
    self_trade_protection_level: Literal["DISABLED", "ACCOUNT", "CLIENT"] = "ACCOUNT"
    cancel_id: str | None = None
    settlement: Settlement | None = None
    trigger: Trigger | None = None
    tp_sl_type: Literal["ORDER", "POSITION"] | None = None
    take_profit: Leg | None = None
    stop_loss: Leg | None = None
    builder_fee: str | None = None

    @property
    def is_buy(self) -> bool:
        """Whether it buys."""
        return self.side == "BUY"

    @property
    def legs(self) -> list[tuple[Leg, bool]]:
        """Its exits, and of each whether it is a take-profit."""
        both = ((self.take_profit, True), (self.stop_loss, False))
        return [(leg, is_profit) for leg, is_profit in both if leg is not None]


class MassCancel(_Body, frozen=True):
    """Which orders to cancel; whatever fits one of these."""

    order_ids: list[int | str] | None = None
    external_order_ids: list[str] | None = None
    markets: list[str] | None = None
    cancel_all: bool | None = None


class Leverage(_Body, frozen=True):
    """A market's new leverage."""

    market: str
    leverage: str | int


def read(body: bytes, kind: type[T]) -> T:
    """Read a body. Raises `WrongShape`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WrongShape(f"cannot deserialize the body: {error}") from error


def read_order(body: bytes) -> NewOrder:
    """Read a placement and check its numbers. Raises `WrongShape`."""
    order = read(body, NewOrder)
    if not 1 <= len(order.id) <= 256:
        raise WrongShape("id: expected 1 to 256 characters")
    numbers = [order.qty, order.price, order.fee, order.builder_fee or "0"]
    numbers += [order.trigger.trigger_price] if order.trigger else []
    for leg, _ in order.legs:
        numbers += [leg.trigger_price, leg.price]
    for number in numbers:
        if _DECIMAL.match(number) is None:
            raise WrongShape(f"expected a decimal number, found {number!r}")
    nonce = str(order.nonce)
    if not (nonce.isascii() and nonce.isdigit() and int(nonce) <= _NONCE_MAX):
        raise WrongShape("nonce: expected a whole number below 2^32")
    settlements = [order.settlement, *(leg.settlement for leg, _ in order.legs)]
    for settlement in settlements:
        if settlement is not None:
            _check_settlement(settlement)
    return order


def _check_settlement(settlement: Settlement) -> None:
    signature = settlement.signature
    for text in (signature.r, signature.s, settlement.stark_key):
        if _HEX.match(text) is None:
            raise WrongShape("settlement: expected hexadecimal numbers")
    if not (settlement.collateral_position.isascii() and settlement.collateral_position.isdigit()):
        raise WrongShape("settlement: expected the vault's number")


def number(text: str) -> Decimal:
    """Return a checked number."""
    return Decimal(text)
