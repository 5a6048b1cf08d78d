"""`up`, `down`, `status`, `logs` and `db` on a home where nothing runs, and with a fake stack."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from stack import lifecycle
from stack.errors import ChildFailed, PortTaken
from stack.spec import ProcessState
from stack.state import Durability, Phase, ProcessStatus, StackStatus
from tests.api.serving import TOKEN, Api
from tests.cli.conftest import Terminal


def status_of(home: Path, **changes: Any) -> StackStatus:
    fields: dict[str, Any] = {
        "home": str(home),
        "phase": Phase.READY,
        "supervisor_pid": 7,
        "durability": Durability.POWER,
        "processes": (
            ProcessStatus(name="api", pid=8, state=ProcessState.READY, endpoint="http://x"),
        ),
        "ports": {"api": 1},
        "api_url": "http://127.0.0.1:1",
    }
    return StackStatus(**{**fields, **changes})


def test_nothing_runs(terminal: Terminal) -> None:
    result = terminal.run("status", "--json")
    assert result.code == ExitCode.UNREACHABLE
    assert json.loads(result.out)["phase"] == "stopped"
    assert "stopped" in terminal.run("status").out
    down = terminal.run("down")
    assert (down.code, down.err) == (ExitCode.DONE, "no stack was running\n")
    assert json.loads(terminal.run("down", "--json").out) == {"was_running": False, "killed": False}
    assert terminal.run("logs", "api").out == ""
    assert terminal.run("up", "--ports", "odd").code == ExitCode.USAGE
    assert terminal.run("up", "--durability", "none").code == ExitCode.USAGE


def test_up_shows_what_runs(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[lifecycle.UpOptions] = []

    async def up(options: lifecycle.UpOptions, *, progress: Any, on_ready: Any) -> StackStatus:
        asked.append(options)
        progress("api: ready")
        on_ready(status_of(tmp_path))
        return status_of(tmp_path)

    monkeypatch.setattr(lifecycle, "up", up)
    shown = terminal.run("up", "--detach", "--ports", "auto", "--durability", "process")
    assert shown.code == ExitCode.DONE
    assert "api: ready" in shown.err
    assert "http://127.0.0.1:1" in shown.out
    assert asked[0].detach
    assert (asked[0].ports, asked[0].durability) == ("auto", "process")
    assert json.loads(terminal.run("up", "-d", "--json").out)["processes"][0]["name"] == "api"


def test_a_stack_that_does_not_start_says_why(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[Exception] = [PortTaken("API_PORT: taken"), ChildFailed("api", "ended", ("boom",))]

    async def up(*_: Any, **__: Any) -> StackStatus:
        raise errors.pop(0)

    monkeypatch.setattr(lifecycle, "up", up)
    taken = terminal.run("up")
    assert (taken.code, "API_PORT" in taken.err) == (ExitCode.USAGE, True)
    failed = terminal.run("up")
    assert (failed.code, "boom" in failed.err) == (ExitCode.INTERNAL_ERROR, True)


def test_status_of_a_running_stack(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "status", lambda: status_of(tmp_path, failure="it \x1b fell"))
    result = terminal.run("status")
    assert result.code == ExitCode.DONE
    assert "ready" in result.out
    assert "it \\x1b fell" in result.out


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (ProcessState.RESTARTING, ExitCode.UNREACHABLE),
        (ProcessState.FAILED, ExitCode.UNREACHABLE),
        (ProcessState.EXTERNAL, ExitCode.DONE),
    ],
)
def test_status_tells_by_its_code_whether_all_works(
    terminal: Terminal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: ProcessState,
    code: ExitCode,
) -> None:
    one = ProcessStatus(name="valkey", pid=None, state=state, endpoint=None)
    found = status_of(tmp_path)
    found = replace(found, processes=(*found.processes, one))
    monkeypatch.setattr(lifecycle, "status", lambda: found)
    assert terminal.run("status").code == code


async def test_the_running_stack_is_where_the_api_is(
    terminal: Terminal, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "api-token").write_text(TOKEN)
    (tmp_path / "api-token").chmod(0o600)
    monkeypatch.setattr(lifecycle, "status", lambda: status_of(tmp_path, api_url=api.url))
    result = await terminal("account", "list")
    assert result.code == ExitCode.DONE, result.err
    assert "paper" in result.out


def test_logs_are_shown_line_by_line(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    async def logs(
        name: str | None, *, lines: int, follow: bool
    ) -> AsyncIterator[lifecycle.LogLine]:
        yield lifecycle.LogLine("api", f"first \x1b[31m {lines}")
        if follow:
            raise KeyboardInterrupt

    monkeypatch.setattr(lifecycle, "logs", logs)
    assert terminal.run("logs", "-n", "5").out == "api: first \\x1b[31m 5\n"
    assert terminal.run("logs", "api").out == "first \\x1b[31m 100\n"
    assert terminal.run("logs", "--follow").code == ExitCode.INTERRUPTED


def test_the_database_is_made_and_checked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from cli.main import run

    assert run(["db", "check"]) == 1
    assert "perp-dex db upgrade" in capfd.readouterr().err
    assert run(["db", "upgrade"]) == ExitCode.DONE
    assert (tmp_path / "home" / "perp-dex.db").exists()
    capfd.readouterr()
    assert run(["db", "current"]) == ExitCode.DONE
    assert capfd.readouterr().out.strip() != "none"
    assert run(["db", "check"]) == ExitCode.DONE
