"""Carrying out a dead man's switch that has gone off where the venue has none of its own.

The watchdog process does it, and a worker that still lives in its stead. Every cancel is a command
of the ledger, or of the journal while the database is away. Knows no venue and no SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from activities.emergency_halt import EmergencyHalt
from domain.dead_man import DeadManStore, DeadManSwitch
from domain.errors import PerpDexError, Unavailable
from domain.ports import TradingAccessSource
from domain.watchdog import is_due

CLEAN_TWICE = 2
PAUSE_S = 1.0
WITHIN_S = 60.0
"""So long one turn goes on; what is left is done in the next."""


class Alarm(Protocol):
    """Tells people that a switch has gone off."""

    async def went_off(self, switch: DeadManSwitch, said: str, *, done: bool) -> None:
        """Tell that a switch went off, and what came of it; never raises for its own sake."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchdog:
    """Cancels what rests on an account whose time has passed, until the venue shows nothing.

    `grace` is how long it leaves the work to another.
    """

    switches: DeadManStore
    access: TradingAccessSource
    halt: EmergencyHalt
    alarm: Alarm
    now: Callable[[], datetime]
    grace: timedelta = timedelta(0)

    async def is_wanted(self, switch: DeadManSwitch) -> bool:
        """Tell whether a switch has gone off and nobody has carried it out yet.

        With the database away what was known last holds: nobody can have moved the time on.
        """
        if not is_due(switch, self.now(), grace=self.grace):
            return False
        try:
            known = await self.switches.get(switch.account_id)
            if known is None or not is_due(known, self.now(), grace=self.grace):
                return False
            assert known.armed_until is not None  # noqa: S101 - it is due
            return not await self.switches.has_trigger(known.account_id, known.armed_until)
        except Unavailable:
            return True

    async def carry_out(self, switch: DeadManSwitch) -> bool:
        """Cancel, again and again for a minute; tell whether the venue shows that it is done.

        Ends at once when the trading side is back and has moved the time on; it has gone off all
        the same if anything was to be canceled by then.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WITHIN_S
        clean, said, acted = 0, "", False
        while clean < CLEAN_TWICE and loop.time() < deadline:
            if not await self.is_wanted(switch):
                if acted:
                    await self.note(switch)
                    await self.alarm.went_off(switch, said, done=True)
                return True
            pause_s = PAUSE_S
            try:
                access = await self.access.open(switch.account_id)
                sight = await self.halt.clear_once(access)
                said = sight.note or said
                acted = acted or bool(sight.orders)
                clean = 0 if sight.orders else clean + 1
                if not sight.orders and clean < CLEAN_TWICE:
                    pause_s = max(PAUSE_S, sight.visibility_delay_s)
            except PerpDexError as error:
                clean, said = 0, f"not known what is open: {error}"
            if clean < CLEAN_TWICE:
                await asyncio.sleep(pause_s)
        done = clean >= CLEAN_TWICE
        if done:
            await self.note(switch)
        await self.alarm.went_off(switch, said, done=done)
        return done

    async def note(self, switch: DeadManSwitch) -> bool:
        """Write down that a switch was carried out; tell whether the database took it."""
        assert switch.armed_until is not None  # noqa: S101 - it is due
        try:
            await self.switches.note_trigger(switch.account_id, switch.armed_until)
        except Unavailable:
            return False
        return True
