"""Claims on idempotency keys in SQL: one row for each key, kept for ever; the first one counts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Connection, Row, Table, Text, bindparam, select

from domain.key_claims import IntentKind, KeyClaim
from storage.columns import UtcTime
from storage.engine import Database
from storage.tables import metadata

# One row for each key that ever named an intent, by the id which is made of owner and key: what may
# be started under that id, and under no other kind or fingerprint.
key_claims = Table(
    "key_claims",
    metadata,
    Column("intent_id", Text(), primary_key=True),
    Column("kind", Text(), nullable=False),
    Column("fingerprint", Text(), nullable=False),
    Column("claimed_at", UtcTime(), nullable=False),
)


class SqlKeyClaims:
    """Implements `domain.key_claims.KeyClaims`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = database.insert(key_claims).on_conflict_do_nothing(
            index_elements=["intent_id"]
        )

    async def claim(self, asked: KeyClaim) -> KeyClaim:
        """Keep a claim, or return the one that is there."""
        values = {
            "intent_id": asked.intent_id,
            "kind": asked.kind.value,
            "fingerprint": asked.fingerprint,
            "claimed_at": asked.claimed_at,
        }

        def work(connection: Connection) -> KeyClaim:
            if connection.execute(self._insert, values).rowcount == 1:
                return asked
            return _claim(connection.execute(_READ, _key(asked.intent_id)).one())

        return await self._database.write(work)

    async def held(self, intent_id: str) -> KeyClaim | None:
        """Return the claim on a key, or None while nobody has it."""
        found = await self._database.fetch_one(_READ, _key(intent_id))
        return None if found is None else _claim(found)


def _claim(row: Row[Any]) -> KeyClaim:
    return KeyClaim(
        intent_id=row.intent_id,
        kind=IntentKind(row.kind),
        fingerprint=row.fingerprint,
        claimed_at=row.claimed_at,
    )


def _key(intent_id: str) -> dict[str, str]:
    return {"an_intent_id": intent_id}


_READ = select(key_claims).where(key_claims.c.intent_id == bindparam("an_intent_id"))
