from __future__ import annotations

import logging

import pytest

from bus.connection import BACKOFF_MAX_S, Bus, backoff_s
from domain.errors import Unavailable
from tests.bus.valkey import ValkeyProcess


async def test_says_up_and_down_once_per_change(
    valkey_process: ValkeyProcess, bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="bus.connection")

    def is_up() -> bool:
        return bus.is_up

    assert not is_up()
    assert await bus.check()
    assert await bus.check()
    assert is_up()
    valkey_process.kill()
    assert not await bus.check()
    assert not await bus.check()
    assert not is_up()
    valkey_process.start()
    assert await bus.check()
    messages = [record.message for record in caplog.records]
    assert messages == [
        "valkey answers",
        "valkey does not answer, going on without it",
        "valkey answers",
    ]


async def test_a_frozen_valkey_costs_the_time_limit_only(valkey_process: ValkeyProcess) -> None:
    bus = Bus(valkey_process.url, call_timeout_s=0.1)
    assert await bus.check()
    valkey_process.freeze()
    try:
        with pytest.raises(Unavailable, match="REDIS_URL"):
            await bus.call(lambda redis: redis.get("anything"))
    finally:
        valkey_process.thaw()
    assert await bus.check()
    await bus.close()


async def test_no_password_in_errors_and_logs(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus("redis://someone:hunter2@127.0.0.1:1/0")
    with pytest.raises(Unavailable) as raised:
        await bus.call(lambda redis: redis.get("anything"))
    assert "127.0.0.1:1" in str(raised.value)
    assert "hunter2" not in str(raised.value) + caplog.text
    assert "place" in caplog.records[-1].__dict__
    assert "hunter2" not in str(caplog.records[-1].__dict__["place"])
    await bus.close()


async def test_a_socket_path_is_named_without_query() -> None:
    bus = Bus("unix:///nowhere/valkey.sock?password=hunter2")
    with pytest.raises(Unavailable, match=r"unix:/nowhere/valkey\.sock,"):
        await bus.call(lambda redis: redis.get("anything"))
    await bus.close()


def test_backoff_grows_to_its_bound() -> None:
    waits = [backoff_s(failures) for failures in range(1, 60)]
    assert waits[0] == 0.1
    assert waits == sorted(waits)
    assert waits[-1] == BACKOFF_MAX_S
