"""Signs of life of accounts' feeds: only for whom it matters, and only while a feed is live."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from domain.dead_man import DeadManState, DeadManSwitch, Keeper
from domain.errors import Unavailable
from streaming.freshness import FreshnessBoard
from streaming.life_signs import LifeSigns

SWITCH = DeadManSwitch(
    account_id="watched",
    after_s=60,
    state=DeadManState.ARMING,
    set_by="local",
    set_at=datetime(2026, 11, 30, tzinfo=UTC),
)


class Switches:
    """Switches that are wanted, and the signs that were given."""

    def __init__(self, *wanted: DeadManSwitch) -> None:
        self.known = wanted
        self.signs: list[tuple[str, str]] = []
        self.error: Exception | None = None
        self.asked = asyncio.Event()

    async def wanted(self) -> tuple[DeadManSwitch, ...]:
        self.asked.set()
        if self.error is not None:
            raise self.error
        return self.known

    async def give_sign(self, part: str, scope: str = "") -> None:
        self.signs.append((part, scope))

    async def sign(self, part: str, scope: str = "") -> datetime | None:
        return None


async def test_a_live_feed_is_told_of_and_no_other() -> None:
    board = FreshnessBoard(lambda: 0.0)
    switches = Switches(
        SWITCH,
        replace(SWITCH, account_id="stale"),
        replace(SWITCH, account_id="the venue's own", kept_by=Keeper.VENUE),
        replace(SWITCH, account_id="never followed"),
    )
    for account_id in ("watched", "the venue's own", "not wanted"):
        board.set(account_id, live=True, reason="subscribed")
    board.set("stale", live=False, reason="lost")
    await LifeSigns(switches, board).say()
    assert switches.signs == [("feed", "watched")]


async def test_a_database_away_ends_nothing() -> None:
    board = FreshnessBoard(lambda: 0.0)
    board.set("watched", live=True, reason="subscribed")
    switches = Switches(SWITCH)
    switches.error = Unavailable("the database does not answer")
    working = asyncio.create_task(LifeSigns(switches, board).run())
    await switches.asked.wait()
    await asyncio.sleep(0)
    assert not working.done()
    working.cancel()
    await asyncio.wait([working])
    assert switches.signs == []
