"""Settings of the embedded stack, from the environment and `.env` in the working directory.

The stack imports no room of ours, so it explains wrong values itself: variable, file and line,
what was expected, how to correct it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from stack.errors import StackConfigurationError

Port = Annotated[int, Field(ge=1, le=65_535)]


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - links are kept as given


def _host_and_port(address: str | None) -> str | None:
    if address is not None and urlsplit(f"//{address}").port is None:
        raise ValueError("an address host:port, such as temporal.example:7233")
    return address


#: Every venue's simulated exchange, in the order in which they are shown, with the name of its port
#: below: `sim_vest` is the setting SIM_VEST_PORT, and its controls' SIM_VEST_CONTROL_PORT. A venue
#: joins by a line here and by those two settings.
SIMULATED: Final = {
    "hyperliquid": "sim",
    "lighter": "sim_lighter",
    "pacifica": "sim_pacifica",
    "extended": "sim_extended",
    "edgex": "sim_edgex",
    "vest": "sim_vest",
}


def _names(text: str) -> tuple[str, ...]:
    given = {name.strip() for name in text.split(",") if name.strip()}
    return tuple(name for name in SIMULATED if name in given)


def _simulated(text: str) -> str:
    unknown = {name.strip() for name in text.split(",") if name.strip()} - set(SIMULATED)
    if unknown:
        raise ValueError(f"some of {', '.join(SIMULATED)}, comma-separated, or nothing")
    return text


class StackSettings(BaseSettings):
    """The supervisor (`perp-dex up`): where state is kept, which ports, which servers are yours."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    perp_dex_home: Annotated[Path, AfterValidator(_absolute)] = Field(
        default=Path("~/.perp-dex"), description="Directory of all state, logs and secrets."
    )
    temporal_address: Annotated[str | None, AfterValidator(_host_and_port)] = Field(
        default=None,
        description="Your Temporal server, host:port; unset, an embedded one is started.",
    )
    temporal_ui_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#\s]+$",
        description="Origin of the web UI of your Temporal server; the embedded one has its own.",
    )
    temporal_namespace: str = Field(default="default", description="Temporal namespace.")
    redis_url: str | None = Field(
        default=None, description="Your Valkey or Redis; unset, an embedded Valkey is started."
    )
    database_url: str | None = Field(
        default=None,
        description="Your database (postgresql+psycopg://…); unset, SQLite in PERP_DEX_HOME.",
    )
    perp_dex_temporal_binary: Path | None = Field(
        default=None,
        description="Path of the `temporal` program; unset, the one of the installation.",
    )
    temporal_port: Port = Field(default=7233, description="Port of the embedded Temporal server.")
    temporal_ui_port: Port = Field(
        default=8233, description="Port of the embedded Temporal web UI."
    )
    valkey_port: Port = Field(default=6390, description="Port of the embedded Valkey.")
    api_host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    api_port: Port = Field(default=8700, description="Port of the API.")
    streaming_host: str = Field(
        default="127.0.0.1", description="Address the WebSockets listen on."
    )
    streaming_port: Port = Field(default=8701, description="Port of the WebSockets.")
    api_metrics_port: Port = Field(default=8702, description="Port of the API's metrics.")
    worker_metrics_port: Port = Field(default=8703, description="Port of the worker's metrics.")
    streaming_metrics_port: Port = Field(
        default=8704, description="Port of the streaming process's metrics."
    )
    sim_port: Port = Field(default=8710, description="Port of the simulated exchange.")
    sim_control_port: Port = Field(
        default=8711, description="Port of the simulated exchange's controls."
    )
    sim_lighter_port: Port = Field(default=8714, description="Port of the simulated Lighter.")
    sim_lighter_control_port: Port = Field(
        default=8715, description="Port to steer the simulated Lighter by."
    )
    sim_pacifica_port: Port = Field(default=8712, description="Port of the simulated Pacifica.")
    sim_pacifica_control_port: Port = Field(
        default=8713, description="Port of the simulated Pacifica's controls."
    )
    sim_extended_port: Port = Field(default=8716, description="Port of the simulated Extended.")
    sim_extended_control_port: Port = Field(
        default=8717, description="Port of the simulated Extended's controls."
    )
    sim_edgex_port: Port = Field(default=8718, description="Port of the simulated EdgeX.")
    sim_edgex_control_port: Port = Field(
        default=8719, description="Port of the simulated EdgeX's controls."
    )
    sim_vest_port: Port = Field(default=8720, description="Port of the simulated Vest.")
    sim_vest_control_port: Port = Field(
        default=8721, description="Port of the simulated Vest's controls."
    )
    simulated_venues: Annotated[str, AfterValidator(_simulated)] = Field(
        default=",".join(SIMULATED),
        description="Venues whose simulated exchange is started, comma-separated.",
    )
    log_format: Literal["json", "console"] = Field(default="json", description="Form of log lines.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO", description="Least severe log line that is kept."
    )
    stack_start_timeout_s: float = Field(
        default=90.0, gt=0, description="How long all processes together may take to become ready."
    )

    @property
    def simulators(self) -> tuple[str, ...]:
        """The venues whose simulated exchange is started."""
        return _names(self.simulated_venues)

    @classmethod
    def load(cls, home: Path | None = None) -> Self:
        """Read the settings, `home` overriding PERP_DEX_HOME.

        Raises `StackConfigurationError`, one line per wrong variable.
        """
        dotenv = _read_dotenv(Path(".env"))
        values: dict[str, Any] = _values_from_files(dotenv)
        if home is not None:
            values["perp_dex_home"] = home
        try:
            return cls(**values)
        except ValidationError as error:
            problems = [
                _explain(str(detail["loc"][0]), detail["msg"], detail["input"], dotenv)
                for detail in error.errors(include_url=False, include_context=False)
            ]
            raise StackConfigurationError("\n".join(problems)) from None


