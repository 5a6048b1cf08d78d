"""A home of its own for every test, and nothing left running."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stack.paths import StackPaths


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackPaths]:
    """Give a home below the test's directory, without settings of the person who runs the test."""
    for name in tuple(os.environ):
        if name.startswith(
            (
                "PERP_DEX",
                "TEMPORAL_",
                "REDIS_",
                "DATABASE_",
                "STACK_",
                "SIM_",
                "API_",
                "STREAMING_",
                "VALKEY_",
                "LOG_",
            )
        ):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    home = StackPaths(tmp_path / "home")
    home.create()
    before = set(running_children())
    yield home
    # A supervisor that has let go of its lock still needs a moment to exit.
    deadline = time.monotonic() + 10
    while (left := set(running_children()) - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    for child in left:
        child.kill()
    assert not left, f"left running: {left}"


def running_children() -> list[psutil.Process]:
    """Give the processes below this one that run; one that ends meanwhile does not."""
    running = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                running.append(child)
    return running
