"""The supervisor is down: with it everything it started, and nothing of what was acknowledged."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from tests.cli.test_real_stack import Stack
from tests.down.rows import row

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack of its own, under its supervisor."""
    running = Stack(tmp_path)
    try:
        up(running)
        yield running
    finally:
        assert running.run("down").returncode == 0


@row("supervisor")
def test_the_supervisor_is_down(stack: Stack) -> None:
    stack.json("account", "add", "--dex", "hyperliquid", "--paper")
    placed = stack.json("trade", "buy", "BTC-PERP", "0.01", "--price", "24001")
    order_id = placed["order_id"]

    # As long as it lives it starts again what dies.
    os.kill(processes(stack)["streaming"], signal.SIGKILL)
    until(lambda: stack.run("status").returncode == ExitCode.UNREACHABLE, "a process missing")
    until(lambda: stack.run("status").returncode == ExitCode.DONE, "it to be started again")

    children = processes(stack)
    os.kill(int(stack.json("status")["supervisor_pid"]), signal.SIGKILL)
    until(lambda: not any(map(is_alive, children.values())), "its processes to die with it")
    status = stack.run("status", "--json")
    assert status.returncode == ExitCode.UNREACHABLE
    assert {one["state"] for one in json.loads(status.stdout)["processes"]} == {"stopped"}
    refused = stack.run("trade", "cancel", order_id, "--json")
    assert refused.returncode == ExitCode.UNREACHABLE
    problem = json.loads(refused.stderr.splitlines()[-1])
    assert (problem["code"], problem["outcome"]) == ("not_running", "not_sent")

    up(stack)
    assert stack.json("trade", "show", order_id)["status"] == "ACCEPTED"
    assert [order["status"] for order in stack.venue_orders(order_id)] == ["open"]
    assert stack.json("trade", "cancel", order_id, "--wait")["status"] == "CANCELED"
    assert [order["status"] for order in stack.venue_orders(order_id)] == ["canceled"]


def up(stack: Stack) -> None:
    done = stack.run("up", "--detach", "--ports", "auto", "--durability", "process", timeout_s=250)
    assert done.returncode == 0, done.stderr


def processes(stack: Stack) -> dict[str, int]:
    listed: list[dict[str, Any]] = stack.json("status")["processes"]
    return {each["name"]: each["pid"] for each in listed}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, f"expected {what} within 60 s"
        time.sleep(0.1)
