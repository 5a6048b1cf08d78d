"""The stack explains wrong settings with their place and what to do."""

from pathlib import Path

import pytest

from stack.errors import StackConfigurationError
from stack.paths import StackPaths
from stack.settings import StackSettings

pytestmark = pytest.mark.usefixtures("paths")
CANARY = "canary-0123456789"


def problem_of() -> str:
    with pytest.raises(StackConfigurationError) as caught:
        StackSettings.load()
    return str(caught.value)


def test_defaults_are_the_documented_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    settings = StackSettings.load()
    assert settings.perp_dex_home == Path("/home/someone/.perp-dex")
    assert (settings.temporal_port, settings.temporal_ui_port) == (7233, 8233)
    assert (settings.valkey_port, settings.api_port, settings.streaming_port) == (6390, 8700, 8701)
    metrics = (settings.api_metrics_port, settings.worker_metrics_port)
    assert (*metrics, settings.streaming_metrics_port) == (8702, 8703, 8704)
    assert (settings.sim_port, settings.sim_control_port) == (8710, 8711)
    assert settings.temporal_address is settings.redis_url is settings.database_url is None


def test_a_given_home_wins_and_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERP_DEX_HOME", "elsewhere")
    assert StackSettings.load().perp_dex_home == tmp_path / "elsewhere"
    assert StackSettings.load(Path("here")).perp_dex_home == tmp_path / "here"


def test_a_wrong_value_is_explained_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("A=1\n\nAPI_PORT=99999\n", encoding="utf-8")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example")
    address, port, level = problem_of().splitlines()
    assert address.startswith(
        "TEMPORAL_ADDRESS: expected an address host:port, such as temporal.example:7233; found "
        "'temporal.example'; correct it in the environment (Your Temporal server"
    )
    assert port == (
        "API_PORT: expected less than or equal to 65535; found '99999'; correct it at .env:3 "
        "(Port of the API.)"
    )
    assert level.startswith("LOG_LEVEL: expected 'DEBUG', 'INFO'")


def test_an_argument_is_explained_too() -> None:
    with pytest.raises(StackConfigurationError, match="correct it where it is given"):
        StackSettings.load(7)  # type: ignore[arg-type]


def test_a_line_that_cannot_be_read_is_named() -> None:
    Path(".env").write_text("A=1\nwhat is this = \n", encoding="utf-8")
    assert problem_of().startswith(".env:2: expected a line NAME=value, found one that cannot")


def test_addresses_may_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "url"
    path.write_text(f"redis://:{CANARY}@host/0\n", encoding="utf-8")
    Path(".env").write_text(f"REDIS_URL_FILE={path}\n", encoding="utf-8")
    assert StackSettings.load().redis_url == f"redis://:{CANARY}@host/0"
    monkeypatch.setenv("REDIS_URL", "redis://other/0")
    assert problem_of() == (
        "REDIS_URL: expected either REDIS_URL or REDIS_URL_FILE, found both; unset one of them"
    )
    monkeypatch.delenv("REDIS_URL")
    path.write_text(" \n", encoding="utf-8")
    assert problem_of().startswith("REDIS_URL_FILE: expected a file with a value, found")
    path.unlink()
    assert problem_of().startswith("REDIS_URL_FILE: expected a readable text file, found")


def test_a_home_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackConfigurationError, match="PERP_DEX_HOME: expected a directory"):
        StackPaths(tmp_path / "file" / "home").create()
