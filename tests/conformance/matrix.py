"""`python -m tests.conformance.matrix --write|--check`: prints docs/venues.md from the data.

What a venue can do comes from its registry entry, which tests ask about it from the suite's own
source: a test asks about a capability when it, or a function it calls, reads it. Nothing is typed
twice, so that a venue, a capability or a test that is new is in the page by itself.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Final

from domain.accounts import MarginMode, Network
from domain.market_past import MarketQuery
from domain.orders import OrderType, TimeInForce
from venues import registry
from venues.capabilities import Capabilities, ProofTable
from venues.connector import VenueSpec

HERE: Final = Path(__file__).parent
PAGE: Final = HERE.parents[1] / "docs" / "venues.md"
BEGIN: Final = "<!-- printed by python -m tests.conformance.matrix: begin -->"
END: Final = "<!-- printed by python -m tests.conformance.matrix: end -->"

#: Sets that are shown as `all` when they hold every member of their kind.
WHOLE: Final[tuple[type[StrEnum], ...]] = (OrderType, TimeInForce, MarginMode, Network, MarketQuery)
#: Of a proof table, what is shown elsewhere: in each venue's NOTES, and below.
ELSEWHERE: Final = frozenset({"rows", "unverified"})
NONE: Final = "–"
#: Asks whether the data is whole; what follows from it is asked by the others.
DECLARED: Final = "test_declared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One test of the suite: its file, its name, and the data of a venue that it reads."""

    file: str
    name: str
    reads: frozenset[str]


# The suite's own source


def suite() -> list[tuple[str, str, list[Asked]]]:
    """Return each file of the suite with its question and its tests."""
    found = []
    for path in sorted(HERE.glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        question = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
        found.append((path.stem, question, list(_tests(path.stem, tree))))
    return found


def _tests(file: str, tree: ast.Module) -> Iterator[Asked]:
    functions = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for name, node in functions.items():
        if name.startswith("test_"):
            yield Asked(file=file, name=name, reads=frozenset(_reads(node, functions, {name})))


def _reads(node: ast.AST, functions: dict[str, Any], seen: set[str]) -> set[str]:
    """Return the capabilities and proofs that a function reads, and those that it calls."""
    found: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute):
            found.add(inner.attr)
        if isinstance(inner, ast.Name) and inner.id in functions and inner.id not in seen:
            seen.add(inner.id)
            found |= _reads(functions[inner.id], functions, seen)
    return found & DATA


DATA: Final = (
    frozenset(
        {field.name for kind in (Capabilities, ProofTable) for field in fields(kind)}
        | {name for name, value in vars(ProofTable).items() if isinstance(value, property)}
    )
    - ELSEWHERE
)


# What is shown


def shown(value: Any) -> str:
    """Return a value of a venue's data as a cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return NONE
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, frozenset | tuple):
        return _many(value)
    return str(value)


def _many(values: Iterable[Any]) -> str:
    members = list(values)
    for kind in WHOLE:
        if members and set(members) == set(kind):
            return "all"
    words = [
        " ".join(shown(part) for part in one) if isinstance(one, tuple) else shown(one)
        for one in members
    ]
    if any(isinstance(one, StrEnum) for one in members):
        words.sort()
    return ", ".join(words) or NONE


def page_part() -> str:
    """Return what docs/venues.md prints, between its marks."""
    specs = [registry.load(venue) for venue in registry.names()]
    asked = suite()
    tests = [test for _, _, found in asked for test in found]
    parts = [
        BEGIN,
        "## What each can do",
        _table(specs, [field.name for field in fields(Capabilities)], "capabilities", tests),
        "## What proves a command there",
        _table(specs, _proof_names(), "proofs", tests),
        "## What is asked where a venue says no",
        _lacking(specs, tests),
        "## What is asked of every venue",
        _questions(asked),
        "## What nobody has verified",
        "\n".join(_unverified(spec) for spec in specs),
        END,
    ]
    return "\n\n".join(parts)


def _proof_names() -> list[str]:
    return [
        "proves_absence",
        *(field.name for field in fields(ProofTable) if field.name not in ELSEWHERE),
    ]


def _table(
    specs: Sequence[VenueSpec], names: Sequence[str], part: str, tests: Sequence[Asked]
) -> str:
    head = ["", *(spec.venue for spec in specs), "asked by"]
    lines = [_row(head), "|" + "---|" * len(head)]
    for name in names:
        cells = [shown(getattr(getattr(spec, part), name)) for spec in specs]
        lines.append(_row([_words(name), *cells, _askers(name, tests)]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _words(name: str) -> str:
    words = name.removesuffix("_s").replace("_", " ")
    return f"{words}, s" if name.endswith("_s") and name != "proves_s" else words


def _askers(name: str, tests: Sequence[Asked]) -> str:
    """Return the files that ask about it, with how many tests of each."""
    counted: dict[str, int] = {}
    for test in tests:
        if name in test.reads:
            counted[test.file] = counted.get(test.file, 0) + 1
    return ", ".join(f"{file} ({count})" for file, count in counted.items()) or NONE


def _lacking(specs: Sequence[VenueSpec], tests: Sequence[Asked]) -> str:
    """Say of each capability that some venue lacks which tests run there all the same."""
    lines = []
    for name in (*(field.name for field in fields(Capabilities)), *_proof_names()):
        without = [spec.venue for spec in specs if _value(spec, name) is False]
        if not without:
            continue
        asked = [f"`{test.name}`" for test in tests if name in test.reads and test.file != DECLARED]
        what = "; ".join(asked) or "no test depends on it"
        lines.append(f"- **{_words(name)}** (not: {', '.join(without)}): {what}.")
    return "\n".join(lines)


def _value(spec: VenueSpec, name: str) -> Any:
    part = spec.capabilities if hasattr(spec.capabilities, name) else spec.proofs
    return getattr(part, name)


def _questions(asked: Sequence[tuple[str, str, list[Asked]]]) -> str:
    lines = ["| file | tests | question |", "|---|---|---|"]
    lines += [_row([file, str(len(tests)), question]) for file, question, tests in asked]
    return "\n".join(lines)


def _unverified(spec: VenueSpec) -> str:
    notes = f"[NOTES](../venues/{spec.venue}/NOTES.md)"
    rows = [f"- **{spec.venue}** ({notes}):"]
    rows += [f"  - {text}" for text in spec.proofs.unverified]
    return "\n".join(rows)


def renewed(text: str) -> str:
    """Return the page with its printed part as the data has it now.

    Raises:
        ValueError: the page has no place for it.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE}: expected the lines {BEGIN!r} and {END!r}")
    return before + page_part() + after


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write the page; 0 when it is current, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.matrix", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="fail if it is not current")
    action.add_argument("--write", action="store_true", help="write it")
    options = parser.parse_args(arguments)
    text = PAGE.read_text(encoding="utf-8")
    current = renewed(text)
    if text == current:
        return 0
    if options.write:
        PAGE.write_text(current, encoding="utf-8")
        return 0
    sys.stderr.write(f"{PAGE}: not current; run python -m tests.conformance.matrix --write\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
