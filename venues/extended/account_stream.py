"""The conversation about one account, without I/O: it hears snapshots, then what changes.

The first kind of socket: nothing is sent, the API key is in the handshake. Orders, positions and
money come as a whole on each connection, executions of the time between do not: whoever hears that
the feed is live reads them once. Which of TRADE and ORDER comes first is not documented. Funding
has no frame of its own: money that changed is the sign to ask for it.

Source: api.docs.extended.exchange, account updates stream; NOTES.md "WebSocket".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Final

from domain.accounts import Account
from venues.connector import AccountEvent, AccountSeen, FillsSeen, OrdersSeen
from venues.extended import translate, wire
from venues.extended.sequence import Sequence
from venues.stream_session import SessionWatch

#: Whether the venue is there is found out by the protocol's own pings: an account may have nothing
#: to tell all day.
_SILENCE_MAX_S: Final = float("inf")
_SNAPSHOT_WITHIN_S: Final = 15.0
_SNAPSHOT: Final = "snapshot"
#: So many orders are remembered with the time of their newest frame.
_ORDERS_REMEMBERED: Final = 20_000
_FIRST: Final = 1


class AccountStream:
    """One account's frames; live once the first one came. `on_money` is called when some moved."""

    def __init__(self, account: Account, on_money: Callable[[], None] = lambda: None) -> None:
        self._account = account
        self._account_id = account.account_id
        self._on_money = on_money
        self.watch = SessionWatch(silence_max_s=_SILENCE_MAX_S, answer_within_s=_SNAPSHOT_WITHIN_S)
        self._sequence = Sequence(_FIRST)
        self._newest: OrderedDict[int, tuple[Decimal, int]] = OrderedDict()
        self._positions: dict[str, wire.PositionRow] = {}
        self._balance: wire.BalanceRow | None = None
        self._money: Decimal | None = None

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Say nothing, and wait for the snapshot."""
        self._sequence.begin()
        self._newest.clear()
        self._positions.clear()
        self._balance = None
        self.watch.expect(_SNAPSHOT, "no snapshot of the account", now)
        return ()

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[AccountEvent, ...]:
        """Read one message. Raises WireError, and SessionOver when frames are missing."""
        frame = wire.decode(payload, wire.AccountFrame)
        if not self._sequence.is_new(frame.seq):
            return ()
        self.watch.answered(_SNAPSHOT)
        data = frame.data
        if data is None:
            return ()
        return (
            *self._fills(data.trades or []),
            *self._orders(data.orders or []),
            *self._state(data),
        )

    def _fills(self, rows: list[wire.FillRow]) -> tuple[AccountEvent, ...]:
        found = (translate.fill(self._account_id, row) for row in rows)
        fills = tuple(sorted((f for f in found if f is not None), key=lambda f: f.event_time))
        return (FillsSeen(account_id=self._account_id, fills=fills),) if fills else ()

    def _orders(self, rows: list[wire.OrderRow]) -> tuple[AccountEvent, ...]:
        """Keep what is not older than what was said of the same order before."""
        fresh = [row for row in rows if self._is_fresh(row)]
        found = (translate.order_row(row) for row in fresh)
        orders = tuple(order for order in found if order is not None)
        return (OrdersSeen(account_id=self._account_id, orders=orders),) if orders else ()

    def _is_fresh(self, row: wire.OrderRow) -> bool:
        stands = (row.filledQty or Decimal(0), row.updatedTime or row.createdTime)
        before = self._newest.get(row.id)
        if before is not None and (stands[0] < before[0] or stands[1] < before[1]):
            return False
        self._newest[row.id] = stands
        self._newest.move_to_end(row.id)
        while len(self._newest) > _ORDERS_REMEMBERED:
            self._newest.popitem(last=False)
        return True

    def _state(self, data: wire.AccountData) -> tuple[AccountEvent, ...]:
        """Sum the account up, once its money is known."""
        if data.balance is None and data.positions is None:
            return ()
        for row in data.positions or ():
            if translate.is_open(row):
                self._positions[row.market] = row
            else:
                self._positions.pop(row.market, None)
        if data.balance is not None:
            self._balance = data.balance
            self._note_money(data.balance.balance)
        if self._balance is None:
            return ()
        summary = translate.account_summary(self._account, self._balance, self._positions.values())
        return (AccountSeen(account_id=self._account_id, summary=summary),)

    def _note_money(self, money: Decimal) -> None:
        """Say that money moved; after a new connection it may have in the time between."""
        if self._money is not None and money != self._money:
            self._on_money()
        self._money = money
