"""The emergency kit: a copy of accounts and sealed credentials, for when the database is away.

Sealed as in the database: only the worker's private key opens them. Knows no database but to fill
the kit from it.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from domain.accounts import Account, SecretText, TradingAccess
from domain.errors import CorruptState, NotFound, Unavailable
from sealing.box import BoxLabel, CredentialPart, key_id_of, unseal
from sealing.keys import KeyPairs, PrivateKey
from storage.accounts import SqlAccountStore
from storage.codec import Codec
from storage.credentials import read_sealed
from storage.engine import Database

_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class KitEntry:
    """An account that may trade, with its sealed trading credential."""

    account: Account
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kit:
    entries: tuple[KitEntry, ...]


_kits = Codec(_Kit)


class EmergencyKit:
    """The file `journal/accounts.json` in a home directory."""

    def __init__(self, home: Path) -> None:
        self._path = home / "journal" / "accounts.json"
        self._written: tuple[KitEntry, ...] | None = None

    async def pack(self, database: Database) -> None:
        """Copy every account that may trade; the file is replaced only when something changed.

        Raises:
            Unavailable: the database does not answer, or the file cannot be written.
        """
        entries = []
        for account in await SqlAccountStore(database).all_active():
            sealed = await read_sealed(database, account.account_id, CredentialPart.TRADING)
            if sealed is not None:
                entries.append(KitEntry(account=account, sealed=sealed))
        packed = tuple(entries)
        if packed != self._written:
            await asyncio.to_thread(self._write, packed)
            self._written = packed

    def entries(self) -> tuple[KitEntry, ...]:
        """Return what was packed last; nothing before the first time.

        Raises:
            CorruptState: the file holds something else.
            Unavailable: it cannot be read.
        """
        try:
            return _kits.decode(self._path.read_text()).entries
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"the emergency kit {self._path} cannot be read: {error}") from error
        except CorruptState as error:
            raise CorruptState(
                f"expected an emergency kit in {self._path}, {error}; a worker with its database "
                "writes it anew"
            ) from error

    def _write(self, entries: tuple[KitEntry, ...]) -> None:
        content = _kits.encode(_Kit(entries=entries)).encode()
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._path.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            with os.fdopen(os.open(beside, flags, _FILE_MODE), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise Unavailable(
                f"the emergency kit {self._path} cannot be written: {error}"
            ) from error


class OpenedKit:
    """Credentials opened once, from the kit or the database; asks neither again.

    Implements `domain.ports.TradingAccessSource` and `activities.emergency_journal.LastAccess`.
    """

    def __init__(self, opened: tuple[TradingAccess, ...]) -> None:
        self.opened = opened

    @classmethod
    def from_entries(cls, entries: tuple[KitEntry, ...], keys: PrivateKey | KeyPairs) -> OpenedKit:
        """Open what was packed.

        Raises:
            UnsealError: a credential was sealed for another key.
        """
        return cls(tuple(_open(entry, keys) for entry in entries))

    async def open(self, account_id: str) -> TradingAccess:
        """Return the account with its credential. See `TradingAccessSource`."""
        return self._find(account_id)

    async def open_signer(self, account_id: str, signer: str) -> TradingAccess:
        """Return the account if its credential is that signer's. See `TradingAccessSource`."""
        access = self._find(account_id)
        if access.account.signer != signer:
            raise NotFound(f"no credential of signer {signer!r} is kept for an emergency")
        return access

    def last(self, account_id: str) -> TradingAccess:
        """Return the account with its credential. See `LastAccess`."""
        return self._find(account_id)

    def _find(self, account_id: str) -> TradingAccess:
        for access in self.opened:
            if access.account.account_id == account_id:
                return access
        raise NotFound(f"no account {account_id!r}")


def _open(entry: KitEntry, keys: PrivateKey | KeyPairs) -> TradingAccess:
    account = entry.account
    label = BoxLabel(
        account_id=account.account_id, venue=account.venue, part=CredentialPart.TRADING
    )
    key = keys.holding(key_id_of(entry.sealed, label))
    secret = unseal(entry.sealed, key, label)
    return TradingAccess(account=account, credential=SecretText(secret.decode()))
