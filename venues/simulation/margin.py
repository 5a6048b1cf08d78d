"""What an account is worth, what its positions tie up, and where it would be liquidated.

Pure reading of tables. Cross positions share the account's cash, an isolated one has its own.
Formulas: https://hyperliquid.gitbook.io/hyperliquid-docs/trading/margining and …/liquidations
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from venues.simulation.records import ZERO, Position
from venues.simulation.tables import Tables

#: Money may only be taken out while at least this share of open notional stays behind.
_TRANSFER_RATE: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginSummary:
    """Totals over an account's cross positions, or over all of them."""

    account_value: Decimal
    notional: Decimal
    margin_used: Decimal

    @property
    def withdrawable(self) -> Decimal:
        """Return what could be taken out."""
        return max(ZERO, self.account_value - max(self.margin_used, _TRANSFER_RATE * self.notional))


def held_positions(tables: Tables, account: str) -> Iterator[Position]:
    """Yield the positions that are not flat, in the order of the markets."""
    rows = tables.positions.get(account)
    if rows:
        for symbol in tables.instruments:
            row = rows.get(symbol)
            if row is not None and row.quantity:
                yield row


def mark_price(tables: Tables, symbol: str) -> Decimal:
    """Return the present mark price."""
    return tables.markets[symbol].mark_price


def unrealized_pnl(tables: Tables, position: Position) -> Decimal:
    """Return the profit that closing at the mark price would realize."""
    return position.quantity * mark_price(tables, position.symbol) - position.entry_notional


def notional(tables: Tables, position: Position) -> Decimal:
    """Return the position's size in money at the mark price."""
    return abs(position.quantity) * mark_price(tables, position.symbol)


def margin_used(tables: Tables, position: Position) -> Decimal:
    """Return what the position ties up: initial margin, or what an isolated one holds."""
    if position.is_isolated:
        return position.isolated_margin + unrealized_pnl(tables, position)
    return notional(tables, position) / position.leverage


def cross_summary(tables: Tables, account: str) -> MarginSummary:
    """Sum up the account without its isolated positions."""
    value, total, used = _cash(tables, account), ZERO, ZERO
    for row in held_positions(tables, account):
        if not row.is_isolated:
            value += unrealized_pnl(tables, row)
            size = notional(tables, row)
            total += size
            used += size / row.leverage
    return MarginSummary(account_value=value, notional=total, margin_used=used)


def full_summary(tables: Tables, account: str) -> MarginSummary:
    """Sum up the account with its isolated positions."""
    cross = cross_summary(tables, account)
    value, total, used = cross.account_value, cross.notional, cross.margin_used
    for row in held_positions(tables, account):
        if row.is_isolated:
            held = margin_used(tables, row)
            value += held
            used += held
            total += notional(tables, row)
    return MarginSummary(account_value=value, notional=total, margin_used=used)


def available_margin(tables: Tables, account: str) -> Decimal:
    """Return what new orders may tie up: free margin less what resting orders hold."""
    summary = cross_summary(tables, account)
    held = tables.held_margin.get(account, ZERO)
    return summary.account_value - summary.margin_used - held


def cross_maintenance(tables: Tables, account: str) -> Decimal:
    """Return the value below which the account's cross positions are liquidated."""
    return sum(
        (
            notional(tables, row) * tables.instruments[row.symbol].maintenance_rate()
            for row in held_positions(tables, account)
            if not row.is_isolated
        ),
        ZERO,
    )


def liquidation_price(tables: Tables, position: Position) -> Decimal | None:
    """Return the mark price at which the position would be liquidated; None if there is none."""
    rate = tables.instruments[position.symbol].maintenance_rate()
    side = 1 if position.quantity > 0 else -1
    mark = mark_price(tables, position.symbol)
    own = notional(tables, position) * rate
    if position.is_isolated:
        spare = margin_used(tables, position) - own
    else:
        value = cross_summary(tables, position.account).account_value
        spare = value - cross_maintenance(tables, position.account)
    price = mark - side * spare / abs(position.quantity) / (1 - rate * side)
    return price if price > 0 else None


def _cash(tables: Tables, account: str) -> Decimal:
    row = tables.accounts.get(account)
    return row.cash if row else ZERO
