"""Names, sizes and docstrings: the house style in numbers."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests import together
from tests.architecture.tree import ROOMS, ROOT, named, parsed, product_files, support_files

FILE_LINES_MAX, FUNCTION_LINES_MAX = 500, 70
# A file of tests is a list: it is read by its names, so it may be longer.
TEST_FILE_LINES_MAX, TEST_FUNCTION_LINES_MAX = 600, 80
PURPOSE_LENGTH_MIN = 20
NAMELESS = {"utils", "util", "helpers", "helper", "common", "shared", "manager", "base", "misc"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def too_long(paths: Iterable[Path], file_lines: int, function_lines: int) -> Iterator[str]:
    for path in paths:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > file_lines:
            yield f"{named(path)}: {lines} lines"
        for node in ast.walk(parsed(path)):
            if isinstance(node, Function) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > function_lines:
                    yield f"{named(path)}: {node.name} has {length} lines"


def test_every_file_and_function_fits_in_one_head() -> None:
    assert list(too_long(product_files(), FILE_LINES_MAX, FUNCTION_LINES_MAX)) == []


def test_files_of_tests_are_not_endless() -> None:
    limits = (TEST_FILE_LINES_MAX, TEST_FUNCTION_LINES_MAX)
    assert list(too_long(support_files(), *limits)) == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        named(path)
        for path in product_files()
        if parsed(path).body and len(ast.get_docstring(parsed(path)) or "") < PURPOSE_LENGTH_MIN
    ]
    assert silent == []


def test_every_file_name_names_a_concept() -> None:
    nameless = [
        named(path)
        for path in (*product_files(), *support_files())
        if NAMELESS & set(path.stem.split("_"))
    ]
    assert nameless == []


def test_no_top_level_name_clashes_with_what_sdks_install() -> None:
    taken = ("scripts", "examples", "client", "openapi_client", "utils")
    assert [name for name in taken if (ROOT / name).exists()] == []


def test_nothing_is_left_for_later() -> None:
    marks = ("TODO", "FIXME", "XXX", "NotImplementedError")
    left = [
        f"{named(path)}: {mark}"
        for path in product_files()
        for mark in marks
        if mark in path.read_text(encoding="utf-8")
    ]
    assert left == []


def test_no_test_is_switched_off() -> None:
    switches = {"skip", "skipif", "xfail", "importorskip"}
    off = [
        f"{named(path)}:{node.lineno}"
        for path in support_files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and node.attr in switches
    ]
    assert off == []


def test_every_room_is_packaged_measured_and_type_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    wheel = project["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert set(wheel) == {*ROOMS, "worker.py"}
    assert set(project["coverage"]["run"]["source"]) == {*ROOMS, "worker"}
    assert set(project["mypy"]["files"]) == {*ROOMS, "worker.py", "benchmarks", "tests"}


def test_every_test_file_is_run_once_by_make_test() -> None:
    """A room that is shared out among processes loses no file, and runs none twice."""
    shared = [room for part in together.LONGEST for room in part if ":" in room]
    for name in {room.partition(":")[0] for room in shared}:
        shares = [together.paths_of(room) for room in shared if room.startswith(f"{name}:")]
        given = sorted(path for share in shares for path in share)
        there = sorted(named(path) for path in (ROOT / "tests" / name).rglob("test_*.py"))
        assert given == there
