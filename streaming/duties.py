"""A part that one process of a group does for all: it runs where the lease is, and only there.

Knows nothing of what the part does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from bus.lease_rules import Role
from bus.leases import Lease
from streaming.racing import until_first


class Duty:
    """One part under one lease. `ended` is told when the part has stopped here."""

    def __init__(
        self,
        lease: Lease,
        work: Callable[[], Coroutine[Any, Any, None]],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._lease = lease
        self._work = work
        self._ended = ended

    @property
    def acts(self) -> bool:
        """Whether the part runs here."""
        return self._lease.acts

    @property
    def role(self) -> Role:
        """What this process is to the part."""
        return self._lease.role

    async def run(self) -> None:
        """Run the part whenever it is this process's to do, until cancelled."""
        leasing = asyncio.create_task(self._lease.run(), name=f"lease-{self._lease.name}")
        try:
            while True:
                role = self._lease.role
                if not role.acts:
                    await self._lease.changed_from(role)
                    continue
                try:
                    await until_first(self._work(), self._no_more())
                finally:
                    self._ended()
        finally:
            leasing.cancel()
            await asyncio.wait([leasing])

    async def _no_more(self) -> None:
        """Wait until another is known to have it: a pause alone is no reason to stop."""
        role = self._lease.role
        while role is not Role.OTHER:
            role = await self._lease.changed_from(role)
