"""The workflow room: every workflow loads in the sandbox, and nothing reads a clock or a die."""

from __future__ import annotations

import ast
import asyncio
import importlib
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from tests.architecture.tree import ROOT, imports, named, parsed, roots_of

OUTSIDE = {"client", "payloads", "orphans", "reaching"}
INSIDE = [
    path
    for path in sorted((ROOT / "workflows").glob("[!_]*.py"))
    if path.stem not in OUTSIDE and not path.stem.endswith("_client")
]

UNREPEATABLE_MODULES = {"time", "random", "secrets", "os", "socket", "subprocess", "threading"}
UNREPEATABLE_CALLS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("uuid", "uuid1"),
    ("uuid", "uuid4"),
    ("asyncio", "to_thread"),
}


def workflow_classes() -> list[type]:
    found: list[type] = []
    for path in INSIDE:
        module = importlib.import_module(f"workflows.{path.stem}")
        found.extend(
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and value.__module__ == module.__name__
            and hasattr(value, "__temporal_workflow_definition")
        )
    return found


def load_in_sandbox(kind: type) -> None:
    """Load as a worker would that sandboxes; with modules of ours beside those it passes through.

    Uses an accessor of the SDK that is not public, in this one place.
    """
    restrictions = SandboxRestrictions.default.with_passthrough_modules(
        "domain",
        "activities",
        "venues",
        "pydantic",
        "pydantic_core",
        "annotated_types",
        "typing_inspection",
    )
    definition: Any = workflow._Definition.must_from_class(kind)

    async def prepare() -> None:
        SandboxedWorkflowRunner(restrictions=restrictions).prepare_workflow(definition)

    asyncio.run(prepare())


@pytest.mark.parametrize("kind", workflow_classes(), ids=lambda kind: kind.__name__)
def test_a_workflow_loads_in_the_sandbox(kind: type) -> None:
    load_in_sandbox(kind)


def test_there_is_one_workflow_to_a_file() -> None:
    modules = [kind.__module__ for kind in workflow_classes()]
    assert len(modules) == len(set(modules)) >= 2


@pytest.mark.parametrize("path", [*INSIDE, *sorted((ROOT / "domain").glob("[!_]*.py"))], ids=named)
def test_nothing_a_workflow_decides_by_reads_a_clock_or_chance(path: Path) -> None:
    assert not roots_of(imports(path)) & UNREPEATABLE_MODULES
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in UNREPEATABLE_CALLS, ast.unparse(node)


@pytest.mark.parametrize("path", INSIDE, ids=named)
def test_a_workflow_file_imports_nothing_late(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            late = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not late, f"{node.name} imports when it runs"
