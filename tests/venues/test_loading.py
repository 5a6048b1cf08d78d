"""A process loads nothing of a venue that it does not serve: no file, no SDK, no signer.

What a venue needs of others' packages is read from its own files; what the rest of the house needs
as well does not count.
"""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import sys
from decimal import Decimal
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

import venues as room
from tests.conformance.rig import rig_of
from venues import registry
from venues.simulation.server import running_simulator

PROCESSES = ("worker", "streaming")
HERE = Path(room.__file__).parent
ROOT = HERE.parent
#: Rooms whose processes run whatever venues there are.
SHARED = (
    *("activities", "api", "bus", "domain", "process", "sealing", "serving", "storage"),
    *("streaming", "workflows"),
)


def imported(files: list[Path]) -> set[str]:
    """Return the modules of others' packages that files import anywhere, by their whole names."""
    found: set[str] = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    ours = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    return {name for name in found if root(name) not in ours | set(sys.stdlib_module_names)}


def root(module: str) -> str:
    return module.split(".")[0]


@cache
def needed_anyway() -> frozenset[str]:
    """Return the packages that whatever runs any venue imports."""
    shared = [path for room in SHARED for path in (ROOT / room).rglob("*.py")]
    shared += [*HERE.glob("*.py"), ROOT / "worker.py"]
    return frozenset(root(name) for name in imported(shared))


@cache
def own_modules(venue: str) -> frozenset[str]:
    """Return what a venue's client imports and no shared room does; its simulator is elsewhere."""
    client = [one for one in (HERE / venue).glob("*.py") if not one.name.startswith("simulator")]
    return frozenset(name for name in imported(client) if root(name) not in needed_anyway())


def brought_along(venue: str) -> set[str]:
    """Return the packages that those of a venue's client may load: theirs, and what those name.

    Also what they name as an extra: eth_keys takes coincurve where it finds it.
    """
    by_package = metadata.packages_distributions()
    by_name = {_plain(name): package for package, names in by_package.items() for name in names}
    found: set[str] = set()
    waiting = {root(name) for name in own_modules(venue)}
    while waiting:
        package = waiting.pop()
        found.add(package)
        for name in by_package.get(package, ()):
            heads = [_NAME.match(line) for line in metadata.requires(name) or ()]
            needed = {_plain(head[0]) for head in heads if head is not None}
            waiting |= {by_name[one] for one in needed if one in by_name} - found
    return found


_NAME = re.compile(r"[A-Za-z0-9._-]+")


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


async def loaded(venue: str) -> dict[str, set[str]]:
    """Start both processes for a venue and return the modules that each loads."""
    rig = rig_of(venue)
    async with running_simulator(venue=venue) as simulator:
        opened = await simulator.simulator.open_account(Decimal(100_000), "loading")
        told = {
            "venue": venue,
            "address": rig.address(opened),
            "signer": rig.signer(opened),
            "credential": rig.credential(opened),
        }
        environment = {**os.environ, rig.paper_variable: simulator.url}
        found = await asyncio.gather(
            *(_modules_of(process, told, environment) for process in PROCESSES)
        )
    return dict(zip(PROCESSES, found, strict=True))


async def _modules_of(process: str, told: dict[str, str], environment: dict[str, str]) -> set[str]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.venues.loading_child", process),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(child.communicate(json.dumps(told).encode()), 60)
    assert child.returncode == 0, process
    return set(json.loads(out.splitlines()[-1]))


@pytest.mark.parametrize("venue", registry.names())
async def test_nothing_of_another_venue_is_loaded(venue: str) -> None:
    allowed = brought_along(venue)
    for process, modules in (await loaded(venue)).items():
        assert f"venues.{venue}.spec" in modules
        roots = {root(name) for name in modules}
        for other in registry.names():
            if other == venue:
                continue
            files = {name for name in modules if name.startswith(f"venues.{other}")}
            assert not files, f"{process} of {venue} loads {sorted(files)}"
            foreign = {root(name) for name in own_modules(other)} - allowed
            assert not roots & foreign, f"{process} of {venue} loads {sorted(roots & foreign)}"


def test_venues_do_need_packages_of_their_own() -> None:
    """Otherwise the test above would compare nothing with nothing."""
    assert {"eth_account"} <= {root(name) for name in own_modules("hyperliquid")}
    assert "venues.hyperliquid" not in own_modules("hyperliquid")
