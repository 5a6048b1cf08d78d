"""Sealed credentials in SQL: the current one of each account and part, and those rotated out.

Holds bytes that only their recipient can open; opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, Exists, delete, insert, select, update

from sealing.box import CredentialPart
from storage.clock import Clock
from storage.engine import Database
from storage.sealing_keys import refuse_destroyed
from storage.tables import credentials


class Credentials:
    """The statements that write credentials; all run inside the caller's transaction."""

    def __init__(self, now: Clock) -> None:
        self._now = now

    def keep(
        self,
        connection: Connection,
        account_id: str,
        signer: str,
        parts: Mapping[CredentialPart, bytes],
    ) -> None:
        """Keep the parts of an account's current credential.

        Raises:
            Conflict: a part was sealed for a key that is gone; see `refuse_destroyed`.
        """
        refuse_destroyed(connection, parts.values())
        rows = [
            {
                "account_id": account_id,
                "signer": signer,
                "part": part.value,
                "sealed": sealed,
                "created_at": self._now(),
            }
            for part, sealed in parts.items()
        ]
        connection.execute(insert(credentials), rows)

    def replace_feed(
        self, connection: Connection, account_id: str, signer: str, sealed: bytes
    ) -> None:
        """Keep what the account's private feed needs, in place of what it needed."""
        former = credentials.c.part == CredentialPart.FEED.value
        connection.execute(delete(credentials).where(_current(account_id), former))
        self.keep(connection, account_id, signer, {CredentialPart.FEED: sealed})

    def name(self, connection: Connection, account_id: str, signer: str) -> None:
        """Write down whose the account's current credential turned out to be."""
        connection.execute(update(credentials).where(_current(account_id)).values(signer=signer))

    def retire(self, connection: Connection, account_id: str) -> None:
        """Make the account's current credential one that only resolves what it has signed."""
        retired = update(credentials).where(_current(account_id)).values(retired_at=self._now())
        connection.execute(retired)

    def destroy(self, connection: Connection, account_id: str) -> None:
        """Destroy the account's current credential."""
        connection.execute(delete(credentials).where(_current(account_id)))

    def destroy_retired(self, connection: Connection, *, unless: Exists) -> int:
        """Destroy retired credentials that are not needed; return how many."""
        retired = credentials.c.retired_at.is_not(None)
        return connection.execute(delete(credentials).where(retired, ~unless)).rowcount


async def read_sealed(
    database: Database, account_id: str, part: CredentialPart, *, signer: str | None = None
) -> bytes | None:
    """Return the sealed part of the current credential, or of a given signer's newest, or None."""
    query = select(credentials.c.sealed).where(
        credentials.c.account_id == account_id, credentials.c.part == part.value
    )
    if signer is None:
        query = query.where(credentials.c.retired_at.is_(None))
    else:
        query = query.where(credentials.c.signer == signer)
    found = await database.fetch_one(query.order_by(credentials.c.credential_id.desc()).limit(1))
    return None if found is None else bytes(found.sealed)


def _current(account_id: str) -> ColumnElement[bool]:
    return (credentials.c.account_id == account_id) & credentials.c.retired_at.is_(None)