_SECRETS_WITHIN: Final = frozenset({"REDIS_URL", "DATABASE_URL"})
#: Addresses that may be given as the path of a file, as our own processes accept every variable.
FILE_VARIABLES: Final = ("TEMPORAL_ADDRESS", "REDIS_URL", "DATABASE_URL")


@dataclass(frozen=True, slots=True)
class _DotenvEntry:
    line: int
    value: str


def _read_dotenv(path: Path) -> dict[str, _DotenvEntry]:
    """Map each variable of `.env` to its line and value; a line that cannot be read is an error."""
    if not path.is_file():
        return {}
    entries: dict[str, _DotenvEntry] = {}
    with path.open(encoding="utf-8") as stream:
        for binding in parse_stream(stream):
            text = binding.original.string
            line = binding.original.line + len(text) - len(text.lstrip("\n"))
            if binding.error:
                raise StackConfigurationError(
                    f"{path}:{line}: expected a line NAME=value, found one that cannot be read; "
                    "correct or remove it (quote values with spaces or #)"
                )
            if binding.key is not None and binding.value:
                entries[binding.key.upper()] = _DotenvEntry(line, binding.value)
    return entries


def _values_from_files(dotenv: dict[str, _DotenvEntry]) -> dict[str, Any]:
    given = {name: entry.value for name, entry in dotenv.items()}
    given.update({name.upper(): value for name, value in os.environ.items() if value})
    values: dict[str, Any] = {}
    for variable in FILE_VARIABLES:
        name = f"{variable}_FILE"
        if name not in given:
            continue
        if variable in given:
            raise StackConfigurationError(
                f"{variable}: expected either {variable} or {name}, found both; unset one of them"
            )
        path = Path(given[name])
        try:
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StackConfigurationError(
                f"{name}: expected a readable text file, found {str(path)!r} "
                f"({type(error).__name__}); create it or unset {name}"
            ) from error
        if not value:
            raise StackConfigurationError(
                f"{name}: expected a file with a value, found {str(path)!r} empty; write the value "
                f"of {variable} into it"
            )
        values[variable.lower()] = value
    return values


def _explain(field: str, message: str, value: object, dotenv: dict[str, _DotenvEntry]) -> str:
    variable = field.upper()
    if variable in {name.upper() for name, text in os.environ.items() if text}:
        where = "in the environment"
    elif variable in dotenv:
        where = f"at .env:{dotenv[variable].line}"
    else:
        where = "where it is given"
    expected = message.removeprefix("Input should be ").removeprefix("Value error, ")
    found = "another text" if variable in _SECRETS_WITHIN else repr(str(value)[:80])
    meaning = StackSettings.model_fields[field].description
    return f"{variable}: expected {expected}; found {found}; correct it {where} ({meaning})"
