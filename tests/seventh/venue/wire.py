"""The seventh venue's payloads, as it writes them and as we read them. Decimals are strings.

Every answer is an `Answer` around one of the others; on the socket every message is a `Frame`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal

import msgspec

from venues.payloads import Ms, Wire
from venues.payloads import WireError as WireError
from venues.payloads import decode as decode

NOTHING: Final = msgspec.Raw(b"null")
Side = Literal["buy", "sell"]


class Refused(Wire, frozen=True):
    """Why something was refused."""

    code: str
    text: str


class Answer(Wire, frozen=True):
    """Any answer over HTTP; `time` is the venue's clock."""

    ok: bool
    time: Ms
    data: msgspec.Raw = NOTHING
    error: Refused | None = None


class Frame(Wire, frozen=True):
    """Any message of the socket: an acknowledgement (`ok`), data, or why there is none."""

    topic: str
    ok: bool = False
    data: msgspec.Raw = NOTHING
    error: str | None = None


class Market(Wire, frozen=True):
    """A market and its steps."""

    name: str
    tick: Decimal
    lot: Decimal
    minimum: Decimal
    leverage: int
    open: bool


class Price(Wire, frozen=True):
    """A market's present prices, its hourly funding rate and its day."""

    market: str
    mark: Decimal
    index: Decimal
    middle: Decimal | None
    funding: Decimal
    interest: Decimal
    volume: Decimal


class Book(Wire, frozen=True):
    """A book, the best levels first: price and size."""

    market: str
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]
    time: Ms


class Trade(Wire, frozen=True):
    """A public trade; `side` is the taker's."""

    market: str
    id: int
    side: Side
    price: Decimal
    size: Decimal
    time: Ms


class Candle(Wire, frozen=True):
    """A candle of a span such as `1m`."""

    market: str
    span: str
    start: Ms
    end: Ms
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Order(Wire, frozen=True):
    """An order as it is now: open, filled, cancelled or refused."""

    account: str
    id: int
    tag: str
    market: str
    side: Side
    price: Decimal
    size: Decimal
    filled: Decimal
    average: Decimal | None
    status: str
    why: str | None
    reduces: bool
    made: Ms
    changed: Ms


class Fill(Wire, frozen=True):
    """One execution of an order; `gain` is before the fee."""

    account: str
    id: int
    order: int
    tag: str | None
    market: str
    side: Side
    price: Decimal
    size: Decimal
    fee: Decimal
    gain: Decimal
    takes: bool
    forced: bool
    time: Ms


class Position(Wire, frozen=True):
    """A position; `size` is negative for a short one."""

    market: str
    size: Decimal
    entry: Decimal
    value: Decimal
    gain: Decimal
    margin: Decimal
    leverage: int
    liquidation: Decimal | None


class Account(Wire, frozen=True):
    """An account's money, fees and positions."""

    account: str
    worth: Decimal
    free: Decimal
    margin: Decimal
    least: Decimal
    maker: Decimal
    taker: Decimal
    positions: list[Position]
    time: Ms


class Leverage(Wire, frozen=True):
    """An account's leverage in a market."""

    market: str
    leverage: int


class Key(Wire, frozen=True):
    """Whose key it is, what it may do and until when."""

    account: str
    rights: list[str]
    until: Ms


class News(Wire, frozen=True):
    """What one action did to an account, as its topic tells it."""

    orders: list[Order]
    fills: list[Fill]
    account: Account
