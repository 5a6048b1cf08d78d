"""Lanes inside the ledger's transaction: whose one is, and which nonces went back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, select, update

from domain.errors import Unavailable
from domain.ledger import CommandDraft, CommandKey
from storage.command_rows import HAS_KEY, key_parameters
from storage.tables import commands, lane_leases, signers

_OF_LANE = and_(
    lane_leases.c.venue == bindparam("a_venue"),
    lane_leases.c.network == bindparam("a_network"),
    lane_leases.c.signer == bindparam("a_signer"),
    lane_leases.c.lane == bindparam("a_lane"),
)
_LEASE = select(lane_leases.c.epoch, lane_leases.c.expires_at).where(_OF_LANE)
_LANE_OF = select(
    commands.c.venue, commands.c.network, commands.c.signer, commands.c.lane, commands.c.nonce
).where(HAS_KEY, commands.c.lane != "", commands.c.nonce.is_not(None), commands.c.command != "noop")
_RETURN = update(commands).where(HAS_KEY).values(nonce_returned=True)
_SIGNER = and_(
    signers.c.venue == bindparam("a_venue"),
    signers.c.network == bindparam("a_network"),
    signers.c.signer == bindparam("a_signer"),
    signers.c.lane == bindparam("a_lane"),
)
_LAST = select(signers.c.last_nonce).where(_SIGNER)
_SET_LAST = update(signers).where(_SIGNER).values(last_nonce=bindparam("a_last_nonce"))
#: How many commands have the lane's nonce, and how many of them have not given it back.
_USERS = select(func.count(), func.count().filter(commands.c.nonce_returned.is_(False))).where(
    commands.c.venue == bindparam("a_venue"),
    commands.c.network == bindparam("a_network"),
    commands.c.signer == bindparam("a_signer"),
    commands.c.lane == bindparam("a_lane"),
    commands.c.nonce == bindparam("a_nonce"),
    commands.c.command != "noop",
)


def check_lane(connection: Connection, draft: CommandDraft, now: datetime) -> None:
    """Refuse a command of a lane that another worker owns by now.

    Raises:
        Unavailable: nothing is inserted; ask again, by a lane that is owned.
    """
    held = connection.execute(
        _LEASE,
        {
            "a_venue": draft.venue,
            "a_network": draft.network.value,
            "a_signer": draft.signer,
            "a_lane": draft.lane,
        },
    ).first()
    if held is None or held.epoch != draft.lane_epoch or held.expires_at <= now:
        raise Unavailable(
            f"lane {draft.lane} of {draft.signer} at {draft.venue} is not this worker's any more; "
            "nothing was sent"
        )


def give_back(connection: Connection, key: CommandKey) -> None:
    """Let the next command of the lane have a command's nonce, which was never taken."""
    found = connection.execute(_LANE_OF, key_parameters(key)).first()
    if found is None:
        return
    connection.execute(_RETURN, key_parameters(key))
    lane = {
        "a_venue": found.venue,
        "a_network": found.network,
        "a_signer": found.signer,
        "a_lane": found.lane,
    }
    last = connection.execute(_LAST, lane).scalar()
    before = last
    while last is not None:
        users, holding = connection.execute(_USERS, lane | {"a_nonce": last}).one()
        if not users or holding:
            break
        last -= 1
    if last != before:
        connection.execute(_SET_LAST, lane | {"a_last_nonce": last})
