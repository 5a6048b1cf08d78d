"""What is printed: data on stdout, words on stderr, nothing that could steer a terminal.

Text from outside is shown with its control characters escaped and never read as markup. Rich is
imported only when a table is drawn.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from domain.numbers import plain

if TYPE_CHECKING:
    from rich.console import Console

#: Where nobody looks, lines are not broken to fit a screen.
_WIDTH_WITHOUT_SCREEN: Final = 240
_CONTROLS: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_KEY: Final = re.compile(r"(?<![0-9a-fA-F])(?:0[xX])?[0-9a-fA-F]{64,}(?![0-9a-fA-F])")


def safe(value: object) -> str:
    """Return `value` as text that is only ever text on a terminal."""
    if value is None:
        return "–"
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _CONTROLS.sub(_escape, str(value))


def without_keys(text: str) -> str:
    """Return `text` with everything that looks like a private key hidden."""
    return _KEY.sub("[hidden]", text)


def say(text: str) -> None:
    """Tell a person something, on stderr."""
    sys.stderr.write(f"{safe(text)}\n")
    sys.stderr.flush()


def print_json(document: Any) -> None:
    """Print one JSON document on stdout: decimals as strings, times as RFC 3339."""
    sys.stdout.write(json.dumps(json_ready(document), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def json_ready(value: Any) -> Any:
    """Return `value` in JSON's own types."""
    fields = getattr(value, "__struct_fields__", None)
    if fields is not None:
        return {name: json_ready(getattr(value, name)) for name in fields}
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(name): json_ready(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    return value


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Print a table on stdout; columns in `right` are aligned right, in `whole` never folded."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=name in whole,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(safe(cell)) for cell in row))
    _console().print(table)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line, on stdout."""
    shown = [(name, safe(value)) for name, value in fields]
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        sys.stdout.write(f"{name:<{width}}  {text}\n")
    sys.stdout.flush()


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print CSV on stdout; text that a spreadsheet would calculate is made inert."""
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    sys.stdout.flush()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return str(json_ready(value))
    text = _CONTROLS.sub(_escape, str(value))
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _console() -> Console:
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_SCREEN
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=width)
