"""What every act of the demo needs: a stack in a home of its own, the command line, kill -9.

Knows nothing but the `perp-dex` command and the exchange's own ledger.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

VENUE: Final = "hyperliquid"
SYMBOL: Final = "BTC-PERP"
WAIT_S: Final = 60.0
COMMAND_TIMEOUT_S: Final = 90.0

Json = dict[str, Any]


class DemoFailed(Exception):
    """What the demo showed is not what the exchange says."""


class DemoStage:
    """A running stack, and the ways to use, break and show it."""

    def __init__(self, home: Path, console: Console) -> None:
        self._home = home
        self.console = console
        self.environment = {**os.environ, "PERP_DEX_HOME": str(home)}
        self.command = str(Path(sys.executable).with_name("perp-dex"))

    def start(self) -> None:
        """Start a stack from nothing."""
        self.say("Starting the stack: Temporal, Valkey, a simulated exchange, worker, API, streams")
        self.cli("down", check=False)
        shutil.rmtree(self._home, ignore_errors=True)
        self.cli("up", "--detach", "--ports", "auto", quiet=False)

    def add_account(self, label: str, venue: str = VENUE) -> Json:
        """Open a funded paper account."""
        account = self.json("account", "add", "--venue", venue, "--paper", "--label", label)
        self.say(f"Paper account {account['label']} at {venue}, address {account['address']}")
        return account

    def simulated_venues(self) -> tuple[str, ...]:
        """Return the exchanges that this stack simulates."""
        names = (str(p["name"]) for p in self._status()["processes"])
        return tuple(name.removeprefix("sim-") for name in names if name.startswith("sim-"))

    def show_where(self) -> None:
        """Say where to look further, and how to stop."""
        status = self._status()
        self.console.rule("all ended, or rests, exactly once")
        self.console.print(f"Web UI of these workflows: {status['temporal_ui_url']}")
        self.console.print(f"  readable text there:     PERP_DEX_HOME={self._home} perp-dex ui")
        self.console.print(f"The stack goes on running: PERP_DEX_HOME={self._home} perp-dex down")

    # Killing

    def kill(self, name: str) -> None:
        """Kill a process of the stack with -9; the supervisor starts it again."""
        pid = next(p["pid"] for p in self._status()["processes"] if p["name"] == name)
        self.say(f"kill -9 {name} (pid {pid})")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)

    def until_ready(self) -> None:
        """Wait until every process is ready again."""

        def look() -> bool:
            states = {p["state"] for p in self._status()["processes"]}
            return states <= {"ready", "external"}

        self.poll(look, "every process to be ready again")

    def _status(self) -> Json:
        # 10 is what it says while a process is being started again.
        return self.json("status", expected=(0, 10))

    # Showing

    def title(self, text: str) -> None:
        """Begin a part."""
        self.console.rule(text, align="left")

    def say(self, text: str) -> None:
        """Say what is done."""
        self.console.print(f"→ {escape(text)}")

    # The command line

    def json(self, *arguments: str, expected: tuple[int, ...] = (0,)) -> Json:
        """Run a command line that prints one JSON object."""
        return as_object(self.cli(*arguments, "--json", expected=expected))

    def cli(
        self,
        *arguments: str,
        check: bool = True,
        quiet: bool = True,
        expected: tuple[int, ...] = (0,),
    ) -> str:
        """Run a command line; return what it printed."""
        done = subprocess.run(
            [self.command, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if quiet else None,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if check and done.returncode not in expected:
            raise DemoFailed(
                f"perp-dex {' '.join(arguments)} ended with {done.returncode}: {done.stderr}"
            )
        return done.stdout

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command line and go on; what it prints on stdout can be read from it."""
        return subprocess.Popen(
            [self.command, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def poll(self, look: Callable[[], Any], what: str) -> Any:
        """Look until what is seen is true, and return it."""
        deadline = time.monotonic() + WAIT_S
        while True:
            seen = look()
            if seen:
                return seen
            if time.monotonic() > deadline:
                raise DemoFailed(f"expected {what} within {WAIT_S:g} s")
            time.sleep(0.2)


def as_object(text: str) -> Json:
    """Return the JSON object that `text` spells."""
    try:
        value = json.loads(text)
    except ValueError:
        raise DemoFailed(f"expected a JSON object, found {text[:200]!r}") from None
    if not isinstance(value, dict):
        raise DemoFailed(f"expected a JSON object, found {text[:200]!r}")
    return value
