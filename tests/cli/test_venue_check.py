"""`perp-dex venue check`: samples, a venue that cannot be asked, and a difference."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from tests.cli.conftest import Terminal

CHANNEL = {
    "channel": "socket book",
    "payloads": 2,
    "unknown": ["[].new\x1b[31m"],
    "vanished": [],
    "unseen": ["[].li"],
    "unreadable": None,
}
VENUE: dict[str, Any] = {
    "venue": "pacifica",
    "network": "mainnet",
    "offered": True,
    "channels": [CHANNEL],
    "missed": ["candles: refused"],
    "error": None,
    "clean": False,
}


def answered(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[list[str]]:
    """Have the look answer so; return the command lines that were run."""
    run: list[list[str]] = []
    document = {"live": True, "venues": [{**VENUE, **changes}]}

    def instead(command: Any, **_: Any) -> subprocess.CompletedProcess[str]:
        run.append(list(command))
        return subprocess.CompletedProcess(command, 0, json.dumps(document), "")

    monkeypatch.setattr("cli.venue_check.subprocess.run", instead)
    return run


async def test_the_samples_of_every_venue_are_looked_at(desk: Terminal) -> None:
    shown = await desk("venue", "check", "--json")
    assert shown.code == ExitCode.DONE, shown.err
    document = json.loads(shown.out)
    assert document["live"] is False
    assert {"hyperliquid", "pacifica"} <= {each["venue"] for each in document["venues"]}
    assert all(each["clean"] for each in document["venues"])


async def test_a_venue_that_is_not_there_is_a_wrong_argument(desk: Terminal) -> None:
    shown = await desk("venue", "check", "ftx")
    assert shown.code == ExitCode.USAGE
    assert "pacifica" in shown.err


async def test_a_difference_is_shown_and_told_by_the_exit_code(
    desk: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = answered(monkeypatch)
    shown = await desk("venue", "check", "pacifica", "--live", "--network", "testnet")
    assert shown.code == ExitCode.PARTLY_DONE
    assert "[].new\\x1b[31m" in shown.out and "\x1b" not in shown.out
    assert "unseen" in shown.out
    assert "candles: refused" in shown.err
    assert run[0][run[0].index("--live") :] == [
        "--live", "--network", "testnet", "--seconds", "10.0", "--", "pacifica",
    ]  # fmt: skip


async def test_a_venue_that_cannot_be_asked_is_not_clean(
    desk: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(monkeypatch, channels=[], error="no answer", clean=False)
    shown = await desk("venue", "check", "--live")
    assert shown.code == ExitCode.UNREACHABLE
    assert "no answer" in shown.err


async def test_a_venue_that_lists_nothing_says_so(
    desk: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(monkeypatch, channels=[], offered=False, clean=True)
    shown = await desk("venue", "check")
    assert shown.code == ExitCode.DONE
    assert "nothing to compare" in shown.err
