"""The audit log in SQL: appended freely, numbered and hash-chained in order by one sealer.

The chain's end is kept beside it, so that a chain cut short is noticed as well as a changed one.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from domain.errors import CorruptState
from domain.ports import AuditRecord
from storage import codec
from storage.engine import Database
from storage.tables import audit, audit_chain

CHAIN_START = "0" * 64

_AT_ONCE = 500


class SqlAuditLog:
    """Implements `domain.ports.AuditLog`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, record: AuditRecord) -> None:
        """Append a record, unnumbered."""
        values = {
            "principal_id": codec.storable_text(record.principal_id),
            "action": codec.storable_text(record.action),
            "subject": codec.storable_text(record.subject),
            "outcome": codec.storable_text(record.outcome),
            "at": record.at,
            "request_id": (
                None if record.request_id is None else codec.storable_text(record.request_id)
            ),
            "detail": None if record.detail is None else codec.details.encode(record.detail),
        }

        def work(connection: Connection) -> None:
            connection.execute(_INSERT, values)

        await self._database.write(work, repeat=False)

    async def seal(self) -> int:
        """Number and hash-chain the records appended since, in order; return how many."""
        sealed = 0
        while True:
            count = await self._database.write(self._seal_some)
            sealed += count
            if count < _AT_ONCE:
                return sealed

    def _seal_some(self, connection: Connection) -> int:
        query = select(audit_chain)
        if not self._database.is_sqlite:
            query = query.with_for_update()
        end = connection.execute(query).first()
        if end is None:
            raise CorruptState("expected the end of the audit chain, found none")
        sequence, chain_hash = end.last_sequence, end.last_hash
        rows = connection.execute(_READ_UNSEALED).all()
        sealed = []
        for row in rows:
            sequence += 1
            chain_hash = chained(chain_hash, sequence, _read_record(row))
            sealed.append(
                {"an_audit_id": row.audit_id, "sequence": sequence, "chain_hash": chain_hash}
            )
        if sealed:
            connection.execute(_SEAL, sealed)
            connection.execute(
                update(audit_chain).values(last_sequence=sequence, last_hash=chain_hash)
            )
        return len(sealed)

    async def verify(self) -> int | None:
        """Return the first sequence whose chain does not hold, or None when all holds."""
        end = await self._database.fetch_one(select(audit_chain))
        if end is None:
            return 1
        sequence, chain_hash = 0, CHAIN_START
        while True:
            page = {"past": sequence, "up_to": end.last_sequence}
            rows = await self._database.fetch_all(_READ_SEALED, page)
            for row in rows:
                chain_hash = chained(chain_hash, sequence + 1, _read_record(row))
                if row.sequence != sequence + 1 or row.chain_hash != chain_hash:
                    return sequence + 1
                sequence += 1
            if len(rows) < _AT_ONCE:
                break
        is_whole = sequence == end.last_sequence and chain_hash == end.last_hash
        return None if is_whole else sequence + 1

    async def records(self, *, limit: int = 100, before: int | None = None) -> list[AuditRecord]:
        """Return sealed records, newest first, from before a sequence where one is given."""
        query = select(audit).where(audit.c.sequence.is_not(None))
        if before is not None:
            query = query.where(audit.c.sequence < before)
        query = query.order_by(audit.c.sequence.desc()).limit(limit)
        return [_read_record(row) for row in await self._database.fetch_all(query)]


def chained(previous_hash: str, sequence: int, record: AuditRecord) -> str:
    """Return the chain's hash at `record`: SHA-256 over the hash before it and all it says."""
    said: list[Any] = [
        previous_hash,
        sequence,
        record.principal_id,
        record.action,
        record.subject,
        record.outcome,
        record.at.isoformat(timespec="microseconds"),
        record.request_id,
        None if record.detail is None else sorted(record.detail.items()),
    ]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()


def _read_record(row: Row[Any]) -> AuditRecord:
    return AuditRecord(
        principal_id=row.principal_id,
        action=row.action,
        subject=row.subject,
        outcome=row.outcome,
        at=row.at,
        request_id=row.request_id,
        detail=None if row.detail is None else codec.details.decode(row.detail),
        sequence=row.sequence,
        chain_hash=row.chain_hash,
    )


_INSERT = insert(audit)
_READ_UNSEALED = (
    select(audit).where(audit.c.sequence.is_(None)).order_by(audit.c.audit_id).limit(_AT_ONCE)
)
_READ_SEALED = (
    select(audit)
    .where(audit.c.sequence > bindparam("past"), audit.c.sequence <= bindparam("up_to"))
    .order_by(audit.c.sequence)
    .limit(_AT_ONCE)
)
_SEAL = (
    update(audit)
    .where(audit.c.audit_id == bindparam("an_audit_id"))
    .values(sequence=bindparam("sequence"), chain_hash=bindparam("chain_hash"))
)
