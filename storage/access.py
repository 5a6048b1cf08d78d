"""Opening credentials: only a process that holds the recipient's private key can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from domain.accounts import Account, SecretText, TradingAccess
from domain.errors import NotFound
from sealing.box import BoxLabel, CredentialPart, key_id_of, unseal
from sealing.errors import UnsealError
from sealing.keys import PrivateKey
from storage.accounts import SqlAccountStore
from storage.credential_rotation import read_candidate
from storage.credentials import read_sealed
from storage.engine import Database


class KeyFinder(Protocol):
    """A recipient's private keys: `sealing.keys.LiveKeyPairs`, or one key alone."""

    async def find(self, key_id: bytes) -> PrivateKey:
        """Return the private key of that id. Raises UnsealError when there is none."""
        ...


class SealedTradingAccess:
    """Implements `domain.ports.TradingAccessSource`; keeps nothing opened."""

    def __init__(self, database: Database, keys: KeyFinder) -> None:
        self._database = database
        self._accounts = SqlAccountStore(database)
        self._keys = keys

    async def open(self, account_id: str) -> TradingAccess:
        """Return the account with its opened trading credential.

        Raises:
            NotFound: no such account, or it has no credential any more.
            UnsealError: the credential was not sealed for this process and account.
        """
        account = await self._account(account_id)
        opened = await self._opened(
            account, lambda: read_sealed(self._database, account_id, CredentialPart.TRADING)
        )
        if opened is None:
            raise NotFound(
                f"account {account.label!r} has no credential (it is {account.state}); "
                "add the account again"
            )
        return opened

    async def open_signer(self, account_id: str, signer: str) -> TradingAccess:
        """Return access with the credential of a given signer, current or rotated out.

        Raises:
            NotFound: no such account, or no credential of that signer is kept.
            UnsealError: the credential was not sealed for this process and account.
        """
        account = await self._account(account_id)
        opened = await self._opened(
            replace(account, signer=signer),
            lambda: read_sealed(self._database, account_id, CredentialPart.TRADING, signer=signer),
        )
        if opened is None:
            raise NotFound(f"account {account.label!r} has no credential of signer {signer!r}")
        return opened

    async def open_candidate(self, account_id: str) -> TradingAccess | None:
        """Return the account with its candidate opened, or None when it has none.

        Raises:
            NotFound: no such account.
            UnsealError: the credential was not sealed for this process and account.
        """
        account = await self._account(account_id)
        return await self._opened(account, lambda: read_candidate(self._database, account_id))

    def forget(self, account_id: str) -> None:
        """Nothing is remembered here. See `domain.credential_rotation.CandidateAccess`."""

    async def _account(self, account_id: str) -> Account:
        account = await self._accounts.get(account_id)
        if account is None:
            raise NotFound(f"no account {account_id!r}")
        return account

    async def _opened(
        self, account: Account, read: Callable[[], Awaitable[bytes | None]]
    ) -> TradingAccess | None:
        label = BoxLabel(
            account_id=account.account_id, venue=account.venue, part=CredentialPart.TRADING
        )
        sealed = await read()
        if sealed is None:
            return None
        try:
            key = await self._keys.find(key_id_of(sealed, label))
        except UnsealError:
            # It may have been sealed anew, and its key destroyed, since it was read.
            again = await read()
            if again is None or again == sealed:
                raise
            sealed, key = again, await self._keys.find(key_id_of(again, label))
        secret = unseal(sealed, key, label)
        return TradingAccess(account=account, credential=SecretText(secret.decode()))
