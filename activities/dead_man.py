"""Renewing dead man's switches: a chore of the worker that holds the venues' keys.

Not a workflow: it must fall silent when the worker does. Knows no venue and no SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from activities.access import ConnectorSource
from domain.dead_man import DeadManStore, DeadManSwitch, Keeper, WatchedSwitches
from domain.errors import PerpDexError, Unavailable
from domain.ports import TradingAccessSource
from domain.signer_nonces import SignerNonces
from domain.watchdog import FEED, WATCHDOG, LifeSigns, renewed

LEASE = timedelta(seconds=5)
"""For so long no other worker takes a switch that this one is renewing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManRenewal:
    """Arms and disarms what is due: at the venue, or where that has no switch for our watchdog.

    `temporal_at` tells when Temporal last answered this process.
    """

    switches: DeadManStore
    watched: WatchedSwitches
    access: TradingAccessSource
    connectors: ConnectorSource
    nonces: SignerNonces
    now: Callable[[], datetime]
    temporal_at: Callable[[], datetime | None] = lambda: None

    async def run(self) -> tuple[DeadManSwitch, ...]:
        """Renew every switch that is due; return what is known of them now.

        Raises:
            Unavailable: the database does not answer; run again later.
        """
        claimed = await self.switches.claim(lease=LEASE)
        renewed = await asyncio.gather(
            *(self._renew(switch) for switch in claimed), return_exceptions=True
        )
        for result in renewed:
            if isinstance(result, BaseException):
                raise result
        return tuple(each for each in renewed if isinstance(each, DeadManSwitch))

    async def _renew(self, switch: DeadManSwitch) -> DeadManSwitch:
        is_venues = switch.kept_by is not Keeper.WATCHDOG
        if is_venues and switch.armed_until is not None and switch.has_gone_off(self.now()):
            await self.switches.note_trigger(switch.account_id, switch.armed_until)
            switch = replace(switch, armed_until=None)
        try:
            asked = await self._ask(switch)
        except Unavailable:
            raise
        except PerpDexError as error:
            asked = switch.refused(str(error), self.now())
        return await self.switches.keep(asked)

    async def _ask(self, switch: DeadManSwitch) -> DeadManSwitch:
        access = await self.access.open(switch.account_id)
        account = access.account
        connector = await self.connectors.connector(account.venue, account.network)
        if not connector.capabilities.schedule_cancel:
            return renewed(switch, await self._signs(switch.account_id), self.now())
        nonce = await self.nonces.take(account.venue, account.network, account.signer)
        # Last, so that the time is as far ahead as it can be when the venue reads it.
        asked_at = self.now()
        wanted = switch.wanted_at(asked_at)
        result = await connector.schedule_cancel(access, wanted, nonce)
        kept = replace(switch, kept_by=Keeper.VENUE)
        return kept.answered(wanted, result, self.now())

    async def _signs(self, account_id: str) -> LifeSigns:
        return LifeSigns(
            temporal_at=self.temporal_at(),
            feed_at=await self.watched.sign(FEED, account_id),
            watchdog_at=await self.watched.sign(WATCHDOG),
        )
