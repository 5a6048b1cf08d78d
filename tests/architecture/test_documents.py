"""Documents say what is so: settings, links, limits, changelog, decisions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from process.settings_docs import main as settings_docs
from tests.architecture.tree import ROOMS, ROOT, named

README_LINES_MAX = 150
MAKE_TARGETS = (
    "setup",
    "demo",
    "up",
    "down",
    "test",
    "test-system",
    "lint",
    "fmt",
    "bench",
    "crash",
)

# Spelled in pieces, so that this file does not hold what it forbids.
FORBIDDEN = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        "/wo" + "rk/",
        r"\bissue\s+#?" + r"\d",
        "pypi" + r"\.org",
        "python" + r"hosted\.org",
        r"registry\." + "npmjs",
        "work" + "place",
    )
)
TEXT = {".py", ".md", ".toml", ".lock", ".yml", ".yaml", ".ini", ".mako", ".sql", ".json", ".txt"}
TOP_LEVEL = ("Makefile", ".importlinter", ".gitignore", ".env.example", "LICENSE", ".ci/run")

documents = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/*/*.md")])
decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))


def text_files() -> list[Path]:
    folders = (*ROOMS, "tests", "benchmarks", "deploy", "docs")
    inside = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.suffix in TEXT]
    top = [p for p in ROOT.glob("*") if p.suffix in TEXT]
    named_files = [ROOT / name for name in TOP_LEVEL]
    return [p for p in (*inside, *top, *named_files) if p.is_file()]


def test_settings_table_and_env_example_are_current() -> None:
    assert settings_docs(["--check", "--root", str(ROOT)]) == 0


def test_the_readme_is_short_and_begins_with_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= README_LINES_MAX
    assert text.index("make demo") < text.index("make test")
    for room in (*ROOMS, "worker.py"):
        assert f"`{room}" in text, f"the map lacks {room}"


@pytest.mark.parametrize("path", documents, ids=named)
def test_links_inside_the_checkout_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_no_file_tells_where_it_was_written() -> None:
    for path in text_files():
        text = path.read_text(encoding="utf-8")
        for pattern in FORBIDDEN:
            found = pattern.search(text)
            assert found is None, f"{named(path)}: {found.group(0) if found else ''!r}"


def test_the_changelog_keeps_its_format() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    assert "keepachangelog.com" in text
    versions = re.findall(r"^## \[([^\]]+)\](?: - (\d{4}-\d\d-\d\d))?$", text, flags=re.M)
    assert versions and versions[0][0] == "Unreleased"
    assert all(date for name, date in versions if name != "Unreleased")
    kinds = set(re.findall(r"^### (.+)$", text, flags=re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert re.findall(r"^## ", text, flags=re.M) == ["## "] * len(versions)


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(path.name[:4]) for path in decisions]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 12


@pytest.mark.parametrize("path", decisions, ids=lambda path: path.stem)
def test_a_decision_says_why_and_what_else_there_was(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(path.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, flags=re.M) == [
        "Context",
        "Decision",
        "Consequences",
        "Alternatives",
    ]
    assert len(text.splitlines()) <= 60


def test_every_promised_make_target_is_there() -> None:
    targets = re.findall(
        r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M
    )
    assert set(MAKE_TARGETS) <= set(targets)


def test_every_environment_variable_of_the_makefile_and_docs_is_spelled_once() -> None:
    """Variables that operations.md names exist as settings."""
    known = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for variable in set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`", text)):
        status = variable in {"PENDING_CANCEL", "PENDING_MODIFY", "PARTIALLY_FILLED"}
        # Any setting can be given by a file instead.
        by_file = f"| `{variable.removesuffix('_FILE')}` |" in known
        assert status or by_file or variable in known, variable
