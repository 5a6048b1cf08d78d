"""The two sources that need more than pydantic gives: a `.env` with line numbers, `NAME_FILE`.

Knows variables and files, not what a value means.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from dotenv.parser import parse_stream
from pydantic_settings import BaseSettings, EnvSettingsSource

from process.settings_fields import settings_fields

#: A `NAME_FILE` larger than this, in bytes, is not a setting.
FILE_SIZE_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SettingsProblem:
    """One wrong variable: what was expected, what was found (never a secret), how to fix it."""

    variable: str
    expected: str
    found: str
    fix: str

    def __str__(self) -> str:
        return f"{self.variable}: expected {self.expected}; found {self.found}; {self.fix}"


class SettingsError(Exception):
    """The configuration is wrong; `problems` holds one entry per variable."""

    def __init__(self, problems: Iterable[SettingsProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class DotenvFile:
    """The names and line numbers of a `.env` file; values are left to pydantic-settings."""

    path: Path | None
    lines: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[SettingsProblem, ...] = ()

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Parse `path`; a file that does not exist is an empty one."""
        if path is None or not path.is_file():
            return cls(path)
        lines: dict[str, int] = {}
        values: dict[str, str] = {}
        problems: list[SettingsProblem] = []
        with path.open(encoding="utf-8") as stream:
            for binding in parse_stream(stream):
                text = binding.original.string
                line = binding.original.line + len(text) - len(text.lstrip("\n"))
                if binding.error:
                    problems.append(
                        SettingsProblem(
                            f"{path}:{line}",
                            "a line NAME=value",
                            "a line that cannot be read",
                            "correct or remove it; quote values with spaces or #",
                        )
                    )
                elif binding.key is not None and binding.value:
                    lines[binding.key.upper()] = line
                    values[binding.key.upper()] = binding.value
        return cls(path, lines, values, tuple(problems))

    def line_of(self, variable: str) -> int | None:
        """Give the line on which `variable` has a value, or None."""
        return self.lines.get(variable.upper())


class FileVariablesSource(EnvSettingsSource):
    """Values from the files that `NAME_FILE` variables point to."""

    def __init__(self, settings_cls: type[BaseSettings], dotenv: DotenvFile) -> None:
        self._dotenv = dotenv
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        environment = {name.upper(): value for name, value in os.environ.items() if value}
        given = {**self._dotenv.values, **environment}
        fields = settings_fields(self.settings_cls)
        variables = {variable for one in fields for variable in one.variables}
        found: dict[str, str | None] = {}
        problems: list[SettingsProblem] = []
        for variable in sorted(variables):
            name = f"{variable}_FILE"
            # A setting may itself be called SOMETHING_FILE; then it is not an indirection.
            if name not in given or name in variables:
                continue
            if variable in environment and name not in environment:
                # The environment outranks `.env`, whichever form is used there.
                continue
            outcome = _read_value(variable, name, Path(given[name]), given)
            if isinstance(outcome, SettingsProblem):
                problems.append(outcome)
            else:
                found[variable if self.case_sensitive else variable.lower()] = outcome
        if problems:
            raise SettingsError(problems)
        return found


def _read_value(
    variable: str, name: str, path: Path, given: Mapping[str, str]
) -> str | SettingsProblem:
    if variable in given:
        return SettingsProblem(
            variable, f"either {variable} or {name}", "both", f"unset one of {variable} and {name}"
        )
    try:
        if path.stat().st_size > FILE_SIZE_MAX_BYTES:
            return SettingsProblem(
                name,
                f"a file of at most {FILE_SIZE_MAX_BYTES} bytes",
                f"a larger one: {path}",
                f"point {name} to a file that holds the value only",
            )
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        return SettingsProblem(
            name,
            "a readable file",
            f"{str(path)!r}: {error.strerror}",
            f"create it or unset {name}",
        )
    except UnicodeDecodeError:
        return SettingsProblem(
            name, "a text file in UTF-8", f"{str(path)!r}: other bytes", "write it as UTF-8"
        )
    if not value:
        return SettingsProblem(
            name, "a file with a value", f"{str(path)!r}: empty", f"write the value of {variable}"
        )
    return value
