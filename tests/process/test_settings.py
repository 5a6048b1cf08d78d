"""Settings come from four sources in order, and what is wrong is said in one line each."""

import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AliasChoices, AliasPath, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from process.settings import ProcessSettings, SettingsError
from process.settings_docs import (
    load_classes,
    main,
    render_env_example,
    render_settings_table,
)
from process.settings_fields import settings_fields

CANARY = "canary-0123456789"


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class DemoSettings(ProcessSettings):
    """Settings of a demonstration.

    More words that do not belong in the summary.
    """

    demo_port: int = Field(default=8700, ge=1, description="Port | of the\n demonstration.")
    demo_names: list[str] = Field(default=["a"], description="Names.")
    demo_token: SecretStr | None = Field(default=None, description="Token.", min_length=4)
    demo_color: Color = Field(default=Color.RED, description="Color.")


class RequiredSettings(ProcessSettings):
    """Needs a value."""

    needed: str = Field(description="Something that is needed.")
    needed_password: str = Field(
        default="xxxx", min_length=4, description="A password without its own type."
    )


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problems_of(cls: type[ProcessSettings], **values: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        cls.load(**values)
    return str(caught.value).splitlines()


def test_the_first_source_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DemoSettings.load().demo_port == 8700
    (tmp_path / "port").write_text(" 1 \n", encoding="utf-8")
    monkeypatch.setenv("DEMO_PORT_FILE", str(tmp_path / "port"))
    assert DemoSettings.load().demo_port == 1
    monkeypatch.delenv("DEMO_PORT_FILE")
    Path(".env").write_text("DEMO_PORT=2\nSOMEBODY_ELSES=x\n", encoding="utf-8")
    assert DemoSettings.load().demo_port == 2
    monkeypatch.setenv("demo_port", "3")
    assert DemoSettings.load().demo_port == 3
    assert DemoSettings.load(demo_port=4).demo_port == 4


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_PORT", "")
    monkeypatch.setenv("DEMO_TOKEN_FILE", "")
    settings = DemoSettings.load()
    assert settings.demo_port == 8700
    assert settings.demo_token is None


def test_files_carry_secrets_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(f"{CANARY}\n", encoding="utf-8")
    (tmp_path / "names").write_text('["x", "y"]', encoding="utf-8")
    Path(".env").write_text(f"DEMO_TOKEN_FILE={tmp_path / 'token'}\n", encoding="utf-8")
    monkeypatch.setenv("DEMO_NAMES_FILE", str(tmp_path / "names"))
    settings = DemoSettings.load()
    assert settings.demo_token is not None
    assert settings.demo_token.get_secret_value() == CANARY
    assert settings.demo_names == ["x", "y"]
    assert CANARY not in repr(settings)


def test_both_forms_of_one_variable_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMO_PORT", "1")
    monkeypatch.setenv("DEMO_PORT_FILE", str(tmp_path / "port"))
    assert problems_of(DemoSettings) == [
        "DEMO_PORT: expected either DEMO_PORT or DEMO_PORT_FILE; found both; unset one of "
        "DEMO_PORT and DEMO_PORT_FILE"
    ]


def test_the_environment_outranks_a_file_named_in_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("DEMO_PORT_FILE=/nowhere\n", encoding="utf-8")
    monkeypatch.setenv("DEMO_PORT", "5")
    assert DemoSettings.load().demo_port == 5


class CollidingSettings(ProcessSettings):
    """One setting is named like the file form of another."""

    ledger: str = Field(default="unset", description="A ledger.")
    ledger_file: Path = Field(default=Path("x"), description="The path of a ledger.")


def test_a_setting_that_is_a_file_is_no_indirection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_FILE", "/nowhere/ledger")
    settings = CollidingSettings.load()
    assert settings.ledger == "unset"
    assert settings.ledger_file == Path("/nowhere/ledger")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "expected a readable file; found '{path}': No such file or directory; create it"),
        (b"", "expected a file with a value; found '{path}': empty; write the value of DEMO_PORT"),
        (b"\xff\xfe", "expected a text file in UTF-8; found '{path}': other bytes; write it"),
        (b"1" * 70_000, "expected a file of at most 65536 bytes; found a larger one: {path}; "),
    ],
)
def test_a_file_that_holds_no_value_is_explained(
    content: bytes | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "port"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("DEMO_PORT_FILE", str(path))
    (problem,) = problems_of(DemoSettings)
    assert problem.startswith("DEMO_PORT_FILE: " + said.format(path=path))


def test_wrong_values_are_explained_with_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(
        f"# ports\n\nDEMO_PORT=many\nDEMO_TOKEN=abc\nOTHER={CANARY}\n", encoding="utf-8"
    )
    monkeypatch.setenv("DEMO_COLOR", "green\x1b[2J")
    port, token, color = problems_of(DemoSettings)
    assert port == (
        "DEMO_PORT: expected a valid integer, unable to parse string as an integer; found 'many' "
        "in .env:3; correct it in .env:3 (Port | of the demonstration.)"
    )
    assert token == (
        "DEMO_TOKEN: expected to have at least 4 items after validation, not 3; found a hidden "
        "value of 3 characters in .env:4; correct it in .env:4 (Token.)"
    )
    assert color == (
        "DEMO_COLOR: expected 'red' or 'blue'; found 'green\\\\x1b[2J' in the environment; "
        "correct it in the environment (Color.)"
    )


def test_text_that_is_no_json_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_NAMES", "[1")
    (problem,) = problems_of(DemoSettings)
    assert problem.startswith("DEMO_NAMES: expected JSON, such as [")
    assert problem.endswith("in the environment; correct it in the environment (Names.)")


def test_a_wrong_member_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_NAMES", "[[1]]")
    (problem,) = problems_of(DemoSettings)
    assert problem.startswith("DEMO_NAMES: expected 0: a valid string; found '[1]'")


def test_a_wrong_value_from_a_file_points_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "port").write_text("many", encoding="utf-8")
    monkeypatch.setenv("DEMO_PORT_FILE", str(tmp_path / "port"))
    (problem,) = problems_of(DemoSettings)
    assert "found 'many' in the file of DEMO_PORT_FILE; correct it in the file" in problem


def test_a_missing_value_says_how_to_give_it() -> None:
    (problem,) = problems_of(RequiredSettings)
    assert problem == (
        "NEEDED: expected Something that is needed.; found nothing; set NEEDED in the environment "
        "or in .env, or NEEDED_FILE"
    )


def test_an_argument_is_explained_too() -> None:
    (problem,) = problems_of(DemoSettings, demo_port="x" * 200)
    assert "…'; correct it where it is given" in problem
    assert len(problem) < 260


def test_a_line_that_cannot_be_read_is_named() -> None:
    Path(".env").write_text("\nDEMO_PORT=1\nwhat is this = \n", encoding="utf-8")
    (problem,) = problems_of(DemoSettings)
    assert problem.startswith(".env:3: expected a line NAME=value; found a line that cannot")


class CheckedSettings(ProcessSettings):
    """Has rules of its own, whose text repeats the value."""

    api_secret: str = Field(default="", description="A secret.")
    first: int = Field(default=1, description="First.")
    second: int = Field(default=2, description="Second.")

    @field_validator("api_secret")
    @classmethod
    def _no_spaces(cls, value: str) -> str:
        if " " in value:
            raise ValueError(f"no spaces in {value}")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> "CheckedSettings":
        if self.first > self.second:
            raise ValueError("FIRST to be at most SECOND")
        return self


def test_a_secret_is_not_repeated_by_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_SECRET", f"{CANARY} x")
    (problem,) = problems_of(CheckedSettings)
    assert CANARY not in problem
    assert problem.startswith("API_SECRET: expected no spaces in [redacted]; found a hidden value")


def test_a_rule_over_several_variables_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST", "9")
    assert problems_of(CheckedSettings) == [
        "settings: expected FIRST to be at most SECOND; found this combination; change one"
    ]


def test_load_or_exit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert DemoSettings.load_or_exit().demo_port == 8700
    monkeypatch.setenv("DEMO_PORT", "0")
    with pytest.raises(SystemExit) as ended:
        DemoSettings.load_or_exit()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("settings: DEMO_PORT: expected greater than")


class AliasSettings(BaseSettings):
    """Uses what pydantic offers to name variables."""

    model_config = SettingsConfigDict(env_prefix="DEMO_")

    plain: float = 0.5
    single: str = Field(default="a b", validation_alias="ALONE")
    several: bool = Field(default=True, validation_alias=AliasChoices("FIRST", "SECOND"))
    choice: Literal["x", "y"] = "x"
    wrapped: Annotated[int | None, "note"] = None
    mapping: dict[str, int] = Field(default={"a": 1})
    computed: str = Field(default_factory=str)
    key_path: Path | None = None
    token_path: Path = Path("x")
    open_token: str = Field(default="", json_schema_extra={"secret": False})


def test_variables_are_named_as_pydantic_reads_them() -> None:
    fields = {field.name: field for field in settings_fields(AliasSettings)}
    assert fields["plain"].variables == ("DEMO_PLAIN",)
    assert fields["single"].variables == ("ALONE",)
    assert fields["several"].variables == ("FIRST", "SECOND")
    assert fields["choice"].kind == "`x`, `y`"
    assert fields["wrapped"].kind == "integer"
    assert fields["mapping"].default == '{"a": 1}'
    assert fields["several"].default == "true"
    assert fields["computed"].default is None
    assert not fields["token_path"].secret
    assert not fields["open_token"].secret


def test_an_alias_that_is_no_name_is_refused() -> None:
    class PathSettings(BaseSettings):
        odd: str = Field(default="", validation_alias=AliasPath("A", 0))

    with pytest.raises(TypeError, match="expected an alias that is a name"):
        settings_fields(PathSettings)


def test_the_documentation_says_everything_once() -> None:
    table = render_settings_table([DemoSettings, RequiredSettings])
    assert "## DemoSettings\n\nSettings of a demonstration.\n" in table
    assert "| `DEMO_PORT` | integer | `8700` | Port \\| of the demonstration. |" in table
    assert "| `DEMO_TOKEN` | text, secret | – | Token. |" in table
    assert "| `DEMO_COLOR` | `red`, `blue` | `red` | Color. |" in table
    assert "| `NEEDED` | text | required | Something that is needed. |" in table
    example = render_env_example([DemoSettings, DemoSettings, AliasSettings, RequiredSettings])
    assert example.count("DEMO_PORT=8700") == 1
    assert "# Port | of the demonstration. (read by demo, demo)" in example
    assert "# DEMO_TOKEN_FILE=\n" in example
    assert "# ALONE='a b'\n" in example
    assert "xxxx" not in table + example
    assert all(line.startswith("#") or not line for line in example.splitlines())


def test_the_command_writes_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--root", str(tmp_path), "--classes", f"{__name__}:DemoSettings"]
    assert main(["--check", *arguments]) == 1
    assert "expected what the settings classes say" in capsys.readouterr().err
    assert main(["--write", *arguments]) == 0
    assert main(["--check", *arguments]) == 0
    assert (tmp_path / "docs" / "settings.md").is_file()
    (tmp_path / ".env.example").write_text("other", encoding="utf-8")
    assert main(["--check", *arguments]) == 1


def test_only_settings_classes_are_loaded() -> None:
    with pytest.raises(TypeError, match="expected a settings class"):
        load_classes([f"{__name__}:Color"])


def test_the_command_needs_an_action() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "process.settings_docs"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert ended.returncode == 2
    assert "--check" in ended.stderr
