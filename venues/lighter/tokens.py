"""Tokens to read an account with: made from its keys, or given, and renewed before they end.

A worker opens the account's keys and makes tokens of them; whoever may only read is given one.

Source: docs api-keys; lighter-sdk 1.1.8 `create_auth_token_with_expiry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from domain.accounts import Account, SecretText
from domain.errors import InvalidInput, VenueRefused
from domain.feed_credentials import FeedCredentialSource
from venues.lighter.credential import read_credential
from venues.lighter.signing import Signer
from venues.transport import Clock

#: A token is used no longer than so long before its end, and kept no longer than that.
_MARGIN: Final = timedelta(minutes=15)
_KEPT: Final = timedelta(minutes=30)
_READ_ONLY: Final = "ro"
#: What a token is called where its end is shown.
AUTH: Final = "auth"


class Tokens:
    """Hands out tokens; asks `source` for what they are made of."""

    def __init__(self, signer: Signer, clock: Clock) -> None:
        self._signer = signer
        self._clock = clock
        self._source: FeedCredentialSource | None = None
        self._kept: dict[str, tuple[str, datetime]] = {}

    def use(self, source: FeedCredentialSource) -> None:
        """Take secrets from `source`."""
        self._source = source

    async def of(self, account: Account) -> str:
        """Return a token of an account.

        Raises:
            VenueRefused: there is no secret of it, or it is none for a token.
        """
        kept = self._kept.get(account.account_id)
        if kept is not None and self._clock() < kept[1]:
            return kept[0]
        secret = None if self._source is None else await self._source.open(account)
        if secret is None:
            raise VenueRefused(
                f"lighter tells of account {account.address} only to who has its key, and nothing "
                "is kept here to ask with"
            )
        try:
            return self.keep(account, token_of(secret, self._signer, self._clock()))
        except InvalidInput as error:
            raise VenueRefused(str(error)) from None

    def keep(self, account: Account, token: str) -> str:
        """Use a token of an account from now on; return it."""
        until = min(self._clock() + _KEPT, end_of(token) - _MARGIN)
        self._kept[account.account_id] = (token, until)
        return token

    def expiries(self, account_id: str) -> Mapping[str, datetime]:
        """Return when the token that is kept of an account ends; another follows before that."""
        kept = self._kept.get(account_id)
        return {} if kept is None else {AUTH: end_of(kept[0])}

    def forget(self, account: Account) -> None:
        """Make another one next time: the venue does not take it."""
        self._kept.pop(account.account_id, None)


def token_of(secret: SecretText, signer: Signer, now: datetime) -> str:
    """Return the token that a secret is, or makes. Raises InvalidInput if it is neither."""
    text = secret.reveal().strip()
    if not text.startswith("{"):
        end_of(text)
        return text
    credential = read_credential(secret)
    return signer.token(credential, now, key_index=credential.own_index)


def end_of(token: str) -> datetime:
    """Return when a token ends. Raises InvalidInput if it is none."""
    fields = token.split(":")
    is_read_only = len(fields) == 5 and fields[0] == _READ_ONLY
    deadline = fields[3] if is_read_only else fields[0]
    well_formed = is_read_only or len(fields) == 4
    if not (well_formed and deadline.isascii() and deadline.isdigit() and len(deadline) < 12):
        raise InvalidInput(
            "credential",
            f"expected a token of lighter, found {len(token)} characters that are none",
        )
    return datetime.fromtimestamp(int(deadline), UTC)
