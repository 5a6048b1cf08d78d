"""Risk limits in SQL: read, replaced, measured; and the marks and equity they are measured by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, or_, select, union
from sqlalchemy.exc import IntegrityError

from domain.accounts import AccountState, Network
from domain.errors import Conflict, NotFound, RiskRefused
from domain.exposure import Asked
from domain.numbers import plain
from domain.risk import LimitUse, in_use, judge
from domain.risk_limits import RiskLimits
from domain.risk_store import LimitsInForce
from domain.violations import ALL_ACCOUNTS, LimitName, Violation, in_words
from storage.clock import Clock, utc_now
from storage.engine import Database
from storage.risk_check import NO_LIMITS
from storage.risk_reader import EVERYTHING, Needs, RiskReader, limits_codec, read_limits
from storage.risk_tables import account_equities, mark_prices, net_positions, risk_limits
from storage.tables import account_sequences, accounts, orders

MARK_FRESH = timedelta(minutes=1)
"""How old a kept mark price may be to judge an order by beforehand."""


class SqlRiskStore:
    """Implements `domain.risk_store.RiskStore`."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        self._reader = RiskReader(now)
        limits = database.insert(risk_limits)
        self._write_limits = limits.on_conflict_do_update(
            index_elements=["scope"],
            set_={name: limits.excluded[name] for name in ("version", "body", "set_by", "set_at")},
        )
        mark = database.insert(mark_prices)
        same_day = mark_prices.c.day == mark.excluded.day
        self._write_mark = mark.on_conflict_do_update(
            index_elements=["venue", "network", "symbol"],
            set_={
                "price": mark.excluded.price,
                "seen_at": mark.excluded.seen_at,
                "day": mark.excluded.day,
                # The first of a new day keeps the last one before it.
                "day_price": case((same_day, mark_prices.c.day_price), else_=mark_prices.c.price),
            },
            where=mark.excluded.seen_at > mark_prices.c.seen_at,
        )
        equity = database.insert(account_equities)
        self._write_equity = equity.on_conflict_do_update(
            index_elements=["account_id"],
            set_={name: equity.excluded[name] for name in ("equity", "seen_at")},
        )

    async def limits(self, scope: str) -> LimitsInForce:
        """Return the limits of a scope; empty ones where none were ever set.

        Raises:
            NotFound: the scope is no account's.
        """

        def read(connection: Connection) -> LimitsInForce:
            if scope != ALL_ACCOUNTS:
                self._check_account(connection, scope, locks=False)
            return self._in_force(connection, scope)

        return await self._database.read(read)

    async def put(
        self, scope: str, limits: RiskLimits, *, by: str, expected_version: int | None = None
    ) -> LimitsInForce:
        """Replace the limits of a scope; once it returns, the ledger holds to them.

        Raises:
            NotFound: the scope is no account's.
            Conflict: code `version_mismatch`: they are not of `expected_version` any more.
        """

        def work(connection: Connection) -> LimitsInForce:
            # Waits for what is being reserved under the limits that hold until now.
            if scope != ALL_ACCOUNTS:
                self._check_account(connection, scope, locks=not self._database.is_sqlite)
            elif not self._database.is_sqlite:
                connection.execute(_LOCK_GENERAL)
            version = self._in_force(connection, scope).version
            if expected_version is not None and version != expected_version:
                raise Conflict(
                    f"expected the limits at version {expected_version}, they are at version "
                    f"{version}; read them again",
                    code="version_mismatch",
                )
            replaced = LimitsInForce(
                scope=scope, limits=limits, version=version + 1, set_by=by, set_at=self._now()
            )
            connection.execute(self._write_limits, _limit_values(replaced))
            return replaced

        return await self._database.write(work, repeat=expected_version is None)

    async def judge(self, asked: Asked) -> tuple[Violation, ...]:
        """Return every limit that an order would exceed now."""

        def read(connection: Connection) -> tuple[Violation, ...]:
            own, general = self._both(connection, asked.account_id)
            if own.is_empty and general.is_empty:
                return ()
            known = self._with_mark(connection, asked)
            together = general.together()
            whole = None
            if not together.is_empty:
                whole = self._reader.of_all(connection, Needs.of(together))
            needs = Needs.of(own, general.apart())
            situation = self._reader.of_account(connection, asked.account_id, needs)
            return judge(own, general, situation, whole, known)

        return await self._database.read(read)

    async def check_leverage(self, account_id: str, leverage: Decimal) -> None:
        """Check a leverage setting of an account.

        Raises:
            RiskRefused: it is above a limit of the account or of everything.
        """

        def read(connection: Connection) -> tuple[Violation, ...]:
            found = []
            own, general = self._both(connection, account_id)
            for scope, limits in ((account_id, own), (ALL_ACCOUNTS, general)):
                limit = limits.max_leverage
                if limit is not None and leverage > limit:
                    found.append(
                        Violation(
                            limit=LimitName.MAX_LEVERAGE,
                            limit_value=limit,
                            value=leverage,
                            scope=scope,
                        )
                    )
            return tuple(found)

        violations = await self._database.read(read)
        if violations:
            raise RiskRefused(in_words(violations), violations=violations)

    async def use(self, scope: str) -> tuple[LimitUse, ...]:
        """Return the present use of every limit in a scope."""

        def read(connection: Connection) -> tuple[LimitUse, ...]:
            limits = self._in_force(connection, scope).limits
            if scope == ALL_ACCOUNTS:
                return in_use(limits, self._reader.of_all(connection, EVERYTHING))
            return in_use(limits, self._reader.of_account(connection, scope, EVERYTHING))

        return await self._database.read(read)

    async def measured_accounts(self) -> tuple[str, ...]:
        """Return the accounts with limits, own or general, that marks and equity are needed for."""
        rows = await self._database.fetch_all(_ACTIVE_WITH_LIMITS)
        return tuple(
            row.account_id
            for row in rows
            if any(
                read_limits(body).needs_mark for body in (row.own, row.general) if body is not None
            )
        )

    async def note_marks(
        self, venue: str, network: Network, marks: Mapping[str, Decimal], *, seen_at: datetime
    ) -> None:
        """Remember the mark prices of markets with a position or a live order."""
        place = {"a_venue": venue, "a_network": network.value}

        def work(connection: Connection) -> None:
            wanted = connection.execute(_MARKETS_IN_USE, place).scalars()
            rows = [
                {
                    "venue": venue,
                    "network": network.value,
                    "symbol": symbol,
                    "price": plain(marks[symbol]),
                    "seen_at": seen_at,
                    "day": seen_at.astimezone(UTC).date(),
                    "day_price": plain(marks[symbol]),
                }
                for symbol in sorted(wanted)
                if symbol in marks
            ]
            if rows:
                connection.execute(self._write_mark, rows)

        await self._database.write(work)

    async def note_equity(self, account_id: str, equity: Decimal, *, seen_at: datetime) -> None:
        """Remember an account's equity.

        Raises:
            NotFound: there is no such account.
        """
        values = {"account_id": account_id, "equity": plain(equity), "seen_at": seen_at}

        def work(connection: Connection) -> None:
            try:
                connection.execute(self._write_equity, values)
            except IntegrityError:
                raise NotFound(f"no account {account_id!r}") from None

        await self._database.write(work)

    def _in_force(self, connection: Connection, scope: str) -> LimitsInForce:
        row = connection.execute(_READ_LIMITS, {"a_scope": scope}).first()
        return _read_limits(scope, row)

    def _both(self, connection: Connection, account_id: str) -> tuple[RiskLimits, RiskLimits]:
        """Return the limits of an account, and those of everything."""
        rows = connection.execute(_READ_BOTH, {"an_account_id": account_id})
        bodies = {row.scope: row.body for row in rows}
        return (
            read_limits(bodies.get(account_id, NO_LIMITS)),
            read_limits(bodies.get(ALL_ACCOUNTS, NO_LIMITS)),
        )

    def _check_account(self, connection: Connection, account_id: str, *, locks: bool) -> None:
        query = _ACCOUNT.with_for_update() if locks else _ACCOUNT
        if connection.execute(query, {"an_account_id": account_id}).first() is None:
            raise NotFound(f"no account {account_id!r}")

    def _with_mark(self, connection: Connection, asked: Asked) -> Asked:
        if asked.mark_price is not None:
            return asked
        key = {"an_account_id": asked.account_id, "a_symbol": asked.symbol}
        row = connection.execute(_READ_MARK, key).first()
        if row is None or self._now() - row.seen_at > MARK_FRESH:
            return asked
        return replace(asked, mark_price=Decimal(row.price))


