"""Whose key is whose. The venue lists an account's agents only to its main key, so a key is tried.

An agent is proven by a request that can do nothing: to cancel an order that does not exist. The
venue checks signature and agent first, and says which of both is wrong.

Source: docs.pacifica.fi api/signing/api-agent-keys, api/signing/error-handling; NOTES.md "Keys".
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Final

from domain.accounts import TradingAccess
from domain.errors import VenueUnavailable
from domain.outcomes import Accepted, Rejected
from venues.connector import SignerCheck
from venues.pacifica.actions import message
from venues.pacifica.dispatch import Dispatch
from venues.pacifica.proofs import ADMISSION_WINDOW_S
from venues.pacifica.queries import Queries
from venues.pacifica.signing import address_bytes
from venues.pacifica.translate import VENUE
from venues.transport import Clock

_MAKE_AGENT: Final = (
    "make an agent key (API Keys on app.pacifica.fi/apikey) for this account and give its "
    "private key instead"
)
_POWER: Final = (
    "agent key: places, changes and cancels orders and sets leverage for this account; whether it "
    "may withdraw is contradictory in the venue's words, so expect that it can, to the account's "
    "own address: use a sub-account with limited funds and the key's list of allowed addresses"
)
#: What the venue says of a key that it does not know, or not for this account.
_NOT_ITS_AGENT: Final = ("unknown_signer", "bad_signature", "not_whitelisted")
#: Of which the order that does not exist is said to be.
_ANY_MARKET: Final = "BTC"
_NO_SUCH_ACCOUNT: Final = ("unknown_account", "beta_access_required")


class Keys:
    """Finds out what a key may do for an account."""

    def __init__(self, dispatch: Dispatch, queries: Queries, clock: Clock) -> None:
        self._dispatch = dispatch
        self._queries = queries
        self._clock = clock

    async def check(self, access: TradingAccess, signer: str) -> SignerCheck:
        """Find out whether a key is an agent of the account that it is meant for.

        A sub-account is an account of its own at this venue, with agents of its own; nothing tells
        whose it is.

        Raises:
            InvalidInput: the account's address is none.
            VenueUnavailable, VenueRefused: the venue did not say.
        """
        address = access.account.address
        address_bytes(address)
        if not await self._queries.has_account(access.account):
            return _refused(
                signer, None, f"{VENUE} knows no account {address} on {access.account.network}"
            )
        if signer == address:
            return _refused(signer, address, f"this is the account's own (main) key; {_MAKE_AGENT}")
        text = message(
            "cancel_order",
            {"symbol": _ANY_MARKET, "client_order_id": str(uuid.uuid4())},
            self._clock() + timedelta(seconds=ADMISSION_WINDOW_S),
        )
        found = (await self._dispatch.send_message(text, access)).outcome
        if isinstance(found, Rejected) and found.code in _NOT_ITS_AGENT:
            return _refused(
                signer,
                None,
                f"{signer} is no agent of {address} on {access.account.network}: {found.reason}",
            )
        if isinstance(found, Rejected) and found.code in (
            "unknown_account",
            "beta_access_required",
        ):
            return _refused(signer, None, f"{VENUE} does not take {address}: {found.reason}")
        is_proven = isinstance(found, Accepted) or (
            isinstance(found, Rejected) and found.code == "no_such_order"
        )
        if not is_proven:
            raise VenueUnavailable(f"{VENUE} did not say whose key {signer} is: {found}")
        return SignerCheck(
            signer=signer, owner_address=address, power=_POWER, expires_at=None, refusal=None
        )


def _refused(signer: str, owner: str | None, refusal: str) -> SignerCheck:
    return SignerCheck(
        signer=signer, owner_address=owner, power="none", expires_at=None, refusal=refusal
    )
