"""What the database knows of sealing keys: how new their files are, and which keys are gone.

A key file says its version itself; only someone else can say that a newer one was there. Holds ids
and counts; opens nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select

from domain.errors import Conflict
from sealing.box import CredentialPart
from sealing.errors import SecretFileRolledBack
from sealing.keys import KEY_ID_BYTES, Recipient
from storage.clock import Clock, utc_now
from storage.credential_tables import credential_candidates
from storage.engine import Database
from storage.sealing_key_tables import destroyed_keys, key_versions
from storage.tables import credentials

RECIPIENT_OF: Mapping[CredentialPart, Recipient] = {
    CredentialPart.TRADING: Recipient.WORKER,
    CredentialPart.FEED: Recipient.STREAMING,
}
"""Who opens which part."""


class SqlSealingKeys:
    """The statements about sealing keys."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        row = database.insert(key_versions)
        self._raise = row.on_conflict_do_update(
            index_elements=["name"],
            set_={"version": row.excluded.version, "seen_at": row.excluded.seen_at},
        )
        self._destroy = database.insert(destroyed_keys).on_conflict_do_nothing()

    async def see(self, name: str, version: int) -> None:
        """Remember that a key file of this version was read.

        Raises:
            SecretFileRolledBack: a newer one was read before.
        """

        def work(connection: Connection) -> int:
            found = connection.execute(_VERSION, {"a_name": name}).first()
            if found is None or found.version < version:
                self._set(connection, name, version)
            return version if found is None else int(found.version)

        newest = await self._database.write(work)
        if version < newest:
            raise SecretFileRolledBack(
                f"the key file of {name!r} is of version {version}, version {newest} was in use "
                "before: an older file was put in its place. Put the newest back, or take this "
                f"one for good by: perp-dex keys accept {name}"
            )

    async def see_file(self, name: str, read: Callable[[], Awaitable[int]]) -> int:
        """Remember which version of a key file is there, as `read` finds it; return it.

        Another process may have written the file anew between our reading and our look, so that a
        version which seems old is read again: an older file stays one.

        Raises:
            SecretFileRolledBack: a newer one was read before.
        """
        version = await read()
        while True:
            try:
                await self.see(name, version)
            except SecretFileRolledBack:
                newer = await read()
                if newer <= version:
                    raise
                version = newer
            else:
                return version

    async def accept(self, name: str, version: int) -> None:
        """Take an older key file for the newest, as an operator decided."""
        await self._database.write(lambda connection: self._set(connection, name, version))

    async def needed(self) -> Mapping[Recipient, Mapping[str, int]]:
        """Return how many sealed parts need which key, by recipient and key id in hex."""
        counts: dict[Recipient, Counter[str]] = {each: Counter() for each in Recipient}
        for part, sealed in _sealed_parts(await self._database.fetch_all(_ALL)):
            counts[RECIPIENT_OF[part]][key_name(sealed)] += 1
        for row in await self._database.fetch_all(_CANDIDATES):
            counts[Recipient.WORKER][key_name(bytes(row.trading))] += 1
            if row.feed is not None:
                counts[Recipient.STREAMING][key_name(bytes(row.feed))] += 1
        return counts

    async def destroy(self, name: Recipient, key_ids: Collection[str]) -> frozenset[str]:
        """Write down that keys may be destroyed; return those that no row needs.

        From the commit on nothing sealed for one of them is kept: see `refuse_destroyed`.
        """

        def work(connection: Connection) -> frozenset[str]:
            connection.execute(_LOCK, {"a_name": name.value})
            free = frozenset(key_ids) - _needed_within(connection)
            for key_id in free:
                values = {"key_id": key_id, "name": name.value, "destroyed_at": self._now()}
                connection.execute(self._destroy, values)
            return free

        return await self._database.write(work)

    async def destroyed(self, name: Recipient) -> frozenset[str]:
        """Return the ids of a recipient's keys that are to be destroyed, or are."""
        query = select(destroyed_keys.c.key_id).where(destroyed_keys.c.name == name.value)
        return frozenset(row.key_id for row in await self._database.fetch_all(query))

    def _set(self, connection: Connection, name: str, version: int) -> None:
        values = {"name": name, "version": version, "seen_at": self._now()}
        connection.execute(self._raise, values)


def refuse_destroyed(connection: Connection, sealed: Iterable[bytes]) -> None:
    """Refuse to keep what was sealed for a key that is gone, in the caller's transaction.

    Raises:
        Conflict: the key was changed while this was on its way; nothing is kept.
    """
    # A destroyer of keys takes these rows for itself: one of the two sees the other.
    connection.execute(_SHARE)
    names = [key_name(each) for each in sealed]
    gone = select(destroyed_keys.c.key_id).where(destroyed_keys.c.key_id.in_(names)).limit(1)
    if connection.execute(gone).first() is not None:
        raise Conflict("the key that credentials are sealed with was changed; send it again")


def key_name(sealed: bytes) -> str:
    """Return the id, in hex, of the key that a sealed box was made for."""
    return sealed[1 : 1 + KEY_ID_BYTES].hex()


def _needed_within(connection: Connection) -> frozenset[str]:
    names = {key_name(sealed) for _, sealed in _sealed_parts(connection.execute(_ALL))}
    for row in connection.execute(_CANDIDATES):
        names |= {key_name(bytes(part)) for part in (row.trading, row.feed) if part is not None}
    return frozenset(names)


def _sealed_parts(rows: Iterable[Any]) -> Iterable[tuple[CredentialPart, bytes]]:
    return ((CredentialPart(row.part), bytes(row.sealed)) for row in rows)


_ALL: Any = select(credentials.c.part, credentials.c.sealed)
_CANDIDATES: Any = select(credential_candidates.c.trading, credential_candidates.c.feed)
_VERSION: Any = select(key_versions.c.version).where(key_versions.c.name == bindparam("a_name"))
_LOCK: Any = _VERSION.with_for_update()
_SHARE: Any = select(key_versions.c.name).with_for_update(read=True)
