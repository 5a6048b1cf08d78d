"""The heartbeat file is written by the event loop, atomically, and says what the process does."""

import asyncio
import json
import logging
import os
import time
from pathlib import Path

import pytest

from process.heartbeat import HEARTBEAT_FILE_VARIABLE, Heartbeat, HeartbeatState


def content_of(path: Path) -> dict[str, object]:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


async def test_it_says_what_the_process_does(tmp_path: Path) -> None:
    path = tmp_path / "api.heartbeat"
    heartbeat = Heartbeat.from_environment(
        "http://127.0.0.1:1", environment={HEARTBEAT_FILE_VARIABLE: str(path)}
    )
    async with heartbeat:
        assert content_of(path) == {
            "pid": os.getpid(),
            "state": "starting",
            "endpoint": "http://127.0.0.1:1",
        }
        heartbeat.ready("http://127.0.0.1:2")
        assert content_of(path)["state"] == "ready"
        assert content_of(path)["endpoint"] == "http://127.0.0.1:2"
        heartbeat.draining()
        assert content_of(path)["state"] == "draining"
        assert heartbeat.state is HeartbeatState.DRAINING
        assert [entry.name for entry in tmp_path.iterdir()] == ["api.heartbeat"]
    assert not path.exists()


async def test_it_beats_while_the_loop_turns_and_not_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "h"
    async with Heartbeat(path):
        first = path.stat().st_mtime_ns
        deadline = time.monotonic() + 10
        while path.stat().st_mtime_ns == first:
            assert time.monotonic() < deadline, "no second beat"
            await asyncio.sleep(0.05)
        second = path.stat().st_mtime_ns
        time.sleep(1.3)  # the loop is blocked on purpose
        assert path.stat().st_mtime_ns == second


async def test_state_is_kept_until_the_file_is_begun(tmp_path: Path) -> None:
    path = tmp_path / "h"
    heartbeat = Heartbeat(path)
    heartbeat.ready()
    assert not path.exists()
    async with heartbeat:
        assert content_of(path)["state"] == "ready"


@pytest.mark.parametrize("environment", [{}, {HEARTBEAT_FILE_VARIABLE: ""}])
async def test_without_a_file_it_does_nothing(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    heartbeat = Heartbeat.from_environment(environment=environment)
    async with heartbeat:
        heartbeat.ready("x")
        heartbeat.draining()
    assert list(tmp_path.iterdir()) == []


async def test_it_reads_the_real_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HEARTBEAT_FILE_VARIABLE, str(tmp_path / "h"))
    async with Heartbeat.from_environment():
        assert (tmp_path / "h").exists()


async def test_a_beat_that_cannot_be_written_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        async with Heartbeat(tmp_path / "missing" / "h"):
            pass
    assert "heartbeat not written" in caplog.text
