"""Positions and profit to the last digit, after thousands of random fills, fees and funding.

Fills come in pages that overlap, repeat and run ahead, as feeds and catch-up bring them; the
exchange's own tables are compared with what our books then say.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from domain.positions import open_positions
from storage.accounts import SqlAccountStore
from storage.engine import Database, open_database
from storage.orders import SqlOrderStore
from storage.positions import SqlPositionStore
from storage.risk_tables import mark_prices
from tests.positions.random_market import ACCOUNTS, RandomMarket
from tests.storage.builders import an_account
from tests.venues.simulation.desk import COIN, OTHER
from venues.hyperliquid.translate import symbol_of
from venues.simulation import margin

T = TypeVar("T")
SEED = 20_261_125


def pages(source: random.Random, rows: Sequence[T]) -> Iterator[list[T]]:
    """Yield `rows` in pages: overlapping, some out of order inside, some a page too early."""
    start = 0
    while start < len(rows):
        size = source.randint(1, 400)
        page = list(rows[max(start - source.randint(0, 50), 0) : start + size])
        if source.random() < 0.1:
            ahead = list(rows[start + size : start + size + 30])
            yield ahead
        if source.random() < 0.3:
            source.shuffle(page)
        yield page
        start += size


async def deliver(database: Database, market: RandomMarket, seed: int) -> None:
    """Book everything as it would come in, with stores opened anew in between."""
    source = random.Random(seed)
    for account in ACCOUNTS:
        for page in pages(source, market.fills(account)):
            # A restarted process knows nothing but what is stored.
            await SqlOrderStore(database).book(page)
        for payments in pages(source, market.funding(account)):
            await SqlPositionStore(database).book_funding(payments)


async def compare(database: Database, market: RandomMarket) -> None:
    """Compare every figure of every account and market with the exchange's."""
    tables = market.desk.tables
    store = SqlPositionStore(database)
    marks = [
        {
            "venue": "hyperliquid",
            "network": "paper",
            "symbol": symbol_of(symbol),
            "price": str(one.mark_price),
            "seen_at": datetime.now(UTC),
            "day": datetime.now(UTC).date(),
            "day_price": str(one.mark_price),
        }
        for symbol, one in tables.markets.items()
    ]
    await database.write(lambda connection: connection.execute(mark_prices.insert(), marks))
    for account in ACCOUNTS:
        shown = {p.symbol: p for p in open_positions(await store.books(account))}
        held = {symbol_of(row.symbol): row for row in margin.held_positions(tables, account)}
        assert shown.keys() == held.keys()
        for symbol, row in held.items():
            position = shown[symbol]
            assert position.signed_quantity == row.quantity
            assert position.unrealized_pnl == margin.unrealized_pnl(tables, row)
            assert position.notional == margin.notional(tables, row)
            assert position.funding == -row.funding_since_open
        sums = {m.symbol: m for m in await store.markets(account)}
        period = {p.symbol: p for p in await store.period(account, since=None)}
        net = Decimal(0)
        for instrument in (COIN, OTHER):
            symbol = symbol_of(instrument.symbol)
            own = [
                f for f in tables.fills if f.account == account and f.symbol == instrument.symbol
            ]
            held_row = held.get(symbol)
            assert sums[symbol].total.count == period[symbol].fill_count == len(own)
            assert sums[symbol].entry_notional == (held_row.entry_notional if held_row else 0)
            realized = sum((f.closed_pnl for f in own), Decimal(0))
            assert sums[symbol].total.realized_pnl == period[symbol].realized_pnl == realized
            fees = sum((f.fee for f in own), Decimal(0))
            assert sums[symbol].total.fees == period[symbol].fees == fees
            assert period[symbol].volume == sum((f.price * f.quantity for f in own), Decimal(0))
            net += period[symbol].net_pnl
        # What the account has is what was paid in, and all that it won, lost and paid.
        assert tables.accounts[account].cash == 100_000_000 + net


async def test_ten_thousand_fills_add_up_to_the_last_digit(
    sqlite_url: str,
) -> None:
    market = RandomMarket(SEED, wanted=10_000)
    database = open_database(sqlite_url)
    accounts = SqlAccountStore(database)
    for name in ACCOUNTS:
        await accounts.add(an_account(name), trading=b"sealed", feed=None)
    await deliver(database, market, SEED)
    await compare(database, market)
    await deliver(database, market, SEED + 1)
    await compare_again(database, market)
    await database.close()


async def compare_again(database: Database, market: RandomMarket) -> None:
    """Compare once more: everything delivered twice has changed nothing."""
    await database.write(lambda connection: connection.execute(mark_prices.delete()))
    await compare(database, market)


async def test_the_sums_are_the_same_on_the_other_database(postgres_url: str) -> None:
    market = RandomMarket(SEED + 2, wanted=1_200)
    database = open_database(postgres_url)
    accounts = SqlAccountStore(database)
    for name in ACCOUNTS:
        await accounts.add(an_account(name), trading=b"sealed", feed=None)
    await deliver(database, market, SEED)
    await compare(database, market)
    await database.close()
