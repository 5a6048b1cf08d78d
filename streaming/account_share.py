"""Which process of a group follows the accounts of a place, and what the others know of them.

One lease for each place: its owner follows the private feed and catches up; what it stores the
others find in storage, and how fresh that is, here. With Valkey away every process follows all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Final

from bus.connection import Bus
from bus.group_freshness import AccountFreshness, said_freshness, say_freshness
from bus.lease_rules import Role
from bus.leases import Lease
from domain.accounts import Network
from domain.errors import Unavailable
from streaming.freshness import FreshnessBoard

EXCHANGE_S: Final = 1.0

_log = logging.getLogger(__name__)

_Place = tuple[str, Network]


class AccountShare:
    """Keeps a lease for each place with accounts; `changed` hears of every change of role."""

    def __init__(self, bus: Bus, board: FreshnessBoard, changed: Callable[[], None]) -> None:
        self._bus = bus
        self._board = board
        self._changed = changed
        self._accounts: dict[_Place, tuple[str, ...]] = {}
        self._leases: dict[_Place, Lease] = {}
        self._wake = asyncio.Event()
        self._places_changed = asyncio.Event()

    def keep(self, accounts: Mapping[_Place, Collection[str]]) -> None:
        """Set the accounts that the group follows."""
        kept = {place: tuple(ids) for place, ids in accounts.items() if ids}
        if kept.keys() != self._accounts.keys():
            self._places_changed.set()
        self._accounts = kept

    def acts(self, place: _Place) -> bool:
        """Tell whether this process is to follow the accounts of a place."""
        return self.role(place).acts

    def is_anothers(self, place: _Place) -> bool:
        """Tell whether another process is known to follow them: a pause alone is no reason."""
        return self.role(place) is Role.OTHER

    def role(self, place: _Place) -> Role:
        """Return what this process is to a place."""
        lease = self._leases.get(place)
        return Role.UNDECIDED if lease is None else lease.role

    def roles(self) -> Mapping[_Place, Role]:
        """Return what this process is to each place."""
        return {place: lease.role for place, lease in self._leases.items()}

    def wake(self) -> None:
        """Tell the others soon: an account's state has changed here."""
        self._wake.set()

    async def run(self) -> None:
        """Keep leases and exchange states until cancelled."""
        holding: dict[_Place, asyncio.Task[None]] = {}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._exchange_forever())
                while True:
                    self._places_changed.clear()
                    for place in self._accounts.keys() - holding.keys():
                        name = f"accounts:{place[0]}:{place[1].value}"
                        lease = self._leases[place] = Lease(self._bus, name, self._role_changed)
                        holding[place] = tasks.create_task(lease.run(), name=f"lease-{name}")
                    for place in holding.keys() - self._accounts.keys():
                        holding.pop(place).cancel()
                        del self._leases[place]
                    await self._places_changed.wait()
        finally:
            self._leases.clear()

    def _role_changed(self) -> None:
        self._changed()
        self._wake.set()

    async def _exchange_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(EXCHANGE_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            for place, accounts in list(self._accounts.items()):
                try:
                    await self._exchange(place, accounts)
                except Unavailable:
                    # What was said last holds until this process follows by itself.
                    continue

    async def _exchange(self, place: _Place, accounts: Collection[str]) -> None:
        match self.role(place):
            case Role.OWNER:
                states = {one: self._board.of(one) for one in accounts}
                said = {
                    one: AccountFreshness(state.live, state.reason) for one, state in states.items()
                }
                await say_freshness(self._bus, *place, said)
            case Role.OTHER:
                heard = await said_freshness(self._bus, *place)
                if self.role(place) is not Role.OTHER:
                    return
                for one in accounts:
                    state = heard.get(one, _NOBODY)
                    self._board.set(one, live=state.live, reason=state.reason)


_NOBODY: Final = AccountFreshness(False, "no process says that it follows its feed")
