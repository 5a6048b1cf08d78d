"""The private feed of one account, without I/O: its orders, and the fills derived from them.

There are no events of positions or money, and an order's end is told without its market: the owner
is asked to read both (`on_money`, `on_unknown`). There is no snapshot: whoever hears that the feed
is live again has to read orders and fills once.

How much of an order has filled is the sum of its executions as far as they were heard, and its
whole size once it is FILLED. Each fill told stands for all of that (`Fill.is_total`).

Source: the official v2 API page, `account_private`; NOTES.md "Fills".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from domain.accounts import Account
from domain.fills import Fill
from venues.connector import AccountEvent, FillsSeen, OrdersSeen
from venues.vest import translate, wire
from venues.vest.statuses import reason_of, verdict_of
from venues.vest.stream_session import Session

CHANNEL: Final = "account_private"
#: So many orders are remembered with what was heard of them.
_ORDERS_REMEMBERED: Final = 20_000
_Execution = tuple[int | None, Decimal | None, Decimal | None]


@dataclass(slots=True)
class _Known:
    """What was heard of an order: all of it once, and its executions."""

    row: wire.OrderRow
    filled: Decimal = Decimal(0)
    heard: set[_Execution] = field(default_factory=set)


class AccountStream:
    """The conversation about one account; `on_unknown` is called with an order's id."""

    def __init__(
        self,
        account: Account,
        on_money: Callable[[], None] = lambda: None,
        on_unknown: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._account_id = account.account_id
        self._on_money = on_money
        self._on_unknown = on_unknown
        self._session = Session()
        self.watch = self._session.watch
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Subscribe; what was heard of orders before stays true."""
        self._on_money()
        return (self._session.subscribe([CHANNEL], now),)

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[AccountEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        frame = self._session.read(payload)
        if frame is None or frame.channel != CHANNEL:
            return ()
        event = wire.decode(bytes(frame.data), wire.PrivateEvent)
        if event.event != "ORDER":
            # Deposits and withdrawals change the account's money.
            self._on_money()
            return ()
        args = bytes(event.args)
        if _is_whole(args):
            return self.take(wire.decode(args, wire.OrderRow))
        return self._ended(wire.decode(args, wire.OrderEnd))

    def take(self, row: wire.OrderRow) -> tuple[AccountEvent, ...]:
        """Take an order that is told whole, by the feed or by a look-up."""
        known = self._known.get(row.id)
        if known is None:
            known = self._known[row.id] = _Known(row)
        self._known.move_to_end(row.id)
        while len(self._known) > _ORDERS_REMEMBERED:
            self._known.popitem(last=False)
        fill = self._fill(known, row)
        order = replaced(translate.order_row(row), filled_quantity=known.filled)
        events: tuple[AccountEvent, ...] = (
            OrdersSeen(account_id=self._account_id, orders=(order,)),
        )
        if fill is None:
            return events
        self._on_money()
        return (*events, FillsSeen(account_id=self._account_id, fills=(fill,)))

    def _fill(self, known: _Known, row: wire.OrderRow) -> Fill | None:
        """Add an execution up; return what the order has filled with it, if that is more."""
        execution = (row.last_filled_time, row.last_filled_size, row.last_filled_price)
        if row.last_filled_size is None or execution in known.heard:
            return None
        known.heard.add(execution)
        is_all = row.status == "FILLED"
        filled = row.size if is_all else min(known.filled + row.last_filled_size, row.size)
        average = row.avg_filled_price or row.last_filled_price
        if filled <= known.filled or average is None:
            return None
        known.filled, known.row = filled, row
        fees = row.fees or Decimal(0)
        return translate.derived_fill(self._account_id, row, filled, average, fees)

    def _ended(self, end: wire.OrderEnd) -> tuple[AccountEvent, ...]:
        """Tell the end of an order, of which the event says no more than its name."""
        known = self._known.get(end.id)
        if known is None:
            self._on_unknown(end.id)
            return ()
        order = replaced(
            translate.order_row(known.row),
            verdict=verdict_of(end.status, end.code),
            reason=reason_of(end.status, end.code),
            filled_quantity=known.filled,
            average_price=known.row.avg_filled_price if known.filled else None,
            event_time=None,
        )
        return (OrdersSeen(account_id=self._account_id, orders=(order,)),)


class _Whole(msgspec.Struct):
    symbol: str | None = None


def _is_whole(args: bytes) -> bool:
    """Tell whether an event says all of an order; what is no object is left to `wire`."""
    try:
        return msgspec.json.decode(args, type=_Whole).symbol is not None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
