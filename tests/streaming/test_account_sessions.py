"""What is known of a followed account's feed, and how it is told to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import pytest

from bus.connection import Bus
from bus.session_states import SessionStatesOnBus
from domain.errors import Unavailable
from domain.session_states import FeedSession
from storage.opening import Storage
from streaming.account_sessions import AccountSessions
from tests.bus.valkey import running_valkey
from tests.streaming.building import T0
from tests.streaming.floor import open_floor
from tests.streaming.stage import Stage
from tests.streaming.test_app import working
from tests.streaming.test_bridge import Workflows
from tests.streaming.test_ingest import until


class News:
    """Takes what is said, when it can be reached."""

    def __init__(self) -> None:
        self.said: list[tuple[FeedSession, ...]] = []
        self.away = False

    async def say_feeds(self, feeds: Iterable[FeedSession]) -> None:
        if self.away:
            raise Unavailable("away")
        self.said.append(tuple(feeds))


def test_since_when_it_is_live_and_what_was_heard() -> None:
    moment = T0
    sessions = AccountSessions(News(), now=lambda: moment)
    sessions.heard("a", "orders")
    assert sessions.states() == ()
    sessions.went("a", live=True, reason="subscribed", tokens=lambda account_id: {account_id: T0})
    moment = T0 + timedelta(seconds=5)
    sessions.went("a", live=True, reason="subscribed anew", tokens=lambda account_id: None)
    sessions.heard("a", "orders")
    sessions.heard("a", "fills")
    (state,) = sessions.states()
    assert (state.live, state.since, state.reason) == (True, T0, "subscribed anew")
    assert state.channels == {"orders": moment, "fills": moment}
    assert (state.said_at, state.tokens) == (moment, None)
    moment = T0 + timedelta(seconds=7)
    sessions.went("a", live=False, reason="lost", tokens=lambda account_id: {account_id: T0})
    (state,) = sessions.states()
    assert (state.live, state.since, state.tokens) == (False, moment, {"a": T0})
    assert state.channels["orders"] == T0 + timedelta(seconds=5)
    sessions.forget("a")
    assert sessions.states() == ()


async def test_it_is_said_soon_after_a_change_and_again_when_nobody_heard() -> None:
    news = News()
    sessions = AccountSessions(news, every_s=0.05)
    task = asyncio.create_task(sessions.run())
    try:
        await until(lambda: len(news.said) >= 2)
        sessions.went("a", live=True, reason="")
        await until(lambda: bool(news.said[-1]))
        news.away = True
        sessions.went("a", live=False, reason="lost")
        await asyncio.sleep(0.06)
        assert news.said[-1][0].live
        news.away = False
        await until(lambda: not news.said[-1][0].live)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_followed_account_is_told_over_the_bus(
    stage: Stage, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_floor(stage) as floor:
        monkeypatch.setenv("HYPERLIQUID_PAPER_URL", floor.sim.url)
        account = await floor.open_account()
        with running_valkey() as valkey:
            bus = Bus(valkey.url)
            states = SessionStatesOnBus(bus)
            async with working(storage, Workflows(), valkey):
                read: list[FeedSession | None] = [None]

                async def is_live() -> bool:
                    read[0] = (await states.read(account)).feed
                    return read[0] is not None and read[0].live and "account" in read[0].channels

                async with asyncio.timeout(15):
                    while not await is_live():
                        await asyncio.sleep(0.02)
                await floor.control("/maintenance", {"on": True})
                async with asyncio.timeout(15):
                    while await is_live():
                        await asyncio.sleep(0.02)
            await bus.close()
    feed = read[0]
    assert feed is not None and not feed.live and feed.reason
    assert feed.since > account.created_at and feed.tokens is None
