"""What is known of positions in SQL. Implements `domain.position_store.PositionStore`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from domain.accounts import AccountSummary, FundingPayment
from domain.errors import NotFound
from domain.instruments import OrderSide
from domain.net_positions import EXACT, signed
from domain.pnl import FillSums, MarketPnl, PeriodPnl
from domain.positions import AccountBooks, MarkPrice, SeenSummary
from storage import codec
from storage.accounts import SqlAccountStore
from storage.engine import Database
from storage.market_pnl import markets, reckoned
from storage.net_positions import SqlNetPositions
from storage.position_tables import account_summaries, funding_payments, market_pnl
from storage.protection import read_protections
from storage.risk_tables import mark_prices
from storage.tables import fills

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_summaries = codec.Codec(AccountSummary)


class SqlPositionStore:
    """The venue's word, sums of fills, and funding."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._accounts = SqlAccountStore(database)
        self._net = SqlNetPositions(database)
        summary = database.insert(account_summaries)
        self._write_summary = summary.on_conflict_do_update(
            index_elements=["account_id"],
            set_={
                name: summary.excluded[name] for name in ("body", "event_time", "seen_at", "source")
            },
            where=(
                (account_summaries.c.event_time < summary.excluded.event_time)
                | (
                    (account_summaries.c.event_time == summary.excluded.event_time)
                    & (account_summaries.c.seen_at <= summary.excluded.seen_at)
                )
            ),
        ).returning(account_summaries.c.account_id)
        self._insert_funding = (
            database.insert(funding_payments)
            .on_conflict_do_nothing(index_elements=["account_id", "symbol", "time_ms"])
            .returning(funding_payments.c.payment_id)
        )

    async def save_summary(
        self, summary: AccountSummary, *, seen_at: datetime, source: str
    ) -> bool:
        """Keep a venue's word unless a later one is kept already. See the port."""
        values = {
            "account_id": summary.account_id,
            "body": _summaries.encode(summary),
            "event_time": summary.event_time,
            "seen_at": seen_at,
            "source": source,
        }
        return await self._database.write(
            lambda connection: connection.execute(self._write_summary, values).first() is not None
        )

    async def summary(self, account_id: str) -> SeenSummary | None:
        """Return the latest word of the venue on an account, or None before the first."""
        row = await self._database.fetch_one(_SUMMARY, {"an_account_id": account_id})
        return None if row is None else _seen(row)

    async def markets(self, account_id: str) -> tuple[MarketPnl, ...]:
        """Return the sums of every market an account has traded, by symbol."""
        rows = await self._database.fetch_all(_MARKETS, {"an_account_id": account_id})
        return tuple(markets.decode(row.body) for row in rows)

    async def book_funding(self, payments: Sequence[FundingPayment]) -> int:
        """Book the payments not booked yet, each once; return how many were new."""
        if not payments:
            return 0
        rows = [_funding_values(payment) for payment in payments]

        def work(connection: Connection) -> int:
            return sum(
                connection.execute(self._insert_funding, row).first() is not None for row in rows
            )

        return await self._database.write(work)

    async def newest_funding_time(self, account_id: str) -> datetime | None:
        """Return the time of the newest booked payment of an account."""
        row = await self._database.fetch_one(_NEWEST_FUNDING, {"an_account_id": account_id})
        newest: datetime | None = None if row is None else row[0]
        return newest

    async def period(
        self, account_id: str, *, since: datetime | None, until: datetime | None = None
    ) -> tuple[PeriodPnl, ...]:
        """Return what each market brought from `since` to before `until`, by symbol."""

        def work(connection: Connection) -> tuple[PeriodPnl, ...]:
            traded = connection.execute(_within(_TRADED, fills, account_id, since, until)).all()
            paid = connection.execute(_within(_PAID, funding_payments, account_id, since, until))
            silent = {row.symbol for row in traded if row.realized_pnl is None}
            own = {
                symbol: _realized(connection, account_id, symbol, since, until) for symbol in silent
            }
            return _period(account_id, traded, paid.all(), own)

        return await self._database.read(work)

    async def books(self, account_id: str) -> AccountBooks:
        """Return everything that an account's open positions are shown from. See the port."""
        account = await self._accounts.get(account_id)
        if account is None:
            raise NotFound(f"no account {account_id!r}")
        # What our books say is read before the venue's word, so that a word heard in between
        # never looks older than a count it includes.
        net = await self._net.of_account(account_id)
        traded = await self.markets(account_id)
        seen = await self.summary(account_id)
        place = {"a_venue": account.venue, "a_network": account.network.value}
        marks = await self._database.fetch_all(_MARKS, place)
        return AccountBooks(
            account=account,
            seen=seen,
            net_positions=net,
            markets=traded,
            funding=await self._funding_since_opened(account_id, traded),
            marks={
                row.symbol: MarkPrice(price=Decimal(row.price), seen_at=row.seen_at)
                for row in marks
            },
            protection=await read_protections(self._database, account_id),
        )

    async def _funding_since_opened(
        self, account_id: str, traded: Iterable[MarketPnl]
    ) -> dict[str, Decimal]:
        opened = {m.symbol: m.opened_at for m in traded if m.opened_at is not None}
        if not opened:
            return {}
        query = _within(_PAID, funding_payments, account_id, min(opened.values()), None)
        sums: dict[str, Decimal] = {}
        for row in await self._database.fetch_all(query):
            since = opened.get(row.symbol)
            if since is not None and row.event_time >= since:
                amount = Decimal(row.amount)
                sums[row.symbol] = EXACT.add(sums.get(row.symbol, Decimal(0)), amount)
        return sums


