"""Nonces: the last one of each signer and lane, moved on inside the ledger's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, update

from domain.accounts import Network
from domain.errors import CorruptState
from domain.ledger import CommandDraft, NonceRule
from storage.clock import Clock, milliseconds
from storage.engine import Database
from storage.tables import signers


class Nonces:
    """Takes nonces under the signer's row, so that no two commands of a signer share one."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._now = now
        fresh = database.insert(signers)
        signer = ["venue", "network", "signer", "lane"]
        self._take_time = fresh.on_conflict_do_update(
            index_elements=signer,
            set_={
                "last_nonce": database.greatest(fresh.excluded.last_nonce, signers.c.last_nonce + 1)
            },
        ).returning(signers.c.last_nonce)
        self._raise = fresh.on_conflict_do_update(
            index_elements=signer,
            set_={"last_nonce": database.greatest(fresh.excluded.last_nonce, signers.c.last_nonce)},
        ).returning(signers.c.last_nonce)

    def take(self, connection: Connection, draft: CommandDraft) -> int | None:
        """Return the draft's nonce: its own where it brings one, else the signer's next.

        Raises:
            CorruptState: the venue counts nonces and the signer's last one is not known.
        """
        if draft.nonce is not None:
            return draft.nonce
        if draft.nonce_rule in (NonceRule.TIME_MS, NonceRule.NAMES_ORDER):
            return self.take_time(
                connection,
                venue=draft.venue,
                network=draft.network,
                signer=draft.signer,
                lane=draft.lane,
            )
        row = _signer(draft.venue, draft.network, draft.signer, draft.lane)
        if draft.nonce_rule is NonceRule.SEQUENCE:
            named = {f"a_{name}": value for name, value in row.items()}
            counted: int | None = connection.execute(_TAKE_NEXT, named).scalar()
            if counted is None:
                raise CorruptState(
                    f"expected the last nonce of signer {draft.signer!r} lane {draft.lane!r} at "
                    f"{draft.venue!r}, found none; read it from the venue first"
                )
            return counted
        return None

    def take_time(
        self, connection: Connection, *, venue: str, network: Network, signer: str, lane: str
    ) -> int:
        """Return the time in ms, or one more than the signer's last nonce if that is later."""
        values = _signer(venue, network, signer, lane) | {"last_nonce": milliseconds(self._now())}
        taken: int = connection.execute(self._take_time, values).scalar_one()
        return taken

    def learn(
        self,
        connection: Connection,
        *,
        venue: str,
        network: Network,
        signer: str,
        lane: str,
        last_nonce: int,
    ) -> int:
        """Remember that the venue has seen `last_nonce`; never goes back; return what holds."""
        values = _signer(venue, network, signer, lane) | {"last_nonce": last_nonce}
        held: int = connection.execute(self._raise, values).scalar_one()
        return held


def _signer(venue: str, network: Network, signer: str, lane: str) -> dict[str, Any]:
    return {"venue": venue, "network": network.value, "signer": signer, "lane": lane}


_TAKE_NEXT = (
    update(signers)
    .where(
        signers.c.venue == bindparam("a_venue"),
        signers.c.network == bindparam("a_network"),
        signers.c.signer == bindparam("a_signer"),
        signers.c.lane == bindparam("a_lane"),
    )
    .values(last_nonce=signers.c.last_nonce + 1)
    .returning(signers.c.last_nonce)
)
