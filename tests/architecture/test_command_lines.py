"""The promised command lines: what exists parses as promised, what does not is said to be missing.

docs/command-lines.md holds the list with a mark; this compares the marks with the program.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import typer.main

from cli.main import build
from tests.architecture.tree import ROOT

LINE = re.compile(r"^\| (yes|not yet) \| `perp-dex ([^`]+)` \|", re.M)
PROMISED = LINE.findall((ROOT / "docs" / "command-lines.md").read_text(encoding="utf-8"))
PROMISED_COUNT = 37

EXAMPLES = {
    "<dex_name>": "hyperliquid",
    "<dex>": "hyperliquid",
    "<symbol>": "BTC-PERP",
    "<symbols...>": "BTC-PERP ETH-PERP",
    "<amount>": "0.1",
    "<price>": "45000",
    "<new_price>": "45100",
    "<account_id>": "main",
    "<order_id>": "0b9c7a52-6f4e-5b1d-9b7f-2f1c0a3d4e5f",
    "<position_id>": "main:BTC-PERP",
    "<status>": "ACCEPTED",
    "<n>": "5",
    "<key>": "default_account",
    "<value>": "main",
    "<path>": "config.yaml",
    "<file>": "config.yaml",
}


def words(line: str) -> list[str]:
    """Return a promised line's arguments with every optional part and placeholder filled in."""
    line = line.partition(">  ")[0].partition(" > ")[0].replace("[", "").replace("]", "")
    for placeholder, example in EXAMPLES.items():
        line = line.replace(placeholder, example)
    assert "<" not in line, line
    return shlex.split(line)


def parse(arguments: list[str]) -> None:
    """Parse as the program does, and run nothing; raises when it does not parse."""
    command: Any = typer.main.get_command(build())
    rest = list(arguments)
    while hasattr(command, "commands"):
        if rest == ["--help"]:
            return
        found = command.commands.get(rest[0])
        if found is None:
            raise LookupError(f"no command {rest[0]!r} in {command.name!r}")
        command, rest = found, rest[1:]
    with command.make_context(command.name, rest):
        pass


def test_the_list_is_whole() -> None:
    assert len(PROMISED) == PROMISED_COUNT


@pytest.mark.parametrize(("mark", "line"), PROMISED, ids=[line for _, line in PROMISED])
def test_a_promised_line_parses_exactly_if_it_is_said_to(mark: str, line: str) -> None:
    try:
        parse(words(line))
    except Exception as error:
        assert mark == "not yet", f"{type(error).__name__}: {error}"
    else:
        assert mark == "yes", "it parses; mark it in docs/command-lines.md"
