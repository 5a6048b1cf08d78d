"""Lanes of venues that count nonces for each key: who sends on which, and one after the other.

A worker owns one lane for orders and one for cancels of each account, by a lease. Before anything
is sent on a lane that came to it, or on which something was not answered, it finds out with the
venue how far the lane is and closes what is open there. Knows no venue and no SQL.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from domain.accounts import Network, TradingAccess
from domain.commands import CommandKind
from domain.errors import CorruptState, Unavailable, VenueRefused, VenueUnavailable
from domain.lanes import LEASE, LaneLease, LaneStore
from domain.ledger import CommandDraft, CommandRow
from domain.outcomes import Accepted, Outcome
from domain.ports import IntentLedger
from venues.connector import Connector
from venues.lanes import Laned

#: So many nonces a lane may be behind: more than were ever under way at once.
_BEHIND_MAX = 64
_log = logging.getLogger(__name__)

#: Uses up the nonce of a command with another transaction; see `activities.burning`.
Burn = Callable[[Connector, TradingAccess, CommandRow], Awaitable[Outcome | None]]
Place = tuple[str, Network, str]


class Lanes(Protocol):
    """Gives commands their lanes."""

    def turn(
        self, connector: Connector, access: TradingAccess, draft: CommandDraft
    ) -> AbstractAsyncContextManager[CommandDraft]:
        """Hold a lane from reserving a command to its outcome; yield the draft with its lane.

        At a venue without lanes the draft is yielded as it is.

        Raises:
            Unavailable: no lane is free, or the venue does not say how far it is; nothing was sent.
        """
        ...


class NoLanes:
    """Lanes of a process that has none to give: drafts stay as they are."""

    @asynccontextmanager
    async def turn(
        self, connector: Connector, access: TradingAccess, draft: CommandDraft
    ) -> AsyncIterator[CommandDraft]:
        """Yield the draft."""
        if isinstance(connector, Laned):
            raise CorruptState(f"expected lanes for commands to {draft.venue}, found none")
        yield draft


class SpareLane:
    """Lanes of a process that owns none: an emergency, beside workers that may be running.

    Its commands go by the lane that is nobody's, with the nonce that the venue names; where
    somebody takes that first, the venue refuses the command, and nothing was sent.
    """

    @asynccontextmanager
    async def turn(
        self, connector: Connector, access: TradingAccess, draft: CommandDraft
    ) -> AsyncIterator[CommandDraft]:
        """Yield the draft with the spare lane; see the port."""
        if not isinstance(connector, Laned):
            yield draft
            return
        lane = connector.lanes_of(access).spare
        try:
            nonce = await connector.next_nonce(access, lane)
        except (VenueUnavailable, VenueRefused) as error:
            raise Unavailable(
                f"the venue does not name the next nonce of lane {lane}: {error}; nothing was sent"
            ) from None
        sign = connector.message_signer(access, lane)
        yield replace(draft, lane=lane, lane_epoch=None, nonce=nonce, sign=sign)


@dataclass(slots=True, kw_only=True)
class LaneKeeper:
    """Implements `Lanes` for one worker, called `owner` in the leases."""

    store: LaneStore
    ledger: IntentLedger
    owner: str
    burn: Burn
    now: Callable[[], datetime]
    _leases: dict[tuple[str, Network, str, str], LaneLease] = field(default_factory=dict)
    _locks: dict[tuple[str, Network, str, str], asyncio.Lock] = field(default_factory=dict)

    @asynccontextmanager
    async def turn(
        self, connector: Connector, access: TradingAccess, draft: CommandDraft
    ) -> AsyncIterator[CommandDraft]:
        """Hold a lane; see the port."""
        if not isinstance(connector, Laned):
            yield draft
            return
        place = (draft.venue, draft.network, draft.signer)
        wanted = await self._wanted(connector, access, draft)
        lane = await self._lane(connector, access, place, wanted)
        async with self._lock(place, lane):
            lease = await self._leased(connector, access, place, lane)
            if not connector.lane_is_clear(access, lane):
                await self._clear(connector, connector, access, place, lane)
            yield replace(
                draft,
                lane=lane,
                lane_epoch=lease.epoch,
                sign=connector.message_signer(access, lane),
            )

    async def clear(self, connector: Connector, access: TradingAccess) -> None:
        """Close what is open on every lane that this worker owns of an account."""
        if not isinstance(connector, Laned):
            return
        account = access.account
        place = (account.venue, account.network, account.signer)
        for lease in self._owned(place):
            async with self._lock(place, lease.lane):
                if not connector.lane_is_clear(access, lease.lane):
                    await self._clear(connector, connector, access, place, lease.lane)

    async def claim(self, connector: Connector, access: TradingAccess) -> None:
        """Own the lanes that a worker needs of an account.

        Raises:
            Unavailable: other workers own all of them: there are fewer keys than workers.
        """
        if not isinstance(connector, Laned):
            return
        account, lanes = access.account, connector.lanes_of(access)
        place = (account.venue, account.network, account.signer)
        for wanted in (lanes.orders, lanes.cancels):
            await self._lane(connector, access, place, wanted)

    async def renew(self) -> None:
        """Renew every lease of this worker; one that was lost is forgotten. Raises Unavailable."""
        for key, lease in tuple(self._leases.items()):
            *place, lane = key
            if not lease.is_fresh(self.now()):
                await self._renew((place[0], place[1], place[2]), lane)  # type: ignore[arg-type]

    async def release(self) -> None:
        """Let other workers have the lanes. Raises Unavailable."""
        self._leases.clear()
        await self.store.release(self.owner)

    async def _wanted(
        self, connector: Laned, access: TradingAccess, draft: CommandDraft
    ) -> Sequence[str]:
        """Return the lanes that a command may go by.

        A cancel of an order that nothing has been seen of goes by that order's own lane, so that
        it cannot come before it.
        """
        lanes = connector.lanes_of(access)
        if draft.key.command is not CommandKind.CANCEL:
            return lanes.orders
        place = (draft.venue, draft.network, draft.signer)
        row = await self._placement(draft)
        if row is None or row.is_decided or (*place, row.lane) not in self._leases:
            return lanes.cancels
        if row.outcome is None:
            # Whoever is sending it has its lane; nobody does, then it will not be sent any more.
            async with self._lock(place, row.lane):
                row = await self._placement(draft)
        is_open = row is not None and row.outcome is not None and not row.is_decided
        return (row.lane,) if row is not None and is_open else lanes.cancels

    async def _placement(self, draft: CommandDraft) -> CommandRow | None:
        """Return the row of the placement that a cancel concerns."""
        rows = await self.ledger.of_order(draft.key.order_id)
        found = (
            row
            for row in rows
            if row.key.command is CommandKind.PLACE and row.target_revision == draft.target_revision
        )
        return next(found, None)

    async def _lane(
        self, connector: Laned, access: TradingAccess, place: Place, wanted: Sequence[str]
    ) -> str:
        """Return a lane of these that this worker owns, owning one if it has none."""
        for lane in wanted:
            if (*place, lane) in self._leases:
                return lane
        lease = await self._claimed(place, wanted)
        connector.forget_lane(access, lease.lane)
        return lease.lane

    async def _leased(
        self, connector: Laned, access: TradingAccess, place: Place, lane: str
    ) -> LaneLease:
        """Return the lease of a lane, renewed where it is time."""
        lease = self._leases.get((*place, lane))
        if lease is not None and lease.is_fresh(self.now()):
            return lease
        renewed = await self._renew(place, lane)
        if renewed is None:
            raise Unavailable(
                f"another worker owns lane {lane} of {place[2]} at {place[0]} now; nothing was sent"
            )
        if lease is None or renewed.epoch != lease.epoch:
            connector.forget_lane(access, lane)
        return renewed

    async def _renew(self, place: Place, lane: str) -> LaneLease | None:
        venue, network, signer = place
        lease = await self.store.claim(venue, network, signer, [lane], owner=self.owner)
        if lease is None:
            self._leases.pop((*place, lane), None)
            return None
        known = self._leases.get((*place, lane))
        if known is None or known.epoch == lease.epoch:
            self._leases[(*place, lane)] = lease
        return lease

    async def _claimed(self, place: Place, wanted: Sequence[str]) -> LaneLease:
        venue, network, signer = place
        lease = await self.store.claim(venue, network, signer, wanted, owner=self.owner)
        if lease is None:
            held = await self.store.holders(venue, network, signer)
            owners = {one.owner for one in held if one.lane in wanted}
            raise Unavailable(
                f"expected an API key of {signer} at {venue} for this worker, found {len(wanted)} "
                f"of its kind and {len(owners)} other workers that own them: give the account more "
                "keys, or run fewer workers (one that died frees its keys after "
                f"{LEASE.total_seconds():g} s)"
            )
        self._leases[(*place, lease.lane)] = lease
        return lease

    def _owned(self, place: Place) -> list[LaneLease]:
        return [lease for key, lease in self._leases.items() if key[:3] == place]

    def _lock(self, place: Place, lane: str) -> asyncio.Lock:
        return self._locks.setdefault((*place, lane), asyncio.Lock())

    async def _clear(
        self,
        laned: Laned,
        connector: Connector,
        access: TradingAccess,
        place: Place,
        lane: str,
    ) -> None:
        """Have venue and ledger agree on a lane's next nonce, closing what is open in between.

        Raises:
            Unavailable: the venue does not say, or what is open cannot be closed yet.
        """
        try:
            await self._agree(laned, connector, access, place, lane)
        except (VenueUnavailable, VenueRefused) as error:
            raise Unavailable(
                f"how far lane {lane} of {place[2]} at {place[0]} is, is not known: {error}"
            ) from None

    async def _agree(
        self,
        laned: Laned,
        connector: Connector,
        access: TradingAccess,
        place: Place,
        lane: str,
    ) -> None:
        venue, network, signer = place
        for _ in range(_BEHIND_MAX):
            expected = await laned.next_nonce(access, lane)
            last = await self.store.last_nonce(venue, network, signer, lane)
            if last is None or last < expected:
                await self.store.learn(venue, network, signer, lane, last_nonce=expected - 1)
                return
            row = await self.store.row_of(venue, network, signer, lane, expected)
            if row is None:
                raise CorruptState(
                    f"expected a command with nonce {expected} on lane {lane} of {signer}, found "
                    f"none, and the last one given out is {last}"
                )
            outcome = await self.burn(connector, access, row)
            _log.warning("lane %s of %s: nonce %d was open: %s", lane, signer, expected, outcome)
            if outcome is None or (
                not isinstance(outcome, Accepted) and outcome.kind != "rejected"
            ):
                raise Unavailable(
                    f"lane {lane} of {signer} at {venue} waits for nonce {expected} to be closed"
                )
        raise Unavailable(f"lane {lane} of {signer} at {venue} is far behind; it is being closed")
