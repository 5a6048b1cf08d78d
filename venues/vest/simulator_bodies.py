"""The simulator's own reading of signed bodies: typed, as the venue's framework would check them.

Shares nothing with the connector.

Source: the official v2 API page, POST /orders, /orders/cancel, /register, /account/leverage.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

_ADDRESS: Final = re.compile(r"0x[0-9a-f]{40}")
_NUMBER_MAX: Final = 2**63
RECV_WINDOW_MS: Final = 5_000
T = TypeVar("T")


class WrongShape(ValueError):
    """The body is not what the path takes (HTTP 422, as the framework says it)."""


class _Body(msgspec.Struct, rename="camel", kw_only=True):
    pass


class Order(_Body):
    """An order; `time_in_force` is allowed for limit orders only."""

    time: int
    nonce: int
    symbol: str
    is_buy: bool
    size: str
    order_type: str
    limit_price: str
    reduce_only: bool
    time_in_force: str | None = None
    tp_price: str | None = None
    sl_price: str | None = None


class Placement(_Body):
    """The body of `POST /orders`."""

    order: Order
    signature: str
    recv_window: int = RECV_WINDOW_MS


class Cancel(_Body):
    """What is canceled; the nonce is the request's own."""

    time: int
    nonce: int
    id: str


class Cancellation(_Body):
    """The body of `POST /orders/cancel`."""

    order: Cancel
    signature: str
    recv_window: int = RECV_WINDOW_MS


class Registration(_Body):
    """The body of `POST /register`; addresses in lower case."""

    signing_addr: str
    primary_addr: str
    signature: str
    expiry_time: int
    network_type: int


class Leverage(_Body):
    """The body of `POST /account/leverage`."""

    time: int
    symbol: str
    value: int


def read(body: bytes, kind: type[T]) -> T:
    """Read a body. Raises `WrongShape`."""
    try:
        found = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WrongShape(str(error)) from error
    _check(found)
    return found


def _check(found: object) -> None:
    numbers: list[int] = []
    if isinstance(found, Placement | Cancellation):
        numbers = [found.order.time, found.order.nonce, found.recv_window]
    if isinstance(found, Registration):
        numbers = [found.expiry_time]
        for address in (found.signing_addr, found.primary_addr):
            if _ADDRESS.fullmatch(address) is None:
                raise WrongShape("value is not a valid address in lower case")
    if any(not 0 <= number < _NUMBER_MAX for number in numbers):
        raise WrongShape("value is not a valid integer")
