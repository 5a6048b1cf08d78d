"""Feed credentials in SQL: sealed by the worker, opened by the streaming process only."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from domain.accounts import Account, SecretText
from domain.errors import Unavailable
from sealing.box import BoxLabel, CredentialPart, key_id_of, seal, unseal
from sealing.errors import SecretFileMissing
from sealing.keys import Recipient, load_public_key, public_key_path
from storage.access import KeyFinder
from storage.accounts import SqlAccountStore
from storage.clock import Clock, utc_now
from storage.credentials import Credentials, read_sealed
from storage.engine import Database


class SqlFeedCredentials:
    """Implements `domain.feed_credentials.FeedCredentials` with the streaming's public key."""

    def __init__(
        self, database: Database, secrets_directory: Path, *, now: Clock = utc_now
    ) -> None:
        self._database = database
        self._secrets = secrets_directory
        self._accounts = SqlAccountStore(database, now=now)
        self._credentials = Credentials(now)

    async def keep(self, account: Account, secret: SecretText) -> None:
        """Seal and keep. See the port."""
        try:
            recipient = load_public_key(public_key_path(self._secrets, Recipient.STREAMING))
        except SecretFileMissing as error:
            raise Unavailable(f"no streaming process has made its key pair yet: {error}") from None
        sealed = seal(secret.reveal().encode(), recipient, _label(account))

        def work(connection: Connection) -> None:
            self._accounts.locked(connection, account.account_id)
            self._credentials.replace_feed(connection, account.account_id, account.signer, sealed)

        await self._database.write(work)


class SealedFeedAccess:
    """Implements `domain.feed_credentials.FeedCredentialSource`; keeps nothing opened."""

    def __init__(self, database: Database, keys: KeyFinder) -> None:
        self._database = database
        self._keys = keys

    async def open(self, account: Account) -> SecretText | None:
        """Open what is kept.

        Raises:
            UnsealError: it was not sealed for this process and account.
        """
        sealed = await read_sealed(self._database, account.account_id, CredentialPart.FEED)
        if sealed is None:
            return None
        label = _label(account)
        key = await self._keys.find(key_id_of(sealed, label))
        return SecretText(unseal(sealed, key, label).decode())


def _label(account: Account) -> BoxLabel:
    return BoxLabel(account_id=account.account_id, venue=account.venue, part=CredentialPart.FEED)
