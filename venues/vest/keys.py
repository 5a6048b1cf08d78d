"""Whose key is whose: the API key tells its account, and the signing key is tried.

A signing key is proven by a request that can do nothing: to cancel an order that does not exist.
The account's own (primary) key could do everything and is refused.

Source: the official v2 API page, POST /register; NOTES.md "Keys".
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Final

from domain.accounts import TradingAccess
from domain.errors import VenueRefused, VenueUnavailable
from domain.outcomes import Acknowledged, Rejected
from venues.connector import SignerCheck
from venues.transport import Clock
from venues.vest import credential
from venues.vest.dispatch import Dispatch
from venues.vest.proofs import ADMISSION_WINDOW_S, RECV_WINDOW_MS
from venues.vest.queries import Queries
from venues.vest.refusals import NO_SUCH_ORDER
from venues.vest.signing import CANCEL, canonical
from venues.vest.translate import VENUE, to_ms

_MAKE_KEY: Final = (
    "register a signing key for this account (`python -m venues.vest.registration`) and give what "
    "it prints instead"
)
_POWER: Final = (
    "signing key: places and cancels orders for this account, and sets leverage by its API key; on "
    "paper it may sign withdrawals as well, and nobody has verified to where: use an account with "
    "limited funds"
)
#: What the venue says of a key that it does not know, or not for this account.
_NOT_ITS_KEY: Final = ("unknown_signer", "bad_signature", "unknown_account")


class Keys:
    """Finds out what a credential may do for an account."""

    def __init__(self, dispatch: Dispatch, queries: Queries, clock: Clock) -> None:
        self._dispatch = dispatch
        self._queries = queries
        self._clock = clock

    async def check(self, access: TradingAccess, signer: str) -> SignerCheck:
        """Find out whether a credential is of the account that it is meant for.

        Raises:
            InvalidInput: the credential is none.
            VenueUnavailable, VenueRefused: the venue did not say.
        """
        account, given = access.account, credential.trading(access.credential)
        if signer == account.address.lower():
            return _refused(
                signer, account.address, f"this is the account's own (primary) key; {_MAKE_KEY}"
            )
        if given.expires_at is not None and given.expires_at <= self._clock():
            return _refused(
                signer, None, f"it expired at {given.expires_at.isoformat()}; {_MAKE_KEY}"
            )
        try:
            told = (await self._queries.account_row(given.reader)).data.address
        except VenueRefused as error:
            return _refused(signer, None, f"{VENUE} does not take its apiKey: {error}")
        if told.lower() != account.address.lower():
            return _refused(
                signer, told, f"its apiKey is that of {told[:64]}, expected {account.address}"
            )
        refusal = await self._tried(access)
        if refusal is not None:
            return _refused(
                signer, None, f"{signer} does not sign for {account.address}: {refusal}"
            )
        return SignerCheck(
            signer=signer,
            owner_address=account.address,
            power=_POWER,
            expires_at=given.expires_at,
            refusal=None,
        )

    async def _tried(self, access: TradingAccess) -> str | None:
        """Have the key sign something; return the venue's refusal of the key, or None."""
        now_ms = to_ms(self._clock() + timedelta(seconds=ADMISSION_WINDOW_S))
        time_ms = now_ms - RECV_WINDOW_MS
        order = {"time": time_ms, "nonce": time_ms, "id": "0x" + secrets.token_hex(32)}
        text = canonical(CANCEL, order, RECV_WINDOW_MS)
        found = (await self._dispatch.send_message(text, access)).outcome
        if isinstance(found, Rejected) and found.code in _NOT_ITS_KEY:
            return f"{found.reason} ({found.proof})"
        is_proven = isinstance(found, Acknowledged) or (
            isinstance(found, Rejected) and found.code == NO_SUCH_ORDER
        )
        if not is_proven:
            raise VenueUnavailable(f"{VENUE} did not say whose key this is: {found}")
        return None


def _refused(signer: str, owner: str | None, refusal: str) -> SignerCheck:
    return SignerCheck(
        signer=signer, owner_address=owner, power="none", expires_at=None, refusal=refusal
    )
