"""Nonces for commands that are in no ledger row. Implements `domain.signer_nonces.SignerNonces`."""

from __future__ import annotations

from domain.accounts import Network
from storage.clock import Clock, utc_now
from storage.engine import Database
from storage.nonces import Nonces


class SqlSignerNonces:
    """Takes each nonce in a transaction of its own; one whose answer was lost is never used."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._nonces = Nonces(database, now)

    async def take(self, venue: str, network: Network, signer: str, *, lane: str = "") -> int:
        """Return the signer's next nonce. See the port."""
        return await self._database.write(
            lambda connection: self._nonces.take_time(
                connection, venue=venue, network=network, signer=signer, lane=lane
            )
        )