def _seen(row: Row[Any]) -> SeenSummary:
    return SeenSummary(summary=_summaries.decode(row.body), seen_at=row.seen_at, source=row.source)


def _funding_values(payment: FundingPayment) -> dict[str, Any]:
    return {
        "account_id": payment.account_id,
        "symbol": payment.symbol,
        "time_ms": (payment.event_time - _EPOCH) // _MILLISECOND,
        "amount": str(payment.amount),
        "rate": str(payment.rate),
        "position_quantity": str(payment.position_quantity),
        "event_time": payment.event_time,
    }


def _realized(
    connection: Connection,
    account_id: str,
    symbol: str,
    since: datetime | None,
    until: datetime | None,
) -> Decimal:
    """Return what a market realised in a period by our own reckoning: its venue says nothing."""
    return reckoned(
        connection,
        account_id,
        symbol,
        lambda at: (since is None or at >= since) and (until is None or at < until),
    )


def _period(
    account_id: str,
    traded: Sequence[Row[Any]],
    paid: Sequence[Row[Any]],
    own: Mapping[str, Decimal],
) -> tuple[PeriodPnl, ...]:
    sums: dict[str, FillSums] = {}
    for row in traded:
        price, quantity = Decimal(row.price), Decimal(row.quantity)
        one = FillSums(
            quantity=signed(OrderSide(row.side), quantity),
            volume=EXACT.multiply(price, quantity),
            realized_pnl=Decimal(row.realized_pnl or 0),
            fees=Decimal(row.fee),
            count=1,
        )
        sums[row.symbol] = sums.get(row.symbol, FillSums()) + one
    funding: dict[str, Decimal] = {}
    for row in paid:
        amount = Decimal(row.amount)
        funding[row.symbol] = EXACT.add(funding.get(row.symbol, Decimal(0)), amount)
    return tuple(
        PeriodPnl(
            account_id=account_id,
            symbol=symbol,
            realized_pnl=own.get(symbol, sums.get(symbol, FillSums()).realized_pnl),
            fees=sums.get(symbol, FillSums()).fees,
            funding=funding.get(symbol, Decimal(0)),
            volume=sums.get(symbol, FillSums()).volume,
            fill_count=sums.get(symbol, FillSums()).count,
        )
        for symbol in sorted({*sums, *funding})
    )


def _within(
    query: Select[Any],
    table: Any,
    account_id: str,
    since: datetime | None,
    until: datetime | None,
) -> Select[Any]:
    query = query.where(table.c.account_id == account_id)
    if since is not None:
        query = query.where(table.c.event_time >= since)
    return query if until is None else query.where(table.c.event_time < until)


_SUMMARY = select(
    account_summaries.c.body, account_summaries.c.seen_at, account_summaries.c.source
).where(account_summaries.c.account_id == bindparam("an_account_id"))
_MARKETS = (
    select(market_pnl.c.body)
    .where(market_pnl.c.account_id == bindparam("an_account_id"))
    .order_by(market_pnl.c.symbol)
)
_NEWEST_FUNDING = select(func.max(funding_payments.c.event_time)).where(
    funding_payments.c.account_id == bindparam("an_account_id")
)
_TRADED: Select[Any] = select(
    fills.c.symbol,
    fills.c.side,
    fills.c.price,
    fills.c.quantity,
    fills.c.realized_pnl,
    fills.c.fee,
)
_PAID: Select[Any] = select(
    funding_payments.c.symbol, funding_payments.c.amount, funding_payments.c.event_time
)
_MARKS = select(mark_prices.c.symbol, mark_prices.c.price, mark_prices.c.seen_at).where(
    mark_prices.c.venue == bindparam("a_venue"), mark_prices.c.network == bindparam("a_network")
)
