"""A seventh venue, added by its folder, its rig and two lines, passes the whole suite.

If anything else of the house had to name it, something here would fail.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.seventh.joining import VARIABLE
from tests.seventh.making import MODEL, NAME, ROOT, make

PASSED_LEAST = 90


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process in which the venue is there."""
    folder = tmp_path_factory.mktemp(NAME)
    make(folder)
    assert not [
        path for path in folder.rglob("*.py")
        if path.name != "few.py" and MODEL in path.read_text(encoding="utf-8").lower()
    ]  # fmt: skip
    path = os.pathsep.join((str(folder), str(ROOT)))
    return {**os.environ, VARIABLE: str(folder), "PYTHONPATH": path}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.timeout(300)
def test_it_passes_the_whole_suite_by_its_few_capabilities(environment: dict[str, str]) -> None:
    done = run(
        environment,
        "-m", "pytest", "-p", "no:cacheprovider", "-q", "--durations=12",
        "tests/conformance", "-k", NAME,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5_000:]
    told = re.search(r"(\d+) passed", done.stdout)
    assert told is not None and int(told[1]) >= PASSED_LEAST, done.stdout[-500:]
    assert "skipped" not in done.stdout


def test_what_is_shown_of_it_needs_no_line_of_its_own(environment: dict[str, str]) -> None:
    script = (
        "import json\n"
        "from venues import registry\n"
        "from venues.sheets import sheet_of\n"
        "from venues.check import check_samples\n"
        f"spec = registry.load({NAME!r})\n"
        "sheet = sheet_of(spec.venue, spec.capabilities, spec.proofs)\n"
        "print(json.dumps([sheet.order_types, sheet.dead_man_kept_by, sheet.market_queries,"
        f" check_samples({NAME!r}).document()['clean']]))\n"
    )
    done = run(environment, "-c", script)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["LIMIT", "MARKET"], "watchdog", ["candles"], True]


def test_a_process_that_was_not_told_of_it_does_not_have_it() -> None:
    assert not Path(ROOT / "venues" / NAME).exists()
    from venues import registry

    assert NAME not in registry.names() or os.environ.get(VARIABLE)
