"""What risk limits are measured by, read from the database: exposure, counts, equity, the day.

Runs inside the caller's transaction; for one account under its lock, for all of them under the
lock of their sum. Reads no order's body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, literal, null, select, text, union_all

from domain.day_result import DayMarket, day_result, day_start
from domain.exposure import Exposure, Situation
from domain.net_positions import EXACT
from domain.risk_limits import RiskLimits
from domain.violations import ALL_ACCOUNTS, LimitName
from storage.clock import Clock
from storage.codec import Codec
from storage.day_fills import DayFills
from storage.position_tables import funding_payments
from storage.risk_tables import account_equities, mark_prices, net_positions
from storage.tables import accounts, commands, orders

MINUTE = timedelta(minutes=1)

limits_codec = Codec(RiskLimits)


@lru_cache(maxsize=256)
def read_limits(body: str) -> RiskLimits:
    """Return the limits that a row's body spells."""
    return limits_codec.decode(body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What has to be read to measure some limits."""

    exposure: bool = True
    counts: bool = True
    equity: bool = True
    day: bool = True

    @classmethod
    def of(cls, *limits: RiskLimits) -> Needs:
        """Return what these need."""
        present = {name for each in limits for name in each.present()}
        return cls(
            exposure=any(each.needs_exposure for each in limits),
            counts=any(each.needs_counts for each in limits),
            equity=LimitName.MAX_LEVERAGE in present,
            day=LimitName.MAX_DAILY_LOSS in present,
        )


EVERYTHING = Needs()


@dataclass(frozen=True, slots=True)
class _Mark:
    price: Decimal
    day_price: Decimal


_Market = tuple[str, str]
"""An account's id and a symbol."""


class RiskReader:
    """Reads situations."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._day_fills = DayFills()

    def of_account(
        self, connection: Connection, account_id: str, needs: Needs, *, besides: str = ""
    ) -> Situation:
        """Return the situation of one account; orders placed are counted without order `besides`.

        An order's exposure is always in it.
        """
        return self._situation(connection, account_id, [account_id], needs, besides)

    def of_all(self, connection: Connection, needs: Needs, *, besides: str = "") -> Situation:
        """Return the situation of all accounts together."""
        everyone = list(connection.execute(_ACCOUNT_IDS).scalars()) if needs.day else []
        return self._situation(connection, None, everyone, needs, besides)

    def _situation(
        self,
        connection: Connection,
        account_id: str | None,
        members: list[str],
        needs: Needs,
        besides: str,
    ) -> Situation:
        scope = ALL_ACCOUNTS if account_id is None else account_id
        situation = Situation(scope=scope)
        key = {} if account_id is None else {"an_account_id": account_id}
        if needs.counts or needs.equity:
            counted = {**key, "since": self._now() - MINUTE, "besides": besides}
            row = connection.execute(_COUNTS[account_id is None], counted).one()
            situation = replace(
                situation,
                open_orders=row.open_orders,
                placed_last_minute=row.placed,
                equity=None if row.equity is None else Decimal(row.equity),
            )
        if needs.exposure or needs.day:
            marks = self._marks(connection, account_id, key)
            rows = connection.execute(_EXPOSURES[account_id is None], key)
            exposures = _exposures(rows, marks)
            situation = replace(situation, exposures=tuple(exposures.values()))
            if needs.day:
                result = self._day_result(connection, members, exposures, marks)
                situation = replace(situation, day_result=result)
        return situation

    def _marks(
        self, connection: Connection, account_id: str | None, key: Mapping[str, str]
    ) -> dict[_Market, _Mark]:
        today = day_start(self._now()).date()
        rows = connection.execute(_MARKS[account_id is None], key)
        return {
            (row.account_id, row.symbol): _mark(row.price, row.day, row.day_price, today)
            for row in rows
        }

    def _day_result(
        self,
        connection: Connection,
        members: list[str],
        exposures: Mapping[_Market, Exposure],
        marks: Mapping[_Market, _Mark],
    ) -> Decimal:
        since = day_start(self._now())
        markets: list[DayMarket] = []
        fees = Decimal(0)
        for account_id in members:
            sums = self._day_fills.sums(connection, account_id, since)
            fees = EXACT.add(fees, sums.fees)
            symbols = {symbol for owner, symbol in exposures if owner == account_id}
            for symbol in symbols | sums.markets.keys():
                held = exposures.get((account_id, symbol))
                mark = marks.get((account_id, symbol))
                traded = sums.markets.get(symbol)
                markets.append(
                    DayMarket(
                        position=Decimal(0) if held is None else held.position,
                        traded_quantity=Decimal(0) if traded is None else traded.quantity,
                        traded_value=Decimal(0) if traded is None else traded.value,
                        price=None if held is None else held.price,
                        day_price=None if mark is None else mark.day_price,
                    )
                )
        return day_result(markets, fees=fees, funding=self._funding(connection, members, since))

    def _funding(self, connection: Connection, members: list[str], since: datetime) -> Decimal:
        total = Decimal(0)
        for account_id in members:
            key = {"an_account_id": account_id, "since": since}
            for amount in connection.execute(_FUNDING, key).scalars():
                total = EXACT.add(total, Decimal(amount))
        return total


def _mark(price: str, day: date, day_price: str, today: date) -> _Mark:
    # A mark of an earlier day is the last one known before this day began.
    return _Mark(Decimal(price), Decimal(day_price if day == today else price))


@dataclass(slots=True)
class _Held:
    """One market's exposure while it is added up; there may be very many orders."""

    position: Decimal = Decimal(0)
    buys: Decimal = Decimal(0)
    sells: Decimal = Decimal(0)
    highest: Decimal | None = None


def _exposures(rows: Iterable[Any], marks: Mapping[_Market, _Mark]) -> dict[_Market, Exposure]:
    """Return one exposure per account and market that has a position or a live order."""
    found: dict[_Market, _Held] = {}
    for is_order, account_id, symbol, quantity, price in rows:
        held = found.setdefault((account_id, symbol), _Held())
        change = Decimal(quantity)
        if not is_order:
            held.position = change
        elif change > 0:
            held.buys = EXACT.add(held.buys, change)
        else:
            held.sells = EXACT.subtract(held.sells, change)
        if price is not None:
            worth = Decimal(price)
            held.highest = worth if held.highest is None else max(held.highest, worth)
    return {
        key: Exposure(
            account_id=key[0],
            symbol=key[1],
            position=held.position,
            buys=held.buys,
            sells=held.sells,
            price=marks[key].price if key in marks else held.highest,
        )
        for key, held in found.items()
    }


_NOT_ENDED = text("NOT ended")


def _exposure_query(*, of_all: bool) -> Any:
    """Return positions and live orders in one statement: between two a fill could move over."""
    positions = select(
        literal(0),
        net_positions.c.account_id,
        net_positions.c.symbol,
        net_positions.c.quantity,
        net_positions.c.last_price,
    ).where(net_positions.c.quantity != "0")
    live = select(
        literal(1),
        orders.c.account_id,
        orders.c.symbol,
        orders.c.open_quantity,
        orders.c.open_price,
    ).where(_NOT_ENDED, orders.c.open_quantity.is_not(None))
    if not of_all:
        positions = positions.where(net_positions.c.account_id == bindparam("an_account_id"))
        live = live.where(orders.c.account_id == bindparam("an_account_id"))
    return union_all(positions, live)


def _mark_query(*, of_all: bool) -> Any:
    query = select(
        accounts.c.account_id,
        mark_prices.c.symbol,
        mark_prices.c.price,
        mark_prices.c.day,
        mark_prices.c.day_price,
    ).join_from(
        accounts,
        mark_prices,
        and_(mark_prices.c.venue == accounts.c.venue, mark_prices.c.network == accounts.c.network),
    )
    return query if of_all else query.where(accounts.c.account_id == bindparam("an_account_id"))


def _count_query(*, of_all: bool) -> Any:
    live = select(func.count()).select_from(orders).where(_NOT_ENDED)
    placed = select(func.count()).where(
        text("command = 'place' AND revision = 0"),
        commands.c.inserted_at > bindparam("since"),
        commands.c.order_id != bindparam("besides"),
    )
    equity: Any = null()
    if not of_all:
        live = live.where(orders.c.account_id == bindparam("an_account_id"))
        placed = placed.where(commands.c.account_id == bindparam("an_account_id"))
        equity = (
            select(account_equities.c.equity)
            .where(account_equities.c.account_id == bindparam("an_account_id"))
            .scalar_subquery()
        )
    return select(
        live.scalar_subquery().label("open_orders"),
        placed.scalar_subquery().label("placed"),
        equity.label("equity"),
    )


# Of one account, and of all.
_EXPOSURES = (_exposure_query(of_all=False), _exposure_query(of_all=True))
_MARKS = (_mark_query(of_all=False), _mark_query(of_all=True))
_COUNTS = (_count_query(of_all=False), _count_query(of_all=True))
_ACCOUNT_IDS = select(accounts.c.account_id)
_FUNDING = select(funding_payments.c.amount).where(
    funding_payments.c.account_id == bindparam("an_account_id"),
    funding_payments.c.event_time >= bindparam("since"),
)
