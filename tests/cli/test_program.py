"""The program as a process: help, pipes, terminals, interrupts, and what it must not import."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

from cli.exit_codes import MEANINGS, ExitCode
from cli.output import json_ready, print_csv, print_table, safe, without_keys
from tests.api.serving import Api
from tests.cli.conftest import Terminal, command, environment

USER_LINES = [
    "--help",
    "account list --help",
    "account add --help",
    "trade buy --help",
    "trade sell --help",
    "trade cancel --help",
    "trade modify --help",
    "trade orders --help",
    "trade show --help",
    "trade history --help",
    "market list --help",
    "market info --help",
    "market orderbook --help",
    "monitor orders --help",
    "monitor positions --help",
    "monitor account --help",
    "monitor market --help",
    "market watch --help",
    "market ticker --help",
    "market trades --help",
    "market funding --help",
    "market candles --help",
    "order resolve --help",
    "sim price --help",
    "sim fill --help",
    "sim fault --help",
    "sim book --help",
    "sim ledger --help",
    "sim account --help",
    "up --help",
    "down --help",
    "status --help",
    "logs --help",
    "ui --help",
    "db upgrade --help",
    "help --help",
]


@pytest.mark.parametrize("line", USER_LINES)
def test_every_command_has_help(terminal: Terminal, line: str) -> None:
    result = terminal.run(*line.split())
    assert result.code == 0
    assert "Usage: perp-dex" in result.out
    assert "--help" in result.out


def test_help_topics(terminal: Terminal) -> None:
    codes = terminal.run("help", "exit-codes")
    for code in ExitCode:
        assert f"{code.value:>4}  {MEANINGS[code]}" in codes.out
    assert "PERP_DEX_HOME" in terminal.run("help", "environment").out
    assert "--key" in terminal.run("help", "keys").out
    assert terminal.run("help", "everything").code == ExitCode.USAGE
    assert terminal.run("--version").out.startswith("perp-dex ")


@pytest.mark.parametrize(
    "line",
    ["", "trade", "nonsense", "trade bye BTC-PERP 1", "trade buy --nonsense", "logs nobody"],
)
def test_wrong_lines_are_exit_2(terminal: Terminal, line: str) -> None:
    result = terminal.run(*line.split())
    assert result.code == ExitCode.USAGE
    assert result.err != ""
    assert "Traceback" not in result.err


def test_a_near_command_is_suggested(terminal: Terminal) -> None:
    assert "buy" in terminal.run("trade", "buyy", "BTC-PERP", "1").err


def test_arguments_that_are_not_text_are_refused() -> None:
    done = subprocess.run(
        [*command(), "trade", "show", b"\xff\xfe"], env=environment(), capture_output=True
    )
    assert done.returncode == ExitCode.USAGE
    assert b"UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_closed_output_is_quiet() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*command(), "help", "exit-codes"],
        env=environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    assert done.returncode == ExitCode.CLOSED_OUTPUT
    assert done.stderr == b""


def test_a_terminal_that_lacks_letters_gets_escapes() -> None:
    done = subprocess.run(
        [*command(), "nonsense", "ümläut"],
        env=environment(PYTHONIOENCODING="ascii", LC_ALL="C.UTF-8"),
        capture_output=True,
    )
    assert done.returncode == ExitCode.USAGE
    assert b"Traceback" not in done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom cli.main import run\nrun(['--help'])\n"
        "heavy = {'temporalio', 'sqlalchemy', 'fastapi', 'httpx2', 'rich', 'aiohttp', 'pydantic'}\n"
        "sys.stderr.write(','.join(sorted(heavy & set(sys.modules))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True)
    assert done.returncode == 0
    assert done.stderr == b""


async def test_ctrl_c_leaves_the_order_working(desk: Terminal, api: Api) -> None:
    # A test run in the background ignores SIGINT, and its children inherit that.
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from cli.main import main; sys.exit(main())"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        *("trade", "buy", "BTC-PERP", "0.1", "--price", "45000", "--wait-fill"),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said = ""
    async with asyncio.timeout(30):
        while "waiting for the fill" not in said:
            said += (await process.stderr.readline()).decode()
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "still working" in err.decode()
    assert f"perp-dex trade cancel {api.desk.starts[0]}" in err.decode()
    assert "Traceback" not in err.decode()
    assert out == b""
    order = (await api.http.get(f"/api/v1/orders/{api.desk.starts[0]}")).json()
    assert order["status"] == "ACCEPTED"


async def test_on_a_terminal_tables_have_colour_unless_it_is_unwanted(
    desk: Terminal, api: Api
) -> None:
    def look(**changes: str) -> str:
        shown = pexpect.run(
            " ".join([*command(), "market", "list"]),
            env=environment(**{"TERM": "xterm-256color", "COLUMNS": "120", **changes}),
            timeout=30,
        )
        assert isinstance(shown, bytes)
        return shown.decode()

    coloured = await asyncio.to_thread(look)
    assert "BTC-PERP" in coloured
    assert "\x1b[1m" in coloured
    plain = await asyncio.to_thread(look, TERM="dumb")
    assert "\x1b" not in plain
    without = await asyncio.to_thread(look, NO_COLOR="1")
    assert "\x1b[3" not in without


async def test_a_key_is_asked_for_without_echo_on_a_terminal(desk: Terminal, api: Api) -> None:
    key = "0x" + "7e" * 32

    def add() -> tuple[int | None, str]:
        arguments = "account add --dex hyperliquid --label typed --network paper --address 0xcd"
        child = pexpect.spawn(
            command()[0],
            [*command()[1:], *arguments.split()],
            env=environment(),
            timeout=30,
            encoding="utf-8",
        )
        child.expect("Signing key")
        child.sendline(key)
        child.expect(pexpect.EOF)
        child.close()
        return child.exitstatus, str(child.before)

    code, shown = await asyncio.to_thread(add)
    assert code == ExitCode.DONE, shown
    assert "7e7e" not in shown
    assert api.sealed.keys == [key]


async def test_accounts_come_from_files_and_stdin(
    desk: Terminal, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    add = ("account", "add", "--venue", "hyperliquid", "--network", "paper")
    key_file = tmp_path / "key"
    key_file.write_text("0x" + "7e" * 32 + "\n")
    result = await desk(
        *add, "--label", "filed", "--address", "0xcd", "--key-file", str(key_file), "--json"
    )
    assert result.code == ExitCode.DONE, result.err
    assert json.loads(result.out)["state"] == "ACTIVE"
    monkeypatch.setattr("sys.stdin", io.StringIO("0x" + "7f" * 32 + "\n"))
    result = await desk(*add, "--label", "piped", "--address", "0xce", "--key-file", "-")
    assert result.code == ExitCode.DONE
    assert api.sealed.keys == ["0x" + "7e" * 32, "0x" + "7f" * 32]
    listed = await desk("account", "list")
    assert "filed" in listed.out
    assert "piped" in json.dumps(json.loads((await desk("account", "list", "--json")).out))
    assert (await desk("account", "info", "filed")).code == ExitCode.DONE
    monkeypatch.setattr("sys.stdin", io.StringIO("x"))
    for wrong, words in (
        ((*add, "--address", "0xcd"), "no terminal"),
        ((*add, "--address", "0xcd", "--key-file", str(tmp_path / "none")), "readable"),
        ((*add,), "--address"),
        (("account", "add", "--dex", "hyperliquid", "--address", "0x1"), "--network"),
        (("account", "add", "--dex", "hyperliquid", "--paper", "--address", "0x1"), "--address"),
        (
            ("account", "add", "--dex", "hyperliquid", "--paper", "--network", "mainnet"),
            "--network",
        ),
        ((*add, "--address", "0x1", "--network", "moon"), "mainnet"),
    ):
        refused = await desk(*wrong)
        assert refused.code == ExitCode.USAGE, wrong
        assert words in refused.err
    (tmp_path / "empty").write_text("\n")
    empty = await desk(*add, "--address", "0xcd", "--key-file", str(tmp_path / "empty"))
    assert empty.code == ExitCode.USAGE
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    binary = await desk(*add, "--address", "0xcd", "--key-file", str(tmp_path / "binary"))
    assert binary.code == ExitCode.USAGE


async def test_a_check_that_takes_long_is_told(desk: Terminal, api: Api, tmp_path: Path) -> None:
    api.desk.account_verdict = None
    (tmp_path / "key").write_text("0x" + "7e" * 32)
    result = await desk(
        *("account", "add", "--dex", "hyperliquid", "--label", "late"),
        *("--network", "paper", "--address", "0xcd"),
        "--key-file",
        str(tmp_path / "key"),
    )
    assert result.code == ExitCode.STILL_LIVE
    assert "account info late" in result.err


async def test_markets_and_books(desk: Terminal, api: Api) -> None:
    assert "BTC-PERP" in (await desk("market", "list")).out
    markets = json.loads((await desk("market", "list", "--json")).out)["markets"]
    assert markets[0]["lot_size"] == "0.00001"
    assert "min notional" in (await desk("market", "info", "BTC-PERP")).out
    assert (
        json.loads((await desk("market", "info", "BTC-PERP", "--json")).out)["max_leverage"] == 40
    )
    book = await desk("market", "orderbook", "BTC-PERP", "--depth", "5")
    assert "45001" in book.out
    assert api.books.asked[-1][3] == 5
    await desk("market", "orderbook", "BTC-PERP", "--json")
    assert api.books.asked[-1][3] == 20
    assert (await desk("market", "orderbook", "BTC-PERP", "--depth", "0")).code == ExitCode.USAGE
    assert (await desk("market", "info", "XYZ-PERP")).code == ExitCode.NOT_FOUND
    ticker = await desk("market", "ticker", "BTC-PERP")
    assert "45000.5" in ticker.out
    assert "ms ago, by poll" in ticker.out
    assert json.loads((await desk("market", "ticker", "BTC-PERP", "--json")).out)["best_bid"]
    assert (await desk("market", "ticker", "XYZ-PERP")).code == ExitCode.NOT_FOUND


async def test_ui_prints_or_opens_a_one_time_address(
    desk: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = await desk("ui", "--print")
    assert "/api/v1/operator/session?ticket=" in printed.out
    opened: list[str] = []

    def browser(url: str) -> bool:
        opened.append(url)
        return len(opened) == 1

    monkeypatch.setattr("webbrowser.open", browser)
    assert (await desk("ui")).out == ""
    fallen = await desk("ui")
    assert fallen.out.strip() == opened[1]
    assert "no browser" in fallen.err


def test_text_from_outside_is_only_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert safe("a\x1b]0;pwn\x07\u202e\n") == "a\\x1b]0;pwn\\x07\\u202e\\x0a"
    assert safe(None) == "–"
    assert safe(True) == "yes"
    assert without_keys("0x" + "7e" * 32) == "[hidden]"
    print_table(("name",), [("[link=http://evil]x[/link]",), ("\x1b[31m",)])
    out = capsys.readouterr().out
    assert "[link=http://evil]x[/link]" in out
    assert "\x1b" not in out
    print_csv(("name",), [("=HYPERLINK(1)",), ("@x",), ("fine",), (None,)])
    assert capsys.readouterr().out.splitlines() == ["name", "'=HYPERLINK(1)", "'@x", "fine", '""']
    value: Any = {"a": (1, [True]), "b": None}
    assert json_ready(value) == {"a": [1, [True]], "b": None}
