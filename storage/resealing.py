"""Sealing credentials anew for their recipient's present key, and destroying keys of no more use.

Runs in the background in the process that holds the private keys: a rotation stops nothing, and
what a former key has sealed stays open until it is sealed anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, select, update

from sealing.box import BoxLabel, CredentialPart, seal, unseal
from sealing.errors import UnsealError
from sealing.keepers import Keepers
from sealing.keys import KeyPairs, LiveKeyPairs, Recipient, drop_private_keys
from storage.credential_tables import credential_candidates
from storage.engine import Database
from storage.sealing_keys import SqlSealingKeys, key_name
from storage.tables import accounts, credentials

PART_OF = {Recipient.WORKER: CredentialPart.TRADING, Recipient.STREAMING: CredentialPart.FEED}
"""What each recipient opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What one round did: parts sealed anew, keys destroyed, accounts whose part does not open."""

    resealed: int = 0
    destroyed: tuple[str, ...] = ()
    shut: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _SealedPart:
    """One sealed part: which account's, and where it is kept."""

    account_id: str
    venue: str
    sealed: bytes
    column: ColumnElement[Any]
    row: ColumnElement[bool]
    table: Table


class SealingKeyUpkeep:
    """Follows the key ring of one recipient; several processes may do so at once."""

    def __init__(
        self,
        database: Database,
        live: LiveKeyPairs,
        *,
        secrets_directory: Path,
        recipient: Recipient,
        keepers: Keepers,
        grace_s: float,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._known = SqlSealingKeys(database)
        self._live = live
        self._secrets = secrets_directory
        self._recipient = recipient
        self._keepers = keepers
        self._grace = timedelta(seconds=grace_s)
        self._now = now

    async def check(self) -> None:
        """Check at the start that the key file is the newest there was.

        Raises:
            SecretFileRolledBack: an older one was put in its place.
            Unavailable: the database does not answer.
        """
        await self._see()

    async def run(self) -> Upkeep:
        """Seal anew what former keys have sealed; destroy the keys that nothing needs.

        A former key stays for the grace time at least: somebody may have sealed with it a moment
        ago, or read what it has sealed.

        Raises:
            SealingError: the key file cannot be read, or is an older one.
            Unavailable: the database does not answer.
        """
        pairs = await self._see()
        if not pairs.superseded:
            return Upkeep()
        resealed, shut = await self._reseal(pairs)
        due = {key for key, at in pairs.superseded.items() if at + self._grace <= self._now()}
        free = await self._known.destroy(self._recipient, due) if due else frozenset()
        # A process that was killed between the two left keys that are as good as gone.
        gone = (free | await self._known.destroyed(self._recipient)) & set(pairs.superseded)
        if gone:
            await asyncio.to_thread(
                drop_private_keys, self._secrets, self._recipient, self._keepers, gone
            )
            await self._see()
        return Upkeep(resealed=resealed, destroyed=tuple(sorted(gone)), shut=shut)

    async def _see(self) -> KeyPairs:
        """Read the key file, if it was changed, and check that it is the newest there was."""

        async def read() -> int:
            return (await self._live.refresh()).version

        await self._known.see_file(self._recipient.value, read)
        return self._live.value

    async def _reseal(self, pairs: KeyPairs) -> tuple[int, tuple[str, ...]]:
        resealed, shut = 0, []
        for part in await self._parts():
            if key_name(part.sealed) == pairs.current:
                continue
            try:
                anew = self._anew(pairs, part)
            except UnsealError:
                shut.append(part.account_id)
                continue
            resealed += await self._put(part, anew)
        return resealed, tuple(sorted(set(shut)))

    def _anew(self, pairs: KeyPairs, part: _SealedPart) -> bytes:
        label = BoxLabel(
            account_id=part.account_id, venue=part.venue, part=PART_OF[self._recipient]
        )
        key = pairs.holding(bytes.fromhex(key_name(part.sealed)))
        return seal(unseal(part.sealed, key, label), pairs.public, label)

    async def _put(self, part: _SealedPart, anew: bytes) -> int:
        """Replace a part, unless somebody has changed it since it was read."""
        change = (
            update(part.table)
            .where(part.row, part.column == part.sealed)
            .values({part.column.key: anew})
        )

        def work(connection: Connection) -> int:
            return connection.execute(change).rowcount

        return await self._database.write(work)

    async def _parts(self) -> list[_SealedPart]:
        kept = select(credentials, accounts.c.venue).join_from(credentials, accounts)
        kept = kept.where(credentials.c.part == PART_OF[self._recipient].value)
        parts = [
            _SealedPart(
                row.account_id,
                row.venue,
                bytes(row.sealed),
                credentials.c.sealed,
                credentials.c.credential_id == row.credential_id,
                credentials,
            )
            for row in await self._database.fetch_all(kept)
        ]
        column = credential_candidates.c[PART_OF[self._recipient].value]
        proposed = select(
            credential_candidates.c.account_id, column.label("sealed"), accounts.c.venue
        ).join_from(credential_candidates, accounts)
        return parts + [
            _SealedPart(
                row.account_id,
                row.venue,
                bytes(row.sealed),
                column,
                credential_candidates.c.account_id == row.account_id,
                credential_candidates,
            )
            for row in await self._database.fetch_all(proposed.where(column.is_not(None)))
        ]
