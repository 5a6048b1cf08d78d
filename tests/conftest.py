"""What all tests share: a home nobody lives in, patient properties, and a hard end.

A process in which a Temporal client lived sometimes aborts while the interpreter shuts down,
after everything succeeded. So the run says what it has to say, saves what it measured, and ends
with `os._exit`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")

_EXIT_CODE = pytest.StashKey[int]()


@pytest.fixture(scope="session", autouse=True)
def _nobody_lives_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point PERP_DEX_HOME away from the developer's own stack, for child processes too."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERP_DEX_HOME", str(home))
        # Never the developer's own keyring.
        patch.setenv("PERP_DEX_KEY_KEEPER", "file")
        yield home


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_EXIT_CODE] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    code = config.stash.get(_EXIT_CODE, None)
    if code is None:
        return
    measuring = coverage.Coverage.current()
    if measuring is not None:
        measuring.stop()
        measuring.save()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
