"""Database failures in the words of `domain.errors`, decided in one place.

What did not happen for sure is told apart from what may have happened: only a lost COMMIT leaves
a doubt.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from domain.errors import CorruptState, PerpDexError, Unavailable

# What a database call may raise for the database's, the network's or the disk's sake.
DATABASE_ERRORS = (DBAPIError, PoolTimeout, OSError, TimeoutError)

_CONFLICTS = frozenset({"40001", "40P01"})


class CommitLost(Unavailable):
    """The connection broke while COMMIT was under way: committed or not, nobody knows here."""


class Interrupted(Unavailable):
    """Nothing was committed, and the same transaction may succeed on another connection now."""


def translate(error: Exception, *, committing: bool) -> PerpDexError:
    """Return the domain's error for a database `error`, raised while COMMIT ran or before it."""
    if isinstance(error, IntegrityError):
        return CorruptState(f"the database refuses what contradicts itself: {_cause(error)}")
    if isinstance(error, DBAPIError) and not _is_unavailable(error):
        return CorruptState(f"the database cannot do what was asked: {_cause(error)}")
    if committing:
        return CommitLost(f"the database's answer to COMMIT was lost: {_cause(error)}")
    if isinstance(error, DBAPIError) and _is_passing(error):
        return Interrupted(f"the database broke off: {_cause(error)}")
    return Unavailable(f"the database does not answer: {_cause(error)}")


def _is_unavailable(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    if type(error.orig) is sqlite3.DatabaseError:
        return False
    return isinstance(error, OperationalError | InterfaceError | InternalError)


def _is_passing(error: DBAPIError) -> bool:
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _CONFLICTS


def _cause(error: Exception) -> str:
    """Return the driver's own first line: no statement and no values."""
    origin: object = error.orig if isinstance(error, DBAPIError) else error
    lines = str(origin).strip().splitlines()
    return lines[0][:300] if lines else type(origin).__name__
