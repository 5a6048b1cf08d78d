"""One embedded stack for the whole room, in a home of its own, on free ports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PERP_DEX = str(Path(sys.executable).with_name("perp-dex"))
UP_TIMEOUT_S = 120
COMMAND_TIMEOUT_S = 60


@dataclass(frozen=True)
class Stack:
    """A running stack, driven by its command line."""

    environment: dict[str, str]

    def command(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        ran = subprocess.run(
            [PERP_DEX, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        assert ran.returncode == 0, f"{arguments}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def json(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.command(*arguments, "--json"))
        return found


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with one paper account, `main`."""
    home = tmp_path_factory.mktemp("stack")
    running = Stack({**os.environ, "PERP_DEX_HOME": str(home)})
    try:
        running.command("up", "--detach", "--ports", "auto", timeout_s=UP_TIMEOUT_S)
        running.command("account", "add", "--dex", "hyperliquid", "--paper", "--label", "main")
        yield running
    finally:
        subprocess.run([PERP_DEX, "down"], env=running.environment, timeout=UP_TIMEOUT_S)
