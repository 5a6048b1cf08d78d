"""Saying in storage that accounts are followed, where somebody's watchdog waits for it.

Only for accounts whose switch is wanted and is not the venue's own; without such it writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from domain.dead_man import Keeper, WatchedSwitches
from domain.errors import PerpDexError
from domain.watchdog import FEED
from streaming.freshness import FreshnessBoard

SAY_EVERY_S: Final = 1.5

_log = logging.getLogger(__name__)


class LifeSigns:
    """Says it again and again while an account's feed is live."""

    def __init__(self, switches: WatchedSwitches, board: FreshnessBoard) -> None:
        self._switches = switches
        self._board = board

    async def run(self) -> None:
        """Say it until cancelled."""
        failing = False
        while True:
            try:
                await self.say()
                failing = False
            except PerpDexError as error:
                if not failing:
                    _log.warning("signs of life cannot be written", extra={"error": str(error)})
                failing = True
            await asyncio.sleep(SAY_EVERY_S)

    async def say(self) -> None:
        """Say it now of each account whose feed is live.

        Raises:
            Unavailable: the database does not answer.
        """
        for switch in await self._switches.wanted():
            if switch.kept_by is Keeper.VENUE:
                continue
            if self._board.of(switch.account_id).live:
                await self._switches.give_sign(FEED, switch.account_id)
