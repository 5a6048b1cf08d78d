"""What is said of sessions reaches whoever asks, over a real Valkey."""

from __future__ import annotations

import pytest

from bus.connection import Bus
from bus.session_states import EXPIRES_S, KEY, SessionStatesOnBus
from domain.errors import Unavailable
from domain.session_states import AccountSession
from tests.api.said_sessions import a_session
from tests.api.serving import PAPER, account
from tests.bus.valkey import ValkeyProcess


async def test_what_is_said_comes_back_exactly_and_does_not_stay_for_ever(bus: Bus) -> None:
    states, said = SessionStatesOnBus(bus), a_session(PAPER)
    assert await states.read(account()) == AccountSession()
    assert said.place is not None and said.trading is not None and said.feed is not None
    await states.say_trading([said.place], [said.trading])
    assert await states.read(account()) == AccountSession(place=said.place, trading=said.trading)
    await states.say_feeds([said.feed])
    assert await states.read(account()) == said
    assert (await states.read(account(account_id="another"))).feed is None
    assert 0 < await bus.redis.ttl(bus.key(f"{KEY}feed:{PAPER}")) <= EXPIRES_S
    assert await bus.redis.ttl(bus.key(f"{KEY}trading:{PAPER}")) > EXPIRES_S
    await states.say_feeds([])


async def test_what_another_version_said_is_not_known(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    states, said = SessionStatesOnBus(bus), a_session(PAPER)
    assert said.feed is not None
    await states.say_feeds([said.feed])
    await bus.redis.set(bus.key(f"{KEY}trading:{PAPER}"), b"\x81\xa1a\x01")
    found = await states.read(account())
    assert (found.trading, found.feed) == (None, said.feed)
    assert "expected a session's state" in caplog.text


async def test_without_valkey_it_cannot_be_asked(valkey_process: ValkeyProcess, bus: Bus) -> None:
    valkey_process.kill()
    with pytest.raises(Unavailable):
        await SessionStatesOnBus(bus).read(account())
    with pytest.raises(Unavailable):
        await SessionStatesOnBus(bus).say_trading([], [a_session(PAPER).trading])  # type: ignore[list-item]
