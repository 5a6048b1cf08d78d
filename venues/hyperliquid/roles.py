"""Whose key is whose: agents, masters and sub-accounts. Roles never change, so they are kept.

A master's address trades in its own name; for a sub-account its address must be inside the signed
hash, and that is all that differs.

Source: docs api/nonces-and-api-wallets, api/info-endpoint (userRole, extraAgents).
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from domain.accounts import Account, TradingAccess
from venues.connector import SignerCheck
from venues.hyperliquid import wire
from venues.hyperliquid.rest import Rest
from venues.hyperliquid.translate import at_ms

_MAKE_AGENT: Final = (
    "make an agent (More > API on app.hyperliquid.xyz, or approveAgent) and give its key instead"
)
_POWER: Final = (
    "agent (API wallet): places, changes and cancels orders and sets leverage for this account; "
    "cannot withdraw or transfer"
)


class Roles:
    """Asks the venue what an address is, once."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._vaults: dict[str, str | None] = {}
        self._asking = asyncio.Lock()

    async def vault_of(self, account: Account) -> str | None:
        """Return the address to sign for: the account's if it is a sub-account or vault, or None.

        Raises:
            VenueUnavailable, VenueRefused: the venue did not say.
        """
        address = account.address.lower()
        if address not in self._vaults:
            # Many first orders at once ask once: the question is the venue's dearest.
            async with self._asking:
                if address not in self._vaults:
                    self._remember(address, await self._role(address))
        return self._vaults.get(address)

    async def check(self, access: TradingAccess, signer: str) -> SignerCheck:
        """Find out what a key is to the account it is meant for.

        Raises:
            VenueUnavailable, VenueRefused: the venue did not say.
        """
        address = access.account.address.lower()
        if signer == address:
            return _refused(signer, address, f"this is the master wallet's key; {_MAKE_AGENT}")
        role = await self._role(signer)
        if role.role == "missing":
            return _refused(
                signer,
                None,
                f"{signer} is unknown on {access.account.network}: not approved as an agent, "
                "expired, or meant for another network",
            )
        if role.role != "agent" or role.data is None or role.data.user is None:
            return _refused(
                signer, signer, f"{signer} is a {role.role}'s own key, not an agent; {_MAKE_AGENT}"
            )
        master = role.data.user.lower()
        if not await self._belongs(address, master):
            return _refused(signer, master, f"{signer} is an agent of {master}, not of {address}")
        expires_at = await self._expiry(master, signer)
        until = f"; expires {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else ""
        return SignerCheck(
            signer=signer,
            owner_address=master,
            power=_POWER + until,
            expires_at=expires_at,
            refusal=None,
        )

    async def _belongs(self, address: str, master: str) -> bool:
        if address == master:
            self._vaults[address] = None
            return True
        role = await self._role(address)
        self._remember(address, role)
        owner = role.data.master if role.data is not None else None
        return role.role == "subAccount" and owner is not None and owner.lower() == master

    async def _expiry(self, master: str, signer: str) -> datetime | None:
        body = {"type": "extraAgents", "user": master}
        for agent in await self._rest.info(body, list[wire.ExtraAgent]):
            if agent.address.lower() == signer and agent.validUntil is not None:
                return at_ms(agent.validUntil)
        return None

    def _remember(self, address: str, role: wire.UserRole) -> None:
        if role.role in ("subAccount", "vault"):
            self._vaults[address] = address
        elif role.role != "missing":
            self._vaults[address] = None

    async def _role(self, address: str) -> wire.UserRole:
        return await self._rest.info({"type": "userRole", "user": address}, wire.UserRole)


def _refused(signer: str, owner: str | None, refusal: str) -> SignerCheck:
    return SignerCheck(
        signer=signer, owner_address=owner, power="none", expires_at=None, refusal=refusal
    )
