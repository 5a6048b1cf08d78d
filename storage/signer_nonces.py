"""Nonces for commands that are in no ledger row. Implements `domain.signer_nonces`."""

from __future__ import annotations

from sqlalchemy import select

from domain.accounts import Network
from domain.signer_nonces import NonceLane
from storage.clock import Clock, utc_now
from storage.engine import Database
from storage.nonces import Nonces
from storage.tables import signers


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

    async def lanes(self, venue: str, network: Network, signer: str) -> tuple[NonceLane, ...]:
        """Return a signer's lanes by name, with the last nonce taken of each."""
        table = signers.c
        query = (
            select(table.lane, table.last_nonce)
            .where(table.venue == venue, table.network == network.value, table.signer == signer)
            .order_by(table.lane)
        )
        rows = await self._database.fetch_all(query)
        return tuple(NonceLane(lane=row.lane, last_nonce=row.last_nonce) for row in rows)
