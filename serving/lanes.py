"""The worker's lanes at venues that count nonces for each key: owned from start to stop.

A worker that finds no key of its own at an account says so and does not start: with fewer keys
than workers, one of them could send nothing.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket

from activities.access import CommandParts
from activities.lanes import LaneKeeper
from domain.accounts import Account
from domain.errors import NotFound, Unavailable, VenueRefused, VenueUnavailable
from domain.lanes import LEASE
from domain.ports import TradingAccessSource
from serving.settings import Parts, now
from storage.opening import Storage
from venues.lanes import Laned
from venues.started import Connectors

RENEW_EVERY_S = 1.0
#: So long a worker that starts waits for the keys of one that died.
CLAIM_WITHIN_S = LEASE.total_seconds() + 2.0
_ASK_EVERY_S = 0.5


def lane_keeper(
    storage: Storage, access: TradingAccessSource, connectors: Connectors, parts: Parts
) -> LaneKeeper:
    """Return what gives this process's commands their lanes."""
    injected = CommandParts(
        ledger=parts.ledger(storage.ledger),
        orders=storage.orders,
        access=access,
        connectors=connectors,
        checkpoints=parts.checkpoints,
        now=now,
    )
    return LaneKeeper(
        store=storage.lanes,
        ledger=injected.ledger,
        owner=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
        burn=parts.resolution(injected).burn,
        now=now,
    )


async def claim_lanes(
    keeper: LaneKeeper,
    storage: Storage,
    access: TradingAccessSource,
    connectors: Connectors,
    *,
    within_s: float = CLAIM_WITHIN_S,
) -> None:
    """Own a lane for orders and one for cancels of each account that is served.

    Waits for the lanes of a worker that died; an account whose venue or credential cannot be had
    now is left to its first command.

    Raises:
        Unavailable: an account has fewer API keys than there are workers.
    """
    deadline = asyncio.get_running_loop().time() + within_s
    for account in await storage.accounts.all_active():
        if account.venue in connectors.venues:
            await _claim(keeper, access, connectors, account, deadline)


async def _claim(
    keeper: LaneKeeper,
    access: TradingAccessSource,
    connectors: Connectors,
    account: Account,
    deadline: float,
) -> None:
    try:
        connector = await connectors.connector(account.venue, account.network)
        if not isinstance(connector, Laned):
            return
        opened = await access.open(account.account_id)
    except (VenueUnavailable, VenueRefused, NotFound):
        return
    while True:
        try:
            await keeper.claim(connector, opened)
        except Unavailable:
            if asyncio.get_running_loop().time() >= deadline:
                raise
            await asyncio.sleep(_ASK_EVERY_S)
        else:
            return
