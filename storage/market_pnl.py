"""Sums of fills per market, moved inside the transaction that books the fills.

A fill that comes later than a newer one makes its market be summed anew: only then does the order
of fills tell when a position was opened. Runs under the account's lock, which the caller holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, bindparam, select

from domain.fills import Fill
from domain.net_positions import EXACT
from domain.pnl import MarketPnl, add_fill, fold_fills, realized_each
from storage import codec
from storage.engine import Database
from storage.fill_rows import FILL_COLUMNS, read_fill
from storage.position_tables import market_pnl
from storage.tables import fills

markets = codec.Codec(MarketPnl)


class MarketPnlWriter:
    """The statements that move the sums."""

    def __init__(self, database: Database) -> None:
        row = database.insert(market_pnl)
        self._write = row.on_conflict_do_update(
            index_elements=["account_id", "symbol"], set_={"body": row.excluded.body}
        )

    def booked(self, connection: Connection, new: Sequence[Fill]) -> None:
        """Move the sums by fills that were just inserted."""
        by_market: dict[tuple[str, str], list[Fill]] = {}
        for fill in sorted(new, key=lambda one: one.place):
            by_market.setdefault((fill.account_id, fill.symbol), []).append(fill)
        for (account_id, symbol), added in by_market.items():
            key = {"an_account_id": account_id, "a_symbol": symbol}
            body = connection.execute(_READ_ONE, key).scalar()
            after = None if body is None else _later(markets.decode(body), added)
            if after is None:
                after = fold_fills(account_id, symbol, fills_of(connection, account_id, symbol))
            values = {"account_id": account_id, "symbol": symbol, "body": markets.encode(after)}
            connection.execute(self._write, values)


def fills_of(connection: Connection, account_id: str, symbol: str) -> Iterator[Fill]:
    """Yield the booked fills of a market in their order."""
    key = {"an_account_id": account_id, "a_symbol": symbol}
    found = (read_fill(row) for row in connection.execute(_READ_FILLS, key))
    # Within a millisecond here: databases do not agree on the order of texts.
    for _, together in itertools.groupby(found, key=lambda fill: fill.event_time):
        yield from sorted(together, key=lambda fill: fill.place)


def reckoned(
    connection: Connection, account_id: str, symbol: str, within: Callable[[datetime], bool]
) -> Decimal:
    """Return what a market realised by our own reckoning, by fills of the times `within` a span.

    Reads all fills of the market: what one realises depends on those before it.
    """
    realized = Decimal(0)
    for fill, each in realized_each(fills_of(connection, account_id, symbol)):
        if within(fill.event_time):
            realized = EXACT.add(realized, each)
    return realized


def _later(before: MarketPnl, added: Sequence[Fill]) -> MarketPnl | None:
    """Return the market with later fills added, or None when one of them is not later."""
    if not before.is_later(added[0]):
        return None
    for fill in added:
        before = add_fill(before, fill)
    return before


_READ_ONE = select(market_pnl.c.body).where(
    market_pnl.c.account_id == bindparam("an_account_id"),
    market_pnl.c.symbol == bindparam("a_symbol"),
)
_READ_FILLS = (
    select(*FILL_COLUMNS)
    .where(
        fills.c.account_id == bindparam("an_account_id"), fills.c.symbol == bindparam("a_symbol")
    )
    .order_by(fills.c.event_time)
)
