"""A seventh venue, added by its folder, its rig and one line, passes the whole suite and trades.

If anything else of the house had to name it, something here would fail.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import ROOMS, imports
from tests.seventh.joining import FOLDER, NAME, ROOT, environment
from venues import registry

PASSED_LEAST = 200
HERE = Path(__file__).parent / "venue"

pytestmark = pytest.mark.timeout(300)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, out[-5_000:] + err[-5_000:]
    return out


@pytest.fixture(scope="module", autouse=True)
def trading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """The venue traded on a whole stack, beside the suite: both wait more than they work."""
    process = start("-m", "tests.seventh.trading", str(tmp_path_factory.mktemp(NAME) / "home"))
    yield process
    process.kill()
    process.wait()


def test_it_passes_the_whole_suite_by_its_few_capabilities() -> None:
    out = ended(start("-m", "pytest", "-q", "--durations=12", "tests/conformance", "-k", NAME))
    told = re.search(r"(\d+) passed", out)
    assert told is not None and int(told[1]) >= PASSED_LEAST, out[-500:]
    assert "skipped" not in out


def test_it_is_traded_through_everything_and_an_order_of_lost_answer_is_there_once(
    trading: subprocess.Popen[str],
) -> None:
    *_, last = ended(trading).splitlines()
    assert json.loads(last) == {
        "account": "ACTIVE",
        "experimental": True,
        "orders": ["ACCEPTED", "CANCELED", "FILLED"],
        "positions": ["0.01"],
        "at_the_exchange": ["cancelled", "filled"],
        "lost_answer": None,
    }


def test_what_is_shown_of_it_needs_no_line_of_its_own() -> None:
    script = (
        "import json\n"
        "from venues import registry\n"
        "from venues.sheets import sheet_of\n"
        "from venues.check import check_samples\n"
        "from process.settings_docs import venue_classes\n"
        f"spec = registry.load({NAME!r})\n"
        "sheet = sheet_of(spec.venue, spec.capabilities, spec.proofs)\n"
        "print(json.dumps([sheet.order_types, sheet.dead_man_kept_by, sheet.market_queries,"
        f" check_samples({NAME!r}).document()['clean'], venue_classes()]))\n"
    )
    *shown, classes = json.loads(ended(start("-c", script)))
    assert shown == [["LIMIT", "MARKET"], "watchdog", ["candles"], True]
    assert f"{FOLDER}.settings:SeventhSettings" in classes


def test_its_files_know_what_the_files_of_a_venue_may_know() -> None:
    for path in HERE.glob("*.py"):
        ours = {name for name in imports(path) if name.partition(".")[0] in {*ROOMS, "tests"}}
        allowed: tuple[str, ...] = (FOLDER, "domain", "venues")
        if path.stem.startswith("simulator"):
            allowed = (f"{FOLDER}.simulator", f"{FOLDER}.wire", "venues.simulation", "domain")
        strange = {name for name in ours - {FOLDER} if not name.startswith(allowed)}
        assert not strange, f"{path.name}: {strange}"
        others = tuple(f"venues.{other}." for other in registry.names())
        assert not [name for name in ours if name.startswith(others)], path.name


def test_a_process_that_was_not_told_of_it_does_not_have_it() -> None:
    assert NAME not in registry.names()
