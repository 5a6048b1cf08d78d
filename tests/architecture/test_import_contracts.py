"""Every arrow between the rooms is kept, and every contract notices when it is not."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOMS, ROOT, WORKER, imports, named, product_files, roots_of

# One forbidden import for each contract: where it is written, and what is written there. Some
# break their contract through another module, as a chain.
BREACHES = {
    "domain": ("domain/numbers.py", "import pydantic"),
    "sealing": ("sealing/box.py", "import domain.errors"),
    "process": ("process/signals.py", "import domain.errors"),
    "process-importers": ("api/views.py", "import process.logging"),
    "venues": ("venues/transport.py", "import temporalio"),
    "venue-protocols": ("venues/registry.py", "import venues.hyperliquid.spec"),
    "venue-neutral": ("venues/simulation/clock.py", "import venues.hyperliquid.wire"),
    "simulators": (
        "venues/hyperliquid/simulator_views.py",
        "import venues.hyperliquid.translate",
    ),
    "clients": ("venues/hyperliquid/translate.py", "import venues.simulation.book"),
    "storage": ("storage/url.py", "import venues.connector"),
    "bus": ("bus/connection.py", "import storage.url"),
    "activities": ("activities/access.py", "import sqlalchemy"),
    "workflows": ("activities/contracts.py", "import aiohttp"),
    "workflow-door": ("workflows/orphans.py", "import storage.url"),
    "api": ("workflows/payloads.py", "import coincurve"),
    "api-door": ("api/views.py", "import activities.contracts"),
    "streaming": ("streaming/hub.py", "import workflows.ids"),
    "streaming-signing": ("streaming/outbox.py", "import venues.hyperliquid.signing"),
    "client-library": ("perp_dex_client/models.py", "import temporalio"),
    "cli": ("cli/usage.py", "import storage.url"),
    "serving": ("storage/url.py", "import serving.settings"),
    "serving-below": ("serving/settings.py", "import api.views"),
    "stack": ("stack/spec.py", "import api.views"),
}


def contracts() -> dict[str, str]:
    """Return the contracts' names by their keys."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    prefix = "importlinter:contract:"
    return {
        section.removeprefix(prefix): parser[section]["name"]
        for section in parser.sections()
        if section.startswith(prefix)
    }


def lint_imports(root: Path) -> tuple[int, str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    environment = {**os.environ, "COLUMNS": "400", "PYTHONPATH": str(root)}
    ran = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=100
    )
    return ran.returncode, ran.stdout


def test_every_arrow_is_kept() -> None:
    code, said = lint_imports(ROOT)
    assert code == 0, said
    assert "0 broken" in said


@pytest.fixture(scope="module")
def said_of_breaches(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a copy in which every contract is broken once."""
    copy = tmp_path_factory.mktemp("breached")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", copy)
    for path, statement in BREACHES.values():
        with (copy / path).open("a", encoding="utf-8") as stream:
            stream.write(f"\n{statement}\n")
    code, said = lint_imports(copy)
    assert code == 1, said
    return said


@pytest.mark.parametrize("contract", sorted(BREACHES))
def test_a_forbidden_import_breaks_its_contract(contract: str, said_of_breaches: str) -> None:
    assert f"{contracts()[contract]} BROKEN" in said_of_breaches


def test_every_contract_has_been_seen_to_fail() -> None:
    assert set(contracts()) == set(BREACHES)


def test_the_chain_from_a_workflow_to_an_http_library_is_shown(said_of_breaches: str) -> None:
    assert "workflows.order -> activities.contracts" in said_of_breaches
    assert "activities.contracts -> aiohttp" in said_of_breaches


def test_every_workflow_file_is_under_the_workflow_contract() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    held = {
        name
        for contract in ("workflows", "workflow-door")
        for name in parser[f"importlinter:contract:{contract}"]["source_modules"].split()
    }
    files = {f"workflows.{path.stem}" for path in (ROOT / "workflows").glob("[!_]*.py")}
    assert held == files


# A contract names a venue's `spec` and `simulator`, and so whatever these reach. What they do not
# reach, and whatever a folder may add, is held by the tests here: no venue stands in a list.


def folders() -> set[str]:
    """Return the names of the venues' folders."""
    return {path.parent.name for path in (ROOT / "venues").glob("*/connector.py")}


def of_a_venue(names: frozenset[str], venues: set[str]) -> set[str]:
    """Return which of imported names are a venue's."""
    rooms = tuple(f"venues.{venue}." for venue in venues)
    return {name for name in names if f"{name}.".startswith(rooms)}


def test_what_venues_share_knows_no_venue() -> None:
    shared = [*(ROOT / "venues").glob("*.py"), *(ROOT / "venues" / "simulation").glob("*.py")]
    assert len(shared) > 40
    for path in shared:
        assert not of_a_venue(imports(path), folders()), named(path)


def test_a_client_knows_no_simulator() -> None:
    for venue in folders():
        theirs = (f"venues.{venue}.simulator", "venues.simulation")
        for path in (ROOT / "venues" / venue).glob("*.py"):
            if not path.stem.startswith("simulator"):
                assert not [name for name in imports(path) if name.startswith(theirs)], named(path)


def test_what_simulator_and_client_share_is_how_payloads_look() -> None:
    for path in (ROOT / "venues").glob("*/wire.py"):
        ours = {name for name in imports(path) if name.partition(".")[0] in ROOMS}
        assert not {name for name in ours if not name.startswith(("venues.payloads", "domain"))}


def test_a_simulator_takes_only_its_own_files_its_wire_and_the_simulated_exchange() -> None:
    for path in (ROOT / "venues").glob("*/simulator*.py"):
        own = f"venues.{path.parent.name}"
        ours = {name for name in imports(path) if name.partition(".")[0] in ROOMS}
        allowed = (f"{own}.simulator", f"{own}.wire", "venues.simulation", "domain")
        strange = {name for name in ours if name != own and not name.startswith(allowed)}
        assert not strange, f"{named(path)}: {strange}"


def test_a_venue_knows_no_other_venue() -> None:
    venues = folders()
    assert venues
    for venue in venues:
        for path in (ROOT / "venues" / venue).rglob("*.py"):
            assert not of_a_venue(imports(path), venues - {venue}), named(path)


def test_the_worker_starts_alone_and_nobody_imports_it() -> None:
    assert not roots_of(imports(WORKER)) & {"api", "streaming", "cli", "perp_dex_client", "stack"}
    for path in product_files():
        assert "worker" not in roots_of(imports(path)), named(path)


def test_no_room_imports_tests_or_benchmarks() -> None:
    for path in product_files():
        assert not roots_of(imports(path)) & {"tests", "benchmarks"}, named(path)
