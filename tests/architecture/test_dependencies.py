"""What is imported is declared, what is declared is locked, and the locks are portable."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from tests.architecture.tree import ROOMS, ROOT, imports, named, product_files, roots_of

# What a declared library hands out in its own interface; pinned by that library.
PARTS = {
    "pydantic-core": "pydantic",
    "python-dotenv": "pydantic-settings",
    "protobuf": "temporalio",
    "starlette": "fastapi",
}
LOCKS = ("requirements.lock", "requirements-dev.lock")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def project() -> dict[str, object]:
    parsed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: dict[str, object] = parsed["project"]
    return found


def declared(requirements: object) -> set[str]:
    assert isinstance(requirements, list)
    return {canonical(re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0]) for line in requirements}


def runtime() -> set[str]:
    return declared(project()["dependencies"])


def extras() -> dict[str, set[str]]:
    """Return what each extra of the product brings, without what only developers need."""
    optional = project()["optional-dependencies"]
    assert isinstance(optional, dict)
    return {name: declared(lines) for name, lines in optional.items() if name != "dev"}


def development() -> set[str]:
    optional = project()["optional-dependencies"]
    assert isinstance(optional, dict)
    return declared(optional["dev"])


def locked(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.findall(r"^([A-Za-z0-9_.\-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", text, flags=re.M)
    return {canonical(package): version for package, version in found}


def test_domain_imports_only_the_standard_library() -> None:
    for path in (ROOT / "domain").glob("*.py"):
        strange = roots_of(imports(path)) - set(sys.stdlib_module_names) - {"domain"}
        assert not strange, f"{named(path)}: {strange}"


def test_every_library_the_product_imports_is_declared() -> None:
    owners = packages_distributions()
    undeclared: set[str] = set()
    allowed = runtime().union(*extras().values())
    for path in product_files():
        for root in roots_of(imports(path)) - set(sys.stdlib_module_names) - set(ROOMS):
            names = {canonical(name) for name in owners.get(root, [])}
            if not {PARTS.get(name, name) for name in names} & allowed:
                undeclared.add(f"{named(path)}: {root}")
    assert undeclared == set()


def test_the_old_http_library_is_imported_nowhere() -> None:
    for path in product_files():
        assert "httpx" not in roots_of(imports(path)), named(path)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_and_hashes_everything_and_names_no_host(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text and "--index" not in text
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", re.sub(r"(?m)^#.*\n", "", text))
    for entry in filter(str.strip, entries):
        assert re.match(r"[A-Za-z0-9_.\-]+(\[[^\]]*\])?==\S+", entry), entry[:60]
        assert "--hash=sha256:" in entry, entry[:60]


def test_the_locks_hold_what_is_declared() -> None:
    assert runtime() <= locked("requirements.lock").keys()
    everything = locked("requirements-dev.lock")
    assert runtime() | development() <= everything.keys()


def test_both_locks_agree() -> None:
    everything = locked("requirements-dev.lock")
    for package, version in locked("requirements.lock").items():
        assert everything[package] == version, package


def test_development_tools_are_not_shipped() -> None:
    assert not (development() - {"hatchling"}) & locked("requirements.lock").keys()
