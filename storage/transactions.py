"""One transaction on one connection, and how far it came when it failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from domain.errors import PerpDexError

T = TypeVar("T")


@dataclass(slots=True)
class Progress:
    """How far a transaction came: from `committing` on, an error leaves a doubt."""

    committing: bool = False


def run_transaction(
    connection: Connection, work: Callable[[Connection], T], progress: Progress
) -> T:
    """Begin, run `work`, commit; roll back when `work` raises."""
    transaction = connection.begin()
    try:
        result = work(connection)
    except PerpDexError:
        # A refusal: the connection is sound, its transaction ends here. After any other error
        # closing the connection ends it.
        transaction.rollback()
        raise
    progress.committing = True
    transaction.commit()
    return result
