"""PostgreSQL: commits on disk; statements, locks and idle transactions bounded.

The bounds make sure that a frozen process cannot hold a lock for long. Work runs over the
asynchronous driver, switched to by greenlet at each statement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine

from storage.failures import DATABASE_ERRORS, translate
from storage.transactions import Progress, run_transaction

DEADLINE_S = 12.0
"""How long a caller waits for one transaction, the connection included."""

_CONNECT_TIMEOUT_S = 5
_POOL_SIZE = 10
_OPTIONS = (
    "-c synchronous_commit=on",
    "-c statement_timeout=10s",
    "-c lock_timeout=5s",
    "-c idle_in_transaction_session_timeout=5s",
    "-c timezone=UTC",
)

T = TypeVar("T")


class PostgresqlEngine:
    """Runs work on a PostgreSQL server."""

    def __init__(self, url: URL) -> None:
        asked = url.query.get("options", "")
        options = [asked] if isinstance(asked, str) else list(asked)
        self._engine = create_async_engine(
            url,
            hide_parameters=True,
            pool_size=_POOL_SIZE,
            max_overflow=_POOL_SIZE,
            pool_timeout=_CONNECT_TIMEOUT_S,
            # Ours come last, so that an address cannot switch off what durability rests on.
            connect_args={
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "options": " ".join([*options, *_OPTIONS]).strip(),
            },
        )
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a connection that commits each statement by itself."""
        try:
            async with asyncio.timeout(DEADLINE_S), self._reader.connect() as connection:
                return await connection.run_sync(work)
        except DATABASE_ERRORS as error:
            raise translate(error, committing=False) from error

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction."""
        progress = Progress()
        try:
            async with asyncio.timeout(DEADLINE_S), self._engine.connect() as connection:
                return await connection.run_sync(run_transaction, work, progress)
        except DATABASE_ERRORS as error:
            raise translate(error, committing=progress.committing) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()
