"""Profit and loss of a market: what its fills, fees and funding add up to, exactly.

Quantities bought count above zero, sold below. What was paid for the open position follows from
sums that need no order of the fills: value of all fills, plus what was realised on the way. Only
when a position was opened depends on their order. Knows no storage and no venue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

from domain.fills import Fill
from domain.net_positions import EXACT, signed

PNL_STEP = Decimal("0.00000001")
"""Realised profit of our own reckoning is kept to this step; the entry takes the difference."""

_DIVISION = Context(prec=40, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class FillSums:
    """What a set of fills adds up to.

    `quantity` is net and signed, `value` the signed sum of quantity × price, `volume` the same
    unsigned. `realized_pnl` excludes `fees`, which are what was paid (below zero: received).
    """

    quantity: Decimal = Decimal(0)
    value: Decimal = Decimal(0)
    volume: Decimal = Decimal(0)
    realized_pnl: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    count: int = 0

    def __add__(self, other: FillSums) -> FillSums:
        """Return both together."""
        return FillSums(
            quantity=EXACT.add(self.quantity, other.quantity),
            value=EXACT.add(self.value, other.value),
            volume=EXACT.add(self.volume, other.volume),
            realized_pnl=EXACT.add(self.realized_pnl, other.realized_pnl),
            fees=EXACT.add(self.fees, other.fees),
            count=self.count + other.count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPnl:
    """All that was traded in one market of an account, and since its open position was opened.

    `opened_at` is the time of the fill that opened it, None while flat. `opened` sums the fills
    since then; a fill that turned the position over counts with what it opened, its fee whole.
    `newest_at` and `newest_trade_id` are the time and the venue's number of the newest fill.
    """

    account_id: str
    symbol: str
    total: FillSums = FillSums()
    opened: FillSums = FillSums()
    opened_at: datetime | None = None
    newest_at: datetime | None = None
    newest_trade_id: str = ""

    def is_later(self, fill: Fill) -> bool:
        """Tell whether a fill comes after all that are counted here."""
        if self.newest_at is None:
            return True
        newest = (self.newest_at, len(self.newest_trade_id), self.newest_trade_id)
        return fill.place >= newest

    @property
    def entry_notional(self) -> Decimal:
        """What was paid for the open position: signed, 0 while flat."""
        if not self.total.quantity:
            return Decimal(0)
        return EXACT.add(self.total.value, self.total.realized_pnl)

    @property
    def entry_price(self) -> Decimal | None:
        """The average price of the open position, or None while flat."""
        if not self.total.quantity:
            return None
        return _DIVISION.divide(self.entry_notional, self.total.quantity)

    def unrealized_pnl(self, mark_price: Decimal) -> Decimal:
        """Return what closing all at `mark_price` would realise."""
        worth = EXACT.multiply(self.total.quantity, mark_price)
        return EXACT.subtract(worth, self.entry_notional)


def add_fill(before: MarketPnl, fill: Fill) -> MarketPnl:
    """Return the market after one more fill, the newest so far.

    The venue's own realised profit is taken where it gives one; else the average cost decides.
    """
    change = signed(fill.side, fill.quantity)
    held = before.total.quantity
    realized = fill.realized_pnl
    if realized is None:
        realized = _realized(before, change, fill.price)
    one = FillSums(
        quantity=change,
        value=EXACT.multiply(change, fill.price),
        volume=EXACT.multiply(fill.quantity, fill.price),
        realized_pnl=realized,
        fees=fill.fee,
        count=1,
    )
    total = before.total + one
    after = replace(before, total=total, newest_at=fill.event_time, newest_trade_id=fill.trade_id)
    if not total.quantity:
        return replace(after, opened=FillSums(), opened_at=None)
    if not held:
        return replace(after, opened=one, opened_at=fill.event_time)
    if (held > 0) != (total.quantity > 0):
        return replace(after, opened=_turned(one, total.quantity), opened_at=fill.event_time)
    return replace(after, opened=before.opened + one)


def _turned(one: FillSums, left: Decimal) -> FillSums:
    """Return what a fill that turned a position over opened; what it realised was the old one's."""
    price = _DIVISION.divide(one.value, one.quantity)
    return replace(
        one,
        quantity=left,
        value=EXACT.multiply(left, price),
        volume=abs(EXACT.multiply(left, price)),
        realized_pnl=Decimal(0),
    )


def _realized(before: MarketPnl, change: Decimal, price: Decimal) -> Decimal:
    """Return what a change of the position realises by average cost."""
    held = before.total.quantity
    if not held or (held > 0) == (change > 0):
        return Decimal(0)
    closed = min(abs(change), abs(held))
    gained = EXACT.multiply(closed if held > 0 else -closed, price)
    if closed == abs(held):
        # All of it: no rounding, so that nothing is left over of a flat position.
        return EXACT.subtract(gained, before.entry_notional)
    cost = _DIVISION.divide(EXACT.multiply(before.entry_notional, closed), abs(held))
    return EXACT.subtract(gained, cost).quantize(PNL_STEP, context=EXACT)


def fold_fills(account_id: str, symbol: str, fills: Iterable[Fill]) -> MarketPnl:
    """Return what fills of one market, each once and in order (`Fill.place`), add up to."""
    market = MarketPnl(account_id=account_id, symbol=symbol)
    for fill in fills:
        market = add_fill(market, fill)
    return market


def realized_each(fills: Iterable[Fill]) -> Iterator[tuple[Fill, Decimal]]:
    """Yield the fills of one market, from its first and oldest first, with what each realised."""
    market: MarketPnl | None = None
    for fill in fills:
        before = market or MarketPnl(account_id=fill.account_id, symbol=fill.symbol)
        market = add_fill(before, fill)
        yield fill, EXACT.subtract(market.total.realized_pnl, before.total.realized_pnl)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodPnl:
    """What one market of an account brought in a period: realised, fees paid, funding received."""

    account_id: str
    symbol: str
    realized_pnl: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    funding: Decimal = Decimal(0)
    volume: Decimal = Decimal(0)
    fill_count: int = 0

    @property
    def net_pnl(self) -> Decimal:
        """Realised profit, less fees, with funding."""
        return EXACT.add(EXACT.subtract(self.realized_pnl, self.fees), self.funding)
