"""Leases of lanes in SQL. Implements `domain.lanes.LaneStore`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, select, update

from domain.accounts import Network
from domain.lanes import LEASE, LaneLease
from domain.ledger import CommandRow
from storage.clock import Clock, utc_now
from storage.command_rows import read_command
from storage.engine import Database
from storage.nonces import Nonces
from storage.tables import commands, lane_leases, signers


class SqlLaneStore:
    """See the port; each method is one transaction."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        self._nonces = Nonces(database, now)
        self._insert = database.insert(lane_leases).on_conflict_do_nothing(
            index_elements=["venue", "network", "signer", "lane"]
        )

    async def claim(
        self, venue: str, network: Network, signer: str, lanes: Sequence[str], *, owner: str
    ) -> LaneLease | None:
        """Own one of the lanes, the owner's own before a free one. See the port."""
        name = {"a_venue": venue, "a_network": network.value, "a_signer": signer}
        return await self._database.write(
            lambda connection: self._claim(connection, name, lanes, owner)
        )

    def _claim(
        self, connection: Connection, name: dict[str, str], lanes: Sequence[str], owner: str
    ) -> LaneLease | None:
        now = self._now()
        for lane in lanes:
            # Each lane has a row before any is looked at: a row can be locked, its absence cannot.
            connection.execute(self._insert, _fresh(name, lane, now))
        query = _OF_SIGNER if self._database.is_sqlite else _OF_SIGNER.with_for_update()
        held = {row.lane: row for row in connection.execute(query, name)}
        for is_wanted in (_is_own(owner), _is_free(now)):
            for lane in lanes:
                row = held[lane]
                if is_wanted(row):
                    return _own(connection, row, owner, now)
        return None

    async def holders(self, venue: str, network: Network, signer: str) -> tuple[LaneLease, ...]:
        """Return the leases that have not run out. See the port."""
        name = {"a_venue": venue, "a_network": network.value, "a_signer": signer}
        rows = await self._database.fetch_all(_OF_SIGNER, name)
        now = self._now()
        return tuple(_read(row) for row in rows if row.owner and row.expires_at > now)

    async def release(self, owner: str) -> None:
        """Let others have all lanes of an owner. See the port."""
        values = {"an_owner": owner, "an_expiry": self._now()}
        await self._database.write(lambda connection: connection.execute(_RELEASE, values))

    async def last_nonce(self, venue: str, network: Network, signer: str, lane: str) -> int | None:
        """Return the last nonce given out on a lane. See the port."""
        found = await self._database.fetch_one(_LAST, _lane(venue, network, signer, lane))
        return None if found is None else int(found[0])

    async def learn(
        self, venue: str, network: Network, signer: str, lane: str, *, last_nonce: int
    ) -> None:
        """Remember that the venue has seen a nonce. See the port."""
        await self._database.write(
            lambda connection: self._nonces.learn(
                connection,
                venue=venue,
                network=network,
                signer=signer,
                lane=lane,
                last_nonce=last_nonce,
            )
        )

    async def row_of(
        self, venue: str, network: Network, signer: str, lane: str, nonce: int
    ) -> CommandRow | None:
        """Return the command that holds a nonce of a lane. See the port."""
        name = _lane(venue, network, signer, lane) | {"a_nonce": nonce}
        found = await self._database.fetch_one(_ROW, name)
        return None if found is None else read_command(found)


def _fresh(name: dict[str, str], lane: str, now: datetime) -> dict[str, Any]:
    return {
        "venue": name["a_venue"],
        "network": name["a_network"],
        "signer": name["a_signer"],
        "lane": lane,
        "owner": "",
        "epoch": 0,
        "expires_at": now,
    }


def _is_own(owner: str) -> Any:
    return lambda row: row.owner == owner


def _is_free(now: datetime) -> Any:
    return lambda row: row.expires_at <= now


def _own(connection: Connection, row: Row[Any], owner: str, now: datetime) -> LaneLease:
    """Take a lane for a lease from now; another's, or one that had run out, in a new epoch."""
    is_new = row.owner != owner or row.expires_at <= now
    lease = LaneLease(
        venue=row.venue,
        network=Network(row.network),
        signer=row.signer,
        lane=row.lane,
        owner=owner,
        epoch=row.epoch + 1 if is_new else row.epoch,
        expires_at=now + LEASE,
    )
    values = {
        **_lane(row.venue, lease.network, row.signer, row.lane),
        "an_owner": owner,
        "an_epoch": lease.epoch,
        "an_expiry": lease.expires_at,
    }
    connection.execute(_OWN, values)
    return lease


def _read(row: Row[Any]) -> LaneLease:
    return LaneLease(
        venue=row.venue,
        network=Network(row.network),
        signer=row.signer,
        lane=row.lane,
        owner=row.owner,
        epoch=row.epoch,
        expires_at=row.expires_at,
    )


def _lane(venue: str, network: Network, signer: str, lane: str) -> dict[str, Any]:
    return {"a_venue": venue, "a_network": network.value, "a_signer": signer, "a_lane": lane}


def _of(table: Any) -> Any:
    return and_(
        table.c.venue == bindparam("a_venue"),
        table.c.network == bindparam("a_network"),
        table.c.signer == bindparam("a_signer"),
        table.c.lane == bindparam("a_lane"),
    )


_OF_SIGNER = (
    select(lane_leases)
    .where(
        lane_leases.c.venue == bindparam("a_venue"),
        lane_leases.c.network == bindparam("a_network"),
        lane_leases.c.signer == bindparam("a_signer"),
    )
    .order_by(lane_leases.c.lane)
)
_OWN = (
    update(lane_leases)
    .where(_of(lane_leases))
    .values(
        owner=bindparam("an_owner"),
        epoch=bindparam("an_epoch"),
        expires_at=bindparam("an_expiry"),
    )
)
_RELEASE = (
    update(lane_leases)
    .where(lane_leases.c.owner == bindparam("an_owner"))
    .values(expires_at=bindparam("an_expiry"))
)
_LAST = select(signers.c.last_nonce).where(_of(signers))
_ROW = select(commands).where(
    _of(commands),
    commands.c.nonce == bindparam("a_nonce"),
    commands.c.command != "noop",
    commands.c.nonce_returned.is_(False),
)
