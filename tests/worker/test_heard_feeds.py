"""What a worker hears of feeds: orders, by nudges and by itself, and whether a feed is live."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from bus.nudges import Nudge, NudgeKind
from domain.errors import Unavailable
from domain.orders import OrderReport, Verdict
from domain.ports import OrderStore
from domain.session_states import FEED_HEARD_LASTS, FeedSession
from serving.heard_feeds import ASK_EVERY_S, MISSED_FOR_S, HeardFeeds
from tests.activities.floor import ACCOUNT_ID, Floor, an_order, now
from tests.domain.building import a_row

ROW = replace(a_row(), account_id=ACCOUNT_ID)


class States:
    """What was said of a feed; it can be away, or never answer."""

    def __init__(self) -> None:
        self.said: FeedSession | None = None
        self.away = False
        self.hangs = False
        self.asked = 0

    def say(self, at: datetime, *, live: bool = True) -> None:
        self.said = FeedSession(
            account_id=ACCOUNT_ID, said_at=at, live=live, since=at, reason="test"
        )

    async def feed_of(self, account_id: str) -> FeedSession | None:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        if self.hangs:
            await asyncio.Event().wait()
        return self.said if account_id == ACCOUNT_ID else None


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def feeds(states: States, orders: OrderStore | None = None) -> tuple[HeardFeeds, Clock]:
    clock = Clock()
    away: Any = Away()
    return HeardFeeds(orders or away, states, clock=clock), clock


class Away:
    """A database that does not answer."""

    async def get(self, order_id: str) -> None:
        raise Unavailable("away")


async def test_a_feed_is_live_while_somebody_says_so_just_now() -> None:
    states = States()
    heard, clock = feeds(states)
    assert not await heard.is_live(ACCOUNT_ID)
    for at, live, expected in (
        (now(), True, True),
        (now(), False, False),
        (now() - FEED_HEARD_LASTS - timedelta(seconds=1), True, False),
    ):
        clock.s += ASK_EVERY_S
        states.say(at, live=live)
        assert await heard.is_live(ACCOUNT_ID) is expected
    assert not await heard.is_live("another")


async def test_it_is_not_asked_for_each_order_nor_waited_for() -> None:
    states = States()
    states.say(now())
    heard, clock = feeds(states)
    assert [await heard.is_live(ACCOUNT_ID) for _ in range(5)] == [True] * 5
    assert states.asked == 1
    clock.s += ASK_EVERY_S
    states.hangs = True
    async with asyncio.timeout(5):
        assert not await heard.is_live(ACCOUNT_ID)
    clock.s += ASK_EVERY_S
    states.hangs, states.away = False, True
    assert not await heard.is_live(ACCOUNT_ID)


async def test_a_feed_that_missed_something_is_not_waited_for_a_while() -> None:
    states = States()
    states.say(now())
    heard, clock = feeds(states)
    with heard.follow(ROW) as news:
        assert await news.is_live()
        news.was_missed()
        assert not await news.is_live()
        clock.s += MISSED_FOR_S
        assert await news.is_live()


async def test_what_was_told_is_read_from_storage(floor: Floor) -> None:
    placed = await floor.place(an_order())
    row = await floor.row(placed.order)
    heard, _ = feeds(States(), floor.storage.orders)
    with heard.follow(row) as news:
        told = await news.told()
        assert told is not None and told.verdict is Verdict.ACCEPTED
        report = OrderReport(
            order_id=placed.order.order_id, revision=0, verdict=Verdict.CANCELED, reason="by hand"
        )
        await floor.storage.orders.fold(report)
        told = await news.told()
        assert told is not None and (told.verdict, told.reason) == (Verdict.CANCELED, "by hand")
    with heard.follow(replace(row, target_revision=3)) as of_no_revision:
        assert await of_no_revision.told() is None
    with heard.follow(ROW) as of_no_order:
        assert await of_no_order.told() is None


async def test_a_database_that_is_away_has_told_nothing() -> None:
    heard, _ = feeds(States())
    with heard.follow(ROW) as news:
        assert await news.told() is None


@pytest.mark.parametrize(
    ("nudge", "wakes"),
    [
        (Nudge(kind=NudgeKind.ORDERS, account_id=ACCOUNT_ID), True),
        (Nudge(kind=NudgeKind.ORDERS), True),
        (Nudge(kind=NudgeKind.ORDERS, account_id="another"), False),
        (Nudge(kind=NudgeKind.ACCOUNT, account_id=ACCOUNT_ID), False),
    ],
)
async def test_a_nudge_wakes_who_follows_that_account(
    nudge: Nudge, wakes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.heard_feeds.LOOK_EVERY_S", 30.0)
    heard, _ = feeds(States())
    with heard.follow(ROW) as news:
        await news.told()
        heard.nudged(nudge)
        waiting = asyncio.create_task(news.changed(30.0))
        await asyncio.wait([waiting], timeout=5.0 if wakes else 0.05)
        assert waiting.done() is wakes
        waiting.cancel()
        await asyncio.wait([waiting])
    heard.nudged(nudge)


async def test_without_a_nudge_it_looks_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.heard_feeds.LOOK_EVERY_S", 0.01)
    heard, _ = feeds(States())
    with heard.follow(ROW) as news:
        async with asyncio.timeout(5):
            await news.changed(30.0)
