"""Whose key is whose, and what it may do: the self-check of a credential.

The API key is proven by reading the account. The venue lists no signer keys, so that a signer is
registered shows with its first order; what can be seen beforehand is that it is not the wallet's
own key, which could withdraw and is refused.

Source: edgex-golang-sdk V2 document (getAccountAsset, 2026-03-12); NOTES.md "Keys".
"""

from __future__ import annotations

from typing import Final

from domain.accounts import TradingAccess
from domain.errors import VenueRefused
from venues.connector import SignerCheck
from venues.edgex.account_queries import AccountQueries
from venues.edgex.catalog import VENUE
from venues.edgex.credential import Credential

_POWER: Final = (
    "API key and signer key: the API key reads, cancels and sets leverage for this account; the "
    "signer key signs its orders, which shows with the first one, because the venue lists no "
    "signer keys. Neither can withdraw or transfer: that takes the wallet's key, which is refused "
    "here"
)
_MAKE_SIGNER: Final = (
    "make a signer key in API Management (Perps V2) and give that one's private key instead"
)
#: States of an account in which it takes no orders for good.
_CLOSED: Final = frozenset({"DISABLED", "INVALID"})


class Keys:
    """Finds out what a credential may do for an account."""

    def __init__(self, queries: AccountQueries) -> None:
        self._queries = queries

    async def check(
        self, access: TradingAccess, credential: Credential, signer: str
    ) -> SignerCheck:
        """Find out whether a credential is the account's and no more than it needs to be.

        Raises:
            VenueUnavailable: the venue did not say.
        """
        account = access.account
        if credential.account_id not in (None, account.address):
            return _refused(
                signer, None, f"the credential says that it is account {credential.account_id}'s"
            )
        try:
            asset = await self._queries.asset(account, credential.api)
        except VenueRefused as error:
            return _refused(
                signer,
                None,
                f"{VENUE} does not show account {account.address} to this API key: {error}",
            )
        found = asset.account
        if found.eth_address.lower() == signer:
            return _refused(
                signer, account.address, f"this is the wallet's own key; {_MAKE_SIGNER}"
            )
        if found.status in _CLOSED:
            return _refused(signer, account.address, f"{VENUE} says the account is {found.status}")
        return SignerCheck(
            signer=signer,
            owner_address=account.address,
            power=_POWER,
            expires_at=None,
            refusal=None,
        )


def _refused(signer: str, owner: str | None, refusal: str) -> SignerCheck:
    return SignerCheck(
        signer=signer, owner_address=owner, power="none", expires_at=None, refusal=refusal
    )
