"""The checkout as the checks see it: rooms, files, parsed modules and their imports."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ROOMS = (
    "domain",
    "venues",
    "storage",
    "bus",
    "sealing",
    "process",
    "activities",
    "workflows",
    "serving",
    "streaming",
    "api",
    "perp_dex_client",
    "cli",
    "stack",
)
WORKER = ROOT / "worker.py"

# Written by Alembic's template, not by us in our style.
_GENERATED = ("storage/migrations/versions/",)


def named(path: Path) -> str:
    """Return a file's path from the root, with forward slashes."""
    return path.relative_to(ROOT).as_posix()


@cache
def product_files() -> tuple[Path, ...]:
    """Return every Python file of the product, worker.py included."""
    files = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return (WORKER, *(path for path in files if not named(path).startswith(_GENERATED)))


@cache
def support_files() -> tuple[Path, ...]:
    """Return every Python file of tests and benchmarks."""
    roots = (ROOT / "tests", ROOT / "benchmarks")
    return tuple(path for root in roots for path in sorted(root.rglob("*.py")))


@cache
def parsed(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the full names of all that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)}: relative import"
            assert node.module is not None
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def roots_of(names: frozenset[str]) -> set[str]:
    """Return the top-level packages of imported names."""
    return {name.partition(".")[0] for name in names}
