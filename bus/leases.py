"""Leases in Valkey: of several processes that could do a thing, one does it.

Never needed for correctness: two owners for a moment cost connections, nothing else. Knows nothing
of what is leased.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from bus.connection import Bus
from bus.lease_rules import LeaseView, Role
from domain.errors import Unavailable

KEY: Final = "perp-dex:lease:"
#: A dead owner's lease ends after so long,
TTL_S = 3.0
#: and others look so often: together the bound within which another takes over.
LOOK_EVERY_S = 1.0

# Take it, or keep it: by the owner's token, in one step.
_TAKE: Final = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_LEAVE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

_log = logging.getLogger(__name__)


class Lease:
    """One thing that one process of a group should do; `run` tries to be the one.

    `on_change` hears of every change of `role`, from `run`.
    """

    def __init__(
        self,
        bus: Bus,
        name: str,
        on_change: Callable[[], None] = lambda: None,
        *,
        ttl_s: float | None = None,
        look_every_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._bus = bus
        self._on_change = on_change
        self._key = bus.key(KEY + name)
        self._token = os.urandom(12).hex()
        self._ttl_s = TTL_S if ttl_s is None else ttl_s
        self._look_every_s = LOOK_EVERY_S if look_every_s is None else look_every_s
        self._clock = clock
        self._view = LeaseView(ttl_s=self._ttl_s, alone_after_s=self._ttl_s)
        self._told = Role.UNDECIDED
        self._changed = asyncio.Event()

    @property
    def role(self) -> Role:
        """What this process is now; a process that was paused finds its lease expired."""
        return self._view.role(self._clock())

    @property
    def acts(self) -> bool:
        """Whether this process is to do it."""
        return self.role.acts

    async def changed_from(self, role: Role) -> Role:
        """Wait until the role is another one; return it."""
        while (now := self.role) is role:
            self._changed.clear()
            # A lease also expires by itself, without anybody saying so.
            try:
                async with asyncio.timeout(self._look_every_s):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return now

    async def run(self) -> None:
        """Try to be the owner until cancelled; leave the lease to others then."""
        try:
            while True:
                asked_at = self._clock()
                try:
                    await self.look()
                except Unavailable:
                    self._view.not_answered(self._clock())
                self._tell()
                rest_s = self._look_every_s - (self._clock() - asked_at)
                await asyncio.sleep(max(rest_s, self._look_every_s / 4))
        finally:
            await self._leave()

    async def look(self) -> None:
        """Ask once, taking the lease if it is free.

        Raises:
            Unavailable: Valkey does not answer.
        """
        asked_at = self._clock()
        ttl_ms = str(int(self._ttl_s * 1000))
        answer = await self._bus.call(
            lambda redis: _evaluated(redis.eval(_TAKE, 1, self._key, self._token, ttl_ms))
        )
        self._view.answered(ours=answer == 1, asked_at=asked_at)

    def _tell(self) -> None:
        role = self.role
        if role is not self._told:
            _log.info("a lease", extra={"lease": self.name, "was": self._told, "role": role})
            self._told = role
            self._changed.set()
            self._on_change()

    async def _leave(self) -> None:
        was_owner = self.role is Role.OWNER
        self._view = LeaseView(ttl_s=self._ttl_s, alone_after_s=self._ttl_s)
        self._told = Role.UNDECIDED
        self._changed.set()
        if was_owner:
            try:
                await self._bus.call(
                    lambda redis: _evaluated(redis.eval(_LEAVE, 1, self._key, self._token))
                )
            except Unavailable:
                _log.info("a lease is left to expire", extra={"lease": self.name})


async def _evaluated(answer: Awaitable[Any] | Any) -> Any:
    """Wait for a script's answer: its type says that it need not be awaited, which it has to."""
    return await answer
