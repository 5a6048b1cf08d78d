"""Whose keys they are, and what they can do: found out by reading with each of them.

A token that a key makes is taken only where the key is registered for the account under its index,
so that each key is proven without sending a transaction.

Source: docs api-keys; NOTES.md "Keys".
"""

from __future__ import annotations

from domain.accounts import TradingAccess
from domain.errors import VenueRefused
from venues.connector import SignerCheck
from venues.lighter.credential import account_index_of, read_credential
from venues.lighter.queries import Queries
from venues.lighter.rest import NotAuthorized
from venues.lighter.signing import Signer
from venues.lighter.translate import VENUE
from venues.transport import Clock


class Keys:
    """Finds out what keys may do for an account."""

    def __init__(self, queries: Queries, signer: Signer, clock: Clock) -> None:
        self._queries = queries
        self._signer = signer
        self._clock = clock

    async def check(self, access: TradingAccess) -> SignerCheck:
        """Find out whether all keys belong to the account that they are meant for.

        Raises:
            InvalidInput: the account's address is none, or the credential is none.
            VenueUnavailable: the venue did not say.
        """
        credential, account = read_credential(access.credential), access.account
        index, signer = account_index_of(account.address), credential.signer
        if credential.account_index != index:
            return _refused(
                signer,
                f"the keys are of account {credential.account_index}, and the address is {index}",
            )
        try:
            await self._queries.account(account)
        except VenueRefused:
            return _refused(signer, f"{VENUE} knows no account {index} on {account.network}")
        for key_index in credential.indexes:
            token = self._signer.token(credential, self._clock(), key_index=key_index)
            try:
                await self._queries.limits(account, token)
            except NotAuthorized as error:
                return _refused(
                    signer,
                    f"API key {key_index} is not registered for account {index} on "
                    f"{account.network}: {error}",
                )
        return SignerCheck(
            signer=signer,
            owner_address=account.address,
            power=_power(credential.order_lanes, credential.cancel_lanes, credential.own_index),
            expires_at=None,
            refusal=None,
        )


def _power(orders: tuple[str, ...], cancels: tuple[str, ...], own: int) -> str:
    workers = min(len(orders), len(cancels))
    return (
        "CAN WITHDRAW: every API key of this venue can, to the owner's own address, and can move "
        "money between the owner's accounts; there is none that only trades. This system signs "
        "orders, cancels, leverage and the scheduled cancel, and nothing else. Keep what the "
        "account needs for trading on a sub-account of its own. "
        f"Keys: {own} for settings, {', '.join(orders)} for orders, {', '.join(cancels)} for "
        f"cancels, which is enough for {workers} worker{'s' if workers != 1 else ''}"
    )


def _refused(signer: str, refusal: str) -> SignerCheck:
    return SignerCheck(
        signer=signer, owner_address=None, power="none", expires_at=None, refusal=refusal
    )
