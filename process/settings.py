"""Where the settings of a process come from, and how a wrong one is explained.

Sources, the first wins: keyword arguments, environment, `.env` in the working directory, and
`NAME_FILE` variables (the stripped content of that file is the value of NAME; for secrets in
containers). Holds the mechanics only: each composition root declares its own class.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn, Self

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as PydanticSettingsError

from process.redaction import escape_controls, redact_text
from process.settings_fields import SettingsField, settings_fields
from process.settings_sources import (
    DotenvFile,
    FileVariablesSource,
    SettingsError,
    SettingsProblem,
)

__all__ = ["ProcessSettings", "SettingsError", "SettingsProblem"]

#: Exit code of a process that was configured wrongly (the shell's usage error).
EXIT_CONFIGURATION = 2

_VALUE_SHOWN_MAX = 80

# "Input should be a valid integer" follows our own "expected".
_PREAMBLE = re.compile(r"^(?:(?:Input|Value) should be |Value error, )")


class ProcessSettings(BaseSettings):
    """Base of every process's settings; variables are upper-case field names.

    An empty variable counts as unset, unknown variables are ignored. Mark a secret by
    `SecretStr` or by `json_schema_extra={"secret": True}`.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Replace the secrets-directory source by `NAME_FILE` variables."""
        files = FileVariablesSource(settings_cls, _dotenv_file(settings_cls))
        return (init_settings, env_settings, dotenv_settings, files)

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read the settings; raise `SettingsError` with one problem per wrong variable."""
        dotenv = _dotenv_file(cls)
        if dotenv.problems:
            raise SettingsError(dotenv.problems)
        try:
            return cls(**values)
        except ValidationError as error:
            fields = {field.name: field for field in settings_fields(cls)}
            details = error.errors(include_url=False, include_context=False)
            raise SettingsError(_explain(fields, detail, dotenv) for detail in details) from None
        except PydanticSettingsError as error:
            raise SettingsError([_explain_undecodable(cls, error, dotenv)]) from None

    @classmethod
    def load_or_exit(cls, **values: Any) -> Self:
        """Read the settings; print what is wrong on stderr and end the process with 2."""
        try:
            return cls.load(**values)
        except SettingsError as error:
            _exit_with(error)


def _exit_with(error: SettingsError) -> NoReturn:
    for problem in error.problems:
        sys.stderr.write(f"settings: {problem}\n")
    sys.exit(EXIT_CONFIGURATION)


def _dotenv_file(cls: type[BaseSettings]) -> DotenvFile:
    configured = cls.model_config.get("env_file")
    return DotenvFile.read(Path(configured) if isinstance(configured, (str, Path)) else None)


def _explain(
    fields: dict[str, SettingsField], detail: ErrorDetails, dotenv: DotenvFile
) -> SettingsProblem:
    location = [str(part) for part in detail["loc"]]
    field = _field_at(fields, location[0]) if location else None
    expected = _PREAMBLE.sub("", detail["msg"]).replace("Value should have", "to have")
    if field is None:
        variable = location[0] if location else "settings"
        return SettingsProblem(variable, redact_text(expected), "this combination", "change one")
    variable, where, origin = _origin(field, dotenv)
    if detail["type"] == "missing":
        return SettingsProblem(
            variable,
            field.meaning or "a value",
            "nothing",
            f"set {variable} in the environment or in .env, or {variable}_FILE",
        )
    found = _shown(detail["input"], field)
    if field.secret and isinstance(detail["input"], str) and detail["input"]:
        expected = expected.replace(detail["input"], "[redacted]")
    if len(location) > 1:
        expected = f"{'.'.join(location[1:])}: {expected}"
    return SettingsProblem(
        variable,
        redact_text(expected),
        f"{found}{origin}",
        f"correct it {where}" + (f" ({field.meaning})" if field.meaning else ""),
    )


def _field_at(fields: dict[str, SettingsField], location: str) -> SettingsField | None:
    for field in fields.values():
        names = (field.name, *field.variables)
        if location.lower() in {name.lower() for name in names}:
            return field
    return None


def _origin(field: SettingsField, dotenv: DotenvFile) -> tuple[str, str, str]:
    """Give the variable that was read, where to correct it, and how that is said of the value."""
    environment = {name.upper() for name, value in os.environ.items() if value}
    for variable in field.variables:
        if variable.upper() in environment:
            return variable, "in the environment", " in the environment"
    for variable in field.variables:
        line = dotenv.line_of(variable)
        if line is not None:
            return variable, f"in {dotenv.path}:{line}", f" in {dotenv.path}:{line}"
    for variable in field.variables:
        name = f"{variable}_FILE"
        if name in environment or dotenv.line_of(name) is not None:
            return variable, f"in the file {name} points to", f" in the file of {name}"
    return field.variables[0], "where it is given", ""


def _shown(value: object, field: SettingsField) -> str:
    if field.secret:
        length = len(value) if isinstance(value, str) else None
        return "a hidden value" if length is None else f"a hidden value of {length} characters"
    text = escape_controls(redact_text(str(value)))
    return repr(text if len(text) <= _VALUE_SHOWN_MAX else f"{text[:_VALUE_SHOWN_MAX]}…")


def _explain_undecodable(
    cls: type[BaseSettings], error: PydanticSettingsError, dotenv: DotenvFile
) -> SettingsProblem:
    """A list or mapping that is not JSON: pydantic names the field only inside its text."""
    for field in settings_fields(cls):
        if f'"{field.name}"' in str(error):
            variable, where, origin = _origin(field, dotenv)
            return SettingsProblem(
                variable,
                'JSON, such as ["a", "b"]',
                f"text that is no JSON{origin}",
                f"correct it {where}" + (f" ({field.meaning})" if field.meaning else ""),
            )
    raise error
