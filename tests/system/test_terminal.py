"""A trader at a terminal: waits for a fill, sees it, and the shell gets the exit code."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.system.conftest import PERP_DEX, Stack

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

PATIENCE_S = 60.0


class Terminal:
    """A terminal of 100 columns, with a shell in it."""

    def __init__(self, stack: Stack) -> None:
        self._socket = f"perp-dex-{uuid.uuid4().hex[:8]}"
        self._environment = stack.environment
        self._tmux("new-session", "-d", "-x", "100", "-y", "40", "sh")

    def _tmux(self, *arguments: str) -> str:
        ran = subprocess.run(
            ["tmux", "-L", self._socket, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return ran.stdout

    def type(self, line: str) -> None:
        self._tmux("send-keys", line, "Enter")

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-J")

    def close(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def terminal(stack: Stack) -> Iterator[Terminal]:
    opened = Terminal(stack)
    yield opened
    opened.close()


def until(holds: Callable[[], bool], seen: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, seen()
        time.sleep(0.1)


def test_waiting_for_a_fill_ends_with_the_fill_and_exit_code_0(
    stack: Stack, terminal: Terminal
) -> None:
    terminal.type(f"{PERP_DEX} trade buy BTC-PERP 0.002 --price 20001 --wait-fill; echo code=$?.")

    def resting() -> list[str]:
        orders = stack.json("trade", "orders")["orders"]
        at_venue = [o for o in orders if o["status"] == "ACCEPTED"]
        return [o["order_id"] for o in at_venue if o["price"] == "20001"]

    until(lambda: bool(resting()), terminal.screen)
    stack.json("sim", "fill", "hyperliquid", resting()[0])
    until(lambda: "code=0." in terminal.screen(), terminal.screen)
    assert "FILLED" in terminal.screen()


def test_help_fits_a_terminal(terminal: Terminal) -> None:
    terminal.type(f"clear; {PERP_DEX} trade --help; echo code=$?.")
    until(lambda: "code=0." in terminal.screen(), terminal.screen)
    assert "Traceback" not in terminal.screen()
    assert "cancel" in terminal.screen()
