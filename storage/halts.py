"""Halts and blocks: flags under which the ledger refuses whatever raises exposure.

A halt is written behind the locks that reservations hold, so that none is under way once it is
committed: what comes after sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from domain.errors import NotFound
from domain.halt_store import Halt
from domain.halts import EVERYTHING, HaltLevel, HaltScope, account_scope, scope_of
from storage.clock import Clock, utc_now
from storage.engine import Database
from storage.tables import account_sequences, accounts, blocked_symbols, halts


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A symbol that is blocked on an account because of an order nobody can decide."""

    account_id: str
    symbol: str
    order_id: str
    reason: str
    blocked_at: datetime


class HaltStore:
    """Sets and lifts halts and blocks. Once `halt` returns, nothing new gets past the ledger."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        halt = database.insert(halts)
        self._set_halt = halt.on_conflict_do_update(
            index_elements=["scope"],
            set_={name: halt.excluded[name] for name in ("halted", "reason", "set_by", "set_at")},
        )
        block = database.insert(blocked_symbols)
        self._set_block = block.on_conflict_do_update(
            index_elements=["account_id", "symbol", "order_id"],
            set_={"reason": block.excluded.reason},
        )

    async def halt(self, account_id: str | None, *, reason: str, by: str) -> None:
        """Halt an account, or with None everything; again replaces the reason.

        Raises:
            NotFound: there is no such account.
        """
        scope = EVERYTHING if account_id is None else account_scope(account_id)
        await self._database.write(
            lambda c: self.set_in(c, scope, halted=True, reason=reason, by=by)
        )

    async def resume(self, account_id: str | None, *, reason: str, by: str) -> None:
        """Lift the halt of an account, or with None the general one.

        Raises:
            NotFound: there is no such account.
        """
        scope = EVERYTHING if account_id is None else account_scope(account_id)
        await self._database.write(
            lambda c: self.set_in(c, scope, halted=False, reason=reason, by=by)
        )

    def set_in(
        self, connection: Connection, scope: HaltScope, *, halted: bool, reason: str, by: str
    ) -> None:
        """Set or lift a halt in the caller's transaction, behind all that is being reserved now.

        Raises:
            NotFound: there is no such account.
        """
        if scope.level is HaltLevel.ACCOUNT:
            self._lock(connection, scope.name)
        elif scope.level is HaltLevel.VENUE:
            self._lock_venue(connection, scope.name)
        values = {
            "scope": scope.key,
            "halted": halted,
            "reason": reason,
            "set_by": by,
            "set_at": self._now(),
        }
        connection.execute(self._set_halt, values)

    def read_in(self, connection: Connection, scope: HaltScope) -> Halt | None:
        """Return a scope's own halt if it is in force, within the caller's transaction."""
        query = select(halts).where(halts.c.scope == scope.key, halts.c.halted)
        row = connection.execute(query).first()
        return None if row is None else _read_halt(row)

    async def halted(self) -> tuple[Halt, ...]:
        """Return the halts in force, the general one first."""
        rows = await self._database.fetch_all(
            select(halts).where(halts.c.halted).order_by(halts.c.scope)
        )
        found = [_read_halt(row) for row in rows]
        return tuple(sorted(found, key=lambda halt: (halt.scope != EVERYTHING, halt.set_at)))

    async def block(self, account_id: str, symbol: str, *, order_id: str, reason: str) -> None:
        """Block new exposure on an account's symbol by all orders but this one.

        Raises:
            NotFound: there is no such account.
        """
        values = {
            "account_id": account_id,
            "symbol": symbol,
            "order_id": order_id,
            "reason": reason,
            "blocked_at": self._now(),
        }

        def work(connection: Connection) -> None:
            self._lock(connection, account_id)
            connection.execute(self._set_block, values)

        await self._database.write(work)

    async def unblock(self, account_id: str, symbol: str, *, order_id: str) -> None:
        """Take back this order's block; those of other orders stay."""
        gone = delete(blocked_symbols).where(
            blocked_symbols.c.account_id == account_id,
            blocked_symbols.c.symbol == symbol,
            blocked_symbols.c.order_id == order_id,
        )

        def work(connection: Connection) -> None:
            connection.execute(gone)

        await self._database.write(work)

    async def blocked(self, account_id: str) -> tuple[Block, ...]:
        """Return the blocks of an account, oldest first."""
        query = (
            select(blocked_symbols)
            .where(blocked_symbols.c.account_id == account_id)
            .order_by(blocked_symbols.c.blocked_at, blocked_symbols.c.order_id)
        )
        return tuple(
            Block(
                account_id=row.account_id,
                symbol=row.symbol,
                order_id=row.order_id,
                reason=row.reason,
                blocked_at=row.blocked_at,
            )
            for row in await self._database.fetch_all(query)
        )

    def _lock(self, connection: Connection, account_id: str) -> None:
        """Wait for what is being reserved on the account."""
        query = select(account_sequences.c.account_id).where(
            account_sequences.c.account_id == account_id
        )
        if not self._database.is_sqlite:
            query = query.with_for_update()
        if connection.execute(query).first() is None:
            raise NotFound(f"no account {account_id!r}")

    def _lock_venue(self, connection: Connection, venue: str) -> None:
        """Wait for what is being reserved on each account of a venue.

        In a fixed order, so that two who do this at once do not wait for each other for ever.
        """
        query = (
            select(account_sequences.c.account_id)
            .join(accounts, accounts.c.account_id == account_sequences.c.account_id)
            .where(accounts.c.venue == venue)
            .order_by(account_sequences.c.account_id)
        )
        if not self._database.is_sqlite:
            query = query.with_for_update(of=account_sequences)
        connection.execute(query).all()


def _read_halt(row: Row[Any]) -> Halt:
    return Halt(scope=scope_of(row.scope), reason=row.reason, set_by=row.set_by, set_at=row.set_at)