def _read_limits(scope: str, row: Row[Any] | None) -> LimitsInForce:
    if row is None:
        return LimitsInForce(scope=scope, limits=RiskLimits(), version=0)
    return LimitsInForce(
        scope=scope,
        limits=read_limits(row.body),
        version=row.version,
        set_by=row.set_by,
        set_at=row.set_at,
    )


def _limit_values(replaced: LimitsInForce) -> dict[str, Any]:
    limits = replaced.limits
    return {
        "scope": replaced.scope,
        "version": replaced.version,
        "body": NO_LIMITS if limits.is_empty else limits_codec.encode(limits),
        "set_by": replaced.set_by,
        "set_at": replaced.set_at,
    }


_READ_LIMITS = select(risk_limits).where(risk_limits.c.scope == bindparam("a_scope"))
_READ_BOTH = select(risk_limits.c.scope, risk_limits.c.body).where(
    or_(risk_limits.c.scope == bindparam("an_account_id"), risk_limits.c.scope == ALL_ACCOUNTS)
)
_LOCK_GENERAL = (
    select(risk_limits.c.scope).where(risk_limits.c.scope == ALL_ACCOUNTS).with_for_update()
)
_ACCOUNT = select(account_sequences.c.account_id).where(
    account_sequences.c.account_id == bindparam("an_account_id")
)
_own, _general = risk_limits.alias(), risk_limits.alias()
_ACTIVE_WITH_LIMITS = (
    select(accounts.c.account_id, _own.c.body.label("own"), _general.c.body.label("general"))
    .join_from(accounts, _general, _general.c.scope == ALL_ACCOUNTS)
    .outerjoin(_own, _own.c.scope == accounts.c.account_id)
    .where(accounts.c.state == AccountState.ACTIVE.value)
    .order_by(accounts.c.account_id)
)
_of_place = and_(
    accounts.c.venue == bindparam("a_venue"), accounts.c.network == bindparam("a_network")
)
_MARKETS_IN_USE = union(
    select(net_positions.c.symbol)
    .join_from(net_positions, accounts, accounts.c.account_id == net_positions.c.account_id)
    .where(net_positions.c.quantity != "0", _of_place),
    select(orders.c.symbol)
    .join_from(orders, accounts, accounts.c.account_id == orders.c.account_id)
    .where(~orders.c.ended, _of_place),
)
_READ_MARK = (
    select(mark_prices.c.price, mark_prices.c.seen_at)
    .join_from(
        accounts,
        mark_prices,
        and_(mark_prices.c.venue == accounts.c.venue, mark_prices.c.network == accounts.c.network),
    )
    .where(
        accounts.c.account_id == bindparam("an_account_id"),
        mark_prices.c.symbol == bindparam("a_symbol"),
    )
)
